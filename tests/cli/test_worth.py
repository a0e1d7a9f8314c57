"""What is worth telling, as a table and as games."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncmirror.cli.worth import HOLD, LASTS, Alert, Worth
from asyncmirror.errors import BucketError
from asyncmirror.events import Event, Notice, Settled, Started, Summary, Unchanged, Waiting
from asyncmirror.model import Outcome

STARTED = Started("/data", "s3://box", "/j.sqlite", resumed=True)
BAD = Settled(b"a\x1b", "a", Outcome.UNREADABLE, 7, "EACCES")


def ended(code: int = 0, error: str = "", *, stopped: bool = False) -> Summary:
    return Summary({Outcome.COMPLETE: 2}, {}, 1 << 20, 1 << 20, 3, 65.0, code, stopped, error)


def told(worth: Worth, now: float, *events: Event) -> list[Alert]:
    return [alert for event in events if (alert := worth.event(event, now)) is not None]


def test_the_end_of_the_only_run_is_told() -> None:
    others = (Settled(b"b", "b", Outcome.COMPLETE, 1), Notice("n"), Unchanged(b"", "", ()))
    (alert,) = told(Worth(), 0.0, STARTED, *others, ended())
    assert alert[:4] == ("ended", "info", "/data to s3://box: all is mirrored: sent 2 files, 1 MiB in 1:05", 0)
    assert alert.fields["complete"] == 2
    assert alert.fields["problem_count"] == 0


@pytest.mark.parametrize(
    ("summary", "level", "text"),
    [
        (ended(3), "warning", "ended: sent 2 files, 1 MiB in 1:05, 2 problems (2 unreadable)"),
        (ended(143, stopped=True), "warning", "stopped before the end: sent 2 files, 1 MiB in 1:05, 2 problems (2 unreadable)"),
        (ended(4, "PutObject: k: no space\x1b"), "error", "PutObject: k: no space\\x1b"),
    ],
)
def test_an_end_that_is_not_well(summary: Summary, level: str, text: str) -> None:
    (alert,) = told(Worth(), 0.0, STARTED, BAD, BAD, summary)
    assert (alert.level, alert.text, alert.exit_code) == (level, f"/data to s3://box: {text}", summary.exit_code)
    assert alert.fields["problems"] == [{"path": "a\\x1b", "outcome": "unreadable", "reason": "EACCES"}] * 2


def test_only_a_few_problems_go_with_it() -> None:
    (alert,) = told(Worth(), 0.0, STARTED, *[BAD] * 100, ended(3))
    problems = alert.fields["problems"]
    assert isinstance(problems, list)
    assert (len(problems), alert.fields["problem_count"]) == (5, 100)


def test_the_same_again_is_not_told_whenever_it_is() -> None:
    worth = Worth()
    for minute in range(300):
        found = told(worth, 60.0 * minute, STARTED, BAD, ended(3))
        assert len(found) == (minute == 0)
        assert worth.moment(60.0 * minute + 30) is None
    assert worth.last(None) is None


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ([ended()], [BAD, ended(3)]),
        ([BAD, ended(3)], [ended()]),
        ([BAD, ended(3)], [*[BAD] * 10, ended(3)]),
        ([ended(4, "ListObjectsV2: no connection")], [ended(4, "PutObject: a/b: the token has expired")]),
    ],
)
def test_a_change_is_told(first: list[Event], second: list[Event]) -> None:
    worth = Worth()
    assert told(worth, 0.0, STARTED, *first)
    (alert,) = told(worth, HOLD, STARTED, *second)
    assert alert.kind == "ended"


def test_the_same_error_of_another_file_is_no_change() -> None:
    worth = Worth()
    assert told(worth, 0.0, STARTED, ended(4, "PutObject: a: no answer within 30 s"))
    assert not told(worth, HOLD, STARTED, ended(4, "UploadPart: b: c: no answer within 60 s"))


def test_a_change_of_mind_is_held_and_then_told_if_it_lasts() -> None:
    worth = Worth()
    assert told(worth, 0.0, STARTED, ended())
    assert not told(worth, 60.0, STARTED, BAD, ended(3))
    assert worth.moment(HOLD - 1) is None
    alert = worth.moment(HOLD)
    assert alert is not None
    assert alert.exit_code == 3
    assert worth.moment(HOLD + 1) is None
    assert not told(worth, HOLD + 60, STARTED, ended())
    assert not told(worth, HOLD + 120, STARTED, BAD, ended(3)), "it is as it was told"
    assert worth.moment(3 * HOLD) is None


def test_what_is_held_is_told_when_all_ends() -> None:
    worth = Worth()
    told(worth, 0.0, STARTED, ended())
    told(worth, 60.0, STARTED, BAD, ended(3))
    alert = worth.last(None)
    assert alert is not None
    assert alert.exit_code == 3


def test_problems_are_told_while_a_long_run_goes_on() -> None:
    worth = Worth()
    told(worth, 0.0, STARTED, BAD)
    assert worth.moment(LASTS - 1) is None
    alert = worth.moment(LASTS)
    assert alert is not None
    assert (alert.kind, alert.text) == ("problems", "/data to s3://box: 1 problems by now (1 unreadable)")
    assert not told(worth, LASTS, *[BAD] * 8)
    assert worth.moment(LASTS) is None
    told(worth, LASTS, BAD)
    assert worth.moment(LASTS) is not None
    assert told(worth, LASTS, ended(3)), "the end is another matter"
    told(worth, 2 * LASTS, STARTED, *[BAD] * 12)
    assert worth.moment(3 * LASTS) is None, "as many as in the run before"


@given(st.lists(st.tuples(st.sampled_from([0, 1, 3, 4]), st.integers(0, 30)), max_size=60))
def test_nobody_is_paged_more_often_than_that(runs: list[tuple[int, int]]) -> None:
    worth, times = Worth(), []
    for minute, (code, problems) in enumerate(runs):
        now = 60.0 * minute
        times += [now for _ in told(worth, now, STARTED, *[BAD] * problems, ended(code))]
        times += [now + 30 for alert in [worth.moment(now + 30)] if alert is not None]
    assert all(later - earlier >= HOLD for earlier, later in pairwise(times))


AWAY = "HeadBucket: box: no answer within 30 s"


def test_an_outage_is_told_once_when_it_lasts_and_so_is_its_end() -> None:
    worth = Worth()
    assert told(worth, 0.0, STARTED, ended(), Waiting(900.0))
    alerts = []
    for minute in range(15, 100):
        assert not told(worth, 60.0 * minute, Waiting(0.0, AWAY))
        alerts += [(minute, alert) for alert in [worth.moment(60.0 * minute)] if alert is not None]
    ((when, alert),) = alerts
    assert when == 25
    assert alert[:3] == ("waiting", "error", f"/data to s3://box: no run for 10 minutes: {AWAY}")
    (alert,) = told(worth, 6000.0, STARTED, ended())
    assert (alert.level, alert.exit_code) == ("info", 0)


def test_a_short_outage_is_not_told_nor_one_that_a_run_has_told_of() -> None:
    worth = Worth()
    assert told(worth, 0.0, STARTED, ended(), Waiting(900.0))
    assert not told(worth, 60.0, Waiting(65.0, AWAY))
    assert not told(worth, 70.0, STARTED, ended(), Waiting(900.0))
    assert worth.moment(2 * LASTS) is None
    assert told(worth, HOLD, STARTED, ended(4, AWAY), Waiting(0.0, AWAY))
    assert worth.moment(HOLD + LASTS) is None


def test_what_ends_the_command() -> None:
    alert = Worth().last(BucketError("NoSuchBucket", op="HeadBucket", path="box"))
    assert alert is not None
    assert alert[:4] == ("failed", "error", "asyncmirror: HeadBucket: box: NoSuchBucket", 4)
    alert = Worth().last(ExceptionGroup("", [ValueError("a secret")]))
    assert alert is not None
    assert alert[:3] == ("crashed", "error", "asyncmirror: internal error: ExceptionGroup")
    assert Worth().last(KeyboardInterrupt()) is None


def test_a_text_gives_no_orders_to_a_chat_program() -> None:
    (alert,) = told(Worth(), 0.0, STARTED, ended(4, "PutObject: <!channel> @all <https://evil|x>: no"))
    assert not set("<>@") & set(alert.text)
    (alert,) = told(Worth(), 0.0, STARTED, ended(4, "x" * 5000))
    assert len(alert.text) == 1000
