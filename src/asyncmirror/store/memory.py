"""A bucket in memory, as strict as the best store: the referee of tests, and the measure of everything but the wire.

Owns objects, uploads and a log of requests. Verifies what S3 specifies: every body's checksum, part numbers, their order,
minimum part size, the object's size and checksum at Complete, key length. Knows no network and never blocks.
"""

import itertools
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import NamedTuple

from asyncmirror import checksum as checksums
from asyncmirror.errors import CorruptedError, RejectedError, StoreError
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
from asyncmirror.store.answers import to_error
from asyncmirror.store.port import MOST_DELETED

_MAX_KEY = 1024
_MAX_PARTS = 10_000
_PIECE = 1 << 20


class Request(NamedTuple):
    """One call as the log keeps it; `size` counts the body's bytes, `part` is 0 where the operation has none."""

    op: str
    key: str
    part: int = 0
    size: int = 0


class _Object(NamedTuple):
    size: int
    etag: str
    checksum: Checksum
    properties: Properties
    data: bytes | None  # None in a sink


class _Part(NamedTuple):
    size: int
    etag: str
    checksum: Checksum
    data: bytes | None


class _Pending(NamedTuple):
    key: str
    algorithm: Algorithm
    properties: Properties
    initiated: float
    parts: dict[int, _Part]


