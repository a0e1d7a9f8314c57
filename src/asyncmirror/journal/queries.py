"""What is read: the journal's rows as values.

Owns the SELECTs. `known` is the one that a run without news consists of, so it gives bare rows; `records` gives whole records
for the few entries that need a decision. Knows no thread.
"""

import sqlite3
from collections.abc import Iterator, Sequence
from typing import NamedTuple, TypeAlias

from asyncmirror import checksum as checksums
from asyncmirror.model import Algorithm, Checksum, Completed, Identity, Outcome, Problem, Receipt, Record, Upload, Uploading
from asyncmirror.settings import MAX_PART_SIZE

Row: TypeAlias = tuple[int, int, int, int]
"""(ino, size, mtime_ns, ctime_ns): `Identity` without its device."""

_BATCH = 500  # names in one IN (…); SQLite's own limit is 32,766 variables
_KNOWN = "SELECT name, ino, size, mtime_ns, ctime_ns FROM object WHERE directory = ?"


def _unsound(what: str) -> sqlite3.DatabaseError:
    """A row that was never written so: the file is damaged where SQLite does not see it."""
    error = sqlite3.DatabaseError(what)
    error.sqlite_errorname = "SQLITE_CORRUPT"
    return error


def outcome_of(number: int) -> Outcome:
    """The outcome that a row names."""
    try:
        return Outcome(number)
    except ValueError:
        raise _unsound(f"there is no outcome {number}") from None


def algorithm_of(name: str) -> Algorithm:
    """The algorithm that a row names."""
    try:
        return Algorithm(name)
    except ValueError:
        raise _unsound(f"there is no checksum {name!r}") from None


class Known(NamedTuple):
    """What the journal knows of one directory: complete objects, and the names that have an upload or a problem."""

    directory: int
    complete: dict[bytes, Row]
    unsettled: frozenset[bytes]


class UnfinishedUpload(NamedTuple):
    """An upload in progress, for people: path, size in bytes, bytes confirmed so far."""

    path: bytes
    size: int
    upload_id: str
    confirmed: int


class KnownOrphan(NamedTuple):
    """A file of which an upload may be left in the store, besides the one on record (its id; empty: none)."""

    directory: int
    path: bytes
    name: bytes
    upload_id: str


class Total(NamedTuple):
    """Entries of one outcome: how many, how many bytes, and how many of them were adopted by their size alone."""

    entries: int
    size: int
    unproven: int = 0


class KnownProblem(NamedTuple):
    """A problem on record, for people."""

    path: bytes
    problem: Problem


class Unsettled(NamedTuple):
    """An entry with a problem, or with an unfinished upload: its directory's id and path, and its name there.

    An empty name is the directory itself.
    """

    directory: int
    parent: bytes
    name: bytes

    @property
    def path(self) -> bytes:
        """Its path below the source."""
        return join(self.parent, self.name) if self.name else self.parent


def directory_id(connection: sqlite3.Connection, path: bytes) -> int:
    """The id of a directory; 0 where the journal does not know it."""
    row = connection.execute("SELECT id FROM directory WHERE path = ?", (path,)).fetchone()
    return row[0] if row else 0


def known(connection: sqlite3.Connection, directory: int, names: Sequence[bytes] | None) -> Known:
    """What is known of a directory, or of these of its entries."""
    if names is None:
        complete: dict[bytes, Row] = {row[0]: row[1:] for row in connection.execute(_KNOWN, (directory,))}
    else:
        complete = {}
        for start in range(0, len(names), _BATCH):
            some = names[start : start + _BATCH]
            statement = f"{_KNOWN} AND name IN ({','.join('?' * len(some))})"
            complete |= {row[0]: row[1:] for row in connection.execute(statement, (directory, *some))}
    unsettled = connection.execute(
        "SELECT name FROM problem WHERE directory = ? UNION SELECT name FROM upload WHERE directory = ?", (directory, directory)
    )
    wanted = None if names is None else frozenset(names)
    return Known(directory, complete, frozenset(name for (name,) in unsettled if wanted is None or name in wanted))


def owners(connection: sqlite3.Connection, directory: int, names: Sequence[bytes]) -> frozenset[bytes]:
    """Which of these entries of a directory are complete or being uploaded."""
    found: set[bytes] = set()
    for start in range(0, len(names), _BATCH):
        some = names[start : start + _BATCH]
        listed = f"directory = ? AND name IN ({','.join('?' * len(some))})"
        rows = connection.execute(
            f"SELECT name FROM object WHERE {listed} UNION ALL SELECT name FROM upload WHERE {listed}",
            (directory, *some, directory, *some),
        )
        found.update(name for (name,) in rows)
    return frozenset(found)


def records(connection: sqlite3.Connection, directory: int, names: Sequence[bytes]) -> dict[bytes, Record]:
    """All that is known of some entries of a directory."""
    return {name: _record(connection, (directory, name)) for name in names}


