"""Admission: so many bodies that each is through in seconds, and never so few that the line is idle."""

import pytest

from asyncmirror.plan.admission import AHEAD, admits
from asyncmirror.sizes import KIB, MIB


def admitted(size: int, rate: float | None, most: int = 10_000, sharers: int = 1) -> int:
    """How many bodies of one size begin before the first byte has left."""
    count = 0
    while count < most and admits(count * size, rate, sharers):
        count += 1
    return count


@pytest.mark.parametrize(
    ("size", "rate", "count"),
    [
        (16 * MIB, KIB, 1),
        (16 * MIB, MIB, 1),
        (16 * MIB, 10 * MIB, 2),
        (16 * MIB, 20 * MIB, 3),
        (16 * MIB, 200 * MIB, 25),
        (64 * MIB, 200 * MIB, 7),
    ],
)
def test_few_large_bodies_begin_under_a_low_limit(size: int, rate: int, count: int) -> None:
    assert admitted(size, rate) == count
    assert count == 1 or count * size <= AHEAD * rate + size


def test_small_ones_begin_as_many_as_a_store_far_away_needs() -> None:
    assert admitted(4 * KIB, 20 * MIB) * 4 * KIB >= 20 * MIB * 0.2


def test_without_a_limit_all_begin() -> None:
    assert admitted(16 * MIB, None) == 10_000


def test_several_processes_share_and_each_has_one() -> None:
    assert [admitted(16 * MIB, 200 * MIB, sharers=sharers) for sharers in (1, 2, 4, 100)] == [25, 13, 7, 1]
