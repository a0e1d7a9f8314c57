"""An embedded S3 server: moto behind HTTP/1.1 with keep-alive, and a log of every request it answered.

Owns the socket, the log and the command ``python -m asyncmirror.testing.moto``. Knows nothing of the product: what the log
says was sent is evidence only because nobody else wrote it. moto itself verifies neither signatures nor checksums; a body
that arrives short never reaches it. moto's state is one per process, so a process serves one at a time.

moto refuses parts below 5 MiB as S3 does; it reads another limit from ``S3_UPLOAD_PART_MIN_SIZE`` when it is imported.
"""

import argparse
import contextlib
import http.client
import io
import json
import os
import signal
import socket
import threading
import time
from collections.abc import Iterable, Sequence
from http import HTTPStatus
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self, TextIO
from urllib.parse import parse_qs, unquote, urlsplit

try:
    from flask import Flask
    from moto.backends import SERVICE_NAMES, get_backend
    from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
    from werkzeug.serving import ThreadedWSGIServer
    from werkzeug.test import run_wsgi_app
except ImportError as error:
    raise ImportError("the embedded S3 server needs moto: pip install 'asyncmirror[demo]'") from error

_IDLE = 300.0
"""Seconds after which a connection without a request is closed."""


class Request(NamedTuple):
    """One request as the server saw it, noted when its answer was made.

    `path` is decoded and begins with ``/BUCKET/``; `query` stands as it was sent; `length` counts the bytes of the body
    that arrived. `status` is 0 where no answer was made because the body ended early. `part` is 0 and `upload_id` empty
    where the request names none. `time` is in seconds since the epoch.
    """

    time: float
    method: str
    path: str
    query: str
    status: int
    length: int
    part: int
    upload_id: str


