"""Connections: over which address, on whose certificate, for how long."""

import asyncio
import ssl
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest
import trustme

from asyncmirror.errors import ConnectionFaultError, ServerFaultError, UnreachableError, UntrustedError
from asyncmirror.store.wire.addresses import Address, Addresses, SocketAddress, choose, resolve
from asyncmirror.store.wire.plane import Wire
from asyncmirror.store.wire.sigv4 import UNSIGNED_PAYLOAD
from tests.wire.scripted import OK, Peer, Server, on_uvloop, put, run_on_uvloop, script, serving, wired


def at(*hosts: str) -> Callable[[str, int], Awaitable[Sequence[SocketAddress]]]:
    """A resolver that knows these addresses."""

    async def look_up(_host: str, port: int) -> Sequence[SocketAddress]:
        return [(2, (host, port)) for host in hosts]

    return look_up


async def test_connections_are_spread_over_all_addresses() -> None:
    waiting = asyncio.Semaphore(0)

    async def hold(peer: Peer) -> None:
        await peer.request()
        await waiting.acquire()
        await peer.send(OK)
        await peer.gone()

    async with serving(hold) as first, serving(hold, host="127.0.0.2", port=first.port) as second:
        async with wired(first.endpoint(), resolver=at("127.0.0.1", "127.0.0.2")) as wire:
            requests = [asyncio.ensure_future(put(wire, str(number))) for number in range(8)]
            for _ in requests:
                waiting.release()
            await asyncio.gather(*requests)
        assert (first.connections, second.connections) == (4, 4)


async def test_a_dead_address_is_passed_over_and_set_aside() -> None:
    async def closing(peer: Peer) -> None:
        await peer.request()
        await peer.send(OK.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))

    asked: list[str] = []

    async with serving(closing, host="127.0.0.3") as server:
        resolver = at("127.0.0.2", "127.0.0.3")

        async def counting(host: str, port: int) -> Sequence[SocketAddress]:
            asked.append(host)
            return await resolver(host, port)

        async with wired(server.endpoint(), resolver=counting) as wire:
            for _ in range(10):
                await put(wire)
            dead = wire._pool._addresses._known[2, ("127.0.0.2", server.port)]
            assert dead.failures == 1
            assert dead.aside_until > asyncio.get_running_loop().time()
        assert server.connections == 10
        assert asked == ["127.0.0.1"]


async def test_an_address_that_resets_is_set_aside() -> None:
    async def reset(peer: Peer) -> None:
        await peer.request()
        peer.reset()

    async with serving(reset, host="127.0.0.2") as bad, serving(script(), host="127.0.0.3", port=bad.port) as good:
        async with wired(bad.endpoint(), resolver=at("127.0.0.2", "127.0.0.3")) as wire:
            with pytest.raises(ConnectionFaultError):
                await put(wire)
            for _ in range(5):
                await put(wire)
        assert (bad.connections, good.connections) == (1, 1)


async def test_where_all_addresses_are_dead_the_error_says_so() -> None:
    async with serving(script()) as server:
        endpoint = server.endpoint()
    async with wired(endpoint, resolver=at("127.0.0.2", "127.0.0.3")) as wire:
        for _ in range(2):  # set aside is not given up
            with pytest.raises(UnreachableError, match=r"no connection to 127\.0\.0\."):
                await put(wire)


async def test_a_name_that_does_not_resolve() -> None:
    async def nothing(_host: str, _port: int) -> Sequence[SocketAddress]:
        raise OSError("Name or service not known")

    async with serving(script()) as server, wired(server.endpoint(), resolver=nothing) as wire:
        with pytest.raises(UnreachableError, match="does not resolve: Name or service not known"):
            await put(wire)


async def test_a_resolver_that_fails_later_takes_nothing_away() -> None:
    answers: list[list[SocketAddress]] = [[(2, ("127.0.0.1", 80))], [], [(2, ("127.0.0.2", 80))]]

    async def failing(_host: str, _port: int) -> Sequence[SocketAddress]:
        if found := answers.pop(0):
            return found
        raise OSError("later")

    addresses = Addresses("name", 80, interval=0.0, resolver=failing)
    for expected in ("127.0.0.1", "127.0.0.1", "127.0.0.2"):
        assert [address.name[0] for address in await addresses.current()] == [expected]


