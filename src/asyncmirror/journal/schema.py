"""The journal's file: tables, version, and how it is opened safely.

Owns the SQL schema and the pragmas. Knows nothing of runs or decisions. What makes it safe: one connection; exclusive locking
set before write-ahead logging is first used, so that no shared memory is needed and the file may lie on NFS, Lustre or GPFS;
synchronous=FULL, so that a commit survives a power cut (sqlite.org, "Write-Ahead Logging", "Use of WAL Without
Shared-Memory"). The header is read before SQLite may touch the file: a newer version's journal is left as it is.
"""

import contextlib
import os
import sqlite3
import stat
from pathlib import Path

from asyncmirror.errors import JournalDiskError, JournalError

VERSION = 1
APPLICATION_ID = 0x61734D72  # "asMr", in the header at byte 68
_MAGIC = b"SQLite format 3\0"
_HEADER = 100
_NO_FILE = b"no regular file"

_TABLES = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE directory (id INTEGER PRIMARY KEY, path BLOB NOT NULL UNIQUE) STRICT;
-- An object that the store confirmed: the identity of the file that was read, and what was confirmed.
CREATE TABLE object (
    directory INTEGER NOT NULL, name BLOB NOT NULL,
    ino INTEGER NOT NULL, size INTEGER NOT NULL, mtime_ns INTEGER NOT NULL, ctime_ns INTEGER NOT NULL,
    algorithm TEXT NOT NULL, digest BLOB NOT NULL, parts INTEGER NOT NULL, part_size INTEGER NOT NULL, etag TEXT NOT NULL,
    PRIMARY KEY (directory, name)
) STRICT, WITHOUT ROWID;
-- A multipart upload in progress. upload_id is empty between the intent and Create's answer.
CREATE TABLE upload (
    directory INTEGER NOT NULL, name BLOB NOT NULL,
    ino INTEGER NOT NULL, size INTEGER NOT NULL, mtime_ns INTEGER NOT NULL, ctime_ns INTEGER NOT NULL,
    upload_id TEXT NOT NULL, nonce TEXT NOT NULL, part_size INTEGER NOT NULL, algorithm TEXT NOT NULL,
    PRIMARY KEY (directory, name)
) STRICT, WITHOUT ROWID;
CREATE TABLE receipt (
    directory INTEGER NOT NULL, name BLOB NOT NULL, number INTEGER NOT NULL,
    size INTEGER NOT NULL, etag TEXT NOT NULL, digest BLOB NOT NULL,
    PRIMARY KEY (directory, name, number)
) STRICT, WITHOUT ROWID;
-- Why an entry is not complete. An empty name is the directory itself. Identity columns are null where none was seen.
CREATE TABLE problem (
    directory INTEGER NOT NULL, name BLOB NOT NULL,
    outcome INTEGER NOT NULL, reason TEXT NOT NULL, retryable INTEGER NOT NULL,
    ino INTEGER, size INTEGER, mtime_ns INTEGER, ctime_ns INTEGER,
    PRIMARY KEY (directory, name)
) STRICT, WITHOUT ROWID;
CREATE TABLE run (
    id INTEGER PRIMARY KEY, version TEXT NOT NULL, host TEXT NOT NULL, pid INTEGER NOT NULL, boot TEXT NOT NULL,
    started REAL NOT NULL, ended REAL, summary TEXT
) STRICT;
"""
_SCHEMA = f"BEGIN; {_TABLES} PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {VERSION}; COMMIT;"
# Files of which an upload may be left in the store that is on no record. The first journals of this version lack the table.
_ORPHAN = """
CREATE TABLE IF NOT EXISTS orphan (
    directory INTEGER NOT NULL, name BLOB NOT NULL, PRIMARY KEY (directory, name)
) STRICT, WITHOUT ROWID
"""
# Objects that are about to be deleted, or may have been: no longer complete, until the store has answered. As _ORPHAN.
_CONDEMNED = """
CREATE TABLE IF NOT EXISTS condemned (
    directory INTEGER NOT NULL, name BLOB NOT NULL,
    ino INTEGER NOT NULL, size INTEGER NOT NULL, mtime_ns INTEGER NOT NULL, ctime_ns INTEGER NOT NULL,
    algorithm TEXT NOT NULL, digest BLOB NOT NULL, parts INTEGER NOT NULL, part_size INTEGER NOT NULL, etag TEXT NOT NULL,
    PRIMARY KEY (directory, name)
) STRICT, WITHOUT ROWID
"""

_REMEDY = "move it away, then run the same command with --adopt: what the bucket has already is not sent again"


def translate(error: sqlite3.Error, path: Path) -> JournalError:
    """What SQLite said, as an error that tells what to do."""
    name = getattr(error, "sqlite_errorname", "") or ""
    shown = os.fspath(path)
    if name.startswith("SQLITE_FULL"):
        return JournalDiskError(
            "no space left for the journal", path=shown, hint="free some space there, then run the same command: it goes on"
        )
    if name.startswith("SQLITE_BUSY"):
        return JournalError("another process has the journal open", path=shown, hint="wait for it, or stop it")
    if name.startswith(("SQLITE_CORRUPT", "SQLITE_NOTADB")):
        return JournalError("the journal is damaged", path=shown, hint=_REMEDY)
    if name.startswith(("SQLITE_READONLY", "SQLITE_CANTOPEN", "SQLITE_PERM")):
        return JournalError(f"the journal cannot be written: {error}", path=shown, hint="choose another place with --journal")
    if name.startswith("SQLITE_IOERR"):
        return JournalDiskError(
            f"the journal's disk failed: {error}", path=shown, hint="check it and its free space, then run the same command"
        )
    return JournalError(str(error), path=shown)


def check_header(path: Path) -> bool:
    """Look at a journal's header without SQLite.

    Returns:
        Whether there is a journal; False where the file is missing or empty.

    Raises:
        JournalError: The file is no journal, of a newer version, or can't be read.
    """
    try:
        # Opening a FIFO would wait for somebody to write into it.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            header = os.read(descriptor, _HEADER) if stat.S_ISREG(os.fstat(descriptor).st_mode) else _NO_FILE
        finally:
            os.close(descriptor)
    except FileNotFoundError:
        return False
    except OSError as error:
        raise JournalError(f"cannot be read: {error.strerror}", path=os.fspath(path)) from None
    if not header:
        return False
    version, application = int.from_bytes(header[60:64], "big"), int.from_bytes(header[68:72], "big")
    if not header.startswith(_MAGIC) or len(header) < _HEADER or application != APPLICATION_ID:
        raise JournalError("this file is no asyncmirror journal", path=os.fspath(path), hint="choose another with --journal")
    if version > VERSION:
        raise JournalError(
            f"the journal is of version {version}, this asyncmirror knows version {VERSION}",
            path=os.fspath(path),
            hint="use the newer asyncmirror that made it; it was left untouched",
        )
    return True


def connect(path: Path | None) -> sqlite3.Connection:
    """Open the journal, making it where there is none. Transactions are the caller's to begin and to commit.

    Args:
        path: The file; None: in memory, to be forgotten.

    Raises:
        JournalError: It can't be opened, as `translate` tells.
    """
    exists = path is not None and check_header(path)
    try:
        if path is not None and not exists:
            _make(path)
        connection = sqlite3.connect(path or ":memory:", timeout=0, isolation_level=None, check_same_thread=False)
    except OSError as error:
        raise JournalError(f"cannot be made: {error.strerror}", path=str(path), hint="choose another with --journal") from None
    except sqlite3.Error as error:
        raise translate(error, path or Path()) from None
    try:
        connection.execute("PRAGMA locking_mode = EXCLUSIVE")
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA cache_size = -16384")  # KiB
        if path is None:
            connection.executescript(_SCHEMA)
        connection.execute(_ORPHAN)
        connection.execute(_CONDEMNED)
    except sqlite3.Error as error:
        connection.close()
        raise translate(error, path or Path()) from None
    except UnicodeDecodeError:  # what SQLite quotes of a damaged schema
        connection.close()
        raise translate_damage(path or Path(), "its schema can't be read") from None
    return connection


def _make(path: Path) -> None:
    """Make an empty journal, whole or not at all: a process that is killed at it must not leave a file that is no journal."""
    with contextlib.closing(sqlite3.connect(":memory:")) as connection:
        connection.executescript(_SCHEMA)
        data = connection.serialize()
    whole = os.path.realpath(path)
    new = f"{whole}-new"
    try:
        with open(new, "wb", opener=_private) as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(new, whole)
    except OSError:
        with contextlib.suppress(OSError):
            os.unlink(new)
        raise


def _private(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_CLOEXEC, 0o600)


def check_integrity(connection: sqlite3.Connection, path: Path) -> None:
    """Read the whole file and make sure that it is sound. Takes seconds per GiB.

    Raises:
        JournalError: It is not.
    """
    try:
        found = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
    except sqlite3.Error as error:
        raise translate(error, path) from None
    if found != "ok":
        raise translate_damage(path, str(found))


def translate_damage(path: Path, found: str) -> JournalError:
    """The error for a journal that SQLite reads but finds unsound."""
    said = found.splitlines()[0]
    return JournalError(f"the journal is damaged: {said}", path=os.fspath(path), hint=_REMEDY)
