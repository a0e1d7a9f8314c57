"""What scripts/storm runs: the command against a server that answers SlowDown for a while, and the figures of it.

Both are processes of their own. The answers' latency, not the machine, bounds the throughput, so that before and after can be
compared. ``--unpaced`` runs the command with `plan.pace` taken out: what backing off alone does.
"""

import argparse
import contextlib
import subprocess
import sys
import tempfile
import time
from bisect import bisect_left
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from asyncmirror.testing import Fault, FaultPlan, Kind
from tests.acceptance.command import Runner, Site, sync
from tests.acceptance.evidence import client, regular_files, stored_keys
from tests.acceptance.servers import Request, serve

LATENCY = 0.2
"""Seconds: 64 requests in flight are 320 a second, far below what both processes can do on one core each."""
BEFORE, AFTER = 15.0, 35.0
STEP = 1.0
UNPACED = Path(__file__).with_name("unpaced.py")


class Figures(NamedTuple):
    """What came of it. Rates in files per second."""

    before: float
    during: float
    after: float
    recovered: float | None  # seconds from the storm's end until a second with 90 % of before
    refused: int
    lost: int
    code: int


class Samples:
    """Counts of stored and of refused bodies, and when they were read."""

    def __init__(self) -> None:
        self.moments: list[float] = []
        self.stored: list[int] = []
        self.refused: list[int] = []
        self._read = 0

    def add(self, moment: float, requests: Sequence[Request]) -> None:
        """Take in the server's log as it is at a moment."""
        new = [request for request in requests[self._read :] if request.body]
        self._read = len(requests)
        stored = sum(request.stored for request in new)
        self.moments.append(moment)
        self.stored.append(stored + (self.stored[-1] if self.stored else 0))
        self.refused.append(len(new) - stored + (self.refused[-1] if self.refused else 0))

    def rate(self, begin: float, end: float) -> float:
        """Files stored per second between two moments."""
        first, last = self._at(begin), self._at(end)
        span = self.moments[last] - self.moments[first]
        return (self.stored[last] - self.stored[first]) / span if span else 0.0

    def _at(self, moment: float) -> int:
        return min(bisect_left(self.moments, moment), len(self.moments) - 1)


def measure(work: Path, seconds: float, *, unpaced: bool) -> Figures:
    """Mirror a tree through a storm of so many seconds."""
    tree, home = work / "tree", work / "home"
    home.mkdir(parents=True)
    for number in range(round(64 / LATENCY * (BEFORE + AFTER + 10))):
        path = tree / f"{number % 100:02}" / f"{number}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"%d" % number)
    storm = Fault("PutObject", Kind.SLOW_DOWN, after=BEFORE + 3, until=BEFORE + 3 + seconds)
    latency = str(LATENCY * 1000)
    plan = FaultPlan((storm,)).to_json()
    with serve("asyncmirror.testing", "--bucket", "box", "--latency-ms", latency, "--faults", plan) as server:
        begun = time.monotonic()  # the plan's time began a moment before
        site = Site(server.url, "box")
        runner = Runner(home, site.environment(home), under=(sys.executable, UNPACED) if unpaced else ())
        samples = Samples()
        with runner.start(*sync(tree, site, work / "journal")) as running:
            while running.process.poll() is None:
                samples.add(time.monotonic() - begun, server.requests)
                with contextlib.suppress(subprocess.TimeoutExpired):
                    running.process.wait(0.1)
            run = running.finish()
        # The server verified every body that it stored; reading all of them back would wait for its latency each time.
        with client(site) as s3:
            lost = len(regular_files(tree).keys() - stored_keys(s3, site.bucket))
    calm = storm.until or 0.0
    before = samples.rate(5, storm.after)
    steps = (calm + step / 10 for step in range(round(10 * AFTER)))
    recovered = next((step + STEP - calm for step in steps if samples.rate(step, step + STEP) >= 0.9 * before), None)
    after = samples.rate(calm + 25, calm + AFTER)
    return Figures(before, samples.rate(storm.after + 1, calm), after, recovered, samples.refused[-1], lost, run.code)


def main(arguments: Sequence[str]) -> int:
    """Run it, and give the exit code: 0 only if nothing is lost and the rate came back within 30 seconds."""
    parser = argparse.ArgumentParser(prog="scripts/storm", description="A run through a SlowDown storm.")
    parser.add_argument("seconds", nargs="?", type=float, default=60.0, help="how long it lasts (default: %(default)g)")
    parser.add_argument("--unpaced", action="store_true", help="without the pace, to compare")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="asyncmirror-storm-") as name:
        figures = measure(Path(name), options.seconds, unpaced=options.unpaced)
    recovered = "never" if figures.recovered is None else f"{figures.recovered:.1f} s"
    for label, value in (
        ("files per second before", f"{figures.before:.0f}"),
        (f"during {options.seconds:g} s of SlowDown", f"{figures.during:.0f}"),
        ("25 to 35 s after its end", f"{figures.after:.0f}"),
        ("until 90 % of before", recovered),
        ("requests turned away", f"{figures.refused:,}"),
        ("files lost", f"{figures.lost:,}"),
        ("exit code", f"{figures.code}"),
    ):
        sys.stdout.write(f"{label:<32}{value:>10}\n")
    return 0 if not figures.lost and not figures.code and figures.recovered is not None and figures.recovered <= 30 else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
