"""What a store answers: its bytes, on the lean wire and through the SDK."""

import os
import re
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

from hypothesis import strategies as st

from asyncmirror import checksum
from asyncmirror.errors import ConnectionFaultError, StoreError
from asyncmirror.model import Algorithm, Properties, Receipt
from asyncmirror.settings import Connection, ObjectOptions
from asyncmirror.store.s3 import S3Store
from asyncmirror.store.wire.answer import Answer, AnswerReader
from tests.fuzz.pure import DOCUMENTS
from tests.fuzz.target import Target, constant, in_pieces, looping, mutated
from tests.wire.scripted import OK, Peer, put, serving, wired

# Answers

_STATUSES = st.sampled_from([b"200 OK"] * 6 + [b"204 X", b"100 Continue", b"101 X", b"301 X", b"403 X", b"404 X", b"500 X"]) | (
    st.sampled_from([b"000 X", b"099 X", b"200", b"999 X", b"2OO OK", b"200 \xff\x1b[2J", b"503 Slow Down", b"307 X", b"412 X"])
)
_VERSIONS = st.sampled_from([b"HTTP/1.1 "] * 8 + [b"HTTP/1.0 ", b"HTTP/0.9 ", b"HTTP/2 ", b"ICY ", b""])
_HEADERS = st.sampled_from(
    [
        b'ETag: "fuzz"',
        b'etag: "fuzz"',
        b'ETag: ""',
        b"ETag: fuzz\xff\x1b",
        b"Content-Length: 0",
        b"Content-Length: 5",
        b"Content-Length: 99999999999999999999999",
        b"Content-Length: -1",
        b"Content-Length: 1073741824",
        b"Transfer-Encoding: chunked",
        b"Transfer-Encoding: gzip, chunked",
        b"Connection: close",
        b"Connection: Upgrade",
        b"Upgrade: h2c",
        b"Date: Mon, 99 Nov 2026 99:99:99 GMT",
        b"Date: Thu, 01 Jan 1970 00:00:00 GMT",
        b"Date: Fri, 31 Dec 9999 23:59:59 GMT",
        b"x-amz-checksum-crc64nvme: AAAAAAAAAAA=",
        b"x-amz-checksum-crc64nvme: \xc3\xa9",
        b"x-amz-checksum-crc64nvme: AAAAAAAAAAA=-" + b"9" * 5000,
        b"x-amz-bucket-region: \x1b[31m",
        b"x-amz-meta-\xff: \xff",
        b"Content-Encoding: gzip",
        b"Content-Type: text/html; charset=none",
        b"Last-Modified: never",
        b"x: " + b"y" * 300,
        b": empty",
        b" folded",
    ]
)
_CHUNKS = st.sampled_from(
    [b"5\r\nhello\r\n0\r\n\r\n", b"0\r\n\r\n", b"5;x=y\r\nhello\r\n0\r\nTrailer: t\r\n\r\n", b"fffffffffffffffff\r\n"]
)
_ENDS = st.sampled_from([b"\r\n"] * 10 + [b"\n", b"\r"])


def _answer(version: bytes, status: bytes, headers: list[bytes], end: bytes, body: bytes) -> bytes:
    return end.join([version + status, *headers, b"", b""]) + body


def answers(bodies: st.SearchStrategy[bytes]) -> st.SearchStrategy[bytes]:
    """Answers of all kinds, most of them wrong somewhere."""
    return st.builds(_answer, _VERSIONS, _STATUSES, st.lists(_HEADERS, max_size=5), _ENDS, bodies)


def whole(bodies: st.SearchStrategy[bytes]) -> st.SearchStrategy[bytes]:
    """Answers whose length is right."""
    return st.builds(
        lambda status, headers, body: _answer(
            b"HTTP/1.1 ", status, [*headers, b"Content-Length: %d" % len(body)], b"\r\n", body
        ),
        _STATUSES,
        st.lists(_HEADERS.filter(lambda line: not line.startswith((b"Content-Length", b"Transfer"))), max_size=3),
        bodies,
    )


