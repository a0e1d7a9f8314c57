import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncmirror.testing import Fault, FaultPlan, Kind
from asyncmirror.testing.faults import FaultCount


def _struck(plan: FaultPlan, count: int, op: str = "PutObject", **about: object) -> list[int]:
    """The ordinals, from 1, of the requests that a plan strikes."""
    running = FaultCount(plan)
    return [n for n in range(1, count + 1) if running.next(op, **about) is not None]  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ({}, [1, 2, 3, 4, 5, 6]),
        ({"at": (2, 5)}, [2, 5]),
        ({"first": 3, "times": 2}, [3, 4]),
        ({"every": 2}, [1, 3, 5]),
        ({"every": 3, "first": 2, "times": 1}, [2]),
        ({"probability": 0.0}, []),
        ({"key": "b*"}, []),
        ({"part": 3}, []),
    ],
)
def test_when_a_rule_strikes(rule: dict[str, object], expected: list[int]) -> None:
    assert _struck(FaultPlan((Fault("PutObject", Kind.STATUS, **rule),)), 6, key="a") == expected  # type: ignore[arg-type]
    assert _struck(FaultPlan((Fault("*", Kind.STATUS, **rule),)), 6, key="a") == expected  # type: ignore[arg-type]


def test_a_rule_counts_only_what_it_matches() -> None:
    running = FaultCount(FaultPlan((Fault("UploadPart", Kind.STALL, key="dir/*", part=2, at=(2,)),)))
    asked = [("UploadPart", "dir/a", 2), ("UploadPart", "dir/a", 1), ("PutObject", "dir/a", 2), ("UploadPart", "b", 2)]
    assert [running.next(*one) for one in asked] == [None] * 4
    assert running.next("UploadPart", "dir/b", 2) is not None


def test_the_first_rule_wins_and_the_others_count_on() -> None:
    first, second = Fault("*", Kind.STATUS, at=(1,)), Fault("*", Kind.STALL, at=(1, 2))
    running = FaultCount(FaultPlan((first, second)))
    assert [running.next("PutObject") for _ in range(3)] == [first, second, None]


def test_a_rule_may_last_from_one_second_to_another() -> None:
    running = FaultCount(FaultPlan((Fault("*", Kind.SLOW_DOWN, after=1, until=2),)))
    assert [running.next("PutObject", elapsed=elapsed) is not None for elapsed in (0.5, 1.5, 2.5)] == [False, True, False]


def test_a_rule_may_admit_so_many_requests_a_second() -> None:
    running = FaultCount(FaultPlan((Fault("*", Kind.SLOW_DOWN, admits=50, after=1),)))
    # 100 requests a second, from the first second on; a tenth of a second's worth comes on top.
    struck = [running.next("PutObject", elapsed=1 + n / 100) is not None for n in range(200)]
    assert struck.count(False) == 5 + 99
    # Rest earns no more than that tenth.
    assert [running.next("PutObject", elapsed=100) is not None for _ in range(10)] == [False] * 5 + [True] * 5


@given(st.integers(), st.floats(0.2, 0.8))
def test_chance_replays_from_the_seed(seed: int, probability: float) -> None:
    plan = FaultPlan((Fault("*", Kind.STATUS, probability=probability),), seed)
    struck = _struck(plan, 100)
    assert struck == _struck(plan, 100)
    assert 0.02 < len(struck) / 100 < 0.98
    assert struck != _struck(FaultPlan(plan.faults, seed + 1), 100)


faults = st.builds(
    Fault,
    st.sampled_from(["*", "PutObject"]),
    st.sampled_from(Kind),
    at=st.lists(st.integers(1, 9), max_size=3).map(tuple),
    times=st.none() | st.integers(1, 5),
    seconds=st.floats(0, 9),
)


@given(st.lists(faults, max_size=3).map(tuple), st.integers(0, 2**31))
def test_a_plan_survives_json(rules: tuple[Fault, ...], seed: int) -> None:
    plan = FaultPlan(rules, seed)
    assert FaultPlan.from_json(plan.to_json()) == plan


@pytest.mark.parametrize("text", ["[]", "{", '{"faults": [{"op": "*", "kind": "no such kind"}]}', '{"faults": [{"op": 1}]}'])
def test_what_is_no_plan_is_refused(text: str) -> None:
    with pytest.raises((ValueError, TypeError, KeyError)):
        FaultPlan.from_json(text)
