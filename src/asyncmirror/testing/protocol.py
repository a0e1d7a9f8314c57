"""One connection of the checking server: reads requests, lets faults strike, has the rest carried out, writes answers.

Owns the moments at which a fault strikes and the socket's ways to end. Knows no operation: `dispatch` carries them out.
"""

import asyncio
import socket
import struct
from dataclasses import replace
from http import HTTPStatus
from typing import cast

import httptools

from asyncmirror.settings import MAX_PART_SIZE
from asyncmirror.testing import dispatch
from asyncmirror.testing.answers import Reply, S3Error, error_reply
from asyncmirror.testing.delivery import (
    BEFORE_BODY,
    CONTINUE,
    IN_BODY,
    INSTEAD,
    Delivery,
    Ending,
    deliver,
    early,
    instead,
    serialize,
)
from asyncmirror.testing.faults import Fault, Kind
from asyncmirror.testing.hub import Hub, line_of
from asyncmirror.testing.log import LoggedRequest
from asyncmirror.testing.request import Request, parse


class S3Protocol(asyncio.Protocol):
    """A connection. One request at a time; what is pipelined is answered in order as long as no fault delays an answer."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._parser = httptools.HttpRequestParser(self)
        self._transport: asyncio.Transport | None = None
        self._number = 0
        self._dead = False  # nothing more is read: the connection was ended or hangs by a fault
        self._begin()

    def _begin(self) -> None:
        self._target = b""
        self._headers: dict[str, str] = {}
        self._pieces: list[bytes] = []
        self._received = 0
        self._ordinal = 0
        self._request: Request | None = None
        self._refusal: S3Error | None = None
        self._fault: Fault | None = None
        self._answered = False
        self._logged = True  # nothing to log until the head is there

    # asyncio's side

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the connection up."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's are no subclass
        self._hub.connected += 1
        self._number = self._hub.connected
        self._hub.open.add(self)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  asyncio's signature
        """Log what did not come to its end."""
        self._hub.open.discard(self)
        if not self._logged:
            self._log(None, done=False)
        self._dead = True
        self._transport = None

    def data_received(self, data: bytes) -> None:
        """Feed the parser."""
        if self._dead:
            return
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            cause = error.__context__
            if isinstance(error, httptools.HttpParserCallbackError) and isinstance(cause, Exception):
                self._hub.crashes.append(cause)
            malformed = error_reply(S3Error("InvalidRequest", "This is no HTTP request."), "", "0")
            self._write(Delivery((serialize(malformed, "0", self._now(), head=False, close=True),), Ending.CLOSE))

    def abort(self) -> None:
        """End the connection at once."""
        self._dead = True
        if self._transport is not None:
            self._transport.abort()

    # The parser's side

    def on_message_begin(self) -> None:
        """A request begins."""
        self._begin()

    def on_url(self, url: bytes) -> None:
        """A piece of the target."""
        self._target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header; one that comes twice is joined, as its signature demands."""
        key, text = name.decode("latin-1").lower(), value.decode("latin-1")
        self._headers[key] = f"{self._headers[key]},{text}" if key in self._headers else text

    def on_headers_complete(self) -> None:
        """The head is there: number it, let faults strike that need no body."""
        hub = self._hub
        hub.numbered += 1
        self._ordinal = hub.numbered
        self._logged = False
        secure = self._transport is not None and self._transport.get_extra_info("ssl_object") is not None
        method = self._parser.get_method().decode("latin-1")
        try:
            self._request = parse(method, self._target, self._headers, hub.service.config.domains, secure=secure)
        except S3Error as error:
            self._refusal = error
            return
        request = self._request
        elapsed = hub.loop.time() - hub.faults_since
        self._fault = hub.faults.next(request.op, request.key, request.part_number, elapsed)
        if self._fault is not None and self._fault.kind in BEFORE_BODY:
            self._strike_before(self._fault, request)
        elif self._length() > MAX_PART_SIZE:
            too_large = S3Error("EntityTooLarge", "Your proposed upload exceeds the maximum allowed size")
            self._answer_early(error_reply(too_large, request.path, self._id()))
        elif self._headers.get("expect", "").lower() == "100-continue" and hub.service.config.profile.answers_expect:
            self._write(Delivery((CONTINUE,), Ending.KEEP))
        self._strike_within()

    def on_body(self, piece: bytes) -> None:
        """A piece of the body."""
        if self._dead:
            return
        self._received += len(piece)
        if not self._answered:
            self._pieces.append(piece)
        self._strike_within()

    def on_message_complete(self) -> None:
        """The request is whole: carry it out and answer."""
        if self._dead:
            return
        if self._answered:
            self._write(Delivery((), Ending.CLOSE))
            return
        close = not self._parser.should_keep_alive()
        request, fault = self._request, self._fault
        if request is None:
            refusal = self._refusal or S3Error("InvalidRequest")
            reply = error_reply(refusal, self._target.decode("latin-1"), self._id())
            self._log(reply, done=False)
            self._write(deliver(reply, None, self._id(), self._now(), head=False, close=close))
            return
        body = b"".join(self._pieces)
        self._pieces = []
        if fault is not None and fault.kind in INSTEAD:
            reply = instead(fault, request.path, self._id())
            silent = fault.kind in (Kind.RESET_AFTER, Kind.STALL, Kind.DONE_LATE)
            self._log(None if silent else reply, done=False)
            if fault.kind is Kind.DONE_LATE:
                self._hub.loop.call_later(fault.seconds, self._do_late, request, body, self._line(None, done=False))
        else:
            reply = self._do(request, body, fault)
            self._log(reply, done=_is_success(reply))
        head = request.method == "HEAD"
        delivery = deliver(reply, fault, self._id(), self._now(), head=head, close=close)
        delay = delivery.delay + self._hub.service.config.latency
        if delay > 0:
            self._hub.loop.call_later(delay, self._write, delivery)
        else:
            self._write(delivery)

    # Doing

    def _do(self, request: Request, body: bytes, fault: Fault | None) -> Reply:
        service = self._hub.service
        kind = fault.kind if fault is not None else None
        if fault is not None and kind in (Kind.KEYS_FAILED, Kind.KEYS_UNTOLD):
            code = fault.code if kind is Kind.KEYS_FAILED else ""
            return dispatch.withhold(service, request, body, code, lambda: self._execute(request, body))
        reply = self._execute(request, dispatch.flipped(body) if kind is Kind.FLIP_RECEIVED else body)
        if _is_success(reply) and kind is Kind.FLIP_STORED:
            return dispatch.tamper(service, request, reply, dispatch.flipped, told=False)
        if _is_success(reply) and kind is Kind.SHORT_STORED:
            return dispatch.tamper(service, request, reply, dispatch.halved, told=True)
        return reply

    def _do_late(self, request: Request, body: bytes, line: LoggedRequest) -> None:
        reply = self._execute(request, body)
        self._hub.log.add(replace(line, status=reply.status, code=reply.code, done=_is_success(reply)))

    def _execute(self, request: Request, body: bytes) -> Reply:
        try:
            return dispatch.execute(self._hub.service, request, body, self._id())
        except Exception as error:  # noqa: BLE001  a defect of the server is kept and raised when it closes
            self._hub.crashes.append(error)
            return error_reply(S3Error("InternalError", f"The test server crashed: {error!r}"), request.path, self._id())

    def _strike_before(self, fault: Fault, request: Request) -> None:
        if fault.kind is Kind.EARLY_ANSWER:
            self._answer_early(early(fault, request.path, self._id()))
            return
        self._log(None, done=False)
        self._write(Delivery((), Ending.RESET if fault.kind is Kind.RESET_BEFORE else Ending.CLOSE))
        self._dead = True

    def _strike_within(self) -> None:
        fault = self._fault
        if self._dead or fault is None or fault.kind not in IN_BODY:
            return
        at = fault.at_byte if fault.at_byte >= 0 else self._length() // 2
        if self._received < at:
            return
        self._log(None, done=False)
        self._write(Delivery((), Ending.RESET if fault.kind is Kind.RESET_IN_BODY else Ending.HANG))
        self._dead = True

    def _answer_early(self, reply: Reply) -> None:
        self._answered = True
        self._log(reply, done=False)
        self._write(Delivery((serialize(reply, self._id(), self._now(), head=False, close=True),), Ending.KEEP))

    # Writing and logging

    def _write(self, delivery: Delivery) -> None:
        if self._transport is None:
            return
        if delivery.gap:
            self._drip(delivery.pieces, delivery)
            return
        if delivery.pieces:
            self._transport.writelines(delivery.pieces)
        self._end(delivery.ending)

    def _drip(self, pieces: tuple[bytes, ...], delivery: Delivery) -> None:
        if self._transport is None:
            return
        if not pieces:
            self._end(delivery.ending)
            return
        self._transport.write(pieces[0])
        self._hub.loop.call_later(delivery.gap, self._drip, pieces[1:], delivery)

    def _end(self, ending: Ending) -> None:
        transport = self._transport
        if transport is None or ending is Ending.KEEP:
            return
        self._dead = True
        match ending:
            case Ending.CLOSE:
                transport.close()
            case Ending.RESET:
                _reset(transport)
            case Ending.HANG:
                transport.pause_reading()

    def _log(self, reply: Reply | None, *, done: bool) -> None:
        self._logged = True
        self._hub.log.add(self._line(reply, done=done))

    def _line(self, reply: Reply | None, *, done: bool) -> LoggedRequest:
        headers = self._headers if self._hub.service.config.log_headers else {}
        fault = self._fault.kind.value if self._fault is not None else ""
        line = line_of(self._request, reply, self._ordinal, self._received, done=done)
        return replace(line, fault=fault, connection=self._number, headers=dict(headers))

    def _id(self) -> str:
        return f"{self._ordinal:016X}"

    def _now(self) -> float:
        return self._hub.service.clock.now()

    def _length(self) -> int:
        value = self._headers.get("content-length", "0")
        return int(value[:20]) if value.isdecimal() else 0


def _is_success(reply: Reply) -> bool:
    return reply.status < HTTPStatus.MULTIPLE_CHOICES


def _reset(transport: asyncio.Transport) -> None:
    """End a connection with RST: no lingering, so closing throws away what was not sent."""
    inner = transport.get_extra_info("socket")
    if inner is not None and inner.fileno() >= 0:
        with socket.fromfd(inner.fileno(), inner.family, inner.type) as twin:
            twin.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()
