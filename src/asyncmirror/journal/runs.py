"""The runs on record: when each began and ended, where, and what it came to.

Owns the SQL of the table `run`, and how many of its rows are kept: a mirror that is looked at every minute has half a million
runs a year, and next to all of them find nothing new. Knows no thread; whoever writes has a transaction open.
"""

import json
import os
import socket
import sqlite3
import time
from collections.abc import Mapping
from pathlib import Path

from asyncmirror.version import VERSION

KEPT = 10_000
"""Runs on record at most: some 5 MB."""
QUIET_KEPT = 1_000
"""A run without news is forgotten when so many came after it."""

# Nothing stored, nothing removed, nothing wrong, not stopped.
_FORGET_QUIET = """
DELETE FROM run WHERE id = ? AND json_extract(summary, '$.exit_code') = 0 AND NOT json_extract(summary, '$.stopped')
    AND NOT json_extract(summary, '$.complete') AND NOT json_extract(summary, '$.adopted')
    AND NOT coalesce(json_extract(summary, '$.deleted'), 0)
"""
_FORGET_OLD = "DELETE FROM run WHERE id <= (SELECT id FROM run ORDER BY id DESC LIMIT 1 OFFSET ?)"


def begin(connection: sqlite3.Connection) -> int:
    """Note that a run begins here and now; gives its number."""
    host, boot = here()
    row = (VERSION, host, os.getpid(), boot, time.time())
    cursor = connection.execute("INSERT INTO run (version, host, pid, boot, started) VALUES (?, ?, ?, ?, ?)", row)
    assert cursor.lastrowid is not None
    return cursor.lastrowid


def end(connection: sqlite3.Connection, run: int, summary: Mapping[str, object] | None) -> None:
    """Note that a run has ended, and what it came to: None where it came to nothing; and forget what is too old."""
    told = None if summary is None else json.dumps(summary)
    connection.execute("UPDATE run SET ended = ?, summary = ? WHERE id = ?", (time.time(), told, run))
    connection.execute(_FORGET_QUIET, (run - QUIET_KEPT,))
    connection.execute(_FORGET_OLD, (KEPT,))


def began(connection: sqlite3.Connection) -> bool:
    """Whether there was a run before."""
    return connection.execute("SELECT 1 FROM run LIMIT 1").fetchone() is not None


def last(connection: sqlite3.Connection, most: int | None) -> list[tuple[object, ...]]:
    """The last runs, oldest first: started, ended, host, pid, version, summary as its text. None: all that are on record."""
    statement = "SELECT started, ended, host, pid, version, summary FROM run ORDER BY id DESC LIMIT ?"
    return connection.execute(statement, (-1 if most is None else most,)).fetchall()[::-1]


def here() -> tuple[str, str]:
    """This host, and an id that changes when it starts anew; empty where there is none."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        boot = ""
    return socket.gethostname(), boot
