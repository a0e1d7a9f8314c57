"""Operations on buckets: create, head, delete, list them and what is in them, and who may see them.

Owns their rules. Knows no socket. Source: Amazon S3 API Reference, the operations of these names.
"""

import base64
from collections.abc import Callable
from urllib.parse import quote

from asyncmirror.testing.answers import Reply, S3Error, Tree, xml_reply
from asyncmirror.testing.listing import page
from asyncmirror.testing.payload import Payload
from asyncmirror.testing.request import Request
from asyncmirror.testing.service import Service, iso_date, quoted
from asyncmirror.testing.state import PRIVATE, Access, Bucket, StoredObject

_OWNER = "75aa57f09aa0c8caeab4f8c24e99d10f8e7faeebf76c078efc7c6caea54ba06a"
_ALL_USERS = "http://acs.amazonaws.com/groups/global/AllUsers"


def list_buckets(service: Service, _request: Request, _payload: Payload) -> Reply:
    """ListBuckets."""
    found = sorted(service.buckets.values(), key=lambda bucket: bucket.name)
    buckets: list[tuple[str, Tree]] = [
        ("Bucket", (("Name", bucket.name), ("CreationDate", iso_date(bucket.created)))) for bucket in found
    ]
    return xml_reply("ListAllMyBucketsResult", (("Owner", (("ID", _OWNER),)), ("Buckets", buckets)))


def create_bucket(service: Service, request: Request, _payload: Payload) -> Reply:
    """CreateBucket."""
    if request.bucket in service.buckets:
        raise S3Error("BucketAlreadyOwnedByYou", "Your previous request to create the named bucket succeeded and you own it.")
    public = request.headers.get("x-amz-acl", "").startswith("public-read")
    service.buckets[request.bucket] = Bucket(request.bucket, service.clock.now(), Access(acl=True) if public else PRIVATE)
    return Reply(200, (("Location", f"/{request.bucket}"),))


def head_bucket(service: Service, request: Request, _payload: Payload) -> Reply:
    """HeadBucket."""
    service.bucket(request)
    return Reply(200, (("x-amz-bucket-region", service.config.region or "us-east-1"),))


def delete_bucket(service: Service, request: Request, _payload: Payload) -> Reply:
    """DeleteBucket."""
    if service.bucket(request).objects:
        raise S3Error("BucketNotEmpty", "The bucket you tried to delete is not empty")
    del service.buckets[request.bucket]
    return Reply(204)


def get_bucket_location(service: Service, request: Request, _payload: Payload) -> Reply:
    """GetBucketLocation. The oldest region has no name."""
    service.bucket(request)
    region = service.config.region
    name = "" if region == "us-east-1" else region
    body = f'<?xml version="1.0" encoding="UTF-8"?>\n<LocationConstraint xmlns="http://s3.amazonaws.com/doc/2006-03-01/">{name}'
    return Reply(200, (("Content-Type", "application/xml"),), f"{body}</LocationConstraint>".encode())


def get_bucket_versioning(service: Service, request: Request, _payload: Payload) -> Reply:
    """GetBucketVersioning: never was switched on."""
    service.bucket(request)
    return xml_reply("VersioningConfiguration", ())


def get_bucket_policy_status(service: Service, request: Request, _payload: Payload) -> Reply:
    """GetBucketPolicyStatus. Who has no public policy has none at all."""
    if not service.bucket(request).access.policy:
        raise S3Error("NoSuchBucketPolicy", "The bucket policy does not exist")
    return xml_reply("PolicyStatus", (("IsPublic", "true"),))


def get_bucket_acl(service: Service, request: Request, _payload: Payload) -> Reply:
    """GetBucketAcl."""
    grants: list[tuple[str, Tree]] = [("Grant", (("Grantee", (("ID", _OWNER),)), ("Permission", "FULL_CONTROL")))]
    if service.bucket(request).access.acl:
        grants.append(("Grant", (("Grantee", (("URI", _ALL_USERS),)), ("Permission", "READ"))))
    return xml_reply("AccessControlPolicy", (("Owner", (("ID", _OWNER),)), ("AccessControlList", grants)))


def get_public_access_block(service: Service, request: Request, _payload: Payload) -> Reply:
    """GetPublicAccessBlock: everything is blocked, or nothing was ever configured."""
    if not service.bucket(request).access.block:
        raise S3Error("NoSuchPublicAccessBlockConfiguration", "The public access block configuration was not found")
    names = ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets")
    return xml_reply("PublicAccessBlockConfiguration", tuple((name, "true") for name in names))


def list_objects(service: Service, request: Request, _payload: Payload) -> Reply:
    """ListObjects, versions 1 and 2."""
    bucket = service.bucket(request)
    return listing_reply(request, bucket.objects.ordered, lambda key: _entry(bucket.objects[key]), service.config.page_size)


