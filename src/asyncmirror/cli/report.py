"""What is said in plain lines: how far it is, while it runs, and what came of it, at the end.

Owns the words. Pure: states and gauges in, lines out; every name in them is escaped. Knows no terminal.
"""

import shlex
import time
from collections.abc import Mapping
from typing import NamedTuple

from asyncmirror.cli.fold import State
from asyncmirror.events import Allowance, Deletion, Deletions, Erasing, Fate, Flight, Progress, Settled, Summary
from asyncmirror.model import PROBLEMS, Outcome
from asyncmirror.rates import Pace, Rate, average, deletion_left, remaining
from asyncmirror.sizes import format_size
from asyncmirror.text import counted, show_line, show_name

_FATES = {
    Fate.DELETED: "deleted",
    Fate.PLANNED: "would delete",
    Fate.LEFT: "left",
    Fate.FAILED: "failed to delete",
}
_MINUTE = 60
_HOUR = 3600
_DAY = 86400


class Line(NamedTuple):
    """One line, and what it is: ``head``, ``problem`` or nothing in particular."""

    text: str
    role: str = ""


def duration(seconds: float) -> str:
    """A time for people: ``0:07``, ``12:33``, ``3:04:05``, ``2 d 03:04:05``."""
    whole = max(0, int(seconds))
    days, hours, minutes, rest = whole // _DAY, whole % _DAY // _HOUR, whole % _HOUR // _MINUTE, whole % _MINUTE
    if days:
        return f"{days} d {hours:02}:{minutes:02}:{rest:02}"
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def rates(rate: Rate) -> str:
    """A rate for people."""
    return f"{format_size(rate.bytes)}/s, {rate.objects:,.0f} objects/s"


def left(progress: Progress, pace: Pace) -> str:
    """How long it will take still; "scanning" while nobody can know."""
    if progress.erasing is not None:
        return left_to_delete(progress.erasing)
    rest = remaining(progress, pace.now)
    if rest is None:
        return "scanning"
    return "left unknown" if rest.seconds is None else f"left {duration(rest.seconds)}"


def left_to_delete(erasing: Erasing) -> str:
    """The same of a deletion."""
    if not erasing.objects:
        return "looking for what is gone"
    seconds = deletion_left(erasing)
    return "left unknown" if seconds is None else f"left {duration(seconds)}"


def erasing_of(erasing: Erasing) -> str:
    """How far a deletion is, in objects."""
    if erasing.objects:
        return f"deleting {erasing.done:,} of {erasing.objects:,}"
    return f"looked at {erasing.looked:,} on record"


def problem_count(progress: Progress) -> int:
    """Entries that ended in an outcome a person should look at."""
    return sum(progress.settled.get(outcome, 0) for outcome in PROBLEMS)


def throttled(flight: Flight) -> str:
    """How few requests may be in flight, in all and under narrow prefixes; empty where the store does not ask for fewer."""
    said = [f"throttled: {flight.limit:,} of {flight.most:,} in flight"] if flight.throttled else []
    said += [f"throttled under {show_line(prefix)}: {limit:,} in flight" for prefix, limit in flight.narrow]
    return "; ".join(said)


def limited(allowance: Allowance) -> str:
    """What may be sent in a second, and until when; empty where nothing limits it now or later."""
    said = []
    if allowance.bandwidth or allowance.until:
        rate = f"{format_size(allowance.bandwidth)}/s" if allowance.bandwidth else "none"
        until = time.strftime(" until %a %H:%M", time.localtime(allowance.until)) if allowance.until else ""
        said.append(f"limit {rate}{until}")
    if allowance.requests:
        said.append(f"limit {allowance.requests:g} requests/s")
    return ", ".join(said)


def periodic(progress: Progress, pace: Pace) -> str:
    """One line that says how far it is, for a log."""
    uploaded = progress.settled.get(Outcome.COMPLETE, 0)
    said = (
        duration(progress.seconds),
        f"scanned {progress.scanned:,} ({format_size(progress.scanned_bytes)})",
        f"queued {progress.queued:,} ({format_size(progress.queued_bytes)})",
        f"uploaded {uploaded:,} ({format_size(progress.settled_bytes.get(Outcome.COMPLETE, 0))})",
        f"unchanged {progress.settled.get(Outcome.UNCHANGED, 0):,}",
        f"problems {problem_count(progress):,}",
        rates(pace.now),
        erasing_of(progress.erasing) if progress.erasing else "",
        left(progress, pace),
        "paused" if progress.paused else throttled(progress.flight),
        limited(progress.allowance),
    )
    return "; ".join(filter(None, said))


