"""Looking on: frames there and back, and a screen that is fed from a socket. Server and client are real."""

import asyncio
import contextlib
import io
import json
import os
import socket
import threading
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from asyncmirror.cli import frame, top
from asyncmirror.cli.fold import State, fold
from asyncmirror.cli.running import Running
from asyncmirror.cli.screen import Lines
from asyncmirror.engine.control import Control, Peer, Request
from asyncmirror.engine.endpoint import listening
from asyncmirror.errors import ProcessError
from asyncmirror.events import Flight, Notice, Progress, Settled, Started, Summary, Transfer, Waiting
from asyncmirror.journal.lock import Holder, Lock
from asyncmirror.model import Outcome
from asyncmirror.rates import Pace

HOSTILE = b"\x1b[2J\n\xff"
SUMMARY = Summary({Outcome.FAILED: 1, Outcome.COMPLETE: 2}, {Outcome.COMPLETE: 5}, 5, 6, 7, 8.5, 1)
STATE = State(
    Started("/src\x1b", "s3://b", "/j", resumed=True),
    tuple(f"notice {n}" for n in range(30)),
    (Settled(HOSTILE, "key", Outcome.FAILED, 7, "no\n"),),
    3,
    SUMMARY,
    Waiting(1e9, "why"),
    forgotten=5,
)
PROGRESS = Progress(
    scanned=5,
    settled={Outcome.COMPLETE: 2},
    slowest=(Transfer(HOSTILE, 1, 2, 3.5),),
    flight=Flight(1, 2, 3),
    waiting=Waiting(1e9, "why"),
)


def test_a_frame_comes_out_as_it_went_in_but_for_old_notices() -> None:
    found = frame.from_plain(json.loads(json.dumps(frame.to_plain(STATE, PROGRESS, over=True))))
    assert found.progress == PROGRESS
    assert found.state == STATE._replace(notices=STATE.notices[10:], forgotten=15)
    assert found.state.notice_count == STATE.notice_count
    assert found.over
    bare = frame.from_plain(json.loads(json.dumps(frame.to_plain(State(), Progress()))))
    assert bare == (State(), Progress(), False)


class Showing:
    """Serves `top` with the frames that it is given; each is sent once somebody asks for it."""

    def __init__(self) -> None:
        self.control = Control()
        self.frames: asyncio.Queue[object] = asyncio.Queue()
        self.sent = asyncio.Event()
        self.asked = 0
        self.control.serve("top", self._top)

    async def _top(self, _: Request, __: Peer) -> object:
        self.asked += 1

        async def each() -> AsyncGenerator[object, None]:
            while (found := await self.frames.get()) is not None:
                yield found
                if isinstance(found, dict) and found.get("over"):
                    self.sent.set()

        return each()


@asynccontextmanager
async def showing(path: Path) -> AsyncIterator[tuple[Showing, Running]]:
    served, lock = Showing(), Lock(path)
    with listening(path) as endpoint:
        assert endpoint is not None
        lock.tell(endpoint.path)
        process = Holder(os.getpid(), socket.gethostname(), lock._me.since, endpoint.path)
        async with asyncio.timeout(20), served.control.listening(endpoint):
            try:
                yield served, Running(path, process)
            finally:
                served.frames.put_nowait(None)
                lock.release()


class Noting(Lines):
    """Says it, and lets the loop wait for that."""

    def __init__(self) -> None:
        super().__init__(None)
        self.loop = asyncio.get_running_loop()
        self.shown: asyncio.Queue[State] = asyncio.Queue()

    def refresh(self, state: State, progress: Progress, pace: Pace) -> None:
        super().refresh(state, progress, pace)
        self.loop.call_soon_threadsafe(self.shown.put_nowait, state)


async def test_a_screen_shows_the_run_to_its_end_and_gives_its_exit_code(tmp_path: Path) -> None:
    screen, said = Noting(), io.StringIO()
    async with showing(tmp_path / "j") as (served, running):
        looking = asyncio.create_task(asyncio.to_thread(top.run, running, screen))
        state = fold(fold(State(), STATE.started or Started("", "", "", resumed=False)), Notice("one \x1b"))
        with contextlib.redirect_stderr(said):
            served.frames.put_nowait(frame.to_plain(state, PROGRESS))
            await screen.shown.get()
            state = fold(fold(state, Notice("two")), STATE.problems[0])
            served.frames.put_nowait(frame.to_plain(fold(state, SUMMARY), PROGRESS, over=True))
            assert await looking == 1
    text = said.getvalue()
    assert text.count("one") == text.count("two") == 1
    assert r"one \x1b" in text
    assert r"failed: \x1b[2J\x0a\xff: no\x0a" in text
    assert "complete" in text


async def test_a_terminal_that_is_held_holds_nobody_and_sees_the_last_frame(tmp_path: Path) -> None:
    held = threading.Event()

    class Held(Noting):
        def refresh(self, state: State, progress: Progress, pace: Pace) -> None:
            super().refresh(state, progress, pace)
            shown.append(progress.scanned)
            held.wait(10)

    shown: list[int] = []
    screen = Held()
    async with showing(tmp_path / "j") as (served, running):
        looking = asyncio.create_task(asyncio.to_thread(top.run, running, screen))
        served.frames.put_nowait(frame.to_plain(State(), Progress(scanned=1)))
        await screen.shown.get()
        for number in range(2, 200):
            served.frames.put_nowait(frame.to_plain(State(), Progress(scanned=number), over=number == 199))
        await served.sent.wait()
        await asyncio.sleep(0.05)
        held.set()
        assert await looking == 0
    assert shown == [1, 199]


async def test_who_is_let_go_while_the_process_is_there_asks_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(top, "_AGAIN", 0.01)
    async with showing(tmp_path / "j") as (served, running):
        served.frames.put_nowait(frame.to_plain(State(), Progress()))
        served.frames.put_nowait(None)
        served.frames.put_nowait(frame.to_plain(State(summary=SUMMARY), Progress(), over=True))
        assert await asyncio.to_thread(top.run, running, Lines(None)) == 1
        assert served.asked == 2


async def test_a_process_that_goes_without_a_word_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(top, "_AGAIN", 0.01)
    async with showing(tmp_path / "j") as (served, running):
        other = Running(running.journal, running.process._replace(pid=1))
        served.frames.put_nowait(None)
        with pytest.raises(ProcessError, match="process 1 has gone without a word"):
            await asyncio.to_thread(top.run, other, Lines(None))
        for _ in range(10):
            served.frames.put_nowait(None)
        with pytest.raises(ProcessError, match="lets nobody look on"):
            await asyncio.to_thread(top.run, running, Lines(None))


async def test_what_is_not_understood_is_said(tmp_path: Path) -> None:
    async with showing(tmp_path / "j") as (served, running):
        served.frames.put_nowait({"started": 5})
        with pytest.raises(ProcessError, match="is not understood"):
            await asyncio.to_thread(top.run, running, Lines(None))


async def test_ctrl_c_leaves_the_run_alone(tmp_path: Path) -> None:
    class Interrupted(Lines):
        closed = False

        def refresh(self, state: State, progress: Progress, pace: Pace) -> None:
            super().refresh(state, progress, pace)
            raise KeyboardInterrupt

        def close(self) -> None:
            self.closed = True

    screen = Interrupted(None)
    async with showing(tmp_path / "j") as (served, running):
        served.frames.put_nowait(frame.to_plain(STATE, PROGRESS))
        assert await asyncio.to_thread(top.run, running, screen) == 0
    assert screen.closed
