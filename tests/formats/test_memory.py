"""A large tree passes through in bounded memory. Measured in a process of its own, as the kernel counts (VmHWM)."""

import subprocess
import sys
from pathlib import Path

import pytest

ENTRIES = 200_000
PROGRAM = """
import io, os, re, sys
from collections import deque
from pathlib import Path
from asyncmirror.formats import batch_json, find_json
from asyncmirror.formats.spool import Entry, Spool
from asyncmirror.plan.batches import Limits, divide
from asyncmirror.plan.outline import Kind

def peak():
    return int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1])

what, entries, path = sys.argv[1], int(sys.argv[2]), Path(sys.argv[3])
files = 1000 if what == "deep" else entries
spool = Spool()
before = peak()
for directory in range(entries // files):
    for piece in range(0, files, 1000):
        found = [Entry(b"spectra-main-dark-%d.fits" % (piece + n), Kind.FILE, 10**6 + n) for n in range(1000)]
        spool.add(b"healpix/%d" % directory, found)
with path.open("wb") as file:
    find_json.write(file, spool.steps(b"edr"))
spool.close()
with find_json.FindFile(path) as found:
    assert found.entries >= entries
    with open(os.devnull, "wb") as file:
        batch_json.write(file, divide(found.steps(), Limits(5 * 10**6, 10**9 // 2)))
print(peak() - before)
"""


@pytest.mark.parametrize("shape", ["deep", "flat"])
def test_200_000_entries_take_little_memory(shape: str, tmp_path: Path) -> None:
    command = [sys.executable, "-c", PROGRAM, shape, str(ENTRIES), f"{tmp_path}/find.json"]
    told = subprocess.run(command, check=True, capture_output=True, text=True)
    # Held as Python's lists the tree alone would take 50 MiB. Measured: 4 MiB.
    assert int(told.stdout) < 10 * 1024
