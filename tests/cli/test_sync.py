"""The event loop of `sync`: signals, exit codes, lost outputs. The mirror is a script of events; all else is real."""

import asyncio
import contextlib
import io
import json
import os
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, ClassVar, Self, TypeVar

import pytest

from asyncmirror.cli import sync
from asyncmirror.cli.fold import State
from asyncmirror.cli.gather import Invocation, Output
from asyncmirror.cli.screen import Lines, Quiet, Screen
from asyncmirror.cli.tap import Mirroring, Tap
from asyncmirror.engine.control import Command, Control, Peer
from asyncmirror.errors import BucketError
from asyncmirror.events import Event, Notice, Progress, Settled, Started, Summary, Waiting
from asyncmirror.model import Outcome
from asyncmirror.plan.schedule import Every, Schedule
from asyncmirror.rates import Pace
from asyncmirror.settings import Destination, Settings, Tuning

if TYPE_CHECKING:
    from asyncmirror.engine.forecast import Forecast

SETTINGS = Settings(Path("/tmp"), Destination("bucket"))
_SCANNING = True
_ROOT = Path(__file__).parents[2]
T = TypeVar("T")
OBJECT = Settled(b"a\xff", "a", Outcome.COMPLETE, 7)
BAD = Settled(b"bad", "", Outcome.UNREADABLE, 7, "input/output error")
Step = Event | Callable[["Script"], object]


class Script:
    """Tells events; a callable among them is called, and what it gives, if it can be awaited, is awaited."""

    def __init__(self, *steps: Step, exit_code: int = 0, error: str = "", opening: Callable[[], object] = object) -> None:
        self.steps = steps
        self.exit_code = exit_code
        self.error = error
        self.opening = opening
        self.draining = asyncio.Event()
        self.stopping = asyncio.Event()
        self.readings = 0
        self.closed = False
        self.control = Control()
        self.tuning = Tuning()
        self.paused = False
        self.forecast: Forecast | None = None

    def __call__(self, settings: Settings) -> Self:
        assert settings is SETTINGS
        return self

    async def __aenter__(self) -> Self:
        opened = self.opening()
        if asyncio.iscoroutine(opened):
            await opened
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.closed = True

    async def run(self) -> AsyncIterator[Event]:
        for step in self.steps:
            if callable(step):
                result = step(self)
                if asyncio.iscoroutine(result):
                    await result
            else:
                yield step
        stopped = self.draining.is_set() or self.stopping.is_set()
        yield Summary({Outcome.COMPLETE: 1}, {}, 7, 7, 1, 0.5, self.exit_code, stopped, self.error)

    async def watch(self, schedule: Callable[[], Schedule]) -> AsyncIterator[Event]:
        assert schedule() == Every(900)
        for _ in range(2):
            async for event in self.run():
                yield event
            if self.draining.is_set():
                return
            yield Waiting(900.0, self.error)
        os.kill(os.getpid(), signal.SIGTERM)
        await self.draining.wait()

    def drain(self, exit_code: int | None = None) -> None:
        self.draining.set()
        if exit_code is not None and not self.error:
            self.exit_code = exit_code

    def stop(self) -> None:
        self.stopping.set()

    def ask(self, question: Callable[[sqlite3.Connection], T]) -> Future[T]:
        raise NotImplementedError

    def steer(self, tuning: Tuning) -> None:
        self.tuning = tuning

    def pause(self) -> None:
        self.paused = True

    def resume(self) -> None:
        self.paused = False

    def spread_log_levels(self) -> None:
        raise NotImplementedError

    def progress(self) -> Progress:
        self.readings += 1
        return Progress(_SCANNING, 1, 7, 0, 0, {}, {}, 0, 0, 0.1 * self.readings, ())


def kill(number: signal.Signals) -> Callable[[Script], object]:
    return lambda _: os.kill(os.getpid(), number)


async def drained(script: Script) -> None:
    async with asyncio.timeout(10):
        await script.draining.wait()


async def looked_on(_: Script) -> None:
    for _turn in range(3):
        await asyncio.sleep(0)


async def stopped(script: Script) -> None:
    async with asyncio.timeout(10):
        await script.stopping.wait()


def run(script: Script, screen: Screen | None = None, *, as_json: bool = False) -> int:
    return sync.run(Invocation(SETTINGS, Output(json=as_json)), screen or Lines(None), script)


def watched(script: Script, screen: Screen | None = None, *, as_json: bool = False) -> int:
    return sync.run(Invocation(SETTINGS, Output(json=as_json), Every(900)), screen or Lines(None), script)


