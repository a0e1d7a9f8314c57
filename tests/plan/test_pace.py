"""The pace: its transitions, and what they come to with a store that admits so many requests a second."""

from itertools import count

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncmirror.plan.pace import FIRST_GAP, FORGOTTEN, HALVED, LONE, LONGEST_GAP, LOWERED, PERIOD, Pace
from tests.plan.simulation import WORKERS, Simulation

REFUSED, SUCCEEDED, FAILED = range(3)


@pytest.fixture(params=[1, 2])
def seed(request: pytest.FixtureRequest) -> int:
    return int(request.param)


@pytest.mark.hazard(3)
@pytest.mark.parametrize("length", [3.0, 60.0, 600.0])
def test_after_a_storm_the_rate_is_back_within_30_seconds(length: float, seed: int) -> None:
    begin, end = 5.0, 5.0 + length
    simulation = Simulation(lambda now: 0 if begin <= now < end else 1e6, seed)
    simulation.run(end + 30)
    before = simulation.rate_in(1, begin)
    assert simulation.recovered(end, before, 30) <= 20
    assert simulation.rate_in(end + 20, end + 30) >= 0.99 * before
    # One burst, one way down, and from then on one request in about four seconds.
    assert simulation.refused_in(begin, end + 1) <= 3 * WORKERS + length / 2
    assert simulation.refused_in(end + 1, end + 30) == 0


def test_a_storm_costs_a_fraction_of_the_requests_that_backing_off_alone_does(seed: int) -> None:
    paced, unpaced = (Simulation(lambda now: 0 if now < 60 else 1e6, seed, paced=paced) for paced in (True, False))
    paced.run(60)
    unpaced.run(60)
    assert len(paced.refused) * 3 < len(unpaced.refused)


# At 20 requests per second and an answer in 20 ms, one in flight is more than twice too many.
@pytest.mark.parametrize(("rate", "used", "refused"), [(20.0, 0.7, 0.4), (100.0, 0.9, 0.01), (1000.0, 0.9, 0.01)])
def test_it_finds_what_the_store_admits(rate: float, used: float, refused: float, seed: int) -> None:
    simulation = Simulation(lambda _: rate, seed)
    simulation.run(60)
    assert simulation.rate_in(20, 60) >= used * rate
    assert simulation.refused_in(20, 60) <= refused * 40 * rate


def test_without_it_much_more_is_refused(seed: int) -> None:
    paced, unpaced = (Simulation(lambda _: 500.0, seed, paced=paced) for paced in (True, False))
    paced.run(60)
    unpaced.run(60)
    assert paced.refused_in(10, 60) * 3 < unpaced.refused_in(10, 60)


@pytest.mark.parametrize("rate", [20.0, 500.0])
def test_after_a_time_of_less_the_rate_is_back_within_30_seconds(rate: float) -> None:
    simulation = Simulation(lambda now: rate if 5 <= now < 65 else 1e6)
    simulation.run(95)
    assert simulation.recovered(65, simulation.rate_in(1, 5), 30) <= 25


def refusals(pace: Pace, numbers: range, now: float = 0.0) -> Pace:
    """The pace after so many refusals, all with a whole limit in flight."""
    for number in numbers:
        pace = pace.refused(number, numbers.stop - 1, int(pace.limit), now)
    return pace


def test_a_burst_is_one_signal() -> None:
    pace = refusals(Pace.free(64), range(1, 65))
    assert pace.limit == 64 * LOWERED
    assert refusals(pace, range(65, 110)).limit == pytest.approx(64 * LOWERED * HALVED, abs=1)


def test_a_refusal_that_stands_alone_is_none() -> None:
    pace = Pace.free(64)
    for number in range(1, 100 * LONE, LONE + 1):
        pace = pace.refused(number, number, 64, 0.0)
    assert not pace.throttled
    assert pace.refused(number + LONE, number + LONE, 64, 0.0).throttled


