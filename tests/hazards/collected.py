"""``python -m tests.hazards.collected``: collects the tests and prints, as JSON, which of them show which rows.

The last line is ``{"file::name": [row, …]}``: every test with the mark, parameters left out.
"""

import json
import sys
from collections.abc import Iterable

import pytest

WHOLE = pytest.StashKey[dict[str, list[int]]]()
"""The rows of each test, where all tests were collected."""


def rows_of(items: Iterable[pytest.Item]) -> dict[str, list[int]]:
    """The rows of each test with the mark, in order."""
    rows: dict[str, set[int]] = {}
    for item in items:
        for mark in item.iter_markers("hazard"):
            rows.setdefault(item.nodeid.partition("[")[0], set()).update(mark.args)
    return {test: sorted(numbers) for test, numbers in rows.items()}


class Collector:
    """Notes the rows of each test."""

    def __init__(self) -> None:
        self.rows: dict[str, list[int]] = {}

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        self.rows = rows_of(items)


def main() -> int:
    collector = Collector()
    code = pytest.main(["--collect-only", "-q", "-m", "hazard"], plugins=[collector])
    sys.stdout.write("\n" + json.dumps(collector.rows) + "\n")
    return int(code)


if __name__ == "__main__":
    sys.exit(main())