def test_a_mirror_that_is_watched_ends_by_a_signal_whatever_its_runs_came_to(capfd: pytest.CaptureFixture[str]) -> None:
    assert watched(Script(Started("s", "d", "j", resumed=False), BAD, exit_code=3), as_json=True) == 143
    out, err = capfd.readouterr()
    lines = [json.loads(line) for line in out.splitlines()]
    assert [line["event"] for line in lines] == ["object", "summary", "waiting", "object", "summary", "waiting"]
    assert [line["exit_code"] for line in lines if line["event"] == "summary"] == [3, 3]
    assert lines[2] == {"event": "waiting", "until": 900.0, "reason": ""}
    assert "stopp" not in err


def test_a_schedule_that_is_another_in_the_file_holds_from_a_hangup_on() -> None:
    class Turned(Script):
        async def watch(self, schedule: Callable[[], Schedule]) -> AsyncIterator[Event]:
            os.kill(os.getpid(), signal.SIGHUP)
            async with asyncio.timeout(10):
                while schedule() != Every(60):  # noqa: ASYNC110  nothing tells of it here
                    await asyncio.sleep(0)
            os.kill(os.getpid(), signal.SIGTERM)
            async for event in self.run():
                yield event

    again = Invocation(SETTINGS, Output(), Every(60))
    assert sync.run(replace(again, watch=Every(900), reread=lambda: again), Quiet(), Turned(drained)) == 143


def test_a_signal_in_a_run_of_a_mirror_that_is_watched_drains_it(capfd: pytest.CaptureFixture[str]) -> None:
    assert watched(Script(OBJECT, kill(signal.SIGINT), drained)) == 130
    assert "stopped before the end" in capfd.readouterr().err


def test_what_a_run_could_not_go_on_for_is_told_once(capfd: pytest.CaptureFixture[str]) -> None:
    assert watched(Script(OBJECT, error="the store is away", exit_code=4), as_json=True) == 143
    out, err = capfd.readouterr()
    assert [json.loads(line)["reason"] for line in out.splitlines() if '"waiting"' in line] == ["the store is away"] * 2
    assert err.count("the store is away") <= 1  # the screen may have looked between the two


def test_what_of_the_mirror_file_is_not_heeded_is_told_at_the_start(capfd: pytest.CaptureFixture[str]) -> None:
    invocation = Invocation(SETTINGS, Output(json=True), notices=("nothing is deleted",))
    assert sync.run(invocation, Quiet(), Script(OBJECT)) == 0
    first, *_ = capfd.readouterr().out.splitlines()
    assert json.loads(first) == {"event": "notice", "text": "nothing is deleted"}


@pytest.mark.parametrize("code", [0, 1, 3, 4])
def test_the_exit_code_is_the_summarys(code: int) -> None:
    script = Script(OBJECT, exit_code=code)
    assert run(script) == code
    assert script.closed


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_drains_and_gives_its_exit_code(number: signal.Signals, code: int, capfd: pytest.CaptureFixture[str]) -> None:
    script = Script(OBJECT, kill(number), drained, exit_code=1)
    assert run(script, as_json=True) == code
    out, err = capfd.readouterr()
    assert json.loads(out.splitlines()[-1])["exit_code"] == code
    assert "asyncmirror: stopping: finishing what is in flight; again to stop at once\n" in err
    assert not script.stopping.is_set()
    assert script.closed


def test_a_second_signal_stops_and_the_first_one_names_the_exit_code() -> None:
    script = Script(OBJECT, kill(signal.SIGTERM), drained, kill(signal.SIGINT), stopped)
    assert run(script) == 143
    assert signal.getsignal(signal.SIGINT) is signal.SIG_DFL
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


@pytest.mark.parametrize(("goes_on", "error", "code"), [(False, "", 0), (True, "", 130), (True, "the store is away", 4)])
def test_a_signal_that_came_too_late_changes_nothing_but_that_no_more_is_begun(*, goes_on: bool, error: str, code: int) -> None:
    heard = asyncio.Event()

    class Finished(Script):
        def drain(self, exit_code: int | None = None) -> None:  # noqa: ARG002  it came too late
            heard.set()

    script = Finished(OBJECT, kill(signal.SIGINT), lambda _: heard.wait(), error=error, exit_code=4 if error else 0)
    assert sync.run(Invocation(SETTINGS, Output(), goes_on=goes_on), Lines(None), script) == code


def test_a_signal_after_the_end_changes_nothing_and_a_second_one_kills() -> None:
    assert run(Script(OBJECT, exit_code=3)) == 3
    os.kill(os.getpid(), signal.SIGTERM)
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


