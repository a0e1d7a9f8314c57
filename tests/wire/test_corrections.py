"""Redirects, this machine's clock, credentials that expire; and which headers go out."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from email.utils import formatdate

import pytest

from asyncmirror import checksum
from asyncmirror.errors import BucketError, CredentialsError, RejectedError, ServerFaultError, StoreError, UsageError
from asyncmirror.model import Algorithm, Checksum, Properties
from asyncmirror.settings import ObjectOptions
from asyncmirror.store.session import Credentials, Endpoint
from asyncmirror.store.wire.plane import Wire
from tests.wire.scripted import (
    KEYS,
    OK,
    PLAIN,
    Peer,
    answer,
    error,
    keys,
    on_uvloop,
    put,
    run_on_uvloop,
    script,
    serving,
    wired,
)


async def test_the_right_region_is_followed_and_remembered() -> None:
    async with serving(script()) as right:
        there = f"http://127.0.0.1:{right.port}/bucket/key"
        moved = error(301, "PermanentRedirect", Location=there, x_amz_bucket_region="eu-central-2")
        async with serving(script(moved)) as wrong, wired(wrong.endpoint()) as wire:
            assert (await put(wire)).etag == "e"
            await put(wire, "other")
            assert len(wrong.requests) == 1
            assert [request.line.split()[1] for request in right.requests] == ["/bucket/key", "/bucket/other"]
            assert "/eu-central-2/s3/" in right.requests[0].headers["authorization"]
            assert right.requests[0].headers["host"] == f"127.0.0.1:{right.port}"
            assert right.requests[0].body == b"body"


async def test_many_requests_redirected_at_once_all_arrive() -> None:
    async with serving(script()) as right:
        there = f"http://127.0.0.1:{right.port}/bucket/"

        async def elsewhere(peer: Peer) -> None:
            while True:
                request = await peer.request()
                key = request.line.split()[1].rpartition("/")[2]
                await peer.send(error(307, "TemporaryRedirect", Location=there + key))

        async with serving(elsewhere) as wrong, wired(wrong.endpoint()) as wire:
            await asyncio.gather(*(put(wire, f"key{number}") for number in range(20)))
            assert len(right.requests) == 20


async def test_a_region_without_a_location_changes_the_signature() -> None:
    moved = error(400, "AuthorizationHeaderMalformed", "<Region>eu-west-3</Region>")
    async with serving(script(moved)) as server, wired(server.endpoint()) as wire:
        assert (await put(wire)).etag == "e"
        assert "/eu-west-3/s3/" in server.requests[1].headers["authorization"]


async def test_a_second_redirect_is_the_end() -> None:
    async def pingpong(peer: Peer) -> None:
        while True:
            request = await peer.request()
            region = "b" if "/a/s3/" in request.headers["authorization"] else "a"
            await peer.send(error(301, "PermanentRedirect", x_amz_bucket_region=region))

    async with serving(pingpong) as server, wired(server.endpoint()) as wire:
        for count in (2, 3):
            with pytest.raises(BucketError, match="PermanentRedirect"):
                await put(wire)
            assert len(server.requests) == count


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Location": "nonsense"},
        {"Location": "ftp://127.0.0.1/bucket/key"},
        {"x_amz_bucket_region": "eu\tx"},
        {"x_amz_bucket_region": "eu,SignedHeaders="},
        {"x_amz_bucket_region": "us-east-1"},
    ],
)
async def test_a_redirect_to_nowhere_is_an_error(headers: dict[str, str]) -> None:
    moved = error(301, "PermanentRedirect", **headers)
    async with serving(script(moved)) as server, wired(server.endpoint()) as wire:
        with pytest.raises(BucketError):
            await put(wire)
        assert len(server.requests) == 1


async def test_a_clock_that_is_off_is_corrected_once_and_remembered() -> None:
    def slow() -> float:
        return time.time() - 3600

    async with serving(script(error(403, "RequestTimeTooSkewed", Date=formatdate(time.time(), usegmt=True)))) as server:
        async with wired(server.endpoint(), clock=slow) as wire:
            await put(wire)
            await put(wire)
        stamps = [time.strptime(request.headers["x-amz-date"], "%Y%m%dT%H%M%SZ") for request in server.requests]
        assert len(stamps) == 3
        now = time.time()
        seconds = [now - (time.mktime(stamp) - time.timezone) for stamp in stamps]
        assert seconds[0] == pytest.approx(3600, abs=10)
        assert seconds[1:] == pytest.approx([0, 0], abs=10)


@pytest.mark.parametrize("date", [pytest.param(formatdate(usegmt=True), id="now"), "yesterday", ""])
async def test_a_clock_that_cannot_be_corrected_is_an_error(date: str) -> None:
    skewed = error(403, "RequestTimeTooSkewed", Date=date)
    async with serving(script(skewed, skewed, skewed)) as server, wired(server.endpoint()) as wire:
        with pytest.raises(BucketError, match="clock"):
            await put(wire)
        assert len(server.requests) <= 2


def renewed(*found: Credentials | None) -> Callable[[], Awaitable[Credentials | None]]:
    """Gives these one after the other, the last for ever."""
    left = list(found)

    async def provide() -> Credentials | None:
        return left.pop(0) if len(left) > 1 else left[0]

    return provide


async def test_credentials_that_expired_are_renewed_once() -> None:
    provider = renewed(KEYS._replace(token="old"), KEYS._replace(token="new"))
    async with serving(script(error(400, "ExpiredToken"))) as server, wired(server.endpoint(), provider) as wire:
        await put(wire)
        await put(wire)
        assert [request.headers["x-amz-security-token"] for request in server.requests] == ["old", "new", "new"]


@pytest.mark.hazard(16)
async def test_many_requests_expired_at_once_ask_once() -> None:
    asked = 0

    async def provide() -> Credentials:
        nonlocal asked
        asked += 1
        await asyncio.sleep(0)
        return KEYS._replace(token=str(asked))

    async def strict(peer: Peer) -> None:
        while True:
            request = await peer.request()
            await peer.send(OK if request.headers["x-amz-security-token"] == "2" else error(400, "ExpiredToken"))

    async with serving(strict) as server, wired(server.endpoint(), provide) as wire:
        await asyncio.gather(*(put(wire) for _ in range(20)))
        assert asked == 2


async def test_credentials_that_stay_expired_are_an_error() -> None:
    expired = error(400, "ExpiredToken")
    async with serving(script(expired, expired)) as server, wired(server.endpoint()) as wire:
        with pytest.raises(CredentialsError):
            await put(wire)
        assert len(server.requests) == 1


async def test_credentials_that_expire_again_and_again_are_an_error() -> None:
    expired = error(400, "ExpiredToken")
    provider = renewed(*(KEYS._replace(token=str(number)) for number in range(9)))
    async with serving(script(*[expired] * 9)) as server, wired(server.endpoint(), provider) as wire:
        with pytest.raises(CredentialsError):
            await put(wire)
        assert len(server.requests) == 2


async def test_credentials_are_asked_for_again_before_they_expire_and_not_for_each_request() -> None:
    now, asked = 1_700_000_000.0, 0

    async def provide() -> Credentials:
        nonlocal asked
        asked += 1
        return KEYS._replace(access_key=f"AK{asked}")

    async with serving(script()) as server, wired(server.endpoint(), provide, clock=lambda: now) as wire:
        for _ in range(5):
            await put(wire)
        now += 31
        await put(wire)
        assert asked == 2
        assert "Credential=AK1/" in server.requests[4].headers["authorization"]
        assert "Credential=AK2/" in server.requests[5].headers["authorization"]
        now -= 7200  # somebody set the clock
        await put(wire)
        assert asked == 3


async def test_many_requests_at_once_ask_for_credentials_once() -> None:
    now, asked = 1_700_000_000.0, 0

    async def provide() -> Credentials:
        nonlocal asked
        asked += 1
        await asyncio.sleep(0)
        return KEYS

    async with serving(script()) as server, wired(server.endpoint(), provide, clock=lambda: now) as wire:
        for expected in (1, 2):
            await asyncio.gather(*(put(wire) for _ in range(20)))
            assert asked == expected
            now += 31


async def test_no_credentials_send_no_signature() -> None:
    async with serving(script()) as server, wired(server.endpoint(), renewed(None)) as wire:
        await put(wire)
        assert "authorization" not in server.requests[0].headers


async def test_credentials_with_a_line_break_reach_no_header() -> None:
    async with serving(script()) as server, wired(server.endpoint(), renewed(KEYS._replace(token="a\r\nb: c"))) as wire:
        with pytest.raises(CredentialsError) as caught:
            await put(wire)
        assert "b: c" not in str(caught.value)
        assert not server.requests


async def test_a_provider_that_fails_fails_the_request() -> None:
    async def provide() -> Credentials:
        raise CredentialsError("no credentials found")

    async with serving(script()) as server, wired(server.endpoint(), provide) as wire:
        with pytest.raises(CredentialsError, match="no credentials found"):
            await put(wire)


async def test_the_headers_of_an_object_and_of_a_part() -> None:
    options = ObjectOptions(
        storage_class="GLACIER", sse="aws:kms", sse_kms_key_id="arn:aws:kms:x", acl="private", request_payer="requester"
    )
    async with serving(script()) as server, Wire(server.endpoint(), keys, options) as wire:
        properties = Properties("image/fits", {"note": " two  spaces ", "mtime": "1.5"})
        await put(wire, "a b", properties=properties)
        crc = checksum.compute(Algorithm.CRC32C, b"part")
        await wire.upload_part("a b", "id+/=", 7, b"part", crc)
        first, second = server.requests
        assert first.line == "PUT /bucket/a%20b HTTP/1.1"
        assert (
            first.headers.items()
            >= {
                "content-type": "image/fits",
                "content-length": "4",
                "x-amz-meta-note": "two  spaces",
                "x-amz-meta-mtime": "1.5",
                "x-amz-acl": "private",
                "x-amz-storage-class": "GLACIER",
                "x-amz-server-side-encryption": "aws:kms",
                "x-amz-server-side-encryption-aws-kms-key-id": "arn:aws:kms:x",
                "x-amz-request-payer": "requester",
                "x-amz-checksum-crc64nvme": checksum.to_header(checksum.compute(Algorithm.CRC64NVME, b"body")),
            }.items()
        )
        assert second.line == "PUT /bucket/a%20b?partNumber=7&uploadId=id%2B%2F%3D HTTP/1.1"
        assert set(second.headers) == {
            "authorization",
            "content-length",
            "host",
            "x-amz-checksum-crc32c",
            "x-amz-content-sha256",
            "x-amz-date",
            "x-amz-request-payer",
        }


async def test_virtual_hosted_addressing() -> None:
    async with serving(script()) as server:
        endpoint = Endpoint("bucket", f"http://bucket.localhost:{server.port}", "us-east-1", True, None, False)  # noqa: FBT003
        async with wired(endpoint, resolver=_loopback) as wire:
            await put(wire, "a/b")
        assert server.requests[0].line == "PUT /a/b HTTP/1.1"
        assert server.requests[0].headers["host"] == f"bucket.localhost:{server.port}"


async def _loopback(_host: str, port: int) -> list[tuple[int, tuple[str, int]]]:
    return [(2, ("127.0.0.1", port))]


async def test_a_sha256_of_the_body_is_not_computed_twice() -> None:
    told = Checksum(Algorithm.SHA256, bytes(32))
    async with serving(script()) as server, wired(server.endpoint()) as wire:
        await wire.put_object("key", b"body", told, PLAIN)
        assert server.requests[0].headers["x-amz-content-sha256"] == "00" * 32


async def test_the_checksum_that_the_store_tells_is_handed_on() -> None:
    crc = checksum.compute(Algorithm.CRC64NVME, b"body")
    said = answer(200, ETag='"e"', x_amz_checksum_crc64nvme=checksum.to_header(crc))
    async with serving(script(said)) as server, wired(server.endpoint()) as wire:
        assert (await put(wire)).checksum == crc


async def test_forms_do_not_pile_up() -> None:
    async with serving(script()) as server, wired(server.endpoint()) as wire:
        for number in range(1030):
            await put(wire, properties=Properties(f"type/{number}", {}))
        assert len(wire._forms) <= 1024


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        (answer(500), ServerFaultError),
        (answer(502, b"<html>no xml &nbsp; at all"), ServerFaultError),
        (answer(400, b"<a>" * 50), RejectedError),
        (error(404, "NoSuchBucket"), BucketError),
        (answer(403, b'<!DOCTYPE e [<!ENTITY a "b">]><Error><Code>&a;</Code></Error>'), StoreError),
        (answer(302, Location="http://127.0.0.1:1/"), StoreError),
    ],
)
async def test_answers_are_translated(said: bytes, kind: type[StoreError]) -> None:
    async with serving(script(said)) as server, wired(server.endpoint()) as wire:
        with pytest.raises(kind):
            await put(wire)
        assert len(server.requests) == 1


@pytest.mark.parametrize(
    "url", ["ftp://host/bucket", "host", "http://", "http://host:port/", "http://ho\r\nst/", "http://hö.st/"]
)
async def test_an_endpoint_that_is_no_url_is_refused(url: str) -> None:
    with pytest.raises(UsageError):
        Wire(Endpoint("bucket", url, "us-east-1", False, None, False), keys)  # noqa: FBT003


@on_uvloop(globals())
def test_the_same_on_uvloop(test: Callable[[], Awaitable[None]]) -> None:
    run_on_uvloop(test)
