"""The accounts of runs that were killed: what must not happen, counted, and what may, counted too.

Owns the rules. What a journal called confirmed before a run, and whose file is as it was, the run must not send; what a journal
calls confirmed the server must have stored; what a run has told of as complete its journal must hold. Knows of the server only
which requests it saw.
"""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path

from asyncmirror.checksum import compute
from asyncmirror.model import Algorithm
from tests.acceptance.command import Run
from tests.acceptance.evidence import Piece
from tests.acceptance.servers import Request
from tests.soak.record import Record, State

DONE = ("complete", "unchanged", "adopted")


class Account:
    """Sums over all runs. What must not happen is kept in words, the first of each kind for whoever looks for the cause."""

    def __init__(self) -> None:
        self.runs = self.kills = self.steps = self.objects = self.repeats = 0
        self.faults: Counter[str] = Counter()
        self.broken: dict[str, list[str]] = {
            "objects wrong, missing or nobody's": [],
            "complete objects sent again": [],
            "parts with receipts sent again": [],
            "journalled before they were stored": [],
            "told before they were journalled": [],
            "runs that ended otherwise than they should": [],
        }
        self._left: set[str] = set()
        self._untold: set[str] = set()
        self._notices = ""
        self._stored: set[Piece] = set()
        self._flying: dict[Piece, State] = {}

    @property
    def good(self) -> bool:
        """Whether all promises were kept."""
        return not any(self.broken.values()) and not self._untold

    def report(self) -> Iterator[tuple[str, int]]:
        """The figures with their names."""
        yield "runs", self.runs
        yield "kills", self.kills
        yield "steps of the state machine", self.steps
        for kind, count in sorted(self.faults.items()):
            yield f"faults: {kind}", count
        yield "objects compared", self.objects
        yield "bodies repeated, in flight at a kill", self.repeats
        for what, which in self.broken.items():
            yield what, len(which)
        yield "uploads left over and told of", len(self._left - self._untold)
        yield "uploads left over and never told of", len(self._untold)

    def failures(self) -> Iterator[str]:
        """What was broken, in words, the first few of each kind."""
        for what, which in self.broken.items():
            yield from (f"{what}: {each}" for each in which[:5])
        yield from (f"left over, never told of: upload {upload_id}" for upload_id in sorted(self._untold)[:5])

    def begin_anew(self, keys: Collection[str]) -> None:
        """The journal and the bucket were set back, to these objects: what was in flight is of no meaning any more."""
        self._flying.clear()
        self._stored = {(key, 0) for key in keys}

    def add(
        self,
        run: Run,
        files: Mapping[str, Path],
        before: Record,
        after: Record,
        requests: Sequence[Request] | None,
        gone: Collection[str] = (),
    ) -> None:
        """Take in a run.

        Args:
            run: What it told.
            files: The regular files of the tree, by key, as they were all the time.
            before: The journal when it began.
            after: The journal when it was dead.
            requests: What the server was asked in that time; None: it does not tell.
            gone: Uploads that somebody aborted.
        """
        self.runs += 1
        self.kills += run.code == -9
        self._notices += "".join(line["text"] for line in run.lines if line["event"] == "notice")
        told = {line["key"] for line in run.lines if line.get("outcome") in DONE}
        self._keep("told before they were journalled", told - after.objects.keys())
        if requests is not None:
            self._sent([(request.key, request.part) for request in requests if request.body], files, before, gone)
            self._fly(run, requests, files, after)

    def compared(self, objects: int, wrong: Collection[str]) -> None:
        """Take in a comparison of bucket and tree."""
        self.objects += objects
        self._keep("objects wrong, missing or nobody's", wrong)

    def ahead(self, which: Collection[str]) -> None:
        """Take in what a journal called confirmed and the server did not have."""
        self._keep("journalled before they were stored", which)

    def ended(self, what: str) -> None:
        """Take in a run that ended otherwise than it should."""
        self._keep("runs that ended otherwise than they should", (what,))

    def left_over(self, upload_ids: Collection[str]) -> None:
        """Take in the uploads that are in the bucket after a run came to its end, and belong to no file's record."""
        self._left |= set(upload_ids)
        self._untold |= {upload_id for upload_id in upload_ids if upload_id not in self._notices}

    def _keep(self, what: str, which: Collection[str]) -> None:
        self.broken[what] += [f"{each} (run {self.runs})" for each in sorted(which)]

    def _sent(self, pieces: Sequence[Piece], files: Mapping[str, Path], before: Record, gone: Collection[str]) -> None:
        """Look for what was sent although it was confirmed."""
        whole, parts = set(), set()
        begun = {key for key, _ in before.receipts}
        for key, number in pieces:
            path = files.get(key)
            if path is None:
                continue
            unfinished = before.uploads.get(key)
            if unfinished is None:
                if before.objects.get(key) == _digest(path):
                    whole.add(key)
                continue
            # A whole object instead of parts that are there is as bad as the parts again.
            again = (key, number) in before.receipts or (not number and key in begun)
            if again and unfinished[1] not in gone and unfinished[0] == state(path):
                parts.add(f"{key} part {number}")
        self._keep("complete objects sent again", whole)
        self._keep("parts with receipts sent again", parts)

    def _fly(self, run: Run, requests: Sequence[Request], files: Mapping[str, Path], after: Record) -> None:
        """Keep what a killed run had sent and not confirmed; count what of it is sent once more."""
        pieces = {(request.key, request.part) for request in requests if request.body}
        self.repeats += sum(piece in self._flying and _is(files, piece[0], self._flying[piece]) for piece in pieces)
        self._stored |= {(request.key, request.part) for request in requests if request.stored}
        self._stored |= {(r.key, 0) for r in requests if r.op == "CompleteMultipartUpload" and r.status == 200}
        self.ahead([f"{key} part {number}" for key, number in after.confirmed - self._stored])
        if run.code != -9:
            self._flying.clear()
            return
        for key, number in pieces - after.confirmed:
            if (key, 0) not in after.confirmed and key in files:
                self._flying[key, number] = state(files[key])


def state(path: Path) -> State:
    """The state that a file is in now."""
    status = path.lstat()
    return status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns


def _digest(path: Path) -> bytes:
    return compute(Algorithm.CRC64NVME, path.read_bytes()).digest


def _is(files: Mapping[str, Path], key: str, known: State) -> bool:
    return key in files and state(files[key]) == known
