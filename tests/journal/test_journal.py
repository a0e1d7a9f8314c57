import json
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from asyncmirror.errors import JournalError, UsageError
from asyncmirror.journal import queries, runs
from asyncmirror.journal.belongs import Belongs
from asyncmirror.journal.changes import Abandon, Begin, Change, Complete, Fail, Forgive, Receive
from asyncmirror.journal.lock import holder
from asyncmirror.journal.schema import VERSION
from asyncmirror.journal.writer import Journal
from asyncmirror.model import Algorithm, Checksum, Completed, Identity, Outcome, Problem, Receipt, Record, Upload, Uploading

OF = Belongs("/data/edr", "s3://desidata/edr", "")
CRC = Checksum(Algorithm.CRC64NVME, b"12345678")
IDENTITY = Identity(0, 7, 100, 1_700_000_000_000_000_001, 1_700_000_000_000_000_002)
COMPLETED = Completed(IDENTITY, CRC, "etag", 0)
UPLOAD = Upload("upload-1", "nonce", 50, Algorithm.CRC64NVME)
PROBLEM = Problem(IDENTITY, Outcome.FAILED, "the store would not", retryable=False)
RECEIPTS = (Receipt(1, 50, "e1", CRC), Receipt(2, 50, "e2", CRC))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "journal.sqlite"


@pytest.fixture
def journal(path: Path) -> Iterator[Journal]:
    journal = Journal(path, OF)
    yield journal
    journal.close()


def write(journal: Journal, *changes: Change) -> None:
    journal.submit(changes).result(10)


def run(journal: Journal, code: int) -> None:
    journal.begin_run().result(10)
    journal.end_run({"exit_code": code, "stopped": False, "complete": code, "adopted": 0}).result(10)


def record(journal: Journal, directory: int, name: bytes) -> Record:
    return journal.records(directory, [name])[name]


def test_what_was_committed_is_known_after_reopening(path: Path) -> None:
    journal = Journal(path, OF)
    assert not journal.resumed
    directory = journal.known(b"a/\xff", None).directory
    write(journal, Complete(directory, b"n\xff", COMPLETED, clears=False))
    run(journal, 0)
    journal.close()
    again = Journal(path, OF)
    try:
        assert again.resumed
        known = again.known(b"a/\xff", None)
        assert known == queries.Known(directory, {b"n\xff": IDENTITY[1:]}, frozenset())
        assert record(again, directory, b"n\xff") == Record(COMPLETED)
        assert again.known(b"elsewhere", None).complete == {}
    finally:
        again.close()


def test_an_upload_is_kept_with_its_receipts_until_the_object_is_complete(journal: Journal) -> None:
    directory = journal.known(b"", None).directory
    write(journal, Begin(directory, b"big", IDENTITY, UPLOAD._replace(upload_id="")))
    write(journal, Begin(directory, b"big", IDENTITY, UPLOAD), *(Receive(directory, b"big", r) for r in RECEIPTS))
    expected = Record(uploading=Uploading(IDENTITY, UPLOAD._replace(receipts=RECEIPTS)))
    assert record(journal, directory, b"big") == expected
    assert journal.known(b"", None).unsettled == {b"big"}
    unfinished = journal.ask(lambda c: list(queries.unfinished(c))).result(10)
    assert unfinished == [queries.UnfinishedUpload(b"big", 100, "upload-1", 100)]
    write(journal, Complete(directory, b"big", COMPLETED._replace(part_size=50), clears=True))
    assert record(journal, directory, b"big") == Record(COMPLETED._replace(part_size=50))
    assert not journal.known(b"", None).unsettled


def test_an_abandoned_upload_leaves_no_receipts_for_the_next(journal: Journal) -> None:
    directory = journal.known(b"", None).directory
    write(journal, Begin(directory, b"big", IDENTITY, UPLOAD), Receive(directory, b"big", RECEIPTS[0]))
    write(journal, Abandon(directory, b"big"), Begin(directory, b"big", IDENTITY, UPLOAD._replace(upload_id="upload-2")))
    uploading = record(journal, directory, b"big").uploading
    assert uploading is not None
    assert uploading.upload == UPLOAD._replace(upload_id="upload-2")


def test_a_problem_does_not_erase_what_is_complete_and_ends_with_forgiveness(journal: Journal) -> None:
    directory = journal.known(b"d", None).directory
    write(journal, Complete(directory, b"f", COMPLETED, clears=False), Fail(directory, b"f", PROBLEM))
    write(journal, Fail(directory, b"", Problem(None, Outcome.UNREADABLE, "permission denied", retryable=True)))
    assert record(journal, directory, b"f") == Record(COMPLETED, None, PROBLEM)
    found = journal.ask(lambda c: list(queries.problems(c))).result(10)
    assert [(known.path, known.problem.outcome) for known in found] == [(b"d", Outcome.UNREADABLE), (b"d/f", Outcome.FAILED)]
    write(journal, Forgive(directory, b"f"), Forgive(directory, b""))
    assert record(journal, directory, b"f") == Record(COMPLETED)
    assert journal.known(b"d", None).unsettled == frozenset()


