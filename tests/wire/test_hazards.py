"""What servers and networks do to an exchange, and that none of it is taken for success or reaches another request."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from asyncmirror import checksum
from asyncmirror.errors import (
    AccessDeniedError,
    ConnectionFaultError,
    CorruptedError,
    RejectedError,
    ServerFaultError,
    ThrottledError,
    UnreachableError,
    UploadGoneError,
)
from asyncmirror.model import Algorithm, Properties
from asyncmirror.sizes import MIB
from tests.wire.scripted import OK, Peer, answer, error, on_uvloop, put, run_on_uvloop, script, serving, wired


async def test_success_and_reuse() -> None:
    async with serving(script()) as server, wired(server.endpoint()) as wire:
        for _ in range(3):
            assert (await put(wire)).etag == "e"
        assert server.connections == 1
        assert [request.body for request in server.requests] == [b"body"] * 3


async def test_a_head_cut_short_is_no_answer() -> None:
    async def cut(peer: Peer) -> None:
        await peer.request()
        await peer.send(OK[:-2])

    async with serving(cut) as server, wired(server.endpoint()) as wire:
        with pytest.raises(ConnectionFaultError, match="inside the answer") as caught:
            await put(wire, "some/key")
        assert (caught.value.op, caught.value.path) == ("PutObject", "some/key")
        assert len(server.requests) == 1  # a byte of an answer had come: whether to send again is not the wire's to decide


@pytest.mark.hazard(9)
async def test_a_body_cut_short_is_no_answer() -> None:
    async def cut(peer: Peer) -> None:
        await peer.request()
        await peer.send(answer(200, b"12345", ETag='"e"')[:-1])

    async with serving(cut) as server, wired(server.endpoint()) as wire:
        with pytest.raises(ConnectionFaultError, match="inside the answer"):
            await put(wire)


async def test_a_success_of_unknown_length_is_no_answer() -> None:
    async def cut(peer: Peer) -> None:
        await peer.request()
        await peer.send(b'HTTP/1.1 200 OK\r\nETag: "e"\r\n\r\n')

    async with serving(cut) as server, wired(server.endpoint()) as wire:
        with pytest.raises(ConnectionFaultError, match="inside the answer"):
            await put(wire)


async def test_an_error_page_of_unknown_length_tells_its_status() -> None:
    async def page(peer: Peer) -> None:
        await peer.request()
        await peer.send(b"HTTP/1.1 503 Busy\r\n\r\n<html>busy</html>")

    async with serving(page) as server, wired(server.endpoint()) as wire:
        with pytest.raises(ThrottledError):
            await put(wire)


async def test_a_short_error_is_not_taken_for_what_it_seems() -> None:
    async def cut(peer: Peer) -> None:
        await peer.request()
        await peer.send(error(403, "RequestTimeTooSkewed")[:-9])

    async with serving(cut) as server, wired(server.endpoint()) as wire:
        with pytest.raises(ConnectionFaultError, match="inside the answer"):
            await put(wire)


async def test_a_connection_reset_before_the_answer() -> None:
    async def reset(peer: Peer) -> None:
        await peer.request()
        peer.reset()

    async with serving(reset) as server, wired(server.endpoint()) as wire:
        with pytest.raises(ConnectionFaultError, match="was reset before the answer"):
            await put(wire)
        assert len(server.requests) == 1  # the connection was new: no reason to think that the server had not seen it


@pytest.mark.hazard(1)
async def test_a_connection_reset_while_the_body_is_sent() -> None:
    async def reset(peer: Peer) -> None:
        await peer.head()
        await peer.reader.readexactly(1000)
        peer.reset()

    async with serving(reset) as server, wired(server.endpoint()) as wire:
        with pytest.raises(ConnectionFaultError):
            await put(wire, body=bytes(32 * MIB))


@pytest.mark.hazard(14)
async def test_a_late_answer_reaches_nobody() -> None:
    late = asyncio.Event()

    async def slow(peer: Peer) -> None:
        request = await peer.request()
        if request.line.startswith("PUT /bucket/first "):
            await late.wait()
            await peer.send(answer(200, ETag='"first"'))
        else:
            await peer.send(answer(200, ETag='"second"'))
        await peer.gone()

    async with serving(slow) as server, wired(server.endpoint(), timeout=0.05) as wire:
        with pytest.raises(ConnectionFaultError, match="no answer within"):
            await put(wire, "first")
        late.set()
        assert (await put(wire, "second")).etag == "second"
        assert server.connections == 2


async def test_a_given_up_request_takes_its_connection_with_it() -> None:
    asked, late = asyncio.Event(), asyncio.Event()

    async def slow(peer: Peer) -> None:
        await peer.request()
        asked.set()
        if peer.number == 0:
            await late.wait()
            await peer.send(answer(200, ETag='"first"'))
        else:
            await peer.send(answer(200, ETag='"second"'))
        await peer.gone()

    async with serving(slow) as server, wired(server.endpoint()) as wire:
        first = asyncio.ensure_future(put(wire, "first"))
        await asked.wait()
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        late.set()
        assert (await put(wire, "second")).etag == "second"


async def test_a_given_up_body_is_not_read_any_more() -> None:
    begun, written, ended = asyncio.Event(), asyncio.Event(), asyncio.Event()
    received = bytearray()

    async def slow(peer: Peer) -> None:
        await peer.head()
        begun.set()
        await written.wait()
        try:
            while data := await peer.reader.read(1 << 20):
                received.extend(data)
        except ConnectionError:
            pass
        ended.set()

    buffer = bytearray(b"a") * (32 * MIB)
    async with serving(slow) as server, wired(server.endpoint()) as wire:
        request = asyncio.ensure_future(put(wire, body=memoryview(buffer)))
        await begun.wait()
        request.cancel()
        with pytest.raises(asyncio.CancelledError):
            await request
        buffer[:] = b"b" * len(buffer)
        written.set()
        await ended.wait()
    assert received
    assert b"b" not in received


async def test_what_follows_an_answer_reaches_nobody() -> None:
    async def two(peer: Peer) -> None:
        await peer.request()
        await peer.send(OK + answer(500, b"garbage", ETag='"garbage"'))
        await peer.gone()

    async with serving(two) as server, wired(server.endpoint()) as wire:
        assert (await put(wire)).etag == "e"
        assert (await put(wire)).etag == "e"
        assert server.connections == 2


async def test_what_follows_an_answer_and_is_no_http_reaches_nobody() -> None:
    async def two(peer: Peer) -> None:
        await peer.request()
        await peer.send(OK + b"garbage")
        await peer.gone()

    async with serving(two) as server, wired(server.endpoint()) as wire:
        for _ in range(2):
            assert (await put(wire)).etag == "e"
        assert server.connections == 2


async def test_an_answer_that_nobody_asked_for_closes_the_connection() -> None:
    answered, gone = asyncio.Event(), asyncio.Event()

    async def unasked(peer: Peer) -> None:
        await peer.request()
        await peer.send(OK)
        if peer.number == 0:
            await answered.wait()
            await peer.send(answer(200, ETag='"unasked"'))
        await peer.gone()
        gone.set()

    async with serving(unasked) as server, wired(server.endpoint(), idle_timeout=60) as wire:
        await put(wire)
        answered.set()
        await gone.wait()
        assert (await put(wire)).etag == "e"
        assert server.connections == 2


@pytest.mark.hazard(1)
async def test_an_answer_before_the_body_was_sent_is_no_success() -> None:
    async def early(peer: Peer) -> None:
        await peer.head()
        await peer.send(OK)
        await peer.gone()

    async with serving(early) as server, wired(server.endpoint()) as wire:
        for _ in range(2):
            with pytest.raises(ConnectionFaultError, match="before the body was sent"):
                await put(wire, body=bytes(32 * MIB))
        assert server.connections == 2


async def test_an_error_before_the_body_was_sent_is_told() -> None:
    async def early(peer: Peer) -> None:
        await peer.head()
        await peer.send(error(403, "AccessDenied"))
        await peer.gone()

    async with serving(early) as server, wired(server.endpoint()) as wire:
        for _ in range(2):
            with pytest.raises(AccessDeniedError):
                await put(wire, body=bytes(32 * MIB))
        assert server.connections == 2


async def test_no_more_of_a_body_is_handed_over_than_the_transport_wants() -> None:
    begun = asyncio.Event()

    async def deaf(peer: Peer) -> None:
        await peer.head()
        begun.set()
        await asyncio.Event().wait()

    async with serving(deaf) as server, wired(server.endpoint()) as wire:
        request = asyncio.ensure_future(put(wire, body=bytes(32 * MIB)))
        await begun.wait()
        (connection,) = wire._pool._all
        assert connection._transport is not None
        assert connection._transport.get_write_buffer_size() <= 2 * MIB
        request.cancel()
        with pytest.raises(asyncio.CancelledError):
            await request


@pytest.mark.hazard(14)
async def test_a_body_that_nobody_reads_runs_into_the_deadline() -> None:
    async def deaf(peer: Peer) -> None:
        await peer.head()
        await asyncio.Event().wait()

    async with serving(deaf) as server, wired(server.endpoint(), timeout=0.05) as wire:
        with pytest.raises(ConnectionFaultError, match="could not be sent in time"):
            await put(wire, body=bytes(32 * MIB))


async def test_informational_answers_are_skipped() -> None:
    async def talkative(peer: Peer) -> None:
        while True:
            await peer.request()
            await peer.send(b'HTTP/1.1 100 Continue\r\nETag: "no"\r\n\r\nHTTP/1.1 102 Processing\r\n\r\n' + OK)

    async with serving(talkative) as server, wired(server.endpoint()) as wire:
        for _ in range(2):
            assert (await put(wire)).etag == "e"
        assert server.connections == 1


async def test_an_informational_answer_alone_is_no_answer() -> None:
    async def only(peer: Peer) -> None:
        await peer.request()
        await peer.send(b'HTTP/1.1 100 Continue\r\nETag: "no"\r\n\r\n')

    async with serving(only) as server, wired(server.endpoint()) as wire:
        with pytest.raises(ConnectionFaultError):
            await put(wire)


async def test_an_upgrade_is_no_answer() -> None:
    upgrade = b"HTTP/1.1 101 X\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n"
    async with serving(script(upgrade)) as server, wired(server.endpoint()) as wire:
        with pytest.raises(ConnectionFaultError, match="not HTTP"):
            await put(wire)


async def test_chunked_answers() -> None:
    chunked = b'HTTP/1.1 200 OK\r\nETag: "e"\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n<Ok/>\r\n0\r\nETag: "trailer"\r\n\r\n'
    async with serving(script(chunked, chunked)) as server, wired(server.endpoint()) as wire:
        for _ in range(2):
            assert (await put(wire)).etag == "e"
        assert server.connections == 1


async def test_an_answer_byte_by_byte() -> None:
    async def drip(peer: Peer) -> None:
        while True:
            await peer.request()
            for byte in error(404, "NoSuchUpload"):
                await peer.send(bytes([byte]))
                await asyncio.sleep(0)

    async with serving(drip) as server, wired(server.endpoint()) as wire:
        for _ in range(2):
            with pytest.raises(UploadGoneError):
                await wire.upload_part("key", "id", 1, b"x", checksum.compute(Algorithm.CRC32, b"x"))
        assert server.connections == 1


async def test_connection_close_is_obeyed() -> None:
    async def closing(peer: Peer) -> None:
        await peer.request()
        await peer.send(answer(200, ETag='"e"', Connection="close"))
        await peer.gone()

    async with serving(closing) as server, wired(server.endpoint()) as wire:
        await put(wire)
        await put(wire)
        assert server.connections == 2


async def test_http_1_0_is_not_kept() -> None:
    async def old(peer: Peer) -> None:
        await peer.request()
        await peer.send(OK.replace(b"HTTP/1.1", b"HTTP/1.0"))
        await peer.gone()

    async with serving(old) as server, wired(server.endpoint()) as wire:
        await put(wire)
        await put(wire)
        assert server.connections == 2


async def test_a_connection_gone_stale_is_replaced_once_and_the_whole_body_sent_again() -> None:
    async def stale(peer: Peer) -> None:
        await peer.request()
        await peer.send(OK)
        if peer.number == 0:
            await peer.request()  # and then closes, as a server does whose keep-alive ran out on the way
        else:
            await peer.gone()

    body = bytes(range(256)) * 4000
    async with serving(stale) as server, wired(server.endpoint()) as wire:
        await put(wire)
        assert (await put(wire, body=body)).etag == "e"
        assert server.connections == 2
        assert [len(request.body) for request in server.requests] == [4, len(body), len(body)]
        assert server.requests[-1].body == body


async def test_a_request_is_sent_again_only_once() -> None:
    async def rude(peer: Peer) -> None:
        await peer.request()
        if peer.number == 0:
            await peer.send(OK)
            await peer.request()

    async with serving(rude) as server, wired(server.endpoint()) as wire:
        await put(wire)
        with pytest.raises(ConnectionFaultError):
            await put(wire)
        assert server.connections == 2


async def test_a_request_whose_answer_had_begun_is_not_sent_again() -> None:
    async def cut(peer: Peer) -> None:
        await peer.request()
        await peer.send(OK)
        await peer.request()
        await peer.send(OK[:1])

    async with serving(cut) as server, wired(server.endpoint()) as wire:
        await put(wire)
        with pytest.raises(ConnectionFaultError, match="inside the answer"):
            await put(wire)
        assert server.connections == 1


async def test_a_connection_closed_while_idle_is_not_used() -> None:
    closed = asyncio.Event()

    async def once(peer: Peer) -> None:
        await peer.request()
        await peer.send(OK)
        peer.writer.close()
        await peer.gone()
        closed.set()

    async with serving(once) as server, wired(server.endpoint()) as wire:
        await put(wire)
        await closed.wait()
        await put(wire)
        assert len(server.requests) == 2


async def test_an_idle_connection_is_closed_before_the_server_does() -> None:
    gone = asyncio.Event()

    async def patient(peer: Peer) -> None:
        await peer.request()
        await peer.send(OK)
        await peer.gone()
        gone.set()

    async with serving(patient) as server, wired(server.endpoint(), idle_timeout=0.05) as wire:
        await put(wire)
        await asyncio.wait_for(gone.wait(), 5)


async def test_each_idle_connection_is_closed_in_its_time() -> None:
    gone, later = asyncio.Semaphore(0), asyncio.Event()

    async def patient(peer: Peer) -> None:
        request = await peer.request()
        if request.body == b"later":
            await later.wait()
        await peer.send(OK)
        await peer.gone()
        gone.release()

    async with serving(patient) as server, wired(server.endpoint(), idle_timeout=0.05) as wire:
        second = asyncio.ensure_future(put(wire, body=b"later"))
        await put(wire)
        asyncio.get_running_loop().call_later(0.03, later.set)
        await second
        for _ in range(2):
            await asyncio.wait_for(gone.acquire(), 5)
        assert server.connections == 2


@pytest.mark.parametrize("size", [40_000, 200_000])
@pytest.mark.parametrize("whole", [True, False])
async def test_an_oversized_head_is_refused(size: int, whole: bool) -> None:  # noqa: FBT001  pytest gives it by name
    head = b'HTTP/1.1 200 OK\r\nETag: "e"\r\nX: ' + b"x" * size + (b"\r\nContent-Length: 0\r\n\r\n" if whole else b"")

    async def long(peer: Peer) -> None:
        await peer.request()
        await peer.send(head)
        await peer.gone()

    async with serving(long) as server, wired(server.endpoint()) as wire:
        with pytest.raises(ConnectionFaultError, match="too long"):
            await put(wire)


async def test_an_oversized_answer_is_refused() -> None:
    async def endless(peer: Peer) -> None:
        await peer.request()
        await peer.send(b'HTTP/1.1 200 OK\r\nETag: "e"\r\nTransfer-Encoding: chunked\r\n\r\n')
        while not peer.writer.transport.is_closing():
            await peer.send(b"4000\r\n" + b"x" * 0x4000 + b"\r\n")

    async with serving(endless) as server, wired(server.endpoint()) as wire:
        with pytest.raises(ConnectionFaultError, match="too long"):
            await put(wire)


@pytest.mark.parametrize(
    "bad",
    [
        b'HTTP/1.1 200 OK\r\nContent-Length: 0\r\nContent-Length: 5\r\nETag: "e"\r\n\r\n',
        b'HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\nETag: "e"\r\n\r\n0\r\n\r\n',
        b'HTTP/1.1 200 OK\r\nContent-Length: -1\r\nETag: "e"\r\n\r\n',
        b'HTTP/1.1 200 OK\r\nContent Length: 0\r\nETag: "e"\r\n\r\n',
        b"<html>not http</html>\r\n\r\n",
        b"\x15\x03\x03\x00\x02\x02\x28",
    ],
)
async def test_what_two_readers_could_read_differently_is_no_answer(bad: bytes) -> None:
    async with serving(script(bad)) as server, wired(server.endpoint()) as wire:
        with pytest.raises(ConnectionFaultError, match="not HTTP"):
            await put(wire)


@pytest.mark.hazard(4)
async def test_an_error_inside_a_success_is_an_error() -> None:
    body = b"<?xml version='1.0'?><Error><Code>InternalError</Code><Message>We are sorry</Message></Error>"
    async with serving(script(answer(200, body, ETag='"e"'))) as server, wired(server.endpoint()) as wire:
        with pytest.raises(ServerFaultError, match="We are sorry"):
            await put(wire)


@pytest.mark.hazard(9)
@pytest.mark.parametrize("body", [b"<Error><Code>InternalError</Co", b"<!DOCTYPE html><html>", b"<"])
async def test_a_success_with_an_unreadable_document_is_no_success(body: bytes) -> None:
    async with serving(script(answer(200, body, ETag='"e"'))) as server, wired(server.endpoint()) as wire:
        with pytest.raises(ServerFaultError):
            await put(wire)


@pytest.mark.parametrize("status", [201, 202, 204, 206])
async def test_another_success_than_200_confirms_nothing(status: int) -> None:
    async with serving(script(answer(status, ETag='"e"'))) as server, wired(server.endpoint()) as wire:
        with pytest.raises(ServerFaultError):
            await put(wire)


@pytest.mark.hazard(10)
@pytest.mark.parametrize("etag", [None, "", '""'])
async def test_a_missing_etag_confirms_nothing(etag: str | None) -> None:
    said = answer(200) if etag is None else answer(200, ETag=etag)
    async with serving(script(said, said)) as server, wired(server.endpoint()) as wire:
        with pytest.raises(ServerFaultError, match="no ETag"):
            await put(wire)
        with pytest.raises(ServerFaultError, match="no ETag"):
            await wire.upload_part("key", "id", 1, b"x", checksum.compute(Algorithm.CRC32, b"x"))


@pytest.mark.hazard(11)
async def test_another_checksum_in_the_answer_is_corruption() -> None:
    said = answer(200, ETag='"e"', x_amz_checksum_crc64nvme="AAAAAAAAAAA=")
    async with serving(script(said, said)) as server, wired(server.endpoint()) as wire:
        with pytest.raises(CorruptedError, match="another checksum"):
            await put(wire)
        with pytest.raises(CorruptedError, match="another checksum"):
            await wire.upload_part("key", "id", 1, b"x", checksum.compute(Algorithm.CRC64NVME, b"x"))


@pytest.mark.parametrize("key", ["a\r\nx-amz-acl: public-read\r\n\r\n", "a b?c#d%0d%0a", "a\nb", "\x00", "ü/🚀", "../x//y/."])
async def test_a_key_cannot_break_out_of_the_request_line(key: str) -> None:
    async with serving(script()) as server, wired(server.endpoint()) as wire:
        await put(wire, key)
        (request,) = server.requests
        assert request.line.split(" ")[2] == "HTTP/1.1"
        assert "x-amz-acl" not in request.headers
        assert request.body == b"body"


@pytest.mark.parametrize("value", ["a\r\nx-amz-acl: public-read", "a\nb", "a\rb", "ü", "\x00", "\x7f", "\u2028"])
async def test_metadata_cannot_break_out_of_its_header(value: str) -> None:
    async with serving(script()) as server, wired(server.endpoint()) as wire:
        for properties in (
            Properties("text/plain", {"m": value}),
            Properties(value, {}),
            Properties("text/plain", {value: "m"}),
        ):
            with pytest.raises(RejectedError):
                await put(wire, properties=properties)
        assert not server.requests


async def test_half_a_surrogate_pair_in_a_key_is_rejected() -> None:
    async with serving(script()) as server, wired(server.endpoint()) as wire:
        with pytest.raises(RejectedError):
            await put(wire, "a\udcffb")


async def test_nobody_listens() -> None:
    async with serving(script()) as server:
        endpoint = server.endpoint()
    async with wired(endpoint) as wire:
        with pytest.raises(UnreachableError, match=r"no connection to 127\.0\.0\.1 port"):
            await put(wire)


async def test_an_error_names_what_was_done() -> None:
    async with serving(script(error(403, "AccessDenied"))) as server, wired(server.endpoint()) as wire:
        with pytest.raises(AccessDeniedError) as caught:
            await put(wire, "some/key")
        assert (caught.value.op, caught.value.path, caught.value.status) == ("PutObject", "some/key", 403)


@on_uvloop(globals())
def test_the_same_on_uvloop(test: Callable[[], Awaitable[None]]) -> None:
    run_on_uvloop(test)
