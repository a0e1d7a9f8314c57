"""Checksums as S3 defines them: computing one, combining the parts', writing and reading the header's form.

Owns the mapping from an algorithm to the library that computes it (awscrt for CRCs, hashlib for SHAs). Knows no I/O.
Source: AWS, "Checking object integrity in Amazon S3": CRCs of parts combine to the object's (FULL_OBJECT), a SHA of a
multipart object is the hash of the concatenated part digests, written with ``-N`` (COMPOSITE).
"""

import base64
import binascii
import hashlib
from collections.abc import Callable, Iterable

from awscrt import checksums

from asyncmirror.model import Algorithm, Body, Checksum, Receipt

_CRC: dict[Algorithm, tuple[Callable[[Body], int], Callable[[int, int, int], int], int]] = {
    Algorithm.CRC64NVME: (checksums.crc64nvme, checksums.combine_crc64nvme, 8),
    Algorithm.CRC32C: (checksums.crc32c, checksums.combine_crc32c, 4),
    Algorithm.CRC32: (checksums.crc32, checksums.combine_crc32, 4),
}
_WIDTH = {
    **{algorithm: width for algorithm, (_, _, width) in _CRC.items()},
    Algorithm.SHA256: 32,
    Algorithm.SHA1: 20,
}


def _sha(algorithm: Algorithm, data: Body) -> bytes:
    if algorithm is Algorithm.SHA256:
        return hashlib.sha256(data).digest()
    return hashlib.sha1(data, usedforsecurity=False).digest()


def compute(algorithm: Algorithm, data: Body) -> Checksum:
    """The checksum of some bytes."""
    crc = _CRC.get(algorithm)
    if crc is None:
        return Checksum(algorithm, _sha(algorithm, data))
    function, _, width = crc
    return Checksum(algorithm, function(data).to_bytes(width, "big"))


def of_parts(algorithm: Algorithm, receipts: Iterable[Receipt]) -> Checksum:
    """The checksum of the object that these parts make, in ascending order: full for CRCs, composite for SHAs."""
    crc = _CRC.get(algorithm)
    if crc is None:
        digests = [receipt.checksum.digest for receipt in receipts]
        return Checksum(algorithm, _sha(algorithm, b"".join(digests)), len(digests))
    _, combine, width = crc
    value = 0
    for receipt in receipts:
        value = combine(value, int.from_bytes(receipt.checksum.digest, "big"), receipt.size)
    return Checksum(algorithm, value.to_bytes(width, "big"))


def to_header(checksum: Checksum) -> str:
    """The value as it stands in an ``x-amz-checksum-*`` header: base64, with ``-N`` where it is composite."""
    text = binascii.b2a_base64(checksum.digest, newline=False).decode("ascii")
    return f"{text}-{checksum.parts}" if checksum.parts else text


def from_header(algorithm: Algorithm, text: str) -> Checksum | None:
    """Read a header's value; None where it is none of this algorithm's (a store may answer anything)."""
    encoded, dash, count = text.partition("-")
    try:
        digest = base64.b64decode(encoded, validate=True)
    except ValueError:
        return None
    if len(digest) != _WIDTH[algorithm] or (dash and not (count.isascii() and count.isdecimal() and int(count))):
        return None
    return Checksum(algorithm, digest, int(count) if dash else 0)
