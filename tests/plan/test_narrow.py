"""Which prefix a store is narrow for: what is told of it, and what is not taken for it."""

import random
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncmirror.plan.prefixes import LEAST, Evidence, Found


def span(shares: Mapping[str, tuple[int, float]], seed: int) -> tuple[list[str], list[str]]:
    """Keys refused and admitted: of each directory so many, of which a share is refused."""
    chance = random.Random(seed)
    refused: list[str] = []
    admitted: list[str] = []
    for directory, (count, share) in shares.items():
        for number in range(count):
            (refused if chance.random() < share else admitted).append(f"{directory}f{number}")
    return refused, admitted


def found(shares: Mapping[str, tuple[int, float]], seed: int = 1) -> list[str]:
    """What two spans come to."""
    evidence, first = Evidence().weigh(*span(shares, seed))
    assert first == ()
    return [each.prefix for each in evidence.weigh(*span(shares, seed + 1000))[1]]


@pytest.mark.parametrize(
    ("shares", "prefixes"),
    [
        ({"x/a/d1/": (50, 0.5), "x/b/d1/": (50, 0)}, ["x/a/"]),  # the level that tells them apart, and not the one below
        ({"x/a/d1/": (50, 0.5), "x/a/d2/": (50, 0), "x/a/": (5, 0)}, ["x/a/d1/"]),
        ({"a/": (50, 0.5), "b/": (50, 0.5), "c/d/": (60, 0)}, ["a/", "b/"]),
        ({"a/1/": (60, 0.5), "a/2/": (60, 0), "b/1/": (60, 0.5), "b/2/": (60, 0)}, ["a/1/", "b/1/"]),
        ({"a/": (50, 0.5), "b/": (300, 0.003)}, ["a/"]),  # something else went wrong there, once
        ({"x/": (100, 0.5), "x/a/": (100, 0)}, []),  # files beside a directory have no prefix of their own
        ({"a/": (200, 0.5), "b/": (200, 0.5)}, []),
        ({"a/": (200, 0.5)}, []),
        ({"a/": (10, 0.3), "b/": (1000, 0)}, []),  # too few to tell
        ({"a/": (100, 0.1), "b/": (20, 0)}, []),  # there may be none by chance
    ],
)
def test_it_is_the_level_at_which_what_is_refused_lies_beside_what_is_admitted(
    shares: Mapping[str, tuple[int, float]], prefixes: list[str]
) -> None:
    assert found(shares) == prefixes


@pytest.mark.parametrize("share", [0.01, 0.1, 0.5])
@pytest.mark.parametrize(("directories", "files"), [(2, 300), (100, 5), (20, 40)])
def test_a_store_that_refuses_some_of_everything_divides_by_nothing(share: float, directories: int, files: int) -> None:
    shares = {f"x/d{number}/": (files, share) for number in range(directories)}
    assert not any(found(shares, seed) for seed in range(30))


def test_it_takes_two_spans_one_after_the_other() -> None:
    evidence, _ = Evidence().weigh(*span({"a/": (50, 0.5), "b/": (50, 0)}, 1))
    evidence, other = evidence.weigh(*span({"b/": (50, 0.5), "a/": (50, 0)}, 2))
    assert other == ()
    _, narrow = evidence.weigh(["b/f"] * 10, ["b/g"] * 5 + ["a/g"] * 35)
    assert narrow == (Found("b/", 0.1),)


keys = st.lists(st.text("ab/\ud800", max_size=6), max_size=60)


@given(keys, keys)
def test_what_is_found_holds_what_is_refused(refused: list[str], admitted: list[str]) -> None:
    evidence, _ = Evidence().weigh(refused, admitted)
    for prefix in evidence.suspected:
        assert prefix.endswith("/")
        assert sum(key.startswith(prefix) for key in refused) >= LEAST
