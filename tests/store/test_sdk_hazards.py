"""The hazards of the SDK's HTTP stack, each on real sockets: what aiobotocore's own HTTP session lets happen."""

import asyncio
import ssl
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trustme
import uvloop

from asyncmirror import checksum as checksums
from asyncmirror.errors import ConnectionFaultError, StoreError, UntrustedError
from asyncmirror.model import Algorithm, Body, Properties, Stored
from asyncmirror.settings import Connection, ObjectOptions
from asyncmirror.store.meter import Meter
from asyncmirror.store.s3 import S3Store
from asyncmirror.testing import S3Server, ServerConfig
from tests.store.canned import Heard, http, proxying, serving

pytestmark = pytest.mark.usefixtures("chain")
PLAIN = Properties("application/octet-stream", {})
STORED = http("200 OK", b"", 'ETag: "etag"')


def store_at(url: str, ca_bundle: Path | None = None) -> S3Store:
    return S3Store("bucket", Connection(endpoint_url=url, ca_bundle=ca_bundle), ObjectOptions(), 4)


async def put(store: S3Store, body: Body = b"some bytes") -> Stored:
    return await store.put_object("key", body, checksums.compute(Algorithm.CRC32C, body), PLAIN)


@pytest.mark.parametrize("body", [b"small", bytes(range(256)) * 8192], ids=["small", "large"])
async def test_a_request_on_a_stale_connection_is_not_sent_again_behind_our_back(body: bytes) -> None:
    def answer(number: int, _: Heard) -> bytes | None:
        return STORED if number == 0 else None

    async with serving(answer) as server, store_at(server.url) as store:
        await put(store, body)
        with pytest.raises(ConnectionFaultError, match="PutObject: key"):
            await put(store, body)
        # Whoever tries again sends all of it, from the start.
        with pytest.raises(ConnectionFaultError):
            await put(store, body)
    assert [request.body == body for request in server.heard] == [True, True, True]


async def test_a_body_goes_at_the_pace_that_is_allowed() -> None:
    body, meter, in_hand = bytes(range(256)) * 1024, Meter(512, 256 << 10), list[int]()
    meter.limit(lambda: 1 << 20)

    def answer(_: int, __: Heard) -> bytes:
        in_hand.append(meter.carried)
        return STORED

    async with (
        serving(answer) as server,
        S3Store("bucket", Connection(endpoint_url=server.url), ObjectOptions(), 4, meter) as store,
    ):
        began = time.monotonic()
        await put(store, body)
        assert time.monotonic() - began >= 0.15
        meter.limit(None)
        await put(store, body)
    assert [request.body == body for request in server.heard] == [True, True]
    assert (in_hand, meter.carried) == ([len(body)] * 2, 0)


async def test_a_redirect_is_not_followed() -> None:
    async with serving(lambda _, __: STORED) as elsewhere:
        moved = http("307 Temporary Redirect", b"", f"Location: {elsewhere.url}/bucket/key")
        async with serving(lambda _, __: moved) as server, store_at(server.url) as store:
            with pytest.raises(StoreError):
                await put(store)
    assert (len(server.heard), elsewhere.heard) == (1, [])


@pytest.mark.hazard(13)
async def test_a_server_that_ignores_expect_is_not_waited_for() -> None:
    async with serving(lambda _, __: STORED) as server, store_at(server.url) as store, asyncio.timeout(10):
        await put(store)
        # What the adapter never does, and the SDK makes of bytes: a file, which it announces.
        await (await store.session()).client.put_object(Bucket="bucket", Key="key", Body=b"some bytes")
    assert [request.body for request in server.heard] == [b"some bytes"] * 2
    assert all("expect" not in request.headers for request in server.heard)


async def test_a_body_is_sent_plain_with_its_length_and_its_own_checksum() -> None:
    async with serving(lambda _, __: STORED) as server, store_at(server.url) as store:
        await put(store, memoryview(b"some bytes"))
    (request,) = server.heard
    assert request.headers["content-length"] == "10"
    assert request.headers["x-amz-checksum-crc32c"] == checksums.to_header(checksums.compute(Algorithm.CRC32C, b"some bytes"))
    assert (
        not {"transfer-encoding", "content-encoding", "x-amz-trailer", "x-amz-decoded-content-length"} & request.headers.keys()
    )
    assert "x-amz-sdk-checksum-algorithm" not in request.headers


def test_a_buffer_may_be_reused_when_its_request_has_ended() -> None:
    """A transport may hold on to what it could not write yet (uvloop's does); that must not be the caller's buffer."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        received = runner.run(_interrupted_put())
    assert received
    assert b"b" not in received


async def _interrupted_put() -> bytes:
    """What a slow server gets of a body of a's that was given up, and whose buffer was then filled with b's."""
    begun, go_on = asyncio.Event(), asyncio.Event()
    received: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    async def slow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        begun.set()
        await go_on.wait()
        received.set_result(await reader.read(-1))
        writer.close()

    listening = await asyncio.start_server(slow, "127.0.0.1", 0, limit=1024)
    async with listening, store_at(f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}") as store:
        buffer = bytearray(b"a" * (32 << 20))
        sending = asyncio.create_task(put(store, buffer))
        await begun.wait()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(sending, 0.3)
        buffer[:] = b"b" * len(buffer)
        go_on.set()
        return await received


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def trusted(authority: trustme.CA, tmp_path: Path) -> Path:
    path = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(path))
    return path


@asynccontextmanager
async def tls_store(authority: trustme.CA, name: str) -> AsyncIterator[S3Server]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(name).configure_cert(context)
    async with S3Server(ServerConfig(tls=context)) as server:
        yield server


@pytest.mark.parametrize("proxied", [False, True], ids=["direct", "proxied"])
class TestCertificates:
    @pytest.fixture(autouse=True)
    async def proxy(self, chain: pytest.MonkeyPatch, proxied: bool) -> AsyncIterator[None]:  # noqa: FBT001  a parameter
        async with proxying() as proxy:
            if proxied:
                chain.setenv("HTTPS_PROXY", proxy.url)
            yield
            assert bool(proxy.heard) is proxied

    async def test_a_trusted_one_is_accepted(self, authority: trustme.CA, trusted: Path) -> None:
        async with tls_store(authority, "127.0.0.1") as server, store_at(server.url, trusted) as store:
            await put(store)
        assert [request.status for request in server.requests] == [200]

    @pytest.mark.parametrize("variable", ["AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE"])
    async def test_the_environment_names_who_is_trusted(
        self, authority: trustme.CA, trusted: Path, chain: pytest.MonkeyPatch, variable: str
    ) -> None:
        chain.setenv(variable, str(trusted))
        async with tls_store(authority, "127.0.0.1") as server, store_at(server.url) as store:
            await put(store)
        assert [request.status for request in server.requests] == [200]

    @pytest.mark.hazard(22)
    async def test_an_unknown_authority_is_refused(self, authority: trustme.CA) -> None:
        async with tls_store(authority, "127.0.0.1") as server, store_at(server.url) as store:
            with pytest.raises(UntrustedError, match="--ca-bundle"):
                await put(store)
        assert server.requests == ()

    @pytest.mark.hazard(22)
    async def test_a_certificate_for_another_name_is_refused(self, authority: trustme.CA, trusted: Path) -> None:
        async with tls_store(authority, "other.example") as server, store_at(server.url, trusted) as store:
            with pytest.raises(UntrustedError):
                await put(store)
        assert server.requests == ()
