"""How climbing and the store's refusals go together, with a store that admits so many requests a second."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncmirror.plan.allowance import REMEMBERED, SOON, Allowance
from asyncmirror.plan.pace import LOWERED
from asyncmirror.plan.trial import Reading
from tests.plan.simulation import Simulation

MOST = 256


def run(rate: float, latency: float, allowance: Allowance, seconds: float = 60.0, seed: int = 1) -> Simulation:
    """A run against a store that admits so many a second."""
    simulation = Simulation(lambda _: rate, seed, pace=allowance, latency=latency, jitter=0.2, workers=MOST)
    simulation.run(seconds)
    return simulation


@pytest.mark.parametrize(
    ("rate", "latency", "best"), [(500.0, 0.02, 10), (500.0, 0.05, 25), (500.0, 0.2, 100), (3500.0, 0.05, 175)]
)
def test_within_five_percent_of_the_best_fixed_limit(rate: float, latency: float, best: int) -> None:
    """`best` was found by a sweep; a little more and a little less are tried again here."""
    seconds = 60.0 if rate < 1000 else 20.0
    around = (best * 24 // 25, best, best * 26 // 25)
    fixed = [len(run(rate, latency, Allowance.fixed(limit), seconds).done) for limit in around]
    auto = [run(rate, latency, Allowance.auto(MOST, 64), seconds, seed) for seed in (1, 2, 3)]
    shares = sorted(len(each.done) / max(fixed) for each in auto)
    assert shares[1] >= 0.96, shares
    for each in auto:
        assert len(each.refused) <= 0.05 * len(each.done)


def test_at_night_it_follows() -> None:
    simulation = Simulation(
        lambda now: 200.0 if now < 60 else 1000.0, 1, pace=Allowance.auto(MOST, 64), latency=0.05, workers=MOST
    )
    simulation.run(120)
    assert simulation.rate_in(30, 60) >= 0.85 * 200
    assert simulation.rate_in(90, 120) >= 0.85 * 1000


def going(allowance: Allowance, seconds: float = 0.3) -> Allowance:
    """The allowance after it was measured, at a rate that no limit changes."""
    at = 0.0
    while at < seconds:
        at += 0.05
        allowance = allowance.look(Reading(at, int(2000 * at), int(2000 * at), allowance.limit))
    return allowance


def refused(allowance: Allowance, begun: int, now: float) -> Allowance:
    """The allowance after a refusal that is no lone one, with all that is allowed in flight."""
    for number in (begun - 1, begun):
        allowance = allowance.refused(number, begun, allowance.limit, now)
    return allowance


def test_a_refused_trial_ends_without_a_narrowing() -> None:
    allowance = going(Allowance.auto(MOST, 64))
    assert allowance.limit == 128
    after = refused(allowance, 1000, 1.0)
    assert (after.limit, after.narrowed) == (64, False)
    assert after.is_asked_for_fewer(1.0)
    assert not after.is_asked_for_fewer(1.0 + REMEMBERED)


def test_what_stands_goes_down_a_little_where_few_are_refused() -> None:
    allowance, limits = going(Allowance.auto(64, 64), 0.4), []
    for number in range(1, 5):
        allowance = refused(allowance, 1000 * number, 1.0 + number)
        limits.append(allowance.limit)
        assert not allowance.narrowed
    assert limits == [61, 58, 55, 52]
    again = refused(allowance, 4100, 5.0 + 0.9 * SOON)
    assert again.limit == 52, "the store's credit is used up: it refuses some of what it admits"
    assert refused(again, 4200, 5.0 + 1.1 * SOON).limit == 49


def test_where_many_are_refused_it_goes_down_far_and_at_once() -> None:
    allowance = refused(going(Allowance.auto(64, 64), 0.4), 1000, 1.0)
    for number in range(1001, 1100):
        if not number % 4:
            allowance = allowance.refused(number, number + allowance.limit, allowance.limit, 1.1)
    assert allowance.narrowed
    assert allowance.limit == int(61 * LOWERED)


def test_it_goes_back_to_what_the_store_admitted_before() -> None:
    allowance = Allowance.auto(MOST, 20)
    at = requests = 0.0
    while at < 3.0:  # it has no CPU to spare, and stays
        at += 0.05
        requests += 20
        allowance = allowance.look(Reading(at, int(requests), int(requests), allowance.limit, at))
    assert allowance.climb is not None
    assert allowance.climb.sound == 20
    tried = allowance._replace(climb=allowance.climb._replace(stands=25, since=at), pace=allowance.pace.steered(25))
    assert refused(tried, 1000, at).limit == 20


def test_what_was_never_measured_may_be_far_too_much() -> None:
    assert refused(Allowance.auto(MOST, 64), 1000, 1.0).limit == 32


def test_refusals_of_a_few_are_not_of_too_many() -> None:
    allowance = going(Allowance.auto(64, 64), 0.4)
    for number in (999, 1000):
        allowance = allowance.refused(number, 1000, 5, 1.0)
    assert allowance.narrowed
    assert allowance.climb is not None
    assert allowance.climb.stands == 64


@pytest.mark.parametrize(("share", "limit"), [(0.0, 4), (0.5, 32), (1.0, 64)])
def test_a_part_of_the_requests_begins_with_what_it_had(share: float, limit: int) -> None:
    assert Allowance.auto(MOST, 64).part(share).limit == limit
    fixed = Allowance.fixed(64).part(share)
    assert (fixed.limit, fixed.most) == (limit, 64)
    assert Allowance.fixed(2).part(share).limit == 2


def test_what_was_before_stands_again() -> None:
    before = going(Allowance.auto(MOST, 64))
    assert before.limit == 128
    again = before.resumed(1000)
    assert (again.limit, again.pace.mark) == (64, 1000), "what was being tried is begun anew"
    assert refused(again, 1000, 1.0).limit == 64, "what was begun before is old news"
    assert Allowance.fixed(5).resumed(1000).limit == 5


def test_it_can_be_turned_to_and_fro() -> None:
    fixed = Allowance.fixed(20).steered(30, auto=False)
    assert (fixed.limit, fixed.most, fixed.climb) == (30, 30, None)
    auto = fixed.steered(MOST, auto=True)
    assert (auto.limit, auto.most) == (30, MOST)
    assert auto.steered(16, auto=True).limit == 16
    assert auto.steered(100, auto=False) == Allowance.fixed(100)


seen = st.lists(
    st.tuples(st.sampled_from(["look", "refused", "succeeded", "failed"]), st.integers(0, 300), st.floats(0.01, 20.0)),
    max_size=150,
)


@given(st.integers(1, 1000), st.booleans(), seen)
def test_the_limit_stays_within_its_bounds(most: int, auto: bool, heard: list[tuple[str, int, float]]) -> None:  # noqa: FBT001
    allowance = Allowance.auto(most, 64) if auto else Allowance.fixed(most)
    begun, now = 0, 0.0
    for kind, more, seconds in heard:
        begun, now = begun + more, now + seconds
        if kind == "look":
            allowance = allowance.look(Reading(now, begun, begun, allowance.limit))
        elif kind == "refused":
            allowance = allowance.refused(begun, begun, min(more, most), now)
        elif kind == "succeeded":
            allowance = allowance.succeeded(begun, now)
        else:
            allowance = allowance.failed(begun, now)
        assert 1 <= allowance.limit <= allowance.most == most
