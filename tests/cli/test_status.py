import re
from pathlib import Path

import pytest

from asyncmirror.cli import status
from asyncmirror.cli.gather import from_environment, gather
from asyncmirror.cli.main import parse
from asyncmirror.cli.options import OPTIONS
from asyncmirror.engine.history import Run
from asyncmirror.engine.status import Live, Status, Trouble, Upload
from asyncmirror.errors import UsageError
from asyncmirror.events import Progress, Transfer, Waiting
from asyncmirror.journal.lock import Holder
from asyncmirror.journal.looks import Ended
from asyncmirror.model import Outcome

BARE = Status("/src", "s3://bucket/p", "", "/var/j x.db", None, None, {}, {}, (), ())
HOSTILE = b"a\xff\x1b[2J"
FULL = BARE._replace(
    endpoint="http://127.0.0.1:9",
    last_run=Run(1000.0, 1075.0, "host", 7, "0.1.0", {"exit_code": 3}),
    counts={Outcome.COMPLETE: 1200, Outcome.UNREADABLE: 3, Outcome.PENDING: 25},
    sizes={Outcome.COMPLETE: 5 << 20, Outcome.PENDING: 1 << 30},
    uploads=tuple(Upload(HOSTILE, 1 << 30, f"id-{number}", 1 << 29) for number in range(25)),
    troubles=(Trouble(HOSTILE, Outcome.UNREADABLE, "EACCES\n"),),
)


def text(of: Status) -> list[str]:
    return list(status.lines(of))


def test_what_is_known_is_shown_escaped_with_the_first_of_each_list() -> None:
    lines = text(FULL)
    assert all(line.isprintable() for line in lines)
    assert "endpoint     http://127.0.0.1:9" in lines
    assert "complete               1,200       5 MiB" in lines
    assert "unfinished uploads: 25" in lines
    assert lines.count(r"512 MiB of 1 GiB: a\xff\x1b[2J") == 20
    assert r"unreadable: a\xff\x1b[2J: EACCES\x0a" in lines
    assert lines[-1] == "asyncmirror status --journal '/var/j x.db' --json lists all"


def test_a_journal_that_knows_nothing_is_shown() -> None:
    assert text(BARE) == [
        "source       /src",
        "destination  s3://bucket/p",
        "endpoint     AWS",
        "journal      /var/j x.db",
        "last run     none",
        "",
        "outcome              entries       bytes",
        "complete                   0         0 B",
    ]


@pytest.mark.parametrize(
    ("known", "begins", "ends"),
    [
        (FULL, "last run     began 19", " on host, ended after 1:15 with exit code 3"),
        (FULL._replace(last_run=Run(0.0, 9.0, "h", 1, "v", None)), "last run     began 19", " on h, ended after 0:09"),
        (
            FULL._replace(last_run=Run(0.0, None, "h", 1, "v", None)),
            "last run     began 19",
            "the same sync goes on from there",
        ),
        (FULL._replace(running=Holder(42, "n1", 0.0)), "last run     going on since 19", ": process 42 on n1"),
    ],
)
def test_the_last_run_is_told(known: Status, begins: str, ends: str) -> None:
    line = text(known)[4]
    assert line.startswith(begins)
    assert line.endswith(ends)


@pytest.mark.parametrize(
    ("looked", "begins", "ends"),
    [
        (Ended("", 5.0, 6.0, 0), "last verify  verify, ended 19", ": all was there"),
        (Ended("deep sidecars", 5.0, 6.0, 3), "last verify  verify --deep --sidecars, ended 19", ": not all was there"),
    ],
)
def test_the_last_look_is_told(looked: Ended, begins: str, ends: str) -> None:
    line = text(FULL._replace(looked=looked))[5]
    assert line.startswith(begins)
    assert line.endswith(ends)
    assert ("not before 19" in line) == bool(looked.kind)
    assert status.to_json(FULL._replace(looked=looked))["last_verify"] == looked._asdict()


