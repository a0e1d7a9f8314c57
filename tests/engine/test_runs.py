"""Several runs of one mirror that stays open."""

import asyncio
import gc
import json
import os
import shutil
import threading
import weakref
from dataclasses import replace
from pathlib import Path

import pytest

from asyncmirror.engine.mirror import Mirror
from asyncmirror.errors import SourceGoneError
from asyncmirror.events import Event, Settled
from asyncmirror.model import Outcome
from tests.engine.house import PART, TUNING, House, Ran


def threads() -> list[str]:
    """Ours; the loop's own pool grows as it likes, up to its limit."""
    return sorted(thread.name for thread in threading.enumerate() if not thread.name.startswith("asyncio"))


async def once(mirror: Mirror) -> Ran:
    return Ran([event async for event in mirror.run()])


async def test_each_run_sees_the_tree_as_it_is_and_tells_of_itself_alone(house: House) -> None:
    house.write("a", b"1")
    house.write("d/b", b"22")
    async with Mirror(house.settings, house.store) as mirror:
        assert not mirror.progress().running
        first = await once(mirror)
        house.write("d/b", b"333")
        house.write("c", b"4444")
        second = await once(mirror)
        third = await once(mirror)
        last = mirror.progress()
    assert [first.count(Outcome.COMPLETE), second.count(Outcome.COMPLETE), third.count(Outcome.COMPLETE)] == [2, 2, 0]
    assert [ran.summary.bytes_sent for ran in (first, second, third)] == [3, 7, 0]
    assert [ran.summary.requests for ran in (first, second, third)] == [3, 3, 1]
    assert third.unchanged == {b"a", b"c", b"d/b"}
    assert house.bucket() == house.tree()
    assert not last.running
    assert (last.scanned, last.bytes_sent, last.settled[Outcome.UNCHANGED]) == (3, 0, 3)
    assert last.seconds == pytest.approx(third.summary.seconds, abs=0.5)


async def test_each_run_has_its_row_in_the_journal(house: House) -> None:
    house.write("a", b"1")
    async with Mirror(house.settings, house.store) as mirror:
        started = [(await once(mirror)).events[0] for _ in range(2)]
        rows = mirror._journal.ask(lambda c: c.execute("SELECT ended IS NOT NULL, summary FROM run").fetchall()).result(10)
    assert [getattr(event, "resumed", None) for event in started] == [False, True]
    assert [(ended, json.loads(summary)["complete"], json.loads(summary)["unchanged"]) for ended, summary in rows] == [
        (1, 1, 0),
        (1, 0, 1),
    ]


async def test_the_root_is_opened_anew_for_each_run(house: House) -> None:
    house.write("a", b"old")
    async with Mirror(house.settings, house.store) as mirror:
        await once(mirror)
        moved = house.root.with_name("moved")
        house.root.rename(moved)
        with pytest.raises(SourceGoneError, match="does not exist"):
            await once(mirror)
        assert isinstance(mirror.failure, SourceGoneError)
        house.write("a", b"another")
        ran = await once(mirror)
        assert ran.outcome(b"a") is Outcome.COMPLETE
        shutil.rmtree(moved)
        moved.joinpath("x").mkdir(parents=True)
    assert house.bucket() == {"pre/a": b"another"}


async def test_runs_leave_no_descriptor_and_no_thread_behind(house: House) -> None:
    for n in range(20):
        house.write(f"d{n}/f", b"x")
    async with Mirror(house.settings, house.store) as mirror:
        await once(mirror)
        before = len(os.listdir("/proc/self/fd")), threads()
        for n in range(3):
            house.write(f"d{n}/f", b"yy")
            await once(mirror)
        assert (len(os.listdir("/proc/self/fd")), threads()) == before


async def test_a_run_that_is_over_keeps_no_buffers(house: House) -> None:
    house.write("large", bytes(3 * PART))
    async with Mirror(house.settings, house.store) as mirror:
        stages = [weakref.ref(mirror._run._stages) async for _ in mirror.run() if mirror._run is not None]
        async with asyncio.timeout(20):
            while stages[0]() is not None:  # a thread that did something for it may not have let go yet
                gc.collect()
                await asyncio.sleep(0)
        assert mirror.progress().bytes_sent == 3 * PART


async def test_after_a_drain_no_run_begins_anything(house: House, tmp_path: Path) -> None:
    house.write("a", b"1")
    async with Mirror(house.settings, house.store) as mirror:
        await once(mirror)
        house.write("b", b"2")
        mirror.drain()
        assert [event async for event in mirror.run()] == []
    assert sorted(house.bucket()) == ["pre/a"]
    assert sorted(os.listdir(tmp_path)) == ["journal.sqlite", "journal.sqlite.lock", "tree"]


async def test_a_source_that_goes_away_ends_the_run_that_meets_it(house: House) -> None:
    for n in range(300):
        house.write(f"d{n:03}/f", b"x" * 100)
    moved = house.root.with_name("moved")

    def watch(_: Mirror, event: Event) -> None:
        if isinstance(event, Settled) and house.root.exists() and not moved.exists():
            house.root.rename(moved)  # as a file system that is unmounted while somebody has it open
            house.root.mkdir()
            for n in range(300):
                moved.joinpath(f"d{n:03}", "f").unlink()

    ran = await house.run(house.options(tuning=replace(TUNING, concurrency=1)), watch=watch)
    assert ran.summary.exit_code == 4
    assert "the source is not there: another directory is in its place" in ran.summary.error
    assert not ran.count(Outcome.FAILED)
    shutil.rmtree(house.root)
    moved.rename(house.root)
    for n in range(300):
        house.write(f"d{n:03}/f", b"x" * 100)
    again = await house.run()
    assert again.summary.exit_code == 0
    assert house.bucket() == house.tree()


async def test_entries_that_vanish_are_no_source_that_is_gone(house: House) -> None:
    for n in range(300):
        house.write(f"d{n:03}/f", b"x" * 100)

    def watch(_: Mirror, event: Event) -> None:
        if isinstance(event, Settled):
            for n in range(300):
                house.root.joinpath(f"d{n:03}", "f").unlink(missing_ok=True)

    ran = await house.run(house.options(tuning=replace(TUNING, concurrency=1)), watch=watch)
    assert (ran.summary.exit_code, ran.summary.error) in ((3, ""), (0, ""))
