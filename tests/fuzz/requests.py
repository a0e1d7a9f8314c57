"""What reaches the strict server: bytes that are no request, and signed requests that make no sense."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

from hypothesis import strategies as st

from asyncmirror.testing import S3Server, ServerConfig
from tests.fuzz.target import Target, looping, mutated
from tests.testing.s3_clients import Raw

_METHODS = st.sampled_from(["PUT", "GET", "HEAD", "POST", "DELETE", "PATCH"])
_PATHS = st.sampled_from(
    ["/", "/bucket", "/bucket/", "/bucket/key", "/none/key", "/bucket/%FF", "/bucket/%zz", "//", "/bucket/" + "k" * 1100]
)
_ARGUMENTS = st.sampled_from(
    [
        "uploads",
        "uploadId",
        "partNumber",
        "list-type",
        "max-keys",
        "continuation-token",
        "start-after",
        "prefix",
        "delimiter",
        "encoding-type",
        "max-parts",
        "part-number-marker",
        "max-uploads",
        "key-marker",
        "upload-id-marker",
        "acl",
        "policyStatus",
        "location",
        "delete",
        "tagging",
        "X-Amz-Signature",
        "X-Amz-Algorithm",
        "versionId",
    ]
)
_TEXTS = st.sampled_from(
    ["", "0", "1", "-1", "10001", "9" * 5000, "2", "url", "%FF", "a/b", "x", "id", "%00", "%F0%9F%98%80", "1.5"]
)
_HEADERS = st.sampled_from(
    [
        ("x-amz-checksum-crc64nvme", "AAAA"),
        ("x-amz-checksum-crc32", "\xff"),
        ("x-amz-checksum-algorithm", "none"),
        ("x-amz-checksum-type", "COMPOSITE"),
        ("x-amz-sdk-checksum-algorithm", "CRC32"),
        ("x-amz-trailer", "x-amz-checksum-crc32"),
        ("x-amz-decoded-content-length", "9" * 5000),
        ("x-amz-decoded-content-length", "-1"),
        ("x-amz-content-sha256", "STREAMING-UNSIGNED-PAYLOAD-TRAILER"),
        ("x-amz-content-sha256", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"),
        ("x-amz-content-sha256", "UNSIGNED-PAYLOAD"),
        ("content-encoding", "aws-chunked"),
        ("content-md5", "x"),
        ("if-none-match", "*"),
        ("if-match", '"'),
        ("range", "bytes=" + "9" * 5000 + "-"),
        ("range", "bytes=5-1"),
        ("range", "bytes=--"),
        ("x-amz-mp-object-size", "9" * 5000),
        ("x-amz-mp-object-size", "x"),
        ("x-amz-date", "never"),
        ("x-amz-date", "99999999T999999Z"),
        ("date", "never"),
        ("authorization", "AWS4-HMAC-SHA256 Credential=testkey/x/y, SignedHeaders=;;, Signature=z"),
        (
            "authorization",
            "AWS4-HMAC-SHA256 Credential=testkey/20260101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=\xff",
        ),
        ("x-amz-meta-a", "\xff"),
        ("x-amz-acl", "odd"),
        ("expect", "100-continue"),
    ]
)
_BODIES = mutated(
    st.sampled_from(
        [
            b"",
            b"<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>e</ETag></Part></CompleteMultipartUpload>",
            b"<CompleteMultipartUpload><Part><PartNumber>" + b"9" * 5000 + b"</PartNumber></Part></CompleteMultipartUpload>",
            b'<?xml version="1.0" encoding="hex"?><Delete><Object><Key>a</Key></Object></Delete>',
            b"<Delete><Object><Key>a</Key></Object><Quiet>x</Quiet></Delete>",
            b"5;chunk-signature=x\r\nhello\r\n0;chunk-signature=y\r\nx-amz-checksum-crc32:AAAA\r\n\r\n",
            b"ffffffffffffffffff\r\n",
            b"<a>" * 5000,
        ]
    ),
    2,
)


class Signed(NamedTuple):
    """A request: `early` headers are signed, `late` ones are not."""

    method: str
    path: str
    query: list[tuple[str, str]]
    early: list[tuple[str, str]]
    late: list[tuple[str, str]]
    body: bytes
    anonymous: bool


_RAW = mutated(
    st.builds(
        lambda method, path, headers, body: (
            (
                f"{method} {path} HTTP/1.1\r\nHost: localhost\r\n"
                + "".join(f"{name}: {value}\r\n" for name, value in headers)
                + "Connection: close\r\n\r\n"
            ).encode("latin-1")
            + body
        ),
        _METHODS,
        _PATHS,
        st.lists(
            _HEADERS | st.sampled_from([("content-length", "5"), ("content-length", "9" * 5000), ("content-length", "²")]),
            max_size=4,
        ),
        _BODIES,
    ),
    3,
)


@contextmanager
def _server(_: Path) -> Iterator[Callable[[Signed | bytes], None]]:
    async def opened(stack: AsyncExitStack) -> tuple[S3Server, Raw, str]:
        server = await stack.enter_async_context(S3Server(ServerConfig(public=frozenset({"bucket"}), min_part_size=1)))
        raw = Raw(server)
        await raw("PUT", "/bucket/there", body=b"an object")
        created = await raw("POST", "/bucket/key?uploads=", {"x-amz-checksum-algorithm": "CRC32"})
        return server, raw, created.body.partition(b"<UploadId>")[2].partition(b"</UploadId>")[0].decode()

    async def attempt(value: Signed | bytes) -> None:
        if isinstance(value, bytes):
            reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
            writer.write(value)
            writer.write_eof()
            with suppress(ConnectionError):
                await reader.read()
            writer.close()
        else:
            query = "&".join(f"{name}={text.format(id=upload_id)}" for name, text in value.query)
            target = value.path + "?" * bool(query) + query
            answer = await raw(
                value.method,
                target,
                dict(value.early),
                value.body,
                late_headers=dict(value.late),
                anonymous=value.anonymous,
            )
            assert answer.status != 500, answer.body
        assert not server._hub.crashes, server._hub.crashes

    with looping() as run:
        stack = AsyncExitStack()
        server, raw, upload_id = run(opened(stack))
        try:
            yield lambda value: run(attempt(value))
        finally:
            server._hub.crashes.clear()  # each was told when it happened
            run(stack.aclose())


# What the operations take: the values are drawn.
_OPERATIONS = st.sampled_from(
    [
        ("GET", "/bucket", ("list-type", "max-keys", "continuation-token", "start-after", "prefix", "delimiter")),
        ("GET", "/bucket", ("max-keys", "marker", "encoding-type")),
        ("GET", "/bucket", ("uploads", "max-uploads", "key-marker", "upload-id-marker")),
        ("GET", "/bucket/key", ("uploadId", "max-parts", "part-number-marker")),
        ("GET", "/bucket/there", ("partNumber",)),
        ("HEAD", "/bucket/there", ()),
        ("PUT", "/bucket/key", ("uploadId", "partNumber")),
        ("PUT", "/bucket/key", ()),
        ("POST", "/bucket/key", ("uploads",)),
        ("POST", "/bucket/key", ("uploadId",)),
        ("POST", "/bucket", ("delete",)),
        ("DELETE", "/bucket/key", ("uploadId",)),
    ]
)


@st.composite
def _operations(draw: st.DrawFn) -> Signed:
    """A request that makes sense but for its values."""
    method, path, names = draw(_OPERATIONS)
    query = [(name, draw(st.just("{id}") if name == "uploadId" else _TEXTS)) for name in names if draw(st.integers(0, 3))]
    return Signed(method, path, query, draw(_EARLY), draw(st.lists(_HEADERS, max_size=1)), draw(_BODIES), draw(st.booleans()))


_EARLY = st.lists(
    _HEADERS.filter(lambda pair: pair[1].isascii() and pair[0] not in ("authorization", "x-amz-date", "date")), max_size=3
)
_SIGNED = _operations() | st.builds(
    Signed,
    _METHODS,
    _PATHS,
    st.lists(st.tuples(_ARGUMENTS, _TEXTS), max_size=3),
    _EARLY,
    st.lists(_HEADERS, max_size=1),
    _BODIES,
    st.booleans(),
)

TARGETS: tuple[Target[Any], ...] = (Target("server", _SIGNED | _RAW, _server, 150),)
