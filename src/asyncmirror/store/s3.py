"""The complete adapter: every operation of the port over aioboto3, one attempt each.

Owns which operation is called with what, and how listings go from page to page. Knows no retry, no deadline and no journal;
where and as whom is `session`'s business, how values are spelled `sdk_values`'s, what an exception means `sdk_errors`'s.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from types import TracebackType
from typing import TYPE_CHECKING, Self, TypeVar

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
    Visibility,
)
from asyncmirror.settings import Connection, ObjectOptions
from asyncmirror.store import extent, public
from asyncmirror.store import sdk_values as values
from asyncmirror.store.meter import Meter
from asyncmirror.store.session import Session, open_session

if TYPE_CHECKING:
    from types_aiobotocore_s3 import S3Client

A = TypeVar("A")
V = TypeVar("V")
_PIECE = 1 << 20
# Beyond the requests that are sent at once: listings and checks must not wait for a body's connection.
_SPARE_CONNECTIONS = 8
_NOT_FOUND = 404


class S3Store:
    """A bucket over aioboto3. To be entered (`async with`) before use; implements `port.Store`.

    Args:
        bucket: Its name.
        connection: Which store, as whom.
        objects: What is asked of the store for every object.
        max_connections: Requests that may be under way at once.
        bandwidth: How fast bodies may leave; None: as fast as can be.
    """

    def __init__(
        self,
        bucket: str,
        connection: Connection,
        objects: ObjectOptions,
        max_connections: int,
        bandwidth: Meter | None = None,
    ) -> None:
        self._bucket = bucket
        self._connection = connection
        self._bandwidth = bandwidth or Meter()
        self._max_connections = max_connections + _SPARE_CONNECTIONS
        self._payer = values.payer(objects)
        self._new = values.new(objects)
        self._condition = values.condition(objects)
        self._stack = AsyncExitStack()
        self._session: Session | None = None
        self._opening = asyncio.Lock()

    async def __aenter__(self) -> Self:
        await self.session()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.aclose()

    async def session(self) -> Session:
        """The session, opened when it is first asked for; raises what `open_session` raises."""
        async with self._opening:
            if self._session is None:
                self._session = await self._stack.enter_async_context(
                    open_session(self._bucket, self._connection, self._max_connections, self._bandwidth)
                )
            return self._session

    async def _client(self) -> "S3Client":
        return (await self.session()).client

    async def put_object(self, key: str, body: Body, checksum: Checksum, properties: Properties) -> Stored:
        """See `port.Bodies.put_object`."""
        request = (await self._client()).put_object(
            Bucket=self._bucket,
            Key=key,
            Body=_view(body),
            ContentLength=len(body),
            ContentType=properties.content_type,
            Metadata=properties.metadata,
            **values.digest(checksum),
            **self._new,
            **self._condition,
        )
        return await self._call("PutObject", key, request, values.read_stored)

    async def upload_part(self, key: str, upload_id: str, number: int, body: Body, checksum: Checksum) -> str:
        """See `port.Bodies.upload_part`."""
        request = (await self._client()).upload_part(
            Bucket=self._bucket,
            Key=key,
            UploadId=upload_id,
            PartNumber=number,
            Body=_view(body),
            ContentLength=len(body),
            **values.digest(checksum),
            **self._payer,
        )
        return await self._call("UploadPart", key, request, values.read_part_etag)

    async def create_multipart_upload(self, key: str, algorithm: Algorithm, properties: Properties) -> str:
        """See `port.Store.create_multipart_upload`."""
        request = (await self._client()).create_multipart_upload(
            Bucket=self._bucket,
            Key=key,
            ContentType=properties.content_type,
            Metadata=properties.metadata,
            **values.declared(algorithm),
            **self._new,
        )
        return await self._call("CreateMultipartUpload", key, request, values.read_upload_id)

    async def complete_multipart_upload(
        self, key: str, upload_id: str, receipts: Sequence[Receipt], size: int, checksum: Checksum
    ) -> Stored:
        """See `port.Store.complete_multipart_upload`."""
        request = (await self._client()).complete_multipart_upload(
            Bucket=self._bucket,
            Key=key,
            UploadId=upload_id,
            MpuObjectSize=size,
            ChecksumType=values.kind(checksum.algorithm),
            MultipartUpload={"Parts": [values.completed(receipt) for receipt in receipts]},
            **values.whole(checksum),
            **self._payer,
            **self._condition,
        )
        return await self._call("CompleteMultipartUpload", key, request, values.read_completed)

    async def abort_multipart_upload(self, key: str, upload_id: str) -> None:
        """See `port.Store.abort_multipart_upload`."""
        request = (await self._client()).abort_multipart_upload(Bucket=self._bucket, Key=key, UploadId=upload_id, **self._payer)
        try:
            await self._call("AbortMultipartUpload", key, request, _nothing)
        except UploadGoneError:
            return

    async def list_parts(self, key: str, upload_id: str) -> AsyncIterator[RemotePart]:
        """See `port.Store.list_parts`."""
        marker = 0
        while True:
            request = (await self._client()).list_parts(
                Bucket=self._bucket, Key=key, UploadId=upload_id, PartNumberMarker=marker, **self._payer
            )
            parts, following = await self._call("ListParts", key, request, values.read_parts)
            for part in parts:
                yield part
            if following is None:
                return
            if following <= marker:
                raise _stuck("ListParts", key)
            marker = following

    async def head_object(self, key: str) -> RemoteObject | None:
        """See `port.Store.head_object`."""
        request = (await self._client()).head_object(Bucket=self._bucket, Key=key, ChecksumMode="ENABLED", **self._payer)
        try:
            return await self._call("HeadObject", key, request, lambda answer: values.read_head(key, answer))
        except StoreError as error:
            if error.status == _NOT_FOUND and error.code in ("", "NoSuchKey", "NotFound"):
                return None
            raise

    async def get_object(self, key: str, start: int = 0, etag: str = "") -> AsyncIterator[bytes]:
        """See `port.Bodies.get_object`."""
        request = (await self._client()).get_object(Bucket=self._bucket, Key=key, **values.wanted(start, etag), **self._payer)
        try:
            answer = await self._call("GetObject", key, request, _itself)
        except StoreError as error:
            if start and error.status == extent.UNSATISFIABLE:
                return  # there is no more of it
            raise
        try:
            async with answer["Body"] as stream:
                too_soon = extent.check(key, values.read_told(answer), start, etag)
                async for piece in stream.content.iter_chunked(_PIECE):
                    if len(piece) > too_soon:
                        yield piece[too_soon:]
                    too_soon = max(too_soon - len(piece), 0)
        except _foreign() as error:
            raise _translate(error, "GetObject", key) from error

    async def list_objects(self, prefix: str, after: str = "") -> AsyncIterator[RemoteObject]:
        """See `port.Store.list_objects`."""
        token = values.Token(StartAfter=after) if after else values.Token()
        while True:
            request = (await self._client()).list_objects_v2(Bucket=self._bucket, Prefix=prefix, **token, **self._payer)
            objects, following = await self._call("ListObjectsV2", prefix, request, values.read_objects)
            for found in objects:
                yield found
            if not following:
                return
            if following == token:
                raise _stuck("ListObjectsV2", prefix)
            token = following

    async def list_multipart_uploads(self, prefix: str) -> AsyncIterator[RemoteUpload]:
        """See `port.Store.list_multipart_uploads`."""
        markers = values.Markers()
        while True:
            # No EncodingType: Ceph RGW encodes the keys then, but not the marker, and doesn't say so.
            request = (await self._client()).list_multipart_uploads(
                Bucket=self._bucket, Prefix=prefix, **markers, **self._payer
            )
            uploads, following = await self._call("ListMultipartUploads", prefix, request, values.read_uploads)
            for found in uploads:
                yield found
            if not following:
                return
            if following == markers:
                raise _stuck("ListMultipartUploads", prefix)
            markers = following

    async def delete_object(self, key: str) -> None:
        """See `port.Store.delete_object`."""
        request = (await self._client()).delete_object(Bucket=self._bucket, Key=key, **self._payer)
        await self._call("DeleteObject", key, request, _nothing)

    async def delete_objects(self, keys: Sequence[str]) -> Mapping[str, StoreError]:
        """See `port.Store.delete_objects`. Not quiet: what is not confirmed by name is not deleted."""
        request = (await self._client()).delete_objects(
            Bucket=self._bucket, Delete={"Objects": [{"Key": key} for key in keys], "Quiet": False}, **self._payer
        )
        where = keys[0] if keys else self._bucket
        return await self._call("DeleteObjects", where, request, lambda answer: values.read_deleted(keys, answer))

    async def check_bucket(self, prefix: str) -> None:
        """See `port.Store.check_bucket`."""
        request = (await self._client()).list_objects_v2(Bucket=self._bucket, Prefix=prefix, MaxKeys=1, **self._payer)
        try:
            await self._call("ListObjectsV2", self._bucket, request, values.read_objects)
        except AccessDeniedError:
            return

    async def visibility(self) -> Visibility:
        """See `port.Store.visibility`."""
        return await public.ask(await self._client(), self._bucket, self._call)

    async def _call(self, op: str, path: str, request: Awaitable[A], read: Callable[[A], V]) -> V:
        """Send a request and read its answer; whatever fails is one of our errors."""
        try:
            return read(await request)
        except _foreign() as error:
            raise _translate(error, op, path) from error


def _foreign() -> tuple[type[Exception], ...]:
    from asyncmirror.store import sdk_errors  # noqa: PLC0415  imports botocore: nothing is asked before that is loaded

    return sdk_errors.FOREIGN


def _translate(error: Exception, op: str, path: str) -> StoreError:
    from asyncmirror.store import sdk_errors  # noqa: PLC0415  the same

    return sdk_errors.translate(error, op, path)


def _view(body: Body) -> bytes:
    """A body as the SDK neither copies nor turns into a file (which it does to bytes); its types don't know of views."""
    return memoryview(body)  # type: ignore[return-value]


def _itself(answer: A) -> A:
    return answer


def _nothing(answer: object) -> None:
    """Read an answer that tells nothing."""


def _stuck(op: str, path: str) -> StoreError:
    return ServerFaultError("the listing does not go on: the next page is the same", op=op, path=path)
