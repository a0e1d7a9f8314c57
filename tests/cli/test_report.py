import time

import pytest

from asyncmirror.cli import report
from asyncmirror.cli.fold import State
from asyncmirror.events import Deletions, Fate, Progress, Settled, Started, Summary, Waiting
from asyncmirror.model import Outcome
from asyncmirror.rates import Pace

STARTED = Started("/src", "s3://bucket", "/var/j x.db", resumed=True)
PROBLEM = Settled(b"a\n\xff[red]", "", Outcome.UNREADABLE, 0, "EACCES\x1b[2J")


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0:00"), (7.9, "0:07"), (753, "12:33"), (11045, "3:04:05"), (183845, "2 d 03:04:05"), (-1, "0:00")],
)
def test_a_duration_is_written_for_people(seconds: float, text: str) -> None:
    assert report.duration(seconds) == text


def progress(*, scanning: bool) -> Progress:
    settled = {Outcome.COMPLETE: 1500, Outcome.UNCHANGED: 2, Outcome.FAILED: 3, Outcome.EXCLUDED: 9}
    return Progress(scanning, 2000, 3 << 20, 40, 1 << 20, settled, {Outcome.COMPLETE: 1 << 20}, 1 << 20, 9, 10.0, ())


def test_the_periodic_line_says_scanning_while_the_total_is_unknown() -> None:
    assert report.periodic(progress(scanning=True), Pace().observe(progress(scanning=True))) == (
        "0:10; scanned 2,000 (3 MiB); queued 40 (1 MiB); uploaded 1,500 (1 MiB); unchanged 2; problems 3; "
        "102 KiB/s, 150 objects/s; scanning"
    )


def test_the_periodic_line_foretells_the_end_once_the_scan_is_over() -> None:
    assert report.periodic(progress(scanning=False), Pace().observe(progress(scanning=False))).endswith("; left 0:20")
    assert report.periodic(progress(scanning=False), Pace()).endswith("; left unknown")


def test_the_result_is_a_table_with_the_problems_before_it() -> None:
    counts = {Outcome.COMPLETE: 12345, Outcome.UNREADABLE: 1}
    summary = Summary(counts, {Outcome.COMPLETE: 3 << 30}, 3 << 30, 3 << 30, 12400, 60.0, 3)
    lines = report.result(State(STARTED, (), (PROBLEM,), 1, summary))
    assert [line.text for line in lines] == [
        r"unreadable: a\x0a\xff[red]: EACCES\x1b[2J",
        "outcome              entries       bytes",
        "complete              12,345       3 GiB",
        "unreadable                 1         0 B",
        "sent 3 GiB in 1:00 (51.2 MiB/s, 206 objects/s), 12,400 requests",
    ]


def test_a_stopped_run_says_how_to_go_on() -> None:
    summary = Summary({Outcome.PENDING: 5}, {}, 0, 0, 1, 0.1, 1, stopped=True)
    texts = [line.text for line in report.result(State(STARTED, summary=summary))]
    assert "the same command goes on" in texts[-1]
    assert "sent 0 B in 0:00, 1 request" in texts
    assert "pending                    5         0 B" in texts


def test_where_the_other_problems_are_listed_is_a_command_that_can_be_pasted() -> None:
    lines = report.problems(State(STARTED, problems=(PROBLEM,), problem_count=1235))
    assert lines[-1].text == "and 1,234 more: asyncmirror status --journal '/var/j x.db' --json lists all"


def test_without_a_summary_there_is_no_result() -> None:
    assert report.result(State(STARTED)) == []


def test_a_problem_of_the_source_itself_is_shown() -> None:
    assert report.problem(Settled(b"", "", Outcome.UNREADABLE, 0)) == "unreadable: ."


def test_between_two_runs_one_line_tells_of_the_last_and_the_next() -> None:
    at = time.mktime((2026, 11, 22, 14, 35, 7, 0, 0, -1))
    bad = Settled(b"x\x1b", "", Outcome.UNREADABLE, 1, "it vanished")
    summary = Summary({Outcome.COMPLETE: 12, Outcome.UNREADABLE: 1}, {}, 3 << 20, 0, 0, 75.0, 3)
    state = State(STARTED, (), (bad,), 1, summary, Waiting(at))
    assert [line.text for line in report.between(state)] == [
        r"unreadable: x\x1b: it vanished",
        "asyncmirror: 12 new, 1 problem, sent 3 MiB in 1:15; next run Sun 14:35:07",
    ]
    assert report.result(state) == []
    assert report.between(state._replace(waiting=None)) == []


def test_the_line_of_a_run_tells_what_it_deleted() -> None:
    summary = Summary({}, {}, 0, 0, 0, 1.0, 0, deletions=Deletions({Fate.DELETED: 1200, Fate.LEFT: 1}, {}))
    assert report.news(summary) == "0 new, 1,200 deleted, 0 problems"


def test_what_is_waited_for_is_said_once() -> None:
    at = time.mktime((2026, 11, 22, 14, 35, 7, 0, 0, -1))
    state = State(STARTED, waiting=Waiting(at, "the store is away\x1b"))
    assert [line.text for line in report.between(state)] == [
        r"asyncmirror: the store is away\x1b",
        "asyncmirror: again Sun 14:35:07",
    ]
    assert [line.text for line in report.between(state, "the store is away\x1b")] == [
        "asyncmirror: as before; again Sun 14:35:07"
    ]