def list_multipart_uploads(service: Service, request: Request, _payload: Payload) -> Reply:
    """ListMultipartUploads, page by page."""
    bucket = service.bucket(request)
    encode = encoder(request)
    prefix, key_marker, id_marker = (request.arg(name) for name in ("prefix", "key-marker", "upload-id-marker"))
    limit = min(request.number("max-uploads", service.config.page_size, 0, 2**31 - 1), service.config.page_size)
    marker = (key_marker, id_marker or "\U0010ffff") if key_marker else ("", "")
    found = sorted(
        (
            upload
            for upload in bucket.uploads.values()
            if upload.key.startswith(prefix) and (upload.key, upload.upload_id) > marker
        ),
        key=lambda upload: (upload.key, upload.upload_id),
    )
    shown = found[:limit]
    inside: list[tuple[str, Tree]] = [
        ("Bucket", bucket.name),
        ("KeyMarker", encode(key_marker)),
        ("UploadIdMarker", id_marker),
        ("Prefix", encode(prefix)),
        ("MaxUploads", limit),
    ]
    if request.arg("encoding-type"):
        inside.append(("EncodingType", request.arg("encoding-type")))
    more = len(found) > len(shown)
    inside.append(("IsTruncated", "true" if more else "false"))
    if more and shown:
        inside += [("NextKeyMarker", encode(shown[-1].key)), ("NextUploadIdMarker", shown[-1].upload_id)]
    for upload in shown:
        fields = (("Key", encode(upload.key)), ("UploadId", upload.upload_id), ("Initiated", iso_date(upload.initiated)))
        inside.append(("Upload", (*fields, ("StorageClass", "STANDARD"))))
    return xml_reply("ListMultipartUploadsResult", inside)


def listing_reply(
    request: Request, ordered: list[str], entry: Callable[[str], tuple[tuple[str, Tree], ...]], most: int
) -> Reply:
    """A page of a bucket's keys as either version of the listing tells it.

    Args:
        request: The request.
        ordered: All keys, sorted.
        entry: What is told of a key besides its name.
        most: The most entries of a page.
    """
    second = request.op == "ListObjectsV2"
    prefix, delimiter = request.arg("prefix"), request.arg("delimiter")
    limit = min(request.number("max-keys", most, 0, 2**31 - 1), most)
    token = request.arg("continuation-token")
    after = _from_token(token) if token else request.arg("start-after" if second else "marker")
    found = page(ordered, prefix=prefix, after=after, delimiter=delimiter, limit=limit)
    encode = encoder(request)
    inside: list[tuple[str, Tree]] = [("Name", request.bucket), ("Prefix", encode(prefix)), ("MaxKeys", limit)]
    if delimiter:
        inside.append(("Delimiter", encode(delimiter)))
    if request.arg("encoding-type"):
        inside.append(("EncodingType", request.arg("encoding-type")))
    inside.append(("IsTruncated", "true" if found.last else "false"))
    if second:
        inside.append(("KeyCount", len(found.keys) + len(found.prefixes)))
        inside += [(name, encode(value)) for name, value in (("StartAfter", request.arg("start-after")),) if value]
        inside += [("ContinuationToken", token)] if token else []
        inside += [("NextContinuationToken", _to_token(found.last))] if found.last else []
    else:
        inside.append(("Marker", encode(after)))
        inside += [("NextMarker", encode(found.last))] if found.last else []
    inside += [("Contents", (("Key", encode(key)), *entry(key))) for key in found.keys]
    inside += [("CommonPrefixes", (("Prefix", encode(one)),)) for one in found.prefixes]
    return xml_reply("ListBucketResult", inside)


def encoder(request: Request) -> Callable[[str], str]:
    """How keys are written in this request's answer.

    Raises:
        S3Error: InvalidArgument, for an unknown encoding.
    """
    kind = request.arg("encoding-type")
    if kind not in ("", "url"):
        raise S3Error("InvalidArgument", "Invalid Encoding Method specified in Request")
    return (lambda key: quote(key, safe="/")) if kind else str


def _entry(stored: StoredObject) -> tuple[tuple[str, Tree], ...]:
    checksum: tuple[tuple[str, Tree], ...] = ()
    if stored.checksum is not None:
        kind = "COMPOSITE" if stored.checksum.parts else "FULL_OBJECT"
        checksum = (("ChecksumAlgorithm", stored.checksum.algorithm.value), ("ChecksumType", kind))
    return (
        ("LastModified", iso_date(stored.modified)),
        ("ETag", quoted(stored.etag)),
        *checksum,
        ("Size", len(stored.body)),
        ("StorageClass", stored.headers.get("x-amz-storage-class", "STANDARD")),
    )


def _to_token(last: str) -> str:
    return base64.urlsafe_b64encode(last.encode()).decode()


def _from_token(token: str) -> str:
    try:
        return base64.b64decode(token, altchars=b"-_", validate=True).decode()
    except ValueError as error:
        raise S3Error("InvalidArgument", "The continuation token provided is incorrect") from error
