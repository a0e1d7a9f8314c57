"""The values everything else speaks of: what an entry is, what became of it, what the store confirmed.

Owns names and shapes only. Knows no I/O, no clock, no asyncio and no other room. Values on the path of every object are
NamedTuples: frozen, compared by value, and three times cheaper to make than a frozen dataclass.
"""

from collections.abc import Mapping
from enum import Enum, IntEnum, StrEnum
from typing import NamedTuple, TypeAlias

Body: TypeAlias = bytes | bytearray | memoryview
"""What a request carries. The receiver must not keep it past the request: buffers are reused."""


class Identity(NamedTuple):
    """Which bytes a name stood for when it was looked at, as `stat` tells (times in ns since the epoch, size in bytes)."""

    dev: int
    ino: int
    size: int
    mtime_ns: int
    ctime_ns: int

    def same_file(self, other: "Identity") -> bool:
        """Whether both are one file's unchanged state between runs: `dev` depends on the mount and is left out."""
        return self[1:] == other[1:]


class Outcome(IntEnum):
    """What became of an entry in a run. Every entry ends in exactly one. The numbers are the journal's."""

    COMPLETE = 0  # stored, confirmed by size and checksum, journalled
    UNCHANGED = 1  # the journal knows it to be complete
    EXCLUDED = 2  # left out by a rule that the user gave or the documentation names
    CHANGED = 3  # it changed while it was read, each time it was tried
    UNREADABLE = 4  # the file system refused it
    UNSUPPORTED = 5  # S3 has no such thing: a FIFO, a device, a symbolic link that is not followed
    REFUSED = 6  # it could be sent but must not be: key too long, part larger than the memory allowed
    FAILED = 7  # the store would not take it
    PENDING = 8  # seen, not finished: the run was stopped
    ADOPTED = 9  # found in the bucket and proven equal, not sent


PROBLEMS = frozenset({Outcome.CHANGED, Outcome.UNREADABLE, Outcome.UNSUPPORTED, Outcome.REFUSED, Outcome.FAILED})
"""Outcomes that a person should look at."""


class Visibility(Enum):
    """Who may read what is in a bucket, as far as the store tells."""

    PUBLIC = "public"
    PRIVATE = "private"
    UNKNOWN = "unknown"


class Algorithm(StrEnum):
    """A checksum that S3 takes with a request; the value is S3's spelling of the name."""

    CRC64NVME = "CRC64NVME"
    CRC32C = "CRC32C"
    CRC32 = "CRC32"
    SHA256 = "SHA256"
    SHA1 = "SHA1"

    @property
    def header(self) -> str:
        """The request header that carries the value, lower case."""
        return "x-amz-checksum-" + self.value.lower()

    @property
    def full_object(self) -> bool:
        """Whether part values combine to the whole object's (CRCs) or only to a value over the parts' (SHAs)."""
        return self in _CRCS


_CRCS = frozenset({Algorithm.CRC64NVME, Algorithm.CRC32C, Algorithm.CRC32})


class Checksum(NamedTuple):
    """A checksum of an object or a part: the raw digest, big-endian for CRCs.

    `parts` is 0 for a digest over all bytes, and the number of parts for a composite one (a digest over part digests).
    """

    algorithm: Algorithm
    digest: bytes
    parts: int = 0


class Receipt(NamedTuple):
    """The store's confirmation of one part."""

    number: int
    size: int
    etag: str
    checksum: Checksum


class Upload(NamedTuple):
    """A multipart upload in progress, as the journal keeps it. `upload_id` is empty between intent and Create's answer."""

    upload_id: str
    nonce: str
    part_size: int
    algorithm: Algorithm
    receipts: tuple[Receipt, ...] = ()


class Completed(NamedTuple):
    """The journal's record of a complete object. `part_size` in bytes; 0: sent by a single PUT."""

    identity: Identity
    checksum: Checksum
    etag: str
    part_size: int


class Uploading(NamedTuple):
    """The journal's record of an upload in progress, with the identity of the file it is made of."""

    identity: Identity
    upload: Upload


class Problem(NamedTuple):
    """The journal's record of why an entry was not completed when it was last tried."""

    identity: Identity | None
    outcome: Outcome
    reason: str
    retryable: bool


class Record(NamedTuple):
    """All that the journal says of one entry."""

    completed: Completed | None = None
    uploading: Uploading | None = None
    problem: Problem | None = None


class Properties(NamedTuple):
    """What is stored beside the bytes of one object. Metadata keys are lower case, values printable ASCII."""

    content_type: str
    metadata: Mapping[str, str]


class Stored(NamedTuple):
    """What a store said when it confirmed an object. `etag` is opaque and without quotes, possibly empty."""

    etag: str
    checksum: Checksum | None = None


class RemotePart(NamedTuple):
    """A part as ListParts tells of it; size in bytes."""

    number: int
    size: int
    etag: str


class RemoteObject(NamedTuple):
    """An object as HEAD or a listing tells of it; size in bytes. A listing carries no metadata and no checksum."""

    key: str
    size: int
    etag: str
    checksum: Checksum | None = None
    metadata: Mapping[str, str] = {}


class RemoteUpload(NamedTuple):
    """A multipart upload in progress as ListMultipartUploads tells of it; `initiated` in seconds since the epoch."""

    key: str
    upload_id: str
    initiated: float
