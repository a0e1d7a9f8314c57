"""What an answer to GetObject gives: whether it is the object that was asked for, from the byte that was asked for.

Owns the reading of its headers, so that the adapters can't differ. Pure. An answer without an ETag is no object, whatever its
status: a proxy's page, an error document in a success. Source: Amazon S3 API Reference, "GetObject"; RFC 9110, 14.4.
"""

import re
from typing import NamedTuple

from asyncmirror.errors import PreconditionError, ServerFaultError

PARTIAL = 206
"""The status with which a range is given."""
UNSATISFIABLE = 416
"""The status of a range that begins at the end, or behind it."""
_OP = "GetObject"
_EXTENT = re.compile(r"bytes (\d+)-(\d+)/(\d+)")


class Told(NamedTuple):
    """What the answer says: its status, its ETag, quoted as it came, and its ``Content-Range``; what it says not is empty."""

    status: int
    etag: str
    extent: str


def wanted(start: int, etag: str) -> dict[str, str]:
    """The headers that ask for an object from byte `start` on, and for the one with this ETag; empty: for any."""
    asked = {"range": f"bytes={start}-"} if start else {}
    if etag and etag.isascii() and etag.isprintable():  # a listing may have told anything, and `check` looks at it too
        asked["if-match"] = f'"{etag}"'
    return asked


def check(key: str, told: Told, start: int, etag: str) -> int:
    """See that the answer is one to this question; gives how many of its first bytes were not asked for.

    Raises:
        PreconditionError: It gives another object.
        ServerFaultError: It does not say which, or gives other bytes of it.
    """
    found = told.etag.removeprefix("W/").strip('"')
    if not found:
        raise ServerFaultError("the answer has no ETag: it is no object", op=_OP, path=key, status=told.status)
    if etag and found != etag:
        text = f"it is another object by now: its ETag is {found}, not {etag}"
        raise PreconditionError(text, op=_OP, path=key, status=told.status)
    if told.status != PARTIAL:
        return start  # a store that knows no ranges gives all
    extent = _EXTENT.fullmatch(told.extent)
    if extent is None or (int(extent[1]), int(extent[2]) + 1) != (start, int(extent[3])):
        text = f"the answer gives another range than was asked for: {told.extent[:80]!r}"
        raise ServerFaultError(text, op=_OP, path=key, status=told.status)
    return 0
