"""The null server: takes every PUT as fast as it can, verifies nothing, throws bodies away.

Owns the path that is kept short for benchmarks: no header is looked at and no body copied; every PUT, of an object or a
part, gets the same prepared answer. Knows none of the checking server's rooms but the parsing of the rare requests and the
listing. With `remember` it keeps keys and sizes, at some cost per request.
"""

import asyncio
from bisect import insort
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple, TypeAlias, cast

import httptools

from asyncmirror.testing.answers import Reply, S3Error, Tree, error_reply, xml_reply
from asyncmirror.testing.bucket_ops import listing_reply
from asyncmirror.testing.config import MAX_PAGE
from asyncmirror.testing.delivery import CONTINUE, serialize
from asyncmirror.testing.request import Request, parse
from asyncmirror.testing.service import http_date, iso_date, quoted

ETAG = "not-an-md5"
"""The ETag of everything. Clients that take an ETag of 32 hexadecimal digits for the MD5 must not take this one."""

_BUFFER = 1 << 18  # bytes per read; all connections share one buffer, for what is in it is used up before the next read

Fields: TypeAlias = tuple[tuple[str, Tree], ...]


class Known(NamedTuple):
    """What is remembered of a key: bytes, and seconds since the epoch."""

    size: int
    modified: float


class Keys(dict[str, Known]):
    """Keys by name. They are put in order when a listing asks, and kept so until the next change."""

    def __init__(self) -> None:
        super().__init__()
        self._ordered: list[str] | None = None

    def put(self, key: str, known: Known) -> None:
        """Remember a key."""
        if self._ordered is not None and key not in self:
            insort(self._ordered, key)
        self[key] = known

    def drop(self, key: str) -> None:
        """Forget a key."""
        if self.pop(key, None) is not None:
            self._ordered = None

    @property
    def ordered(self) -> list[str]:
        """All keys, sorted. Not to be changed."""
        if self._ordered is None:
            self._ordered = sorted(self)
        return self._ordered


@dataclass(slots=True)
class NullHub:
    """What all connections of a null server share. `count` is of requests, `received` of bytes on the wire."""

    loop: asyncio.AbstractEventLoop
    now: Callable[[], float]
    latency: float = 0.0
    count: int = 0
    received: int = 0
    put_answer: bytes = b""
    buffer: bytearray = field(default_factory=lambda: bytearray(_BUFFER))
    buckets: dict[str, Keys] = field(default_factory=dict)
    uploads: dict[str, int] = field(default_factory=dict)
    open: "set[NullProtocol]" = field(default_factory=set)

    def tick(self) -> None:
        """Prepare the answer to PUT anew: its Date must stay true to the second for clients that mind their clock."""
        self.put_answer = (
            f'HTTP/1.1 200 OK\r\nETag: "{ETAG}"\r\nDate: {http_date(self.now())}\r\nContent-Length: 0\r\n\r\n'
        ).encode()


class NullProtocol(asyncio.BufferedProtocol):
    """A connection of the null server. It has no `on_header` and no `on_body`, so the parser makes no objects of them."""

    def __init__(self, hub: NullHub) -> None:
        self._hub = hub
        self._view = memoryview(hub.buffer)
        self._parser = httptools.HttpRequestParser(self)
        self._transport: asyncio.Transport | None = None
        self._target = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the connection up."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's are no subclass
        self._hub.open.add(self)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  asyncio's signature
        """Forget the connection."""
        self._transport = None
        self._hub.open.discard(self)

    def abort(self) -> None:
        """End the connection at once."""
        if self._transport is not None:
            self._transport.abort()

    def get_buffer(self, sizehint: int) -> bytearray:  # noqa: ARG002  asyncio's signature
        """The shared buffer."""
        return self._hub.buffer

    def buffer_updated(self, nbytes: int) -> None:
        """Feed the parser."""
        hub = self._hub
        hub.received += nbytes
        # A read that ends with a head: who sent it may wait to be told to go on, some even when no body follows.
        if hub.buffer.endswith(b"\r\n\r\n", 0, nbytes) and hub.buffer.find(b"100-continue", 0, nbytes) >= 0:
            self._write(CONTINUE)
        try:
            self._parser.feed_data(self._view[:nbytes])
        except httptools.HttpParserError:
            self.abort()

    def on_url(self, url: bytes) -> None:
        """The target; in pieces when a read ended within it."""
        self._target += url

    def on_message_complete(self) -> None:
        """The request is whole."""
        hub = self._hub
        hub.count += 1
        target, self._target = self._target, b""
        method = self._parser.get_method()
        data = hub.put_answer if method == b"PUT" else self._rare(method, target)
        if hub.latency:
            hub.loop.call_later(hub.latency, self._write, data)
        elif self._transport is not None:
            self._transport.write(data)
        if not self._parser.should_keep_alive():
            hub.loop.call_later(hub.latency, self._close)

    def _rare(self, method: bytes, target: bytes) -> bytes:
        head = method == b"HEAD"
        try:
            request = parse(method.decode("latin-1"), target, {}, (), secure=False)
            reply = answer(self._hub, request)
        except S3Error as error:
            reply = error_reply(error, "", "0")
        return serialize(reply, "0", self._hub.now(), head=head, close=False)

    def _write(self, data: bytes) -> None:
        if self._transport is not None:
            self._transport.write(data)

    def _close(self) -> None:
        if self._transport is not None:
            self._transport.close()


