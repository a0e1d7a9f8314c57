"""What every operation works on: the configuration, the clock, the buckets; and the checks that several operations share.

Owns who may do what, and conditional requests. Knows no socket and no single operation.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import formatdate
from typing import TypeAlias

from asyncmirror.checksum import to_header
from asyncmirror.model import Checksum
from asyncmirror.testing.answers import S3Error
from asyncmirror.testing.clock import Clock
from asyncmirror.testing.config import ServerConfig
from asyncmirror.testing.request import Request
from asyncmirror.testing.state import Bucket, StoredObject

MAX_KEY = 1024
"""S3's longest key, in bytes of UTF-8."""

_PUBLIC_OPS = frozenset({"GetObject", "HeadObject", "ListObjects", "ListObjectsV2", "HeadBucket", "GetBucketLocation"})
_LIST_OPS = frozenset({"ListObjects", "ListObjectsV2", "HeadBucket"})  # what s3:ListBucket permits
_KEPT_HEADERS = frozenset(
    {
        "cache-control",
        "content-disposition",
        "content-encoding",
        "content-language",
        "expires",
        "x-amz-acl",
        "x-amz-server-side-encryption",
        "x-amz-server-side-encryption-aws-kms-key-id",
        "x-amz-storage-class",
        "x-amz-website-redirect-location",
    }
)

Headers: TypeAlias = tuple[tuple[str, str], ...]


@dataclass(slots=True)
class Service:
    """The state behind the socket."""

    config: ServerConfig
    clock: Clock
    buckets: dict[str, Bucket] = field(default_factory=dict)
    created: int = 0
    """Upload ids given out so far."""

    def __post_init__(self) -> None:
        for name in self.config.buckets:
            self.buckets[name] = Bucket(name, self.clock.now(), self.config.access_of(name))

    def bucket(self, request: Request) -> Bucket:
        """The bucket a request names.

        Raises:
            S3Error: NoSuchBucket.
        """
        found = self.buckets.get(request.bucket)
        if found is None:
            message = "The specified bucket does not exist"
            raise S3Error("NoSuchBucket", message, extra=(("BucketName", request.bucket),))
        return found

    def permit(self, request: Request, *, anonymous: bool) -> None:
        """Refuse what may not be done.

        Raises:
            S3Error: AccessDenied or KeyTooLongError.
        """
        bucket = self.buckets.get(request.bucket)
        if anonymous and not (bucket is not None and bucket.access.public and request.op in _PUBLIC_OPS):
            raise S3Error("AccessDenied", "Access Denied")
        if request.op in self.config.denied or (request.op in _LIST_OPS and not self.config.may_list):
            raise S3Error("AccessDenied", "Access Denied")
        size = len(request.key.encode("utf-8"))
        if size > MAX_KEY:
            extra = (("Size", str(size)), ("MaxSizeAllowed", str(MAX_KEY)))
            raise S3Error("KeyTooLongError", "Your key is too long", extra=extra)

    def missing_key(self, request: Request) -> S3Error:
        """What a missing object is answered with: who may not list may not know that it is missing."""
        if not self.config.may_list:
            return S3Error("AccessDenied", "Access Denied")
        return S3Error("NoSuchKey", "The specified key does not exist.", extra=(("Key", request.key),))

    def check_conditions(self, request: Request, current: StoredObject | None) -> None:
        """If-None-Match and If-Match of a write.

        Raises:
            S3Error: PreconditionFailed, NoSuchKey or NotImplemented.
        """
        if not self.config.profile.conditional_writes:
            return
        unless, when = request.headers.get("if-none-match"), request.headers.get("if-match")
        if unless is not None:
            if unless.strip() != "*":
                raise S3Error("NotImplemented", "If-None-Match takes nothing but * here.")
            if current is not None:
                raise _failed("If-None-Match")
        if when is not None:
            if current is None:
                raise S3Error("NoSuchKey", "The specified key does not exist.", extra=(("Key", request.key),))
            if when.strip().strip('"') != current.etag:
                raise _failed("If-Match")

    def etag(self, md5: bytes, *names: str) -> str:
        """An ETag of an MD5; where the profile's ETags tell nothing, one that depends on the names and the moment too."""
        if self.config.profile.md5_etags:
            return md5.hex()
        return hashlib.sha256(md5 + repr((names, self.clock.now())).encode()).hexdigest()[:32]


def _failed(condition: str) -> S3Error:
    message = "At least one of the pre-conditions you specified did not hold"
    return S3Error("PreconditionFailed", message, extra=(("Condition", condition),))


def metadata_of(headers: Mapping[str, str]) -> dict[str, str]:
    """The user metadata in a request's headers."""
    prefix = "x-amz-meta-"
    return {name.removeprefix(prefix): value for name, value in headers.items() if name.startswith(prefix)}


def kept_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """The headers that are stored beside an object. The framing of a transfer is none of the object's encoding."""
    kept = {name: value for name, value in headers.items() if name in _KEPT_HEADERS}
    codings = [coding.strip() for coding in kept.pop("content-encoding", "").split(",")]
    codings = [coding for coding in codings if coding and coding != "aws-chunked"]
    return {**kept, "content-encoding": ",".join(codings)} if codings else kept


def checksum_headers(checksum: Checksum | None) -> Headers:
    """A checksum and its type as an answer tells them."""
    if checksum is None:
        return ()
    kind = "COMPOSITE" if checksum.parts else "FULL_OBJECT"
    return ((checksum.algorithm.header, to_header(checksum)), ("x-amz-checksum-type", kind))


def quoted(etag: str) -> str:
    """An ETag as it stands in an answer."""
    return f'"{etag}"'


def http_date(moment: float) -> str:
    """Seconds since the epoch as HTTP writes them."""
    return formatdate(moment, usegmt=True)


def iso_date(moment: float) -> str:
    """Seconds since the epoch as S3's documents write them."""
    whole = datetime.fromtimestamp(moment, UTC)
    return whole.strftime("%Y-%m-%dT%H:%M:%S.") + f"{whole.microsecond // 1000:03d}Z"
