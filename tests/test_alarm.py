"""What hangs is broken off, once, and is nothing but this test's failure."""

import asyncio
import threading
from collections.abc import Callable

import pytest
import uvloop
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.alarm import HungError, limited
from tests.conftest import _LIMIT


def test_every_test_has_a_limit(request: pytest.FixtureRequest) -> None:
    assert request.node.stash[_LIMIT] > 0


def test_hypothesis_does_not_try_again_what_hangs() -> None:
    tried = 0

    @settings(database=None)
    @given(st.integers())
    def hangs(_: int) -> None:
        nonlocal tried
        tried += 1
        threading.Event().wait(60)

    with pytest.raises(HungError), limited(0.05):
        hangs()
    assert tried == 1


@pytest.mark.parametrize("make", [asyncio.new_event_loop, uvloop.new_event_loop])
@pytest.mark.parametrize("busy", [False, True])
def test_a_loop_is_broken_off(make: Callable[[], asyncio.AbstractEventLoop], busy: bool) -> None:  # noqa: FBT001  parametrised
    def spin() -> None:
        while True:
            pass

    async def hangs() -> None:
        if busy:
            asyncio.get_running_loop().call_soon(spin)
        await asyncio.Event().wait()

    with pytest.raises(HungError), limited(0.05), asyncio.Runner(loop_factory=make) as runner:
        runner.run(hangs())


def test_a_block_leaves_the_one_around_it_what_is_left_of_its_time() -> None:
    def hangs() -> None:
        with limited(60):
            pass
        while True:
            pass

    with pytest.raises(HungError, match=r"more than 0\.05 s"), limited(0.05):
        hangs()


def test_what_other_threads_do_is_told() -> None:
    leave = threading.Event()
    other = threading.Thread(target=leave.wait, name="the other one")
    other.start()
    with pytest.raises(HungError) as hung, limited(0.05):
        threading.Event().wait(60)
    leave.set()
    other.join()
    assert hung.value.__cause__ is not None
    assert any("the other one" in note for note in hung.value.__cause__.__notes__)
