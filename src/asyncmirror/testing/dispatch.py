"""From a whole request to its reply: who asks, may they, are the bytes right, then the operation.

Owns the order of the checks and the table of operations. Knows no socket and no fault but the two that store other bytes
than were sent.
"""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TypeVar

from asyncmirror.checksum import compute, to_header
from asyncmirror.testing import bucket_ops, object_ops, payload, signature, upload_ops
from asyncmirror.testing.answers import Reply, S3Error, Tree, error_reply, xml_reply
from asyncmirror.testing.payload import Payload
from asyncmirror.testing.request import Request
from asyncmirror.testing.service import Service, quoted
from asyncmirror.testing.state import StoredObject, StoredPart

Kept = TypeVar("Kept", StoredObject, StoredPart)
Operation = Callable[[Service, Request, Payload], Reply]

OPERATIONS: Mapping[str, Operation] = {
    "AbortMultipartUpload": upload_ops.abort_multipart_upload,
    "CompleteMultipartUpload": upload_ops.complete_multipart_upload,
    "CreateBucket": bucket_ops.create_bucket,
    "CreateMultipartUpload": upload_ops.create_multipart_upload,
    "DeleteBucket": bucket_ops.delete_bucket,
    "DeleteObject": object_ops.delete_object,
    "DeleteObjects": object_ops.delete_objects,
    "GetBucketAcl": bucket_ops.get_bucket_acl,
    "GetBucketLocation": bucket_ops.get_bucket_location,
    "GetBucketPolicyStatus": bucket_ops.get_bucket_policy_status,
    "GetBucketVersioning": bucket_ops.get_bucket_versioning,
    "GetObject": object_ops.get_object,
    "GetPublicAccessBlock": bucket_ops.get_public_access_block,
    "HeadBucket": bucket_ops.head_bucket,
    "HeadObject": object_ops.get_object,
    "ListBuckets": bucket_ops.list_buckets,
    "ListMultipartUploads": bucket_ops.list_multipart_uploads,
    "ListObjects": bucket_ops.list_objects,
    "ListObjectsV2": bucket_ops.list_objects,
    "ListParts": upload_ops.list_parts,
    "PutObject": object_ops.put_object,
    "UploadPart": upload_ops.upload_part,
}
"""Every operation the server knows."""

# Their body is an object's or a part's bytes; the checksum headers of all other requests speak of something else.
_STORING = frozenset({"PutObject", "UploadPart"})
_MAX_DOCUMENT = 2 << 20  # bytes of an XML document in a request: 10,000 parts with SHA-256 checksums are 1.8 MB


def execute(service: Service, request: Request, body: bytes, request_id: str) -> Reply:
    """Carry a request out, or answer why not."""
    try:
        verified = _verify(service, request, body)
        return OPERATIONS[request.op](service, request, verified)
    except S3Error as error:
        return error_reply(error, request.path, request_id)


def _verify(service: Service, request: Request, body: bytes) -> Payload:
    config = service.config
    anonymous = "authorization" not in request.headers
    signed = None
    if not anonymous:
        signed = signature.verify(
            request,
            config.credentials,
            service.clock.now(),
            config.region,
            all_amz_headers=config.profile.demands_signed_amz_headers,
        )
    service.permit(request, anonymous=anonymous)
    profile = config.profile
    if request.op in _STORING:
        # aws-chunked framing tells its own length; clients send it in HTTP's chunks.
        framed = request.headers.get("x-amz-content-sha256", "").startswith("STREAMING-")
        if "content-length" not in request.headers and not framed:
            raise S3Error("MissingContentLength", "You must provide the Content-Length HTTP header.")
    else:
        if len(body) > _MAX_DOCUMENT:
            raise S3Error("MaxMessageLengthExceeded", "Your request was too large.")
        # Complete states the object's checksum, not its document's; its operation verifies it.
        own = profile.verifies_checksums and request.op == "DeleteObjects"
        profile = replace(profile, verifies_checksums=own, frames_bodies=False)
    return payload.verify(request, body, signed, profile, plain_unsigned=config.plain_unsigned)


def flipped(body: bytes) -> bytes:
    """The same bytes but for the one in the middle."""
    if not body:
        return body
    middle = len(body) // 2
    return body[:middle] + bytes((body[middle] ^ 0x01,)) + body[middle + 1 :]


def halved(body: bytes) -> bytes:
    """The first half of the bytes."""
    return body[: len(body) // 2]


def withhold(service: Service, request: Request, body: bytes, code: str, execute: Callable[[], Reply]) -> Reply:
    """Carry a DeleteObjects out for every other key only; the others are answered with an error, or (no `code`) not at all."""
    objects = service.buckets[request.bucket].objects
    before = dict(objects)
    reply = execute()
    if reply.code:
        return reply
    keys = object_ops.named(body)
    for key in keys[1::2]:
        if key in before:
            objects[key] = before[key]
    told: list[tuple[str, Tree]] = [("Deleted", (("Key", key),)) for key in keys[::2]]
    told += [("Error", (("Key", key), ("Code", code), ("Message", "by the plan"))) for key in keys[1::2] if code]
    return xml_reply("DeleteResult", told)


def tamper(service: Service, request: Request, reply: Reply, change: Callable[[bytes], bytes], *, told: bool) -> Reply:
    """Change the bytes that a successful PutObject, UploadPart or Complete has just stored.

    Args:
        service: The state.
        request: The request that stored them.
        reply: Its reply.
        change: From the bytes sent to those kept.
        told: Whether ETag and checksum become those of the bytes kept, in the store and in the reply.
    """
    bucket = service.buckets[request.bucket]
    kept: StoredPart | StoredObject
    if request.op == "UploadPart":
        parts = bucket.uploads[request.arg("uploadId")].parts
        kept = parts[request.part_number] = _kept(parts[request.part_number], change, told=told)
    elif request.key in bucket.objects:
        kept = bucket.objects[request.key] = _kept(bucket.objects[request.key], change, told=told)
    else:
        return reply
    now = {"ETag": quoted(kept.etag)}
    if kept.checksum is not None:
        now[kept.checksum.algorithm.header] = to_header(kept.checksum)
    return reply._replace(headers=tuple((name, now.get(name, value)) for name, value in reply.headers))


def _kept(stored: Kept, change: Callable[[bytes], bytes], *, told: bool) -> Kept:
    """What was stored, with other bytes and, where the store is to tell of them, their ETag and checksum."""
    body = change(stored.body)
    if not told:
        return replace(stored, body=body)
    checksum = stored.checksum and compute(stored.checksum.algorithm, body)._replace(parts=stored.checksum.parts)
    return replace(stored, body=body, etag=hashlib.md5(body, usedforsecurity=False).hexdigest(), checksum=checksum)
