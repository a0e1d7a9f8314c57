"""``--log-file``: the log as a file that tells a run's story for weeks.

Owns its form (a JSON object a line, or text), that it is written by a thread of its own, that it stays within its bounds, and
that a disk that is full or away ends no run: lines are lost then, and their number is told when it is there again. What is
logged at all is `cli.logs`' and whoever logs. Knows no engine.
"""

import contextlib
import io
import logging
import logging.handlers
import os
import queue
import stat
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeAlias

from asyncmirror.cli import stderr
from asyncmirror.cli.gather import Output
from asyncmirror.cli.json_lines import dump
from asyncmirror.engine.journals import is_within
from asyncmirror.errors import OutputError, UsageError
from asyncmirror.text import show_line, show_lines

Redact: TypeAlias = Callable[[str], str]

_AHEAD = 10_000
"""Lines that wait to be written at most: those of a file system that hangs for a while."""
_LONGEST = 10_000
"""Characters of one text in a line; what is longer is cut."""
_FAREWELL = 5.0
"""Seconds in which the last lines must be written: a file system that hangs must not hold up the end."""
_MILLI = 1000


class Form(logging.Formatter):
    """How a record becomes a line. Every text in it is redacted, escaped and cut, whoever logged it. `run` numbers the run."""

    def __init__(self, redact: Redact, *, as_json: bool) -> None:
        super().__init__()
        self._redact = redact
        self._as_json = as_json
        self.run = 0

    def format(self, record: logging.LogRecord) -> str:
        """The line, without its newline."""
        when, level, message = moment(record.created), record.levelname.lower(), self._text(record.getMessage())
        error = self._error(record)
        if not self._as_json:
            told = f"{when} {level} {record.name}[{record.process}]: {message}"
            return f"{told}\n{error['traceback']}" if "traceback" in error else told
        line = {"time": when, "level": level, "logger": record.name, "message": message, "pid": record.process, "run": self.run}
        line |= {name: self._value(value) for name, value in getattr(record, "fields", {}).items()}
        return dump(line | ({"error": error} if error else {})).decode("utf-8").rstrip("\n")

    def _error(self, record: logging.LogRecord) -> dict[str, object]:
        if not record.exc_info or record.exc_info[1] is None:
            return {}
        kind, error, _ = record.exc_info
        trace = show_lines(self._redact(self.formatException(record.exc_info)))[-_LONGEST:]
        return {"type": getattr(kind, "__name__", ""), "message": self._text(str(error)), "traceback": trace}

    def _text(self, text: str) -> str:
        return show_line(self._redact(text[:_LONGEST]))

    def _value(self, value: object) -> object:
        match value:
            case str():
                return self._text(value)
            case Mapping():
                return {str(name): self._value(each) for name, each in value.items()}
            case list() | tuple():
                return [self._value(each) for each in value]
            case _:
                return value


def moment(seconds: float) -> str:
    """A time since the epoch as RFC 3339 has it, in UTC with milliseconds."""
    whole, milli = divmod(int(seconds * _MILLI), _MILLI)
    return time.strftime(f"%Y-%m-%dT%H:%M:%S.{milli:03}Z", time.gmtime(whole))


class LogFile(logging.handlers.QueueHandler):
    """The handler: makes lines where something is logged, and has a thread write them.

    Args:
        path: The file; made with mode 0600 where there is none, appended to otherwise.
        form: How a line looks.
        most: Bytes from which on a file is put away as ``PATH.1``; 0: never, somebody else (logrotate) moves it.
        keep: How many of those put away are kept.

    Raises:
        UsageError: It is no regular file.
        OutputError: It can't be written.
    """

    def __init__(self, path: Path, form: Form, *, most: int, keep: int) -> None:
        self._lines: queue.Queue[logging.LogRecord | None] = queue.Queue(_AHEAD)
        super().__init__(self._lines)
        self.form = form
        self._file = _Rotated(path, most, keep) if most else _Watched(path)
        self._file.lost_line = self._lost_line
        self._listener: _Listener | None = _Listener(self._lines, self._file)
        self._listener.start()

    def prepare(self, record: logging.LogRecord) -> logging.LogRecord:
        """The record that waits in the queue: a line, and nothing that could change meanwhile."""
        return logging.makeLogRecord({"msg": self.form.format(record)})

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: ARG002, N802  logging's own name and signature
        """The queue is full: the file system hangs."""
        self._file.lost += 1

    def close(self) -> None:
        """Have the last lines written, if that can be done soon."""
        listener, self._listener = self._listener, None
        if listener is not None:
            ending = threading.Thread(target=listener.stop, name="log", daemon=True)
            ending.start()
            ending.join(_FAREWELL)
            if not ending.is_alive():
                self._file.close()
        super().close()

    def _lost_line(self, count: int) -> str:
        fields = {"name": __name__, "levelno": logging.WARNING, "levelname": "WARNING", "msg": f"{count:,} lines are lost here"}
        return self.form.format(logging.makeLogRecord(fields))


