"""How an answer goes out: whole, cut short, garbled, late; and what becomes of the connection.

Owns the bytes of an HTTP answer and what each fault makes of them. Pure: `protocol` does the writing.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from http import HTTPStatus

from asyncmirror.testing.answers import Reply, S3Error, error_document, error_reply
from asyncmirror.testing.faults import Fault, Kind
from asyncmirror.testing.service import http_date

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
_GARBAGE = b"\x00\xff\x16\x03\x01 this is no HTTP\r\n\r\n" * 8
_HINTS = b"HTTP/1.1 103 Early Hints\r\nLink: </x>; rel=preload\r\n\r\nHTTP/1.1 102 Processing\r\n\r\n"
_ETAG = re.compile(rb"<ETag>.*?</ETag>")
_PHRASES = {status.value: status.phrase for status in HTTPStatus}

BEFORE_BODY = frozenset({Kind.RESET_BEFORE, Kind.CLOSE_BEFORE, Kind.EARLY_ANSWER})
"""Faults that strike when the head has been read."""
IN_BODY = frozenset({Kind.RESET_IN_BODY, Kind.STALL_IN_BODY})
"""Faults that strike within the body."""
INSTEAD = frozenset(
    {
        Kind.STATUS,
        Kind.SLOW_DOWN,
        Kind.ERROR_IN_200,
        Kind.EXPIRED_TOKEN,
        Kind.CLOCK_SKEW,
        Kind.NO_SUCH_UPLOAD,
        Kind.RESET_AFTER,
        Kind.STALL,
        Kind.DONE_LATE,
    }
)
"""Faults that take the place of the operation."""


class Ending(Enum):
    """What becomes of the connection after an answer."""

    KEEP = "keep"
    CLOSE = "close"
    RESET = "reset"
    HANG = "hang"


@dataclass(frozen=True, slots=True)
class Delivery:
    """Bytes to write, `delay` seconds from now, piece by piece with `gap` seconds between, and the ending."""

    pieces: tuple[bytes, ...]
    ending: Ending
    delay: float = 0.0
    gap: float = 0.0


def instead(fault: Fault, path: str, request_id: str) -> Reply:
    """What is answered in place of the operation, for the kinds that answer at all."""
    match fault.kind:
        case Kind.SLOW_DOWN:
            error = S3Error("SlowDown", "Please reduce your request rate.")
        case Kind.EXPIRED_TOKEN:
            error = S3Error("ExpiredToken", "The provided token has expired.")
        case Kind.CLOCK_SKEW:
            error = S3Error(
                "RequestTimeTooSkewed", "The difference between the request time and the current time is too large."
            )
        case Kind.NO_SUCH_UPLOAD:
            error = S3Error("NoSuchUpload", "The specified upload does not exist.")
        case Kind.ERROR_IN_200:
            error = S3Error("InternalError", "We encountered an internal error. Please try again.", status=200)
        case _ if not fault.code:
            page = f"<html><body><h1>{fault.status} {_phrase(fault.status)}</h1></body></html>".encode()
            return Reply(fault.status, (("Content-Type", "text/html"),), page, str(fault.status))
        case _:
            error = S3Error(fault.code, "Injected by the fault plan.", status=fault.status)
    return error_reply(error, path, request_id)


def early(fault: Fault, path: str, request_id: str) -> Reply:
    """What is answered before the body was read: a lie of success for 200, an error otherwise."""
    if fault.status == HTTPStatus.OK:
        return Reply(200, (("ETag", '"d41d8cd98f00b204e9800998ecf8427e"'),))
    error = S3Error(fault.code or "InternalError", "Injected by the fault plan.", status=fault.status)
    return Reply(error.status, (("Content-Type", "application/xml"),), error_document(error, path, request_id), error.code)


def altered(reply: Reply, fault: Fault | None, *, head: bool) -> Reply:
    """The reply with what a fault leaves out of it or puts in its place.

    A HEAD's has no body to spoil: another length would be a lie about the object.
    """
    if fault is not None and fault.kind is Kind.MISSING_ETAG:
        return reply.without("ETag")._replace(body=_ETAG.sub(b"", reply.body))
    if fault is not None and fault.kind is Kind.GARBAGE_BODY and not head:
        return reply._replace(body=b"<?xml version='1.0'?><Unfinished><Key>\x01" + b"]]>" * 20)
    return reply


def serialize(reply: Reply, request_id: str, now: float, *, head: bool, close: bool, chunked: bool = False) -> bytes:
    """An HTTP/1.1 answer. `head`: the request was HEAD, so the length is told but no body follows."""
    lines = [f"HTTP/1.1 {reply.status} {_phrase(reply.status)}", f"x-amz-request-id: {request_id}", f"Date: {http_date(now)}"]
    lines += ["Server: AsyncmirrorTesting", *(f"{name}: {value}" for name, value in reply.headers)]
    bodiless = reply.status in (HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED)
    if chunked and not bodiless:
        lines.append("Transfer-Encoding: chunked")
    elif not bodiless and reply.header("Content-Length") is None:
        lines.append(f"Content-Length: {len(reply.body)}")
    if close:
        lines.append("Connection: close")
    start = ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1", "replace")
    if head or bodiless:
        return start
    return start + (_in_chunks(reply.body) if chunked else reply.body)


def deliver(reply: Reply, fault: Fault | None, request_id: str, now: float, *, head: bool, close: bool) -> Delivery:
    """What is written and what becomes of the connection. `close`: it ends anyway, for the client asked so."""
    kind = fault.kind if fault is not None else None
    seconds = fault.seconds if fault is not None else 0.0
    reply = altered(reply, fault, head=head)
    shift = seconds if kind is Kind.CLOCK_SKEW else 0.0
    told = close or kind is Kind.CLOSE_TOLD
    data = serialize(reply, request_id, now + shift, head=head, close=told, chunked=kind is Kind.CHUNKED)
    usual = Ending.CLOSE if told else Ending.KEEP
    if kind in _BROKEN:
        piece, ending = _BROKEN[kind]
        return Delivery((piece(data, 0 if head else len(reply.body)),), ending)
    if kind is Kind.DRIP:
        return Delivery(tuple(data[n : n + 1] for n in range(len(data))), usual, gap=seconds / len(data))
    if kind is Kind.INFORMATIONAL:
        data = _HINTS + data
    elif kind is Kind.EXTRA_ANSWER:
        data += serialize(reply, "EXTRA", now, head=head, close=False)
    return Delivery((data,), usual, delay=seconds if kind is Kind.DELAY else 0.0)


def _nothing(_data: bytes, _body: int) -> bytes:
    return b""


def _half(data: bytes, body: int) -> bytes:
    """Half the body; half the head of an answer without one."""
    return data[: len(data) - (body + 1) // 2] if body and len(data) > body else data[: len(data) // 2]


def _garbage(_data: bytes, _body: int) -> bytes:
    return _GARBAGE


def _whole(data: bytes, _body: int) -> bytes:
    return data


_BROKEN: Mapping[Kind | None, tuple[Callable[[bytes, int], bytes], Ending]] = {
    Kind.RESET_AFTER: (_nothing, Ending.RESET),
    Kind.LOST_ANSWER: (_nothing, Ending.RESET),
    Kind.DONE_LATE: (_nothing, Ending.RESET),
    Kind.STALL: (_nothing, Ending.HANG),
    Kind.TRUNCATED: (_half, Ending.CLOSE),
    Kind.STALL_IN_ANSWER: (_half, Ending.HANG),
    Kind.GARBAGE: (_garbage, Ending.CLOSE),
    Kind.CLOSE_SILENT: (_whole, Ending.CLOSE),
}


def _phrase(status: int) -> str:
    return _PHRASES.get(status, "Unknown")


def _in_chunks(body: bytes) -> bytes:
    size = max(len(body) // 3, 1)
    pieces = [body[at : at + size] for at in range(0, len(body), size)]
    return b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"