def test_who_asks_too_late_is_told(tmp_path: Path) -> None:
    """A page may ask while the mirror is being closed."""
    closed = Journal(tmp_path / "late.db", OF)
    closed.close()
    with pytest.raises(JournalError, match="closed"):
        closed.ask(queries.totals).result(10)


def test_totals_are_by_outcome(journal: Journal) -> None:
    directory = journal.known(b"", None).directory
    write(
        journal,
        Complete(directory, b"a", COMPLETED, clears=False),
        Complete(directory, b"b", COMPLETED, clears=False),
        Begin(directory, b"c", IDENTITY, UPLOAD),
        Fail(directory, b"d", PROBLEM),
    )
    assert journal.ask(queries.totals).result(10) == {
        Outcome.COMPLETE: queries.Total(2, 200),
        Outcome.PENDING: queries.Total(1, 100),
        Outcome.FAILED: queries.Total(1, 100),
    }


def test_a_piece_of_a_large_directory_is_looked_up_by_name(journal: Journal) -> None:
    directory = journal.known(b"", None).directory
    names = [b"%06d" % n for n in range(1300)]
    write(journal, *(Complete(directory, name, COMPLETED, clears=False) for name in names))
    assert set(journal.known(b"", names[:1200]).complete) == set(names[:1200])
    assert set(journal.known(b"", [b"new", names[5]]).complete) == {names[5]}


@pytest.mark.hazard(29)
def test_a_second_process_is_told_who_the_first_is(path: Path, journal: Journal) -> None:
    assert journal.path == path
    with pytest.raises(JournalError, match=f"in use by process {os.getpid()} on ") as caught:
        Journal(path, OF)
    assert caught.value.exit_code == 4
    found = holder(path)
    assert found is not None
    assert found.pid == os.getpid()


def test_nobody_holds_a_closed_journal(path: Path) -> None:
    Journal(path, OF).close()
    assert holder(path) is None


@pytest.mark.parametrize("other", [OF._replace(destination="s3://desidata/dr1"), OF._replace(endpoint="http://127.0.0.1:9000")])
def test_a_journal_of_another_destination_is_refused(path: Path, other: Belongs) -> None:
    Journal(path, OF).close()
    with pytest.raises(UsageError, match="belongs to s3://desidata/edr at AWS"):
        Journal(path, other)
    Journal(path, OF._replace(source="/global/an/alias")).close()


@pytest.mark.hazard(28)
def test_a_newer_journal_is_refused_untouched(path: Path) -> None:
    Journal(path, OF).close()
    connection = sqlite3.connect(path)
    connection.execute(f"PRAGMA user_version = {VERSION + 1}")
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    before = path.read_bytes()
    with pytest.raises(JournalError, match=f"version {VERSION + 1}"):
        Journal(path, OF)
    assert path.read_bytes() == before


@pytest.mark.parametrize("content", [b"not a database", b"SQLite format 3\0" + b"\0" * 2000])
def test_a_file_that_is_no_journal_is_refused_untouched(path: Path, content: bytes) -> None:
    path.parent.mkdir()
    path.write_bytes(content)
    with pytest.raises(JournalError, match="no asyncmirror journal"):
        Journal(path, OF)
    assert path.read_bytes() == content


@pytest.mark.hazard(27)
def test_a_journal_damaged_while_its_machine_went_down_is_noticed(path: Path) -> None:
    journal = Journal(path, OF)
    directory = journal.known(b"", None).directory
    write(journal, *(Complete(directory, b"%06d" % n, COMPLETED, clears=False) for n in range(2000)))
    journal.close()
    connection = sqlite3.connect(path)
    connection.execute("INSERT INTO meta VALUES ('open', 'here before-it-went-down')")
    connection.commit()
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    with path.open("r+b") as file:
        file.seek(4096 * 30)
        file.write(b"\xa5" * 4096 * 4)
    with pytest.raises(JournalError, match="damaged"):
        Journal(path, OF)


def test_the_journal_is_for_its_owner_only(path: Path, journal: Journal) -> None:
    assert journal.path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700


