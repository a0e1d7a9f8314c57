"""`--concurrency auto` against fixed settings: whole processes, in turn, small files, stores near, far, and some that throttle.

    python benchmarks/pace.py [--seconds 15] [--turns 3] [--only ROW,...] [--out FILE]

Each setting is given as many files as it is about to send in that time, so that a setting of 1 does not take the day. Where one
prefix is narrow, all are given the same: of that prefix, which the scan comes to first, as many as it admits in that
time, and some times as many others. What is measured is objects per second by the wall clock, start-up and all; a
turn's settings run one after the other, and the table shows each setting's best turn, because other work on the machine only
ever takes away. The server has the first core, the client the others. Prints the table as Markdown.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

SETTINGS = ("auto", "1", "4", "16", "64", "128", "256")
_SIZE = 1024
_TOGETHER = 500  # files of one directory
_FASTEST = 9000.0
"""Objects per second that one loop comes to."""
_TIMES = 6
"""So many times as many files as below a narrow prefix are below the other."""
_BUCKET, _ACCESS, _SECRET = "bkt", "testkey", "testsecret"


class Row(NamedTuple):
    """A store: seconds that an answer takes, and requests per second that it admits, 0 for any number."""

    name: str
    title: str
    latency: float
    admits: float = 0.0
    narrow: float = 0.0
    """And below one of two prefixes."""

    def expected(self, setting: str) -> float:
        """About how many objects per second a setting will come to."""
        in_flight = 256 if setting == "auto" else int(setting)
        return min(in_flight / (self.latency + 0.0004), self.admits or _FASTEST, _FASTEST)

    def directories(self, setting: str, seconds: float) -> list[str]:
        """What a setting is given for so many seconds."""
        if not self.narrow:
            return [f"d{number:04}" for number in range(max(1, round(self.expected(setting) * seconds / _TOGETHER)))]
        count = max(1, round(self.narrow * seconds / _TOGETHER))
        return [f"fast/d{number:04}" for number in range(_TIMES * count)] + [f"slow/d{number:04}" for number in range(count)]

    @property
    def settings(self) -> tuple[str, ...]:
        """Those that come to an end where all are given the same."""
        return SETTINGS if not self.narrow else tuple(each for each in SETTINGS if each == "auto" or int(each) >= 16)


ROWS = (
    Row("near", "null server, no latency", 0.0),
    Row("50ms", "null server, 50 ms", 0.05),
    Row("200ms", "null server, 200 ms", 0.2),
    Row("throttled", "strict server, 50 ms, admits 500 requests/s", 0.05, 500.0),
    Row("narrow", "strict server, 50 ms, 100 requests/s below a prefix that comes first", 0.05, narrow=100.0),
)


@contextmanager
def serving(row: Row) -> Iterator[str]:
    """The row's server; gives its URL."""
    argv = [sys.executable, "-m", "asyncmirror.testing", "--bucket", _BUCKET, "--latency-ms", str(1000 * row.latency)]
    if row.admits or row.narrow:
        rule = {"op": "PutObject", "kind": "slow-down", "admits": row.admits or row.narrow, "times": None}
        rule |= {"key": "x/slow/*"} if row.narrow else {}
        argv += ["--faults", json.dumps({"faults": [rule]})]
    else:
        argv += ["--profile", "null"]
    cores = sorted(os.sched_getaffinity(0))
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as process:
        os.sched_setaffinity(process.pid, cores[:1])
        assert process.stdout is not None
        try:
            yield json.loads(process.stdout.readline())["url"]
        finally:
            process.kill()


def plant(root: Path, directories: list[str]) -> None:
    """Have these directories of files."""
    for name in directories:
        directory = root / name
        if not directory.exists():
            directory.mkdir(parents=True)
            body = os.urandom(_SIZE)
            for number in range(_TOGETHER):
                (directory / f"f{number:03}").write_bytes(body)


def run(url: str, root: Path, directories: list[str], setting: str) -> float:
    """Objects per second of one run."""
    cores = sorted(os.sched_getaffinity(0))
    with tempfile.TemporaryDirectory(prefix="pace-") as scratch:
        argv = [sys.executable, "-m", "asyncmirror", "sync", "--no-progress", "--endpoint-url", url, "--concurrency", setting]
        argv += ["--journal", f"{scratch}/journal.sqlite", "--no-probe"]
        for name in directories:
            argv += ["--subdir", name]
        environment = {"PATH": os.environ.get("PATH", os.defpath), "HOME": scratch, "LANG": "C.UTF-8"}
        environment |= {"AWS_ACCESS_KEY_ID": _ACCESS, "AWS_SECRET_ACCESS_KEY": _SECRET, "AWS_REGION": "us-east-1"}
        began = time.perf_counter()
        with subprocess.Popen(
            [*argv, str(root), f"s3://{_BUCKET}/x"], env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
        ) as process:
            os.sched_setaffinity(process.pid, cores[1:] or cores)
            _, told = process.communicate()
        if process.returncode:
            raise SystemExit(f"{setting} ended with {process.returncode}: {told.decode(errors='replace')[-500:]}")
        return len(directories) * _TOGETHER / (time.perf_counter() - began)


def main() -> int:
    """Run; gives the exit code."""
    parser = argparse.ArgumentParser(prog="benchmarks/pace.py", description=__doc__)
    parser.add_argument("--seconds", type=float, default=15.0, help="that a run is to take, about (default: %(default)s)")
    parser.add_argument("--turns", type=int, default=3, help="how often each setting has its go (default: %(default)s)")
    parser.add_argument("--only", type=lambda text: text.split(","), default=[row.name for row in ROWS], metavar="ROW,...")
    parser.add_argument(
        "--out", type=Path, default=Path(tempfile.gettempdir()) / "asyncmirror-pace", help="where the files are"
    )
    options = parser.parse_args()
    print(
        f"| store | {' | '.join(SETTINGS)} | auto against the best fixed |",
        "| --- |" + " ---: |" * (len(SETTINGS) + 1),
        sep="\n",
    )
    for row in (row for row in ROWS if row.name in options.only):
        given = {each: row.directories(each, options.seconds) for each in row.settings}
        for directories in given.values():
            plant(options.out, directories)
        found: dict[str, list[float]] = {each: [] for each in row.settings}
        with serving(row) as url:
            run(url, options.out, given["auto"][-1:], "auto")  # warms up
            for turn in range(options.turns):
                first = turn % len(row.settings)
                for each in row.settings[first:] + row.settings[:first]:
                    found[each].append(run(url, options.out, given[each], each))
                    print(f"{row.name}, turn {turn + 1}: {each} {found[each][-1]:,.0f}/s", file=sys.stderr, flush=True)
        best = {each: max(rates) for each, rates in found.items()}
        share = best["auto"] / max(rate for each, rate in best.items() if each != "auto")
        cells = (f"{best[each]:,.0f}" if each in best else "" for each in SETTINGS)
        print(f"| {row.title} | {' | '.join(cells)} | {share:.0%} |", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
