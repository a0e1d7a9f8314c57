"""The live picture of a run: state and gauges to something that rich can draw.

Owns the layout. Pure: draws nothing itself, and fits into the width and height it is given. A name goes through the escape and
into a `Text`, so that neither a control character nor rich's own markup in it means anything. Knows no terminal.
"""

from rich.cells import cell_len
from rich.console import Group, RenderableType
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from asyncmirror.cli.fold import State
from asyncmirror.cli.report import duration, erasing_of, left, limited, moment, problem_count, throttled
from asyncmirror.events import Erasing, Progress, Transfer, Waiting
from asyncmirror.model import Outcome
from asyncmirror.rates import Pace, Rate, average, remaining
from asyncmirror.sizes import format_size
from asyncmirror.text import show_line, show_name

_SLOWEST = 5
_FIXED_LINES = 14
"""Lines that are always there; what the terminal has beyond them is for the files."""
_PAUSED = "paused: no request begins until asyncmirror ctl resume"
_WIDE = 70
"""Columns from which a file's line also tells its bytes."""


def picture(state: State, progress: Progress, pace: Pace, width: int, height: int) -> RenderableType:
    """The picture, at most `width` columns by `height` lines."""
    parts: list[RenderableType] = [
        _title(state, width),
        _counts(progress),
        _speeds(progress, pace),
        _way(progress, pace, width) if state.waiting is None else _waiting(state.waiting),
        *([] if progress.erasing is None else [_deleting(progress.erasing)]),
    ]
    slow = _PAUSED if progress.paused else throttled(progress.flight)
    if slow := "; ".join(filter(None, (slow, limited(progress.allowance)))):
        parts.append(Text(slow, style="yellow", no_wrap=True, overflow="ellipsis"))
    room = min(_SLOWEST, height - _FIXED_LINES)
    slowest = progress.slowest[:room] if room > 0 else ()
    if slowest:
        parts.append(Text("slowest", style="bold"))
        parts += [_transfer(transfer, width) for transfer in slowest]
    return Group(*parts)


def _title(state: State, width: int) -> Text:
    if state.started is None:
        return Text("asyncmirror: opening the journal and the store", no_wrap=True, overflow="ellipsis")
    destination = show_line(state.started.destination)
    source = show_line(state.started.source)
    room = width - cell_len(destination) - len(" → ")
    text = f"{fit(source, room)} → {destination}" if room > width // 4 else f"{source} → {destination}"
    return Text(text, style="bold", no_wrap=True, overflow="ellipsis")


def _counts(progress: Progress) -> Table:
    table = Table.grid(padding=(0, 2))
    table.add_column(width=9)
    table.add_column(justify="right", min_width=13, no_wrap=True)
    table.add_column(justify="right", min_width=9, no_wrap=True)

    def row(label: str, count: int, size: int | None, style: str = "") -> None:
        table.add_row(Text(label), Text(f"{count:,}"), Text("" if size is None else format_size(size)), style=style)

    row("scanned", progress.scanned, progress.scanned_bytes)
    row("queued", progress.queued, progress.queued_bytes)
    for label, outcome in (("uploaded", Outcome.COMPLETE), ("unchanged", Outcome.UNCHANGED), ("adopted", Outcome.ADOPTED)):
        count = progress.settled.get(outcome, 0)
        if count or outcome is not Outcome.ADOPTED:
            row(label, count, progress.settled_bytes.get(outcome, 0), "green" if outcome is Outcome.COMPLETE else "")
    problems = problem_count(progress)
    row("problems", problems, None, "bold red" if problems else "")
    return table


def _speeds(progress: Progress, pace: Pace) -> Table:
    table = Table.grid(padding=(0, 2))
    table.add_column(width=9)
    table.add_column(justify="right", min_width=13, no_wrap=True)
    table.add_column(justify="right", min_width=9, no_wrap=True)

    def row(label: str, rate: Rate) -> None:
        table.add_row(Text(label), Text(f"{format_size(rate.bytes)}/s"), Text(f"{rate.objects:,.0f} objects/s"))

    row("now", pace.now)
    row("average", average(progress.seconds, progress.bytes_sent, progress.settled.get(Outcome.COMPLETE, 0)))
    return table


def _way(progress: Progress, pace: Pace, width: int) -> Table:
    share = _share(progress, pace)
    table = Table.grid(padding=(0, 2))
    cells: list[RenderableType] = [
        Text("elapsed", end=""),
        Text(duration(progress.seconds)),
        Text(left(progress, pace), style="cyan"),
    ]
    if share is not None:
        cells += [ProgressBar(total=1.0, completed=share, width=max(8, width // 4)), Text(f"{share:.0%}")]
    table.add_column(width=9)
    table.add_column(justify="right", min_width=13, no_wrap=True)
    table.add_row(*cells)
    return table


def _share(progress: Progress, pace: Pace) -> float | None:
    """How much is done of what the run is about now: of the files, or of the objects that are deleted."""
    erasing = progress.erasing
    if erasing is not None:
        return erasing.done / erasing.objects if erasing.objects else None
    rest = remaining(progress, pace.now)
    return None if rest is None else rest.share


def _deleting(erasing: Erasing) -> Text:
    return Text(erasing_of(erasing), style="yellow", no_wrap=True, overflow="ellipsis")


def _waiting(waiting: Waiting) -> Text:
    if waiting.why:
        text = Text(f"again    {moment(waiting.until)}  {show_line(waiting.why)}", style="yellow")
    else:
        text = Text(f"next run {moment(waiting.until)}", style="cyan")
    text.no_wrap, text.overflow = True, "ellipsis"
    return text


def _transfer(transfer: Transfer, width: int) -> Text:
    share = transfer.sent / transfer.size if transfer.size else 0.0
    facts = f"{share:>5.0%}  {duration(transfer.seconds):>7}"
    if width >= _WIDE:
        facts = f"{format_size(transfer.sent):>9} of {format_size(transfer.size):>9}  {facts}"
    room = width - len(facts) - 2
    name = fit(show_name(transfer.path), room)
    return Text(f"{name}{' ' * (room - cell_len(name))}  {facts}", no_wrap=True, overflow="crop")


def fit(text: str, width: int) -> str:
    """The text in at most `width` columns. Its end is kept: the end of a path tells files apart."""
    if cell_len(text) <= width:
        return text
    if width < 1:
        return ""
    kept = text[-width:]
    while kept and cell_len(kept) >= width:
        kept = kept[1:]
    return "…" + kept
