"""What is given back is the system's again, in a process of its own: malloc's settings stay."""

import subprocess
import sys

GROWN = """
import os, sys
from asyncmirror.transfer.heap import give_back
def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") >> 20
if sys.argv[1] == "yes":
    give_back()
zero, size = os.open("/dev/zero", os.O_RDONLY), 20 << 20
before = resident()
for _ in range(3):
    bodies = [os.read(zero, size) for _ in range(4)]
    kept = os.read(zero, 1 << 20)
    del bodies
print(resident() - before)
"""


def grown(given_back: str) -> int:
    return int(subprocess.run([sys.executable, "-c", GROWN, given_back], check=True, capture_output=True).stdout)


def test_bodies_that_were_sent_are_no_memory_any_more() -> None:
    assert grown("yes") <= 5
