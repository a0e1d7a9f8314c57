"""One HTTP/1.1 connection that carries one request at a time, each with its whole body.

Owns the exchange: what leaves and what comes, the deadline, and the rule when a connection may serve again. How a large body
leaves is `outflow`'s, how one comes `inflow`'s. Knows no S3, no pool and no retry. An answer counts only when it is complete
and well formed and came after the whole body had left; after anything else the connection is closed, so that no answer can
reach another request.
"""

import asyncio
import ssl
from typing import cast

from asyncmirror.errors import ConnectionFaultError, StoreError, UnreachableError
from asyncmirror.model import Body
from asyncmirror.store.meter import Meter
from asyncmirror.store.wire.answer import Answer, AnswerReader
from asyncmirror.store.wire.burst import Burst
from asyncmirror.store.wire.inflow import Inflow
from asyncmirror.store.wire.outflow import SLICE, Outflow
from asyncmirror.store.wire.tls import TlsLayer, to_error

_HIGH_WATER = 1 << 20  # bytes the transport may hold before it asks to wait; they are views of the body
_HIGH_WATER_TLS = 1 << 18  # the same, where they are copies, and memory that nobody has counted


class StaleConnectionError(ConnectionFaultError):
    """A connection that had served before was closed before one byte of an answer came: the server had given it up."""


