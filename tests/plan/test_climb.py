"""Climbing: what it comes to on curves of throughput over concurrency, against the best fixed limit; and its transitions."""

import math
import random
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asyncmirror.plan.climb import BUSY, DOUBLE, LONGEST_DOWN, START, Climb
from asyncmirror.plan.trial import Rate, Reading

TICK = 0.05
MOST = 256
SWEEP = (1, 2, 4, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256)


@dataclass
class Place:
    """What sends and what takes it, as a curve: requests per second by the limit and the moment, in seconds.

    What is measured of it scatters as on a machine that does other things, too, and follows the limit after a latency.
    """

    name: str
    curve: Callable[[int, float], float]
    seconds: float = 200.0
    busy: bool = False
    size: Callable[[float], int] = lambda _: 4096  # bytes of a request at a moment
    noise: float = 0.06
    limits: list[int] = field(default_factory=list)

    def sent(self, fixed: int = 0, seed: int = 7) -> float:
        """Requests in all, with a fixed limit or a climb."""
        chance, climb = random.Random(seed), Climb.begin(MOST)
        now = rate = scatter = requests = sent = 0.0
        self.limits.clear()
        while now < self.seconds:
            limit = fixed or climb.limit
            goal = self.curve(limit, now)
            rate += (goal - rate) * min(1.0, TICK * goal / limit)
            scatter = (scatter + chance.gauss(0, 1)) / 2
            now += TICK
            ended = rate * TICK * max(0.0, 1 + self.noise * scatter)
            requests += ended
            sent += ended * self.size(now)
            self.limits.append(limit)
            if not fixed:
                climb = climb.look(Reading(now, int(requests), int(sent), limit, now if self.busy else now / 2))
        return requests

    def best(self) -> float:
        """What the best fixed limit comes to."""
        return max(self.sent(limit) for limit in SWEEP)


def far(latency: float) -> Callable[[int, float], float]:
    """A store that takes its time, and any number at once."""
    return lambda limit, _: limit / latency


def link(rate: float, latency: float = 0.02) -> Callable[[int, float], float]:
    """A store that takes its time behind a link that carries so much."""
    return lambda limit, _: min(limit / latency, rate)


def crowded(limit: int, _: float) -> float:
    """A parallel file system that sixteen readers fill, and more of them hold up."""
    return min(limit / 0.01, 1600) / (1 + max(0, limit - 16) / 64)


def coherent(limit: int, _: float) -> float:
    """Gunther's law of scalability: contention, and the cost of agreeing."""
    return 100 * limit / (1 + 0.02 * (limit - 1) + 0.0008 * limit * (limit - 1))


def smooth(limit: int, _: float) -> float:
    """Latency that rises with every request beside."""
    return 5000 * limit / (limit + 20)


PLACES = [
    Place("a store 50 ms away", far(0.05)),
    Place("a store 200 ms away", far(0.2)),
    Place("a store 200 ms away, for half a minute", far(0.2), seconds=30),
    Place("1 Gb/s, objects of 100 kB", link(1250)),
    Place("the same for half a minute", link(1250), seconds=30),
    Place("a crowded file system", crowded),
    Place("the same for a minute", crowded, seconds=60),
    Place("contention and agreement", coherent),
    Place("latency that rises smoothly", smooth),
    Place("a loop without CPU to spare", lambda _limit, _: 10_000.0, busy=True),
    Place("capacity that halves", lambda limit, now: min(limit / 0.02, 2000 if now < 100 else 1000)),
    Place("capacity that doubles", lambda limit, now: min(limit / 0.02, 1000 if now < 150 else 2000), seconds=300),
    Place("night: eight times as much", lambda limit, now: min(limit / 0.02, 500 if now < 150 else 4000), seconds=400),
    Place("a machine that does much else", link(2000), noise=0.2),
]


@pytest.mark.parametrize("place", PLACES, ids=lambda place: place.name)
def test_within_five_percent_of_the_best_fixed_limit(place: Place) -> None:
    best = place.best()
    shares = [place.sent(seed=seed) / best for seed in (1, 2, 3)]
    assert sorted(shares)[1] >= 0.95, shares
    assert min(shares) >= 0.93, shares


