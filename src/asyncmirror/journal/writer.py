"""The journal at work: one thread that owns the one connection, and commits in groups.

Owns the thread, the queue before it, and the transaction. Questions and changes come from the event loop and from the scan
threads alike and are served in order. A change's future is done only after its commit. The first write that fails ends the
journal: nothing that it had not committed was ever told to anybody, so that nothing is lost.
"""

import contextlib
import os
import queue
import sqlite3
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import NamedTuple, TypeVar

from asyncmirror.errors import JournalError
from asyncmirror.journal import queries, runs
from asyncmirror.journal.belongs import Belongs, refuse_other
from asyncmirror.journal.changes import Change, apply
from asyncmirror.journal.directories import Directories
from asyncmirror.journal.lock import Lock
from asyncmirror.journal.queries import Known
from asyncmirror.journal.schema import check_integrity, connect, translate
from asyncmirror.model import Record

T = TypeVar("T")
_LINGER = 0.05
"""Seconds that a change waits at most while questions keep coming."""
_REMEMBER = "INSERT OR REPLACE INTO meta VALUES (?, ?)"
_OPEN = "open"
"""What is on record as long as the journal is open: where that is."""


class _Job(NamedTuple):
    function: Callable[[sqlite3.Connection], object]
    future: "Future[object]"
    writes: bool
    mends: bool = False


