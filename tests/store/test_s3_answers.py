"""What S3Store makes of answers that a good store never gives, and what it sends."""

from collections.abc import Awaitable, Callable
from typing import cast

import pytest

from asyncmirror import checksum as checksums
from asyncmirror.errors import (
    AccessDeniedError,
    BucketError,
    ConnectionFaultError,
    CredentialsError,
    RejectedError,
    ServerFaultError,
    StoreError,
    ThrottledError,
    UploadGoneError,
)
from asyncmirror.model import Algorithm, Properties, Receipt, RemoteUpload, Stored
from asyncmirror.settings import Connection, ObjectOptions
from asyncmirror.store.s3 import S3Store
from tests.store.canned import Answer, http, serving, xml

pytestmark = pytest.mark.usefixtures("chain")
CRC = Algorithm.CRC64NVME
BODY = b"some bytes"
SUM = checksums.compute(CRC, BODY)
PLAIN = Properties("application/octet-stream", {})
RECEIPT = Receipt(1, len(BODY), "etag", SUM)
Act = Callable[[S3Store], Awaitable[object]]


def put(store: S3Store) -> Awaitable[object]:
    return store.put_object("key", BODY, SUM, PLAIN)


def part(store: S3Store) -> Awaitable[object]:
    return store.upload_part("key", "id", 1, BODY, SUM)


def create(store: S3Store) -> Awaitable[object]:
    return store.create_multipart_upload("key", CRC, PLAIN)


def complete(store: S3Store) -> Awaitable[object]:
    return store.complete_multipart_upload("key", "id", [RECEIPT], len(BODY), SUM)


def head(store: S3Store) -> Awaitable[object]:
    return store.head_object("key")


def check(store: S3Store) -> Awaitable[object]:
    return store.check_bucket("")


async def listing(store: S3Store) -> object:
    return [found async for found in store.list_objects("")]


async def parts(store: S3Store) -> object:
    return [found async for found in store.list_parts("key", "id")]


async def uploads(store: S3Store) -> object:
    return [found async for found in store.list_multipart_uploads("")]


async def get(store: S3Store) -> object:
    return [piece async for piece in store.get_object("key")]


def always(answer: bytes | None) -> Answer:
    return lambda _, __: answer


async def outcome(answer: Answer, act: Act, objects: ObjectOptions | None = None) -> object:
    async with (
        serving(answer) as server,
        S3Store("bucket", Connection(endpoint_url=server.url), objects or ObjectOptions(), 4) as store,
    ):
        try:
            return await act(store)
        finally:
            assert server.heard


def error(code: str, status: str, extra: str = "", *headers: str) -> bytes:
    return xml(f"<Error><Code>{code}</Code><Message>said</Message>{extra}</Error>", status, *headers)


