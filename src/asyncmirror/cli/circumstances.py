"""What follows a run in case of an error that should not be.

Owns what such an error is told of its circumstances: what was asked, and how far it was; a report (`cli.crash`) shows that with
the error. And where Python itself leaves its traces when the process dies of a signal (faulthandler): a file that is empty
otherwise, and gone at the end. The next run finds such a file, says so, and counts it to the reports.
"""

import contextlib
import dataclasses
import faulthandler
import logging
import os
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Self, TextIO

from asyncmirror.cli import crash
from asyncmirror.cli.gather import Invocation, Output
from asyncmirror.cli.tap import Mirroring, Tap
from asyncmirror.engine.journals import is_within, state_directory
from asyncmirror.errors import AsyncmirrorError, ProcessError
from asyncmirror.events import Event, Summary
from asyncmirror.settings import Settings

_log = logging.getLogger(__name__)
_PREFIX = "asyncmirror-native-"


class Circumstances(Tap):
    """Knows what was asked, and looks when it matters."""

    def __init__(self, invocation: Invocation) -> None:
        self._invocation = invocation
        self._mirror: Mirroring | None = None
        self._traces: TextIO | None = None

    async def __aenter__(self) -> Self:
        """Look for what a run that died has left, and be ready to leave the same."""
        settings, directory = self._invocation.settings, state_directory()
        # In the tree that is mirrored, each run's file would be an object.
        if not (settings.dry_run or faulthandler.is_enabled() or is_within(directory, settings.source)):
            with contextlib.suppress(OSError):
                directory.mkdir(mode=0o700, parents=True, exist_ok=True)
                for path in _left(directory):
                    _log.warning("an earlier run died: %s tells where", path)
                self._traces = _opened(directory)
                faulthandler.enable(self._traces)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Tell an error that should not be what was going on."""
        if isinstance(error, Exception) and not isinstance(error, AsyncmirrorError):
            error.add_note("\n".join(self._told()))
        if self._traces is not None:
            faulthandler.disable()
            with self._traces, contextlib.suppress(OSError):
                os.unlink(self._traces.name)

    def tell(self, event: Event) -> None:
        """Report a bug of an uploader process: it comes as what ended the run; its traceback is in the log's last lines."""
        if isinstance(event, Summary) and event.error.startswith("internal error"):
            error = ProcessError(event.error)
            error.add_note("\n".join(self._told()))
            if (report := crash.write(error, os.environ)) is not None:
                _log.warning("a report of the internal error is in %s", report)

    async def opened(self, mirror: Mirroring) -> None:
        """Remember whose gauges to look at."""
        self._mirror = mirror

    def _told(self) -> Iterator[str]:
        yield "What was asked, where it is not the default:"
        settings, output = self._invocation.settings, self._invocation.output
        yield f"  {settings.source} to {settings.destination}"
        yield from _asked("settings", settings, Settings(settings.source, settings.destination))
        yield from _asked("output", dataclasses.replace(output, notify=()), Output())
        yield f"  output.notify: {len(output.notify)} of them"
        if self._mirror is not None:
            yield "The gauges:"
            yield from (f"  {name}: {value!r}" for name, value in self._mirror.progress()._asdict().items())


def _asked(name: str, given: object, usual: object) -> Iterator[str]:
    for field in dataclasses.fields(given):  # type: ignore[arg-type]  # each of them is a dataclass
        value, default = getattr(given, field.name), getattr(usual, field.name)
        if dataclasses.is_dataclass(value) and type(value) is type(default):
            yield from _asked(f"{name}.{field.name}", value, default)
        elif value != default:
            yield f"  {name}.{field.name}: {value!r}"


def _opened(directory: Path) -> TextIO:
    path = directory / f"{_PREFIX}{os.getpid()}.txt"
    path.unlink(missing_ok=True)
    return crash.private(path)


def _left(directory: Path) -> Iterator[Path]:
    """Traces of processes that are no more, each made a report; empty ones are removed."""
    for path in directory.glob(f"{_PREFIX}*.txt"):
        process = path.stem.removeprefix(_PREFIX)
        if not process.isdigit() or os.path.exists(f"/proc/{process}"):
            continue
        found = path.stat()
        if not found.st_size:
            path.unlink(missing_ok=True)
            continue
        report = directory / crash.named(found.st_mtime, int(process))
        path.rename(report)
        crash.tidy(directory)
        yield report
