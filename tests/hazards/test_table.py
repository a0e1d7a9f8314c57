"""docs/hazards.md against the tests: every row is there, and names exactly the tests that are marked with it."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.hazards.collected import WHOLE

ROWS = range(1, 43)
ROOT = Path(__file__).parents[2]
_ROW = re.compile(r"^\| (\d+) \|.*\| ([^|]*) \|$", re.MULTILINE)
_TEST = re.compile(r"`([^`]+::[^`]+)`")


def table() -> dict[int, str]:
    """The cell that names the tests, by row. What follows the table is none."""
    text = (ROOT / "docs" / "hazards.md").read_text(encoding="utf-8").partition("\n## ")[0]
    found = _ROW.findall(text)
    assert len(found) == len({number for number, _ in found}), "a row stands there twice"
    return {int(number): cell for number, cell in found}


@pytest.fixture
def marked(request: pytest.FixtureRequest) -> dict[int, set[str]]:
    """The tests, by the row that they are marked with: those of this run, where it is of all tests."""
    rows: dict[int, set[str]] = {}
    for test, numbers in (request.config.stash.get(WHOLE, None) or collected()).items():
        for number in numbers:
            rows.setdefault(number, set()).add(test.removeprefix("tests/"))
    return rows


def collected() -> dict[str, list[int]]:
    """The rows of each test, from a collection of its own."""
    command = [sys.executable, "-m", "tests.hazards.collected"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=100)
    assert done.returncode == 0, done.stdout + done.stderr
    rows: dict[str, list[int]] = json.loads(done.stdout.splitlines()[-1])
    return rows


def test_every_row_is_there_in_order() -> None:
    assert list(table()) == list(ROWS)


def test_a_row_names_the_tests_that_are_marked_with_it_and_each_has_one(marked: dict[int, set[str]]) -> None:
    named = {number: set(_TEST.findall(cell)) for number, cell in table().items()}
    assert named == marked
