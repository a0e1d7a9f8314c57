"""Operations on multipart uploads: create, upload part, complete, abort, list parts.

Owns their rules. Knows no socket; bodies come verified. Source: Amazon S3 API Reference, the operations of these names;
"Checking object integrity" for which checksum types an algorithm has and what Complete demands of each.
"""

import hashlib
from itertools import pairwise
from typing import NamedTuple
from xml.etree import ElementTree as ET

from asyncmirror.checksum import compute, from_header, of_parts, to_header
from asyncmirror.model import Algorithm, Checksum, Receipt
from asyncmirror.testing.answers import Reply, S3Error, Tree, xml_reply
from asyncmirror.testing.object_ops import check_metadata, check_size, parse_xml
from asyncmirror.testing.payload import Payload, stated_checksum
from asyncmirror.testing.profiles import RepeatedComplete
from asyncmirror.testing.request import Request
from asyncmirror.testing.service import Service, iso_date, kept_headers, metadata_of, quoted
from asyncmirror.testing.state import Bucket, Finished, StoredObject, StoredPart, StoredUpload

MAX_PARTS = 10_000
"""S3's most parts of an upload, and its highest part number."""

_NO_SUCH_UPLOAD = "The specified upload does not exist. The upload ID may be invalid, or the upload may have been aborted."
_IN_PROGRESS = "This multipart completion is already in progress"


class _Named(NamedTuple):
    """A part as a Complete request names it."""

    number: int
    etag: str
    checksum: Checksum | None


def create_multipart_upload(service: Service, request: Request, _payload: Payload) -> Reply:
    """CreateMultipartUpload."""
    bucket = service.bucket(request)
    metadata = metadata_of(request.headers)
    check_metadata(metadata)
    algorithm, composite = _declared(request) if service.config.profile.verifies_checksums else (None, False)
    service.created += 1
    upload = StoredUpload(
        upload_id=f"upload-{service.created:06d}-{hashlib.sha256(request.key.encode()).hexdigest()[:16]}",
        key=request.key,
        initiated=service.clock.now(),
        content_type=request.headers.get("content-type", "binary/octet-stream"),
        metadata=metadata,
        headers=kept_headers(request.headers),
        algorithm=algorithm,
        composite=composite,
    )
    bucket.uploads[upload.upload_id] = upload
    headers: list[tuple[str, str]] = []
    if algorithm is not None:
        headers += [("x-amz-checksum-algorithm", algorithm.value), ("x-amz-checksum-type", _type_name(composite=composite))]
    inside = (("Bucket", bucket.name), ("Key", request.key), ("UploadId", upload.upload_id))
    return xml_reply("InitiateMultipartUploadResult", inside, headers)


def upload_part(service: Service, request: Request, payload: Payload) -> Reply:
    """UploadPart. A part sent again replaces the one before."""
    upload = _upload(service.bucket(request), request)
    number = request.part_number
    if not 1 <= number <= MAX_PARTS:
        raise S3Error("InvalidArgument", f"Part number must be an integer between 1 and {MAX_PARTS}, inclusive")
    check_size(len(payload.data))
    sent = payload.checksum
    if sent is not None or upload.composite:
        expected, actual = upload.algorithm, sent.algorithm if sent is not None else None
        if upload.algorithm is not None and expected is not actual:
            names = (expected.value.lower() if expected else "null", actual.value.lower() if actual else "null")
            message = f"Checksum Type mismatch occurred, expected checksum Type: {names[0]}, actual checksum Type: {names[1]}"
            raise S3Error("InvalidRequest", message)
    checksum = sent
    if checksum is None and upload.algorithm is not None:
        checksum = compute(upload.algorithm, payload.data)
    etag = service.etag(payload.md5, upload.upload_id, str(number))
    upload.parts[number] = StoredPart(number, payload.data, etag, service.clock.now(), checksum)
    told = ((sent.algorithm.header, to_header(sent)),) if sent is not None else ()
    return Reply(200, (("ETag", quoted(etag)), *told))


def complete_multipart_upload(service: Service, request: Request, payload: Payload) -> Reply:
    """CompleteMultipartUpload."""
    bucket = service.bucket(request)
    upload_id = request.arg("uploadId")
    finished = bucket.finished.get(upload_id)
    if finished is not None and finished.key == request.key:
        return _repeated(service, request, finished)
    upload = _upload(bucket, request)
    named = _named_parts(parse_xml(payload.data), upload, checked=service.config.profile.verifies_checksums)
    parts = _chosen(upload, named, service.config.min_part_size)
    size = sum(len(part.body) for part in parts)
    checksum = _object_checksum(service, request, upload, parts)
    stated_size = request.headers.get("x-amz-mp-object-size")
    if service.config.profile.verifies_object_size and stated_size is not None and stated_size != str(size):
        message = f"The provided 'x-amz-mp-object-size' header value {stated_size} does not match what was computed: {size}"
        raise S3Error("InvalidRequest", message)
    if service.config.profile.conditional_completes:
        service.check_conditions(request, bucket.objects.get(request.key))
    md5 = hashlib.md5(b"".join(bytes.fromhex(part.etag) for part in parts), usedforsecurity=False).digest()
    etag = f"{service.etag(md5, upload_id)}-{len(parts)}"
    bucket.objects[request.key] = StoredObject(
        body=b"".join(part.body for part in parts),
        etag=etag,
        modified=service.clock.now(),
        content_type=upload.content_type,
        metadata=upload.metadata,
        headers=upload.headers,
        checksum=checksum,
        part_sizes=tuple(len(part.body) for part in parts),
    )
    del bucket.uploads[upload_id]
    bucket.finished[upload_id] = Finished(request.key, etag, checksum)
    told = etag if service.config.profile.complete_tells_etag else ""
    return _completed(request, told, checksum)


