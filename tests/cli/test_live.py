"""The live screen on a real pseudo-terminal."""

import contextlib
import os
import re
import sys
from collections.abc import Callable, Iterator

import pytest

from asyncmirror.cli import screen
from asyncmirror.cli.fold import State
from asyncmirror.cli.gather import Output
from asyncmirror.cli.live import Live
from asyncmirror.events import Progress, Settled, Started, Summary, Transfer
from asyncmirror.model import Outcome
from asyncmirror.rates import Pace

NAME = b"dir/\x1b[31m[red]\xff\n\xe2\x80\xae"
STATE = State(Started("/src", "s3://bucket", "/j", resumed=False), ("a notice \x1b[2J",))
PROGRESS = Progress(
    scanning=True,
    scanned=9,
    scanned_bytes=9,
    queued=0,
    queued_bytes=0,
    settled={Outcome.UNREADABLE: 1},
    settled_bytes={},
    bytes_sent=0,
    requests=0,
    seconds=1.0,
    slowest=(Transfer(NAME, 1, 2, 3.0),),
)
ENDED = STATE._replace(
    problems=(Settled(NAME, "", Outcome.UNREADABLE, 0, "EACCES"),),
    problem_count=1,
    summary=Summary({Outcome.UNREADABLE: 1}, {}, 0, 0, 1, 1.0, 3),
)
SHOWN = r"dir/\x1b[31m[red]\xff\x0a\u202e"
_CURSOR_SHOWN = "\x1b[?25h"
_CURSOR_HIDDEN = "\x1b[?25l"
_END = b"<the end>"


@contextlib.contextmanager
def terminal() -> Iterator[Callable[[], str]]:
    """Puts a terminal in the place of stderr; what it gives tells, when called, what was written since."""
    master, slave = os.openpty()
    with pytest.MonkeyPatch.context() as patch, os.fdopen(slave, "w", encoding="utf-8") as stream:
        for name, value in (("TERM", "xterm-256color"), ("COLUMNS", "80"), ("LINES", "24")):
            patch.setenv(name, value)
        patch.setattr(sys, "stderr", stream)

        def written() -> str:
            """All of it: a terminal gives what it has in pieces, and some of it later."""
            stream.flush()
            os.write(stream.fileno(), _END)
            found = b""
            while not found.endswith(_END):
                found += os.read(master, 1 << 16)
            return found.removesuffix(_END).decode().replace("\r\n", "\n")

        yield written
    os.close(master)


def play() -> None:
    live = Live()
    live.refresh(STATE, PROGRESS, Pace())
    live.refresh(STATE, PROGRESS, Pace())
    live.say("a word")
    live.close()
    live.refresh(STATE, PROGRESS, Pace())
    live.close()
    live.end(ENDED)


def test_the_picture_moves_and_the_terminal_is_as_before_at_the_end() -> None:
    with terminal() as written:
        play()
        text = written()
    assert text.count(_CURSOR_HIDDEN) == 1
    assert text.rindex(_CURSOR_SHOWN) > text.rindex("scanning")
    assert text.count("asyncmirror: a notice \\x1b[2J\n") == 1
    assert text.count("asyncmirror: a word\n") == 1
    assert text.count("scanned") >= 2
    assert f"unreadable: {SHOWN}: EACCES" in text


def test_no_name_reaches_the_terminal_as_it_is() -> None:
    with terminal() as written:
        play()
        text = written()
    assert SHOWN in text
    assert "\x1b[31m[red]" not in text
    assert "\u202e" not in text
    assert "\x1b[2J" not in text


def test_colour_is_used_and_no_color_is_honoured(monkeypatch: pytest.MonkeyPatch) -> None:
    colour = re.compile(r"\x1b\[(?:\d+;)*3\d(?:;\d+)*m")
    monkeypatch.delenv("NO_COLOR", raising=False)
    with terminal() as written:
        play()
        assert colour.search(written())
    monkeypatch.setenv("NO_COLOR", "1")
    with terminal() as written:
        play()
        assert not colour.search(written())


def test_what_is_logged_stands_above_the_picture() -> None:
    with terminal() as written:
        live = Live()
        live.refresh(STATE, PROGRESS, Pace())
        sys.stderr.write("WARNING a log line\n")
        live.refresh(STATE, PROGRESS, Pace())
        live.close()
        text = written()
    before, _, _ = text.partition("WARNING a log line\n")
    assert before.endswith("\x1b[2K")  # the picture was erased first
    assert text.rindex("scanned") > text.index("WARNING")


@pytest.mark.parametrize(
    ("output", "term", "kind"),
    [
        (Output(), "xterm", Live),
        (Output(json=True), "xterm", Live),
        (Output(), "dumb", screen.Lines),
        (Output(), "", screen.Lines),
        (Output(progress=False), "xterm", screen.Lines),
        (Output(quiet=True), "xterm", screen.Quiet),
    ],
)
def test_a_terminal_gets_the_live_screen_unless_it_or_the_user_does_not_want_it(output: Output, term: str, kind: type) -> None:
    with terminal():
        assert type(screen.choose(output, {"TERM": term})) is kind


def test_lines_of_json_on_the_terminal_keep_the_picture_away(monkeypatch: pytest.MonkeyPatch) -> None:
    with terminal() as written:
        monkeypatch.setattr(sys, "stdout", sys.stderr)
        chosen = screen.choose(Output(json=True), {"TERM": "xterm"})
        monkeypatch.undo()
        chosen.say("x")
        assert type(chosen) is screen.Lines
        assert written() == "asyncmirror: x\n"