class MemoryStore:
    """Implements `port.Store`. Its state lives as long as it does.

    Args:
        sink: Keep sizes, ETags and checksums, not the bytes; `get_object` is refused.
        min_part_size: Bytes that every part but the last must have; S3's is 5 MiB.
        log: Keep every call in `requests`.
        seen: What it says of its visibility.

    Attributes:
        objects: What is stored, by key.
        requests: Every call so far, in order; empty without `log`.
    """

    def __init__(
        self, *, sink: bool = False, min_part_size: int = 5 << 20, log: bool = True, seen: Visibility = Visibility.PRIVATE
    ) -> None:
        self.objects: dict[str, _Object] = {}
        self.requests: list[Request] = []
        self._uploads: dict[str, _Pending] = {}
        self._sink = sink
        self._min_part_size = min_part_size
        self._log = log
        self.seen = seen
        self._serial = itertools.count(1)

    def data(self, key: str) -> bytes:
        """An object's bytes, for tests that need no event loop.

        Raises:
            KeyError: There is no such object, or this is a sink.
        """
        found = self.objects[key].data
        if found is None:
            raise KeyError(key)
        return found

    async def put_object(self, key: str, body: Body, checksum: Checksum, properties: Properties) -> Stored:
        """See `port.Bodies.put_object`."""
        self._note("PutObject", key, 0, len(body))
        _check_key("PutObject", key)
        _check_body("PutObject", key, body, checksum)
        stored = _Object(len(body), self._etag(), checksum, properties, self._keep(body))
        self.objects[key] = stored
        return Stored(stored.etag, checksum)

    async def upload_part(self, key: str, upload_id: str, number: int, body: Body, checksum: Checksum) -> str:
        """See `port.Bodies.upload_part`."""
        self._note("UploadPart", key, number, len(body))
        upload = self._upload("UploadPart", key, upload_id)
        if not 1 <= number <= _MAX_PARTS:
            raise _refusal("UploadPart", key, 400, "InvalidArgument", f"part number {number} is not from 1 to {_MAX_PARTS}")
        if checksum.algorithm is not upload.algorithm:
            raise _refusal("UploadPart", key, 400, "InvalidRequest", f"the upload was created with {upload.algorithm.value}")
        _check_body("UploadPart", key, body, checksum)
        part = _Part(len(body), self._etag(), checksum, self._keep(body))
        upload.parts[number] = part
        return part.etag

    async def create_multipart_upload(self, key: str, algorithm: Algorithm, properties: Properties) -> str:
        """See `port.Store.create_multipart_upload`."""
        self._note("CreateMultipartUpload", key)
        _check_key("CreateMultipartUpload", key)
        upload_id = f"upload-{next(self._serial)}"
        self._uploads[upload_id] = _Pending(key, algorithm, properties, time.time(), {})
        return upload_id

    async def complete_multipart_upload(
        self, key: str, upload_id: str, receipts: Sequence[Receipt], size: int, checksum: Checksum
    ) -> Stored:
        """See `port.Store.complete_multipart_upload`."""
        op = "CompleteMultipartUpload"
        self._note(op, key)
        upload = self._upload(op, key, upload_id)
        numbers = [receipt.number for receipt in receipts]
        if not numbers:
            raise _refusal(op, key, 400, "MalformedXML", "no parts")
        if sorted(set(numbers)) != numbers:
            raise _refusal(op, key, 400, "InvalidPartOrder", "parts are not in ascending order")
        parts = []
        for receipt in receipts:
            part = upload.parts.get(receipt.number)
            if part is None or part.etag != receipt.etag or part.checksum != receipt.checksum:
                raise _refusal(op, key, 400, "InvalidPart", f"part {receipt.number} was not uploaded so")
            parts.append(part)
        if any(part.size < self._min_part_size for part in parts[:-1]):
            raise _refusal(op, key, 400, "EntityTooSmall", f"a part is smaller than {self._min_part_size} bytes")
        if sum(part.size for part in parts) != size:
            raise _refusal(op, key, 400, "InvalidRequest", "the object's size is not the sum of its parts'")
        # Of what was received, not of what the receipts say.
        true = checksums.of_parts(
            upload.algorithm,
            [Receipt(number, part.size, part.etag, part.checksum) for number, part in zip(numbers, parts, strict=True)],
        )
        if checksum != true:
            raise _refusal(op, key, 400, "BadDigest", "the object's checksum is not that of its parts")
        data = None if self._sink else b"".join(part.data or b"" for part in parts)
        stored = _Object(size, f"{self._etag()}-{len(parts)}", true, upload.properties, data)
        self.objects[key] = stored
        del self._uploads[upload_id]
        return Stored(stored.etag, true)

    async def abort_multipart_upload(self, key: str, upload_id: str) -> None:
        """See `port.Store.abort_multipart_upload`."""
        self._note("AbortMultipartUpload", key)
        upload = self._uploads.get(upload_id)
        if upload is not None and upload.key == key:
            del self._uploads[upload_id]

    async def list_parts(self, key: str, upload_id: str) -> AsyncIterator[RemotePart]:
        """See `port.Store.list_parts`."""
        self._note("ListParts", key)
        for number, part in sorted(self._upload("ListParts", key, upload_id).parts.items()):
            yield RemotePart(number, part.size, part.etag)

    async def head_object(self, key: str) -> RemoteObject | None:
        """See `port.Store.head_object`."""
        self._note("HeadObject", key)
        found = self.objects.get(key)
        if found is None:
            return None
        return RemoteObject(key, found.size, found.etag, found.checksum, _metadata(found.properties.metadata))

    async def get_object(self, key: str, start: int = 0, etag: str = "") -> AsyncIterator[bytes]:
        """See `port.Bodies.get_object`."""
        self._note("GetObject", key)
        found = self.objects.get(key)
        if found is None:
            raise _refusal("GetObject", key, 404, "NoSuchKey", "there is no such object")
        if found.data is None:
            raise RejectedError("a sink keeps no bytes", op="GetObject", path=key)
        if etag not in ("", found.etag):
            raise _refusal("GetObject", key, 412, "PreconditionFailed", "another object has this key")
        for at in range(start, found.size, _PIECE):
            yield found.data[at : at + _PIECE]

    async def list_objects(self, prefix: str, after: str = "") -> AsyncIterator[RemoteObject]:
        """See `port.Store.list_objects`."""
        self._note("ListObjectsV2", prefix)
        behind = after.encode()
        matching = (key for key in self.objects if key.startswith(prefix) and key.encode() > behind)
        for key in sorted(matching, key=str.encode):
            if (found := self.objects.get(key)) is not None:  # deleted since
                yield RemoteObject(key, found.size, found.etag)

    async def list_multipart_uploads(self, prefix: str) -> AsyncIterator[RemoteUpload]:
        """See `port.Store.list_multipart_uploads`."""
        self._note("ListMultipartUploads", prefix)
        matching = [(upload.key, upload_id, upload) for upload_id, upload in self._uploads.items()]
        for key, upload_id, upload in sorted(matching, key=lambda item: item[:2]):
            if key.startswith(prefix):
                yield RemoteUpload(key, upload_id, upload.initiated)

    async def delete_object(self, key: str) -> None:
        """See `port.Store.delete_object`."""
        self._note("DeleteObject", key)
        self.objects.pop(key, None)

    async def delete_objects(self, keys: Sequence[str]) -> Mapping[str, StoreError]:
        """See `port.Store.delete_objects`."""
        for key in keys:
            self._note("DeleteObjects", key)
        if not 0 < len(keys) <= MOST_DELETED:
            raise _refusal("DeleteObjects", "", 400, "MalformedXML", f"a request names 1 to {MOST_DELETED} keys")
        for key in keys:
            self.objects.pop(key, None)
        return {}

    async def check_bucket(self, prefix: str) -> None:
        """See `port.Store.check_bucket`."""
        self._note("ListObjectsV2", prefix)

    async def visibility(self) -> Visibility:
        """See `port.Store.visibility`."""
        self._note("GetBucketPolicyStatus", "")
        return self.seen

    def _note(self, op: str, key: str, part: int = 0, size: int = 0) -> None:
        if self._log:
            self.requests.append(Request(op, key, part, size))

    def _etag(self) -> str:
        """An ETag that is as opaque as S3 says: no hash of anything."""
        return f"{next(self._serial):032x}"

    def _keep(self, body: Body) -> bytes | None:
        return None if self._sink else bytes(body)

    def _upload(self, op: str, key: str, upload_id: str) -> _Pending:
        upload = self._uploads.get(upload_id)
        if upload is None or upload.key != key:
            raise _refusal(op, key, 404, "NoSuchUpload", "there is no such upload")
        return upload


def _check_key(op: str, key: str) -> None:
    if not 0 < len(key.encode()) <= _MAX_KEY:
        raise _refusal(op, key, 400, "KeyTooLongError", f"a key has 1 to {_MAX_KEY} bytes of UTF-8")


def _check_body(op: str, key: str, body: Body, checksum: Checksum) -> None:
    if checksums.compute(checksum.algorithm, body) != checksum:
        raise CorruptedError("the checksum is not that of the body", op=op, path=key, status=400, code="BadDigest")


def _metadata(given: Mapping[str, str]) -> dict[str, str]:
    return {name.lower(): value for name, value in given.items()}


def _refusal(op: str, key: str, status: int, code: str, message: str) -> StoreError:
    return to_error(op, key, status, code, message)
