"""Operations on one object: put, get, head, delete.

Owns their rules. Knows no socket; bodies come verified. Source: Amazon S3 API Reference, the operations of these names.
"""

import re
from fnmatch import fnmatchcase
from urllib.parse import unquote
from xml.etree import ElementTree as ET

from asyncmirror.model import Algorithm
from asyncmirror.settings import MAX_PART_SIZE
from asyncmirror.store.port import MOST_DELETED
from asyncmirror.testing.answers import Reply, S3Error, Tree, xml_reply
from asyncmirror.testing.payload import Payload
from asyncmirror.testing.request import Request
from asyncmirror.testing.service import Headers, Service, checksum_headers, http_date, kept_headers, metadata_of, quoted
from asyncmirror.testing.state import StoredObject

_RANGE = re.compile(r"bytes=(\d{0,19})-(\d{0,19})", re.ASCII)
_MAX_METADATA = 2048  # bytes of names and values of user metadata together


def put_object(service: Service, request: Request, payload: Payload) -> Reply:
    """PutObject."""
    bucket = service.bucket(request)
    if "x-amz-copy-source" in request.headers:
        raise S3Error("NotImplemented", "CopyObject is not implemented.")
    check_size(len(payload.data))
    metadata = metadata_of(request.headers)
    check_metadata(metadata)
    service.check_conditions(request, bucket.objects.get(request.key))
    etag = service.etag(payload.md5, request.key)
    bucket.objects[request.key] = StoredObject(
        body=payload.data,
        etag=etag,
        modified=service.clock.now(),
        content_type=request.headers.get("content-type", "binary/octet-stream"),
        metadata=metadata,
        headers=kept_headers(request.headers),
        checksum=payload.checksum,
    )
    return Reply(200, (("ETag", quoted(etag)), *checksum_headers(payload.checksum)))


def get_object(service: Service, request: Request, _payload: Payload) -> Reply:
    """GetObject; also HeadObject: the protocol leaves the body of an answer to HEAD out."""
    bucket = service.bucket(request)
    stored = bucket.objects.get(request.key)
    if stored is None:
        raise service.missing_key(request)
    when, unless = request.headers.get("if-match"), request.headers.get("if-none-match")
    if when is not None and when.strip('" ') not in ("*", stored.etag):
        raise S3Error("PreconditionFailed", "At least one of the pre-conditions you specified did not hold")
    if unless is not None and unless.strip('" ') in ("*", stored.etag):
        return Reply(304, (("ETag", quoted(stored.etag)),))
    start, end, extra = _extent(request, stored)
    partial = (("Content-Range", f"bytes {start}-{end - 1}/{len(stored.body)}"),) if extra is not None else ()
    told = checksum_headers(stored.checksum) if request.headers.get("x-amz-checksum-mode", "").upper() == "ENABLED" else ()
    headers = (
        ("ETag", quoted(stored.etag)),
        ("Last-Modified", http_date(stored.modified)),
        ("Content-Type", stored.content_type),
        ("Accept-Ranges", "bytes"),
        *((name, value) for name, value in stored.headers.items() if name != "x-amz-acl"),
        *((f"x-amz-meta-{name}", value) for name, value in stored.metadata.items()),
        *partial,
        *(extra or ()),
        *told,
    )
    return Reply(206 if partial else 200, headers, stored.body[start:end])


def delete_object(service: Service, request: Request, _payload: Payload) -> Reply:
    """DeleteObject. A missing key is no error."""
    objects = service.bucket(request).objects
    if request.key in objects:
        del objects[request.key]
    return Reply(204)


def delete_objects(service: Service, request: Request, payload: Payload) -> Reply:
    """DeleteObjects. Missing keys are no error; those that are retained are, each by itself."""
    objects = service.bucket(request).objects
    if "content-md5" not in request.headers and not any(algorithm.header in request.headers for algorithm in Algorithm):
        raise S3Error("InvalidRequest", "Missing required header for this request: Content-MD5 OR x-amz-checksum-*")
    keys = named(payload.data)
    if not 0 < len(keys) <= MOST_DELETED or "" in keys:
        raise S3Error("MalformedXML", "The XML you provided was not well-formed or did not validate against our schema")
    told: list[tuple[str, Tree]] = []
    for key in keys:
        if any(fnmatchcase(key, pattern) for pattern in service.config.retained):
            told.append(("Error", (("Key", key), ("Code", "AccessDenied"), ("Message", "Access Denied"))))
            continue
        if key in objects:
            del objects[key]
        told.append(("Deleted", (("Key", key),)))
    quiet = parse_xml(payload.data).findtext("{*}Quiet") == "true"
    return xml_reply("DeleteResult", [each for each in told if not quiet or each[0] == "Error"])


def named(document: bytes) -> list[str]:
    """The keys that a DeleteObjects names.

    Raises:
        S3Error: MalformedXML.
    """
    return [entry.findtext("{*}Key") or "" for entry in parse_xml(document).iterfind("{*}Object")]


def parse_xml(data: bytes) -> ET.Element:
    """The root of a request's document.

    Raises:
        S3Error: MalformedXML.
    """
    try:
        return ET.fromstring(data)  # noqa: S314  a test server parses what its own test's client wrote
    except (ET.ParseError, LookupError, ValueError) as error:  # the latter: an encoding that nobody knows
        raise S3Error("MalformedXML", "The XML you provided was not well-formed.") from error


def check_size(size: int) -> None:
    """The limit of one request's body, 5 GiB.

    Raises:
        S3Error: EntityTooLarge.
    """
    if size > MAX_PART_SIZE:
        extra = (("ProposedSize", str(size)), ("MaxSizeAllowed", str(MAX_PART_SIZE)))
        raise S3Error("EntityTooLarge", "Your proposed upload exceeds the maximum allowed size", extra=extra)


def check_metadata(metadata: dict[str, str]) -> None:
    """The limit of user metadata, 2 KiB.

    Raises:
        S3Error: MetadataTooLarge.
    """
    if sum(len(unquote(name)) + len(value) for name, value in metadata.items()) > _MAX_METADATA:
        raise S3Error("MetadataTooLarge", "Your metadata headers exceed the maximum allowed metadata size")


def _extent(request: Request, stored: StoredObject) -> tuple[int, int, Headers | None]:
    """Which bytes are asked for, and further headers where that is not simply all of them."""
    size = len(stored.body)
    number = request.part_number
    if number:
        sizes = stored.part_sizes or (size,)
        if number > len(sizes):
            raise S3Error("InvalidPartNumber", "The requested partnumber is not satisfiable", status=416)
        start = sum(sizes[: number - 1])
        count: Headers = (("x-amz-mp-parts-count", str(len(sizes))),) if stored.part_sizes else ()
        return start, start + sizes[number - 1], count
    match = _RANGE.fullmatch(request.headers.get("range", ""))
    if match is None or not (match[1] or match[2]):
        return 0, size, None
    if match[1]:
        start, end = int(match[1]), min(int(match[2]) + 1 if match[2] else size, size)
    else:
        start, end = max(size - int(match[2]), 0), size
    if start >= size or end <= start:
        raise S3Error("InvalidRange", "The requested range is not satisfiable", extra=(("ActualObjectSize", str(size)),))
    return start, end, ()
