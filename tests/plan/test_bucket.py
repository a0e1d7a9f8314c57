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
        bucket, wait = bucket.draw(amount, rate, now, waited=True)
        if wait:
            now += wait + late * chance.random()
        else:
            drawn.append((now, amount))
    return drawn


@pytest.mark.parametrize("late", [0.0, 0.002, LATE - 0.01])
@pytest.mark.parametrize(("rate", "amount"), [(10, 1), (200, 1), (2000, 1), (1 << 20, 20_000), (200 << 20, 1 << 18)])
def test_who_always_wants_more_gets_the_rate(rate: float, amount: float, late: float) -> None:
    drawn = run(rate, amount, 30.0, late)
    assert sum(each for _, each in drawn) == pytest.approx(30 * rate, rel=0.02)


@given(st.floats(0.1, 1e9), st.lists(st.tuples(st.floats(0.0, 3.0), st.floats(0.001, 5.0), st.booleans()), max_size=50))
def test_no_more_goes_than_the_rate_what_was_saved_up_and_one_draw(rate: float, draws: list[tuple[float, float, bool]]) -> None:
    bucket, now, gone, most = Bucket(at=7.0), 7.0, 0.0, 0.0
    for pause, seconds, waited in draws:
        now += pause
        amount = seconds * rate
        bucket, wait = bucket.draw(amount, rate, now, waited=waited)
        assert wait >= 0
        if not wait:
            gone += amount
            most = max(most, amount)
    assert gone <= ((now - 7.0) + LATE) * rate * 1.000001 + most


def test_a_pause_is_saved_up_for_a_twentieth_of_a_second() -> None:
    bucket, _ = Bucket(at=0.0).draw(0.0, 100.0, 60.0, waited=False)
    assert bucket.level == IDLE * 100
    bucket, _ = Bucket(at=0.0).draw(0.0, 100.0, 60.0, waited=True)
    assert bucket.level == LATE * 100


def test_a_debt_is_waited_for_and_a_clock_that_stands_gives_nothing() -> None:
    bucket, wait = Bucket(1.0, 5.0).draw(10.0, 2.0, 5.0, waited=False)
    assert (bucket.level, wait) == (-9.9, 0.0)  # what was there beyond the twentieth of a second is gone
    again, wait = bucket.draw(1.0, 2.0, 4.0, waited=True)
    assert (again.level, wait) == (bucket.level, -bucket.level / 2)