def test_what_was_in_flight_counts_not_what_was_allowed() -> None:
    pace = Pace.free(64).refused(1, 2, 10, 0.0).refused(2, 2, 10, 0.0)
    assert pace.limit == 10 * LOWERED


def storm(most: int) -> tuple[Pace, int]:
    """The pace when nothing was admitted for long, and the last request's number."""
    pace = Pace.free(most)
    for number in range(1, 50):
        pace = pace.refused(number, number, max(1, int(pace.limit)), 0.0)
    return pace, 49


@pytest.mark.parametrize("most", [1, 2, 64, 4096])
def test_in_a_storm_the_gap_grows_to_its_longest_and_goes_with_the_first_successes(most: int) -> None:
    pace, number = storm(most)
    assert (pace.limit, pace.gap) == (1, LONGEST_GAP)
    gaps = []
    for later in range(number + 1, number + 6):
        pace = pace.succeeded(later, 0.0)
        gaps.append(pace.gap)
    assert gaps[0] < LONGEST_GAP / 2
    assert gaps == sorted(gaps, reverse=True)
    assert gaps[-1] == 0


def test_the_way_back_doubles_then_slows_then_is_over() -> None:
    pace, number = storm(64)
    numbers = count(number + 1)
    while pace.gap:
        pace = pace.succeeded(next(numbers), 0.0)
    assert pace.limit == 1
    for _ in range(100):
        pace = pace.succeeded(next(numbers), 0.0)
    assert pace.limit == 64 * LOWERED
    pace = pace.succeeded(next(numbers), PERIOD / 3)
    assert 0.9 * 64 <= pace.limit < 64
    assert not pace.succeeded(next(numbers), PERIOD).throttled


def test_answers_to_what_was_begun_before_tell_nothing() -> None:
    pace, number = storm(64)
    assert pace.succeeded(number, 100.0) is pace
    assert pace.failed(number, 100.0) is pace


def test_another_failure_ends_the_gap_and_after_a_while_the_throttling() -> None:
    pace, number = storm(64)
    assert pace.failed(number + 1, 1.0) == pace._replace(gap=0.0)
    assert not pace.failed(number + 1, FORGOTTEN + 1).throttled


answers = st.lists(
    st.tuples(st.sampled_from([REFUSED, SUCCEEDED, FAILED]), st.integers(0, 200), st.floats(0.0, 30.0)), max_size=200
)


@given(st.integers(1, 4096), answers)
def test_the_limit_stays_within_its_bounds(most: int, heard: list[tuple[int, int, float]]) -> None:
    pace, begun, now = Pace.free(most), 0, 0.0
    for kind, more, seconds in heard:
        begun += more
        now += seconds
        number = max(0, begun - most // 2)
        if kind == REFUSED:
            pace = pace.refused(number, begun, min(most, begun - number), now)
        elif kind == SUCCEEDED:
            pace = pace.succeeded(begun, now)
        else:
            pace = pace.failed(begun, now)
        assert 1 <= pace.limit <= most
        assert 0 <= pace.gap <= LONGEST_GAP
        assert pace.gap == 0 or (pace.limit == 1 and pace.gap >= FIRST_GAP / 4)
        assert pace.throttled == (pace.limit < most or pace.gap > 0)


def test_steered_it_allows_as_many_as_are_asked_for_now_but_no_more_than_the_store_admits() -> None:
    assert Pace.free(10).steered(30) == Pace.free(30)
    lowered = Pace.free(10)._replace(limit=4.0, good=8.0)
    assert lowered.steered(6) == lowered._replace(most=6, good=6.0)
    assert lowered.steered(30) == lowered._replace(most=30)
    assert lowered.steered(4) == Pace.free(4)
    alone = lowered._replace(limit=1.0, gap=0.1, good=1.0)
    assert alone.steered(1) == alone._replace(most=1)
