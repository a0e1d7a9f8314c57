"""How exact the limits are: `--bwlimit` and `--max-requests-per-second`, asked and measured at the server.

    python benchmarks/limits.py [--seconds 30] [--only SUBSTRING]

Runs the real command, small files and files in parts of 16 MiB, over plain HTTP and TLS, with one process and with two, and
lets it send for as long as is measured. A server counts bytes of bodies and requests every tenth of a second, and throws them
away. Prints what was asked, what came in a window of so many seconds, by how much that is off, and the most in any one second.
The exit code is 1 where one is off by more than 5 %.
"""

import argparse
import asyncio
import json
import shutil
import ssl
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import uvloop

from asyncmirror.sizes import GIB, KIB, MIB
from asyncmirror.testing.null import NullHub, NullProtocol
from environment import ENVIRONMENT

EXACT = 0.05
STEP = 0.1
WARM_UP = 3.0


class Counting(NullProtocol):
    """A null connection that counts the bytes of bodies."""

    bodies = 0

    def on_body(self, piece: bytes) -> None:
        """Count a piece."""
        Counting.bodies += len(piece)


async def serve(certificate: str) -> None:
    """Serve until killed; prints the port, and then what has come, every tenth of a second."""
    loop = asyncio.get_running_loop()
    hub = NullHub(loop, time.time)
    context: ssl.SSLContext | None = None
    if certificate:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(certificate)
    server = await loop.create_server(lambda: Counting(hub), "127.0.0.1", 0, ssl=context)
    print(server.sockets[0].getsockname()[1], flush=True)
    while True:
        hub.tick()
        print(json.dumps([time.monotonic(), Counting.bodies, hub.count]), flush=True)
        await asyncio.sleep(STEP)


@dataclass(frozen=True, slots=True)
class Case:
    """What is asked, of which files, and how it is sent. `rate` in bytes or requests a second."""

    rate: int
    unit: str
    tree: str
    tls: bool
    loops: int

    @property
    def name(self) -> str:
        """Everything in a few words."""
        asked = f"{self.rate // MIB} MiB/s" if self.unit == "bytes" else f"{self.rate:,} requests/s"
        return f"{asked}, {self.tree}, {'TLS' if self.tls else 'plain'}, {self.loops} {'loop' if self.loops == 1 else 'loops'}"

    @property
    def flag(self) -> list[str]:
        """The limit's."""
        return ["--bwlimit", f"{self.rate}B"] if self.unit == "bytes" else ["--max-requests-per-second", str(self.rate)]


class Measured(NamedTuple):
    """A second's mean over the window, and the most in any one second."""

    mean: float
    worst: float


def cases() -> list[Case]:
    """All that is measured. 200 requests a second of 16 MiB each would be 3 GiB/s."""
    ways = [(tls, loops) for tls in (False, True) for loops in (1, 2)]
    found = [Case(rate * MIB, "bytes", tree, *way) for rate in (1, 20, 200) for tree in ("small", "parts") for way in ways]
    found += [Case(rate, "requests", "small", *way) for rate in (10, 200, 2000) for way in ways]
    return found + [Case(10, "requests", "parts", *way) for way in ways]


def make_tree(root: Path, seconds: float) -> None:
    """Files without blocks, more than is sent: their bytes cost nothing but are sent as any."""
    for name, count, size in (
        ("bytes-small", int(200 * 16 * seconds * 1.2), 64 * KIB),
        ("requests-small", int(2000 * seconds * 1.2), KIB),
        ("parts", 8, int(200 * MIB * seconds * 1.2 / 8 + GIB)),
    ):
        for number in range(count):
            directory = root / name / f"{number // 1000}"
            directory.mkdir(parents=True, exist_ok=True)
            with (directory / f"file-{number}").open("wb") as file:
                file.truncate(size)


def measure(case: Case, work: Path, seconds: float, authority: str, certificate: str) -> Measured:
    """Run the command until enough has come."""
    with subprocess.Popen(
        [sys.executable, __file__, "--serve", certificate if case.tls else ""], stdout=subprocess.PIPE, text=True
    ) as server:
        assert server.stdout is not None
        try:
            url = f"http{'s' if case.tls else ''}://localhost:{int(server.stdout.readline())}"
            tree = work / (case.tree if case.tree == "parts" else f"{case.unit}-{case.tree}")
            command = [str(Path(sys.executable).with_name("asyncmirror")), "sync", str(tree), "s3://bucket"]
            command += [
                "--endpoint-url",
                url,
                "--journal",
                str(work / "state" / "journal.sqlite"),
                "--stubs",
                "read",
                "--quiet",
            ]
            command += ["--secrets", "off", "--no-probe", "--loops", str(case.loops), *case.flag]
            command += ["--ca-bundle", authority] if case.tls else []
            with subprocess.Popen(command, env=ENVIRONMENT, stderr=subprocess.PIPE) as run:
                try:
                    return _watch(server, run, case, seconds)
                finally:
                    run.kill()  # what is in flight would be sent to its end
                    run.communicate()
                    shutil.rmtree(work / "state")
        finally:
            server.kill()


def _watch(server: "subprocess.Popen[str]", run: "subprocess.Popen[bytes]", case: Case, seconds: float) -> Measured:
    assert server.stdout is not None
    samples: list[tuple[float, int]] = []
    begun = 0.0
    for line in server.stdout:
        moment, bodies, requests = json.loads(line)
        count = bodies if case.unit == "bytes" else requests
        if run.poll() is not None:
            sys.exit(f"{case.name}: the run ended: {(run.stderr.read() if run.stderr else b'').decode()}")
        if not bodies:
            continue
        begun = begun or moment
        if moment < begun + WARM_UP:
            continue
        samples.append((moment, count))
        if moment - samples[0][0] >= seconds:
            break
    (first, before), (last, after) = samples[0], samples[-1]
    return Measured((after - before) / (last - first), max(_seconds(samples)))


def _seconds(samples: list[tuple[float, int]]) -> Iterator[float]:
    """What came in each second, from each sample on."""
    behind = 0
    for moment, count in samples:
        while samples[behind + 1][0] <= moment - 1:
            behind += 1
        if moment - samples[behind][0] >= 1:
            yield (count - samples[behind][1]) / (moment - samples[behind][0])


def main() -> int:
    """Measure, and give the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--only", default="", help="cases whose name holds this")
    parser.add_argument("--serve", default=None, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve is not None:
        uvloop.run(serve(options.serve))
    import trustme  # noqa: PLC0415  only here

    inexact = 0
    with tempfile.TemporaryDirectory(prefix="asyncmirror-limits-") as folder:
        work = Path(folder)
        authority, certificate = str(work / "ca.pem"), str(work / "server.pem")
        issuer = trustme.CA()
        issuer.cert_pem.write_to_path(authority)
        issuer.issue_cert("localhost").private_key_and_cert_chain_pem.write_to_path(certificate)
        make_tree(work, options.seconds + WARM_UP)
        print("| asked | measured | off by | most in a second |\n| --- | ---: | ---: | ---: |")
        for case in cases():
            if options.only not in case.name:
                continue
            mean, worst = measure(case, work, options.seconds, authority, certificate)
            off = mean / case.rate - 1
            inexact += abs(off) > EXACT
            shown = f"{mean / MIB:.2f} MiB/s" if case.unit == "bytes" else f"{mean:,.1f}/s"
            print(f"| {case.name} | {shown} | {off:+.1%} | {worst / case.rate:.0%} |", flush=True)
    return 1 if inexact else 0


if __name__ == "__main__":
    sys.exit(main())
