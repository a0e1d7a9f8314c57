"""How the C library hands out memory for bodies.

Owns one setting of its `malloc`. Left to itself, glibc takes the size of what was last given back for usual (mallopt(3):
"dynamic mmap threshold", up to 32 MiB) and keeps as much in reserve, in each thread's heap: bodies of 20 MiB then took a
quarter more than `--max-memory`. With a threshold that stands, a larger body is mapped by itself, and gone when it is sent.
"""

import contextlib

_M_MMAP_THRESHOLD = -3
_LEAST = 4 << 20
"""Bytes. Below, mapping costs more than the memory is worth: fresh pages have to be zeroed."""


def give_back() -> None:
    """Have large bodies given back to the system when they are sent, in this process, from now on."""
    import ctypes  # noqa: PLC0415  of no use to who only asks the journal

    with contextlib.suppress(AttributeError, OSError):  # another C library has other ways
        ctypes.CDLL(None).mallopt(_M_MMAP_THRESHOLD, _LEAST)
