"""What all tests share: those marked `real` run only where a real store is named."""

import os

import pytest

ENDPOINT = "ASYNCMIRROR_TEST_ENDPOINT"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if os.environ.get(ENDPOINT):
        return
    skip = pytest.mark.skip(reason=f"no real store: {ENDPOINT} is not set (scripts/test --real sets it)")
    for item in items:
        if "real" in item.keywords:
            item.add_marker(skip)