class Journal:
    """A journal, opened and locked. Every method may be called from any thread; `close` when nobody else calls any."""

    def __init__(self, path: Path, belongs: Belongs, *, read_only: bool = False) -> None:
        """Open it, making it where there is none.

        Args:
            path: The file. Its directory is made.
            belongs: What it is of; `source` may differ from the one on record (a mount's alias), the others not.
            read_only: Keep nothing: for a dry run. Where there is no journal, none is made.

        Raises:
            JournalError: It can't be opened: locked, newer, damaged, no space.
            UsageError: It belongs to another destination.
        """
        self.path = path
        self._read_only = read_only
        self._lock = None if read_only and not path.exists() else Lock(path)
        try:
            self._connection = connect(None if self._lock is None else path)
            try:
                self.resumed = self._check(belongs)
            except BaseException:
                self._connection.close()
                raise
        except BaseException:
            self._unlock()
            raise
        self._queue: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._directories = Directories()
        self._broken: JournalError | None = None
        self._run: int | None = None  # the one going on; the thread's
        self._summary: Mapping[str, object] | None = None  # what the last one came to
        self._thread = threading.Thread(target=self._serve, name="journal", daemon=True)
        self._thread.start()

    def _check(self, belongs: Belongs) -> bool:
        """See that the journal is sound and of what is meant, and note it; whether a run was here before."""
        connection = self._connection
        try:
            on_record = queries.meta(connection)
            if on_record:
                refuse_other(on_record, belongs, self.path)
            here = " ".join(runs.here())
            # A killed process can't damage the file, a machine that went down while it was open may.
            if on_record.get(_OPEN, here) != here:
                check_integrity(connection, self.path)
            connection.execute("BEGIN")
            connection.executemany(_REMEMBER, [*belongs._asdict().items(), (_OPEN, here)])
            if not self._read_only:
                connection.execute("COMMIT")
            return runs.began(connection)
        except sqlite3.Error as error:
            raise translate(error, self.path) from None

    @property
    def broken(self) -> bool:
        """Whether a write has failed, so that nothing is written any more until `mend`."""
        return self._broken is not None

    def mend(self) -> "Future[None]":
        """Begin anew after a write that failed: with what was committed before it. What had been asked meanwhile has failed.

        The future fails with `JournalError` where the file can't be opened again; whether it can be written, a write tells.
        """
        future: Future[None] = Future()
        self._queue.put(_Job(self._reopen, future, writes=False, mends=True))  # type: ignore[arg-type]  # as in `_put`
        return future

    def _reopen(self, connection: sqlite3.Connection) -> None:
        if self._broken is None:
            return
        with contextlib.suppress(sqlite3.Error):
            connection.close()
        try:
            self._connection = connect(None if self._lock is None else self.path)
        except JournalError as error:
            self._broken = error
            raise
        self._directories.forget()
        self._broken = None

    def begin_run(self) -> "Future[None]":
        """Note that a run begins, and first the end of one before that could not be noted in its time."""

        def begin(connection: sqlite3.Connection) -> None:
            if self._run is not None:
                runs.end(connection, self._run, self._summary)
            self._run = runs.begin(connection)

        return self._put(begin, writes=True)

    def end_run(self, summary: Mapping[str, object] | None) -> "Future[None]":
        """Note that the run has ended, and what it came to; None: it was given up."""
        self._summary = summary

        def end(connection: sqlite3.Connection) -> None:
            if self._run is not None:
                runs.end(connection, self._run, summary)
            self._run = None

        return self._put(end, writes=True)

    @property
    def locked(self) -> bool:
        """Whether others can find out who has it. Not where a dry run made none."""
        return self._lock is not None

    def answers(self, endpoint: str) -> None:
        """Let it be known where this process answers questions.

        Raises:
            OSError: It can't be written.
        """
        if self._lock is not None:
            self._lock.tell(endpoint)

    def ask(self, function: Callable[[sqlite3.Connection], T]) -> "Future[T]":
        """Have the thread answer a question. The future fails with `JournalError`."""
        return self._put(function, writes=False)

    def submit(self, changes: Sequence[Change]) -> "Future[None]":
        """Have the thread write changes. The future is done when they are committed, and fails with `JournalError`."""
        return self._put(lambda connection: apply(connection, changes), writes=True)

    def _put(self, function: Callable[[sqlite3.Connection], T], *, writes: bool) -> "Future[T]":
        future: Future[T] = Future()
        future.set_running_or_notify_cancel()  # who waits may go away; what the store confirmed is written all the same
        self._queue.put(_Job(function, future, writes=writes))  # type: ignore[arg-type]  # each future gets its own function's value
        if not self._thread.is_alive():
            self._turn_away()
        return future

    def _turn_away(self) -> None:
        """Fail what came too late: nobody serves it any more."""
        with contextlib.suppress(queue.Empty):
            while True:
                if job := self._queue.get_nowait():
                    job.future.set_exception(JournalError("the journal is closed", path=os.fspath(self.path)))

    def known(self, path: bytes, names: Sequence[bytes] | None) -> Known:
        """What is known of a directory, or of these of its entries. Blocks: not for the event loop's thread.

        Raises:
            JournalError: The journal failed.
        """
        return self.ask(lambda connection: queries.known(connection, self._directories.find(connection, path), names)).result()

    def records(self, directory: int, names: Sequence[bytes]) -> dict[bytes, Record]:
        """All that is known of some entries of a directory. Blocks: not for the event loop's thread.

        Raises:
            JournalError: The journal failed.
        """
        return self.ask(lambda connection: queries.records(connection, directory, names)).result()

    def _serve(self) -> None:
        """The thread: serve jobs in order, commit when the queue is empty or a change has waited long enough."""
        waiting: list[Future[object]] = []
        due = 0.0
        while True:
            try:
                job = self._queue.get(block=not waiting)
            except queue.Empty:
                self._commit(waiting)
                continue
            if job is None:
                self._commit(waiting)
                return
            if self._broken is not None and not job.mends:
                job.future.set_exception(self._broken)
                continue
            self._do(job, waiting)
            if waiting and not due:
                due = time.monotonic() + _LINGER
            if waiting and time.monotonic() >= due:
                self._commit(waiting)
            due = due if waiting else 0.0

    def _do(self, job: _Job, waiting: "list[Future[object]]") -> None:
        connection = self._connection
        try:
            if job.writes and not connection.in_transaction:
                connection.execute("BEGIN")
            answer = job.function(connection)
        except sqlite3.Error as error:
            self._break(error, [*waiting, job.future])
            waiting.clear()
        except Exception as error:  # noqa: BLE001  whoever waits is told; a thread that died would let them wait for ever
            if job.writes:
                self._break(error, [*waiting, job.future])
                waiting.clear()
            else:
                job.future.set_exception(error)
        else:
            if job.writes:
                waiting.append(job.future)
            else:
                job.future.set_result(answer)

    def _commit(self, waiting: "list[Future[object]]") -> None:
        if waiting and self._broken is None:
            try:
                if not self._read_only:
                    self._connection.execute("COMMIT")
            except sqlite3.Error as error:
                self._break(error, waiting)
            else:
                for future in waiting:
                    future.set_result(None)
        waiting.clear()

    def _break(self, error: Exception, waiting: "Sequence[Future[object]]") -> None:
        """Give up: SQLite has rolled back, or is made to; whoever waits is told."""
        if isinstance(error, sqlite3.Error):
            self._broken = translate(error, self.path)
        else:
            self._broken = JournalError(f"a change could not be written: {error!r}", path=os.fspath(self.path))
        with contextlib.suppress(sqlite3.Error):
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
        for future in waiting:
            future.set_exception(self._broken)

    def close(self) -> None:
        """Let go of the file; a run that is going on is given up. A journal that failed is closed as it is.

        Raises:
            JournalError: The end could not be written.
        """
        if self._broken is None:
            self.end_run(None)
            self._put(lambda connection: connection.execute("DELETE FROM meta WHERE key = ?", (_OPEN,)), writes=True)
        self._queue.put(None)
        self._thread.join()
        self._turn_away()
        try:
            self._connection.close()
        except sqlite3.Error as error:
            raise translate(error, self.path) from None
        finally:
            self._unlock()

    def _unlock(self) -> None:
        if self._lock is not None:
            self._lock.release()
