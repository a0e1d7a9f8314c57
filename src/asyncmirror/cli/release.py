"""`asyncmirror find` and `asyncmirror batch`: the outline of a release, and the batches in which it is uploaded.

Owns what is asked of both, where their answers go, and what is said on stderr meanwhile. What is in the files is `formats`'
business, how a tree is divided `plan.batches`'.
"""

import contextlib
import io
import itertools
import os
import shutil
import sys
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO

from asyncmirror.cli import paths, report, stderr, stdout
from asyncmirror.cli.fold import PROBLEMS_KEPT
from asyncmirror.cli.gather import Gathered, Output
from asyncmirror.engine.crawl import Crawl, Totals
from asyncmirror.errors import UsageError
from asyncmirror.events import Settled
from asyncmirror.formats import batch_json, find_json, ncdu
from asyncmirror.formats.output import replacing
from asyncmirror.formats.spool import Spool
from asyncmirror.model import Outcome
from asyncmirror.plan.batches import Batch, Limits, divide
from asyncmirror.plan.filters import Filters
from asyncmirror.plan.largest import Large, largest
from asyncmirror.plan.outline import Kind, Step
from asyncmirror.settings import Symlinks
from asyncmirror.sizes import format_size
from asyncmirror.text import counted, show_line, show_name

_INTERVAL = 10.0
"""Seconds between two lines that say how far a crawl is."""
_LARGEST = 20
"""Directories in a summary: what a person takes in at a glance."""
_PIPED_WIDTH = 400
_INCOMPLETE = 3
"""The exit code where something could not be looked at: see docs/exit-codes.md."""
_MOST_WORKERS = 1024


@dataclass(frozen=True, slots=True)
class Find:
    """A `find` as it was asked for. `depth` None: all levels; `output` None: stdout."""

    output: Path | None = None
    depth: int | None = None
    format: str = "find"
    summary: bool = False


@dataclass(frozen=True, slots=True)
class Divide:
    """A `batch` as it was asked for. Sizes in bytes; `root` None: the tree is a directory that is there."""

    output: Path | None = None
    least: int = 10 * 10**9
    most: int = 10**12
    subdir: str = ""
    root: Path | None = None
    plain: bool = False


def find(gathered: Gathered, root: str) -> int:
    """Crawl a tree and write its outline; gives the exit code.

    Raises:
        UsageError: The root is no directory.
        OutputError: The outline can't be written.
    """
    asked = replace(Find(), **gathered.sections.get("find", {}))
    tree = paths.source(root)
    writes = asked.output is not None or not asked.summary
    if asked.output is None:
        stdout.need()
    with contextlib.closing(Spool(asked.output and asked.output.parent, asked.depth)) as spool:
        teller = _Teller(gathered.output())
        totals = teller.crawl(gathered, tree, spool)
        if writes:
            with _target(asked.output) as file:
                if asked.format == "ncdu":
                    ncdu.write(file, spool.steps(_name(tree)), tree, int(time.time()))
                else:
                    find_json.write(file, spool.steps(_name(tree)))
        if asked.summary:
            stdout.need()
            with stdout.stream() as out:
                out.write(summary(largest(spool.steps(_name(tree)), _LARGEST), totals.size))
    return teller.end(totals)


def batch(gathered: Gathered, tree: str) -> int:
    """Divide a tree, or what a ``find.json`` says of one, and write the queue; gives the exit code.

    Raises:
        UsageError: The tree or the file can't be meant so.
        OutputError: The queue can't be written.
    """
    asked = replace(Divide(), **gathered.sections.get("batch", {}))
    limits = Limits(asked.least, asked.most).check()
    place = paths.path(tree)
    if asked.output is None:
        stdout.need()
    teller = _Teller(gathered.output())
    if place.is_dir():
        if asked.root is not None:
            raise UsageError("--root belongs to a find.json", hint=f"leave it out: {tree!r} is a directory")
        with contextlib.closing(Spool(asked.output and asked.output.parent)) as spool:
            totals = teller.crawl(gathered, place, spool)
            _write_batches(asked, limits, spool.steps(_name(place)), place, teller)
        return teller.end(totals)
    if gathered.sections.get("settings", {}).get("rules"):
        raise UsageError("rules are for a directory", hint="give --include and --exclude to the find that writes the file")
    if asked.root is None:
        raise UsageError(f"{tree!r} does not say where its tree stands", hint="add --root DIR, the directory that was crawled")
    with find_json.FindFile(place) as found:
        if found.name not in (b"", b".", b"/", _name(asked.root)):
            raise UsageError(
                f"{tree!r} is of a tree named {os.fsdecode(found.name)!r}, not of {os.fspath(asked.root)!r}",
                hint="check --root",
            )
        if found.misstated:
            state = counted(found.misstated, "directory states", "directories state")
            teller.say(f"{state} a size that is not the sum of their entries: the sum counts")
        _write_batches(asked, limits, found.steps(), asked.root, teller)
    return 0