class Connection(asyncio.Protocol):
    """A connection, from the TCP handshake on.

    Args:
        loop: The event loop.
        tls: The TLS layer; None for plain HTTP.
        server_name: For messages.
        burst: With which small requests leave; None: each at once.
        bandwidth: How fast bodies may leave; None: as fast as can be.
    """

    __slots__ = (
        "_bandwidth",
        "_burst",
        "_deadline",
        "_future",
        "_inflow",
        "_loop",
        "_outflow",
        "_reader",
        "_server_name",
        "_timeout",
        "_timer",
        "_transport",
        "_waits",
        "closed",
        "full",
        "idle_since",
        "lost",
        "ready",
        "served",
        "tls",
    )

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        tls: TlsLayer | None,
        server_name: str,
        burst: Burst | None = None,
        bandwidth: Meter | None = None,
    ) -> None:
        self._bandwidth = bandwidth or Meter()
        self._loop = loop
        self._burst = burst
        self._waits = False
        self._server_name = server_name
        self._reader = AnswerReader()
        self._transport: asyncio.Transport | None = None
        self._future: asyncio.Future[Answer] | None = None
        self._inflow: Inflow | None = None
        self._outflow: Outflow | None = None
        self._timer: asyncio.TimerHandle | None = None
        self.tls = tls
        self.closed = False
        self.full = False
        self.served = 0
        self.idle_since = 0.0
        self.ready: asyncio.Future[None] = loop.create_future()
        self.lost: asyncio.Future[None] = loop.create_future()

    # What the pool asks

    def send(self, head: bytes, body: Body, timeout: float, *, streams: bool = False) -> asyncio.Future[Answer]:
        """Send a request; the future gives its answer. Whoever gives up waiting must call `abort`.

        The future's errors: `StaleConnectionError`, `ConnectionFaultError`.

        Args:
            head: Request line and headers with the empty line, ``Content-Length`` included.
            body: The body; not kept after the future is done.
            timeout: Seconds to wait for the answer once the body has left. Until then as long may pass without a piece of
                it leaving, and in all as long as this and the time its size takes at 1 MiB/s. Time in which the bandwidth
                that is allowed lets no piece leave does not count.
            streams: The body of a success may be large: then the answer is given as soon as its head is there, and the body
                is its `rest`. In each such time some of it must come. The connection serves again when all of it has.
        """
        assert self._transport is not None
        assert self._future is None
        assert self._inflow is None
        self._reader.next(streams=streams)
        self._timeout = timeout
        size = len(body)
        if size <= SLICE and (not self._bandwidth.limited or not size or self._bandwidth.take(size)):
            data = b"".join((head, body))
            if self._burst is None:
                self.take(data)
            else:
                self._waits = True
                self._burst.add(self, data)
            self._arm(self._loop.time() + timeout)
        else:
            self._outflow = Outflow(self, self._bandwidth, self._loop.time, head, body, timeout)
            self._outflow.go_on()
        future = self._future = self._loop.create_future()
        return future

    def leave(self, data: bytes) -> None:
        """Send what waited in a burst, unless the connection was closed meanwhile."""
        if self._waits:
            self._waits = False
            self.take(data)

    def close(self) -> None:
        """Close in good order, between requests."""
        if self._transport is not None and not self.closed:
            if self.tls is not None:
                self._transport.write(self.tls.farewell())
            self._transport.close()
        self._end()

    def abort(self) -> None:
        """Close at once. What has not been sent is dropped; a waiting future is left to its owner."""
        if self._transport is not None:
            self._transport.abort()
        self._end()

    def _end(self) -> None:
        self.closed = True
        if self._outflow is not None:
            self._outflow.give_up()
            self._outflow = None
        self._waits = False
        self._future = None
        if self._inflow is not None and not self._inflow.ended:
            self._inflow.end(ConnectionFaultError("the connection was closed"))
        self._inflow = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    # Writing

    def take(self, data: bytes | memoryview) -> None:
        """Let it leave. See `outflow.Sink`."""
        transport = cast("asyncio.Transport", self._transport)
        transport.write(data if self.tls is None else self.tls.encrypt(data))

    def moved(self) -> None:
        """Some of a body has left, or waits for the bandwidth. See `outflow.Sink`."""
        outflow, deadline = self._outflow, self._loop.time() + self._timeout
        if outflow is None or not outflow.left:
            self._outflow = None
        elif not outflow.waits:
            deadline = min(deadline, outflow.last_chance)
        self._arm(deadline)

    def _unsent(self) -> bool:
        held = cast("asyncio.Transport", self._transport).get_write_buffer_size()
        return self._outflow is not None or self._waits or held > 0

    def _only_waits(self) -> bool:
        held = cast("asyncio.Transport", self._transport).get_write_buffer_size()
        return self._outflow is not None and self._outflow.waits and not held

    def pause_writing(self) -> None:
        """The transport holds enough: wait."""
        self.full = True

    def resume_writing(self) -> None:
        """The transport has room again."""
        self.full = False
        if self._outflow is not None:
            self._outflow.go_on()

    def _arm(self, deadline: float) -> None:
        # One timer per connection, moved only when it fires: a timer per request would cost more than the request's head.
        self._deadline = deadline
        if self._timer is not None:
            if self._timer.when() <= deadline:
                return
            self._timer.cancel()
        self._timer = self._loop.call_at(deadline, self._expire)

    def _expire(self) -> None:
        self._timer = None
        if self._future is None and self._inflow is None:
            return
        if self._loop.time() < self._deadline:
            self._timer = self._loop.call_at(self._deadline, self._expire)
        elif self._inflow is not None:
            if self._inflow.is_slow():
                self._fail(ConnectionFaultError(f"next to nothing of the body came within {self._timeout:g} s"))
            else:
                self._arm(self._loop.time() + self._timeout)
        elif self._only_waits():
            self._arm(self._loop.time() + self._timeout)  # all that was allowed to leave has left
        elif self._unsent():
            self._fail(ConnectionFaultError("the body could not be sent in time"))
        else:
            self._fail(ConnectionFaultError(f"no answer within {self._timeout:g} s"))

    # Reading

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The TCP connection stands."""
        self._transport = cast("asyncio.Transport", transport)
        self._transport.set_write_buffer_limits(_HIGH_WATER if self.tls is None else _HIGH_WATER_TLS)
        if self.tls is None:
            self.ready.set_result(None)
        else:
            self.tls.handshake()
            self._transport.write(self.tls.pending())

    def data_received(self, data: bytes) -> None:
        """Bytes came."""
        if self.tls is None:
            self._read(data)
            return
        plain = self._decrypt(self.tls, data)
        if plain:
            self._read(plain)
        if self.tls.closed and not self.closed:
            self.eof_received()
            self._gone("was closed")

    def _read(self, data: bytes) -> None:
        if self._future is None and self._inflow is None:
            self.abort()  # nobody asked
            return
        try:
            self._reader.feed(data)
        except ConnectionFaultError as fault:
            self._fail(fault)
            return
        if self._inflow is not None:
            self._flow(self._inflow)
        elif self._reader.complete:
            self._finish()
        elif (answer := self._reader.answer_to_come(inflow := Inflow(self))) is not None:
            self._begin(answer, inflow)

    # The body of an answer while it comes

    def _begin(self, answer: Answer, inflow: Inflow) -> None:
        """Hand the answer out before its body is there."""
        future, self._future = self._future, None
        assert future is not None
        if self._unsent() or future.done():
            self._future = future
            self._fail(ConnectionFaultError("the answer came before the body was sent"))
            return
        self._inflow = inflow
        self._flow(inflow)
        self._arm(self._loop.time() + self._timeout)
        future.set_result(answer)

    def _flow(self, inflow: Inflow) -> None:
        inflow.add(self._reader.take())
        if self._reader.complete:
            self._inflow = None
            self.served += 1
            if not self._reader.keep_alive:
                self.abort()
            inflow.end()

    def hold(self) -> None:
        """Let nothing more come. See `inflow.Source`."""
        if not self.closed:
            cast("asyncio.Transport", self._transport).pause_reading()

    def go_on(self) -> None:
        """Let more come. See `inflow.Source`."""
        if not self.closed:
            cast("asyncio.Transport", self._transport).resume_reading()

    def _decrypt(self, tls: TlsLayer, data: bytes) -> bytes:
        shaking = not tls.ready
        try:
            plain = tls.receive(data)
        except ssl.SSLError as error:
            fault = to_error(error, self._server_name) if shaking else ConnectionFaultError(f"TLS failed: {error.reason}")
            if not self.ready.done():
                self.ready.set_exception(fault)
            self._fail(fault)
            return b""
        if reply := tls.pending():
            cast("asyncio.Transport", self._transport).write(reply)
        if shaking and tls.ready and not self.ready.done():
            self.ready.set_result(None)
        return plain

    def _finish(self) -> None:
        future, self._future = self._future, None
        assert future is not None
        early = self._unsent()
        answer = self._reader.answer()
        self.served += 1
        if early or not self._reader.keep_alive:
            self.abort()
        if future.done():
            return
        if early and answer.success:
            future.set_exception(ConnectionFaultError("the answer came before the body was sent"))
        else:
            future.set_result(answer)

    # The end

    def eof_received(self) -> None:
        """The peer will send no more."""
        if self._future is not None and self._reader.ends_with_connection and not self._reader.answer().success:
            # A page that ends with the connection can't be known to be whole: good enough for an error, never for a success.
            self._reader.extra = True
            self._finish()

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone."""
        how = "was reset" if exc is not None else "was closed"
        self._gone(how)
        if not self.ready.done():
            self.ready.set_exception(UnreachableError(f"the connection to {self._server_name} {how} in the handshake"))
        if not self.lost.done():
            self.lost.set_result(None)

    def _gone(self, how: str) -> None:
        begun = self._reader.received > 0
        kind = StaleConnectionError if self.served and not begun else ConnectionFaultError
        self._fail(kind(f"the connection {how} {'inside' if begun else 'before'} the answer"))

    def _fail(self, fault: StoreError) -> None:
        future, inflow = self._future, self._inflow
        self._inflow = None
        self.abort()
        if inflow is not None:
            inflow.end(fault)
        elif future is not None and not future.done():
            future.set_exception(fault)