def test_a_signal_while_python_ends_changes_nothing() -> None:
    late = """
import os, signal
from tests.cli.test_sync import OBJECT, Script, run
class Late:
    def __del__(self, kill=os.kill, pid=os.getpid(), number=signal.SIGTERM):
        kill(pid, number)
late = Late()
raise SystemExit(run(Script(OBJECT, exit_code=3)))
"""
    assert subprocess.run([sys.executable, "-c", late], cwd=_ROOT, check=False, capture_output=True, timeout=60).returncode == 3


def test_a_signal_after_a_stop_over_the_socket_does_not_kill() -> None:
    class Kept(Control):
        def serve(self, name: str, command: Command) -> None:
            if name == "stop":
                self.stop = command

    control, tap = Kept(), Recorder()
    script = Script(OBJECT, lambda _: control.stop({"do": "stop"}, Peer(1, 0)), stopped, kill(signal.SIGTERM), looked_on)
    script.control = control
    assert sync.run(Invocation(SETTINGS, Output()), Quiet(), script, [tap]) == 130
    assert tap.calls.count(("stopping", True)) == 1
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL, "another one kills"


def test_a_signal_while_closing_ends_what_would_go_on() -> None:
    class Closing(Script):
        async def __aexit__(self, *_: object) -> None:
            os.kill(os.getpid(), signal.SIGTERM)

    assert sync.run(Invocation(SETTINGS, Output(), goes_on=True), Lines(None), Closing(OBJECT)) == 143


def test_an_error_that_ended_the_run_goes_before_the_signal(capsys: pytest.CaptureFixture[str]) -> None:
    script = Script(kill(signal.SIGINT), drained, exit_code=4, error="PutObject: the session token has expired\x1b")
    assert run(script, Quiet()) == 4
    assert capsys.readouterr().err == "asyncmirror: PutObject: the session token has expired\\x1b\n"


def test_a_signal_while_opening_ends_it() -> None:
    async def opening() -> None:
        os.kill(os.getpid(), signal.SIGINT)
        await asyncio.Event().wait()

    assert run(Script(OBJECT, opening=opening)) == 130


def test_an_error_while_opening_is_passed_on() -> None:
    def opening() -> None:
        raise BucketError("NoSuchBucket")

    with pytest.raises(BucketError):
        run(Script(OBJECT, opening=opening))


def test_json_lines_are_told_in_order_and_the_summary_last(capfd: pytest.CaptureFixture[str]) -> None:
    assert run(Script(Started("s", "d", "j", resumed=False), Notice("n"), OBJECT, exit_code=3), as_json=True) == 3
    lines = [json.loads(line) for line in capfd.readouterr().out.splitlines()]
    assert [line["event"] for line in lines] == ["notice", "object", "summary"]
    assert lines[1]["path"].encode("utf-8", "surrogateescape") == b"a\xff"


@contextlib.contextmanager
def stdout_to_a_pipe() -> Iterator[int]:
    """Puts a pipe in stdout's place; gives its reading end, which the block closes."""
    reader, writer = os.pipe()
    saved = os.dup(1)
    os.dup2(writer, 1)
    os.close(writer)
    try:
        yield reader
    finally:
        os.dup2(saved, 1)
        os.close(saved)


def test_a_closed_stdout_drains(capfd: pytest.CaptureFixture[str]) -> None:
    with stdout_to_a_pipe() as reader:
        os.close(reader)
        assert run(Script(*[OBJECT] * 2000, drained), as_json=True) == 4
    assert "stdout can't be written (Broken pipe)" in capfd.readouterr().err


def test_a_closed_stdout_that_shows_only_at_the_end_is_no_success() -> None:
    with stdout_to_a_pipe() as reader:
        os.close(reader)
        assert run(Script(OBJECT), as_json=True) == 4


def test_a_waiting_line_is_written_before_the_next_event() -> None:
    with stdout_to_a_pipe() as reader:

        async def written(_: Script) -> None:
            async with asyncio.timeout(10):
                assert b'"event":"object"' in await asyncio.to_thread(os.read, reader, 4096)

        assert run(Script(OBJECT, written), as_json=True) == 0
        os.close(reader)


def test_a_screen_that_fails_does_not_end_the_run() -> None:
    tried = threading.Semaphore(0)

    class Gone(Quiet):
        def refresh(self, *_: object, **__: object) -> None:
            tried.release()
            raise OSError(5, "Input/output error")

    async def tried_twice(_: Script) -> None:
        for _turn in range(2):
            assert await asyncio.to_thread(tried.acquire, timeout=10)

    assert run(Script(OBJECT, tried_twice), Gone()) == 0


