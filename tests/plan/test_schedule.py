from datetime import UTC, datetime, time
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncmirror.errors import UsageError
from asyncmirror.plan.schedule import RETRY_CAP, RETRY_FIRST, At, Due, Every, Moment, again, following, kept, parse

BERLIN = ZoneInfo("Europe/Berlin")
START = Moment(1_800_000_000.0, 1000.0)
TWO = time(2)


def wall(text: str, fold: int = 0) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=BERLIN, fold=fold).timestamp()


def at(text: str, fold: int = 0) -> Moment:
    return Moment(wall(text, fold), 0.0)


@pytest.mark.parametrize(
    ("text", "schedule"),
    [
        ("15m", Every(900)),
        (" 90S ", Every(90)),
        ("1h30m", Every(5400)),
        ("1d", Every(86400)),
        ("366d", Every(366 * 86400)),
        ("at 02:00", At((TWO,))),
        ("AT 14:30, 2:00", At((TWO, time(14, 30)))),
        ("at 02:00 23:59,02:00", At((TWO, time(23, 59)))),
    ],
)
def test_what_a_schedule_says(text: str, schedule: Every | At) -> None:
    assert parse(text) == schedule == parse(str(schedule))


@pytest.mark.parametrize(
    "text",
    ["", "15", "0s", "-1m", "1.5h", "15 m", "m", "367d", "999999999d", "at", "at ", "at 24:00", "at 2", "at 02:60", "02:00"],
)
def test_what_is_no_schedule(text: str) -> None:
    with pytest.raises(UsageError):
        parse(text)


def test_an_interval_goes_from_beginning_to_beginning_on_a_grid() -> None:
    for passed, begins in ((0.0, 900), (1.0, 900), (899.9, 900), (900.0, 1800), (2000.0, 2700)):
        now = Moment(START.wall + passed, START.elapsed + passed)
        due = following(Every(900), START, now)
        assert due == Due(START.wall + begins, START.elapsed + begins)
        assert due.left(now) == pytest.approx(begins - passed)


def test_an_interval_does_not_heed_a_wall_clock_that_is_set() -> None:
    due = following(Every(900), START, START)
    for set_by in (-7200.0, 7200.0):
        assert due.left(Moment(START.wall + set_by, START.elapsed + 100)) == 800


def test_what_was_slept_through_is_made_up_for_at_once_and_once() -> None:
    for schedule in (Every(900), At((TWO,))):
        due = following(schedule, START, START)
        woken = Moment(START.wall + 10 * 86400 + 7, START.elapsed + 10 * 86400 + 7)
        assert due.left(woken) == 0
        assert following(schedule, START, woken).left(woken) > 1


@pytest.mark.parametrize(
    ("times", "now", "begins"),
    [
        ((TWO,), "2026-11-22T01:59:59", "2026-11-22T02:00"),
        ((TWO,), "2026-11-22T02:00:00", "2026-11-23T02:00"),  # it has begun: it ended within no time
        ((TWO,), "2026-11-22T03:00:00", "2026-11-23T02:00"),
        ((time(0), time(12)), "2026-11-22T23:59:59", "2026-11-23T00:00"),
        ((time(0), time(12)), "2026-11-23T00:00:00", "2026-11-23T12:00"),
        ((time(23, 59),), "2026-12-31T23:59:30", "2027-01-01T23:59"),
        # Clocks go from 02:00 to 03:00 on 29 March 2026.
        ((time(2, 30),), "2026-03-28T12:00:00", "2026-03-29T03:30"),
        ((time(2, 30),), "2026-03-29T03:30:00", "2026-03-30T02:30"),
        ((TWO,), "2026-03-29T01:59:00", "2026-03-29T03:00"),
        # And from 03:00 back to 02:00 on 25 October 2026.
        ((time(2, 30),), "2026-10-24T12:00:00", "2026-10-25T02:30"),
        ((time(2, 30),), "2026-10-25T02:30:00", "2026-10-26T02:30"),
    ],
)
def test_times_of_the_day(times: tuple[time, ...], now: str, begins: str) -> None:
    assert following(At(times), START, at(now), BERLIN).wall == wall(begins)


def test_a_time_that_the_clock_shows_twice_comes_once() -> None:
    between = at("2026-10-25T02:45:00")
    assert following(At((time(2, 30),)), START, between, BERLIN).wall == wall("2026-10-26T02:30")
    again_half_past = at("2026-10-25T02:30:00", fold=1)
    assert following(At((time(2, 30),)), START, again_half_past, BERLIN).wall == wall("2026-10-26T02:30")


def test_the_wall_clock_decides_about_times_of_the_day() -> None:
    due = following(At((TWO,)), START, at("2026-11-22T01:00"), BERLIN)
    assert due.left(Moment(wall("2026-11-22T01:30"), 5.0)) == 1800
    assert due.left(Moment(wall("2026-11-22T02:30"), 5.0)) == 0


def test_a_clock_that_was_years_ahead_and_is_put_right_keeps_nobody_waiting_for_years() -> None:
    ahead, right = at("2030-01-05 13:00"), at("2027-01-05 13:00")
    due = following(At((TWO,)), START, ahead, BERLIN)
    assert kept(due, At((TWO,)), START, ahead, BERLIN) == due
    assert kept(due, At((TWO,)), START, right, BERLIN) == Due(wall("2027-01-06 02:00"))
    assert kept(due, At((TWO,)), START, at("2030-01-05 01:59"), BERLIN) == due  # hours do not have it come twice
    interval = following(Every(900), START, START)
    assert kept(interval, Every(900), START, Moment(0, 1100), BERLIN) == interval


def test_here_is_where_the_machine_is() -> None:
    now = Moment(datetime(2026, 11, 22, 1, tzinfo=UTC).timestamp(), 0.0)
    begins = datetime.fromtimestamp(following(At((TWO,)), START, now).wall).astimezone()
    assert (begins.hour, begins.minute) == (2, 0)


def test_what_could_not_go_on_is_tried_later_and_later_but_not_after_its_time() -> None:
    far = Due(START.wall + 86400, START.elapsed + 86400)
    pauses = [again(failures, far, START).left(START) for failures in range(1, 10)]
    assert pauses == [5, 10, 20, 40, 80, 160, 300, 300, 300]
    assert again(100_000, far, START).left(START) == RETRY_CAP
    near = Due(START.wall + 3, START.elapsed + 3)
    assert again(4, near, START) == near


@given(st.integers(1, 100_000), st.floats(0, 1e9), st.floats(0, 1e9), st.lists(st.times(), max_size=5))
def test_the_next_run_is_always_ahead_and_never_far(seconds: int, begun: float, passed: float, times: list[time]) -> None:
    first = Moment(1e9 + begun, begun)
    now = Moment(first.wall + passed, first.elapsed + passed)
    left = following(At(tuple(times)) if times else Every(seconds), first, now, BERLIN).left(now)
    assert 0 < left <= (25 * 3600 if times else seconds * 1.001)
    assert 0 < again(1, Due(now.wall + 60, now.elapsed + 60), now).left(now) <= RETRY_FIRST + 0.001
