import os
import pty
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from asyncmirror.audit.verify import Gauge
from asyncmirror.cli.gather import Output
from asyncmirror.cli.meter import Hidden, Moving, Written, choose
from asyncmirror.cli.verify import progress


@contextmanager
def terminal(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """A terminal in place of stderr; stdout is none. What is shown is read from the descriptor."""
    ours, theirs = pty.openpty()
    with os.fdopen(theirs, "w", encoding="utf-8") as stream:
        monkeypatch.setattr(sys, "stderr", stream)
        monkeypatch.setenv("TERM", "xterm")
        yield ours
    os.close(ours)


def test_a_terminal_gets_one_line_that_moves_and_goes(monkeypatch: pytest.MonkeyPatch) -> None:
    with terminal(monkeypatch) as ours:
        meter = choose(Output(), {"TERM": "xterm"})
        assert isinstance(meter, Moving)
        meter.show("looked at 1 of 2\x1b[2J")
        meter.close()
        shown = ""
        while not shown.rstrip().endswith("\x1b[2K"):  # a terminal hands on what it was written in pieces
            shown += os.read(ours, 1 << 16).decode()
    assert r"looked at 1 of 2\x1b[2J" in shown


def test_elsewhere_a_line_is_written_now_and_then(capfd: pytest.CaptureFixture[str]) -> None:
    now = 0.0
    meter = Written(lambda: now)
    for now in (0.0, 9.9, 10.0, 10.1, 20.0):
        meter.show(f"at {now:.1f}")
    assert capfd.readouterr().err.splitlines() == ["asyncmirror: at 10.0", "asyncmirror: at 20.0"]


@pytest.mark.parametrize("output", [Output(quiet=True), Output(progress=False)])
def test_who_wants_none_gets_none(output: Output) -> None:
    meter = choose(output, {})
    assert isinstance(meter, Hidden)
    meter.show("anything")
    meter.close()


def test_how_far_it_is() -> None:
    assert progress(Gauge()) == "0:00; looked at 0 of 0; amiss 0; 0 objects/s"
    told = progress(Gauge(500, 2000, 3, 5 << 30, 10.0))
    assert told == "0:10; looked at 500 of 2,000 (25%); amiss 3; read 5 GiB (512 MiB/s); 50 objects/s"
