"""Something that a journal tells, whoever has it: the process that does is asked, else the file is read.

Owns that choice, the lock for as long as it is read, and what is said of a file or an answer that makes no sense. SQLite's
exclusive lock lets nobody else read the file.
"""

import contextlib
import os
import sqlite3
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

from asyncmirror.engine.asking import ask
from asyncmirror.errors import JournalError
from asyncmirror.journal.belongs import need
from asyncmirror.journal.lock import Holder, Lock, holder
from asyncmirror.journal.schema import connect, translate, translate_damage

T = TypeVar("T")


def consult(
    journal: Path,
    read: Callable[[sqlite3.Connection], T],
    request: Mapping[str, object],
    understand: Callable[[object, Holder], T],
) -> T:
    """Have the answer.

    Args:
        journal: The file.
        read: Gets it from an open journal.
        request: Gets it from a process: what is asked of `engine.control`.
        understand: What that process answered, as JSON has it, and which it is.

    Raises:
        UsageError: There is no journal.
        JournalError: It can't be read, or the process that has it does not answer.
    """
    running = holder(journal)
    if running is not None:
        return _ask(running, journal, request, understand)
    need(journal)
    lock = Lock(journal)
    try:
        with contextlib.closing(connect(journal)) as connection:
            return read(connection)
    except sqlite3.Error as error:
        raise translate(error, journal) from None
    except (ValueError, TypeError) as error:
        raise translate_damage(journal, str(error)) from None
    finally:
        lock.release()


def _ask(running: Holder, journal: Path, request: Mapping[str, object], understand: Callable[[object, Holder], T]) -> T:
    answer = ask(running, journal, request)
    try:
        return understand(answer, running)
    except (ValueError, KeyError, TypeError) as error:
        raise JournalError(
            f"process {running.pid} on {running.host} has the journal, and its answer is not understood: {error}",
            path=os.fspath(journal),
            hint="is it another version?",
        ) from None
