"""Runs of the command in processes that begin warm: forked from one that has everything imported, one per run.

Owns the fork server and what a run is given. Such a process calls `asyncmirror.cli.main.main` with the arguments of a command
line, exactly as the command does; what it saves is the start of an interpreter.
"""

import contextlib
import ctypes
import functools
import multiprocessing
import os
import struct
import sys
import time
from collections.abc import Iterator, Sequence
from multiprocessing.context import ForkServerContext, ForkServerProcess
from pathlib import Path
from typing import NamedTuple

from tests.acceptance.command import Run, Site, read_lines
from tests.acceptance.servers import PATIENCE

# What is imported once. pytest, because each process makes its own of the module that the caller began with.
_IMPORTS = [
    "pytest",
    "aioboto3",
    "uvloop",
    "tests.soak.loaded",
    "tests.soak.warm",
    "tests.soak.points",
    "asyncmirror.cli.sync",
    "asyncmirror.cli.screen",
]


class Order(NamedTuple):
    """What a process is to do. `at` is the number of the crash point to end at; 0: none; None: no points at all."""

    arguments: Sequence[str]
    environment: dict[str, str]
    home: Path
    number: int
    at: int | None


@functools.cache
def _context() -> ForkServerContext:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(_IMPORTS)
    return context


class WarmRun:
    """A run that may still be going on."""

    def __init__(self, process: ForkServerProcess, order: Order) -> None:
        self.process = process
        self._order = order
        self._began = time.monotonic()

    def wait(self, seconds: float) -> bool:
        """Wait for its end so many seconds; whether it has ended."""
        self.process.join(seconds)
        return self.process.exitcode is not None

    def finish(self, seconds: float = PATIENCE) -> Run:
        """Wait for its end."""
        assert self.wait(seconds), f"it does not end: {_error(self._order).read_text()}"
        code = self.process.exitcode
        assert code is not None
        took = time.monotonic() - self._began
        error = _error(self._order).read_text(encoding="utf-8", errors="surrogateescape")
        return Run(code, read_lines(_output(self._order)), error, took)


class Warm:
    """Starts runs against one site; their outputs are files in `home`."""

    def __init__(self, home: Path, site: Site, **environment: str) -> None:
        self._home = home
        self._environment = site.environment(home) | environment
        self._count = 0

    @contextlib.contextmanager
    def start(self, *arguments: str | Path, at: int | None = None) -> Iterator[WarmRun]:
        """A run that does not outlive the block."""
        self._count += 1
        order = Order([str(each) for each in arguments], self._environment, self._home, self._count, at)
        for path in (_output(order), _error(order)):
            path.touch()  # it may be killed before it opens them
        process = _context().Process(target=_work, args=(order,), daemon=False)
        process.start()
        try:
            yield WarmRun(process, order)
        finally:
            process.kill()
            process.join()
            process.close()

    def run(self, *arguments: str | Path, at: int | None = None, seconds: float = PATIENCE) -> Run:
        """A run to its end, be it its own or that at a crash point."""
        with self.start(*arguments, at=at) as running:
            return running.finish(seconds)

    def point(self) -> str:
        """At which crash point the last run ended."""
        note = self._home / f"{self._count}.point"
        return note.read_text(encoding="utf-8") if note.exists() else ""


def _output(order: Order) -> Path:
    return order.home / f"{order.number}.out"


def _error(order: Order) -> Path:
    return order.home / f"{order.number}.err"


def _become_ordinary() -> None:
    """Let permissions hold for this process: root passes over them by two capabilities (capabilities(7))."""
    if os.geteuid() == 0:
        header = struct.pack("Ii", 0x20080522, 0)  # _LINUX_CAPABILITY_VERSION_3, this thread
        libc = ctypes.CDLL(None, use_errno=True)
        sets = ctypes.create_string_buffer(24)
        assert libc.capget(header, sets) == 0, os.strerror(ctypes.get_errno())
        effective, *others = struct.unpack("6I", sets.raw)
        assert libc.capset(header, struct.pack("6I", effective & ~0b110, *others)) == 0, os.strerror(ctypes.get_errno())


def _work(order: Order) -> None:
    """In the process: be the command."""
    from asyncmirror.cli.main import main  # noqa: PLC0415  the caller needs none of it
    from tests.soak.points import Points  # noqa: PLC0415

    _become_ordinary()
    os.environ.clear()
    os.environ.update(order.environment)
    os.chdir(order.home)
    for path, descriptor in ((_output(order), 1), (_error(order), 2)):
        with path.open("wb") as file:
            os.dup2(file.fileno(), descriptor)
    if order.at is not None:
        Points(order.at, order.home / f"{order.number}.point").install()
    sys.exit(main(order.arguments))
