"""Whether an object that is in the bucket already is a file's: proven by checksum or ETag, never by size and time.

Owns what an ETag may prove. It is opaque in general (encryption with KMS or SSE-C); where it has the form of an MD5, or of an
MD5 over the MD5s of N parts, and the file gives the very same value, it proves equality; another value proves nothing. The
part size is nowhere on record: the sizes that uploaders choose and that give N parts are all tried, in one reading.
"""

import hashlib
import re

from asyncmirror.checksum import Running
from asyncmirror.model import Algorithm, Body, Completed, RemoteObject
from asyncmirror.plan.parts import MAX_PARTS, Part
from asyncmirror.sizes import MIB
from asyncmirror.source.read import OpenFile

_ETAG = re.compile(r"([0-9a-f]{32})(?:-(\d{1,5}))?")
_USUAL = tuple(n * MIB for n in (5, 8, 10, 15, 16, 32, 50, 64, 100, 128, 256, 512, 1024))
"""Part sizes that uploaders choose: aws-cli 8 MiB, s5cmd 50 MiB, rclone 5 MiB, MinIO's client 16 MiB, …"""
_MOST_TRIED = 8
"""Sizes in whole MiB are tried too where no more than these come into question: each costs an MD5 of the file."""


def part_sizes(size: int, count: int) -> tuple[int, ...]:
    """The part sizes in bytes by which an uploader may have cut a file of `size` bytes into `count` parts."""
    if count == 1:
        return (max(size, 1),)  # whatever it was: there is one part, and it is the file
    if not 1 < count <= min(size, MAX_PARTS):
        return ()
    # The least and the largest part size that give so many parts.
    least, most = -(-size // count), (size - 1) // (count - 1)
    whole = range(-(-least // MIB) * MIB, most + 1, MIB)
    # What AWS' SDK for Go (s5cmd) takes for files that would have too many parts (s3manager, UploadInput).
    chosen = {*_USUAL, size // MAX_PARTS + 1, *(whole if len(whole) <= _MOST_TRIED else ())}
    return tuple(sorted(each for each in chosen if least <= each <= most))


def is_equal(opened: OpenFile, remote: RemoteObject, algorithm: Algorithm, piece: int) -> Completed | None:
    """Prove that an object is the open file's.

    Args:
        opened: The file.
        remote: The object, of the same size.
        algorithm: Which checksum the journal is to keep where the store gave none.
        piece: How many bytes may be in memory at once.

    Returns:
        What the journal is to keep; None where it is not proven.

    Raises:
        SourceError: The file can't be read, or changed.
    """
    known = remote.checksum
    if known is not None and not known.parts:
        value = opened.checksum(known.algorithm, 0, piece)
        return Completed(opened.identity, value, remote.etag, 0) if value == known else None
    match = _ETAG.fullmatch(remote.etag)
    if match is None:
        return None
    size = opened.identity.size
    sizes = (0,) if match[2] is None else part_sizes(size, int(match[2]))
    if not sizes:
        return None
    tried = [_Md5(part_size) for part_size in sizes]
    running = Running(algorithm)
    for data in opened.pieces(Part(1, 0, size), piece):
        running.update(data)
        for each in tried:
            each.update(data)
    if all(each.hexdigest() != match[1] for each in tried):
        return None
    return Completed(opened.identity, running.checksum(), remote.etag, 0)


class _Md5:
    """The MD5 of bytes that come in pieces, or the MD5 of the MD5s of their parts. `part_size` in bytes; 0: no parts."""

    def __init__(self, part_size: int) -> None:
        self._part_size = part_size
        self._left = part_size
        self._part = hashlib.md5(usedforsecurity=False)
        self._digests: list[bytes] = []

    def update(self, data: Body) -> None:
        """Take in the next piece."""
        rest = memoryview(data)
        while self._part_size and len(rest) >= self._left:
            self._part.update(rest[: self._left])
            rest = rest[self._left :]
            self._digests.append(self._part.digest())
            self._part, self._left = hashlib.md5(usedforsecurity=False), self._part_size
        self._part.update(rest)
        self._left -= len(rest)

    def hexdigest(self) -> str:
        """The value of all pieces."""
        if not self._part_size:
            return self._part.hexdigest()
        last = [] if self._left == self._part_size and self._digests else [self._part.digest()]
        return hashlib.md5(b"".join([*self._digests, *last]), usedforsecurity=False).hexdigest()
