"""How soon a run follows what it is told: `asyncmirror ctl set`, measured at the server.

    python benchmarks/steering.py [--hold 5]

Runs the real command, with one process and with two, and tells it to change its mind every few seconds. A server that takes
half a second for an answer counts requests in flight, bytes of bodies and how often each key came, every twentieth of a second.
Prints what was told, after how many seconds (from the answer of `ctl`) the server saw it for a second on end, and the mean from
two seconds on. The exit code is 1 where it took more than 2 s, or was off by more than 10 %, or a key came twice.
"""

import argparse
import asyncio
import json
import subprocess
import sys
import tempfile
import time
from collections import Counter, deque
from collections.abc import Iterator
from pathlib import Path
from threading import Thread
from typing import ClassVar, NamedTuple

import uvloop

from asyncmirror.sizes import KIB, MIB
from asyncmirror.testing.null import NullHub, NullProtocol
from environment import ENVIRONMENT

EXACT = 0.1
SOON = 2.0
STEP = 0.05
LATENCY = 0.5
FILES = 30_000


class Counting(NullProtocol):
    """A null connection that counts requests in flight, the bytes of bodies, and keys."""

    inside = 0
    bodies = 0
    keys: ClassVar[Counter[bytes]] = Counter()

    def on_body(self, piece: bytes) -> None:
        """Count a piece."""
        Counting.bodies += len(piece)

    def on_message_complete(self) -> None:
        """It is in flight until it is answered."""
        if self._parser.get_method() == b"PUT":
            Counting.keys[self._target] += 1
            Counting.inside += 1
            self._hub.loop.call_later(LATENCY, self._answered)
        super().on_message_complete()

    @staticmethod
    def _answered() -> None:
        Counting.inside -= 1


async def serve() -> None:
    """Serve until killed; prints the port, and then what is so, every step."""
    loop = asyncio.get_running_loop()
    hub = NullHub(loop, time.time, LATENCY)
    server = await loop.create_server(lambda: Counting(hub), "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    following = loop.time()
    while True:
        hub.tick()
        twice = sum(count > 1 for count in Counting.keys.values()) if round(following / STEP) % 20 == 0 else 0
        print(json.dumps([time.time(), Counting.inside, Counting.bodies, twice]), flush=True)
        following += STEP
        await asyncio.sleep(following - loop.time())


class Sample(NamedTuple):
    """What the server saw at a moment (seconds since the epoch): requests in flight, bytes of bodies so far, repeated keys."""

    at: float
    inside: int
    bodies: int
    twice: int


class Told(NamedTuple):
    """What is told, and what is to be seen of it: `unit` is ``in flight`` or ``MiB/s``."""

    words: tuple[str, ...]
    unit: str
    value: float


STEPS = (
    Told(("set", "concurrency=64"), "in flight", 64),
    Told(("set", "concurrency=16"), "in flight", 16),
    Told(("pause",), "in flight", 0),
    Told(("resume",), "in flight", 16),
    Told(("set", "concurrency=200"), "in flight", 200),
    Told(("set", "bwlimit=10MiB"), "MiB/s", 10),
    Told(("set", "bwlimit=2MiB"), "MiB/s", 2),
    Told(("set", "bwlimit=5MiB"), "MiB/s", 5),
)


def make_tree(root: Path) -> None:
    """Files of 64 KiB without blocks."""
    for number in range(FILES):
        directory = root / f"{number // 1000}"
        directory.mkdir(parents=True, exist_ok=True)
        with (directory / f"file-{number}").open("wb") as file:
            file.truncate(64 * KIB)


def seen(samples: list[Sample], unit: str) -> Iterator[tuple[float, float]]:
    """Means over half a second, each at its end."""
    span = round(0.5 / STEP)
    for first, last, window in ((samples[n], samples[n + span], samples[n : n + span]) for n in range(len(samples) - span)):
        if unit == "in flight":
            yield last.at, sum(sample.inside for sample in window) / span
        else:
            yield last.at, (last.bodies - first.bodies) / (last.at - first.at) / MIB


def judge(told: Told, samples: list[Sample], began: float) -> tuple[float, float]:
    """After how many seconds it was so for a second on end, and the mean from the second second on."""
    points = [(at - began, value) for at, value in seen(samples, told.unit) if at >= began]
    slack = 2 * max(1.0 if told.unit == "in flight" else 0.0, EXACT * told.value)
    good = [all(abs(later - told.value) <= slack for when, later in points if at <= when <= at + 1) for at, _ in points]
    took = next((at for (at, _), well in zip(points, good, strict=True) if well), float("inf"))
    late = [value for at, value in points if at >= SOON]
    return took, sum(late) / len(late)


def measure(work: Path, loops: int, hold: float) -> bool:
    """One run, from the first step to the last; whether all was well."""
    samples: deque[Sample] = deque()
    good = True
    journal = work / f"journal-{loops}.sqlite"
    command = str(Path(sys.executable).with_name("asyncmirror"))
    with subprocess.Popen([sys.executable, __file__, "--serve"], stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        url = f"http://127.0.0.1:{int(server.stdout.readline())}"
        lines = server.stdout
        Thread(target=lambda: samples.extend(Sample(*json.loads(line)) for line in lines), daemon=True).start()
        sync = [command, "sync", str(work / "tree"), "s3://bucket", "--endpoint-url", url, "--journal", str(journal)]
        sync += ["--stubs", "read", "--quiet", "--secrets", "off", "--no-probe", "--loops", str(loops), "--concurrency", "8"]
        with subprocess.Popen(sync, env=ENVIRONMENT) as run:
            try:
                while not samples or not samples[-1].bodies:
                    time.sleep(STEP)
                for told in STEPS:
                    subprocess.run(
                        [command, "ctl", *told.words, "--journal", str(journal)],
                        env=ENVIRONMENT,
                        check=True,
                        stdout=subprocess.DEVNULL,
                    )
                    began = time.time()
                    time.sleep(hold)
                    assert run.poll() is None, "the tree was too small"
                    took, mean = judge(told, [each for each in tuple(samples) if each.at >= began - 0.5], began)
                    off = abs(mean - told.value) > max(1.0 if told.unit == "in flight" else 0.0, EXACT * told.value)
                    good = good and took <= SOON and not off
                    print(f"| {' '.join(told.words)} | {loops} | {took:.2f} s | {mean:.1f} {told.unit} |", flush=True)
                twice = max(each.twice for each in samples)
                print(f"| keys that came twice | {loops} | | {twice} |", flush=True)
                return good and not twice
            finally:
                run.kill()
                server.kill()


def main() -> int:
    """Measure, and give the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hold", type=float, default=5.0, help="seconds between two changes")
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        uvloop.run(serve())
    with tempfile.TemporaryDirectory(prefix="asyncmirror-steering-") as folder:
        work = Path(folder)
        make_tree(work / "tree")
        print("| told | loops | seen after | then |\n| --- | ---: | ---: | ---: |")
        results = [measure(work, loops, options.hold) for loops in (1, 2)]
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main())
