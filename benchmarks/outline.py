"""How long `find` and `batch` take over a tree of millions of entries, and how much memory.

    python benchmarks/outline.py [--entries 2000000] [--directory DIR]

Makes a tree of hard links (a few files have all the names, so that it needs next to no inodes), crawls it with one thread and
with eight, and divides both the tree and its outline; for comparison, the outline is read as the pipeline's batch.py did, all
of it by `json.load`. Prints seconds, CPU seconds and peak resident memory of each process. The exit code is 1 where an outline
does not have every entry, or the two queues differ.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

FILES = 100
"""In a directory."""
DIRECTORIES = 200
"""In a directory above."""
LINKS = 50_000
"""Names of one file: ext4 allows 65,000."""
SIZES = (28_437, 478, 0, 250_000, 4096)
ASYNCMIRROR = str(Path(sys.executable).with_name("asyncmirror"))
OLD = "import json, sys\nwith open(sys.argv[1]) as file: json.load(file)"


def grow(root: Path, entries: int) -> None:
    """Make a tree of so many entries, its root included."""
    names = [f"coadd-sv3-bright-{number:05}.fits" for number in range(FILES)]
    left, made, linked = entries - 1, 0, LINKS
    source, above = b"", root
    stock = root.parent / "stock"
    stock.mkdir()
    root.mkdir()
    while left > 0:
        if made % DIRECTORIES == 0:
            above = root / f"group-{made // DIRECTORIES}"
            above.mkdir()
            left -= 1
        directory = above / f"{made}"
        directory.mkdir()
        left -= 1
        made += 1
        for name in names[: max(0, left)]:
            if linked == LINKS:
                stocked = len(list(stock.iterdir()))
                file = stock / str(stocked)
                file.write_bytes(bytes(SIZES[stocked % len(SIZES)]))
                source, linked = os.fsencode(file), 1
            os.link(source, os.fsencode(directory / name))
            linked += 1
            left -= 1


def run(what: str, *command: str) -> None:
    """Run it to its end, and print what it took."""
    began = time.monotonic()
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.exit(f"{what}: exit code {process.returncode}")
    cpu = usage.ru_utime + usage.ru_stime
    took = time.monotonic() - began
    print(f"{what:<42}{took:>8.1f} s{cpu:>9.1f} s CPU{usage.ru_maxrss / 1024:>9.1f} MiB", flush=True)


def main() -> None:
    """Make the tree, and measure."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--entries", type=int, default=2_000_000, help="default: %(default)s")
    parser.add_argument("--directory", default=None, help="where the tree is made (default: where temporary files are)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.directory, prefix="outline-") as name:
        work = Path(name)
        root, one, eight = work / "edr", str(work / "find.json"), str(work / "find-8.json")
        queues = [work / "batch.json", work / "batch-tree.json"]
        began = time.monotonic()
        grow(root, options.entries)
        print(f"{options.entries:,} entries, made in {time.monotonic() - began:.0f} s", flush=True)
        sizes = ("--max-size", "10GB", "--min-size", "100MB")
        run("find, 1 thread", ASYNCMIRROR, "find", str(root), "-o", one)
        run("find, 8 threads", ASYNCMIRROR, "find", str(root), "-o", eight, "--max-workers", "8")
        run(
            "find --format ncdu, 8 threads",
            ASYNCMIRROR,
            "find",
            str(root),
            "-o",
            eight,
            "--max-workers",
            "8",
            "--format",
            "ncdu",
        )
        run("batch find.json", ASYNCMIRROR, "batch", one, "--root", str(root), "-o", str(queues[0]), *sizes)
        run("batch TREE, 8 threads", ASYNCMIRROR, "batch", str(root), "-o", str(queues[1]), "--max-workers", "8", *sizes)
        run("for comparison: json.load of find.json", sys.executable, "-c", OLD, one)
        text = Path(one).read_bytes()
        found = text.count(b"[")
        print(f"find.json: {len(text) / 1e6:.1f} MB, {found:,} nodes; batches: {queues[0].read_bytes().count(b'entries')}")
        if found != options.entries or queues[0].read_bytes() != queues[1].read_bytes():
            sys.exit("WRONG: the outline misses entries, or the queues differ")


if __name__ == "__main__":
    main()