def test_a_dry_run_makes_no_journal_and_changes_none(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(path.parent.parent)
    dry = Journal(path, OF, read_only=True)
    directory = dry.known(b"", None).directory
    write(dry, Complete(directory, b"a", COMPLETED, clears=False))
    dry.close()
    assert not list(path.parent.parent.rglob("*"))
    real = Journal(path, OF)
    write(real, Complete(real.known(b"", None).directory, b"a", COMPLETED, clears=False))
    real.close()
    dry = Journal(path, OF, read_only=True)
    run(dry, 0)
    write(dry, Complete(dry.known(b"x", None).directory, b"b", COMPLETED, clears=False))
    assert list(dry.known(b"", None).complete) == [b"a"]
    dry.close()
    again = Journal(path, OF)
    assert again.known(b"x", None).complete == {}
    runs = again.ask(lambda c: c.execute("SELECT count(*) FROM run").fetchone()[0]).result(10)
    again.close()
    assert runs == 0


def fill(journal: Journal, directory: int) -> None:
    for start in range(0, 100_000, 1000):
        names = (b"%099d" % n for n in range(start, start + 1000))
        write(journal, *(Complete(directory, name, COMPLETED, clears=False) for name in names))


@pytest.mark.hazard(26)
def test_the_first_write_that_fails_ends_the_journal_and_everybody_is_told(path: Path) -> None:
    journal = Journal(path, OF)
    directory = journal.known(b"", None).directory
    pages = journal.ask(lambda c: c.execute("PRAGMA page_count").fetchone()[0]).result(10)
    journal.ask(lambda c: c.execute(f"PRAGMA max_page_count = {pages + 4}").fetchone()).result(10)
    write(journal, Complete(directory, b"kept", COMPLETED, clears=False))
    with pytest.raises(JournalError, match="no space left") as caught:
        fill(journal, directory)
    assert caught.value.exit_code == 4
    with pytest.raises(JournalError, match="no space left"):
        journal.known(b"", None)
    journal.close()
    again = Journal(path, OF)
    assert b"kept" in again.known(b"", None).complete
    again.close()


def test_a_question_that_fails_is_its_askers_affair(journal: Journal) -> None:
    with pytest.raises(ZeroDivisionError):
        journal.ask(lambda _: 1 // 0).result(10)
    assert journal.known(b"", None).complete == {}


def test_a_change_that_can_not_be_written_ends_the_journal_and_nobody_waits_for_ever(path: Path) -> None:
    journal = Journal(path, OF)
    directory = journal.known(b"", None).directory
    too_large = COMPLETED._replace(identity=IDENTITY._replace(ino=1 << 63))
    with pytest.raises(JournalError, match="OverflowError"):
        write(journal, Complete(directory, b"a", too_large, clears=False))
    with pytest.raises(JournalError, match="OverflowError"):
        journal.known(b"", None)
    journal.close()


def test_kill_9_loses_no_commit(path: Path) -> None:
    script = """
import sys
from pathlib import Path
from asyncmirror.journal.changes import Complete
from asyncmirror.journal.belongs import Belongs
from asyncmirror.journal.writer import Journal
from asyncmirror.model import Algorithm, Checksum, Completed, Identity
journal = Journal(Path(sys.argv[1]), Belongs("/data/edr", "s3://desidata/edr", ""))
directory = journal.known(b"", None).directory
done = Completed(Identity(0, 1, 2, 3, 4), Checksum(Algorithm.CRC64NVME, b"12345678"), "e", 0)
n = 0
while True:
    journal.submit([Complete(directory, b"%06d" % n, done, False)]).result()
    print(n, flush=True)
    n += 1
"""
    with subprocess.Popen([sys.executable, "-c", script, path], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        told = [int(process.stdout.readline()) for _ in range(200)]
        process.send_signal(signal.SIGKILL)
        told += [int(line) for line in process.stdout.read().split()]
    journal = Journal(path, OF)
    found = journal.known(b"", None).complete
    journal.close()
    assert {b"%06d" % n for n in told} <= set(found)
    assert len(found) <= len(told) + 1


def rows(path: Path) -> list[tuple[int, bool, int | None]]:
    """Number, whether it ended, and exit code of the runs on record."""
    with sqlite3.connect(path) as connection:
        found = connection.execute("SELECT id, ended IS NOT NULL, summary FROM run ORDER BY id").fetchall()
    connection.close()
    return [(number, bool(ended), summary and json.loads(summary)["exit_code"]) for number, ended, summary in found]


def test_runs_are_on_record_with_their_summaries(path: Path) -> None:
    journal = Journal(path, OF)
    run(journal, 3)
    run(journal, 0)
    journal.close()
    journal = Journal(path, OF)
    journal.begin_run().result(10)
    journal.close()  # given up
    assert rows(path) == [(1, True, 3), (2, True, 0), (3, True, None)]


def test_a_killed_run_has_no_end(path: Path) -> None:
    script = """
import os, signal, sys
from pathlib import Path
from asyncmirror.journal.belongs import Belongs
from asyncmirror.journal.writer import Journal
journal = Journal(Path(sys.argv[1]), Belongs("/data/edr", "s3://desidata/edr", ""))
journal.begin_run().result()
os.kill(os.getpid(), signal.SIGKILL)
"""
    assert subprocess.run([sys.executable, "-c", script, path], check=False).returncode == -signal.SIGKILL
    Journal(path, OF).close()
    assert rows(path) == [(1, False, None)]


def test_old_runs_are_forgotten_those_without_news_first(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runs, "QUIET_KEPT", 3)
    monkeypatch.setattr(runs, "KEPT", 6)
    for code in (1, 0, 0, 3, 0, 0, 0, 0):
        run(journal, code)
    kept = journal.ask(lambda c: [number for (number,) in c.execute("SELECT id FROM run ORDER BY id")]).result(10)
    assert kept == [1, 4, 6, 7, 8]
    for _ in range(5):
        run(journal, 3)
    kept = journal.ask(lambda c: [number for (number,) in c.execute("SELECT id FROM run ORDER BY id")]).result(10)
    assert kept == [4, 9, 10, 11, 12, 13]
