"""Checksums as S3 defines them: computing one, combining the parts', writing and reading the header's form.

Owns the mapping from an algorithm to the library that computes it (awscrt for CRCs, hashlib for SHAs). Knows no I/O.
Source: AWS, "Checking object integrity in Amazon S3": CRCs of parts combine to the object's (FULL_OBJECT), a SHA of a
multipart object is the hash of the concatenated part digests, written with ``-N`` (COMPOSITE).
"""

import base64
import binascii
import hashlib
import re
from collections.abc import Callable, Iterable

from awscrt import checksums

from asyncmirror.model import Algorithm, Body, Checksum, Receipt

_CRC: dict[Algorithm, tuple[Callable[[Body, int], int], Callable[[int, int, int], int], int]] = {
    Algorithm.CRC64NVME: (checksums.crc64nvme, checksums.combine_crc64nvme, 8),
    Algorithm.CRC32C: (checksums.crc32c, checksums.combine_crc32c, 4),
    Algorithm.CRC32: (checksums.crc32, checksums.combine_crc32, 4),
}
_WIDTH = {
    **{algorithm: width for algorithm, (_, _, width) in _CRC.items()},
    Algorithm.SHA256: 32,
    Algorithm.SHA1: 20,
}


def _sha(algorithm: Algorithm, data: Body = b"") -> "hashlib._Hash":
    return hashlib.new(algorithm.value.lower(), data, usedforsecurity=False)


_COUNT = re.compile(r"[1-9][0-9]{0,4}")
"""Parts of an object: 10,000 at most."""


def width(algorithm: Algorithm) -> int:
    """Bytes of a digest."""
    return _WIDTH[algorithm]


def compute(algorithm: Algorithm, data: Body) -> Checksum:
    """The checksum of some bytes."""
    crc = _CRC.get(algorithm)
    if crc is None:
        return Checksum(algorithm, _sha(algorithm, data).digest())
    function, _, width = crc
    return Checksum(algorithm, function(data, 0).to_bytes(width, "big"))


class Running:
    """The checksum of bytes that come in pieces."""

    def __init__(self, algorithm: Algorithm) -> None:
        self._algorithm = algorithm
        self._crc = _CRC.get(algorithm)
        self._value = 0
        self._hash = None if self._crc else _sha(algorithm)

    def update(self, data: Body) -> None:
        """Take in the next piece."""
        if self._crc:
            self._value = self._crc[0](data, self._value)
        else:
            assert self._hash is not None
            self._hash.update(data)

    def checksum(self) -> Checksum:
        """The checksum of all pieces so far."""
        if self._crc:
            return Checksum(self._algorithm, self._value.to_bytes(self._crc[2], "big"))
        assert self._hash is not None
        return Checksum(self._algorithm, self._hash.digest())


def of_parts(algorithm: Algorithm, receipts: Iterable[Receipt]) -> Checksum:
    """The checksum of the object that these parts make, in ascending order: full for CRCs, composite for SHAs."""
    crc = _CRC.get(algorithm)
    if crc is None:
        digests = [receipt.checksum.digest for receipt in receipts]
        return Checksum(algorithm, _sha(algorithm, b"".join(digests)).digest(), len(digests))
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
    if len(digest) != _WIDTH[algorithm] or (dash and not _COUNT.fullmatch(count)):
        return None
    return Checksum(algorithm, digest, int(count) if dash else 0)
