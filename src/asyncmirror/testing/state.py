"""What the server keeps: buckets, objects, uploads and parts, all in memory.

Owns the values and the containers. Knows no request and verifies nothing.
"""

from bisect import insort
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from asyncmirror.model import Algorithm, Checksum


@dataclass(frozen=True, slots=True)
class StoredObject:
    """An object. `modified` in seconds since the epoch; `headers` are those told again (storage class, encoding, …)."""

    body: bytes
    etag: str
    modified: float
    content_type: str = "binary/octet-stream"
    metadata: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    checksum: Checksum | None = None
    part_sizes: tuple[int, ...] = ()
    """In bytes; empty for an object stored in one request."""


@dataclass(frozen=True, slots=True)
class StoredPart:
    """A part of an upload. `checksum` is the one sent, or computed by the server where the upload declares an algorithm."""

    number: int
    body: bytes
    etag: str
    modified: float
    checksum: Checksum | None = None


@dataclass(slots=True)
class StoredUpload:
    """An upload in progress. `initiated` in seconds since the epoch; `composite`: the checksum is one over part digests."""

    upload_id: str
    key: str
    initiated: float
    content_type: str
    metadata: Mapping[str, str]
    headers: Mapping[str, str]
    algorithm: Algorithm | None = None
    composite: bool = False
    parts: dict[int, StoredPart] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Finished:
    """What is remembered of a completed upload: the key, and the answer's ETag and checksum."""

    key: str
    etag: str
    checksum: Checksum | None


class Objects(dict[str, StoredObject]):
    """Objects by key, with the keys in the order of a listing: by UTF-8 bytes, which is that of Python's strings."""

    def __init__(self) -> None:
        super().__init__()
        self._ordered: list[str] = []

    def __setitem__(self, key: str, value: StoredObject) -> None:
        if key not in self:
            insort(self._ordered, key)
        super().__setitem__(key, value)

    def __delitem__(self, key: str) -> None:
        super().__delitem__(key)
        self._ordered.remove(key)

    @property
    def ordered(self) -> list[str]:
        """All keys, sorted. Not to be changed."""
        return self._ordered


class Access(NamedTuple):
    """What a bucket's policy and ACL give to everybody, and whether the public-access block takes it back."""

    policy: bool = False
    acl: bool = False
    block: bool = False

    @property
    def public(self) -> bool:
        """Whether anybody may read and list it."""
        return (self.policy or self.acl) and not self.block


PUBLIC = Access(policy=True, acl=True)
PRIVATE = Access(block=True)
"""As Amazon makes buckets since April 2023."""


@dataclass(slots=True)
class Bucket:
    """A bucket."""

    name: str
    created: float
    access: Access = PRIVATE
    objects: Objects = field(default_factory=Objects)
    uploads: dict[str, StoredUpload] = field(default_factory=dict)
    finished: dict[str, Finished] = field(default_factory=dict)
