"""How much memory a run takes, and that it does not grow with the tree: N and 2 N small files against a null server.

    python benchmarks/memory.py [--files 200000] [--concurrency 64] [--size 100]

Runs the real command, a first time (everything is sent) and a second (nothing is), and prints peak resident memory and
files per second of each. The exit code is 1 where the larger tree took over 10 % more.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from environment import ENVIRONMENT

PER_DIRECTORY = 1000
TOLERANCE = 1.1


def grow(root: Path, first: int, last: int, size: int) -> None:
    """Make files number `first` to `last` - 1 of `size` bytes."""
    content = b"x" * size
    for number in range(first, last):
        directory, name = divmod(number, PER_DIRECTORY)
        if name == 0:
            (root / f"directory-{directory}").mkdir(parents=True)
        with open(f"{root}/directory-{directory}/a-file-with-a-name-of-usual-length-{name}", "wb") as file:
            file.write(content)


def run(command: list[str]) -> tuple[int, float]:
    """Run it to its end: peak resident memory in KiB, and seconds."""
    began = time.monotonic()
    with subprocess.Popen(command, env=ENVIRONMENT) as process:
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.exit(f"{command[0]} ended with exit code {process.returncode}")
    return usage.ru_maxrss, time.monotonic() - began


def measure(work: Path, url: str, files: int, concurrency: int) -> list[int]:
    """Mirror the tree twice; gives the peaks in KiB."""
    command = [str(Path(sys.executable).with_name("asyncmirror")), "sync", str(work / "tree"), f"s3://bucket/{files}"]
    command += ["--endpoint-url", url, "--journal", str(work / f"{files}.sqlite")]
    command += ["--concurrency", str(concurrency), "--quiet"]
    peaks = []
    for what in ("sent", "unchanged"):
        peak, seconds = run(command)
        print(
            f"{files:>9,} files {what:<10} {peak / 1024:7.1f} MiB {seconds:7.1f} s {files / seconds:9,.0f} files/s", flush=True
        )
        peaks.append(peak)
    return peaks


def main() -> int:
    """Measure, and give the exit code."""
    parser = argparse.ArgumentParser(description="Peak memory of N and 2 N files.")
    parser.add_argument("--files", type=int, default=200_000, metavar="N")
    parser.add_argument("--concurrency", type=int, default=64)
    parser.add_argument("--size", type=int, default=100, help="bytes of a file (default: %(default)s)")
    options = parser.parse_args()
    serve = [sys.executable, "-m", "asyncmirror.testing", "--profile", "null"]
    with (
        tempfile.TemporaryDirectory(prefix="asyncmirror-memory-") as name,
        subprocess.Popen(serve, stdout=subprocess.PIPE) as server,
    ):
        assert server.stdout is not None
        try:
            url = json.loads(server.stdout.readline())["url"]
            work, files = Path(name), options.files
            grow(work / "tree", 0, files, options.size)
            less = measure(work, url, files, options.concurrency)
            grow(work / "tree", files, 2 * files, options.size)
            more = measure(work, url, 2 * files, options.concurrency)
        finally:
            server.terminate()
    ratios = [after / before for before, after in zip(less, more, strict=True)]
    print("twice the files took", ", ".join(f"{ratio:.1%}" for ratio in ratios), "of the memory")
    return 0 if max(ratios) <= TOLERANCE else 1


if __name__ == "__main__":
    sys.exit(main())
