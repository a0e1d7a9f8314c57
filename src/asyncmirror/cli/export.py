"""`asyncmirror export`: what the journal has on record as complete, in the forms that others read.

Owns what is asked, where the answer goes, and what is said on stderr. What is in the files is `formats`' business, where a
SHA-256 comes from `audit.digests`'. Rows stream from the journal into the file, whatever their number.
"""

import contextlib
import itertools
import os
import sqlite3
from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO, NamedTuple

from asyncmirror.audit.agreed import remaps_of
from asyncmirror.audit.digests import Digests, Known
from asyncmirror.cli import paths, stderr, stdout
from asyncmirror.cli.fold import PROBLEMS_KEPT
from asyncmirror.cli.gather import Gathered
from asyncmirror.cli.status import locate
from asyncmirror.engine.journals import belongs
from asyncmirror.errors import JournalError, OutputError, UsageError
from asyncmirror.formats import inventory, rows, sidecars
from asyncmirror.formats.output import replacing
from asyncmirror.journal import queries, reader
from asyncmirror.journal.ordered import Kept, ordered, together
from asyncmirror.plan import keys
from asyncmirror.plan.remap import Remaps
from asyncmirror.settings import Connection, Destination
from asyncmirror.source.beneath import Beneath
from asyncmirror.source.filesystem import threads
from asyncmirror.text import counted, show_line, show_name

INCOMPLETE = 3
_NOWHERE = frozenset({b"", b".", b".."})


@dataclass(frozen=True, slots=True)
class Export:
    """An `export` as it was asked for. `output` None: stdout; `read`: files whose SHA-256 is not on record are read."""

    format: str = "inventory"
    output: Path | None = None
    subdir: str = ""
    per_directory: bool = False
    read: bool = False

    def check(self) -> "Export":
        """The same.

        Raises:
            UsageError: It can't be done so.
        """
        if self.format != "sha256sum":
            for given, flag in ((self.per_directory, "--per-directory"), (self.read, "--read")):
                if given:
                    raise UsageError(f"{flag} belongs to --format sha256sum")
        if self.output is None and (self.per_directory or self.format == "parquet"):
            what = "--per-directory writes many files" if self.per_directory else "Parquet can't be written to a pipe"
            raise UsageError(what, hint=f"add -o {'DIR' if self.per_directory else 'FILE'}")
        if self.format == "parquet":
            rows.need_parquet()
        if self.output is None:
            stdout.need()
        return self

    @property
    def below(self) -> bytes:
        """The directory that is meant, below the source.

        Raises:
            UsageError: It is none.
        """
        path = os.fsencode(self.subdir).strip(b"/") if self.subdir != "." else b""
        if path and not _NOWHERE.isdisjoint(path.split(b"/")):
            raise UsageError(f"--subdir {self.subdir!r} is no path below the source", hint="write it as spectro/redux/iron")
        return path


class _Mirror(NamedTuple):
    """What the journal is of, and how it is asked."""

    connection: sqlite3.Connection
    journal: Path
    bucket: str
    prefix: str
    source: Path
    remaps: Remaps

    def ordered(self, below: bytes) -> Generator[Kept, None, None]:
        """What is below a directory, in the order of the keys."""
        return ordered(self.connection, keys.encode, self.prefix, below, self.remaps.prefix)

    def together(self, below: bytes) -> Iterator[Kept]:
        """What is below a directory, directory by directory."""
        return together(self.connection, lambda path: keys.encode(self.remaps.file(path)), self.prefix, below)


def run(gathered: Gathered, source: str | None, destination: str | None) -> int:
    """Write it; gives the exit code.

    Raises:
        UsageError: It can't be meant so, or there is no such journal.
        JournalError: The journal is in use, or can't be read.
        OutputError: The file can't be written.
    """
    asked = replace(Export(), **gathered.sections.get("export", {})).check()
    for release in gathered.sections.get("settings", {}).get("subdirs", ()):
        asked = replace(asked, subdir=f"{release}/{asked.subdir}" if asked.subdir not in ("", ".") else release)
    below = asked.below
    journal = locate(gathered, source, destination)
    of = None
    if destination is not None and source is not None:
        of = belongs(paths.path(source), Destination.parse(destination), gathered.fill(Connection(), "connection"))
    teller = _Teller(quiet=gathered.output().quiet)
    with reader.reading(journal, of) as connection:
        mirror = _mirror(connection, journal, source)
        _need(mirror, below, asked.subdir)
        if asked.format != "sha256sum":
            _table(asked, mirror, below, teller)
        else:
            with _digests(asked, mirror) as digests:
                _sums(asked, mirror, below, digests, teller)
    return teller.end()


