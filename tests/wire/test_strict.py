"""The wire against a server that verifies all that S3 verifies, and the store that has the wire in it."""

import random
import ssl
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
import trustme

from asyncmirror import checksum
from asyncmirror.errors import BucketError, CredentialsError, UntrustedError
from asyncmirror.model import Algorithm, Properties, Receipt
from asyncmirror.settings import Connection, ObjectOptions
from asyncmirror.sizes import MIB
from asyncmirror.store.session import Credentials, Endpoint
from asyncmirror.store.wire.store import WireStore
from asyncmirror.testing import Credentials as ServerCredentials
from asyncmirror.testing import S3Server, ServerConfig
from tests.wire.scripted import on_uvloop, put, run_on_uvloop, wired


def endpoint(server: S3Server, host: str = "127.0.0.1", ca_bundle: str | None = None) -> Endpoint:
    scheme = "https" if ca_bundle else "http"
    return Endpoint("bucket", f"{scheme}://{host}:{server.port}/bucket", "us-east-1", False, ca_bundle, False)  # noqa: FBT003


async def known() -> Credentials:
    return Credentials("testkey", "testsecret", None)


async def test_random_keys_and_metadata_are_signed_as_the_store_reads_them() -> None:
    draw = random.Random(7)
    alphabet = "aZ09-._~/ +%&=?#:@!$'()*,;<>[]^`{|}\"\\é☃🚀\t\n"
    printable = [chr(code) for code in range(32, 127)]
    async with S3Server() as server, wired(endpoint(server), known) as wire:
        for number in range(100):
            key = "k" + "".join(draw.choices(alphabet, k=20))
            metadata = {f"m{index}": "".join(draw.choices(printable, k=8)) for index in range(3)}
            metadata["spaces"] = f" a  b   c {number} "
            await put(wire, key, properties=Properties("text/x; a=%s%", metadata))
            stored = server.objects("bucket")[key]
            assert stored.body == b"body"
            # RFC 9110, 5.5: white space at a value's ends is no part of it.
            assert {name: value.strip() for name, value in stored.metadata.items()} == {
                name: value.strip() for name, value in metadata.items()
            }


async def test_another_region_is_found() -> None:
    async with S3Server(ServerConfig(region="eu-central-2")) as server, wired(endpoint(server), known) as wire:
        await put(wire, "a")
        await put(wire, "b")
        assert set(server.objects("bucket")) == {"a", "b"}
        assert server.count == 3


@pytest.mark.hazard(15)
async def test_a_clock_that_is_off_is_corrected() -> None:
    async with S3Server() as server, wired(endpoint(server), known) as wire:
        server.clock.shift(7200)
        await put(wire, "a")
        await put(wire, "b")
        assert server.count == 3


@pytest.mark.hazard(16)
async def test_a_session_token_that_expires_is_renewed() -> None:
    tokens = ["first", "second"]

    async def provide() -> Credentials:
        return Credentials("testkey", "testsecret", tokens.pop(0))

    old = ServerCredentials(session_token="first", expires=time.time() + 1000)
    async with S3Server(ServerConfig(credentials=(old,))) as server, wired(endpoint(server), provide) as wire:
        await put(wire, "a")
        server.renew(ServerCredentials(session_token="second"))
        await put(wire, "b")
        assert set(server.objects("bucket")) == {"a", "b"}


async def test_a_wrong_secret_is_the_end() -> None:
    async def provide() -> Credentials:
        return Credentials("testkey", "wrong", None)

    async with S3Server() as server, wired(endpoint(server), provide) as wire:
        with pytest.raises(CredentialsError, match="SignatureDoesNotMatch"):
            await put(wire)


async def test_a_bucket_that_is_not_there_is_the_end() -> None:
    async with S3Server(ServerConfig(buckets=())) as server, wired(endpoint(server), known) as wire:
        with pytest.raises(BucketError, match="NoSuchBucket"):
            await put(wire)


@pytest.mark.parametrize("unsigned", [True, False])
async def test_bodies_over_tls(tmp_path: Path, unsigned: bool) -> None:  # noqa: FBT001  pytest gives it by name
    authority = trustme.CA()
    bundle = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(bundle))
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    body = random.Random(1).randbytes(5 * MIB)
    async with S3Server(ServerConfig(tls=context)) as server:
        place = endpoint(server, ca_bundle=str(bundle))
        async with wired(place, known, unsigned_payload_over_tls=unsigned) as wire:
            for size in (0, 1, 16_000, 300_000, len(body)):
                await put(wire, "key", body[:size])
                assert server.objects("bucket")["key"].body == body[:size]


# The store that has the wire in it


@pytest.fixture
def chain(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_CA_BUNDLE", "HTTP_PROXY", "http_proxy", "NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testkey")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testsecret")
    return monkeypatch


@pytest.mark.usefixtures("chain")
async def test_parts_go_over_the_wire_and_the_rest_over_the_sdk() -> None:
    body = bytes(5 * MIB)
    crc = checksum.compute(Algorithm.CRC64NVME, body)
    config = ServerConfig(log_headers=True)
    async with S3Server(config) as server, WireStore("bucket", Connection(server.url), ObjectOptions(), 4) as store:
        assert not store.sdk_serves
        upload_id = await store.create_multipart_upload("key", Algorithm.CRC64NVME, Properties("text/plain", {}))
        etag = await store.upload_part("key", upload_id, 1, body, crc)
        await store.complete_multipart_upload("key", upload_id, [Receipt(1, len(body), etag, crc)], len(body), crc)
        assert server.objects("bucket")["key"].body == body
        assert ["user-agent" in request.headers for request in server.requests] == [True, False, True]


@pytest.mark.parametrize("asked", [True, False])
async def test_who_knows_that_the_store_verifies_checksums_may_leave_bodies_unsigned(
    chain: pytest.MonkeyPatch,
    tmp_path: Path,
    asked: bool,  # noqa: FBT001  pytest gives it by name
) -> None:
    chain.delenv("AWS_REGION", raising=False)
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    async with S3Server(ServerConfig(tls=context, log_headers=True)) as server:
        connection = Connection(server.url, ca_bundle=tmp_path / "ca.pem", unsigned_payload=asked)
        async with WireStore("bucket", connection, ObjectOptions(), 4) as store:
            crc = checksum.compute(Algorithm.CRC64NVME, b"text")
            await store.put_object("key", b"text", crc, Properties("text/plain", {}))
        assert (server.requests[-1].headers["x-amz-content-sha256"] == "UNSIGNED-PAYLOAD") is asked


async def test_behind_a_proxy_the_sdk_serves(chain: pytest.MonkeyPatch) -> None:
    async with S3Server() as server:
        chain.setenv("HTTP_PROXY", "http://127.0.0.1:1")
        async with WireStore("bucket", Connection(server.url), ObjectOptions(), 4) as store:
            assert "proxy" in store.sdk_serves
            assert store._wire is None


@pytest.mark.usefixtures("chain")
async def test_a_bundle_that_cannot_be_read_leaves_nothing_open(tmp_path: Path) -> None:
    bundle = tmp_path / "ca.pem"
    bundle.write_text("no certificate", encoding="utf-8")
    with pytest.raises(UntrustedError):
        await WireStore("bucket", Connection("https://127.0.0.1:1", ca_bundle=bundle), ObjectOptions(), 4).__aenter__()


@on_uvloop(globals())
def test_the_same_on_uvloop(test: Callable[[], Awaitable[None]]) -> None:
    run_on_uvloop(test)
