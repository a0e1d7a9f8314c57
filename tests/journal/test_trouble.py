"""What the file system and SQLite may refuse a journal: each a `JournalError` that says what to do."""

import errno
import fcntl
import os
import resource
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from asyncmirror import checksum
from asyncmirror.errors import JournalError
from asyncmirror.journal import directories
from asyncmirror.journal.belongs import Belongs
from asyncmirror.journal.changes import Complete
from asyncmirror.journal.lock import Lock, holder, lock_path
from asyncmirror.journal.schema import check_integrity, connect
from asyncmirror.journal.writer import Journal
from asyncmirror.model import Algorithm, Completed, Identity

OF = Belongs("/tree", "s3://bucket", "")
PAGE = 4096
SUM = checksum.compute(Algorithm.CRC64NVME, b"x")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal"


def write(journal: Journal, count: int) -> None:
    """Journal so many objects, with names of 200 bytes."""
    directory = journal.known(b"d", None).directory
    completed = Completed(Identity(1, 2, 3, 4, 5), SUM, "etag", 0)
    journal.submit([Complete(directory, b"%0200d" % number, completed, clears=False) for number in range(count)]).result()


def no_page(journal: Journal) -> None:
    journal._connection.execute("PRAGMA max_page_count = 1")


def no_writing(journal: Journal) -> None:
    journal._connection.execute("PRAGMA query_only = 1")


@contextmanager
def no_longer(size: int) -> Iterator[None]:
    """No file may grow beyond so many bytes: the system refuses the write with EFBIG."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize(("refuse", "says"), [(no_page, "no space left"), (no_writing, "cannot be written")])
def test_what_sqlite_refuses_is_told_with_its_remedy(path: Path, refuse: Callable[[Journal], None], says: str) -> None:
    journal = Journal(path, OF)
    journal.known(b"d", None)
    refuse(journal)
    with pytest.raises(JournalError, match=says) as caught:
        write(journal, 2000)
    assert caught.value.hint
    assert caught.value.path == str(path)
    with pytest.raises(JournalError, match=says):
        journal.known(b"d", None)
    journal.close()


def test_a_disk_that_fails_at_the_commit_ends_the_journal_and_nothing_was_promised(path: Path) -> None:
    journal = Journal(path, OF)
    write(journal, 10)
    with no_longer(os.path.getsize(f"{path}-wal")), pytest.raises(JournalError, match="disk failed") as caught:
        write(journal, 20)
    assert "same command" in caught.value.hint
    journal.close()
    again = Journal(path, OF)
    assert len(again.known(b"d", None).complete) == 10
    again.close()


def test_another_program_that_has_the_file_open_is_told_of(path: Path) -> None:
    Journal(path, OF).close()
    with closing(sqlite3.connect(path)) as other:
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(JournalError, match="another process has the journal open"):
            connect(path)


def test_a_place_that_is_not_there_is_told_of(path: Path) -> None:
    with pytest.raises(JournalError, match="cannot be made: No such file or directory"):
        connect(path / "none")
    path.write_bytes(b"")
    with pytest.raises(JournalError, match="lock cannot be written: "):
        Journal(path / "journal", OF)
    lock_path(path).mkdir()
    with pytest.raises(JournalError, match="lock cannot be written: Is a directory"):
        Journal(path, OF)


def test_pages_that_are_wrong_are_found_by_the_check(path: Path) -> None:
    journal = Journal(path, OF)
    write(journal, 2000)
    journal.close()
    data = path.read_bytes()
    for page in (len(data) // PAGE - 2, len(data) // PAGE // 2):
        for wrong in (bytes(PAGE), b"\xff" * PAGE):
            path.write_bytes(data[: page * PAGE] + wrong + data[(page + 1) * PAGE :])
            with closing(connect(path)) as connection, pytest.raises(JournalError, match="damaged"):
                check_integrity(connection, path)
    path.write_bytes(data)
    with closing(connect(path)) as connection:
        check_integrity(connection, path)


def flock(number: int) -> Callable[[int, int], None]:
    def refuse(_: int, __: int) -> None:
        raise OSError(number, os.strerror(number))

    return refuse


def test_where_there_are_no_locks_sqlite_s_own_is_the_guard(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fcntl, "flock", flock(errno.ENOLCK))
    journal = Journal(path, OF)
    assert holder(path) is None
    with pytest.raises(JournalError, match="another process has the journal open"):
        Journal(path, OF)
    write(journal, 1)
    journal.close()


def test_a_lock_that_fails_otherwise_is_no_lock(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fcntl, "flock", flock(errno.EIO))
    with pytest.raises(JournalError, match="lock cannot be written: Input/output error"):
        Journal(path, OF)


def test_a_lock_may_be_let_go_twice(path: Path) -> None:
    lock = Lock(path)
    lock.release()
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT)  # as like as not the lock's own number
    lock.release()
    os.fstat(descriptor)
    os.close(descriptor)
    Lock(path).release()


def test_directories_that_are_no_longer_remembered_keep_their_ids(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(directories, "_REMEMBERED", 2)
    journal = Journal(path, OF)
    names = [b"a", b"b", b"c", b"d"]
    first = [journal.known(name, None).directory for name in names]
    assert [journal.known(name, None).directory for name in names] == first
    assert len(set(first)) == len(names)
    assert len(journal._directories._ids) == 2
    journal.close()


def test_somebody_who_only_asks_who_has_it_does_not_keep_a_run_from_beginning(path: Path) -> None:
    Lock(path).release()
    with lock_path(path).open("rb") as asking:
        fcntl.flock(asking, fcntl.LOCK_SH)
        timer = threading.Timer(0.03, fcntl.flock, (asking, fcntl.LOCK_UN))
        timer.start()
        lock = Lock(path)
        assert holder(path) is not None
        lock.release()
        timer.join()