@pytest.mark.parametrize("place", [place for place in PLACES[:9] if place.seconds > 100], ids=lambda place: place.name)
def test_in_the_steady_state_it_swings_by_a_fifth_at_most(place: Place) -> None:
    swings = []
    for seed in (1, 2, 3):
        replace(place, seconds=500).sent(seed=seed)
        limits = sorted(place.limits[-4000:])
        middle, share = limits[len(limits) // 2], len(limits) // 20
        swings.append(max(limits[-share] / middle - 1, 1 - limits[share] / middle))
    assert sorted(swings)[1] <= 0.2, swings


def test_it_comes_down_where_requests_only_wait() -> None:
    place = Place("a store 20 ms away behind a full link", link(500), seconds=300, noise=0.02)
    place.sent()
    assert place.limits[0] == START
    assert place.limits[-1] < START / 2


def test_a_step_from_small_objects_to_large_parts_is_no_loss() -> None:
    def curve(limit: int, now: float) -> float:
        return limit / 0.05 if now < 60 else min(limit / 0.05, 10)  # parts of 16 MiB: 1.3 Gb/s

    place = Place("small, then large", curve, seconds=120, size=lambda now: 4096 if now < 60 else 16 << 20)
    place.sent()
    assert min(place.limits[-100:]) > 100


def looked(climb: Climb, seconds: float, begin: float = 0.0, rate: float = 1000.0, **gauges: float) -> tuple[Climb, float]:
    """A climb after so long at one rate, whatever the limit; all slots in use unless told otherwise."""
    at = begin
    while at < begin + seconds:
        at += TICK
        in_flight = int(gauges.get("in_flight", climb.limit))
        busy, pressed = gauges.get("busy", 0.5) * at, bool(gauges.get("pressed", 0))
        climb = climb.look(Reading(at, int(rate * at), int(rate * at) * 4096, in_flight, busy, pressed=pressed))
    return climb, at


def test_without_cpu_to_spare_no_more_is_tried() -> None:
    idle, _ = looked(Climb.begin(MOST), 0.35, busy=0.5)
    assert idle.limit == DOUBLE * START
    busy, _ = looked(Climb.begin(MOST), 0.35, busy=BUSY + 0.01)
    assert busy.limit == START


@pytest.mark.parametrize(("before", "after"), [(0.0, 5.0), (5.0, 0.0), (5.0, -1.0), (-1.0, 5.0)])
def test_where_bytes_tell_nothing_requests_do(before: float, after: float) -> None:
    assert Rate(20, after, 0).gain(Rate(10, before, 0)) == pytest.approx(math.log(2))


def test_slots_that_stand_empty_tell_nothing() -> None:
    climb, _ = looked(Climb.begin(MOST), 30.0, in_flight=START // 2)
    assert climb.limit == START


def test_while_memory_is_short_it_comes_down_and_then_back() -> None:
    climb, at = looked(Climb.begin(MOST), 0.2)
    climb, at = looked(climb, 3.2, at, pressed=1)
    assert climb.limit == math.floor(math.floor(math.floor(math.floor(START * 0.7) * 0.7) * 0.7) * 0.7)
    requests = 0.0
    for _ in range(400):
        at += TICK
        requests += climb.limit / 0.05 * TICK
        climb = climb.look(Reading(at, int(10_000 + requests), 0, climb.limit))
    assert climb.limit > 200


def test_a_refused_trial_ends_and_what_stands_stays() -> None:
    climb, at = looked(Climb.begin(MOST), 0.35)
    assert climb.limit == DOUBLE * START
    climb = climb.retreated(at, 128)
    assert (climb.limit, climb.stands) == (START, START)
    lower = climb.retreated(at, 60)
    assert lower.limit == 57
    assert lower.up_at > climb.up_at > at


gauges = st.lists(
    st.tuples(
        st.floats(0.01, 20.0),
        st.integers(0, 5000),
        st.integers(0, 1 << 30),
        st.booleans(),
        st.sampled_from("lookrefuse within"),
    ),
    max_size=150,
)


@given(st.integers(1, 4096), st.integers(1, 4096), gauges)
def test_the_limit_stays_within_its_bounds(most: int, start: int, seen: list[tuple[float, int, int, bool, str]]) -> None:
    climb, at, requests, sent = Climb.begin(most, start), 0.0, 0, 0
    for seconds, ended, size, flag, kind in seen:
        at, requests, sent = at + seconds, requests + ended, sent + size
        if kind == "f":
            climb = climb.retreated(at, climb.limit)
        elif kind == "w":
            climb = climb.within(most)
        else:
            climb = climb.look(Reading(at, requests, sent, climb.limit, at / 2, pressed=flag and not ended % 5))
        assert 1 <= climb.limit <= most
        assert 1 <= climb.stands <= most
        assert climb.down_pause <= LONGEST_DOWN


@settings(max_examples=30)
@given(st.integers(1, 64), st.integers(1, 200))
def test_wherever_it_was_brought_it_recovers(stands: int, latency: int) -> None:
    climb, requests, at = Climb.begin(MOST, stands), 0.0, 0.0
    while at < 90:
        at += TICK
        requests += climb.limit * TICK * 1000 / latency
        climb = climb.look(Reading(at, int(requests), int(requests) * 100, climb.limit))
    assert climb.stands == MOST
