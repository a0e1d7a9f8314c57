"""The runs on record, shown."""

import json
import time
from pathlib import Path

import pytest

from asyncmirror.cli.history import bar, json_lines, table
from asyncmirror.cli.main import main
from asyncmirror.engine.history import History, Run
from asyncmirror.journal.belongs import Belongs
from asyncmirror.journal.lock import Holder
from asyncmirror.journal.writer import Journal

NOW = time.mktime((2026, 11, 22, 15, 30, 0, 0, 0, -1))
OF = Belongs("/data/edr", "s3://desidata/edr", "")


def ran(**summary: object) -> Run:
    told = {"complete": 0, "adopted": 0, "bytes_sent": 0, "seconds": 10.0, "exit_code": 0, "stopped": False, **summary}
    return Run(NOW - 600, NOW - 590, "login07", 7, "1.0", told)


BUSY = ran(complete=12345, adopted=1, bytes_sent=3 << 30, seconds=8.0)
SKIPPED = ran(complete=10, bytes_sent=1 << 20, unreadable=3, exit_code=3)
QUIET = ran(unchanged=9)
STOPPED = ran(stopped=True, exit_code=0, bytes_sent=1 << 30)
FAILED = ran(stopped=True, exit_code=4, error="the store is away")
ABANDONED = Run(NOW - 600, NOW - 599, "login07", 7, "1.0", None)
OPEN = Run(NOW - 600, None, "login07", 7, "1.0", None)
ALL = (BUSY, SKIPPED, QUIET, STOPPED, FAILED, ABANDONED, OPEN)


def test_the_table_fits_a_terminal_and_tells_how_each_run_ended() -> None:
    lines = list(table(History(ALL), 80, NOW))
    assert lines == [
        "begun            took       new     sent        rate problems  exit",
        "22 Nov 15:20     0:10    12,346    3 GiB   384 MiB/s        0  0         ███████",
        "22 Nov 15:20     0:10        10    1 MiB   102 KiB/s        3  3         ▏",
        "22 Nov 15:20     0:10         0      0 B                    0  0",
        "22 Nov 15:20     0:10         0    1 GiB   102 MiB/s        0  stopped   ██▍",
        "22 Nov 15:20     0:10         0      0 B                    0  failed",
        "22 Nov 15:20     0:01                                          abandoned",
        "22 Nov 15:20                                                   killed",
    ]
    assert all(len(line) <= 80 for line in lines)


def test_a_run_that_goes_on_is_no_killed_one() -> None:
    holder = Holder(7, "login07", NOW)
    last = list(table(History(ALL, holder), 80, NOW))[-1]
    assert last == "22 Nov 15:20    10:00                                          running"
    other = Holder(8, "login07", NOW)
    assert list(table(History(ALL, other), 80, NOW))[-1].endswith("killed")
    assert list(table(History((OPEN, QUIET), holder), 80, NOW))[1].endswith("killed"), "another run came after it"


@pytest.mark.parametrize("width", [1, 20, 60, 71, 75, 200])
def test_it_is_never_wider_than_the_terminal(width: int) -> None:
    assert max(map(len, table(History(ALL), width, NOW))) <= width


def test_what_went_wrong_is_red_and_what_changed_nothing_dim() -> None:
    shown = list(table(History(ALL), 80, NOW, colored=True))
    assert ["red" if "\x1b[31m" in line else "dim" if "\x1b[2m" in line else "" for line in shown] == [
        *("", "", "red", "dim", "", "red", "red", "red")
    ]


def test_bars_are_in_eighths() -> None:
    assert [bar(value, 8, 2) for value in (0, 0.01, 1, 4, 6, 8)] == ["", "▏", "▎", "█", "█▌", "██"]
    assert bar(0, 0, 5) == ""


def test_what_another_version_wrote_does_not_hurt() -> None:
    odd = ran(complete="many", bytes_sent=-1, seconds=None, exit_code=[])
    assert "0 B" in list(table(History((odd,)), 80, NOW))[1]


def test_json_has_a_line_for_each() -> None:
    found = [json.loads(line) for line in json_lines(History(ALL))]
    assert [line["end"] for line in found] == ["ended", "ended", "ended", "stopped", "failed", "abandoned", "killed"]
    assert list(found[0]) == ["event", "started", "ended", "host", "pid", "version", "summary", "end"]
    assert found[4]["summary"]["error"] == "the store is away"


def test_the_command(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    journal = Journal(tmp_path / "journal.sqlite", OF)
    assert main(["history", "--journal", str(journal.path)]) == 4
    assert "process" in capfd.readouterr().err
    for code in range(25):
        journal.begin_run()
        journal.end_run({"exit_code": code, "complete": 1})
    journal.begin_run().result()
    journal.close()
    for flags, count in (((), 21), (("-n", "3"), 4), (("--json",), 26), (("--json", "-n", "2"), 2)):
        assert main(["history", "--journal", str(journal.path), *flags]) == 0
        assert len(capfd.readouterr().out.splitlines()) == count


def test_no_runs_can_not_be_asked_for(capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["history", "--journal", "/absent", "-n", "0"]) == 2
    assert "--runs must be more than nothing" in capfd.readouterr().err
    assert main(["history", "--journal", "/absent", "-n", "1"]) == 2
    assert "--endpoint-url another store" in capfd.readouterr().err


def test_no_run_is_no_table(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    Journal(tmp_path / "journal.sqlite", OF).close()
    assert main(["history", "--journal", str(tmp_path / "journal.sqlite")]) == 0
    assert capfd.readouterr().out == "no run is on record\n"
