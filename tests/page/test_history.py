"""How fast it was: bounded, exact in sum, with gaps where nothing was measured."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asyncmirror.events import Flight, Progress
from asyncmirror.http.history import SECONDS, History, Series
from asyncmirror.model import Outcome

NOW = 1_790_000_040.0  # the beginning of a minute


def reading(seconds: float, sent: float = 0, files: int = 0, limit: int = 8, *, paused: bool = False) -> Progress:
    flight = Flight(limit, 64, 0)
    return Progress(
        settled={Outcome.COMPLETE: files}, bytes_sent=int(sent), seconds=seconds, flight=flight, requests=files, paused=paused
    )


def steady(history: History, start: float, seconds: int, rate: int = 1000, every: float = 0.5) -> None:
    """Readings of a steady run that began at `start`."""
    history.begin()
    for number in range(int(seconds / every) + 1):
        at = number * every
        history.observe(start + at, reading(at, rate * at, int(at)))


def times(series: Series) -> list[float]:
    return [point.time - NOW for point in series.points]


def total(series: Series) -> float:
    return sum(point.bytes_per_second for point in series.points) * series.step


def test_a_steady_run_is_a_flat_line() -> None:
    history = History()
    steady(history, NOW, 60)
    series = history.series(NOW, NOW + 59, 600)
    assert series.step == 1
    assert times(series) == list(range(60))
    assert {round(point.bytes_per_second) for point in series.points} == {1000}
    assert {(point.limit, point.most) for point in series.points} == {(8, 64)}


def test_what_is_merged_keeps_its_mean() -> None:
    history = History()
    steady(history, NOW, 600, rate=500)
    series = history.series(NOW, NOW + 599, 20)
    assert series.step == 30
    assert {round(point.bytes_per_second) for point in series.points} == {500}


def test_after_two_hours_there_are_minutes() -> None:
    history = History()
    steady(history, NOW, SECONDS + 600, rate=10, every=4)
    end = NOW + SECONDS + 600
    assert history.series(end - 3600, end, 5000).step == 1
    series = history.series(NOW, end, 5000)
    assert series.step == 60
    assert len(series.points) == (SECONDS + 600) // 60
    assert total(series) == pytest.approx(10 * (SECONDS + 600))


def test_there_is_a_gap_where_the_process_stood_still() -> None:
    history = History()
    steady(history, NOW, 10)
    history.observe(NOW + 70, reading(70, 70_000, 70))  # what was sent meanwhile has no moment
    history.observe(NOW + 71, reading(71, 71_000, 71))
    assert times(history.series(NOW, NOW + 71, 600)) == [*range(10), 70]


def test_there_is_a_gap_where_the_machine_was_suspended() -> None:
    """Its clock of seconds stands still then, and the one on the wall does not."""
    history = History()
    steady(history, NOW, 10)
    history.observe(NOW + 3600, reading(10.5, 10_500, 10))
    assert times(history.series(NOW, NOW + 3600, 3600)) == [*range(10), 3599]


def test_there_is_a_gap_while_it_is_paused() -> None:
    history = History()
    history.begin()
    for second in range(30):
        history.observe(NOW + second, reading(second, 1000 * min(second, 10), paused=second > 10))
    assert times(history.series(NOW, NOW + 30, 600)) == list(range(10))


def test_there_is_a_gap_between_runs_and_the_next_one_starts_from_nothing() -> None:
    history = History()
    steady(history, NOW, 5)
    steady(history, NOW + 100, 5)
    series = history.series(NOW, NOW + 110, 600)
    assert times(series) == [*range(5), *range(100, 105)]
    assert total(series) == pytest.approx(10_000)


def test_a_short_run_is_no_part_of_the_next() -> None:
    history = History()
    steady(history, NOW, 1)
    history.begin()
    history.observe(NOW + 102, reading(2, 500))  # nobody looked before: it was opening
    assert total(history.series(NOW + 50, NOW + 110, 600)) == pytest.approx(500)


def test_what_is_older_than_the_memory_is_gone() -> None:
    history = History()
    steady(history, NOW, 10)
    steady(history, NOW + SECONDS, 5)  # these have the places of the first five
    assert times(history.series(NOW, NOW + SECONDS - 10, 10_000)) == [*range(5, 10)]
    assert times(history.series(NOW + 10, NOW + SECONDS + 10, 10_000)) == [*range(SECONDS, SECONDS + 5)]


@settings(max_examples=30)
@given(st.lists(st.tuples(st.floats(0.05, 4.9), st.integers(0, 10**9)), max_size=40))
def test_nothing_is_lost_and_nothing_invented(steps: list[tuple[float, int]]) -> None:
    history = History()
    history.begin()
    seconds, sent = 0.0, 0
    for step, more in steps:
        seconds, sent = seconds + step, sent + more
        history.observe(NOW + seconds, reading(seconds, sent))
    for series in (history.series(NOW - 10 * SECONDS, NOW + 300, 100_000), history.series(NOW - 1, NOW + 300, 100_000)):
        measured = 0.0
        for point in series.points:
            measured += point.bytes_per_second * (min(NOW + seconds, point.time + series.step) - max(NOW, point.time))
        assert measured == pytest.approx(sent, rel=1e-5, abs=1)
