"""Runs by a schedule. The clocks are the test's, and so is the time that is waited for; all else is real."""

import asyncio
import os
import sqlite3
from collections.abc import AsyncGenerator, Callable
from dataclasses import replace
from datetime import UTC, time
from pathlib import Path
from types import SimpleNamespace

import pytest

from asyncmirror.engine.mirror import Mirror
from asyncmirror.engine.watch import clocks, watch
from asyncmirror.errors import (
    AsyncmirrorError,
    JournalDiskError,
    JournalError,
    SourceGoneError,
    ThrottledError,
    UnreachableError,
)
from asyncmirror.events import Event, Notice, Started, Summary, Waiting
from asyncmirror.model import Outcome
from asyncmirror.plan.schedule import At, Every, Moment
from asyncmirror.settings import Secrets
from tests.engine.house import House, Sent, Watched

EVERY = Every(60)


class Clocked(Mirror):
    """A mirror whose waits take no time: they move the clocks. It ends when it has had so many runs."""

    runs = 3
    elapsed = 0.0
    asleep: Callable[[], float] = staticmethod(lambda: 0.0)

    def clocks(self) -> Moment:
        return Moment(1_800_000_000 + self.elapsed, self.elapsed)

    async def run(self) -> AsyncGenerator[Event, None]:
        self.runs -= 1
        async for event in super().run():
            yield event
        self.elapsed += 1

    async def wait(self, seconds: float) -> bool:
        self.elapsed += seconds + self.asleep()
        if not self.runs and not seconds:
            self.drain()
        return await super().wait(0)


async def watched(mirror: Clocked) -> list[Event]:
    async with mirror:
        return [event async for event in watch(mirror, lambda: EVERY, clocks=mirror.clocks)]


def waits(events: list[Event]) -> list[float]:
    return [event.until - 1_800_000_000 for event in events if isinstance(event, Waiting)]


async def test_runs_begin_by_the_schedule_until_the_mirror_ends(house: House) -> None:
    house.write("a", b"1")
    events = await watched(Clocked(house.settings, house.store))
    assert [type(event).__name__ for event in events if isinstance(event, (Started, Summary, Waiting))] == [
        *("Started", "Summary", "Waiting"),
        *("Started", "Summary", "Waiting"),
        *("Started", "Summary"),
    ]
    assert waits(events) == [60, 120]


async def test_a_schedule_that_becomes_another_holds_from_then_on(house: House) -> None:
    mirror = Clocked(house.settings, house.store)
    mirror.runs = 4
    async with mirror:
        every = lambda: Every(60) if mirror.elapsed < 70 else Every(3600)  # noqa: E731  it is short
        events = [event async for event in watch(mirror, every, clocks=mirror.clocks)]
    assert waits(events) == [60, 120, 3600, 7200]


async def test_a_machine_that_slept_makes_up_for_it_once(house: House) -> None:
    mirror = Clocked(house.settings, house.store)
    naps = iter([3600.0])
    mirror.asleep = lambda: next(naps, 0.0) if mirror.elapsed > 10 else 0.0
    events = await watched(mirror)
    assert waits(events) == [60, 3660]


class Away(Clocked):
    """The first runs but one can't begin, or not go on."""

    faults: tuple[AsyncmirrorError | None, ...] = ()

    async def run(self) -> AsyncGenerator[Event, None]:
        self.runs -= 1
        fault, *faults = self.faults or (None,)
        self.faults = tuple(faults)
        if fault is not None:
            raise fault
        async for event in Mirror.run(self):
            yield event


async def test_what_fails_is_told_and_tried_again_later_and_later(house: House) -> None:
    away = UnreachableError("no connection", op="PutObject")
    mirror = Away(house.settings, house.store)
    mirror.runs, mirror.faults = 6, (None, away, JournalDiskError("no space"), away, None)
    events = await watched(mirror)
    told = [event.why for event in events if isinstance(event, Waiting)]
    assert told == ["", "PutObject: no connection", "no space", "PutObject: no connection", ""]
    assert waits(events) == [60, 65, 75, 95, 120]
    assert [isinstance(event, Waiting) for event in events[:3]] == [False, False, True]


async def test_a_journal_that_is_damaged_ends_it(house: House) -> None:
    mirror = Away(house.settings, house.store)
    mirror.faults = (None, JournalError("the journal is damaged"))
    with pytest.raises(JournalError, match="damaged"):
        await watched(mirror)


