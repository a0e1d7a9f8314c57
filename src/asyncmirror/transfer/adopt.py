"""Whether an object that is in the bucket already is a file's: proven by checksum or ETag, never by size and time.

Owns what an ETag may prove. It is opaque in general (encryption with KMS or SSE-C); where it has the form of an MD5, or of an
MD5 over the MD5s of N parts, and the file gives the very same value, it proves equality; another value proves nothing.
"""

import hashlib
import re
from collections.abc import Iterator

from asyncmirror.model import Algorithm, Completed, RemoteObject
from asyncmirror.plan.parts import parts
from asyncmirror.settings import MIB
from asyncmirror.source.read import OpenFile

_ETAG = re.compile(r"([0-9a-f]{32})(?:-(\d{1,5}))?")
_USUAL = tuple(n * MIB for n in (5, 8, 10, 15, 16, 32, 50, 64, 100, 128, 256, 512))
"""Part sizes that uploaders choose: aws-cli 8 MiB, s5cmd 50 MiB, rclone 5 MiB, MinIO's client 16 MiB, …"""


def _part_sizes(size: int, count: int) -> Iterator[int]:
    """The usual part sizes that cut a file of `size` bytes into `count` parts."""
    return (usual for usual in _USUAL if -(-size // usual) == count)


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
    candidates = iter((0,)) if match[2] is None else _part_sizes(opened.identity.size, int(match[2]))
    for part_size in candidates:
        if _md5(opened, part_size, piece) == match[1]:
            return Completed(opened.identity, opened.checksum(algorithm, 0, piece), remote.etag, 0)
    return None


def _md5(opened: OpenFile, part_size: int, piece: int) -> str:
    """The MD5 of a file, or of its parts' MD5s, in hexadecimal digits."""
    size = opened.identity.size
    digests = []
    for part in parts(size, part_size or max(size, 1)):
        digest = hashlib.md5(usedforsecurity=False)
        for data in opened.pieces(part, piece):
            digest.update(data)
        digests.append(digest.digest())
    if not part_size:
        return digests[0].hex() if digests else hashlib.md5(b"", usedforsecurity=False).hexdigest()
    return hashlib.md5(b"".join(digests), usedforsecurity=False).hexdigest()
