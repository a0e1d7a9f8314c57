"""What all tests share: those marked `real` run only where a real store is named, and none goes on for ever.

pytest-timeout knows how long a test may take; what happens then stands here. Its own alarm may go off between the phases of a
test, in a hook of pytest's, and ends the whole run there; and what it raises is taken by Hypothesis for a failure that is to be
tried again, which hangs once more, with no alarm left.
"""

import os
import signal
from collections.abc import Generator
from typing import Protocol

import pytest
from hypothesis import settings

from tests.alarm import limited

ENDPOINT = "ASYNCMIRROR_TEST_ENDPOINT"
_LIMIT = pytest.StashKey[float]()

# A shell that starts the suite in the background has it ignore Ctrl-C, and with it every process that a test starts.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# Hypothesis's own limit of 200 ms for an example tells how busy the machine is; what hangs, the alarm ends.
settings.register_profile("unhurried", deadline=None)
settings.load_profile("unhurried")


class Limits(Protocol):
    """What pytest-timeout found out about a test."""

    @property
    def timeout(self) -> float:
        """Seconds."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if os.environ.get(ENDPOINT):
        return
    skip = pytest.mark.skip(reason=f"no real store: {ENDPOINT} is not set (scripts/test --real sets it)")
    for item in items:
        if "real" in item.keywords:
            item.add_marker(skip)


def pytest_timeout_set_timer(item: pytest.Item, settings: Limits) -> bool:
    """In the place of pytest-timeout's own: note the limit, for each of the phases."""
    item.stash[_LIMIT] = settings.timeout
    return True


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> Generator[None]:
    with limited(item.stash.get(_LIMIT, 0.0)):
        yield


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None]:
    with limited(item.stash.get(_LIMIT, 0.0)):
        yield


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_teardown(item: pytest.Item) -> Generator[None]:
    with limited(item.stash.get(_LIMIT, 0.0)):
        yield
