"""A report of an error that should not be: what helps to find it, and nothing that nobody should see.

Owns what stands in it, where it is kept, and how many are. It has the traceback with its lines of source but no variable's
value, what the error was told of its circumstances (its notes: `cli.circumstances`), the last lines of the log, and versions.
All of it is redacted: the environment's credentials, those of the AWS configuration, and whatever a variable calls a secret.
"""

import contextlib
import os
import platform
import re
import sqlite3
import sys
import tempfile
import time
import traceback
from collections.abc import Iterator, Mapping
from importlib import metadata
from pathlib import Path
from typing import TextIO

import asyncmirror
from asyncmirror.cli.logs import Redactor, recent
from asyncmirror.engine.journals import state_directory
from asyncmirror.text import show_lines

PREFIX = "asyncmirror-crash-"
KEPT = 5
"""Reports that are kept; older ones go."""
_LONGEST = 1 << 20
_LIBRARIES = ("aioboto3", "aiohttp", "awscrt", "httptools", "orjson", "rich", "uvloop")
_SECRET_NAME = re.compile(r"(?i)secret|token|passw|credential|private|api_?key|access_?key|authorization")
_SECRET_LINE = re.compile(r"(?im)^\s*(?:aws_secret_access_key|aws_session_token|aws_security_token)\s*=\s*(\S+)")
_SHORTEST = 6
"""Characters of a secret; shorter ones may be part of any word."""


def write(error: BaseException, environ: Mapping[str, str]) -> Path | None:
    """Write a report; where it is, or None where it could not be written anywhere."""
    text = _report(error, environ)
    for directory in (state_directory(), Path(tempfile.gettempdir())):
        path = directory / named(time.time(), os.getpid())
        with contextlib.suppress(OSError):
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            with private(path) as file:
                file.write(text)
            tidy(directory)
            return path
    return None


def private(path: Path) -> TextIO:
    """A new file that nobody else may read.

    Raises:
        OSError: There is one, or it can't be made.
    """
    return open(path, "x", encoding="utf-8", opener=lambda name, flags: os.open(name, flags, 0o600))


def named(when: float, process: int) -> str:
    """The name of a report: when, in seconds since the epoch, and whose."""
    return f"{PREFIX}{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime(when))}-{process}.txt"


def tidy(directory: Path) -> None:
    """Keep the latest reports of a directory; their names tell their order."""
    with contextlib.suppress(OSError):
        for old in sorted(directory.glob(f"{PREFIX}*.txt"))[:-KEPT]:
            old.unlink(missing_ok=True)


def _report(error: BaseException, environ: Mapping[str, str]) -> str:
    text = Redactor(environ)("\n".join(_lines(error)))
    for value in sorted(_secrets(environ), key=len, reverse=True):
        text = text.replace(value, "[hidden]")
    return show_lines(text[:_LONGEST]) + "\n"


def _lines(error: BaseException) -> Iterator[str]:
    yield "An error of asyncmirror that should not be. Please report it with this file; look through it first."
    yield ""
    yield f"asyncmirror {asyncmirror.__version__}, command {_command()}, process {os.getpid()}"
    yield f"at {time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime())}"
    yield f"Python {sys.version}"
    yield platform.platform()
    yield ", ".join([f"sqlite {sqlite3.sqlite_version}", *(f"{name} {_version(name)}" for name in _LIBRARIES)])
    yield ""
    yield "".join(traceback.format_exception(error))
    yield "The last lines of the log:"
    yield from recent()


def _command() -> str:
    """The sub-command alone: an argument may be anything."""
    word = sys.argv[1] if len(sys.argv) > 1 else ""
    return word if word.isidentifier() or word.replace("-", "").isalpha() else "unknown"


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "unknown"


def _secrets(environ: Mapping[str, str]) -> set[str]:
    """Whatever a variable's name calls a secret, and the keys in the AWS configuration, whoever's they are."""
    found = {value for name, value in environ.items() if _SECRET_NAME.search(name)}
    home = Path(environ.get("HOME", "~")).expanduser() / ".aws"
    for variable, usual in (("AWS_SHARED_CREDENTIALS_FILE", "credentials"), ("AWS_CONFIG_FILE", "config")):
        path = environ.get(variable) or home / usual
        with contextlib.suppress(OSError), open(path, encoding="utf-8", errors="replace") as file:
            found.update(_SECRET_LINE.findall(file.read(_LONGEST)))
    return {value for value in found if len(value) >= _SHORTEST}