async def test_while_it_is_paused_no_run_begins(house: House) -> None:
    mirror = Clocked(house.settings, house.store)
    mirror.runs = 2

    def asleep() -> float:
        if mirror.elapsed > 500:
            mirror.resume()
        elif mirror.elapsed > 10:
            mirror.pause()
        return 0.0

    mirror.asleep = asleep
    events = await watched(mirror)
    assert waits(events) == [60]
    assert mirror.elapsed > 500


async def test_a_mirror_that_waits_ends_at_once_when_it_is_told_to(house: House) -> None:
    async with Mirror(house.settings, house.store) as mirror, asyncio.timeout(20):
        async for event in mirror.watch(lambda: Every(86400)):
            if isinstance(event, Waiting):
                assert mirror.progress().waiting == event
                assert not mirror.progress().running
                asyncio.get_running_loop().call_soon(mirror.drain)
    assert mirror.waiting is not None
    assert mirror.waiting.until > clocks().wall + 86000


async def test_a_clock_that_was_put_right_is_noticed_while_it_waits(house: House) -> None:
    mirror = Clocked(house.settings, house.store)
    mirror.runs, wrong = 2, [4 * 366 * 86400.0, 0.0]

    def clocks() -> Moment:
        return mirror.clocks()._replace(wall=mirror.clocks().wall + wrong[0])

    def asleep() -> float:
        wrong[:] = wrong[-1:]
        return 0.0

    mirror.asleep = asleep
    async with mirror, asyncio.timeout(20):
        schedule = At((time(2),))
        events = [event async for event in watch(mirror, lambda: schedule, clocks=clocks, zone=UTC)]
    assert mirror.elapsed < 86500
    first, second = waits(events)
    assert first - second > 3 * 366 * 86400


class Silent(Watched):
    """Says nothing when it is asked whether it is there."""

    silent = False
    asked: Callable[[], None] = staticmethod(lambda: None)

    async def check_bucket(self, prefix: str) -> None:
        self.asked()
        if self.silent:
            await asyncio.Event().wait()
        await super().check_bucket(prefix)


async def test_a_run_that_has_not_begun_yet_ends_when_it_is_told_to(house: House) -> None:
    store = Silent()
    async with Mirror(house.settings, store) as mirror, asyncio.timeout(20):
        assert [event async for event in mirror.run()]
        store.silent, store.asked = True, mirror.drain
        assert [event async for event in mirror.run()] == []


async def test_a_journal_that_was_replaced_is_not_written_to(house: House) -> None:
    journal = house.root.with_name("journal.sqlite")
    kept = journal.with_name("kept")
    async with Mirror(house.settings, house.store) as mirror:
        assert [event async for event in mirror.run()]
        journal.rename(kept)
        for copy in (None, b"another"):
            if copy:
                journal.write_bytes(copy)
            with pytest.raises(JournalDiskError, match="the journal was moved, removed or replaced while it was in use"):
                await anext(mirror.run())
        kept.replace(journal)
        assert [event async for event in mirror.run()]