_BODIES = _CHUNKS | st.just(b"hello") | DOCUMENTS | st.binary(max_size=20)
_STREAMS = mutated(answers(_BODIES), 3) | whole(_BODIES) | st.lists(whole(_BODIES), max_size=3).map(b"".join) | st.binary()

# The reader: the places where the bytes are cut make no difference


def _read(pieces: list[bytes]) -> Answer | str:
    reader = AnswerReader()
    for piece in pieces:
        try:
            reader.feed(piece)
        except ConnectionFaultError:
            return "refused"
    if not reader.complete:
        return "incomplete"
    return reader.answer()


def _cut(pieces: list[bytes]) -> None:
    data = b"".join(pieces)
    assert _read(pieces) == _read([data])
    assert _read([data[at : at + 1] for at in range(len(data))]) == _read([data])


# The wire: an answer is a success only where it says so, and none reaches another request


@contextmanager
def _wire(_: Path) -> Iterator[Callable[[list[bytes]], None]]:
    pieces: list[bytes] = []

    async def script(peer: Peer) -> None:
        while True:
            request = await peer.request()
            if "/fuzz " not in request.line:
                await peer.send(OK.replace(b'"e"', b'"own"'))
                continue
            for piece in pieces:
                await peer.send(piece)
            return

    async def attempt(given: list[bytes]) -> None:
        pieces[:] = given
        data = b"".join(given)
        async with serving(script) as server, wired(server.endpoint(), timeout=1.0) as wire:
            for _ in range(2):
                try:
                    stored = await put(wire, "fuzz")
                except StoreError as error:
                    assert str(error)
                else:
                    assert re.search(rb"HTTP/1\.[01] 2\d\d", data), "no status of success was sent"
                    assert stored.etag.encode("latin-1", "replace") in data
                assert (await put(wire, "own")).etag == "own"

    with looping() as run:
        yield lambda given: run(attempt(given))


# The SDK: each operation, each answer

_ROOTS = ("Error", "ListPartsResult", "ListBucketResult", "ListMultipartUploadsResult", "InitiateMultipartUploadResult")
_ELEMENTS = [
    "Code",
    "Message",
    "Region",
    "Part",
    "PartNumber",
    "Size",
    "ETag",
    "IsTruncated",
    "NextPartNumberMarker",
    "Contents",
    "Key",
    "NextContinuationToken",
    "Upload",
    "UploadId",
    "Initiated",
    "NextKeyMarker",
    "NextUploadIdMarker",
    "LastModified",
    "EncodingType",
    "Location",
    "Bucket",
    "KeyCount",
    "Owner",
    "Initiator",
    "ChecksumCRC64NVME",
    "ChecksumAlgorithm",
    "ChecksumType",
    "StorageClass",
    "CommonPrefixes",
    "Prefix",
    "RestoreStatus",
    "x",
]
_ELEMENT_TEXTS = st.sampled_from(
    ["", "0", "1", "-1", "true", "false", "maybe", "9" * 30, "9" * 5000, "1e400", "NoSuchUpload", "SlowDown", "url", "%zz",
     "&#x1b;", "2026-01-01T00:00:00Z", "0000-00-00", "9999-12-31T23:59:59-14:00", "99999999999999999999", "never", "\u202e"]
)  # fmt: skip


