import os
from pathlib import Path

import pytest

from asyncmirror.doctor import files
from asyncmirror.doctor.finding import Finding, Level
from asyncmirror.journal.lock import Lock


def look(journal: Path) -> dict[str, Finding]:
    return {finding.topic: finding for finding in files.journal(journal.parent, journal)}


def test_where_the_journal_would_lie_is_looked_at_and_left_as_it_was(tmp_path: Path) -> None:
    found = look(tmp_path / "not" / "there" / "j.sqlite")
    assert {finding.level for finding in found.values()} <= {Level.OK, Level.WARNING}
    assert "flock works too" in found["journal's lock"].found
    assert not list(tmp_path.iterdir())


def test_who_has_the_journal_is_told(tmp_path: Path) -> None:
    lock = Lock(tmp_path / "j.sqlite")
    try:
        found = look(tmp_path / "j.sqlite")["journal"]
    finally:
        lock.release()
    assert (found.level, f"process {os.getpid()} on" in found.found) == (Level.WARNING, True)


def test_a_journal_over_the_network_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "kind", lambda _: "nfs4")
    found = look(tmp_path / "j.sqlite")["journal"]
    assert found.level is Level.OK
    assert "on nfs4, over the network: locked for one run, without shared memory" in found.found


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_place_that_can_not_be_written_is_a_problem(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    try:
        assert look(tmp_path / "j.sqlite")["journal"].level is Level.PROBLEM
    finally:
        tmp_path.chmod(0o700)


def test_files_of_the_source_are_opened_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    for number in range(40):
        (tmp_path / "deep" / str(number)).write_bytes(b"x")
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "link").symlink_to("/dev/zero")
    found = {finding.topic: finding for finding in files.source(tmp_path)}
    assert found["source"].level is Level.OK
    assert found["source's speed"].found.startswith("32 files opened")


def test_an_empty_source_is_a_warning_and_a_missing_one_a_problem(tmp_path: Path) -> None:
    assert [finding.level for finding in files.source(tmp_path)] == [Level.WARNING]
    assert [finding.level for finding in files.source(tmp_path / "absent")] == [Level.PROBLEM]
