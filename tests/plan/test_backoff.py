"""How long to wait, for any number of failures."""

from hypothesis import given
from hypothesis import strategies as st

from asyncmirror.plan.backoff import BASE, CAP, THROTTLED_BASE, delay

chances = st.floats(0.0, 1.0, exclude_max=True)


@given(st.integers(1, 1000), chances, st.booleans())
def test_a_pause_is_within_its_bounds(failures: int, chance: float, throttled: bool) -> None:  # noqa: FBT001  drawn
    assert 0.0 <= delay(failures, chance, throttled=throttled) <= CAP


@given(st.integers(1, 999), chances)
def test_pauses_grow_up_to_the_cap(failures: int, chance: float) -> None:
    assert delay(failures, chance) <= delay(failures + 1, chance)


def test_the_bound_doubles() -> None:
    assert [delay(failures, 0.5) for failures in (1, 2, 3)] == [BASE / 2, BASE, BASE * 2]
    assert delay(1, 0.5, throttled=True) == THROTTLED_BASE / 2
    assert delay(100, 0.5) == CAP / 2
