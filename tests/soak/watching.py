"""`sync --watch` for as long as somebody likes, on a tree that changes all the while and a store that has its faults.

Owns the process under test, the account of each of its runs, and the gauges. The command is the real one; the store is the
strict server in this process, whose log and bucket are the account's other side. Every run is held to what it told:

* the summary counts the lines that it wrote, and no entry has two;
* what it calls complete was stored in that run, and is something that the file was at some time;
* every few runs the tree rests: then the run ends well, has a line for each file, and the bucket is the tree, byte for byte.
"""

import contextlib
import json
import os
import queue
import random
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from asyncmirror.sizes import MIB
from asyncmirror.testing import Fault, FaultPlan, Kind
from tests.acceptance.command import COMMAND
from tests.soak.garden import Garden
from tests.soak.strict import BUCKET, Strict

_LARGE = 6 * MIB
_PATIENCE = 400.0
"""Seconds for a run: more than the longest wait after an outage."""
_LOOKS = 5
_STORING = frozenset({"PutObject", "CompleteMultipartUpload"})


class Gauges(NamedTuple):
    """The process at a moment between two runs. Sizes in bytes."""

    minute: float
    runs: int
    rss: int
    descriptors: int
    threads: int
    journal: int
    log: int  # of the journal

    def line(self) -> str:
        """It, for a table."""
        return (
            f"{self.minute:>6.1f} {self.runs:>5} {self.rss / MIB:>8.1f} {self.descriptors:>5} {self.threads:>7}"
            f" {self.journal >> 10:>11} {self.log >> 10:>7}"
        )


HEAD = "minute  runs  RSS MiB   fds threads journal KiB WAL KiB"


class Ran(NamedTuple):
    """A run, or a try at one: paths by outcome, the summary where it came to one, and why it could not begin or go on."""

    lines: dict[str, list[str]]
    entries: int
    summary: dict[str, Any] | None
    reason: str


def faults(seed: int) -> FaultPlan:
    """What goes wrong, all the while: a request in twenty-five."""

    def rule(op: str, kind: Kind, probability: float, seconds: float = 0.0) -> Fault:
        return Fault(op, kind, probability=probability, seconds=seconds)

    return FaultPlan(
        (
            rule("PutObject", Kind.RESET_IN_BODY, 0.01),
            rule("PutObject", Kind.STATUS, 0.01),
            rule("PutObject", Kind.LOST_ANSWER, 0.005),
            rule("PutObject", Kind.SLOW_DOWN, 0.005),
            rule("PutObject", Kind.STALL, 0.001),
            rule("PutObject", Kind.DELAY, 0.005, 0.5),
            rule("UploadPart", Kind.RESET_IN_BODY, 0.05),
            rule("UploadPart", Kind.FLIP_RECEIVED, 0.05),
            rule("CompleteMultipartUpload", Kind.LOST_ANSWER, 0.1),
            rule("CompleteMultipartUpload", Kind.ERROR_IN_200, 0.1),
            rule("*", Kind.CLOSE_SILENT, 0.01),
        ),
        seed=seed,
    )


class Process:
    """The command, and what it tells: a `Ran` for each run."""

    def __init__(self, process: "subprocess.Popen[bytes]", journal: Path, stderr: Path) -> None:
        self.process = process
        self._stderr = stderr
        self._journal = journal
        self._began = time.monotonic()
        self._runs: queue.Queue[Ran | None] = queue.Queue()
        self._count = 0
        self._reader = threading.Thread(target=self._read, name="reader", daemon=True)
        self._reader.start()

    def ran(self, patience: float = _PATIENCE) -> Ran:
        """The next run, when it is over and the next is waited for.

        Raises:
            queue.Empty: There was none within so many seconds.
        """
        found = self._runs.get(timeout=patience)
        assert found is not None, f"the process has ended: {self._stderr.read_text(encoding='utf-8')}"
        self._count += found.summary is not None
        return found

    @property
    def minute(self) -> float:
        """How many have passed since it began."""
        return (time.monotonic() - self._began) / 60

    def _read(self) -> None:
        assert self.process.stdout is not None
        lines: dict[str, list[str]] = {}
        entries, summary = 0, None
        for line in self.process.stdout:
            said = json.loads(line)
            match said["event"]:
                case "object":
                    lines.setdefault(said["outcome"], []).append(said["path"])
                    entries += 1
                case "summary":
                    summary = said
                case "waiting":
                    self._runs.put(Ran(lines, entries, summary, said["reason"]))
                    lines, entries, summary = {}, 0, None
        self._runs.put(None)

    def gauges(self) -> Gauges:
        """The process now."""
        pid = self.process.pid
        status = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines())

        def size(path: str) -> int:
            return os.stat(path).st_size if os.path.exists(path) else 0

        return Gauges(
            self.minute,
            self._count,
            int(status["VmRSS"].split()[0]) << 10,
            len(os.listdir(f"/proc/{pid}/fd")),
            int(status["Threads"]),
            size(f"{self._journal}"),
            size(f"{self._journal}-wal"),
        )

    def end(self) -> int:
        """Ask it to end while it waits; its exit code."""
        self.process.terminate()
        code = self.process.wait(_PATIENCE)
        self._reader.join()
        return code