class RememberingProtocol(NullProtocol):
    """A null connection that remembers keys and sizes, so that they can be listed."""

    _length = 0

    def on_header(self, name: bytes, value: bytes) -> None:
        """Only the length matters."""
        if len(name) == 14 and name.lower() == b"content-length":  # noqa: PLR2004  the name's length
            self._length = int(value)

    def on_message_complete(self) -> None:
        """Remember what was put, then answer."""
        if self._parser.get_method() == b"PUT":
            remember(self._hub, self._target, self._length)
        self._length = 0
        super().on_message_complete()


def remember(hub: NullHub, target: bytes, size: int) -> None:
    """Keep a key, or a part's size, in bytes, with its upload."""
    try:
        request = parse("PUT", target, {}, (), secure=False)
    except S3Error:
        return
    if request.op == "UploadPart":
        upload_id = request.arg("uploadId")
        hub.uploads[upload_id] = hub.uploads.get(upload_id, 0) + size
    elif request.op == "PutObject":
        hub.buckets.setdefault(request.bucket, Keys()).put(request.key, Known(size, hub.now()))


def answer(hub: NullHub, request: Request) -> Reply:
    """The reply to anything but PUT.

    Raises:
        S3Error: NoSuchKey, or NotImplemented.
    """
    operation = _OPERATIONS.get(request.op)
    if operation is None:
        raise S3Error("NotImplemented", "The null server has no such operation.")
    return operation(hub, request, hub.buckets.setdefault(request.bucket, Keys()))


def _create(hub: NullHub, request: Request, _keys: Keys) -> Reply:
    named = (("Bucket", request.bucket), ("Key", request.key), ("UploadId", f"upload-{hub.count}"))
    return xml_reply("InitiateMultipartUploadResult", named)


def _complete(hub: NullHub, request: Request, keys: Keys) -> Reply:
    size = hub.uploads.pop(request.arg("uploadId"), None)
    if size is not None:
        keys.put(request.key, Known(size, hub.now()))
    inside = (("Bucket", request.bucket), ("Key", request.key), ("ETag", quoted(f"{ETAG}-1")))
    return xml_reply("CompleteMultipartUploadResult", inside)


def _abort(hub: NullHub, request: Request, _keys: Keys) -> Reply:
    hub.uploads.pop(request.arg("uploadId"), None)
    return Reply(204)


def _delete(_hub: NullHub, request: Request, keys: Keys) -> Reply:
    keys.drop(request.key)
    return Reply(204)


def _list(_hub: NullHub, request: Request, keys: Keys) -> Reply:
    return listing_reply(request, keys.ordered, lambda key: _entry(keys[key]), MAX_PAGE)


def _uploads(_hub: NullHub, request: Request, _keys: Keys) -> Reply:
    return xml_reply("ListMultipartUploadsResult", (("Bucket", request.bucket), ("IsTruncated", "false")))


def _location(_hub: NullHub, _request: Request, _keys: Keys) -> Reply:
    return xml_reply("LocationConstraint", ())


def _fine(_hub: NullHub, _request: Request, _keys: Keys) -> Reply:
    return Reply(200, (("x-amz-bucket-region", "us-east-1"),))


def _head(_hub: NullHub, request: Request, keys: Keys) -> Reply:
    known = keys.get(request.key)
    if known is None:
        raise S3Error("NoSuchKey", "The specified key does not exist.")
    length = ("Content-Length", str(known.size))
    return Reply(200, (("ETag", quoted(ETAG)), ("Last-Modified", http_date(known.modified)), length))


def _entry(known: Known) -> Fields:
    return (("LastModified", iso_date(known.modified)), ("ETag", quoted(ETAG)), ("Size", known.size))


_OPERATIONS: Mapping[str, Callable[[NullHub, Request, Keys], Reply]] = {
    "AbortMultipartUpload": _abort,
    "CompleteMultipartUpload": _complete,
    "CreateMultipartUpload": _create,
    "DeleteObject": _delete,
    "GetBucketLocation": _location,
    "GetBucketVersioning": _fine,
    "HeadBucket": _fine,
    "HeadObject": _head,
    "ListMultipartUploads": _uploads,
    "ListObjects": _list,
    "ListObjectsV2": _list,
}
