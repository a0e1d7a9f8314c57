"""The demonstration: mirror, kill, resume, compare, and do nothing; told on the terminal.

Owns the order of the steps, the report, and the exit code: 0 if all was shown, 1 with the reason if not.
"""

import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from http import HTTPStatus
from pathlib import Path
from typing import IO, NoReturn

from asyncmirror.settings import Tuning
from asyncmirror.sizes import MIB, format_size
from demonstration.evidence import Resent, compare, read_journal, regular_files, sent_again
from demonstration.processes import DemoError, Run, Server, child, half_done, sync, sync_and_kill
from demonstration.tree import make_tree

BUCKET = "desidata"
PREFIX = "demo"
SHOWN = 3
"""Names of a kind that the report gives."""


def say(label: str = "", text: str = "") -> None:
    """One line of the report."""
    print(f"   {label:<36}{text}".rstrip(), flush=True)


def head(text: str) -> None:
    """The title of a step."""
    print(f"\n{text}", flush=True)


def count(number: int, noun: str) -> str:
    """``1 file``, ``1,504 files``."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


class Story:
    """The four steps, on one tree and one server."""

    def __init__(self, given: Path | None, work: Path, scope: ExitStack) -> None:
        self.work = work
        self.tree = given or work / "tree"
        if given is None:
            make_tree(self.tree)
        self.files = regular_files(self.tree, PREFIX)
        self.total = sum(size for _, size in self.files.values())
        self.errors: IO[str] = scope.enter_context((work / "stderr").open("w+", encoding="utf-8"))
        scope.push(self._explain)

        requests, self.journal = work / "requests.jsonl", work / "journal"
        requests.touch()
        log = scope.enter_context(requests.open(encoding="utf-8"))
        serve = [sys.executable, "-m", "asyncmirror.testing.moto", "--bucket", BUCKET, "--log", str(requests)]
        self.server = Server(scope.enter_context(child(serve, stdout=subprocess.PIPE, stderr=self.errors)), log)
        self.command = [sys.executable, "-m", "asyncmirror", "sync", str(self.tree), f"s3://{BUCKET}/{PREFIX}"]
        self.command += ["--endpoint-url", self.server.url, "--journal", str(self.journal)]
        self.command += ["--part-size", "8MiB", "--concurrency", "8", "--json", "--quiet"]

    def _explain(self, _kind: object, error: object, _trace: object) -> None:
        """Give the last of what the programs said on stderr, if the demonstration failed."""
        if isinstance(error, DemoError):
            self.errors.seek(0)
            for line in self.errors.read().splitlines()[-10:]:
                print(f"   | {line}", file=sys.stderr)

    def tell(self) -> None:
        """All of it.

        Raises:
            DemoError: Something was not as it should be.
        """
        large = sum(size >= 64 * MIB for _, size in self.files.values())
        say("tree", f"{count(len(self.files), 'file')}, {format_size(self.total)}, {large} of 64 MiB or more")
        say("", str(self.tree))
        say("S3 server", f"moto on {self.server.url}")
        self._resume(self._kill())
        self._compare()
        self._nothing_to_do()

    def _kill(self) -> int:
        head("1  asyncmirror sync, killed with SIGKILL in the middle")
        multipart = any(size >= Tuning().multipart_threshold for _, size in self.files.values())
        half = half_done(self.total, multipart=multipart)
        seconds = sync_and_kill(self.command, self.server, half, self.errors)
        requests = self.server.settle()
        arrived = sum(request.length for request in requests if request.status == HTTPStatus.OK)
        say("killed after", f"{seconds:.1f} s")
        say("had arrived", f"{format_size(arrived)} of {format_size(self.total)} ({arrived / self.total:.0%})")
        return len(requests)

    def _resume(self, killed: int) -> None:
        known = read_journal(self.journal, self.work / "at-kill", PREFIX)
        parts = f"{count(len(known.parts), 'part')} of {count(known.uploads, 'open upload')}"
        say("confirmed in the journal", f"{count(len(known.complete), 'object')}, {parts}")

        head("2  the same command again")
        run = sync(self.command, self.errors)
        requests = self.server.settle()
        before, after = requests[:killed], requests[killed:]
        say("took", f"{run.seconds:.1f} s, exit code {run.exit_code}")
        say("sent", format_size(sum(request.length for request in after if request.method == "PUT")))
        self._judge(sent_again(before, after, known))
        self._leave_out(run)

    def _judge(self, resent: Resent) -> None:
        say("sent again though confirmed", kinds(resent.confirmed))
        say("repeated, in flight at the kill", f"{kinds(resent.in_flight)}, {format_size(resent.size)}")
        for key, part in resent.in_flight[:SHOWN]:
            say("", f"{key}, part {part}" if part else key)
        if len(resent.in_flight) > SHOWN:
            say("", f"... and {len(resent.in_flight) - SHOWN} more")
        if resent.confirmed:
            raise DemoError(f"what the journal held as confirmed was sent again, first of all {resent.confirmed[0]}")

    def _leave_out(self, run: Run) -> None:
        """What a run reported as not mirrored is not looked for in the bucket; it must name each."""
        left_out = [line for line in run.objects if line["outcome"] not in {"complete", "unchanged", "adopted"}]
        if left_out:
            outcomes = Counter(line["outcome"] for line in left_out)
            say("reported, not mirrored", ", ".join(f"{number:,} {outcome}" for outcome, number in outcomes.items()))
            for line in left_out:
                self.files.pop(line["key"], None)
        elif run.exit_code != 0:
            raise DemoError(f"the second run ended with exit code {run.exit_code} and names no entry")

    def _compare(self) -> None:
        head("3  every byte in the bucket against the tree")
        began = time.monotonic()
        found = compare(self.server.url, BUCKET, self.files)
        wrong = [*found.different, *found.missing, *found.strange]
        say("equal, byte for byte", f"{count(found.equal, 'object')}, {format_size(sum(s for _, s in self.files.values()))}")
        say("different, missing, not in the tree", f"{len(found.different)}, {len(found.missing)}, {len(found.strange)}")
        say("took", f"{time.monotonic() - began:.1f} s")
        if wrong:
            raise DemoError(f"bucket and tree differ, first of all in {wrong[0]}")

    def _nothing_to_do(self) -> None:
        head("4  the same command a third time")
        start = len(self.server.settle())
        run = sync(self.command, self.errors)
        requests = self.server.settle()[start:]
        sent = sum(request.length for request in requests)
        say("took", f"{run.seconds:.1f} s, exit code {run.exit_code}")
        say("unchanged", count(run.summary["unchanged"], "file"))
        say("sent", f"{sent} bytes in {count(len(requests), 'request')}")
        changes = [request for request in requests if request.method not in {"GET", "HEAD"}]
        if sent or changes or run.summary["bytes_sent"] or run.summary["unchanged"] != len(self.files):
            raise DemoError("the third run should have had nothing to do")


def kinds(entries: Sequence[tuple[str, int]]) -> str:
    """How many of them are objects and how many parts."""
    parts = sum(part > 0 for _, part in entries)
    return f"{count(len(entries) - parts, 'object')}, {count(parts, 'part')}"


def main(arguments: Sequence[str]) -> int:
    """Run the demonstration, with a tree of its own or with the directory given."""

    def stop(number: int, _frame: object) -> NoReturn:
        raise SystemExit(128 + number)

    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, stop)  # so that Ctrl-C is not the only way out that cleans up
    began = time.monotonic()
    print("asyncmirror: a tree into a bucket, killed half-way, resumed, compared\n", flush=True)
    try:
        with ExitStack() as scope:
            work = Path(scope.enter_context(tempfile.TemporaryDirectory(prefix="asyncmirror-demo-")))
            Story(Path(arguments[0]) if arguments else None, work, scope).tell()
    except DemoError as error:
        print(f"\nFAILED: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nstopped; nothing was left behind", file=sys.stderr)
        return 130
    print(f"\nThe bucket equals the tree, and nothing that was confirmed was sent twice ({time.monotonic() - began:.0f} s).")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
