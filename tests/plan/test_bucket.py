"""Token buckets: exact over time whatever the sizes, no burst after a pause, and lateness made up for."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncmirror.plan.bucket import IDLE, LATE, Bucket


def run(rate: float, amount: float, seconds: float, late: float = 0.0) -> list[tuple[float, float]]:
    """Draw for so long as often as may be, each time up to so many seconds too late; gives when and how much."""
    chance = random.Random(1)
    bucket, now, drawn = Bucket(), 1000.0, []
    while now < 1000.0 + seconds:
        bucket, wait = bucket.draw(amount, rate, now)
        if wait:
            now += wait + late * chance.random()
        else:
            drawn.append((now, amount))
    return drawn


@pytest.mark.parametrize("late", [0.0, 0.002, LATE / 2])
@pytest.mark.parametrize(("rate", "amount"), [(10, 1), (200, 1), (2000, 1), (1 << 20, 20_000), (200 << 20, 1 << 18)])
def test_who_always_wants_more_gets_the_rate(rate: float, amount: float, late: float) -> None:
    drawn = run(rate, amount, 30.0, late)
    assert sum(each for _, each in drawn) == pytest.approx(30 * rate, rel=0.02 + late / 30)


@given(st.floats(0.1, 1e9), st.lists(st.tuples(st.floats(0.0, 3.0), st.floats(0.001, 5.0)), max_size=50))
def test_no_more_goes_than_the_rate_and_one_draw(rate: float, draws: list[tuple[float, float]]) -> None:
    bucket, now, gone, most = Bucket(at=7.0), 7.0, 0.0, 0.0
    for pause, seconds in draws:
        now += pause
        amount = seconds * rate
        bucket, wait = bucket.draw(amount, rate, now)
        assert wait >= 0
        if not wait:
            gone += amount
            most = max(most, amount)
    assert gone <= (now - 7.0) * rate * 1.000001 + most


def test_a_pause_is_saved_up_for_a_twentieth_of_a_second_but_who_was_told_to_wait_may_make_up_for_more() -> None:
    bucket, _ = Bucket().draw(0.0, 100.0, 60.0)
    assert bucket == Bucket(IDLE * 100, 60.0)
    refused, wait = Bucket(-1.0, 60.0).draw(1.0, 100.0, 60.0)
    assert (refused, wait) == (Bucket(-1.0, 60.0, wanted=True), 0.01)
    bucket, _ = refused.draw(0.0, 100.0, 120.0)
    assert bucket == Bucket(LATE * 100, 120.0)
    bucket, _ = bucket.draw(10.0, 100.0, 120.0)
    assert bucket == Bucket(90.0, 120.0)
    assert bucket.draw(10.0, 100.0, 120.04)[0].level == pytest.approx(84.0)  # what flows in meanwhile counts
    assert bucket.draw(5.0, 100.0, 120.1)[0].level == 0  # but not what was left lying


def test_a_debt_is_waited_for_and_a_clock_that_stands_gives_nothing() -> None:
    bucket, wait = Bucket(1.0, 5.0).draw(10.0, 2.0, 5.0)
    assert (bucket.level, wait) == (-9.0, 0.0)
    again, wait = bucket.draw(1.0, 2.0, 4.0)
    assert (again.level, wait) == (bucket.level, -bucket.level / 2)