def _record(connection: sqlite3.Connection, entry: tuple[int, bytes]) -> Record:
    completed = uploading = problem = None
    where = "WHERE directory = ? AND name = ?"
    row = connection.execute(
        f"SELECT ino, size, mtime_ns, ctime_ns, algorithm, digest, parts, etag, part_size FROM object {where}", entry
    ).fetchone()
    if row:
        completed = Completed(Identity(0, *row[:4]), Checksum(algorithm_of(row[4]), row[5], row[6]), row[7], row[8])
    row = connection.execute(
        f"SELECT ino, size, mtime_ns, ctime_ns, upload_id, nonce, part_size, algorithm FROM upload {where}", entry
    ).fetchone()
    if row:
        algorithm = algorithm_of(row[7])
        if not 0 < row[6] <= MAX_PART_SIZE:
            raise _unsound(f"there is no part size of {row[6]} bytes")
        found = connection.execute(f"SELECT number, size, etag, digest FROM receipt {where} ORDER BY number", entry)
        receipts = tuple(Receipt(number, size, etag, Checksum(algorithm, digest)) for number, size, etag, digest in found)
        for part in receipts:
            if not 0 < part.size <= row[6] or len(part.checksum.digest) != checksums.width(algorithm):
                raise _unsound(f"part {part.number} has {part.size} bytes and a digest of {len(part.checksum.digest)}")
        uploading = Uploading(Identity(0, *row[:4]), Upload(row[4], row[5], row[6], algorithm, receipts))
    row = connection.execute(
        f"SELECT outcome, reason, retryable, ino, size, mtime_ns, ctime_ns FROM problem {where}", entry
    ).fetchone()
    if row:
        identity = None if row[3] is None else Identity(0, *row[3:7])
        problem = Problem(identity, outcome_of(row[0]), row[1], bool(row[2]))
    return Record(completed, uploading, problem)


def totals(connection: sqlite3.Connection) -> dict[Outcome, Total]:
    """What is on record, per outcome: complete objects, unfinished uploads, problems."""
    complete = connection.execute(
        "SELECT count(*), coalesce(sum(size), 0), coalesce(sum(length(digest) = 0), 0) FROM object"
    ).fetchone()
    found = {Outcome.COMPLETE: Total(*complete)}
    found[Outcome.PENDING] = Total(*connection.execute("SELECT count(*), coalesce(sum(size), 0) FROM upload").fetchone())
    rows = connection.execute("SELECT outcome, count(*), coalesce(sum(size), 0) FROM problem GROUP BY outcome")
    for outcome, count, size in rows:
        found[outcome_of(outcome)] = Total(count, size)
    return {outcome: total for outcome, total in found.items() if total.entries}


def join(directory: bytes, name: bytes) -> bytes:
    """The path of an entry; an empty name is the directory's own."""
    return b"/".join(part for part in (directory, name) if part)


def unfinished(connection: sqlite3.Connection) -> Iterator[UnfinishedUpload]:
    """The uploads in progress."""
    rows = connection.execute(
        "SELECT d.path, u.name, u.size, u.upload_id, (SELECT coalesce(sum(r.size), 0) FROM receipt r"
        " WHERE r.directory = u.directory AND r.name = u.name)"
        " FROM upload u JOIN directory d ON d.id = u.directory ORDER BY d.path, u.name"
    )
    for directory, name, size, upload_id, confirmed in rows:
        yield UnfinishedUpload(join(directory, name), size, upload_id, confirmed)


def problems(connection: sqlite3.Connection) -> Iterator[KnownProblem]:
    """The problems on record."""
    rows = connection.execute(
        "SELECT d.path, p.name, p.outcome, p.reason, p.retryable, p.ino, p.size, p.mtime_ns, p.ctime_ns"
        " FROM problem p JOIN directory d ON d.id = p.directory ORDER BY d.path, p.name"
    )
    for directory, name, outcome, reason, retryable, *identity in rows:
        seen = None if identity[0] is None else Identity(0, *identity)
        yield KnownProblem(join(directory, name), Problem(seen, outcome_of(outcome), reason, bool(retryable)))


def unsettled(connection: sqlite3.Connection, table: str, after: tuple[int, bytes], most: int) -> list[Unsettled]:
    """Some of the entries of a table, `problem` or `upload`, behind a directory's id and a name."""
    rows = connection.execute(
        f"SELECT u.directory, d.path, u.name FROM {table} u JOIN directory d ON d.id = u.directory"
        " WHERE (u.directory, u.name) > (?, ?) ORDER BY u.directory, u.name LIMIT ?",
        (*after, most),
    )
    return [Unsettled(*row) for row in rows]


def holding(connection: sqlite3.Connection, path: bytes) -> Iterator[bytes]:
    """The directories at or below a path of whose files something is in the store, or may be."""
    rows = connection.execute(
        "SELECT path FROM directory d WHERE (path = ? OR path >= ? AND path < ?)"
        " AND (EXISTS (SELECT 1 FROM object WHERE directory = d.id)"
        " OR EXISTS (SELECT 1 FROM upload WHERE directory = d.id) OR EXISTS (SELECT 1 FROM orphan WHERE directory = d.id)"
        " OR EXISTS (SELECT 1 FROM condemned WHERE directory = d.id))",
        (path, path + b"/", path + b"0"),  # 0 is the character behind the slash
    )
    for (found,) in rows:
        yield found


def unsettled_directories(connection: sqlite3.Connection) -> tuple[list[bytes], list[bytes]]:
    """The directories that hold an entry with a problem or an upload, and those of them that could not be listed."""
    holding = connection.execute(
        "SELECT path FROM directory WHERE id IN (SELECT directory FROM problem UNION SELECT directory FROM upload)"
    )
    unlisted = connection.execute("SELECT d.path FROM problem p JOIN directory d ON d.id = p.directory WHERE p.name = x''")
    return [path for (path,) in holding], [path for (path,) in unlisted]


def orphans(connection: sqlite3.Connection) -> list[KnownOrphan]:
    """The files of which an upload may be left in the store. `path` is the directory's."""
    rows = connection.execute(
        "SELECT o.directory, d.path, o.name, coalesce(u.upload_id, '') FROM orphan o JOIN directory d ON d.id = o.directory"
        " LEFT JOIN upload u ON u.directory = o.directory AND u.name = o.name ORDER BY d.path, o.name"
    )
    return [KnownOrphan(*row) for row in rows]


def meta(connection: sqlite3.Connection) -> dict[str, str]:
    """What the journal is of: source, destination, endpoint."""
    return dict(connection.execute("SELECT key, value FROM meta"))
