"""How known stores differ from the strict server, as frozen values.

Owns the quirks and their names. Knows no request and no socket. A field's comment names the source; where a store's
behaviour is not documented, the worse case for a client is taken.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import Enum
from types import MappingProxyType


class RepeatedComplete(Enum):
    """What CompleteMultipartUpload answers for an upload that it completed before."""

    SUCCESS = "success"
    EMPTY_ETAG = "empty-etag"
    NO_SUCH_UPLOAD = "no-such-upload"
    IN_PROGRESS = "in-progress"


class AwsChunked(Enum):
    """What becomes of a body in aws-chunked framing (``STREAMING-…`` in x-amz-content-sha256)."""

    DECODE = "decode"
    REJECT = "reject"
    STORE = "store"  # the framing ends up in the object: seen with older compatible stores


@dataclass(frozen=True, slots=True)
class Profile:
    """What a store verifies and how it answers. The defaults are the strictest reading of S3's documentation."""

    name: str
    checks: bool = True
    """False: nothing is verified, bodies are thrown away and every PUT succeeds (the null server)."""
    verifies_content_md5: bool = True
    verifies_checksums: bool = True
    """x-amz-checksum-*: verified, kept and told again. False: ignored, neither kept nor told."""
    verifies_object_size: bool = True
    """x-amz-mp-object-size at Complete."""
    conditional_writes: bool = True
    """If-None-Match and If-Match on PutObject and Complete. False: ignored, the object is written all the same."""
    conditional_completes: bool = True
    """The same at Complete alone."""
    demands_signed_amz_headers: bool = True
    """Every x-amz-* header must stand in SignedHeaders."""
    aws_chunked: AwsChunked = AwsChunked.REJECT
    frames_bodies: bool = False
    """True: a gateway that frames what it hands on, before a store that keeps the framing: objects are not what was sent."""
    repeated_complete: RepeatedComplete = RepeatedComplete.SUCCESS
    complete_tells_etag: bool = True
    md5_etags: bool = True
    """False: ETags tell nothing about the bytes, as with KMS or SSE-C."""
    answers_expect: bool = True
    """False: ``Expect: 100-continue`` is ignored; the server waits for the body without a word."""


STRICT = Profile("strict")
AWS = replace(STRICT, name="aws", aws_chunked=AwsChunked.DECODE)
# Tried with Ceph 16: signature, payload SHA-256 and Content-MD5 are verified; x-amz-checksum-* is ignored, and If-None-Match at
# Complete.
RGW = replace(
    STRICT,
    name="rgw",
    verifies_checksums=False,
    verifies_object_size=False,
    conditional_completes=False,
    demands_signed_amz_headers=False,
    repeated_complete=RepeatedComplete.EMPTY_ETAG,
)
# MinIO removes an upload's directory when it completes it.
MINIO = replace(
    STRICT,
    name="minio",
    verifies_object_size=False,
    aws_chunked=AwsChunked.DECODE,
    repeated_complete=RepeatedComplete.NO_SUCH_UPLOAD,
)
STORAGEGRID = replace(
    STRICT,
    name="storagegrid",
    verifies_checksums=False,
    verifies_object_size=False,
    conditional_writes=False,
    repeated_complete=RepeatedComplete.NO_SUCH_UPLOAD,
)
# Hetzner runs Ceph: "This multipart completion is already in progress", as an InternalError.
HETZNER = replace(RGW, name="hetzner", repeated_complete=RepeatedComplete.IN_PROGRESS)
NULL = Profile("null", checks=False)

PROFILES: Mapping[str, Profile] = MappingProxyType(
    {profile.name: profile for profile in (STRICT, AWS, RGW, MINIO, STORAGEGRID, HETZNER, NULL)}
)
"""All profiles by name."""
