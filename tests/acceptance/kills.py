"""The loop of kills: a tree mirrored by runs that are killed at random moments, and what the server saw of it.

Owns when a run is killed, and the accounts: what a run left confirmed (an object or receipt in the journal, or an object line
on stdout) must never be sent again, and nothing may be confirmed that the server had not stored. scripts/kills runs it long.
"""

import random
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from tests.acceptance.command import Run, Runner, Site, sync
from tests.acceptance.evidence import Piece, client, confirmed, regular_files, wrong
from tests.acceptance.servers import Request, Server


class Shape(NamedTuple):
    """The tree: how many files of each kind; sizes in bytes, those of small files at most."""

    small: int
    small_size: int
    large: int
    large_size: int


class Counts(NamedTuple):
    """What came of it. `again` is what was confirmed and sent again, `early` what was confirmed and not stored.

    `untrue` is what a run told of on stdout and the journal did not hold when the run was dead.
    """

    kills: int
    runs: int
    trees: int
    objects: int
    wrong: list[str]
    objects_again: list[Piece]
    parts_again: list[Piece]
    early: list[Piece]
    untrue: list[Piece]
    repeats: int
    uploads_left: int
    uploads_untold: int

    @property
    def good(self) -> bool:
        """Whether all promises were kept."""
        return not (self.wrong or self.objects_again or self.parts_again or self.early or self.untrue)

    def report(self) -> Iterator[tuple[str, int]]:
        """The figures with their names."""
        yield "kills", self.kills
        yield "runs", self.runs
        yield "times that the tree was mirrored", self.trees
        yield "objects compared", self.objects
        yield "objects wrong, missing or nobody's", len(self.wrong)
        yield "confirmed objects sent again", len(self.objects_again)
        yield "confirmed parts sent again", len(self.parts_again)
        yield "confirmed before they were stored", len(self.early)
        yield "told before they were journalled", len(self.untrue)
        yield "bodies repeated, in flight at a kill", self.repeats
        yield "uploads left over in the bucket", self.uploads_left
        yield "of those, never told of", self.uploads_untold


def make_tree(root: Path, shape: Shape, chance: random.Random) -> None:
    """Write the files, the large among the small. No file is sparse, and none equals another."""
    for number in range(shape.small):
        path = root / f"{number % 20:02d}" / f"small-{number}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(chance.randbytes(chance.randint(0, shape.small_size)))
    for number in range(shape.large):
        with (root / f"{number * 3 % 20:02d}" / f"large-{number}").open("wb") as file:
            left = shape.large_size + chance.randint(1, 1 << 20)
            while left:
                file.write(chance.randbytes(min(left, 1 << 20)))
                left -= min(left, 1 << 20)


class Kills:
    """Kills runs until there were enough, then lets one come to its end."""

    def __init__(self, work: Path, server: Server, site: Site, tree: Path, chance: random.Random, *options: str) -> None:
        self._work = work
        self._server = server
        self._site = site
        self._tree = tree
        self._chance = chance
        self._options = options
        self._runner = Runner(work, site.environment(work))
        self._kills = self._runs = self._trees = self._objects = self._repeats = self._left = self._untold = 0
        self._wrong: list[str] = []
        self._again: list[Piece] = []
        self._early: list[Piece] = []
        self._untrue: list[Piece] = []

    def run(self, kills: int, growth: int) -> Counts:
        """Kill so many runs.

        Args:
            kills: How many.
            growth: After how many requests a run is killed, on average.
        """
        while self._kills < kills:
            self._trees += 1
            self._mirror(f"round-{self._trees}", kills, growth)
        return Counts(
            self._kills,
            self._runs,
            self._trees,
            self._objects,
            self._wrong,
            [piece for piece in self._again if not piece[1]],
            [piece for piece in self._again if piece[1]],
            self._early,
            self._untrue,
            self._repeats,
            self._left,
            self._untold,
        )

    def _mirror(self, prefix: str, kills: int, growth: int) -> None:
        """Mirror the tree under a prefix of its own, killed again and again, until a run comes to its end."""
        journal = self._work / f"{prefix}.sqlite"
        target = self._site._replace(bucket=f"{self._site.bucket}/{prefix}")
        arguments = sync(self._tree, target, journal, *self._options)
        known: set[Piece] = set()
        stored: set[Piece] = set()
        code = None
        notices = ""
        while code != 0:
            start = len(self._server.settled())
            run = self._one(arguments, growth if self._kills < kills else 0)
            code = run.code
            requests = self._server.settled()[start:]
            assert code in (0, -9), f"exit code {code}: {run.error}"
            self._account(requests, known, stored)
            notices += "".join(line["text"] for line in run.lines if line["event"] == "notice")
            journalled = confirmed(journal, self._work / f"journal-{self._runs}", prefix)
            self._untrue += sorted(told(run) - journalled)
            known |= journalled
            self._early += sorted(known - stored)
        files = regular_files(self._tree, prefix)
        self._objects += len(files)
        self._wrong += wrong(self._site, files, prefix)
        with client(self._site) as s3:
            left = s3.list_multipart_uploads(Bucket=self._site.bucket, Prefix=prefix).get("Uploads", ())
        self._left += len(left)
        self._untold += sum(upload["UploadId"] not in notices for upload in left)

    def _one(self, arguments: Sequence[str | Path], growth: int) -> Run:
        """One run, killed if `growth` is not 0."""
        self._runs += 1
        if not growth:
            return self._runner.run(*arguments, seconds=300)
        with self._runner.start(*arguments) as running:
            until = len(self._server.requests) + 1 + int(self._chance.expovariate(1 / growth))
            while running.process.poll() is None and not self._server.wait(lambda requests: len(requests) >= until, 0.1):
                pass
            try:  # not only between two requests
                running.process.wait(self._chance.uniform(0, 0.02))
            except subprocess.TimeoutExpired:
                running.process.kill()
            run = running.finish()
        self._kills += run.code == -9
        return run

    def _account(self, requests: Sequence[Request], known: set[Piece], stored: set[Piece]) -> None:
        sent = [(request.key, request.part) for request in requests if request.body]
        with_parts = {key for key, _ in known}
        for key, part in sent:
            # A whole object instead of parts that are there is as bad as the parts again.
            if (key, part) in known or (key, 0) in known or (not part and key in with_parts):
                self._again.append((key, part))
            elif (key, part) in stored:
                self._repeats += 1
        stored |= {(request.key, request.part) for request in requests if request.stored}
        stored |= {(r.key, 0) for r in requests if r.op == "CompleteMultipartUpload" and r.status == 200}


def told(run: Run) -> set[Piece]:
    """What a run has told of as complete."""
    return {(line["key"], 0) for line in run.lines if line.get("outcome") in ("complete", "unchanged")}
