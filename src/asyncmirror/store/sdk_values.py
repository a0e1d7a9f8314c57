"""The port's values as the SDK's parameters, and the SDK's answers as the port's values.

Owns both spellings. Pure. A reader raises `KeyError` or `ServerFaultError` where an answer lacks what it must tell: an answer
that says nothing must pass neither for a confirmation nor for an empty listing.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Literal, NamedTuple, TypedDict, cast

from asyncmirror import checksum as checksums
from asyncmirror.errors import ServerFaultError, StoreError
from asyncmirror.model import Algorithm, Checksum, Receipt, RemoteObject, RemotePart, RemoteUpload, Stored
from asyncmirror.settings import ObjectOptions
from asyncmirror.store import extent
from asyncmirror.store.answers import to_error

if TYPE_CHECKING:
    from types_aiobotocore_s3.literals import (
        ChecksumAlgorithmType,
        ChecksumTypeType,
        ObjectCannedACLType,
        ServerSideEncryptionType,
        StorageClassType,
    )
    from types_aiobotocore_s3.type_defs import (
        CompletedPartTypeDef,
        CompleteMultipartUploadOutputTypeDef,
        CreateMultipartUploadOutputTypeDef,
        DeleteObjectsOutputTypeDef,
        GetObjectOutputTypeDef,
        HeadObjectOutputTypeDef,
        ListMultipartUploadsOutputTypeDef,
        ListObjectsV2OutputTypeDef,
        ListPartsOutputTypeDef,
        PutObjectOutputTypeDef,
        UploadPartOutputTypeDef,
    )


_WANTED = {"Range": "range", "IfMatch": "if-match"}


class Payer(TypedDict, total=False):
    """Who pays for a request."""

    RequestPayer: Literal["requester"]


class New(Payer, total=False):
    """What is asked of the store for every new object."""

    StorageClass: "StorageClassType"
    ServerSideEncryption: "ServerSideEncryptionType"
    SSEKMSKeyId: str
    ACL: "ObjectCannedACLType"


class Condition(TypedDict, total=False):
    """On what condition an object is written."""

    IfNoneMatch: str


class Digest(TypedDict, total=False):
    """A checksum."""

    ChecksumCRC64NVME: str
    ChecksumCRC32C: str
    ChecksumCRC32: str
    ChecksumSHA256: str
    ChecksumSHA1: str


class Wanted(TypedDict, total=False):
    """Which bytes of which object."""

    Range: str
    IfMatch: str


class Declared(TypedDict):
    """The checksum that a multipart upload will have."""

    ChecksumAlgorithm: "ChecksumAlgorithmType"
    ChecksumType: "ChecksumTypeType"


class Token(TypedDict, total=False):
    """Where a listing of objects begins or goes on."""

    StartAfter: str
    ContinuationToken: str


class Markers(TypedDict, total=False):
    """Where a listing of uploads goes on."""

    KeyMarker: str
    UploadIdMarker: str


class PartsPage(NamedTuple):
    """A page of ListParts; `following` is None on the last."""

    parts: list[RemotePart]
    following: int | None


class ObjectsPage(NamedTuple):
    """A page of ListObjectsV2; `following` is empty on the last."""

    objects: list[RemoteObject]
    following: Token


class UploadsPage(NamedTuple):
    """A page of ListMultipartUploads; `following` is empty on the last."""

    uploads: list[RemoteUpload]
    following: Markers


def payer(objects: ObjectOptions) -> Payer:
    """The parameter of every request."""
    return cast("Payer", _given({"RequestPayer": objects.request_payer}))


def new(objects: ObjectOptions) -> New:
    """The parameters of PutObject and CreateMultipartUpload. Values are not checked: stores have classes that AWS has not."""
    named = {
        "StorageClass": objects.storage_class,
        "ServerSideEncryption": objects.sse,
        "SSEKMSKeyId": objects.sse_kms_key_id,
        "ACL": objects.acl,
        "RequestPayer": objects.request_payer,
    }
    return cast("New", _given(named))


def condition(objects: ObjectOptions) -> Condition:
    """The parameter of PutObject and CompleteMultipartUpload that keeps what is there."""
    return Condition() if objects.overwrite else {"IfNoneMatch": "*"}


def digest(checksum: Checksum) -> Digest:
    """The parameter that carries a checksum: it makes the SDK send the header and calculate none of its own."""
    return cast("Digest", {"Checksum" + checksum.algorithm.value: checksums.to_header(checksum)})


def whole(checksum: Checksum) -> Digest:
    """The same at Complete. A composite value follows from the parts' beside it; the header is defined for full ones."""
    return Digest() if checksum.parts else digest(checksum)


def declared(algorithm: Algorithm) -> Declared:
    """The parameters of CreateMultipartUpload that settle the checksum."""
    return {"ChecksumAlgorithm": algorithm.value, "ChecksumType": kind(algorithm)}


