import json
from pathlib import Path

import pytest

from asyncmirror.cli.main import main
from asyncmirror.journal.belongs import Belongs
from asyncmirror.journal.changes import Fail
from asyncmirror.journal.writer import Journal
from asyncmirror.model import Outcome, Problem


@pytest.fixture
def journal(tmp_path: Path) -> str:
    """Thirty entries that are not in the bucket, one with a hostile name."""
    path = tmp_path / "journal"
    journal = Journal(path, Belongs("/s", "s3://bucket", ""))
    directory = journal.known(b"d", None).directory
    problem = Problem(None, Outcome.UNREADABLE, "open: permission denied", retryable=True)
    names = [b"%02d" % number for number in range(29)] + [b"\xff\x1b"]
    journal.submit([Fail(directory, name, problem) for name in names]).result()
    journal.close()
    return str(path)


def test_all_are_listed(journal: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["problems", "--journal", journal]) == 0
    lines = capfd.readouterr().out.splitlines()
    assert len(lines) == 30
    assert lines[0] == "unreadable: d/00: open: permission denied"
    assert lines[-1] == r"unreadable: d/\xff\x1b: open: permission denied"


def test_programs_get_the_exact_path(journal: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["problems", "--journal", journal, "--json"]) == 0
    lines = [json.loads(line) for line in capfd.readouterr().out.splitlines()]
    assert lines[-1] == {
        "event": "problem",
        "path": "d/\udcff\x1b",
        "outcome": "unreadable",
        "reason": "open: permission denied",
    }
    assert len(lines) == 30