async def test_another_file_system_in_the_same_place_is_known_though_its_numbers_are_the_same(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = house.write("a", b"1")
    async with Mirror(house.settings, house.store) as mirror:
        assert [event async for event in mirror.run()]
        path.rename(house.root / "b")
        monkeypatch.setattr(os, "fstatvfs", lambda _: SimpleNamespace(f_fsid=42))
        with pytest.raises(SourceGoneError, match="nothing of what was mirrored from there is in it"):
            await anext(mirror.run())


async def test_refusals_are_counted_from_the_beginning_of_each_run(house: House) -> None:
    refusals = [ThrottledError("slow down", op="PutObject", status=503)]

    def before(sent: Sent) -> None:
        if sent.op == "PutObject" and refusals:
            raise refusals.pop()

    house.store.before = before
    house.write("a", b"1")
    async with Mirror(house.settings, house.store) as mirror:
        counts = []
        for _ in range(2):
            assert [event async for event in mirror.run()]
            counts.append(mirror.progress().flight.refused)
    assert counts == [1, 0]


async def test_a_run_that_a_secret_ended_turns_nobody_away_in_the_next(house: House) -> None:
    house.write("id_rsa", b"x")
    settings = replace(house.settings, secrets=Secrets.STOP, public=True)
    async with Mirror(settings, house.store) as mirror, asyncio.timeout(20):
        events = [event async for event in mirror.run()]
        assert isinstance(events[-1], Summary)
        assert events[-1].error
        house.root.joinpath("id_rsa").unlink()
        house.write("a", b"1")
        refusals = [ThrottledError("slow down", op="PutObject", status=503)]

        def before(sent: Sent) -> None:
            if sent.op == "PutObject" and refusals:
                raise refusals.pop()

        house.store.before = before
        last = [event async for event in mirror.run()][-1]
    assert isinstance(last, Summary)
    assert last.exit_code == 0
    assert house.bucket() == house.tree()


async def test_an_emptied_mount_is_no_tree_without_files(house: House) -> None:
    house.write("d/a", b"1")
    async with Mirror(house.settings, house.store) as mirror:
        events = mirror.watch(lambda: Every(1))
        told: list[str] = []
        mount = house.root.with_name("unmounted")
        async for event in events:
            if isinstance(event, Summary):
                assert event.counts.get(Outcome.COMPLETE, 0) + event.counts.get(Outcome.UNCHANGED, 0) == 1
            if isinstance(event, Waiting):
                told.append(event.why)
                if len(told) == 1:
                    house.root.rename(mount)
                    house.root.mkdir()
                elif len(told) == 2:
                    house.root.rmdir()
                    mount.rename(house.root)
                else:
                    mirror.drain()
    assert told[0] == told[2] == ""
    assert told[1].endswith(
        "the source is not there: nothing of what was mirrored from there is in it"
        " (is it mounted? Nothing was looked at, and nothing on record is touched)"
    )


async def test_a_process_does_not_begin_with_a_source_that_is_empty_though_files_of_it_are_on_record(house: House) -> None:
    path = house.write("a", b"1")
    async with Mirror(house.settings, house.store) as mirror:
        assert [event async for event in mirror.run()]
    path.rename(house.root.with_name("away"))
    with pytest.raises(SourceGoneError, match="the source is empty, and the journal has files of it") as raised:
        await Mirror(house.settings, house.store).__aenter__()
    assert raised.value.exit_code == 4
    house.write("b", b"2")
    async with Mirror(house.settings, house.store) as mirror:
        notices = [event.text async for event in mirror.run() if isinstance(event, Notice)]
    assert any("It is mirrored as it is now" in text for text in notices)


async def test_a_source_that_was_emptied_where_it_stands_is_looked_at(house: House) -> None:
    house.write("a", b"1").unlink()
    path = house.write("a", b"1")
    async with Mirror(house.settings, house.store) as mirror:
        runs = [[event async for event in mirror.run()]]
        path.unlink()
        runs.append([event async for event in mirror.run()])
    last = runs[1][-1]
    assert isinstance(last, Summary)
    assert (last.exit_code, sum(last.counts.values())) == (0, 0)


async def test_a_full_disk_ends_a_run_and_the_next_one_goes_on_when_there_is_room(house: House, tmp_path: Path) -> None:
    for n in range(5):
        house.write(f"f{n}", b"x" * n)
    async with Mirror(house.settings, house.store) as mirror:
        journal = mirror._journal
        house.write("first", b"")
        [_ async for _ in mirror.run()]
        for n in range(500):
            house.write(f"d{n}/f", b"y")
        journal.ask(lambda c: c.execute("PRAGMA max_page_count = 1")).result(10)  # as a full disk: no page can be added
        events = [event async for event in mirror.run()]
        ended = events[-1]
        assert isinstance(ended, Summary)
        assert (ended.exit_code, "no space left for the journal" in ended.error) == (4, True)
        failures = [mirror.failure]
        again = [event async for event in mirror.run()][-1]
        assert isinstance(again, Summary)
        assert again.exit_code == 0
        failures.append(mirror.failure)
    assert house.bucket() == house.tree()
    with sqlite3.connect(tmp_path / "journal.sqlite") as connection:
        found = connection.execute("SELECT ended IS NOT NULL, json_extract(summary, '$.exit_code') FROM run").fetchall()
        (known,) = connection.execute("SELECT count(*) FROM object").fetchone()
    connection.close()
    assert [type(failure) for failure in failures] == [JournalDiskError, type(None)]
    assert found == [(1, 0), (1, 4), (1, 0)]
    assert known == 506