def result(state: State) -> list[Line]:
    """The first problems, the table of outcomes, and what was sent, so that the short of it stands last, where the eye is.

    Nothing between two runs: what the last came to was told.
    """
    summary = state.summary
    if summary is None or state.waiting is not None:
        return []
    lines = [*problems(state), *table(summary.counts, summary.bytes_by_outcome), Line(_sent(summary))]
    if summary.deletions is not None:
        lines.append(Line(_deleted(summary.deletions)))
    if summary.stopped:
        lines.append(Line("stopped before the end: the same command goes on from here", "head"))
    return lines


def moment(at: float) -> str:
    """A time in seconds since the epoch, for people who see it within the week: ``Sun 14:35:07``, by the clock here."""
    return time.strftime("%a %H:%M:%S", time.localtime(at))


def news(summary: Summary) -> str:
    """What a run of many came to, in a few words."""
    counts = summary.counts
    bad = sum(counts.get(outcome, 0) for outcome in PROBLEMS)
    new = counts.get(Outcome.COMPLETE, 0) + counts.get(Outcome.ADOPTED, 0)
    deleted = 0 if summary.deletions is None else summary.deletions.counts.get(Fate.DELETED, 0)
    return f"{new:,} new, {f'{deleted:,} deleted, ' if deleted else ''}{bad:,} problem{'' if bad == 1 else 's'}"


def between(state: State, said: str = "") -> list[Line]:
    """What is said between two runs: the problems of the last, what it came to, and when the next begins.

    Args:
        state: What is known.
        said: Why the run before could not begin or go on, if that was said last: it is not said again.
    """
    waiting, summary = state.waiting, state.summary
    if waiting is None:
        return []
    when = moment(waiting.until)
    if waiting.why and waiting.why == said:
        return [Line(f"asyncmirror: as before; again {when}")]
    if waiting.why:
        return [Line(f"asyncmirror: {show_line(waiting.why)}", "problem"), Line(f"asyncmirror: again {when}")]
    told = ""
    if summary is not None:
        told = f"{news(summary)}, sent {format_size(summary.bytes_sent)} in {duration(summary.seconds)}; "
    return [*problems(state), Line(f"asyncmirror: {told}next run {when}")]


def table(counts: Mapping[Outcome, int], sizes: Mapping[Outcome, int]) -> list[Line]:
    """How many entries and bytes there are of each outcome that occurred, and of complete ones in any case."""
    lines = [Line(f"{'outcome':<12}{'entries':>16}{'bytes':>12}", "head")]
    for outcome in Outcome:
        count = counts.get(outcome, 0)
        if count or outcome is Outcome.COMPLETE:
            size = format_size(sizes.get(outcome, 0))
            lines.append(Line(f"{outcome.name.lower():<12}{count:>16,}{size:>12}", "problem" if outcome in PROBLEMS else ""))
    return lines


def _sent(summary: Summary) -> str:
    rate = average(summary.seconds, summary.bytes_sent, summary.counts.get(Outcome.COMPLETE, 0))
    speed = f" ({rates(rate)})" if rate.bytes else ""
    requests = counted(summary.requests, "request")
    return f"sent {format_size(summary.bytes_sent)} in {duration(summary.seconds)}{speed}, {requests}"


def _deleted(deletions: Deletions) -> str:
    """What became of the objects whose files are gone."""
    told = [
        f"{_FATES[fate]} {counted(count, 'object')} ({format_size(deletions.sizes.get(fate, 0))})"
        for fate in Fate
        if (count := deletions.counts.get(fate, 0))
    ]
    return "; ".join(told) or "no object was deleted"


def problems(state: State) -> list[Line]:
    """The first problems, each with its reason, and where the others are listed."""
    lines = [Line(problem(each), "problem") for each in state.problems]
    lines += [Line(undeleted(each), "problem") for each in state.undeleted]
    deletions = None if state.summary is None else state.summary.deletions
    if deletions is not None and deletions.refusal:
        some = "not all" if deletions.counts.get(Fate.DELETED) else "nothing"
        lines.append(Line(f"{some} was deleted: {show_line(deletions.refusal)}", "problem"))
    more = state.problem_count - len(state.problems)
    if more:
        journal = shlex.quote(state.started.journal) if state.started else "JOURNAL"
        lines.append(Line(show_line(f"and {more:,} more: asyncmirror status --journal {journal} --json lists all"), "head"))
    return lines


def problem(event: Settled) -> str:
    """One entry that ended badly, in one line."""
    reason = f": {show_line(event.reason)}" if event.reason else ""
    return f"{event.outcome.name.lower()}: {show_name(event.path) or '.'}{reason}"


def undeleted(event: Deletion) -> str:
    """One object that was not deleted, in one line."""
    return f"not deleted: {show_name(event.key.encode('utf-8', 'surrogateescape'))}: {show_line(event.reason)}"
