"""The servers that are mirrored to: this project's null server, plain, late or over TLS, and moto.

Owns their start, their end and what they tell of themselves. Each is a process of its own on a core of its own.
"""

import contextlib
import json
import os
import re
import socket
import subprocess
import sys
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import NamedTuple

from comparison.measure import process_cpu

BUCKET = "bkt"
ACCESS_KEY, SECRET_KEY = "AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
KINDS = {
    "plain": "null server, plain HTTP",
    "latency": "null server, every answer 50 ms late",
    "tls": "null server, TLS 1.3",
    "listing": "null server that remembers keys and lists them",
    "moto": "moto",
}


class Server(NamedTuple):
    """A server that runs; `authority` is the certificate that vouches for it, None for plain HTTP."""

    kind: str
    url: str
    authority: Path | None
    pid: int

    def check(self) -> None:
        """See that it still runs: what is measured against a server that is gone is no result."""
        with open(f"/proc/{self.pid}/stat", encoding="ascii") as file:
            if file.read().rpartition(")")[2].split()[0] == "Z":
                raise SystemExit(f"the server (process {self.pid}) has ended in the middle of it; its errors are in server.log")

    def cpu(self) -> float:
        """Seconds of CPU it has used."""
        return process_cpu(self.pid)

    def requests(self) -> int:
        """How many requests it has had: the null server numbers uploads by them. 0 where it does not tell (TLS, moto)."""
        if self.kind in {"moto", "tls"}:
            return 0
        host, _, port = self.url.removeprefix("http://").partition(":")
        with socket.create_connection((host, int(port)), timeout=10) as asking:
            asking.sendall(f"POST /{BUCKET}/x?uploads HTTP/1.1\r\nHost: {host}\r\nContent-Length: 0\r\n\r\n".encode())
            answer = b""
            while not (found := re.search(rb"<UploadId>upload-(\d+)<", answer)):
                answer += asking.recv(4096)
        return int(found[1])


@contextlib.contextmanager
def serve(kind: str, work: Path, cores: Collection[int], port: int = 0) -> Iterator[Server]:
    """Run a server for as long as the block lasts."""
    module = "asyncmirror.testing.moto" if kind == "moto" else "asyncmirror.testing"
    argv = [sys.executable, "-m", module, "--bucket", BUCKET, "--port", str(port)]
    authority = None
    if kind != "moto":
        argv += ["--profile", "null"]
    if kind == "latency":
        argv += ["--latency-ms", "50"]
    if kind == "listing":
        argv += ["--remember"]
    if kind == "tls":
        authority, certificate, key = _certificates(work)
        argv += ["--tls-cert", str(certificate), "--tls-key", str(key)]
    mine = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        with open(work / "server.log", "a", encoding="utf-8") as log:
            process = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=log, text=True, start_new_session=True)
    finally:
        os.sched_setaffinity(0, mine)
    with process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            if not line:
                raise SystemExit(f"the server did not start: {' '.join(argv)}")
            told = json.loads(line)
            url = str(told["url"]).replace("127.0.0.1", "localhost") if authority else str(told["url"])
            yield Server(kind, url, authority, process.pid)
        finally:
            process.kill()


def _certificates(work: Path) -> tuple[Path, Path, Path]:
    """An authority's certificate, one of `localhost`, and its key, made for this run."""
    authority, certificate, key = work / "client.pem", work / "server.pem", work / "server.key"
    if not key.exists():
        argv = [sys.executable, "-m", "trustme", "--dir", str(work), "--identities", "localhost", "--quiet"]
        subprocess.run(argv, check=True, timeout=60)
    return authority, certificate, key
