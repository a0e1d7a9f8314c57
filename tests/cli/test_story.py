"""What a log file is told of runs."""

import asyncio
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from asyncmirror.cli.log_file import Form, LogFile
from asyncmirror.cli.logs import Redactor, configure
from asyncmirror.cli.story import Story
from asyncmirror.errors import CredentialsError
from asyncmirror.events import Event, Notice, Progress, Settled, Started, Summary, Unchanged
from asyncmirror.model import Outcome

STARTED = Started("/data", "s3://box", "/j.sqlite", resumed=True)
BAD = Settled(b"a\x1b", "a", Outcome.UNREADABLE, 7, "EACCES")
Lines = list[dict[str, Any]]


@pytest.fixture
def told(tmp_path: Path) -> Iterator[Callable[..., Lines]]:
    file = LogFile(tmp_path / "log", Form(Redactor({}), as_json=True), most=0, keep=1)
    configure("warning", Redactor({}), file)
    story = Story(file.form)

    def tell(*events: Event | Progress | None) -> Lines:
        for event in events:
            if event is None:
                story.stopping(at_once=False)
            elif isinstance(event, Progress):
                asyncio.run(story.look(event))
            else:
                story.tell(event)
        file.close()
        return [json.loads(line) for line in (tmp_path / "log").read_text(encoding="utf-8").splitlines()]

    yield tell
    file.close()


def ended(code: int = 0, error: str = "", *, stopped: bool = False) -> Summary:
    return Summary({Outcome.COMPLETE: 1}, {}, 7, 7, 1, 0.5, code, stopped, error)


def test_a_run_is_told_from_begin_to_end(told: Callable[..., Lines], capsys: pytest.CaptureFixture[str]) -> None:
    good = Settled(b"b", "b", Outcome.COMPLETE, 1)
    lines = told(STARTED, Notice("read this"), good, Unchanged(b"", "", ((b"c", 1),)), BAD, None, ended(143, stopped=True))
    assert [(line["level"], line["message"]) for line in lines] == [
        ("info", "begun: /data to s3://box"),
        ("warning", "read this"),
        ("warning", "unreadable: a\\x1b: EACCES"),
        ("info", "a signal: finishing what is in flight"),
        ("warning", "stopped before the end: exit code 143"),
    ]
    assert {line["run"] for line in lines} == {1}
    assert lines[2]["path"] == "a\\x1b"
    assert (lines[4]["event"], lines[4]["complete"], lines[4]["bytes_sent"], lines[4]["exit_code"]) == ("summary", 1, 7, 143)
    assert capsys.readouterr().err == "", "stderr has the screen"


@pytest.mark.parametrize(("summary", "level"), [(ended(), "info"), (ended(3), "warning"), (ended(4, "no bucket"), "error")])
def test_the_end_has_its_level(told: Callable[..., Lines], summary: Summary, level: str) -> None:
    assert told(STARTED, summary)[-1]["level"] == level


def test_problems_of_the_run_before_are_counted_and_not_told_again(told: Callable[..., Lines]) -> None:
    other = BAD._replace(reason="EIO")
    lines = told(STARTED, BAD, ended(3), STARTED, BAD, other, ended(3), STARTED, BAD, other, ended(3))
    said = [(line["run"], line["message"]) for line in lines if line["event"] in ("problem", "problems")]
    more = "more problems, told before or too many: asyncmirror problems lists all"
    assert said[0] == (1, "unreadable: a\\x1b: EACCES")
    assert said[1:] == [(2, "unreadable: a\\x1b: EIO"), (2, f"1 {more}"), (3, f"2 {more}")]


def test_a_million_problems_are_no_million_lines(told: Callable[..., Lines]) -> None:
    many = (BAD._replace(path=b"%d" % number) for number in range(1_500))
    lines = told(STARTED, *many, ended(3))
    assert sum(line["event"] == "problem" for line in lines) == 1_000
    assert lines[-2]["count"] == 500


def test_how_far_it_is_is_told_while_it_moves(told: Callable[..., Lines]) -> None:
    lines = told(Progress(seconds=1.0), Progress(seconds=2.0), Progress(seconds=3.0, scanned=5))
    assert [line["message"].split("; ")[1] for line in lines] == ["scanned 5 (0 B)"]


def test_how_fast_it_is_is_told_from_line_to_line(told: Callable[..., Lines]) -> None:
    readings = [(0.0, 0), (60.0, 60 << 20), (120.0, 180 << 20), (30.0, 90 << 20)]  # the last is of another run
    lines = told(*(Progress(seconds=seconds, bytes_sent=sent) for seconds, sent in readings))
    assert [line["message"].split("; ")[6] for line in lines] == [f"{n} MiB/s, 0 objects/s" for n in (1, 2, 3)]


def test_what_ended_the_command_is_told(tmp_path: Path) -> None:
    file = LogFile(tmp_path / "log", Form(Redactor({}), as_json=True), most=0, keep=1)
    configure("warning", Redactor({}), file)

    async def run() -> None:
        async with Story(file.form):
            raise CredentialsError("expired", op="PutObject")

    with pytest.raises(CredentialsError):
        asyncio.run(run())
    file.close()
    line = json.loads((tmp_path / "log").read_text(encoding="utf-8"))
    assert (line["level"], line["message"], line["kind"]) == ("error", "PutObject: expired", "CredentialsError")
