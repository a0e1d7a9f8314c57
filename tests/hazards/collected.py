"""``python -m tests.hazards.collected``: collects the tests and prints, as JSON, which of them show which rows.

The last line is ``{"file::name": [row, …]}``: every test with the mark, parameters left out.
"""

import json
import sys

import pytest


class Collector:
    """Notes the rows of each test."""

    def __init__(self) -> None:
        self.rows: dict[str, list[int]] = {}

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        for item in items:
            for mark in item.iter_markers("hazard"):
                self.rows.setdefault(item.nodeid.partition("[")[0], []).extend(mark.args)


def main() -> int:
    collector = Collector()
    code = pytest.main(["--collect-only", "-q", "-m", "hazard"], plugins=[collector])
    sys.stdout.write("\n" + json.dumps({test: sorted(set(rows)) for test, rows in collector.rows.items()}) + "\n")
    return int(code)


if __name__ == "__main__":
    sys.exit(main())