class _Listener(logging.handlers.QueueListener):
    def __init__(self, lines: "queue.Queue[logging.LogRecord | None]", file: logging.Handler) -> None:
        super().__init__(lines, file)
        self._lines = lines

    def enqueue_sentinel(self) -> None:
        self._lines.put(None)  # behind lines that wait, even where they are as many as there may be


def _open(path: str) -> io.TextIOWrapper:
    """Open it to append to, with mode 0600 if it is new."""
    descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOCTTY | os.O_NONBLOCK, 0o600)
    try:
        _mend(descriptor, path)
    except BaseException:
        os.close(descriptor)
        raise
    return open(descriptor, "a", encoding="utf-8", newline="\n")


def _mend(descriptor: int, path: str) -> None:
    """End a line that was cut off, by a full disk or a power cut."""
    found = os.fstat(descriptor)
    if not stat.S_ISREG(found.st_mode):
        raise UsageError("--log-file is no regular file", path=path)
    if found.st_size and os.pread(descriptor, 1, found.st_size - 1) != b"\n":
        os.write(descriptor, b"\n")


class _Enduring(logging.FileHandler):
    """What both ways to keep a file in bounds have in common: a write that fails loses a line, and is tried anew with the next.

    Its methods are called in one thread, but `lost` may be counted up by others.
    """

    lost = 0
    _told = 0
    lost_line: Callable[[int], str] = str

    def _open(self) -> io.TextIOWrapper:
        return _open(self.baseFilename)

    def emit(self, record: logging.LogRecord) -> None:
        # StreamHandler looks after a write that fails, but not after a file that can't be opened again.
        try:
            if (lost := self.lost) > self._told:
                super().emit(logging.makeLogRecord({"msg": self.lost_line(lost - self._told)}))
                if self.stream is None:
                    return  # counted by `handleError`
                self._told = lost
            super().emit(record)
        except (OSError, UsageError):
            self.handleError(record)

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: ARG002, N802  logging's own name and signature
        # What is half written in the buffers would be tried again and again with each later line.
        stream, self.stream = self.stream, None
        with contextlib.suppress(OSError):
            if stream is not None:
                stream.close()
        if not self.lost:
            stderr.write([f"asyncmirror: {show_line(self.baseFilename)}: the log can't be written; the run goes on without"])
        self.lost += 1


class _Rotated(_Enduring, logging.handlers.RotatingFileHandler):
    def __init__(self, path: Path, most: int, keep: int) -> None:
        _opened(lambda: logging.handlers.RotatingFileHandler.__init__(self, path, maxBytes=most, backupCount=keep), path)


class _Watched(_Enduring, logging.handlers.WatchedFileHandler):
    def __init__(self, path: Path) -> None:
        _opened(lambda: logging.handlers.WatchedFileHandler.__init__(self, path), path)


def _opened(opening: Callable[[], None], path: Path) -> None:
    try:
        opening()
    except OSError as error:
        raise OutputError(f"the log can't be written: {error.strerror or error}", path=os.fspath(path)) from error


def choose(output: Output, source: Path, redact: Redact) -> LogFile | None:
    """The log file for these wishes.

    Raises:
        UsageError: It is no regular file, or in the tree that is mirrored.
        OutputError: It can't be written.
    """
    if output.log_file is None:
        return None
    if is_within(output.log_file, source):
        hint = "the tree is never written to: name a file elsewhere"
        raise UsageError("--log-file is in the tree that is mirrored", path=os.fspath(output.log_file), hint=hint)
    form = Form(redact, as_json=output.log_format == "json")
    return LogFile(output.log_file, form, most=output.log_max_size, keep=output.log_keep)
