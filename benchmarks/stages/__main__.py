"""``benchmarks/profile``: runs the mirror on small objects and on one, and prints the difference per object.

Owns the table: stages, and the rooms within them. CPU by thread is exact (the threads' own clocks). Within the event loop's
thread it is shared out by what cProfile saw, less what cProfile itself cost per call. Start-up is measured with one object and
taken off.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from comparison.clients import Client, Job, environment
from comparison.measure import wait_for_calm
from comparison.servers import Server, serve
from comparison.trees import KIB, Shape, Tree, make, warm

# Which stage a room of the loop's thread belongs to; the first prefix that fits decides.
_STAGES = (
    ("source", "read and checksum"),
    ("checksum", "read and checksum"),
    ("engine/channel", "hand over"),
    ("engine/mirror", "hand over"),
    ("engine", "record and tell"),
    ("cli", "record and tell"),
    ("events", "record and tell"),
    ("journal", "record and tell"),
    ("transfer", "upload: budget, properties, outcome"),
    ("plan", "upload: budget, properties, outcome"),
    ("store/wire/answer", "answer"),
    ("store/wire/http", "connection and pool"),
    ("store/wire/pool", "connection and pool"),
    ("store/wire/tls", "TLS"),
    ("store/wire", "hash, sign, write the head"),
    ("store", "store: retry, limit, the SDK"),
    ("socket write", "socket write (kernel)"),
    ("uvloop", "event loop: poll, receive, callbacks"),
)


def main() -> int:
    """Run; gives the exit code."""
    options = _options()
    cores = sorted(os.sched_getaffinity(0))
    client_cores = cores[1:] or cores
    with tempfile.TemporaryDirectory(prefix="asyncmirror-stages-") as folder:
        work = Path(folder)
        many, one = make(work, Shape(options.objects, options.size)), make(work, Shape(1, options.size))
        warm(many)
        with serve("tls" if options.tls else "plain", work, cores[:1]) as server:
            runs: dict[tuple[str, bool], list[dict[str, Any]]] = {}
            for turn in range(options.turns):
                for how in ("clock", "profile"):
                    for tree in (many, one):
                        wait_for_calm(options.calm)
                        told = _run(how, tree, server, work / f"scratch-{turn}-{how}-{tree.files}", client_cores, options.flags)
                        runs.setdefault((how, tree is many), []).append(told)
    clock, seconds, halves = (
        _difference([each(told) for told in runs[how, True]], [each(told) for told in runs[how, False]], many.files - 1)
        for how, each in (("clock", _clocks), ("profile", _rooms), ("profile", _halves))
    )
    # What the profiled loop used beyond the other is the profiler's own, and went with the calls.
    each_call = (sum(seconds.values()) - clock["loop"]) / sum(halves.values())
    rooms = {room: value - each_call * halves[room] for room, value in seconds.items()}
    print(_table(clock, rooms, many.files, options))
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="benchmarks/profile", description=__doc__)
    parser.add_argument("--objects", type=int, default=20_000)
    parser.add_argument("--size", type=int, default=4 * KIB, metavar="BYTES")
    parser.add_argument("--tls", action="store_true")
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--calm", type=float, default=0.0, metavar="SECONDS", help="wait so long for a calm machine, each time")
    parser.add_argument("flags", nargs="*", help="flags of asyncmirror sync, behind --")
    return parser.parse_args()


def _run(how: str, tree: Tree, server: Server, scratch: Path, cores: Sequence[int], flags: Sequence[str]) -> dict[str, Any]:
    """One run in a process of its own; what it printed last."""
    scratch.mkdir()
    job = Job(tree, server, scratch.name, scratch)
    authority = ["--ca-bundle", str(server.authority)] if server.authority else []
    argv = [sys.executable, "-m", "stages.child", how, "sync", "--quiet", *flags, *authority]
    argv += ["--endpoint-url", server.url, "--journal", str(scratch / "journal"), str(tree.path), job.target.rstrip("/")]
    variables = environment(Client("asyncmirror", (), "", lambda _: []), job)
    mine = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        done = subprocess.run(
            argv,
            env={**variables, "PYTHONPATH": os.environ.get("PYTHONPATH", "")},
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
    finally:
        os.sched_setaffinity(0, mine)
    if done.returncode:
        raise SystemExit(done.stderr)
    told: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    if told["code"]:
        raise SystemExit(f"asyncmirror ended with {told['code']}: {done.stderr}")
    return told


def _clocks(told: Mapping[str, Any]) -> dict[str, float]:
    return {"total": told["total"], "loop": told["loop"], **told["threads"]}


def _rooms(told: Mapping[str, Any]) -> dict[str, float]:
    return dict(told["rooms"])


def _halves(told: Mapping[str, Any]) -> dict[str, float]:
    return dict(told["halves"])


def _difference(many: Sequence[Mapping[str, float]], one: Sequence[Mapping[str, float]], count: int) -> dict[str, float]:
    """Microseconds per object beyond what one object takes, by the medians."""
    names = {name for told in (*many, *one) for name in told}

    def middle(told: Sequence[Mapping[str, float]], name: str) -> float:
        return statistics.median(each.get(name, 0.0) for each in told)

    return {name: (middle(many, name) - middle(one, name)) / count * 1e6 for name in names}


def _largest(item: tuple[str, float]) -> float:
    return -item[1]


def _table(clock: Mapping[str, float], loop: Mapping[str, float], count: int, options: argparse.Namespace) -> str:
    """Stages, then rooms; both add up to the total."""
    plans = clock.get("plans", 0.0)
    threads = {name.removeprefix("thread "): value for name, value in clock.items() if name.startswith("thread ")}
    first_scan = clock.get("scan", 0.0)  # in one of the loop's own threads
    scan = threads.pop("scan", 0.0) + first_scan
    stages: defaultdict[str, float] = defaultdict(float, {"scan (threads)": scan - plans, "plan (threads)": plans})
    stages["read and checksum (threads)"] = threads.pop("read", 0.0)
    stages["hash of large bodies (threads)"] = threads.pop("uvloop", 0.0) - first_scan
    stages["journal (thread)"] = threads.pop("journal", 0.0)
    stages.update({f"thread {name}": value for name, value in threads.items()})
    for room, value in loop.items():
        stages[next((stage for prefix, stage in _STAGES if room.startswith(prefix)), "other")] += value
    total = clock["total"]
    stages["not seen: threads of libraries, rounding"] = total - sum(stages.values())
    what = f"{count:,} objects of {options.size:,} bytes, {'TLS' if options.tls else 'plain'}"
    lines = [
        f"{what}; median of {options.turns} turns; flags: {' '.join(options.flags) or 'none'}",
        "",
        "| stage | CPU µs/object | share |",
        "| --- | ---: | ---: |",
        *(
            f"| {name} | {value:.1f} | {value / total:.0%} |"
            for name, value in sorted(stages.items(), key=_largest)
            if abs(value) >= 0.05
        ),
        f"| **all of it** | **{total:.1f}** | 100% |",
        "",
        f"Rooms on the event loop's thread ({clock['loop']:.1f} µs):",
        "",
        "| room | CPU µs/object |",
        "| --- | ---: |",
        *(f"| {room} | {value:.1f} |" for room, value in sorted(loop.items(), key=_largest) if value >= 0.1),
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