OK = http("200 OK")
HTML = http("200 OK", b"<html><body>Welcome to the hotel</body></html>", "Content-Type: text/html")
LIST = "<ListBucketResult><IsTruncated>{}</IsTruncated>{}</ListBucketResult>"
CASES: list[tuple[str, Act, bytes | None, type[StoreError]]] = [
    ("put without an ETag", put, OK, ServerFaultError),
    ("part without an ETag", part, OK, ServerFaultError),
    ("part with an empty ETag", part, http("200 OK", b"", 'ETag: ""'), ServerFaultError),
    ("create without an id", create, xml("<InitiateMultipartUploadResult/>"), ServerFaultError),
    ("create answered with nothing", create, OK, ServerFaultError),
    ("complete: 200 with an error inside", complete, error("InternalError", "200 OK"), ServerFaultError),
    ("complete: 200 with NoSuchUpload inside", complete, error("NoSuchUpload", "200 OK"), UploadGoneError),
    ("complete answered with nothing", complete, OK, ServerFaultError),
    ("complete answered with a page", complete, HTML, ServerFaultError),
    ("complete cut off", complete, xml("<CompleteMultipartUploadResult><ETag>"), ServerFaultError),
    ("a listing cut off", listing, xml("<ListBucketResult><Contents><Key>a"), ServerFaultError),
    ("a listing answered with a page", listing, HTML, ServerFaultError),
    ("a listing answered with nothing", listing, OK, ServerFaultError),
    ("a listing without a token", listing, xml(LIST.format("true", "")), ServerFaultError),
    ("an object without a size", listing, xml(LIST.format("false", "<Contents><Key>a</Key></Contents>")), ServerFaultError),
    (
        "a size that is no number",
        listing,
        xml(LIST.format("false", "<Contents><Key>a</Key><Size>x</Size></Contents>")),
        ServerFaultError,
    ),
    (
        "a listing that does not go on",
        listing,
        xml(LIST.format("true", "<NextContinuationToken>a</NextContinuationToken>")),
        ServerFaultError,
    ),
    (
        "parts that do not go on",
        parts,
        xml("<ListPartsResult><IsTruncated>true</IsTruncated><NextPartNumberMarker>0</NextPartNumberMarker></ListPartsResult>"),
        ServerFaultError,
    ),
    ("parts answered with a page", parts, HTML, ServerFaultError),
    (
        "uploads that do not go on",
        uploads,
        xml("<R><IsTruncated>true</IsTruncated><NextKeyMarker>a</NextKeyMarker></R>"),
        ServerFaultError,
    ),
    ("uploads answered with a page", uploads, HTML, ServerFaultError),
    ("a read cut off", get, http("200 OK", b"x" * 100, 'ETag: "e"', "Connection: close")[:-50], ConnectionFaultError),
    ("a read answered with an error", get, error("InternalError", "200 OK"), ServerFaultError),
    ("a read answered with a page", get, HTML, ServerFaultError),
    ("hung up", put, None, ConnectionFaultError),
    ("garbage", put, b"\x00\x01garbage\r\n\r\n", ConnectionFaultError),
    ("500", put, http("500 Internal Server Error"), ServerFaultError),
    ("502 with a page", put, http("502 Bad Gateway", b"<html>no", "Content-Type: text/html"), ServerFaultError),
    ("503", put, error("SlowDown", "503 Slow Down"), ThrottledError),
    ("503 without SlowDown", put, error("ServiceUnavailable", "503 Service Unavailable"), ThrottledError),
    ("429", head, http("429 Too Many Requests"), ThrottledError),
    ("403 on a key", put, error("AccessDenied", "403 Forbidden"), AccessDeniedError),
    ("403 without a word", head, http("403 Forbidden"), AccessDeniedError),
    ("400", put, error("InvalidArgument", "400 Bad Request"), RejectedError),
    ("expired", put, error("ExpiredToken", "400 Bad Request"), CredentialsError),
    ("an error cut off", put, xml("<Error><Code>Slow", "503 Slow Down"), StoreError),
    ("no such bucket", check, error("NoSuchBucket", "404 Not Found"), BucketError),
    ("no such bucket at HEAD's place", put, error("NoSuchBucket", "404 Not Found"), BucketError),
]