def abort_multipart_upload(service: Service, request: Request, _payload: Payload) -> Reply:
    """AbortMultipartUpload."""
    bucket = service.bucket(request)
    del bucket.uploads[_upload(bucket, request).upload_id]
    return Reply(204)


def list_parts(service: Service, request: Request, _payload: Payload) -> Reply:
    """ListParts, page by page."""
    bucket = service.bucket(request)
    upload = _upload(bucket, request)
    limit = min(request.number("max-parts", service.config.page_size, 0, 2**31 - 1), service.config.page_size)
    marker = request.number("part-number-marker", 0, 0, 2**31 - 1)
    numbers = [number for number in sorted(upload.parts) if number > marker]
    shown = [upload.parts[number] for number in numbers[:limit]]
    declared: tuple[tuple[str, Tree], ...] = ()
    if upload.algorithm is not None:
        kind = _type_name(composite=upload.composite)
        declared = (("ChecksumAlgorithm", upload.algorithm.value), ("ChecksumType", kind))
    inside: list[tuple[str, Tree]] = [
        ("Bucket", bucket.name),
        ("Key", upload.key),
        ("UploadId", upload.upload_id),
        ("StorageClass", "STANDARD"),
        *declared,
        ("PartNumberMarker", marker),
        ("NextPartNumberMarker", shown[-1].number if shown else 0),
        ("MaxParts", limit),
        ("IsTruncated", "true" if len(numbers) > len(shown) else "false"),
        *(("Part", _part_tree(part)) for part in shown),
    ]
    return xml_reply("ListPartsResult", inside)


def _type_name(*, composite: bool) -> str:
    return "COMPOSITE" if composite else "FULL_OBJECT"


def _part_tree(part: StoredPart) -> Tree:
    checksum = () if part.checksum is None else ((f"Checksum{part.checksum.algorithm.value}", to_header(part.checksum)),)
    return (
        ("PartNumber", part.number),
        ("LastModified", iso_date(part.modified)),
        ("ETag", quoted(part.etag)),
        ("Size", len(part.body)),
        *checksum,
    )


def _upload(bucket: Bucket, request: Request) -> StoredUpload:
    upload = bucket.uploads.get(request.arg("uploadId"))
    if upload is None or upload.key != request.key:
        raise S3Error("NoSuchUpload", _NO_SUCH_UPLOAD, extra=(("UploadId", request.arg("uploadId")),))
    return upload


def _declared(request: Request) -> tuple[Algorithm | None, bool]:
    """The algorithm a Create declares, and whether its checksum is composite."""
    name, kind = request.headers.get("x-amz-checksum-algorithm"), request.headers.get("x-amz-checksum-type")
    if name is None:
        if kind is not None:
            raise S3Error("InvalidRequest", "The x-amz-checksum-type header can only be used with x-amz-checksum-algorithm.")
        return None, False
    algorithm = Algorithm.__members__.get(name)
    if algorithm is None:
        raise S3Error("InvalidRequest", "Checksum algorithm provided is unsupported.")
    kind = kind or ("FULL_OBJECT" if algorithm is Algorithm.CRC64NVME else "COMPOSITE")
    possible = {"FULL_OBJECT": algorithm.full_object, "COMPOSITE": algorithm is not Algorithm.CRC64NVME}
    if not possible.get(kind):
        raise S3Error("InvalidRequest", f"The {kind} checksum type cannot be used with the {name.lower()} checksum algorithm.")
    return algorithm, kind == "COMPOSITE"


def _named_parts(document: ET.Element, upload: StoredUpload, *, checked: bool) -> list[_Named]:
    """The parts a Complete request names, in the order it names them; their checksums only where they are `checked`."""
    named: list[_Named] = []
    for entry in document.iterfind("{*}Part"):
        number, etag = entry.findtext("{*}PartNumber") or "", entry.findtext("{*}ETag") or ""
        if not (number.isascii() and number.isdecimal() and 1 <= int(number[:9]) <= MAX_PARTS and etag):
            raise S3Error("MalformedXML", "The XML you provided did not validate against our published schema.")
        checksum: Checksum | None = None
        for algorithm in Algorithm if checked else ():
            value = entry.findtext(f"{{*}}Checksum{algorithm.value}")
            if value is not None:
                checksum = from_header(algorithm, value)
                if checksum is None or algorithm is not upload.algorithm:
                    raise _invalid_part(upload, int(number), etag)
        named.append(_Named(int(number), etag.strip().strip('"'), checksum))
    if not named:
        raise S3Error("MalformedXML", "The XML you provided did not validate against our published schema.")
    return named


