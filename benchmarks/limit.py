"""The limit: what Python on uvloop can put on the wire to this server, with no scan, no file, no pool and no journal.

    python benchmarks/limit.py URL --sizes FILE [--connections 64] [--authority PEM] [--sign]

Bodies are slices of one buffer, heads are made beforehand and as long as a signed one. Objects of more than 16 MiB go as
requests of 16 MiB. Over TLS the layer is asyncmirror's own. With `--sign` each request also gets what S3 wants of everybody who
checks: the body's CRC and SHA-256, and a signature of its own. Prints JSON: seconds and CPU seconds from when all connections
stand to the last answer.
"""

import argparse
import asyncio
import hashlib
import itertools
import json
import random
import time
from collections.abc import Iterator
from pathlib import Path
from typing import cast
from urllib.parse import urlsplit

import uvloop

from asyncmirror.checksum import compute, to_header
from asyncmirror.model import Algorithm
from asyncmirror.store.session import Credentials
from asyncmirror.store.wire.head import make_form, render
from asyncmirror.store.wire.sigv4 import Signer
from asyncmirror.store.wire.tls import TlsLayer, client_context

_PART = 16 << 20
_SLICE = 1 << 18
_SIGNATURE = "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20260101/us-east-1/s3/aws4_request, SignedHeaders=" + "x" * 180


class Sender(asyncio.Protocol):
    """A connection that sends the next request as soon as the last is answered."""

    def __init__(self, work: Iterator[int], buffer: memoryview, tls: TlsLayer | None, signing: bool) -> None:  # noqa: FBT001
        loop = asyncio.get_running_loop()
        self.ready: asyncio.Future[None] = loop.create_future()
        self.done: asyncio.Future[None] = loop.create_future()
        self._work = work
        self._buffer = buffer
        self._tls = tls
        self._signing = signing
        self._answer = b""
        self._rest: memoryview | None = None
        self._paused = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The connection stands."""
        self._transport = cast("asyncio.Transport", transport)
        self._transport.set_write_buffer_limits(4 * _SLICE)
        if self._tls is None:
            self.ready.set_result(None)
        else:
            self._tls.handshake()
            self._transport.write(self._tls.pending())

    def data_received(self, data: bytes) -> None:
        """An answer, or a piece of one, or of the handshake."""
        if self._tls is not None:
            data = self._tls.receive(data)
            if not self.ready.done():
                self._transport.write(self._tls.pending())
                if self._tls.ready:
                    self.ready.set_result(None)
                return
        self._answer += data
        if self._answer.endswith(b"\r\n\r\n"):
            if not self._answer.startswith(b"HTTP/1.1 200"):
                raise RuntimeError(self._answer.decode("latin-1"))
            self._answer = b""
            self.next()

    def next(self) -> None:
        """Send a request, or be done."""
        size = next(self._work, None)
        if size is None:
            self.done.set_result(None)
            return
        body = self._buffer[:size]
        head = _signed(body) if self._signing else _head(size)
        if size <= _SLICE:
            self._write(b"".join((head, body)))
        else:
            self._write(head)
            self._rest = body
            self._pump()

    def _pump(self) -> None:
        while self._rest is not None and not self._paused:
            piece, self._rest = self._rest[:_SLICE], self._rest[_SLICE:] or None
            self._write(piece)

    def _write(self, data: bytes | memoryview) -> None:
        self._transport.write(data if self._tls is None else self._tls.encrypt(data))

    def pause_writing(self) -> None:
        """Wait."""
        self._paused = True

    def resume_writing(self) -> None:
        """Go on."""
        self._paused = False
        self._pump()

    def connection_lost(self, exc: Exception | None) -> None:
        """It must not be."""
        for future in (self.ready, self.done):
            if not future.done():
                future.set_exception(exc or ConnectionResetError())


_heads: dict[int, bytes] = {}


def _head(size: int) -> bytes:
    """A head as long as a signed one; one for each size, made when it is first needed."""
    head = _heads.get(size)
    if head is None:
        head = _heads[size] = (
            f"PUT /bkt/limit/main/dark/0000/coadd-main-dark-0000000.fits HTTP/1.1\r\nhost:localhost\r\n"
            f"content-length:{size}\r\n"
            "content-type:application/fits\r\nx-amz-checksum-crc64nvme:AAAAAAAAAAA=\r\nx-amz-date:20260101T000000Z\r\n"
            f"x-amz-content-sha256:{'0' * 64}\r\nx-amz-meta-mtime:1700000000.123456789\r\nauthorization:{_SIGNATURE}\r\n\r\n"
        ).encode()
    return head


_SIGNER = Signer(Credentials("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", None), "us-east-1")
_METADATA = {"mtime": "1700000000.123456789", "asyncmirror-nonce": "0123456789abcdef"}
_FORM = make_form({"host": "localhost", "content-type": "application/fits"}, Algorithm.CRC64NVME, _METADATA)
_numbers = itertools.count()


def _signed(body: memoryview) -> bytes:
    """A head of its own for a body."""
    path = f"/bkt/limit/main/dark/0000/coadd-main-dark-{next(_numbers):07}.fits"
    value, payload = to_header(compute(Algorithm.CRC64NVME, body)), hashlib.sha256(body).hexdigest()
    return render(_FORM, _SIGNER, path, "", len(body), value, payload, "20260101T000000Z", _METADATA)


async def run(options: argparse.Namespace) -> dict[str, float]:
    """Send all; gives what was measured."""
    sizes = json.loads(options.sizes.read_text())
    pieces = [min(_PART, size - begin) for size in sizes for begin in range(0, size, _PART)]
    buffer = memoryview(random.Random(1).randbytes(max(pieces)))
    for size in set(pieces):
        _head(size)
    place = urlsplit(options.url)
    context = client_context(str(options.authority)) if options.authority else None
    work, loop = iter(pieces), asyncio.get_running_loop()
    senders = []
    for _ in range(options.connections):
        tls = TlsLayer(context, place.hostname or "") if context else None
        sender = Sender(work, buffer, tls, options.sign)
        await loop.create_connection(lambda sender=sender: sender, place.hostname, place.port)  # type: ignore[misc]
        senders.append(sender)
    await asyncio.gather(*(sender.ready for sender in senders))
    began, cpu = time.perf_counter(), time.process_time()
    for sender in senders:
        sender.next()
    await asyncio.gather(*(sender.done for sender in senders))
    return {"seconds": time.perf_counter() - began, "cpu": time.process_time() - cpu}


def main() -> None:
    """Parse and run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("url")
    parser.add_argument("--sizes", type=Path, required=True, help="JSON list of the objects' sizes in bytes")
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--authority", type=Path)
    parser.add_argument("--sign", action="store_true")
    print(json.dumps(uvloop.run(run(parser.parse_args()))))


if __name__ == "__main__":
    main()