def _mirror(connection: sqlite3.Connection, journal: Path, source: str | None) -> _Mirror:
    of = queries.meta(connection)
    destination = Destination.parse(of["destination"])
    prefix = keys.directory_prefix(destination.prefix, b"")
    source_path = Path(source or of.get("source", ""))
    return _Mirror(connection, journal, destination.bucket, prefix, source_path, remaps_of(connection, journal))


def _need(mirror: _Mirror, below: bytes, subdir: str) -> None:
    """See that there is something below a directory, before a file is replaced."""
    with contextlib.closing(mirror.ordered(below)) as kept:
        if below and next(kept, None) is None:
            raise UsageError(f"nothing below {subdir!r} is on record as complete", hint="write it as it is below SOURCE")


def _table(asked: Export, mirror: _Mirror, below: bytes, teller: "_Teller") -> None:
    kept = teller.counted(mirror.ordered(below))
    with _target(asked.output) as file:
        if asked.format == "inventory":
            inventory.write(file, (_from(below, each) for each in kept))
        elif asked.format == "csv":
            rows.write_csv(file, (rows.row(mirror.bucket, each) for each in kept))
        else:
            rows.write_parquet(file, (rows.row(mirror.bucket, each) for each in kept))


@contextlib.contextmanager
def _digests(asked: Export, mirror: _Mirror) -> Iterator[Digests]:
    if not asked.read:
        yield Digests(None, 0)
        return
    beneath = Beneath(mirror.source)
    try:
        yield Digests(beneath, threads(mirror.source, 0, 0).readers)
    finally:
        beneath.close()


def _sums(asked: Export, mirror: _Mirror, below: bytes, digests: Digests, teller: "_Teller") -> None:
    if asked.per_directory:
        assert asked.output is not None
        _sums_each(asked.output, mirror, below, digests, teller)
        return
    kept = mirror.ordered(below)
    with contextlib.closing(digests.of(teller.counted(kept))) as found, _target(asked.output) as file:
        for known in teller.told(found):
            file.write(sidecars.line(_from(below, known.kept), known.digest))


def _sums_each(output: Path, mirror: _Mirror, below: bytes, digests: Digests, teller: "_Teller") -> None:
    """A checksum file for each directory that has files, under its own path below `output`."""
    root = os.path.basename(os.path.abspath(os.fsencode(mirror.source)))

    def wanted() -> Iterator[Kept]:
        for kept in mirror.together(below):
            if kept.name != sidecars.name(kept.parent, root):  # the one that it replaces
                yield kept

    with contextlib.closing(digests.of(teller.counted(wanted()))) as found:
        for parent, some in itertools.groupby(found, lambda known: known.kept.parent):
            lines = teller.told(some)
            first = next(lines, None)
            if first is None:
                continue
            if parent and not _NOWHERE.isdisjoint(parent.split(b"/")):
                raise JournalError("the journal is damaged: a directory leads elsewhere", path=os.fspath(mirror.journal))
            directory = os.path.join(os.fsencode(output), parent)
            try:
                os.makedirs(directory, exist_ok=True)
            except OSError as error:
                raise OutputError(f"it can't be made: {error.strerror or error}", path=os.fsdecode(directory)) from error
            with replacing(Path(os.fsdecode(os.path.join(directory, sidecars.name(parent, root))))) as file:
                for known in itertools.chain((first,), lines):
                    file.write(sidecars.line(known.kept.name, known.digest))


def _from(below: bytes, kept: Kept) -> bytes:
    """An object's path as it is from there."""
    return kept.path[len(below) + 1 :] if below else kept.path


@contextlib.contextmanager
def _target(output: Path | None) -> Iterator[BinaryIO]:
    with stdout.stream() if output is None else replacing(output) as file:
        yield file


class _Teller:
    """Counts, and says on stderr what could not be written."""

    def __init__(self, *, quiet: bool) -> None:
        self.count = 0
        self._quiet = quiet
        self._lacking = 0

    def counted(self, kept: Iterable[Kept]) -> Iterator[Kept]:
        """The same, counted."""
        for each in kept:
            self.count += 1
            yield each

    def told(self, found: Iterable[Known]) -> Iterator[Known]:
        """Those whose SHA-256 is known. The others are named, the first of them each."""
        for known in found:
            if known.digest:
                yield known
                continue
            self._lacking += 1
            if self._lacking <= PROBLEMS_KEPT:
                stderr.write([f"not in it: {show_name(known.kept.path)}: {show_line(known.reason)}"])

    def end(self) -> int:
        """Say what it came to, and give the exit code."""
        if self._lacking > PROBLEMS_KEPT:
            stderr.write([f"asyncmirror: {counted(self._lacking, 'object')} in all not in it"])
        if not self._quiet:
            stderr.write([f"asyncmirror: {counted(self.count - self._lacking, 'object')} written"])
        return INCOMPLETE if self._lacking else 0
