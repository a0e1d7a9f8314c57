"""Each fault as a raw client meets it: the bytes on the socket, how the connection ends, and what the server did."""

import asyncio
import time
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError, HTTPClientError

from asyncmirror.testing import Fault, FaultPlan, Kind, S3Server, ServerConfig
from tests.testing.s3_clients import Boto, Raw

BODY = b"0123456789" * 20_000


async def _converse(
    server: S3Server, *, body: bytes = BODY, patience: float = 5.0, target: str = "/bucket/a"
) -> tuple[bytes, str]:
    """Send one signed PUT and read to the end; gives what came, and how it ended: closed, reset or hung."""
    headers = Raw(server).sign("PUT", target, {}, body, None)
    head = "".join(f"{name}: {value}\r\n" for name, value in {**headers, "Content-Length": len(body)}.items())
    reader, writer = await asyncio.open_connection(server.config.host, server.port)
    received = bytearray()
    try:
        async with asyncio.timeout(patience):
            writer.write(f"PUT {target} HTTP/1.1\r\n{head}\r\n".encode() + body)
            while piece := await reader.read(65536):
                received += piece
        return bytes(received), "closed"
    except ConnectionResetError:
        return bytes(received), "reset"
    except TimeoutError:
        return bytes(received), "hung"
    finally:
        writer.transport.abort()


def _inject(server: S3Server, kind: Kind, op: str = "PutObject", **rule: Any) -> None:
    server.inject(FaultPlan((Fault(op, kind, **rule),)))


@pytest.mark.parametrize("kind", [Kind.RESET_BEFORE, Kind.RESET_IN_BODY, Kind.RESET_AFTER])
async def test_a_reset_before_in_or_after_the_body_stores_nothing(server: S3Server, kind: Kind) -> None:
    _inject(server, kind)
    assert await _converse(server) == (b"", "reset")
    (logged,) = server.requests
    assert (logged.status, logged.done, logged.fault) == (0, False, kind.value)
    assert not server.objects("bucket")
    assert {
        Kind.RESET_BEFORE: logged.body_bytes == 0,
        Kind.RESET_IN_BODY: len(BODY) / 2 <= logged.body_bytes < len(BODY),
        Kind.RESET_AFTER: logged.body_bytes == len(BODY),
    }[kind]


async def test_a_lost_answer_comes_after_success(server: S3Server) -> None:
    _inject(server, Kind.LOST_ANSWER)
    assert await _converse(server) == (b"", "reset")
    assert server.objects("bucket")["a"].body == BODY
    assert (server.requests[0].status, server.requests[0].done) == (200, True)


async def test_a_stale_connection_is_closed_without_a_word(server: S3Server) -> None:
    _inject(server, Kind.CLOSE_BEFORE)
    assert (await _converse(server, body=b""))[0] == b""
    assert not server.requests[0].done


async def test_an_early_answer_lies_before_the_body_came(server: S3Server) -> None:
    _inject(server, Kind.EARLY_ANSWER, status=200)
    answer, ending = await _converse(server)
    assert (answer.startswith(b"HTTP/1.1 200 OK"), b"Connection: close" in answer, ending) == (True, True, "closed")
    assert not server.objects("bucket")
    assert server.requests[0].body_bytes == 0


@pytest.mark.parametrize(
    ("kind", "start"),
    [(Kind.STALL, b""), (Kind.STALL_IN_BODY, b""), (Kind.STALL_IN_ANSWER, b"HTTP/1.1 200 OK")],
)
async def test_a_stall_hangs(server: S3Server, kind: Kind, start: bytes) -> None:
    _inject(server, kind)
    answer, ending = await _converse(server, patience=0.3)
    assert (answer[: len(start)], ending) == (start, "hung")
    assert (b"\r\n\r\n" in answer) is False


@pytest.mark.parametrize("kind", [Kind.TRUNCATED, Kind.GARBAGE, Kind.CLOSE_SILENT, Kind.CLOSE_TOLD])
async def test_a_broken_answer_ends_the_connection_after_success(server: S3Server, kind: Kind) -> None:
    _inject(server, kind)
    answer, ending = await _converse(server)
    assert (ending, server.requests[0].done) == ("closed", True)
    whole = answer.startswith(b"HTTP/1.1 200 OK") and answer.endswith(b"\r\n\r\n")
    assert whole is (kind in (Kind.CLOSE_SILENT, Kind.CLOSE_TOLD))
    assert (b"Connection: close" in answer) is (kind is Kind.CLOSE_TOLD)