@pytest.mark.parametrize(("act", "answer", "kind"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
async def test_an_answer_becomes_the_right_error(act: Act, answer: bytes | None, kind: type[StoreError]) -> None:
    with pytest.raises(kind) as caught:
        await outcome(always(answer), act)
    assert caught.value.op
    assert "\n" not in str(caught.value)


async def test_no_answer_is_tried_twice() -> None:
    for answer in (None, http("500 Internal Server Error"), error("SlowDown", "503 Slow Down"), error("BadDigest", "400 Bad")):
        async with (
            serving(always(answer)) as server,
            S3Store("bucket", Connection(endpoint_url=server.url), ObjectOptions(), 4) as store,
        ):
            with pytest.raises(StoreError):
                await put(store)
            with pytest.raises(StoreError):
                await check(store)
        assert [request.method for request in server.heard] == ["PUT", "GET"]


@pytest.mark.parametrize(
    "answer",
    [
        error("PermanentRedirect", "301 Moved Permanently", "", "x-amz-bucket-region: eu-west-1"),
        error("AuthorizationHeaderMalformed", "400 Bad Request", "<Region>eu-west-1</Region>"),
        error("IllegalLocationConstraintException", "400 Bad Request", "", "x-amz-bucket-region: eu-west-1"),
    ],
)
@pytest.mark.parametrize("act", [put, check])
async def test_a_bucket_elsewhere_is_named_with_its_region(answer: bytes, act: Act) -> None:
    with pytest.raises(BucketError, match="--region eu-west-1"):
        await outcome(always(answer), act)


async def test_head_in_the_wrong_region_is_no_missing_object() -> None:
    with pytest.raises(BucketError, match="--region eu-west-1"):
        await outcome(always(http("301 Moved Permanently", b"", "x-amz-bucket-region: eu-west-1")), head)


async def test_complete_without_an_etag_is_complete() -> None:
    answer = xml(
        "<CompleteMultipartUploadResult><Bucket>bucket</Bucket><Key>key</Key><ETag></ETag></CompleteMultipartUploadResult>"
    )
    assert await outcome(always(answer), complete) == Stored("")


async def test_a_bucket_that_may_not_be_listed_is_fine() -> None:
    assert await outcome(always(error("AccessDenied", "403 Forbidden")), check) is None


async def test_aborting_what_is_gone_is_fine() -> None:
    gone = error("NoSuchUpload", "404 Not Found")
    assert await outcome(always(gone), lambda store: store.abort_multipart_upload("key", "id")) is None


async def test_options_are_sent_with_every_new_object() -> None:
    objects = ObjectOptions(
        storage_class="GLACIER_IR",
        sse="aws:kms",
        sse_kms_key_id="key-id",
        acl="bucket-owner-full-control",
        request_payer="requester",
    )
    expected = {
        "x-amz-storage-class": "GLACIER_IR",
        "x-amz-server-side-encryption": "aws:kms",
        "x-amz-server-side-encryption-aws-kms-key-id": "key-id",
        "x-amz-acl": "bucket-owner-full-control",
        "x-amz-request-payer": "requester",
        "content-type": "image/fits",
        "x-amz-meta-nonce": "42",
    }
    properties = Properties("image/fits", {"nonce": "42"})
    answer = xml(
        "<InitiateMultipartUploadResult><UploadId>id</UploadId></InitiateMultipartUploadResult>", "200 OK", 'ETag: "e"'
    )
    async with (
        serving(always(answer)) as server,
        S3Store("bucket", Connection(endpoint_url=server.url), objects, 4) as store,
    ):
        await store.put_object("key", BODY, SUM, properties)
        await store.create_multipart_upload("key", Algorithm.SHA256, properties)
        await part(store)
    created = server.heard[1].headers
    assert expected.items() <= server.heard[0].headers.items()
    assert expected.items() <= created.items()
    assert (created["x-amz-checksum-algorithm"], created["x-amz-checksum-type"]) == ("SHA256", "COMPOSITE")
    assert server.heard[2].headers["x-amz-request-payer"] == "requester"
    assert "x-amz-storage-class" not in server.heard[2].headers


async def test_complete_names_size_and_checksums() -> None:
    answer = xml("<CompleteMultipartUploadResult><ETag>e</ETag></CompleteMultipartUploadResult>")
    async with (
        serving(always(answer)) as server,
        S3Store("bucket", Connection(endpoint_url=server.url), ObjectOptions(), 4) as store,
    ):
        await complete(store)
    (request,) = server.heard
    assert request.headers["x-amz-mp-object-size"] == str(len(BODY))
    assert request.headers["x-amz-checksum-type"] == "FULL_OBJECT"
    assert request.headers["x-amz-checksum-crc64nvme"] == checksums.to_header(SUM)
    assert f"<ChecksumCRC64NVME>{checksums.to_header(SUM)}</ChecksumCRC64NVME>".encode() in request.body


async def test_a_key_that_is_no_unicode_is_rejected() -> None:
    async with S3Store("bucket", Connection(endpoint_url="http://127.0.0.1:1"), ObjectOptions(), 4) as store:
        with pytest.raises(RejectedError):
            await store.put_object("\udcff", BODY, SUM, PLAIN)


@pytest.mark.parametrize(
    "text",
    [
        "2026-11-22T18:25:17.500Z",
        "2026-11-22T19:25:17.5+01:00",
        "2026-11-22T18:25:17.500",
        "20261122T182517.5Z",
        "Sun, 22 Nov 2026 18:25:17 GMT",
        "1795371917",
    ],
)
async def test_a_time_is_read_however_it_is_written(text: str) -> None:
    upload = f"<Upload><Key>k</Key><UploadId>id</UploadId><Initiated>{text}</Initiated></Upload>"
    answer = xml(f"<ListMultipartUploadsResult><IsTruncated>false</IsTruncated>{upload}</ListMultipartUploadsResult>")
    (found,) = cast("list[RemoteUpload]", await outcome(always(answer), uploads))
    assert int(found.initiated) == 1795371917
