"""The tables of `plan.deletion`, row by row."""

import pytest

from asyncmirror.model import Outcome
from asyncmirror.plan.deletion import Sight, hindered, keeps, refuses
from asyncmirror.settings import MaxDelete

DELETE = ""


@pytest.mark.parametrize(
    ("sight", "excluded", "shared", "reason"),
    [
        (Sight.FILE, "", False, "a file"),
        (Sight.FILE, "--exclude x", False, "a file"),
        (Sight.LINK, "", False, "a symbolic link is there"),
        (Sight.SPECIAL, "", False, "something is there that is no file"),
        (Sight.LINK_ABOVE, "", False, "a symbolic link is in place of its directory"),
        (Sight.DIRECTORY, "", False, DELETE),
        (Sight.NOTHING, "", False, DELETE),
        (Sight.NOTHING, "--exclude x", False, "--exclude x"),
        (Sight.DIRECTORY, "no --include matches", False, "no --include matches"),
        (Sight.NOTHING, "", True, "its key is another file's"),
        (Sight.DIRECTORY, "", True, "its key is another file's"),
        (Sight.NOTHING, "--exclude x", True, "--exclude x"),
    ],
)
def test_what_becomes_of_an_object(sight: Sight, excluded: str, shared: bool, reason: str) -> None:  # noqa: FBT001  a row
    assert keeps(sight, excluded=excluded, shared=shared) == reason


def test_every_sight_has_its_row() -> None:
    assert {sight for sight in Sight if keeps(sight) == DELETE} == {Sight.DIRECTORY, Sight.NOTHING}


@pytest.mark.parametrize("outcome", Outcome)
def test_errors_hinder_and_decisions_do_not(outcome: Outcome) -> None:
    said = hindered({outcome: 3, Outcome.COMPLETE: 10})
    assert bool(said) == (outcome in (Outcome.UNREADABLE, Outcome.CHANGED, Outcome.FAILED))
    assert not said or f"3 {outcome.name.lower()}" in said


@pytest.mark.parametrize(
    ("gone", "objects", "there", "most", "said"),
    [
        (0, 0, 0, MaxDelete(), ""),
        (0, 50, 50, MaxDelete(0, 0), ""),
        (1, 1, 0, MaxDelete(), "none of the files of 1 objects"),
        (1, 2, 1, MaxDelete(), ""),
        (100, 101, 1, MaxDelete(), ""),
        (101, 200, 99, MaxDelete(), "101 of 200 objects would go, and --max-delete 10% or 100 allows 100"),
        (1000, 10_000, 9000, MaxDelete(), ""),
        (1001, 10_000, 8999, MaxDelete(), "1,001 of 10,000 objects would go, and --max-delete 10% or 100 allows 1,000"),
        (5, 100, 95, MaxDelete(5, 0), ""),
        (6, 100, 94, MaxDelete(5, 0), "--max-delete 5 allows 5"),
        (5, 100, 95, MaxDelete(0, 0.05), ""),
        (6, 100, 94, MaxDelete(0, 0.05), "--max-delete 5% allows 5"),
        (29, 100, 71, MaxDelete(0, 29 / 100), ""),  # 0.29 * 100 is less than 29
        (30, 100, 70, MaxDelete(0, 29 / 100), "--max-delete 29% allows 29"),
        (1, 100, 99, MaxDelete(0, 0), "--max-delete 0 allows 0"),
        (100, 100, 0, MaxDelete(0, 1), "is it mounted?"),
    ],
)
def test_too_much_is_refused(gone: int, objects: int, there: int, most: MaxDelete, said: str) -> None:
    refusal = refuses(gone, objects, there, most)
    assert said in refusal
    assert bool(said) == bool(refusal)
