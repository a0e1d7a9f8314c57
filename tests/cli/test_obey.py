"""A mirror that obeys: every command over its socket, and what is told of it. Only the `sync` around it is a stand-in."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from asyncmirror.cli import logs
from asyncmirror.cli.fold import State
from asyncmirror.cli.gather import Invocation, Output
from asyncmirror.cli.obey import Obeying
from asyncmirror.engine.asking import ask
from asyncmirror.engine.mirror import Mirror
from asyncmirror.errors import UsageError
from asyncmirror.events import Event, Notice, Steered
from asyncmirror.journal.lock import holder
from asyncmirror.plan.schedule import Every, Schedule
from asyncmirror.settings import Settings
from asyncmirror.sizes import MIB
from tests.engine.house import House


class Around:
    """What `sync` is to it."""

    def __init__(self) -> None:
        self.state = State()
        self.ending = "no"
        self.told: list[Event] = []
        self.reloads: list[bool] = []
        self.schedule: Schedule | None = None
        self.after = asyncio.Event()

    def end(self, *, at_once: bool) -> None:
        self.ending = "stop" if at_once else "drain"

    def tell(self, event: Event) -> Iterable[Awaitable[None]]:
        self.told.append(event)
        return (self._later(),)

    async def _later(self) -> None:
        self.after.set()

    def reschedule(self, schedule: Schedule) -> None:
        self.schedule = schedule

    def reloading(self, *, done: bool) -> None:
        self.reloads.append(done)

    @property
    def changes(self) -> list[tuple[str, str, str]]:
        return [(event.what, event.before, event.after) for event in self.told if isinstance(event, Steered)]


class Obeyed:
    """A mirror that is open, and whoever talks to it."""

    def __init__(self, mirror: Mirror, obeying: Obeying, around: Around, settings: Settings) -> None:
        self.mirror, self.obeying, self.around, self.settings = mirror, obeying, around, settings
        self._journal = settings.journal or Path()

    async def do(self, command: str, **more: object) -> Mapping[str, object]:
        process = holder(self._journal)
        assert process is not None
        answer = await asyncio.to_thread(ask, process, self._journal, {"do": command, **more})
        assert isinstance(answer, Mapping)
        return answer

    async def refused(self, command: str, **more: object) -> str:
        with pytest.raises(UsageError) as caught:
            await self.do(command, **more)
        return str(caught.value)


@asynccontextmanager
async def obeyed(tmp_path: Path, reread: Callable[[], Invocation] | None = None) -> AsyncIterator[Obeyed]:
    house, around = House(tmp_path), Around()
    asked = Invocation(house.settings, Output(), watch=Every(900), reread=reread)
    async with Mirror(house.settings, house.store) as mirror, Obeying(around, asked) as obeying:
        await obeying.opened(mirror)
        yield Obeyed(mirror, obeying, around, house.settings)


async def test_all_knobs_or_none_are_turned(tmp_path: Path) -> None:
    async with obeyed(tmp_path) as it:
        assert await it.do("set", knobs={"concurrency": "5", "max-memory": "65MiB"}) == {
            "concurrency": {"before": "8", "after": "5"},
            "max-memory": {"before": "64MiB", "after": "65MiB"},
        }
        assert (it.mirror.tuning.concurrency, it.mirror.tuning.max_memory) == (5, 65 * MIB)
        assert it.around.changes == [("concurrency", "8", "5"), ("max-memory", "64MiB", "65MiB")]
        now = it.mirror.tuning
        assert "no size" in await it.refused("set", knobs={"concurrency": "6", "max-memory": "5"})
        assert "must be from" in await it.refused("set", knobs={"max-memory": "66MiB", "concurrency": "5000"})
        assert it.mirror.tuning is now
        assert "no knob is given" in await it.refused("set", knobs={})
        assert "no knob is given" in await it.refused("set", knobs={"concurrency": 5})
        assert "no knob is given" in await it.refused("set")


async def test_a_pause_is_told_once(tmp_path: Path) -> None:
    async with obeyed(tmp_path) as it:
        assert await it.do("pause") == {"paused": {"before": "no", "after": "yes"}}
        assert await it.do("pause") == {"paused": {"before": "yes", "after": "yes"}}
        assert it.mirror.progress().paused
        assert await it.do("resume") == {"paused": {"before": "yes", "after": "no"}}
        assert not it.mirror.progress().paused
        assert it.around.changes == [("paused", "no", "yes"), ("paused", "yes", "no")]
        assert it.around.after.is_set()


async def test_it_ends_once_and_then_at_once(tmp_path: Path) -> None:
    async with obeyed(tmp_path) as it:
        assert await it.do("drain") == {"ending": {"before": "no", "after": "drain"}}
        assert await it.do("drain") == {"ending": {"before": "drain", "after": "drain"}}
        assert "is ending already" in await it.refused("pause")
        assert await it.do("stop") == {"ending": {"before": "drain", "after": "stop"}}
        assert it.around.ending == "stop"


async def test_the_log_s_level_is_turned(tmp_path: Path) -> None:
    root = logging.getLogger()
    before = root.handlers[:], root.level
    try:
        logs.configure("warning", logs.Redactor({}))
        async with obeyed(tmp_path) as it:
            assert await it.do("log-level", level="debug") == {"log-level": {"before": "warning", "after": "debug"}}
            assert root.level == logging.DEBUG
            assert "'loud' is not known" in await it.refused("log-level", level="loud")
            assert "is not known" in await it.refused("log-level", level=["debug"])
    finally:
        root.handlers[:], level = before
        root.setLevel(level)


async def test_a_file_is_read_again_when_told_and_at_a_hangup(tmp_path: Path) -> None:
    asked: list[Settings | UsageError] = []

    def reread() -> Invocation:
        found = asked.pop(0)
        if isinstance(found, UsageError):
            raise found
        return Invocation(found, Output(), watch=Every(60))

    async with obeyed(tmp_path, reread) as it:
        settings = it.settings
        tuning = replace(settings.tuning, max_memory=99 * MIB, max_attempts=7)
        asked += [replace(settings, tuning=tuning), UsageError("broken"), UsageError("broken")]
        said = "the mirror file was read again: from the next start on holds what it says of max-attempts"
        assert await it.do("reload") == {"reload": said}
        assert it.mirror.tuning.max_memory == 99 * MIB
        assert it.mirror.tuning.max_attempts == settings.tuning.max_attempts
        assert it.around.changes == [("max-memory", "64MiB", "99MiB"), ("watch", "15m", "1m")]
        assert it.around.schedule == Every(60)
        assert "broken" in await it.refused("reload")
        it.around.after.clear()
        it.obeying.hung_up()
        await it.around.after.wait()
        assert it.around.told[-1] == Notice("SIGHUP: nothing is changed: broken")
        assert it.around.reloads == [False, True] * 3


async def test_without_a_file_a_hangup_is_told_and_nothing_else(tmp_path: Path) -> None:
    async with obeyed(tmp_path) as it:
        it.obeying.hung_up()
        await it.around.after.wait()
        assert it.around.told == [
            Notice("SIGHUP: nothing is changed: there is no mirror file to be read again; the run goes on")
        ]


async def test_a_hangup_before_the_mirror_is_open_is_nothing(tmp_path: Path) -> None:
    around = Around()
    async with Obeying(around, Invocation(House(tmp_path).settings, Output())) as obeying:
        obeying.hung_up()
    assert not around.told