def test_what_is_live_is_told() -> None:
    gauges = Progress(
        scanned=5, settled={Outcome.COMPLETE: 2}, seconds=9.0, slowest=(Transfer(HOSTILE, 1, 2, 3.0),), paused=True
    )
    live = Live(gauges, {"concurrency": "auto", "bwlimit": "off"}, 5.0)
    lines = text(FULL._replace(live=live))
    begin = next(number for number, line in enumerate(lines) if line.startswith("paused       since 19"))
    assert lines[begin + 1].startswith("this run     0:09; scanned 5 ")
    assert lines[begin + 2] == "tuning       concurrency auto, bwlimit off"
    between = text(FULL._replace(live=live._replace(progress=gauges._replace(running=False), paused=None)))
    assert any(line.startswith("run before   0:09; ") for line in between)
    assert not any(line.startswith("paused") for line in between)
    assert not any("run before" in line for line in text(FULL._replace(live=Live(Progress(running=False), {}))))
    waits = live._replace(progress=gauges._replace(running=False, waiting=Waiting(86_400 * 365.0, "no \x1b store")))
    here = Holder(7, "node", 1.0, "")
    assert any(
        re.fullmatch(r"last run     over: process 7 on node begins the next at 197\d-.*; the last one: no \\x1b store", line)
        for line in text(FULL._replace(live=waits, running=here))
    )
    assert status.live(waits)["waiting"] == {"until": 86_400 * 365.0, "why": "no \x1b store"}
    told = status.live(live)
    assert told["waiting"] is None
    assert told["paused_since"] == 5.0
    assert told["tuning"] == {"concurrency": "auto", "bwlimit": "off"}
    assert told["settled"] == {"complete": {"count": 2, "bytes": 0}}
    assert told["slowest"] == [{"path": "a\udcff\x1b[2J", "sent": 1, "size": 2, "seconds": 3.0}]


def test_the_json_object_has_its_keys() -> None:
    told = status.to_json(FULL._replace(running=Holder(42, "n1", 5.0), uploads=FULL.uploads[:1]))
    path = "a\udcff\x1b[2J"
    assert told == {
        "source": "/src",
        "destination": "s3://bucket/p",
        "endpoint": "http://127.0.0.1:9",
        "journal": "/var/j x.db",
        "running": {"pid": 42, "host": "n1", "since": 5.0},
        "last_run": {
            "started": 1000.0,
            "ended": 1075.0,
            "host": "host",
            "pid": 7,
            "version": "0.1.0",
            "summary": {"exit_code": 3},
        },
        "last_verify": None,
        "outcomes": {
            "complete": {"count": 1200, "bytes": 5 << 20},
            "unreadable": {"count": 3, "bytes": 0},
            "pending": {"count": 25, "bytes": 1 << 30},
        },
        "unproven": 0,
        "releases": [],
        "remaps": [],
        "condemned": 0,
        "live": None,
        "uploads": [{"path": path, "size": 1 << 30, "upload_id": "id-0", "confirmed": 1 << 29}],
        "problems": [{"path": path, "outcome": "unreadable", "reason": "EACCES\n"}],
    }
    assert status.to_json(BARE)["running"] is None


def located(argv: list[str], environ: dict[str, str]) -> Path:
    arguments = parse(["status", *argv])
    options = [option for group in OPTIONS.values() for option in group]
    gathered = gather(arguments.given, from_environment(options, environ))
    return status.locate(gathered, arguments.source, arguments.destination)


def test_the_journal_is_the_one_named_or_the_one_that_sync_makes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert located(["--journal", "/j"], {}) == Path("/j")
    assert located([], {"ASYNCMIRROR_JOURNAL": "/j"}) == Path("/j")
    assert located(["/gone", "s3://bucket", "--journal", "/j"], {}) == Path("/j")
    made = located(["/gone", "s3://bucket"], {})
    assert made.parent == tmp_path / "asyncmirror"
    assert located(["/gone", "s3://bucket", "--endpoint-url", "http://127.0.0.1:9"], {}) != made


@pytest.mark.parametrize("argv", [[], ["/src"], ["/src", "bucket"], ["/src", "--journal", "/j"]])
def test_a_journal_that_is_not_told_is_a_usage_error(argv: list[str]) -> None:
    with pytest.raises(UsageError):
        located(argv, {})


def test_what_goes_where_is_shown() -> None:
    lines = text(BARE._replace(releases=("edr", "d\x1b"), remaps=((b"edr/t", b"t"), (HOSTILE, b"t")), condemned=3))
    assert lines[4:7] == ["releases     edr, d\\x1b", "remapped     edr/t → t", r"remapped     a\xff\x1b[2J → t"]
    assert "3 objects were to be deleted, and may be: the next sync --delete sees to them" in lines
    told = status.to_json(BARE._replace(releases=("edr",), remaps=((b"a\xff", b"b"),), condemned=3))
    assert (told["releases"], told["remaps"], told["condemned"]) == (["edr"], [["a\udcff", "b"]], 3)
