"""The complete adapter: every operation of the port over aioboto3, one attempt each.

Owns how the port's values are spelled as S3 parameters and read from S3 answers. Knows no retry, no deadline and no journal;
where and as whom is `session`'s business, what an exception means `sdk_errors`'s.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from types import TracebackType
from typing import TYPE_CHECKING, Literal, Self, TypedDict, TypeVar, cast
from urllib.parse import unquote_plus

from asyncmirror import checksum as checksums
from asyncmirror.errors import AccessDeniedError, ServerFaultError, StoreError, UploadGoneError
from asyncmirror.model import (
    Algorithm,
    Body,
    Checksum,
    Properties,
    Receipt,
    RemoteObject,
    RemotePart,
    RemoteUpload,
    Stored,
)
from asyncmirror.settings import Connection, ObjectOptions
from asyncmirror.store.session import Credentials, Endpoint, Session, open_session

if TYPE_CHECKING:
    from types_aiobotocore_s3 import S3Client
    from types_aiobotocore_s3.literals import ChecksumTypeType, ObjectCannedACLType, ServerSideEncryptionType, StorageClassType

T = TypeVar("T")
_PIECE = 1 << 20
# Beyond the requests that are sent at once: listings and checks must not wait for a body's connection.
_SPARE_CONNECTIONS = 8
_NOT_FOUND = 404


class _Payer(TypedDict, total=False):
    RequestPayer: Literal["requester"]


class _New(_Payer, total=False):
    StorageClass: "StorageClassType"
    ServerSideEncryption: "ServerSideEncryptionType"
    SSEKMSKeyId: str
    ACL: "ObjectCannedACLType"


class _Digest(TypedDict, total=False):
    ChecksumCRC64NVME: str
    ChecksumCRC32C: str
    ChecksumCRC32: str
    ChecksumSHA256: str
    ChecksumSHA1: str


class _Token(TypedDict, total=False):
    ContinuationToken: str


class _Markers(TypedDict, total=False):
    KeyMarker: str
    UploadIdMarker: str


class S3Store:
    """A bucket over aioboto3. To be entered (`async with`) before use; implements `port.Store`.

    Args:
        bucket: Its name.
        connection: Which store, as whom.
        objects: What is asked of the store for every object.
        max_connections: Requests that may be under way at once.
    """

    def __init__(self, bucket: str, connection: Connection, objects: ObjectOptions, max_connections: int) -> None:
        self._bucket = bucket
        self._connection = connection
        self._max_connections = max_connections + _SPARE_CONNECTIONS
        self._stack = AsyncExitStack()
        payer = {"RequestPayer": objects.request_payer}
        named = {
            "StorageClass": objects.storage_class,
            "ServerSideEncryption": objects.sse,
            "SSEKMSKeyId": objects.sse_kms_key_id,
            "ACL": objects.acl,
        }
        # What the store makes of an unknown value is its own affair: stores have storage classes that AWS has not.
        self._payer = cast("_Payer", _given(payer))
        self._new = cast("_New", _given(named | payer))

    async def __aenter__(self) -> Self:
        self._session: Session = await self._stack.enter_async_context(
            open_session(self._bucket, self._connection, self._max_connections)
        )
        from asyncmirror.store import sdk_errors  # noqa: PLC0415  imports botocore, which is loaded by now

        self._client: S3Client = self._session.client
        self._foreign = sdk_errors.FOREIGN
        self._translate: Callable[[Exception, str, str], StoreError] = sdk_errors.translate
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.aclose()

    @property
    def endpoint(self) -> Endpoint:
        """Where requests go, as resolved when the store was entered."""
        return self._session.endpoint

    async def credentials(self) -> Credentials | None:
        """What requests are signed with now; None where they are not. See `session.Session.credentials`."""
        return await self._session.credentials()

    async def put_object(self, key: str, body: Body, checksum: Checksum, properties: Properties) -> Stored:
        """See `port.Bodies.put_object`."""
        answer = await self._call(
            "PutObject",
            key,
            self._client.put_object(
                Bucket=self._bucket,
                Key=key,
                Body=memoryview(body),
                ContentLength=len(body),
                ContentType=properties.content_type,
                Metadata=properties.metadata,
                **_field(checksum),
                **self._new,
            ),
        )
        etag = _etag(answer)
        if not etag:
            raise ServerFaultError("the answer has no ETag: not confirmed", op="PutObject", path=key)
        return Stored(etag, _checksum(answer))

    async def upload_part(self, key: str, upload_id: str, number: int, body: Body, checksum: Checksum) -> str:
        """See `port.Bodies.upload_part`."""
        answer = await self._call(
            "UploadPart",
            key,
            self._client.upload_part(
                Bucket=self._bucket,
                Key=key,
                UploadId=upload_id,
                PartNumber=number,
                Body=memoryview(body),
                ContentLength=len(body),
                **_field(checksum),
                **self._payer,
            ),
        )
        etag = _etag(answer)
        if not etag:
            raise ServerFaultError("the answer has no ETag: not confirmed", op="UploadPart", path=key)
        return etag

    async def create_multipart_upload(self, key: str, algorithm: Algorithm, properties: Properties) -> str:
        """See `port.Store.create_multipart_upload`."""
        answer = await self._call(
            "CreateMultipartUpload",
            key,
            self._client.create_multipart_upload(
                Bucket=self._bucket,
                Key=key,
                ChecksumAlgorithm=algorithm.value,
                ChecksumType=_type(algorithm),
                ContentType=properties.content_type,
                Metadata=properties.metadata,
                **self._new,
            ),
        )
        upload_id = answer.get("UploadId")
        if not upload_id:
            raise ServerFaultError("the answer has no UploadId", op="CreateMultipartUpload", path=key)
        return str(upload_id)

    async def complete_multipart_upload(
        self, key: str, upload_id: str, receipts: Sequence[Receipt], size: int, checksum: Checksum
    ) -> Stored:
        """See `port.Store.complete_multipart_upload`."""
        answer = await self._call(
            "CompleteMultipartUpload",
            key,
            self._client.complete_multipart_upload(
                Bucket=self._bucket,
                Key=key,
                UploadId=upload_id,
                MpuObjectSize=size,
                ChecksumType=_type(checksum.algorithm),
                MultipartUpload={
                    "Parts": [
                        {"PartNumber": receipt.number, "ETag": f'"{receipt.etag}"', **_field(receipt.checksum)}
                        for receipt in receipts
                    ]
                },
                # A composite value follows from the parts' that stand above; the header is defined for full ones.
                **(_Digest() if checksum.parts else _field(checksum)),
                **self._payer,
            ),
        )
        if not {"ETag", "Key", "Location"} & answer.keys():
            raise ServerFaultError(
                "the answer does not say that the object is complete", op="CompleteMultipartUpload", path=key
            )
        return Stored(_etag(answer), _checksum(answer))

    async def abort_multipart_upload(self, key: str, upload_id: str) -> None:
        """See `port.Store.abort_multipart_upload`."""
        try:
            await self._call(
                "AbortMultipartUpload",
                key,
                self._client.abort_multipart_upload(Bucket=self._bucket, Key=key, UploadId=upload_id, **self._payer),
            )
        except UploadGoneError:
            return

    async def list_parts(self, key: str, upload_id: str) -> AsyncIterator[RemotePart]:
        """See `port.Store.list_parts`."""
        marker = 0
        while True:
            page = await self._call(
                "ListParts",
                key,
                self._client.list_parts(
                    Bucket=self._bucket, Key=key, UploadId=upload_id, PartNumberMarker=marker, **self._payer
                ),
            )
            for part in page.get("Parts", ()):
                yield RemotePart(part["PartNumber"], part["Size"], part["ETag"].strip('"'))
            if not _truncated("ListParts", key, page):
                return
            following = int(page.get("NextPartNumberMarker") or 0)
            if following <= marker:
                raise ServerFaultError("the listing does not go on", op="ListParts", path=key)
            marker = following

    async def head_object(self, key: str) -> RemoteObject | None:
        """See `port.Store.head_object`."""
        try:
            answer = await self._call(
                "HeadObject",
                key,
                self._client.head_object(Bucket=self._bucket, Key=key, ChecksumMode="ENABLED", **self._payer),
            )
        except StoreError as error:
            if error.status == _NOT_FOUND and error.code in ("", "NoSuchKey", "NotFound"):
                return None
            raise
        return RemoteObject(key, answer["ContentLength"], _etag(answer), _checksum(answer), answer.get("Metadata", {}))

    async def get_object(self, key: str) -> AsyncIterator[bytes]:
        """See `port.Store.get_object`."""
        answer = await self._call("GetObject", key, self._client.get_object(Bucket=self._bucket, Key=key, **self._payer))
        try:
            async with answer["Body"] as body:
                async for piece in body.content.iter_chunked(_PIECE):
                    yield piece
        except self._foreign as error:
            raise self._translate(error, "GetObject", key) from error

    async def list_objects(self, prefix: str) -> AsyncIterator[RemoteObject]:
        """See `port.Store.list_objects`."""
        token: _Token = {}
        while True:
            page = await self._call(
                "ListObjectsV2",
                prefix,
                self._client.list_objects_v2(Bucket=self._bucket, Prefix=prefix, **token, **self._payer),
            )
            for found in page.get("Contents", ()):
                yield RemoteObject(found["Key"], found["Size"], found.get("ETag", "").strip('"'))
            if not _truncated("ListObjectsV2", prefix, page):
                return
            following = page.get("NextContinuationToken")
            if not following or following == token.get("ContinuationToken"):
                raise ServerFaultError("the listing does not go on", op="ListObjectsV2", path=prefix)
            token = {"ContinuationToken": following}

    async def list_multipart_uploads(self, prefix: str) -> AsyncIterator[RemoteUpload]:
        """See `port.Store.list_multipart_uploads`."""
        markers: _Markers = {}
        while True:
            page = await self._call(
                "ListMultipartUploads",
                prefix,
                self._client.list_multipart_uploads(
                    Bucket=self._bucket, Prefix=prefix, EncodingType="url", **markers, **self._payer
                ),
            )
            encoded = page.get("EncodingType") == "url"
            for found in page.get("Uploads", ()):
                key = unquote_plus(found["Key"]) if encoded else found["Key"]
                yield RemoteUpload(key, found["UploadId"], found["Initiated"].timestamp())
            if not _truncated("ListMultipartUploads", prefix, page):
                return
            marker = page.get("NextKeyMarker", "")
            continued: _Markers = {
                "KeyMarker": unquote_plus(marker) if encoded else marker,
                "UploadIdMarker": page.get("NextUploadIdMarker", ""),
            }
            if continued == markers or not marker:
                raise ServerFaultError("the listing does not go on", op="ListMultipartUploads", path=prefix)
            markers = continued

    async def delete_object(self, key: str) -> None:
        """See `port.Store.delete_object`."""
        await self._call("DeleteObject", key, self._client.delete_object(Bucket=self._bucket, Key=key, **self._payer))

    async def check_bucket(self, prefix: str) -> None:
        """See `port.Store.check_bucket`."""
        try:
            await self._call(
                "ListObjectsV2",
                self._bucket,
                self._client.list_objects_v2(Bucket=self._bucket, Prefix=prefix, MaxKeys=1, **self._payer),
            )
        except AccessDeniedError:
            return

    async def _call(self, op: str, path: str, request: Awaitable[T]) -> T:
        try:
            return await request
        except self._foreign as error:
            raise self._translate(error, op, path) from error


def _given(parameters: dict[str, str | None]) -> dict[str, str]:
    return {name: value for name, value in parameters.items() if value is not None}


def _field(checksum: Checksum) -> _Digest:
    """The parameter that carries a checksum: it makes the SDK send the header and calculate none of its own."""
    return cast("_Digest", {"Checksum" + checksum.algorithm.value: checksums.to_header(checksum)})


def _type(algorithm: Algorithm) -> "ChecksumTypeType":
    return "FULL_OBJECT" if algorithm.full_object else "COMPOSITE"


def _etag(answer: Mapping[str, object]) -> str:
    return str(answer.get("ETag", "")).strip('"')


def _checksum(answer: Mapping[str, object]) -> Checksum | None:
    """The checksum an answer tells, the first that can be read."""
    for algorithm in Algorithm:
        text = answer.get("Checksum" + algorithm.value)
        if isinstance(text, str) and (found := checksums.from_header(algorithm, text)) is not None:
            return found
    return None


def _truncated(op: str, path: str, page: Mapping[str, object]) -> bool:
    """Whether there is a next page. An answer that does not say is no listing, and must not pass for an empty one."""
    value = page.get("IsTruncated")
    if not isinstance(value, bool):
        raise ServerFaultError("the answer is no listing", op=op, path=path)
    return value