@st.composite
def _sdk_documents(draw: st.DrawFn) -> bytes:
    def element(depth: int) -> str:
        name = draw(st.sampled_from(_ELEMENTS))
        if depth and draw(st.integers(0, 2)) == 0:
            inside = "".join(element(depth - 1) for _ in range(draw(st.integers(0, 4))))
        else:
            inside = draw(_ELEMENT_TEXTS)
        return f"<{name}>{inside}</{name}>"

    root = draw(st.sampled_from([*_ROOTS, "CompleteMultipartUploadResult", "html"]))
    more = draw(st.sampled_from(["", "<IsTruncated>false</IsTruncated>", "<IsTruncated>true</IsTruncated>"]))
    inside = "".join(element(2) for _ in range(draw(st.integers(0, 5))))
    space = draw(st.sampled_from(["", ' xmlns="http://s3.amazonaws.com/doc/2006-03-01/"', ' xmlns:s3="x" encoding="none"']))
    prolog = draw(st.sampled_from(["", '<?xml version="1.0" encoding="UTF-8"?>', '<?xml version="1.0" encoding="hex"?>']))
    return f"{prolog}<{root}{space}>{inside}{more}</{root}>".encode()


_SDK_BODIES = _sdk_documents() | mutated(_sdk_documents(), 2) | DOCUMENTS | st.binary(max_size=20)
_BODY = b"some bytes"
_SUM = checksum.compute(Algorithm.CRC64NVME, _BODY)
_PLAIN = Properties("application/octet-stream", {})


async def _all(found: Any) -> list[object]:
    """The first of a listing: a store may go on for ever, but each page is another request's deadline."""
    values = []
    async for value in found:
        values.append(value)
        if len(values) > 100:
            break
    return values


_OPERATIONS: tuple[Callable[[S3Store], Awaitable[object]], ...] = (
    lambda store: store.put_object("key", _BODY, _SUM, _PLAIN),
    lambda store: store.upload_part("key", "id", 1, _BODY, _SUM),
    lambda store: store.create_multipart_upload("key", Algorithm.CRC64NVME, _PLAIN),
    lambda store: store.complete_multipart_upload("key", "id", [Receipt(1, len(_BODY), "e", _SUM)], len(_BODY), _SUM),
    lambda store: store.abort_multipart_upload("key", "id"),
    lambda store: _all(store.list_parts("key", "id")),
    lambda store: store.head_object("key"),
    lambda store: _all(store.get_object("key")),
    lambda store: _all(store.list_objects("")),
    lambda store: _all(store.list_multipart_uploads("")),
    lambda store: store.delete_object("key"),
    lambda store: store.delete_objects(["key", "other"]),
    lambda store: store.check_bucket(""),
)


@contextmanager
def _sdk(work: Path) -> Iterator[Callable[[tuple[int, bytes]], None]]:
    answer = b""

    async def script(peer: Peer) -> None:
        head = await peer.head()
        fields = {name.lower(): value for name, value in head.headers.items()}
        await peer.reader.readexactly(int(fields.get("content-length", 0)))
        await peer.send(answer)

    async def opened(stack: AsyncExitStack) -> S3Store:
        server = await stack.enter_async_context(serving(script))
        connection = Connection(endpoint_url=f"http://127.0.0.1:{server.port}", addressing_style="path")
        return await stack.enter_async_context(S3Store("bucket", connection, ObjectOptions(), 4))

    async def attempt(operation: int, given: bytes) -> None:
        nonlocal answer
        answer = given
        try:
            await _OPERATIONS[operation](store)
        except StoreError as error:
            assert str(error)

    environment = {
        "HOME": str(work),
        "AWS_ACCESS_KEY_ID": "testkey",
        "AWS_SECRET_ACCESS_KEY": "testsecret",
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    with patch.dict(os.environ, environment, clear=True), looping() as run:
        stack = AsyncExitStack()
        store = run(opened(stack))
        try:
            yield lambda value: run(attempt(*value))
        finally:
            run(stack.aclose())


TARGETS: tuple[Target[Any], ...] = (
    Target("cut", in_pieces(_STREAMS), constant(_cut), 100),
    Target("wire", in_pieces(_STREAMS), _wire, 60),
    Target(
        "sdk",
        st.tuples(
            st.integers(0, len(_OPERATIONS) - 1), whole(_SDK_BODIES) | mutated(whole(_SDK_BODIES), 2) | answers(_SDK_BODIES)
        ),
        _sdk,
        75,
    ),
)
