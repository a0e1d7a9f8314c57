"""S3 servers in processes of their own, and every request they answered.

Owns starting and ending them, and the one form in which all kinds of request log are read. The log of our own is the server's
stdout: a line is on its way before the client has its answer, and whoever waits for a request is woken by it.
"""

import contextlib
import http.client
import itertools
import json
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, unquote, urlsplit

PATIENCE = 60.0
"""Seconds after which something counts as hanging."""
_ACCESS = re.compile(r'beast: .* "(?P<method>[A-Z]+) (?P<target>\S+) HTTP/[\d.]+" (?P<status>\d+) (?P<size>\d+) ')
_ESTABLISHED, _CLOSE_WAIT = 1, 8  # include/net/tcp_states.h


class Request(NamedTuple):
    """One request: S3's name of the operation, `part` 0 where it has none, `size` the body's bytes, `status` 0 if cut off."""

    op: str
    key: str
    part: int
    size: int
    status: int

    @property
    def body(self) -> bool:
        """Whether it carries bytes of a file."""
        return self.op in ("PutObject", "UploadPart")

    @property
    def stored(self) -> bool:
        """Whether the server stored what it carried."""
        return self.body and self.status == 200


class Server:
    """A server that runs, as far as its log was read. Made by `serve`."""

    def __init__(
        self, process: "subprocess.Popen[bytes]", read: Callable[[bytes], "Request | str | None"], url: str = ""
    ) -> None:
        """Follow a log.

        Args:
            process: Whose stdout it is.
            read: Reads a line: a request, the server's URL, or nothing of interest.
            url: The server's URL, where the log does not tell it.
        """
        self.url = url
        self._requests: list[Request] = []
        self._process = process
        self._read = read
        self._news = threading.Condition()
        self._markers = itertools.count(1)
        self._thread = threading.Thread(target=self._follow, name="request log")
        self._thread.start()

    def _follow(self) -> None:
        assert self._process.stdout is not None
        for text in self._process.stdout:
            line = self._read(text)
            with self._news:
                if isinstance(line, Request):
                    self._requests.append(line)
                elif line is not None:
                    self.url = line
                self._news.notify_all()

    @property
    def requests(self) -> list[Request]:
        """All requests so far."""
        with self._news:
            return self._requests[:]

    def wait(self, reached: Callable[[list[Request]], bool], seconds: float = PATIENCE) -> bool:
        """Wait until the requests are such; whether they became so in time."""
        with self._news:
            return self._news.wait_for(lambda: reached(self._requests), seconds)

    def started(self) -> None:
        """Wait until it listens."""
        with self._news:
            assert self._news.wait_for(lambda: self.url, PATIENCE), "the server did not start"

    def settled(self) -> list[Request]:
        """All requests, once those of clients that are gone are answered: no connection is open any more."""
        assert self._process.poll() is None, "the server has ended"
        port = urlsplit(self.url).port
        assert port is not None
        deadline = time.monotonic() + PATIENCE
        while any(port == local and state in (_ESTABLISHED, _CLOSE_WAIT) for local, state in _connections()):
            assert time.monotonic() < deadline, "a connection stays open"
            with self._news:
                self._news.wait(0.01)
        # The log's last lines may still be on their way to this process: a request of our own comes behind them.
        marker = f"settled-{next(self._markers)}"
        with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)) as connection:
            connection.request("GET", f"/nobucket/{marker}")
            connection.getresponse().read()
        assert self.wait(lambda requests: bool(requests) and requests[-1].key == marker), "the log misses a request"
        return [request for request in self.requests if not request.key.startswith("settled-")]

    def end(self) -> None:
        """End the process."""
        self._process.terminate()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._thread.join()


def _connections() -> Iterator[tuple[int, int]]:
    """(local port, state) of every TCP connection over IPv4."""
    for line in Path("/proc/net/tcp").read_text(encoding="ascii").splitlines()[1:]:
        fields = line.split()
        yield int(fields[1].rpartition(":")[2], 16), int(fields[3], 16)


@contextlib.contextmanager
def serve(module: str, *arguments: str) -> Iterator[Server]:
    """A server until the block ends; `module` is what ``python -m`` runs."""
    command = [sys.executable, "-m", module, "--log", "/dev/stdout", *arguments]
    of_json = _of_moto if module.endswith(".moto") else _of_strict

    def read(text: bytes) -> Request | str:
        line = json.loads(text)
        return str(line["url"]) if "url" in line else of_json(line)

    with subprocess.Popen(command, stdout=subprocess.PIPE, start_new_session=True) as process:
        server = Server(process, read)
        try:
            server.started()
            yield server
        finally:
            server.end()


@contextlib.contextmanager
def gateway(directory: Path) -> Iterator[Server]:
    """A Ceph RADOS gateway with its files in a directory that does not exist yet, until the block ends (scripts/rgw)."""
    script = Path(__file__).parents[2] / "scripts" / "rgw"
    url = subprocess.run([script, "up", directory], check=True, stdout=subprocess.PIPE, text=True).stdout.strip()
    try:
        log = directory / "log" / "client.rgw.log"
        with subprocess.Popen(["tail", "--lines=+1", "--follow", log], stdout=subprocess.PIPE) as process:
            server = Server(process, _of_gateway, url)
            try:
                yield server
            finally:
                server.end()
    finally:
        subprocess.run([script, "down", directory], check=True)


def _of_strict(line: Mapping[str, Any]) -> Request:
    return Request(line["op"], line["key"], line["part_number"], line["body_bytes"], line["status"])


def _of_moto(line: Mapping[str, Any]) -> Request:
    return _plain(line["method"], line["path"], line["part"], line["upload_id"], line["length"], line["status"])


def _of_gateway(text: bytes) -> Request | None:
    """An access line of RGW's log; `size` is of the answer."""
    match = _ACCESS.search(text.decode("utf-8", "replace"))
    if match is None:
        return None
    path, _, query = match["target"].partition("?")
    arguments = dict(parse_qsl(query))
    part, upload_id = int(arguments.get("partNumber", 0)), arguments.get("uploadId", "")
    return _plain(match["method"], unquote(path), part, upload_id, int(match["size"]), int(match["status"]))


def _plain(method: str, path: str, part: int, upload_id: str, size: int, status: int) -> Request:
    """A request of a server that does not name the operation."""
    key = path.removeprefix("/").partition("/")[2]
    if method == "PUT":
        op = "UploadPart" if part else "PutObject" if key else "CreateBucket"
    elif method == "POST":
        op = "CompleteMultipartUpload" if upload_id else "CreateMultipartUpload"
    else:
        op = method
    return Request(op, key, part, size, status)