@contextlib.contextmanager
def watched(work: Path, garden: Garden, store: Strict, interval: int) -> Iterator[Process]:
    """The command at work until the block ends."""
    journal = work / "journal.sqlite"
    command: list[str | Path] = [
        *(COMMAND, "sync", garden.root, f"s3://{BUCKET}", "--watch", f"{interval}s", "--json", "--journal", journal),
        *("--concurrency", "16", "--part-size", "5MiB", "--multipart-threshold", "5MiB", "--max-memory", "64MiB"),
        *("--request-timeout", "5", "--retry-window", "20"),
    ]
    with (
        (work / "stderr").open("wb") as stderr,
        subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=stderr, env=store.site.environment(work), cwd=work
        ) as process,
    ):
        try:
            yield Process(process, journal, work / "stderr")
        finally:
            process.kill()


class Truth:
    """Holds runs to what they told. `broken` are the promises that were not kept."""

    def __init__(self, garden: Garden, store: Strict) -> None:
        self.broken: list[str] = []
        self.outcomes: Counter[str] = Counter()
        self.exits: Counter[int] = Counter()
        self.quiet = 0
        self.outages = 0
        self._garden = garden
        self._store = store
        self._requests = 0
        self._ever: set[str] = set()

    def look(self, ran: Ran, name: str, *, quiet: bool) -> None:
        """Look at one; in a `quiet` one nothing changed from before its beginning."""
        told = self._store.told()
        stored = {line.key for line in told[self._requests :] if line.op in _STORING and line.status == 200}
        self._requests = len(told)
        self._ever |= stored
        self.outages += bool(ran.reason)
        if ran.summary is None:
            if not ran.reason:
                self.broken.append(f"{name}: neither a summary nor a reason")
            return
        self.exits[ran.summary["exit_code"]] += 1
        for outcome, paths in ran.lines.items():
            self.outcomes[outcome] += len(paths)
            if ran.summary[outcome] != len(paths):
                self.broken.append(f"{name}: {outcome} is {ran.summary[outcome]}, and {len(paths)} were told")
        if len({path for paths in ran.lines.values() for path in paths}) != ran.entries:
            self.broken.append(f"{name}: an entry has two outcomes")
        complete = ran.lines.get("complete", [])
        # One of an interrupted run may have been completed without its knowledge; only large ones take it up.
        unfounded = [path for path in complete if path not in stored and not (path in self._ever and path.startswith("large/"))]
        if unfounded:
            self.broken.append(f"{name}: complete and not stored: {unfounded[:5]}")
        objects = self._store.objects()
        torn = [path for path in complete if path not in objects or not self._garden.was(path, bytes(objects[path].body))]
        if torn:
            self.broken.append(f"{name}: stored what never was: {torn[:5]}")
        if quiet and not ran.reason:
            self._look_closely(ran, ran.summary, name)

    def _look_closely(self, ran: Ran, summary: dict[str, Any], name: str) -> None:
        self.quiet += 1
        files = self._garden.files()
        if summary["exit_code"]:
            self.broken.append(f"{name}: the tree was at rest, and the exit code is {summary['exit_code']}")
        entries = {path for paths in ran.lines.values() for path in paths}
        if entries != files.keys():
            self.broken.append(f"{name}: {sorted(entries ^ files.keys())[:5]} are told or there, not both")
        if wrong := self._store.wrong(files, former=self._store.objects()):
            self.broken.append(f"{name}: the bucket is not the tree: {wrong[:5]}")


