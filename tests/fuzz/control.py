"""What reaches a running process over its socket, and what it sends to somebody who looks on."""

import asyncio
import contextlib
import io
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from asyncmirror.cli import frame
from asyncmirror.cli.fold import State
from asyncmirror.cli.gather import Invocation, Output
from asyncmirror.cli.obey import Obeying
from asyncmirror.cli.screen import Lines
from asyncmirror.engine.mirror import Mirror
from asyncmirror.events import Event, Flight, Notice, Progress, Settled, Started, Steered, Summary, Transfer, Waiting
from asyncmirror.model import Outcome
from asyncmirror.plan.schedule import Schedule
from asyncmirror.rates import Pace
from tests.engine.house import House
from tests.fuzz.pure import VALUES, replaced
from tests.fuzz.target import Run, Target, in_pieces, looping, mutated

_STARTED = Started("/tree", "s3://b", "/j", resumed=False)
_PROBLEMS = (Settled(b"\xff", "key", Outcome.FAILED, 5, "why"),)
_SUMMARY = Summary({Outcome.FAILED: 1}, {Outcome.FAILED: 5}, 5, 6, 7, 8.5, 1)
STATE = State(_STARTED, ("a notice",), _PROBLEMS, 1, _SUMMARY, Waiting(1.5, "why"), 3)
PROGRESS = Progress(settled={Outcome.FAILED: 1}, slowest=(Transfer(b"\xff", 1, 2, 0.5),), flight=Flight(1, 2, 3))
_SAMPLE = json.dumps(frame.to_plain(STATE, PROGRESS))

_KNOBS = st.sampled_from(["concurrency", "bwlimit", "max-memory", "max-requests-per-second", "loops", "", "\x00"])
_TEXTS = st.sampled_from(["1", "0", "-1", "4096", "64MiB", "off", "auto", "08:00,1MiB", "9" * 5000, "", "\udcff"])
_REQUESTS = st.one_of(
    st.fixed_dictionaries({"do": st.just("set"), "knobs": st.dictionaries(_KNOBS, _TEXTS, max_size=3) | VALUES}),
    st.fixed_dictionaries({"do": st.just("log-level"), "level": st.sampled_from(["error", "loud"]) | VALUES}),
    st.fixed_dictionaries({"do": st.just("status"), "most": st.integers() | VALUES}),
    st.fixed_dictionaries({"do": st.sampled_from(["pause", "resume", "drain", "stop", "reload", "top", ""]) | VALUES}),
    VALUES,
)
_LINES = _REQUESTS.map(lambda request: json.dumps(request).encode() + b"\n")


class _Syncing:
    """A `sync` that goes on, whatever it is told."""

    state = STATE
    ending = "no"

    def end(self, *, at_once: bool) -> None:
        """Not now."""

    def tell(self, event: Event) -> Iterable[Awaitable[None]]:
        """Whoever follows."""
        assert isinstance(event, Notice | Steered)
        return ()

    def reschedule(self, schedule: Schedule) -> None:
        """There is none."""

    def reloading(self, *, done: bool) -> None:
        """There is no file."""


@asynccontextmanager
async def _running(work: Path) -> AsyncIterator[str]:
    house = House(work)
    asked = Invocation(house.settings, Output())
    async with Mirror(house.settings, house.store) as mirror, Obeying(_Syncing(), asked) as obeying:
        await obeying.opened(mirror)
        yield str(house.settings.journal) + ".control/socket"


@contextmanager
def _socket(work: Path) -> Iterator[Callable[[list[bytes]], None]]:
    with looping() as run:
        running = _running(work)
        path = run(running.__aenter__())
        try:
            yield lambda pieces: run(_talk(path, pieces))
        finally:
            _leave(run, running)


def _leave(run: Run[Any], running: contextlib.AbstractAsyncContextManager[str]) -> None:
    run(running.__aexit__(None, None, None))


async def _talk(path: str, pieces: list[bytes]) -> None:
    """Whatever is said, each line of the answer is JSON, and the next who asks is answered."""
    line = await _said(path, pieces)
    if line:
        json.loads(line)
    status = json.loads(await _said(path, [b'{"do": "status", "most": 5}\n']))
    assert status["report"][1] == "s3://bucket/pre"
    assert 1 <= int(status["live"]["knobs"]["concurrency"]) <= 4096


async def _said(path: str, pieces: list[bytes]) -> bytes:
    """The first line of the answer."""
    reader, writer = await asyncio.open_unix_connection(path, limit=1 << 20)
    try:
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
        writer.write_eof()
        return await reader.readline()
    except ConnectionError:
        return b""
    finally:
        writer.close()


@contextmanager
def _screen(_: Path) -> Iterator[Callable[[bytes], None]]:
    def check(text: bytes) -> None:
        try:
            found = frame.from_plain(json.loads(text))
        except (ValueError, KeyError, TypeError, RecursionError):
            return
        said, screen = io.StringIO(), Lines(0.0)
        with contextlib.redirect_stderr(said):
            screen.refresh(found.state, found.progress, Pace().observe(found.progress))
            screen.end(found.state._replace(waiting=None))  # between two runs there is no end
        assert all(line.isprintable() for line in said.getvalue().split("\n")), said.getvalue()

    yield check


TARGETS: tuple[Target[Any], ...] = (
    Target("control", in_pieces(_LINES | mutated(_LINES) | st.binary(max_size=30)), _socket, 60),
    Target("frame", replaced(_SAMPLE) | mutated(st.just(_SAMPLE.encode())), _screen, 60),
)
