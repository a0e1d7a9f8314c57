"""`asyncmirror history`: the runs on record, as a table with bars, or as JSON lines on stdout.

Owns both forms. The JSON lines' keys are kept, other programs read them: times in seconds since the epoch, sizes in bytes.
Which journal is meant, and how it is asked while a process has it, is as with `status`.
"""

import shutil
import sys
import time
from collections.abc import Iterator, Mapping

from asyncmirror.cli import stdout
from asyncmirror.cli.gather import Gathered
from asyncmirror.cli.json_lines import dump
from asyncmirror.cli.report import duration
from asyncmirror.cli.status import locate
from asyncmirror.engine.history import End, History, Run, read_history
from asyncmirror.errors import UsageError
from asyncmirror.model import PROBLEMS
from asyncmirror.sizes import format_size

SHOWN = 20
"""Runs that are shown unless more are asked for."""
_EIGHTHS = " ▏▎▍▌▋▊▉"
_BAR = "█"
_FIXED = 73
"""Columns before the bars."""
_RED, _DIM, _PLAIN = "\x1b[31m", "\x1b[2m", "\x1b[0m"


def run(gathered: Gathered, source: str | None, destination: str | None) -> int:
    """Write what is known; gives the exit code.

    Raises:
        UsageError: It is not told which journal is meant, there is none, or no run of it is asked for.
        JournalError: It can't be read.
    """
    most = gathered.sections.get("history", {}).get("most")
    if most == 0:
        raise UsageError("--runs must be more than nothing")
    journal = locate(gathered, source, destination)
    if gathered.output().json:
        text = b"".join(json_lines(read_history(journal, most)))
    else:
        history = read_history(journal, SHOWN if most is None else most)
        width = shutil.get_terminal_size().columns
        colored = sys.stdout.isatty()
        text = "".join(f"{line}\n" for line in table(history, width, time.time(), colored=colored)).encode("utf-8")
    return 0 if stdout.write(text) else stdout.LOST


def json_lines(history: History) -> Iterator[bytes]:
    """A line for each run, oldest first."""
    for each in history.runs:
        yield dump({"event": "run", **each._asdict(), "end": history.end(each).value})


def table(history: History, width: int, now: float, *, colored: bool = False) -> Iterator[str]:
    """The table, at most `width` columns wide; bars tell the bytes sent, where there is room for them."""
    if not history.runs:
        yield "no run is on record"
        return
    room = width - _FIXED
    most = max(_count(each.summary, "bytes_sent") for each in history.runs)
    head = f"{'begun':<12}{'took':>9}{'new':>10}{'sent':>9}{'rate':>12}{'problems':>9}  exit"
    yield head[:width]
    for each in history.runs:
        end = history.end(each)
        sent = _count(each.summary, "bytes_sent")
        line = f"{_row(each, end, now):<{_FIXED}}{bar(sent, most, room) if room > 0 else ''}".rstrip()[:width]
        style = _style(each, end)
        yield f"{style}{line}{_PLAIN}" if colored and style else line


def _row(run: Run, end: End, now: float) -> str:
    begun = time.strftime("%d %b %H:%M", time.localtime(run.started))
    last = run.ended if run.ended is not None else now if end is End.RUNNING else None
    took = "" if last is None else duration(last - run.started)
    if run.summary is None:
        return f"{begun:<12}{took:>9}{'':>40}  {end.value}"
    new, sent = _count(run.summary, "complete") + _count(run.summary, "adopted"), _count(run.summary, "bytes_sent")
    seconds = _count(run.summary, "seconds")
    rate = f"{format_size(sent / seconds)}/s" if sent and seconds else ""
    bad = sum(_count(run.summary, outcome.name.lower()) for outcome in PROBLEMS)
    told = str(int(_count(run.summary, "exit_code"))) if end is End.ENDED else end.value
    return f"{begun:<12}{took:>9}{new:>10,.0f}{format_size(sent):>9}{rate:>12}{bad:>9,.0f}  {told}"


def _style(run: Run, end: End) -> str:
    if end in (End.KILLED, End.FAILED, End.ABANDONED) or (end is End.ENDED and _count(run.summary, "exit_code")):
        return _RED
    return "" if _count(run.summary, "complete") or end is not End.ENDED else _DIM


def _count(summary: Mapping[str, object] | None, name: str) -> float:
    """A number of a summary; none where another version wrote something else."""
    value = (summary or {}).get(name, 0)
    return value if isinstance(value, int | float) and 0 <= value < 1 << 63 else 0


def bar(value: float, most: float, room: int) -> str:
    """A bar of at most so many columns, in eighths; something that is not nothing has one eighth at least."""
    if not value or not most:
        return ""
    eighths = max(1, round(8 * room * value / most))
    return _BAR * (eighths // 8) + _EIGHTHS[eighths % 8].strip()
