"""How fast the lean wire is alone: PUTs of 4 KiB and parts of 8 MiB against a null server in another process.

    python benchmarks/wire.py [--objects 20000] [--connections 64] [--parts 64] [--tls] [--peer] [--profile]

Prints objects per second (or GiB/s) and the client's CPU time per object (or GiB). `--peer` measures aioboto3's put_object
beside it, in the same run; `--tls` everything over TLS; `--profile` shows where the client's time goes, by cProfile.
"""

import argparse
import asyncio
import cProfile
import pstats
import resource
import ssl
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import cast

import uvloop

from asyncmirror import checksum
from asyncmirror.model import Algorithm, Properties
from asyncmirror.settings import GIB, KIB, MIB, Connection, ObjectOptions
from asyncmirror.store.s3 import S3Store
from asyncmirror.store.session import Credentials, Endpoint
from asyncmirror.store.wire.plane import Wire

SMALL = 4 * KIB
PART = 8 * MIB
ANSWER = b'HTTP/1.1 200 OK\r\nETag: "0123456789abcdef0123456789abcdef"\r\nContent-Length: 0\r\nServer: null\r\n\r\n'
KEYS = Credentials("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", None)


class NullServer(asyncio.Protocol):
    """Counts a body's bytes, throws them away and answers 200. Verifies nothing."""

    def __init__(self) -> None:
        self._head = b""
        self._left = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client came."""
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Bytes came."""
        if self._left > len(data):
            self._left -= len(data)
            return
        if self._left:
            data = data[self._left :]
            self._answer()
        data = self._head + data
        while (end := data.find(b"\r\n\r\n")) >= 0:
            head = data[:end].lower()
            at = head.index(b"content-length:") + 15
            size = int(head[at:].partition(b"\r\n")[0])
            data = data[end + 4 :]
            if len(data) < size:
                self._left, data = size - len(data), b""
                break
            data = data[size:]
            self._answer()
        self._head = data

    def _answer(self) -> None:
        self._left = 0
        self._transport.write(ANSWER)


async def serve(certificate: str | None) -> None:
    """Serve until killed; prints the port."""
    context = None
    if certificate:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(certificate)
    server = await asyncio.get_running_loop().create_server(NullServer, "127.0.0.1", 0, ssl=context)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


async def spread(count: int, workers: int, act: Callable[[int], Awaitable[object]]) -> None:
    """Act on 0 … count - 1, `workers` at a time."""
    numbers = iter(range(count))

    async def worker() -> None:
        for number in numbers:
            await act(number)

    async with asyncio.TaskGroup() as group:
        for _ in range(workers):
            group.create_task(worker())


def cpu() -> float:
    """Seconds of CPU this process has used."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


async def measure(name: str, count: int, workers: int, size: int, act: Callable[[int], Awaitable[object]]) -> None:
    """Run and print one line."""
    await spread(workers, workers, act)
    before, start = cpu(), time.perf_counter()
    await spread(count, workers, act)
    seconds, used = time.perf_counter() - start, cpu() - before
    if size >= MIB:
        volume = count * size / GIB
        print(f"{name:44} {volume / seconds:8.2f} GiB/s     {used / volume:8.2f} CPU s/GiB")
    else:
        print(f"{name:44} {count / seconds:8.0f} objects/s {used / count * 1e6:8.1f} CPU µs/object")


async def run(options: argparse.Namespace, port: int, authority: str | None) -> None:
    """All measurements."""
    scheme = "https" if options.tls else "http"
    endpoint = Endpoint("bucket", f"{scheme}://localhost:{port}/bucket", "us-east-1", False, authority, False)  # noqa: FBT003  a value

    async def credentials() -> Credentials:
        return KEYS

    small, part = bytes(range(256)) * (SMALL // 256), bytes(range(256)) * (PART // 256)
    checksums = {size: checksum.compute(Algorithm.CRC64NVME, body) for size, body in ((SMALL, small), (PART, part))}
    properties = Properties(
        "application/octet-stream", {"mtime": "1700000000.123456789", "asyncmirror-nonce": "0123456789abcdef"}
    )

    for unsigned in (False, True) if options.tls else (False,):
        async with Wire(endpoint, credentials, unsigned_payload_over_tls=unsigned) as wire:

            async def put(number: int, wire: Wire = wire) -> None:
                await wire.put_object(f"iron/healpix/{number // 1000}/coadd-{number}.fits", small, checksums[SMALL], properties)

            async def upload(number: int, wire: Wire = wire) -> None:
                await wire.upload_part("large.fits", "upload", number % 10000 + 1, part, checksums[PART])

            how = f"{'TLS' if options.tls else 'plain'}, {'unsigned payload' if unsigned else 'payload signed'}"
            profile = cProfile.Profile()
            if options.profile:
                profile.enable()
            await measure(f"wire, 4 KiB, {how}", options.objects, options.connections, SMALL, put)
            if options.profile:
                profile.disable()
                pstats.Stats(profile).sort_stats("tottime").print_stats(30)
            await measure(f"wire, 8 MiB parts, {how}", options.parts, 8, PART, upload)

    if options.peer:
        connection = Connection(f"{scheme}://localhost:{port}", "us-east-1", ca_bundle=Path(authority) if authority else None)
        async with S3Store("bucket", connection, ObjectOptions(), options.connections) as store:

            async def peer(number: int) -> None:
                await store.put_object(f"iron/healpix/{number}/coadd-{number}.fits", small, checksums[SMALL], properties)

            await measure("aioboto3, 4 KiB", min(options.objects, 3000), options.connections, SMALL, peer)


def main() -> None:
    """Parse, start the server, measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--objects", type=int, default=20_000)
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--parts", type=int, default=64)
    parser.add_argument("--tls", action="store_true")
    parser.add_argument("--peer", action="store_true")
    parser.add_argument("--profile", action="store_true")
    parser.add_argument("--stdlib", action="store_true", help="asyncio's own event loop in the client")
    parser.add_argument("--serve", metavar="CERTIFICATE", nargs="?", const="", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve is not None:
        uvloop.run(serve(options.serve))
        return
    with tempfile.TemporaryDirectory() as folder:
        authority = certificate = None
        if options.tls:
            import trustme  # noqa: PLC0415  only here

            issuer = trustme.CA()
            authority, certificate = str(Path(folder, "ca.pem")), str(Path(folder, "server.pem"))
            issuer.cert_pem.write_to_path(authority)
            issuer.issue_cert("localhost").private_key_and_cert_chain_pem.write_to_path(certificate)
        command = [sys.executable, __file__, "--serve", *([certificate] if certificate else [])]
        server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        try:
            assert server.stdout is not None
            port = int(server.stdout.readline())
            (asyncio.run if options.stdlib else uvloop.run)(run(options, port, authority))
        finally:
            server.kill()
            server.wait()


if __name__ == "__main__":
    import os

    os.environ.update(AWS_ACCESS_KEY_ID=KEYS.access_key, AWS_SECRET_ACCESS_KEY=KEYS.secret_key)
    main()