def _write_batches(asked: Divide, limits: Limits, steps: Iterable[Step], root: Path, teller: "_Teller") -> None:
    place = os.path.abspath(os.fsencode(root))
    divided = divide(steps, limits, _subdir(asked.subdir, os.fsdecode(place)))
    begin = list(itertools.islice(divided, 1))  # whether there is such a --subdir should be known before anything is written
    batches = _Counted(itertools.chain(begin, divided), place)
    with _target(asked.output) as file:
        batch_json.write(file, batches, plain=asked.plain)
    teller.say(
        f"{counted(batches.count, 'batch', 'batches')} of {counted(batches.paths, 'path')}, {format_size(batches.size)} in all"
    )
    if batches.largest > limits.most:
        teller.say(f"the largest single file has {format_size(batches.largest)}, more than --max-size")


def _subdir(text: str, root: str) -> bytes:
    """The path below the root that is meant: relative to it, or absolute within it."""
    relative = os.path.relpath(os.path.join(root, text), root)
    if relative == ".." or relative.startswith("../"):
        raise UsageError(f"--subdir {text!r} is not in {root!r}", hint="give a path below the root")
    return b"" if relative == "." else os.fsencode(relative)


class _Counted:
    """Batches on their way, with absolute paths, counted."""

    def __init__(self, batches: Iterable[Batch], root: bytes) -> None:
        self._batches = batches
        self._root = root
        self.count = self.paths = self.size = self.largest = 0

    def __iter__(self) -> Iterator[Batch]:
        for each in self._batches:
            self.count += 1
            self.paths += len(each.paths)
            self.size += each.size or 0
            self.largest = max(self.largest, each.size or 0)
            yield each._replace(paths=tuple(os.path.join(self._root, path) if path else self._root for path in each.paths))


class _Teller:
    """Says on stderr how a crawl goes."""

    def __init__(self, output: Output) -> None:
        self._quiet = output.quiet
        self._interval = _INTERVAL if output.progress and not output.quiet else None
        self._next = time.monotonic() + _INTERVAL
        self._told = 0

    def crawl(self, gathered: Gathered, root: Path, spool: Spool) -> Totals:
        """Crawl a tree into a spool."""
        workers = gathered.sections.get("crawl", {}).get("workers", 0)
        if workers > _MOST_WORKERS:
            raise UsageError(f"--max-workers is {workers}; it must be from 0 to {_MOST_WORKERS}")
        settings = gathered.sections.get("settings", {})
        filters = Filters(settings.get("rules", ()), os.fsencode(gathered.sections.get("crawl", {}).get("below", "")))
        crawl = Crawl(spool, settings.get("symlinks", Symlinks.SKIP), filters, self._progress, self._unreadable)
        return crawl.run(root, workers)

    def _progress(self, totals: Totals) -> None:
        if self._interval is not None and time.monotonic() >= self._next:
            self._next = time.monotonic() + self._interval
            self.say(f"found {counted(totals.files, 'file')} ({format_size(totals.size)})")

    def _unreadable(self, path: bytes, reason: str) -> None:
        self._told += 1
        if self._told <= PROBLEMS_KEPT:
            stderr.write([report.problem(Settled(path, "", Outcome.UNREADABLE, 0, reason))])

    def say(self, text: str) -> None:
        """Say one thing, unless nothing but problems is wanted."""
        if not self._quiet:
            stderr.write([f"asyncmirror: {show_line(text)}"])

    def end(self, totals: Totals) -> int:
        """Say what came of it, and give the exit code."""
        if totals.unreadable > PROBLEMS_KEPT:
            stderr.write([f"asyncmirror: {totals.unreadable:,} entries could not be looked at; their type is -1"])
        self.say(f"{counted(totals.files, 'file')}, {format_size(totals.size)}")
        if totals.unknown:
            self.say(f"{totals.unknown:,} links, FIFOs and the like have type -1 (--symlinks follow looks behind links)")
        return _INCOMPLETE if totals.unreadable else 0


@contextlib.contextmanager
def _target(output: Path | None) -> Iterator[BinaryIO]:
    with stdout.stream() if output is None else replacing(output) as file:
        yield file


def _name(root: Path) -> bytes:
    return os.path.basename(os.path.abspath(os.fsencode(root))) or b"/"


def summary(directories: list[Large], size: int) -> bytes:
    """The largest directories as a tree, for the terminal or for a pipe; `size` is the whole tree's, in bytes."""
    from rich.console import Console  # noqa: PLC0415  takes a tenth of a second to import
    from rich.text import Text  # noqa: PLC0415  the same
    from rich.tree import Tree  # noqa: PLC0415  the same

    above: list[Tree] = []
    for name, depth, each, kind in directories:
        label = Text.assemble((f"{format_size(each):>9} {each / size if size else 1:4.0%} ", "cyan"), show_name(name))
        if kind is Kind.UNREADABLE:
            label.append(" (not listed to its end)", "bold red")
        del above[depth:]
        above.append(above[-1].add(label) if above else Tree(label))
    terminal = sys.stdout.isatty()
    width = shutil.get_terminal_size().columns if terminal else _PIPED_WIDTH
    console = Console(file=io.StringIO(), force_terminal=terminal, width=width, legacy_windows=False)
    with console.capture() as captured:
        console.print(above[0], soft_wrap=True)
    return captured.get().encode("utf-8")
