"""Sizes in bytes, as people write and read them.

Owns the units. Knows no option and no rate.
"""

import re

from asyncmirror.errors import UsageError

KIB = 1 << 10
MIB = 1 << 20
GIB = 1 << 30

_SIZE = re.compile(r"(\d{1,30}(?:\.\d{1,30})?)\s*([KMGT]?)(i?)(B?)", re.IGNORECASE | re.ASCII)
_POWER = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4}


def parse_size(text: str) -> int:
    """Read a size with its unit, ``64MiB``, ``64M`` (both 1024-based, as aws-cli and s5cmd do) or ``64MB`` (1000-based).

    Returns:
        The size in bytes.

    Raises:
        UsageError: It is no size, or has no unit.
    """
    match = _SIZE.fullmatch(text.strip())
    if match is None or not (match[2] or match[4]):
        raise UsageError(f"{text!r} is no size", hint="write a number with its unit, such as 64MiB or 5GB")
    base = 1000 if match[4] and match[2] and not match[3] else 1024
    return int(float(match[1]) * base ** _POWER[match[2].lower()])


def write_size(size: int) -> str:
    """A size to the byte, as `parse_size` reads it: ``64MiB``, ``1025KiB``, ``100B``."""
    unit, name = next((unit, name) for unit, name in ((GIB, "GiB"), (MIB, "MiB"), (KIB, "KiB"), (1, "B")) if size % unit == 0)
    return f"{size // unit}{name}"


def format_size(size: float) -> str:
    """A size in bytes for people: ``512 B``, ``64 MiB``, ``1.5 TiB``."""
    value = float(size)
    units = ["PiB", "TiB", "GiB", "MiB", "KiB", "B"]
    while value >= KIB and len(units) > 1:
        value /= KIB
        units.pop()
    unit = units[-1]
    return f"{value:.0f} {unit}" if value >= 100 or value == int(value) else f"{value:.1f} {unit}"  # noqa: PLR2004