@pytest.mark.parametrize(
    ("kind", "mark"),
    [
        (Kind.INFORMATIONAL, b"HTTP/1.1 103 Early Hints"),
        (Kind.CHUNKED, b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
        (Kind.EXTRA_ANSWER, b"x-amz-request-id: EXTRA"),
    ],
)
async def test_an_odd_answer_keeps_the_connection(server: S3Server, kind: Kind, mark: bytes) -> None:
    _inject(server, kind)
    answer, ending = await _converse(server, patience=0.3)
    assert (mark in answer, ending) == (True, "hung")
    assert answer.count(b"HTTP/1.1 200 OK") == (2 if kind is Kind.EXTRA_ANSWER else 1)


@pytest.mark.parametrize("kind", [Kind.DELAY, Kind.DRIP])
async def test_a_late_answer_is_whole(server: S3Server, raw: Raw, kind: Kind) -> None:
    _inject(server, kind, seconds=0.2)
    begun = time.monotonic()
    assert (await raw("PUT", "/bucket/a", body=b"x")).status == 200
    assert time.monotonic() - begun >= 0.18


@pytest.mark.parametrize(
    ("rule", "status", "code"),
    [
        ({"kind": Kind.STATUS}, 500, "InternalError"),
        ({"kind": Kind.STATUS, "status": 403, "code": "AccessDenied"}, 403, "AccessDenied"),
        ({"kind": Kind.STATUS, "status": 502, "code": ""}, 502, ""),
        ({"kind": Kind.SLOW_DOWN}, 503, "SlowDown"),
        ({"kind": Kind.EXPIRED_TOKEN}, 400, "ExpiredToken"),
        ({"kind": Kind.NO_SUCH_UPLOAD}, 404, "NoSuchUpload"),
        ({"kind": Kind.ERROR_IN_200}, 200, "InternalError"),
    ],
)
async def test_an_error_takes_the_operations_place(
    server: S3Server, raw: Raw, rule: dict[str, Any], status: int, code: str
) -> None:
    server.inject(FaultPlan((Fault("PutObject", **rule, times=1),)))
    answer = await raw("PUT", "/bucket/a", body=b"x")
    assert (answer.status, answer.code, server.requests[0].done) == (status, code, False)
    assert not server.objects("bucket")
    assert (await raw("PUT", "/bucket/a", body=b"x")).status == 200


async def test_a_skewed_clock_is_told_in_the_date(server: S3Server, raw: Raw) -> None:
    _inject(server, Kind.CLOCK_SKEW, seconds=-86400 * 400)
    answer = await raw("PUT", "/bucket/a", body=b"x")
    assert answer.code == "RequestTimeTooSkewed"
    assert f" {time.gmtime().tm_year} " not in answer.headers["date"]


async def test_a_storm_ends_after_so_many_requests(server: S3Server, raw: Raw) -> None:
    server.inject(FaultPlan((Fault("*", Kind.SLOW_DOWN, times=3),)))
    assert [(await raw("PUT", "/bucket/a", body=b"x")).status for _ in range(5)] == [503, 503, 503, 200, 200]


async def test_a_byte_flipped_at_rest_goes_unnoticed_and_one_on_the_way_does_not(server: S3Server, raw: Raw) -> None:
    _inject(server, Kind.FLIP_STORED)
    answer = await raw("PUT", "/bucket/a", body=b"abc")
    stored = server.objects("bucket")["a"]
    assert (answer.status, stored.body) == (200, b"acc")
    assert answer.headers["etag"] == f'"{stored.etag}"' == '"900150983cd24fb0d6963f7d28e17f72"'
    _inject(server, Kind.FLIP_RECEIVED)
    assert (await raw("PUT", "/bucket/b", body=b"abc")).code == "XAmzContentSHA256Mismatch"


async def test_half_a_body_is_stored_with_the_etag_of_the_half(server: S3Server, raw: Raw) -> None:
    _inject(server, Kind.SHORT_STORED)
    answer = await raw("PUT", "/bucket/a", body=b"abcdef")
    stored = server.objects("bucket")["a"]
    assert (answer.status, stored.body, answer.headers["etag"]) == (200, b"abc", f'"{stored.etag}"')


async def test_a_late_duplicate_overwrites_what_came_between(server: S3Server, raw: Raw) -> None:
    _inject(server, Kind.DONE_LATE, times=1, seconds=0.2)
    assert (await _converse(server, body=b"first"))[1] == "reset"
    await raw("PUT", "/bucket/a", body=b"second")
    assert server.objects("bucket")["a"].body == b"second"
    async with asyncio.timeout(5):
        await server.reached(3)
    assert server.objects("bucket")["a"].body == b"first"
    assert [(one.number, one.done) for one in server.requests] == [(1, False), (2, True), (1, True)]


async def test_the_etag_is_missing_in_header_and_document(server: S3Server, raw: Raw, boto: Boto) -> None:
    _inject(server, Kind.MISSING_ETAG, op="*")
    assert "etag" not in (await raw("PUT", "/bucket/a", body=b"x")).headers
    upload = {"Bucket": "bucket", "Key": "k"}
    upload["UploadId"] = (await boto("create_multipart_upload", **upload))["UploadId"]
    await boto("upload_part", **upload, PartNumber=1, Body=b"x")
    (part,) = next(iter(server.uploads("bucket").values())).parts.values()
    parts = {"Parts": [{"PartNumber": 1, "ETag": part.etag}]}
    assert "ETag" not in await boto("complete_multipart_upload", **upload, MultipartUpload=parts)
    assert server.objects("bucket")["k"].body == b"x"


async def test_complete_may_fail_within_200(server: S3Server, boto: Boto) -> None:
    _inject(server, Kind.ERROR_IN_200, op="CompleteMultipartUpload")
    upload = {"Bucket": "bucket", "Key": "k"}
    upload["UploadId"] = (await boto("create_multipart_upload", **upload))["UploadId"]
    etag = (await boto("upload_part", **upload, PartNumber=1, Body=b"x"))["ETag"]
    with pytest.raises(ClientError, match="InternalError"):
        await boto("complete_multipart_upload", **upload, MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": etag}]})
    assert server.requests[-1].status == 200
    assert list(server.uploads("bucket")) == [upload["UploadId"]]


async def test_a_body_of_garbage_is_no_xml(server: S3Server, raw: Raw) -> None:
    _inject(server, Kind.GARBAGE_BODY, op="ListObjectsV2")
    answer = await raw("GET", "/bucket?list-type=2")
    assert (answer.status, b"]]>" in answer.body) == (200, True)


async def test_a_listing_can_be_cut_short(server: S3Server, connect: Callable[..., Boto]) -> None:
    _inject(server, Kind.TRUNCATED, op="ListObjectsV2")
    with pytest.raises(HTTPClientError):
        await connect(server)("list_objects_v2", Bucket="bucket")


async def test_a_client_that_leaves_in_the_middle_is_logged_and_stores_nothing(server: S3Server) -> None:
    reader, writer = await asyncio.open_connection(server.config.host, server.port)
    writer.write(b"PUT /bucket/a HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nonly this")
    writer.write_eof()
    assert await reader.read() == b""
    writer.close()
    async with asyncio.timeout(5):
        await server.reached(1)
    (logged,) = server.requests
    assert (logged.op, logged.status, logged.body_bytes, logged.done) == ("PutObject", 0, 9, False)


async def test_what_is_no_http_is_answered_and_cut_off(server: S3Server) -> None:
    reader, writer = await asyncio.open_connection(server.config.host, server.port)
    writer.write(b"\x16\x03\x01 this is no HTTP\r\n\r\n")
    assert (await reader.read()).startswith(b"HTTP/1.1 400")
    writer.close()


@pytest.mark.parametrize("answers", [True, False])
async def test_expect_is_answered_or_ignored(answers: bool) -> None:  # noqa: FBT001  parametrised
    profile = type(ServerConfig().profile)("quirk", answers_expect=answers)
    async with S3Server(ServerConfig(profile=profile)) as server:
        reader, writer = await asyncio.open_connection(server.config.host, server.port)
        headers = Raw(server).sign("PUT", "/bucket/a", {}, b"x", None)
        head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        writer.write(f"PUT /bucket/a HTTP/1.1\r\n{head}Content-Length: 1\r\nExpect: 100-continue\r\n\r\n".encode())
        if answers:
            assert await reader.readline() == b"HTTP/1.1 100 Continue\r\n"
            await reader.readline()
        writer.write(b"x")
        assert await reader.readline() == b"HTTP/1.1 200 OK\r\n"
        writer.close()