async def test_the_system_resolver_knows_loopback() -> None:
    assert (2, ("127.0.0.1", 80)) in await resolve("localhost", 80)


def test_the_least_loaded_healthy_address_is_chosen() -> None:
    first, second, third = (Address(2, (f"127.0.0.{number}", 80)) for number in (1, 2, 3))
    first.load, second.load, third.load = 2, 1, 0
    third.failed(10.0)
    assert choose([first, second, third], 10.0) is second
    assert choose([first, second, third], 10.5) is third
    first.failed(10.0)
    second.failed(10.2)
    assert choose([second, first, third], 10.4) in (first, third)


def test_an_address_is_set_aside_longer_each_time_and_no_longer_than_a_minute() -> None:
    address, now, pauses = Address(2, ("127.0.0.1", 80)), 0.0, []
    for _ in range(10):
        address.failed(now)
        address.failed(now)  # at the same moment: the same failure
        pauses.append(address.aside_until - now)
        now = address.aside_until
    assert pauses[:3] == [0.5, 1.0, 2.0]
    assert pauses[-1] == 60.0
    address.succeeded()
    address.failed(now)
    assert address.aside_until - now == 0.5


# TLS


class Authority:
    """A certificate authority and a server context for some names."""

    def __init__(self, folder: Path, *names: str) -> None:
        issuer = trustme.CA()
        self.bundle = str(folder / f"{id(self)}.pem")
        issuer.cert_pem.write_to_path(self.bundle)
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        issuer.issue_cert(*names).configure_cert(self.context)


def securely(server: Server, authority: Authority) -> AbstractAsyncContextManager[Wire]:
    return wired(server.endpoint("https", "localhost", authority.bundle), resolver=at("127.0.0.1"))


async def _tls_exchange(wire: Wire) -> None:
    await put(wire)
    body = bytes(range(256)) * 40_000
    assert (await put(wire, body=body)).etag == "e"


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_tls_carries_bodies_and_resumes_sessions(tmp_path: Path, version: ssl.TLSVersion) -> None:
    authority = Authority(tmp_path, "localhost")
    authority.context.minimum_version = authority.context.maximum_version = version
    resumed = []

    async def once(peer: Peer) -> None:
        resumed.append(peer.writer.get_extra_info("ssl_object").session_reused)
        await peer.request()
        await peer.send(OK)
        await peer.request()
        await peer.send(OK.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))

    async with serving(once, tls=authority.context) as server:
        async with securely(server, authority) as wire:
            for _ in range(3):
                await _tls_exchange(wire)
        assert server.requests[1].body == bytes(range(256)) * 40_000
    assert resumed == [False, True, True]


@pytest.mark.hazard(22)
async def test_the_name_is_sent_and_must_match(tmp_path: Path) -> None:
    authority = Authority(tmp_path, "store.example")
    named = []
    authority.context.sni_callback = lambda _object, name, _context: named.append(name)
    async with serving(script(), tls=authority.context) as server:
        async with wired(server.endpoint("https", "store.example", authority.bundle), resolver=at("127.0.0.1")) as wire:
            await put(wire)
        async with wired(server.endpoint("https", "other.example", authority.bundle), resolver=at("127.0.0.1")) as wire:
            with pytest.raises(UntrustedError, match=r"other\.example is not trusted"):
                await put(wire)
        assert len(server.requests) == 1
    assert named == ["store.example", "other.example"]


@pytest.mark.hazard(22)
async def test_a_certificate_of_a_stranger_is_refused(tmp_path: Path) -> None:
    authority, stranger = Authority(tmp_path, "localhost"), Authority(tmp_path, "localhost")
    async with serving(script(), tls=stranger.context) as server:
        for bundle in (authority.bundle, None):
            async with wired(server.endpoint("https", "localhost", bundle), resolver=at("127.0.0.1")) as wire:
                with pytest.raises(UntrustedError, match="not trusted"):
                    await put(wire)
        assert not server.requests


