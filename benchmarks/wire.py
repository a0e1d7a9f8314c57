"""How fast the lean wire is alone: PUTs of 4 KiB and parts of 8 MiB against a null server in another process.

    python benchmarks/wire.py [--objects 20000] [--connections 64] [--parts 64] [--tls] [--peer] [--profile]

Prints objects per second (or GiB/s) and the client's CPU time per object (or GiB). `--peer` measures aioboto3's put_object
beside it, in the same run; `--tls` everything over TLS; `--profile` shows where the client's time goes, by cProfile.
"""

import argparse
import asyncio
import cProfile
import json
import os
import pstats
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from urllib.parse import urlsplit

import uvloop

from asyncmirror import checksum
from asyncmirror.model import Algorithm, Properties
from asyncmirror.settings import Connection, ObjectOptions
from asyncmirror.sizes import GIB, KIB, MIB
from asyncmirror.store.s3 import S3Store
from asyncmirror.store.session import Credentials, Endpoint
from asyncmirror.store.wire.plane import Wire

SMALL = 4 * KIB
PART = 8 * MIB
KEYS = Credentials("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", None)


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
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        authority = certificate = None
        if options.tls:
            import trustme  # noqa: PLC0415  only here

            issuer = trustme.CA()
            authority, certificate = str(Path(folder, "ca.pem")), str(Path(folder, "server.pem"))
            issuer.cert_pem.write_to_path(authority)
            issuer.issue_cert("localhost").private_key_and_cert_chain_pem.write_to_path(certificate)
        command = [sys.executable, "-m", "asyncmirror.testing", "--profile", "null", "--bucket", "bucket"]
        command += ["--tls-cert", certificate, "--tls-key", certificate] if certificate else []
        server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        try:
            assert server.stdout is not None
            port = urlsplit(json.loads(server.stdout.readline())["url"]).port or 0
            (asyncio.run if options.stdlib else uvloop.run)(run(options, port, authority))
        finally:
            server.kill()
            server.wait()


if __name__ == "__main__":
    os.environ.update(AWS_ACCESS_KEY_ID=KEYS.access_key, AWS_SECRET_ACCESS_KEY=KEYS.secret_key)
    main()
