"""``python -m asyncmirror.testing``: the server as a process of its own.

Owns the command line. Prints one JSON line ``{"url": …, "pid": …}`` when it listens, and runs until SIGTERM or SIGINT, or
until standard input ends with ``--until-eof``.
"""

import argparse
import asyncio
import os
import signal
import socket
import ssl
import sys
from pathlib import Path

import orjson
import uvloop

from asyncmirror.testing.config import ServerConfig
from asyncmirror.testing.faults import FaultPlan
from asyncmirror.testing.profiles import PROFILES
from asyncmirror.testing.server import S3Server
from asyncmirror.testing.signature import Credentials


def main(argv: list[str] | None = None) -> int:
    """Run the command; gives the exit code."""
    parser = _parser()
    args = parser.parse_args(argv)
    try:
        config = _config(args)
    except (OSError, ValueError, TypeError, ssl.SSLError) as error:
        parser.error(str(error))
    if args.processes > 1 and (config.profile.checks or config.remember):
        parser.error("--processes is for --profile null without --remember: processes share no memory")
    first, others = _sockets(args.host, args.port, args.processes)
    life, alive = os.pipe()  # the write end closes with the first process, however that ends
    for sock in others:
        if os.fork() == 0:
            os.close(alive)
            first.close()
            uvloop.run(_serve(config, sock, until_eof=life, announce=False))
            return 0
        sock.close()
    uvloop.run(_serve(config, first, until_eof=sys.stdin.fileno() if args.until_eof else None, announce=True))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m asyncmirror.testing", description="A strict S3 server for tests.")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    parser.add_argument("--port", type=int, default=0, help="port (default: a free one)")
    parser.add_argument("--bucket", action="append", default=[], metavar="NAME", help="a bucket to make; may be repeated")
    parser.add_argument("--public", action="append", default=[], metavar="NAME", help="one that anybody may read")
    parser.add_argument("--profile", choices=sorted(PROFILES), default="strict", help="the store it behaves like")
    parser.add_argument("--region", default="us-east-1", help="its region; empty takes any (default: %(default)s)")
    parser.add_argument("--latency-ms", type=float, default=0.0, metavar="N", help="hold every answer back so long")
    parser.add_argument("--min-part-size", type=int, default=ServerConfig().min_part_size, metavar="BYTES")
    parser.add_argument("--tls-cert", type=Path, metavar="FILE", help="certificate chain, PEM")
    parser.add_argument("--tls-key", type=Path, metavar="FILE", help="its key, PEM")
    parser.add_argument("--log", type=Path, metavar="FILE", help="append a JSON line per request")
    parser.add_argument("--log-headers", action="store_true", help="keep headers in the log")
    parser.add_argument("--processes", type=int, default=1, metavar="N", help="processes on one port (null profile)")
    parser.add_argument("--plain-unsigned", action="store_true", help="take UNSIGNED-PAYLOAD without TLS, as many stores do")
    parser.add_argument("--remember", action="store_true", help="let the null profile list what was put")
    parser.add_argument("--access-key", default=Credentials().access_key)
    parser.add_argument("--secret-key", default=Credentials().secret_key)
    parser.add_argument("--session-token", default="")
    parser.add_argument("--faults", default="", metavar="JSON", help="a fault plan, or the name of a file with one")
    parser.add_argument("--until-eof", action="store_true", help="end when standard input does")
    return parser


def _config(args: argparse.Namespace) -> ServerConfig:
    tls: ssl.SSLContext | None = None
    if args.tls_cert is not None:
        tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        tls.load_cert_chain(args.tls_cert, args.tls_key)
    text = args.faults.strip()
    plan = FaultPlan()
    if text:
        plan = FaultPlan.from_json(text if text.startswith("{") else Path(text).read_bytes())
    return ServerConfig(
        host=args.host,
        buckets=tuple(dict.fromkeys([*args.bucket, *args.public])) or ("bucket",),
        public=frozenset(args.public),
        credentials=(Credentials(args.access_key, args.secret_key, args.session_token),),
        region=args.region,
        profile=PROFILES[args.profile],
        faults=plan,
        latency=args.latency_ms / 1000,
        tls=tls,
        min_part_size=args.min_part_size,
        plain_unsigned=args.plain_unsigned,
        log_path=args.log,
        log_headers=args.log_headers,
        remember=args.remember,
    )


def _sockets(host: str, port: int, count: int) -> tuple[socket.socket, list[socket.socket]]:
    """Listening sockets on one port, one for each process; the kernel spreads connections over them."""
    first = _listen(host, port, shared=count > 1)
    taken = int(first.getsockname()[1])
    return first, [_listen(host, taken, shared=True) for _ in range(count - 1)]


def _listen(host: str, port: int, *, shared: bool) -> socket.socket:
    sock = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if shared:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    sock.bind((host, port))
    sock.listen(1024)
    sock.setblocking(False)  # noqa: FBT003  the only way to say it
    return sock


async def _serve(config: ServerConfig, sock: socket.socket, *, until_eof: int | None, announce: bool) -> None:
    loop = asyncio.get_running_loop()
    over = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, over.set)
    async with S3Server(config, sock=sock) as server:
        if until_eof is not None:
            loop.add_reader(until_eof, _ended, until_eof, over)
        if announce:
            line = orjson.dumps({"url": server.url, "pid": os.getpid()}, option=orjson.OPT_APPEND_NEWLINE)
            sys.stdout.buffer.write(line)
            sys.stdout.buffer.flush()
        await over.wait()


def _ended(descriptor: int, over: asyncio.Event) -> None:
    if not os.read(descriptor, 4096):
        asyncio.get_running_loop().remove_reader(descriptor)
        over.set()


if __name__ == "__main__":
    sys.exit(main())