async def test_an_address_is_a_name_too(tmp_path: Path) -> None:
    authority = Authority(tmp_path, "127.0.0.1")
    async with serving(script(), tls=authority.context) as server:
        async with wired(server.endpoint("https", "127.0.0.1", authority.bundle)) as wire:
            await put(wire)
        async with wired(server.endpoint("https", "127.0.0.2", authority.bundle), resolver=at("127.0.0.1")) as wire:
            with pytest.raises(UntrustedError):
                await put(wire)


async def test_a_server_that_speaks_no_tls_is_unreachable(tmp_path: Path) -> None:
    async def plain(peer: Peer) -> None:
        await peer.send(OK)
        await peer.gone()

    authority = Authority(tmp_path, "localhost")
    async with serving(plain) as server, securely(server, authority) as wire:
        with pytest.raises(UnreachableError, match="no TLS connection"):
            await put(wire)


async def test_a_redirect_does_not_take_tls_away(tmp_path: Path) -> None:
    authority = Authority(tmp_path, "localhost")
    async with serving(script()) as plain:
        moved = f"HTTP/1.1 307 X\r\nContent-Length: 0\r\nLocation: http://127.0.0.1:{plain.port}/bucket/key\r\n\r\n".encode()
        async with serving(script(moved), tls=authority.context) as server, securely(server, authority) as wire:
            with pytest.raises(ServerFaultError, match="307"):
                await put(wire)
        assert not plain.requests


async def test_the_payload_goes_unsigned_only_over_tls_and_only_when_told(tmp_path: Path) -> None:
    authority = Authority(tmp_path, "localhost")
    async with serving(script(), tls=authority.context) as server:
        endpoint = server.endpoint("https", "localhost", authority.bundle)
        for unsigned in (True, False):
            async with wired(endpoint, resolver=at("127.0.0.1"), unsigned_payload_over_tls=unsigned) as wire:
                await put(wire)
        first, second = (request.headers["x-amz-content-sha256"] for request in server.requests)
        assert first == UNSIGNED_PAYLOAD
        assert len(second) == 64
    async with serving(script()) as server, wired(server.endpoint(), unsigned_payload_over_tls=True) as wire:
        await put(wire)
        assert server.requests[0].headers["x-amz-content-sha256"] != UNSIGNED_PAYLOAD


async def test_an_answer_cut_by_the_end_of_tls_is_no_answer(tmp_path: Path) -> None:
    authority = Authority(tmp_path, "localhost")

    async def cut(peer: Peer) -> None:
        await peer.request()
        await peer.send(OK[:-1])

    async with serving(cut, tls=authority.context) as server, securely(server, authority) as wire:
        with pytest.raises(ConnectionFaultError, match="inside the answer"):
            await put(wire)


@pytest.mark.parametrize("bundle", ["/nowhere/ca.pem", __file__])
async def test_a_bundle_that_cannot_be_read_is_named(bundle: str) -> None:
    async with serving(script()) as server:
        with pytest.raises(UntrustedError, match="the CA bundle can't be used"):
            Wire(server.endpoint("https", "localhost", bundle), _nobody)


async def _nobody() -> None:
    return None


def _with_folder(test: Callable[[Path], Awaitable[None]], folder: Path) -> Callable[[], Awaitable[None]]:
    return lambda: test(folder)


@on_uvloop(globals())
def test_the_same_on_uvloop(test: Callable[[], Awaitable[None]]) -> None:
    run_on_uvloop(test)


@pytest.mark.parametrize(
    "test",
    [
        test_the_name_is_sent_and_must_match,
        test_a_certificate_of_a_stranger_is_refused,
        test_a_server_that_speaks_no_tls_is_unreachable,
        test_an_answer_cut_by_the_end_of_tls_is_no_answer,
    ],
)
def test_tls_on_uvloop(test: Callable[[Path], Awaitable[None]], tmp_path: Path) -> None:
    run_on_uvloop(_with_folder(test, tmp_path))


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_sessions_on_uvloop(tmp_path: Path, version: ssl.TLSVersion) -> None:
    run_on_uvloop(lambda: test_tls_carries_bodies_and_resumes_sessions(tmp_path, version))
