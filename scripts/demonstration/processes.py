"""The processes of the demonstration: the S3 server with its request log, and runs of ``asyncmirror sync``.

Owns starting, killing and waiting, each bounded. Knows nothing of what the log is to prove.
"""

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from http import HTTPStatus
from typing import IO, Any, NamedTuple

from asyncmirror.testing.moto import Request, read_log

PATIENCE = 300.0
"""Seconds after which a step counts as hanging."""
QUIET = 0.5
"""Seconds without a request after which the server counts as done with what a killed process had sent."""
SYNCED = (0, 3)
"""Exit codes of a run that did all it could: 3 where some entries of a tree are none that S3 can hold."""


class DemoError(Exception):
    """The demonstration did not show what it should."""


class Run(NamedTuple):
    """One run of ``asyncmirror sync`` that ended by itself; `objects` and `summary` are its JSON lines."""

    exit_code: int
    seconds: float
    objects: list[dict[str, Any]]
    summary: dict[str, Any]


class Server:
    """The S3 server in a process of its own, and its log as far as it was read."""

    def __init__(self, process: subprocess.Popen[str], log: IO[str]) -> None:
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line:
            raise DemoError("the S3 server did not start")
        self.url = str(json.loads(line)["url"])
        self.requests: list[Request] = []
        self._log = log
        self._rest = ""

    def follow(self) -> list[Request]:
        """Read on in the log, and give all requests so far."""
        lines = (self._rest + self._log.read()).splitlines(keepends=True)
        self._rest = "" if not lines or lines[-1].endswith("\n") else lines.pop()
        self.requests += read_log(lines)
        return self.requests

    def settle(self) -> list[Request]:
        """Wait until nothing arrives any more; gives all requests so far."""
        seen, since = -1, time.monotonic()
        while time.monotonic() < since + QUIET:
            if len(self.follow()) != seen:
                seen, since = len(self.requests), time.monotonic()
            time.sleep(0.02)
        return self.requests


@contextmanager
def child(arguments: Sequence[str], **options: Any) -> Iterator[subprocess.Popen[str]]:
    """A process that does not outlive the block. Own session: Ctrl-C is for this program to act on."""
    with subprocess.Popen(arguments, text=True, start_new_session=True, **options) as process:
        try:
            yield process
        finally:
            process.kill()


def environment() -> dict[str, str]:
    """An environment in which nothing of the user's own AWS or asyncmirror configuration counts."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "ASYNCMIRROR_"))}
    ours = {
        "AWS_ACCESS_KEY_ID": "demo",
        "AWS_SECRET_ACCESS_KEY": "demo",
        "AWS_REGION": "us-east-1",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "NO_PROXY": "127.0.0.1",
    }
    return kept | ours


def half_done(total: int, *, multipart: bool) -> Callable[[list[Request]], bool]:
    """Whether half of the bytes have arrived and, where there is any to wait for, a multipart upload is under way."""

    def reached(requests: list[Request]) -> bool:
        stored = [request for request in requests if request.status == HTTPStatus.OK]
        begun = {request.upload_id for request in stored if request.part}
        ended = {request.upload_id for request in stored if request.method == "POST"}
        return sum(request.length for request in stored) >= total / 2 and (bool(begun - ended) or not multipart)

    return reached


def sync_and_kill(command: Sequence[str], server: Server, when: Callable[[list[Request]], bool], errors: IO[str]) -> float:
    """Start a run and kill it with SIGKILL at a moment; gives the seconds until then."""
    began = time.monotonic()
    with child(command, stdout=subprocess.DEVNULL, stderr=errors, env=environment()) as process:
        while not when(server.follow()):
            if process.poll() is not None:
                raise DemoError(f"the first run ended (exit code {process.returncode}) before it could be killed half-way")
            if time.monotonic() > began + PATIENCE:
                raise DemoError("the first run does not get half-way")
            time.sleep(0.005)
        process.kill()
        process.wait()
    if process.returncode != -signal.SIGKILL:
        raise DemoError("the first run ended at the very moment it was to be killed; try again")
    return time.monotonic() - began


def sync(command: Sequence[str], errors: IO[str]) -> Run:
    """Run it to its end."""
    began = time.monotonic()
    with child(command, stdout=subprocess.PIPE, stderr=errors, env=environment()) as process:
        output, _ = process.communicate(timeout=PATIENCE)
    lines = [json.loads(line) for line in output.splitlines()]
    if process.returncode not in SYNCED or not lines or lines[-1]["event"] != "summary":
        raise DemoError(f"asyncmirror sync ended with exit code {process.returncode}")
    objects = [line for line in lines if line["event"] == "object"]
    return Run(process.returncode, time.monotonic() - began, objects, lines[-1])
