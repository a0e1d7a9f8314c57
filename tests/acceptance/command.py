"""Runs of the real ``asyncmirror`` command, each a process of its own but for those that end before anything begins.

Owns the process, its environment, and what it said. Nothing of the caller's AWS or asyncmirror configuration reaches it.
"""

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple
from unittest.mock import patch

from asyncmirror.cli.main import main
from tests.acceptance.servers import PATIENCE

COMMAND = Path(sys.executable).with_name("asyncmirror")
# Root passes over permissions by these two (capabilities(7)); without them it is a user like any other.
ORDINARY = ("setpriv", "--bounding-set=-dac_override,-dac_read_search", "--inh-caps=-dac_override,-dac_read_search")
"""What comes before a command that is to meet permissions like any other user's, where the tests run as root."""


class Site(NamedTuple):
    """A bucket to mirror into: where, and with which keys."""

    url: str
    bucket: str
    access_key: str = "testkey"
    secret_key: str = "testsecret"

    def environment(self, home: Path) -> dict[str, str]:
        """An environment in which only this site is configured, and `home` is where programs keep their files."""
        kept = {name: os.environ[name] for name in ("PATH", "LANG", "LC_ALL", "TMPDIR", "PYENV_ROOT") if name in os.environ}
        return kept | {
            "HOME": str(home),
            "XDG_STATE_HOME": str(home / "state"),
            "AWS_ACCESS_KEY_ID": self.access_key,
            "AWS_SECRET_ACCESS_KEY": self.secret_key,
            "AWS_REGION": "us-east-1",
            "AWS_ENDPOINT_URL": self.url,
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
            "AWS_EC2_METADATA_DISABLED": "true",
            "ASYNCMIRROR_NO_PROBE": "yes",
        }


class Run(NamedTuple):
    """A run that ended: `lines` are its JSON lines (what was written of them, if it was killed), `error` its stderr."""

    code: int
    lines: list[dict[str, Any]]
    error: str
    seconds: float

    @property
    def summary(self) -> dict[str, Any]:
        """The last line."""
        assert self.lines, self.error
        assert self.lines[-1]["event"] == "summary", self.lines[-1]
        return self.lines[-1]

    @property
    def objects(self) -> dict[bytes, dict[str, Any]]:
        """The lines of entries, by path."""
        found = [line for line in self.lines if line["event"] == "object"]
        by_path = {os.fsencode(line["path"]): line for line in found}
        assert len(by_path) == len(found), "an entry was reported twice"
        return by_path


class Running:
    """A run that may still be going on."""

    def __init__(self, process: "subprocess.Popen[bytes]", output: Path, error: Path) -> None:
        self.process = process
        self._output = output
        self._error = error
        self._began = time.monotonic()

    def said(self) -> str:
        """What it has said on stderr so far."""
        return self._error.read_text(encoding="utf-8", errors="surrogateescape")

    def printed(self) -> str:
        """What it has written on stdout so far."""
        return self._output.read_text(encoding="utf-8", errors="surrogateescape")

    def wait_said(self, text: str, seconds: float = PATIENCE) -> None:
        """Wait until it has said something on stderr."""
        deadline = time.monotonic() + seconds
        while text not in self.said():
            assert time.monotonic() < deadline, f"it never said {text!r}: {self.said()}"
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(0.02)

    def finish(self, seconds: float = PATIENCE) -> Run:
        """Wait for its end."""
        code = self.process.wait(seconds)
        took = time.monotonic() - self._began
        return Run(code, read_lines(self._output), self.said(), took)


def read_lines(output: Path) -> list[dict[str, Any]]:
    """The JSON lines in a file. An unfinished last line, as a killed run leaves it, is left out."""
    whole, _, _ = output.read_bytes().rpartition(b"\n")
    return [json.loads(line) for line in whole.splitlines()]


class Runner:
    """Starts the command with one environment; its outputs are files in `home`. `under` is a command that runs it."""

    def __init__(
        self, home: Path, environment: Mapping[str, str], *, ordinary: bool = False, under: Sequence[str | Path] = ()
    ) -> None:
        self.home = home
        self.environment = dict(environment)
        self._prefix = (*(ORDINARY if ordinary and os.geteuid() == 0 else ()), *under)
        self._count = 0

    @contextlib.contextmanager
    def start(self, *arguments: str | Path, environment: Mapping[str, str] | None = None) -> Iterator[Running]:
        """A run that does not outlive the block."""
        self._count += 1
        output, error = self.home / f"{self._count}.out", self.home / f"{self._count}.err"
        with (
            output.open("wb") as out,
            error.open("wb") as err,
            subprocess.Popen(
                [*self._prefix, COMMAND, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                env=self.environment | dict(environment or {}),
                cwd=self.home,
                start_new_session=True,
            ) as process,
        ):
            try:
                yield Running(process, output, error)
            finally:
                process.kill()

    def run(self, *arguments: str | Path, environment: Mapping[str, str] | None = None, seconds: float = PATIENCE) -> Run:
        """A run to its end."""
        with self.start(*arguments, environment=environment) as running:
            return running.finish(seconds)


class Inside:
    """Runs the command in the caller's process: for what is refused before anything begins, at a twentieth of the cost."""

    def __init__(self, home: Path, environment: Mapping[str, str]) -> None:
        self._home = home
        self._environment = dict(environment)

    def run(self, *arguments: str | Path, environment: Mapping[str, str] | None = None) -> Run:
        """A run to its end."""
        output, error = self._home / "inside.out", self._home / "inside.err"
        began = time.monotonic()
        with (
            output.open("w", encoding="utf-8", errors="surrogateescape") as out,
            error.open("w", encoding="utf-8", errors="backslashreplace") as err,
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(err),
            contextlib.chdir(self._home),
            patch.dict(os.environ, self._environment | dict(environment or {}), clear=True),
        ):
            code = main([str(argument) for argument in arguments])
        return Run(code, read_lines(output), error.read_text(encoding="utf-8"), time.monotonic() - began)


def sync(source: Path, site: Site, journal: Path, *options: str) -> Sequence[str | Path]:
    """The command line of a `sync` that tells everything on stdout."""
    return ("sync", source, f"s3://{site.bucket}", "--journal", journal, "--json", "--quiet", *options)