class Plan(NamedTuple):
    """How a soak goes: times in seconds."""

    seconds: float
    interval: int = 60
    small: int = 6000
    large: int = 4
    pause: float = 0.05
    quiet_every: int = 3
    outage_every: int = 8
    outage: float = 100.0
    sample: float = 60.0
    rests: int = 1  # runs at rest that must have been, whatever the time
    settle: float = 20.0  # after a run, before its gauges are read: idle connections are kept for a while


def soak(work: Path, store: Strict, plan: Plan, seed: int, say: Callable[[str], None]) -> tuple[Truth, list[Gauges]]:
    """Do it; gives what was found. Progress is said a line at a time."""
    store.do(lambda server: server.reconfigure(faults=faults(seed)))  # for when it comes back
    store.do(lambda server: server.inject(faults(seed)))
    table: list[Gauges] = []
    chance = random.Random(seed)
    garden = Garden(work / "tree", chance, small=plan.small, large=plan.large, size=_LARGE, pause=plan.pause)
    deadline = time.monotonic() + plan.seconds
    with garden, _outages(store, plan.outage) as away, watched(work, garden, store, plan.interval) as process:
        truth = Truth(garden, store)
        quiet, number, due = True, 0, 0.0
        while True:
            ran = process.ran()
            number += 1
            truth.look(ran, f"run {number}", quiet=quiet)
            if ran.reason:
                say(f"       {ran.reason}")
            quiet = number % plan.quiet_every == 0
            garden.rest() if quiet else garden.grow()
            if number % plan.outage_every == plan.outage_every - 1:
                away()
            over = time.monotonic() >= deadline and truth.quiet >= plan.rests
            if not ran.reason and (process.minute * 60 >= due or over):
                time.sleep(plan.settle)
                table.append(process.gauges())
                due += plan.sample
                say(table[-1].line())
                if over:
                    break
        code = process.end()
        if code != 128 + 15:
            truth.broken.append(f"it was ended while it waited, and its exit code is {code}")
    say(f"changes: {dict(garden.changes)}")
    return truth, table


@contextlib.contextmanager
def _outages(store: Strict, seconds: float) -> Iterator[Callable[[], None]]:
    """Something to be called for the server to be gone for so long from then on. When the block ends, it is there."""
    timers: list[threading.Timer] = []

    def away() -> None:
        if timers and timers[-1].is_alive():
            return
        store.leave()
        timers.append(threading.Timer(seconds, store.come_back))
        timers[-1].start()

    try:
        yield away
    finally:
        for timer in timers:
            timer.join()


def judge(table: list[Gauges], minute: float = 5.0) -> list[str]:
    """What is not flat between that minute and the end."""
    first = next((gauges for gauges in table if gauges.minute >= minute), table[0])
    last = table[-1]
    amiss = []
    if abs(last.rss - first.rss) > 0.05 * first.rss:
        amiss.append(f"RSS was {first.rss / MIB:.1f} MiB and is {last.rss / MIB:.1f}")
    # The SDK keeps idle connections for a while: what stays open is the least of some looks.
    settled = [gauges for gauges in table if gauges.minute >= first.minute]
    for name in ("descriptors", "threads"):
        before, after = (min(getattr(gauges, name) for gauges in some) for some in (settled[:_LOOKS], settled[-_LOOKS:]))
        if after > before:
            amiss.append(f"{before} {name}, and then {after}")
    # A run on record has less than a KiB; how many are kept is bounded.
    if last.journal > 1.05 * first.journal + 1024 * (last.runs - first.runs):
        amiss.append(f"the journal had {first.journal >> 10} KiB and has {last.journal >> 10}")
    if last.log > max(first.log, 8 * MIB):
        amiss.append(f"its log had {first.log >> 10} KiB and has {last.log >> 10}")
    return amiss


def report(truth: Truth, table: list[Gauges], *, flat: bool = True) -> list[str]:
    """Print what was found; gives all that is amiss."""
    amiss = [*truth.broken, *(judge(table) if flat else [])]
    out = sys.stdout
    out.write(f"{HEAD}\n" + "".join(f"{gauges.line()}\n" for gauges in table))
    out.write(f"runs by exit code: {dict(truth.exits)}; tries that could not go on: {truth.outages}; at rest: {truth.quiet}\n")
    out.write(f"entries by outcome: {dict(truth.outcomes)}\n")
    out.write("".join(f"AMISS {each}\n" for each in amiss) or "every run's account is true, and nothing has grown\n")
    out.flush()
    return amiss