def _chosen(upload: StoredUpload, named: list[_Named], min_part_size: int) -> list[StoredPart]:
    """The stored parts that are named, after every check that Complete makes on them."""
    if any(later.number <= one.number for one, later in pairwise(named)):
        raise S3Error("InvalidPartOrder", "The list of parts was not in ascending order.")
    parts: list[StoredPart] = []
    for one in named:
        part = upload.parts.get(one.number)
        if part is None or part.etag != one.etag or (one.checksum is not None and part.checksum != one.checksum):
            raise _invalid_part(upload, one.number, one.etag)
        if upload.composite and one.checksum is None:
            name = upload.algorithm.value.lower() if upload.algorithm else ""
            message = (
                f"The upload was created using a {name} checksum. The complete request must include the checksum for each "
                f"part. It was missing for part {one.number} in the request."
            )
            raise S3Error("InvalidRequest", message)
        parts.append(part)
    for part in parts[:-1]:
        if len(part.body) < min_part_size:
            extra = (
                ("ETag", part.etag),
                ("MinSizeAllowed", str(min_part_size)),
                ("ProposedSize", str(len(part.body))),
                ("PartNumber", str(part.number)),
            )
            raise S3Error("EntityTooSmall", "Your proposed upload is smaller than the minimum allowed size", extra=extra)
    return parts


def _invalid_part(upload: StoredUpload, number: int, etag: str) -> S3Error:
    extra = (("UploadId", upload.upload_id), ("PartNumber", str(number)), ("ETag", etag))
    message = "One or more of the specified parts could not be found, or its ETag or checksum is not the part's."
    return S3Error("InvalidPart", message, extra=extra)


def _object_checksum(service: Service, request: Request, upload: StoredUpload, parts: list[StoredPart]) -> Checksum | None:
    """The whole object's checksum, held against the one that the request states."""
    if not service.config.profile.verifies_checksums:
        return None
    kind = request.headers.get("x-amz-checksum-type")
    stated = stated_checksum(request.headers)
    if upload.algorithm is None:
        if stated is not None or kind is not None:
            raise S3Error("InvalidRequest", "The upload was created without a checksum algorithm.")
        return None
    if kind is not None and kind != _type_name(composite=upload.composite):
        raise S3Error("InvalidRequest", f"The upload was not created using the {kind} checksum type.")
    receipts = [Receipt(part.number, len(part.body), part.etag, part.checksum) for part in parts if part.checksum is not None]
    if upload.composite:
        digests = b"".join(receipt.checksum.digest for receipt in receipts)
        actual = compute(upload.algorithm, digests)._replace(parts=len(receipts))
    else:
        actual = of_parts(upload.algorithm, receipts)
    if stated is not None and (stated.algorithm, stated.digest) != (actual.algorithm, actual.digest):
        raise S3Error("BadDigest", f"The {stated.algorithm.value} you specified did not match the calculated checksum.")
    if stated is not None and stated.parts not in (0, actual.parts):
        raise S3Error("BadDigest", "The checksum names another number of parts.")
    return actual


def _repeated(service: Service, request: Request, finished: Finished) -> Reply:
    match service.config.profile.repeated_complete:
        case RepeatedComplete.SUCCESS:
            return _completed(request, finished.etag, finished.checksum)
        case RepeatedComplete.EMPTY_ETAG:
            return _completed(request, "", finished.checksum)
        case RepeatedComplete.NO_SUCH_UPLOAD:
            raise S3Error("NoSuchUpload", _NO_SUCH_UPLOAD, extra=(("UploadId", request.arg("uploadId")),))
        case RepeatedComplete.IN_PROGRESS:
            raise S3Error("InternalError", _IN_PROGRESS)


def _completed(request: Request, etag: str, checksum: Checksum | None) -> Reply:
    told: tuple[tuple[str, Tree], ...] = ()
    if checksum is not None:
        kind = _type_name(composite=bool(checksum.parts))
        told = ((f"Checksum{checksum.algorithm.value}", to_header(checksum)), ("ChecksumType", kind))
    location = f"http://{request.headers.get('host', '')}/{request.bucket}"
    inside: tuple[tuple[str, Tree], ...] = (
        ("Location", location),
        ("Bucket", request.bucket),
        ("Key", request.key),
        ("ETag", quoted(etag) if etag else ""),
        *told,
    )
    return xml_reply("CompleteMultipartUploadResult", inside)