def test_the_screen_is_closed_before_the_end_is_shown_whatever_happens() -> None:
    calls: list[str] = []

    class Recorded(Quiet):
        def close(self) -> None:
            calls.append("close")

        def end(self, state: State) -> None:
            assert state.summary is not None
            calls.append("end")

    def fail(_: Script) -> None:
        raise BucketError("gone")

    assert run(Script(OBJECT), Recorded()) == 0
    assert calls == ["close", "end"]
    with pytest.raises(BucketError):
        run(Script(fail), Recorded())
    assert calls == ["close", "end", "close"]


class Recorder(Tap):
    """Writes down what it is told."""

    interval: ClassVar[float | None] = 0.01

    def __init__(self) -> None:
        self.calls: list[object] = []
        self.looked = asyncio.Event()

    async def __aenter__(self) -> Self:
        self.calls.append("entered")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.calls.append(("left", kind))

    async def opened(self, mirror: Mirroring) -> None:
        assert isinstance(mirror, Script)
        self.calls.append("opened")

    def tell(self, event: Event) -> Awaitable[None] | None:
        self.calls.append(type(event))
        return self.waited(event) if event is OBJECT else None

    async def waited(self, event: Event) -> None:
        await asyncio.sleep(0)
        self.calls.append(event)

    async def look(self, progress: Progress) -> None:
        assert progress.scanning
        self.looked.set()

    def stopping(self, *, at_once: bool) -> None:
        self.calls.append(("stopping", at_once))


def followed(*steps: Step, tap: Recorder | None = None, opening: Callable[[], object] = object) -> tuple[int, list[object]]:
    tap = tap or Recorder()
    return sync.run(Invocation(SETTINGS, Output()), Quiet(), Script(*steps, opening=opening), [tap]), tap.calls


def test_a_tap_is_told_in_order_and_waited_for() -> None:
    code, calls = followed(OBJECT, Notice("n"), kill(signal.SIGTERM), drained, kill(signal.SIGTERM), stopped)
    assert code == 143
    first = ["entered", "opened", Settled, OBJECT, Notice]
    assert calls == [*first, ("stopping", False), ("stopping", True), Summary, ("left", None)]


def test_a_tap_learns_of_what_ended_the_command() -> None:
    tap = Recorder()

    def fail() -> None:
        raise BucketError("NoSuchBucket")

    with pytest.raises(BucketError):
        followed(tap=tap, opening=fail)
    assert tap.calls == ["entered", ("left", BucketError)]


def test_a_tap_looks_though_another_is_held_up() -> None:
    class Held(Recorder):
        async def look(self, progress: Progress) -> None:
            await super().look(progress)
            await free.wait()

    async def looked_twice(_: Script) -> None:
        async with asyncio.timeout(10):
            for _turn in range(2):
                tap.looked.clear()
                await tap.looked.wait()
        free.set()

    free, tap = asyncio.Event(), Recorder()
    assert sync.run(Invocation(SETTINGS, Output()), Quiet(), Script(OBJECT, looked_twice), [Held(), tap]) == 0


def test_lines_come_at_their_interval(capsys: pytest.CaptureFixture[str]) -> None:
    screen = Lines(10.0)
    pace = Pace()
    for second in range(35):
        screen.refresh(State(notices=("once\n",)), Progress(_SCANNING, second, 0, 0, 0, {}, {}, 0, 0, float(second), ()), pace)
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "asyncmirror: once\\x0a"
    assert [line.split(";")[0] for line in lines[1:]] == ["asyncmirror: 0:10", "asyncmirror: 0:20", "asyncmirror: 0:30"]


def test_without_progress_there_are_no_lines_but_the_result(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(Script(OBJECT), Lines(None)) == 0
    assert capsys.readouterr().err.splitlines()[0].startswith("outcome")


def test_quiet_says_only_what_went_wrong(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(Script(OBJECT, Notice("n")), Quiet()) == 0
    assert capsys.readouterr().err == ""
    assert run(Script(Settled(b"p\xff", "", Outcome.UNREADABLE, 0, "EACCES"), exit_code=3), Quiet()) == 3
    assert capsys.readouterr().err == "unreadable: p\\xff: EACCES\n"


def test_a_stderr_that_is_gone_is_endured(monkeypatch: pytest.MonkeyPatch) -> None:
    class Full(io.StringIO):
        def write(self, _: str) -> int:
            raise OSError(28, "No space left on device")

    for gone in (Full(), None):
        monkeypatch.setattr(sys, "stderr", gone)
        assert run(Script(OBJECT, error="e", exit_code=4), Lines(None)) == 4
    monkeypatch.undo()