class _Handler(MotoRequestHandler):
    """Reads each request whole, asks moto, answers with a length: all that keep-alive takes, and werkzeug's own lacks."""

    protocol_version = "HTTP/1.1"
    timeout = _IDLE
    disable_nagle_algorithm = True
    server: "_Server"

    def setup(self) -> None:
        super().setup()
        self.server.connections.add(self.connection)

    def finish(self) -> None:
        self.server.connections.discard(self.connection)
        super().finish()

    def run_wsgi(self) -> None:
        environ = self.make_environ()
        declared = int(self.headers.get("Content-Length") or 0)
        chunked = bool(environ.pop("wsgi.input_terminated", False))
        try:
            body = environ["wsgi.input"].read(-1 if chunked else declared)
        except OSError:  # a reset, or chunks that are none
            body, chunked, declared = b"", False, 1
        if len(body) < declared and not chunked:
            self._note(0, len(body))
            self.close_connection = True
            return
        environ["wsgi.input"] = io.BytesIO(body)
        environ["CONTENT_LENGTH"] = str(len(body))
        pieces, status, headers = run_wsgi_app(self.server.app, environ, buffered=True)
        answer = b"".join(pieces)
        code, _, reason = status.partition(" ")
        self._note(int(code), len(body))
        self.send_response_only(int(code), reason)
        for name, value in headers:
            self.send_header(name, value)
        if "Date" not in headers:
            self.send_header("Date", self.date_time_string())
        if "Content-Length" not in headers and int(code) not in (HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED):
            self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(answer)

    def _note(self, status: int, length: int) -> None:
        url = urlsplit(self.path)
        query = parse_qs(url.query)
        part = int(query.get("partNumber", ["0"])[0])
        upload_id = query.get("uploadId", [""])[0]
        self.server.note(Request(time.time(), self.command, unquote(url.path), url.query, status, length, part, upload_id))

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Say nothing on the terminal: the log has it."""


def _app(service: SERVICE_NAMES) -> Flask:
    app = create_backend_app(service)
    app.debug = False  # what moto stumbles over is answered with 500, as a store would
    return app


class _Server(ThreadedWSGIServer):
    def __init__(self, port: int, log: TextIO | None) -> None:
        super().__init__("127.0.0.1", port, DomainDispatcherApplication(_app), _Handler)
        self.connections: set[socket.socket] = set()
        self._requests: list[Request] = []
        self._log = log
        self._lock = threading.Lock()

    def note(self, request: Request) -> None:
        """Append to the log; a line is in the file before the client has its answer."""
        with self._lock:
            self._requests.append(request)
            if self._log is not None:
                self._log.write(json.dumps(request._asdict()) + "\n")
                self._log.flush()

    def noted(self) -> tuple[Request, ...]:
        """All requests so far."""
        with self._lock:
            return tuple(self._requests)

    def close(self) -> None:
        """Give the port back."""
        self.server_close()

    def hang_up(self) -> None:
        """End the connections that clients keep open; their threads end with them."""
        for connection in tuple(self.connections):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)


class MotoServer:
    """An empty S3 store on a loopback port for as long as the ``with`` block lasts.

    Args:
        buckets: Buckets to create first.
        port: The port to listen on; 0 takes a free one.
        log: A file to which each `Request` is appended as a JSON line.

    Attributes:
        url: The endpoint, without a slash at its end; empty until it listens.
    """

    def __init__(self, *buckets: str, port: int = 0, log: Path | None = None) -> None:
        self._buckets = buckets
        self._port = port
        self._log = log
        self._scope = contextlib.ExitStack()
        self.url = ""

    def __enter__(self) -> Self:
        """Listen, and make the buckets.

        Raises:
            OSError: The port is taken, the log can't be written, or moto refused a bucket.
        """
        with contextlib.ExitStack() as scope:  # undone at once where a step fails
            file = None if self._log is None else scope.enter_context(self._log.open("a", encoding="utf-8"))
            self._server = scope.enter_context(contextlib.closing(_Server(self._port, file)))
            self.url = f"http://127.0.0.1:{self._server.server_port}"
            get_backend("s3").reset()
            thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, name="moto")
            thread.start()
            scope.callback(thread.join)
            scope.callback(self._server.hang_up)
            scope.callback(self._server.shutdown)
            for bucket in self._buckets:
                self.create_bucket(bucket)
            self._scope = scope.pop_all()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._scope.close()

    def create_bucket(self, name: str) -> None:
        """Make a bucket.

        Raises:
            OSError: moto would not.
        """
        with contextlib.closing(http.client.HTTPConnection("127.0.0.1", self._server.server_port, timeout=60)) as connection:
            connection.request("PUT", f"/{name}")
            answer = connection.getresponse()
            text = answer.read().decode(errors="replace")
            if answer.status != HTTPStatus.OK:
                raise OSError(f"moto made no bucket {name!r}: {answer.status} {text}")

    @property
    def requests(self) -> tuple[Request, ...]:
        """Every request answered so far, in the order of the answers."""
        return self._server.noted()


def read_log(lines: Iterable[str]) -> list[Request]:
    """Read a log file's lines back; a last line that is still being written is left out."""
    return [Request(**json.loads(line)) for line in lines if line.endswith("\n")]


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until SIGTERM or SIGINT; say ``{"url": …, "pid": …}`` on stdout once requests are taken."""
    parser = argparse.ArgumentParser(prog="python -m asyncmirror.testing.moto", description="moto's S3 with a request log")
    parser.add_argument("--port", type=int, default=0, help="default: a free one")
    parser.add_argument("--bucket", action="append", default=[], help="a bucket to create; may be given again")
    parser.add_argument("--log", type=Path, help="append each request to this file as a JSON line")
    options = parser.parse_args(arguments)
    ends = {signal.SIGTERM, signal.SIGINT}
    signal.pthread_sigmask(signal.SIG_BLOCK, ends)  # before any thread begins, so that only sigwait takes them
    with MotoServer(*options.bucket, port=options.port, log=options.log) as server:
        print(json.dumps({"url": server.url, "pid": os.getpid()}), flush=True)  # noqa: T201  the address is this command's output
        signal.sigwait(ends)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
