"""Which key a path gets, and back.

Owns the escape. A UTF-8 path is its own key. What can't stand in a key is written byte by byte as ``␛XX`` (U+241B SYMBOL FOR
ESCAPE and two upper-case hexadecimal digits): bytes that are no UTF-8, and the characters that XML 1.0 forbids, because S3's
answers are XML (W3C, "Extensible Markup Language 1.0", 2.2). A ``␛`` of the path's own is escaped only where two such digits
follow it, so that every key reads back to one path and distinct paths never share a key. docs/keys.md tells users.
"""

import re

from asyncmirror.errors import RefusedError

MAX_KEY = 1024
"""S3's longest key, in bytes of UTF-8 (AWS, "Naming Amazon S3 objects")."""

_ESCAPE = "␛"
# Surrogates U+DC80–U+DCFF stand for the bytes that `surrogateescape` could not decode.
_FORBIDDEN = re.compile(f"[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff\udc80-\udcff]|{_ESCAPE}(?=[0-9A-F]{{2}})")
_ESCAPED = re.compile(_ESCAPE.encode() + rb"([0-9A-F]{2})")
_NOWHERE = frozenset({b"", b".", b".."})


def _escape(match: re.Match[str]) -> str:
    return "".join(f"{_ESCAPE}{byte:02X}" for byte in match[0].encode("utf-8", "surrogateescape"))


def encode(path: bytes) -> str:
    """The key of a path below the source, or of one of its components: an encoded path is its encoded components joined."""
    return _FORBIDDEN.sub(_escape, path.decode("utf-8", "surrogateescape"))


def decode(key: str) -> bytes:
    """The path that `encode` made this key of: relative, and never above where it begins.

    Raises:
        RefusedError: No path has this key: it has a component that is empty, ``.`` or ``..``, a NUL, or needless escapes, by
            which two keys would share a path. Somebody else wrote it.
    """
    try:
        path = _ESCAPED.sub(lambda match: bytes.fromhex(match[1].decode("ascii")), key.encode("utf-8"))
    except UnicodeEncodeError:
        raise RefusedError("the key is no Unicode text", path=key) from None
    if b"\0" in path or not _NOWHERE.isdisjoint(path.split(b"/")) or encode(path) != key:
        raise RefusedError("the key is no file's: it would lead elsewhere", path=key)
    return path


def directory_prefix(prefix: str, directory: bytes) -> str:
    """What the keys of a directory's entries begin with; `prefix` is the destination's."""
    return "".join(part + "/" for part in (prefix, encode(directory)) if part)


def check(key: str) -> None:
    """Refuse a key that S3 would not take.

    Raises:
        RefusedError: It is longer than 1,024 bytes.
    """
    # A character is at most four bytes, so that only long keys need be encoded to be counted.
    if len(key) * 4 > MAX_KEY and (size := len(key.encode("utf-8"))) > MAX_KEY:
        raise RefusedError(f"the key is {size:,} bytes long; S3 allows {MAX_KEY:,}", hint="rename it, or shorten the prefix")