def kind(algorithm: Algorithm) -> "ChecksumTypeType":
    """How the object's checksum follows from its parts'."""
    return "FULL_OBJECT" if algorithm.full_object else "COMPOSITE"


def completed(receipt: Receipt) -> "CompletedPartTypeDef":
    """A part as Complete names it."""
    return {"PartNumber": receipt.number, "ETag": f'"{receipt.etag}"', **digest(receipt.checksum)}


def wanted(start: int, etag: str) -> Wanted:
    """The parameters of GetObject that say from which byte, and of which object."""
    headers = extent.wanted(start, etag)
    return cast("Wanted", {name: headers[header] for name, header in _WANTED.items() if header in headers})


def read_told(answer: "GetObjectOutputTypeDef") -> extent.Told:
    """What GetObject's answer says of its body."""
    status = answer["ResponseMetadata"]["HTTPStatusCode"]
    return extent.Told(status, answer.get("ETag", ""), answer.get("ContentRange", ""))


def read_stored(answer: "PutObjectOutputTypeDef") -> Stored:
    """PutObject's answer, which is no confirmation without an ETag."""
    return Stored(_etag(answer) or _unconfirmed("ETag"), _checksum(answer))


def read_part_etag(answer: "UploadPartOutputTypeDef") -> str:
    """UploadPart's answer."""
    return _etag(answer) or _unconfirmed("ETag")


def read_upload_id(answer: "CreateMultipartUploadOutputTypeDef") -> str:
    """CreateMultipartUpload's answer."""
    return answer.get("UploadId") or _unconfirmed("UploadId")


def read_completed(answer: "CompleteMultipartUploadOutputTypeDef") -> Stored:
    """CompleteMultipartUpload's answer. Ceph RGW leaves the ETag empty; naming nothing at all confirms nothing."""
    if not {"ETag", "Key", "Location"} & answer.keys():
        _unconfirmed("object")
    return Stored(_etag(answer), _checksum(answer))


def read_head(key: str, answer: "HeadObjectOutputTypeDef") -> RemoteObject:
    """HeadObject's answer."""
    return RemoteObject(key, answer["ContentLength"], _etag(answer), _checksum(answer), answer.get("Metadata", {}))


def read_parts(page: "ListPartsOutputTypeDef") -> PartsPage:
    """A page of ListParts."""
    parts = [RemotePart(part["PartNumber"], part["Size"], part["ETag"].strip('"')) for part in page.get("Parts", ())]
    return PartsPage(parts, int(page["NextPartNumberMarker"]) if page["IsTruncated"] else None)


def read_objects(page: "ListObjectsV2OutputTypeDef") -> ObjectsPage:
    """A page of ListObjectsV2; the SDK has decoded its keys."""
    objects = [
        RemoteObject(found["Key"], found["Size"], found.get("ETag", "").strip('"')) for found in page.get("Contents", ())
    ]
    return ObjectsPage(objects, {"ContinuationToken": page["NextContinuationToken"]} if page["IsTruncated"] else {})


def read_uploads(page: "ListMultipartUploadsOutputTypeDef") -> UploadsPage:
    """A page of ListMultipartUploads."""
    uploads = [
        RemoteUpload(found["Key"], found["UploadId"], found["Initiated"].timestamp()) for found in page.get("Uploads", ())
    ]
    if not page["IsTruncated"]:
        return UploadsPage(uploads, {})
    return UploadsPage(uploads, {"KeyMarker": page["NextKeyMarker"], "UploadIdMarker": page.get("NextUploadIdMarker", "")})


def read_deleted(keys: Sequence[str], answer: "DeleteObjectsOutputTypeDef") -> dict[str, StoreError]:
    """DeleteObjects' answer: those of the keys that it does not say to be deleted, and why."""
    deleted = {found.get("Key") for found in answer.get("Deleted", ())}
    failed: dict[str, StoreError] = {}
    # A code that nobody knows is the refusal of this key: the request itself succeeded.
    for error in answer.get("Errors", ()):
        key = error.get("Key", "")
        failed[key] = to_error("DeleteObjects", key, 400, error.get("Code", ""), error.get("Message", ""))
    for key in keys:
        if key not in deleted and key not in failed:
            failed[key] = ServerFaultError("the answer does not name it: not confirmed", op="DeleteObjects", path=key)
    return {key: failed[key] for key in keys if key in failed}


def _given(parameters: dict[str, str | None]) -> dict[str, str]:
    return {name: value for name, value in parameters.items() if value is not None}


def _unconfirmed(lacking: str) -> str:
    raise ServerFaultError(f"the answer names no {lacking}: not confirmed")


def _etag(answer: Mapping[str, object]) -> str:
    return str(answer.get("ETag", "")).strip('"')


def _checksum(answer: Mapping[str, object]) -> Checksum | None:
    """The checksum an answer tells, the first that can be read."""
    for algorithm in Algorithm:
        text = answer.get("Checksum" + algorithm.value)
        if isinstance(text, str) and (found := checksums.from_header(algorithm, text)) is not None:
            return found
    return None
