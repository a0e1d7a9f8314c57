"""`asyncmirror status`: what the journal of a mirror knows, as text or as one JSON object on stdout.

Owns which journal is meant, and both forms. The JSON object's keys are kept: other programs read them. Paths are written as in
`cli.json_lines`, times in seconds since the epoch, sizes in bytes. Knows no SQL and nothing of how a run is asked.
"""

import shlex
import time
from collections.abc import Iterator
from pathlib import Path

from asyncmirror.cli import paths, stdout
from asyncmirror.cli.fold import PROBLEMS_KEPT
from asyncmirror.cli.gather import Gathered
from asyncmirror.cli.json_lines import dump
from asyncmirror.cli.report import duration, periodic, problem, table
from asyncmirror.engine.gauges import flight_to_plain
from asyncmirror.engine.journals import belongs, default_journal, running
from asyncmirror.engine.status import Live, Status, read_status
from asyncmirror.errors import UsageError
from asyncmirror.events import Settled
from asyncmirror.journal.looks import Ended
from asyncmirror.model import PROBLEMS
from asyncmirror.rates import Pace
from asyncmirror.settings import Connection, Destination
from asyncmirror.sizes import format_size
from asyncmirror.text import decode, show_line, show_name

_GAUGES = ("running", "scanning", "scanned", "scanned_bytes", "queued", "queued_bytes", "bytes_sent", "requests", "seconds")


def run(gathered: Gathered, source: str | None, destination: str | None) -> int:
    """Write what is known; gives the exit code.

    Raises:
        UsageError: It is not told which journal is meant, or there is none.
        JournalError: It can't be read.
    """
    return show(locate(gathered, source, destination), json=gathered.output().json)


def show(journal: Path, *, json: bool) -> int:
    """The same of a journal.

    Raises:
        UsageError: There is none.
        JournalError: It can't be read.
    """
    if json:
        text = dump(to_json(read_status(journal)))
    else:
        text = "".join(line + "\n" for line in lines(read_status(journal, PROBLEMS_KEPT))).encode("utf-8")
    return 0 if stdout.write(text) else stdout.LOST


def locate(gathered: Gathered, source: str | None, destination: str | None) -> Path:
    """The journal that is meant: the one named, the one that `sync` makes of source and destination, or the only one in use.

    Raises:
        UsageError: Neither is told, or only half of it.
    """
    named = gathered.sections.get("settings", {}).get("journal")
    if source is None and isinstance(named, Path):
        return named
    if source is None and destination is None and len(used := running()) == 1:
        return used[0][0]
    if source is None or destination is None:
        raise UsageError("SOURCE and s3://BUCKET[/PREFIX] must be given, or else --journal FILE")
    if isinstance(named, Path):
        return named
    connection = gathered.fill(Connection(), "connection")
    return default_journal(belongs(paths.path(source), Destination.parse(destination), connection))


def to_json(status: Status) -> dict[str, object]:
    """The JSON object."""
    running, last = status.running, status.last_run
    return {
        "source": status.source,
        "destination": status.destination,
        "endpoint": status.endpoint,
        "journal": status.journal,
        "running": running and {"pid": running.pid, "host": running.host, "since": running.since},
        "last_run": last and last._asdict(),
        "last_verify": status.looked and status.looked._asdict(),
        "outcomes": {
            outcome.name.lower(): {"count": count, "bytes": status.sizes.get(outcome, 0)}
            for outcome, count in sorted(status.counts.items())
        },
        "unproven": status.unproven,
        "releases": list(status.releases),
        "remaps": [[decode(before), decode(after)] for before, after in status.remaps],
        "condemned": status.condemned,
        "live": status.live and live(status.live),
        "uploads": [{**upload._asdict(), "path": decode(upload.path)} for upload in status.uploads],
        "problems": [
            {"path": decode(trouble.path), "outcome": trouble.outcome.name.lower(), "reason": trouble.reason}
            for trouble in status.troubles
        ],
    }


def live(found: Live) -> dict[str, object]:
    """What is live, as the JSON object has it."""
    progress = found.progress
    return {
        "paused_since": found.paused,
        "tuning": dict(found.knobs),
        **{name: getattr(progress, name) for name in _GAUGES},
        "erasing": progress.erasing and progress.erasing._asdict(),
        "waiting": progress.waiting and progress.waiting._asdict(),
        "settled": {
            outcome.name.lower(): {"count": count, "bytes": progress.settled_bytes.get(outcome, 0)}
            for outcome, count in sorted(progress.settled.items())
            if count
        },
        "flight": flight_to_plain(progress.flight),
        "slowest": [{**transfer._asdict(), "path": decode(transfer.path)} for transfer in progress.slowest],
    }


def lines(status: Status) -> Iterator[str]:
    """The text, with the first uploads and problems."""
    yield from _head(status)
    if status.live is not None:
        yield from map(show_line, _live_lines(status.live))
    yield ""
    yield from (line.text for line in table(status.counts, status.sizes))
    if status.unproven:
        yield f"{status.unproven:,} of the complete ones were adopted by size alone (--trust-size): nothing proves their bytes"
    if status.condemned:
        yield f"{status.condemned:,} objects were to be deleted, and may be: the next sync --delete sees to them"
    if status.uploads:
        yield ""
        yield f"unfinished uploads: {len(status.uploads):,}"
        for upload in status.uploads[:PROBLEMS_KEPT]:
            yield f"{format_size(upload.confirmed)} of {format_size(upload.size)}: {show_name(upload.path)}"
    if status.troubles:
        yield ""
        for trouble in status.troubles:
            yield problem(Settled(trouble.path, "", trouble.outcome, 0, trouble.reason))
    more = max(0, sum(status.counts.get(outcome, 0) for outcome in PROBLEMS) - len(status.troubles))
    if more or len(status.uploads) > PROBLEMS_KEPT:
        yield f"asyncmirror status --journal {show_line(shlex.quote(status.journal))} --json lists all"


def _head(status: Status) -> Iterator[str]:
    """What it is of, and when it was looked at last."""
    yield f"source       {show_line(status.source)}"
    yield f"destination  {show_line(status.destination)}"
    yield f"endpoint     {show_line(status.endpoint) or 'AWS'}"
    yield f"journal      {show_line(status.journal)}"
    if status.releases:
        yield f"releases     {', '.join(map(show_line, status.releases))}"
    for before, after in status.remaps:
        yield f"remapped     {show_name(before)} → {show_name(after)}"
    yield f"last run     {_last_run(status)}"
    if status.looked is not None:
        yield f"last verify  {_last_look(status.looked)}"


def _last_look(looked: Ended) -> str:
    flags = "".join(f" --{each}" for each in looked.kind.split())
    came = "not all was there" if looked.exit_code else "all was there"
    since = f", what was read not before {_moment(looked.began)}" if looked.kind else ""
    return show_line(f"verify{flags}, ended {_moment(looked.ended)}{since}: {came}")


def _last_run(status: Status) -> str:
    last, running = status.last_run, status.running
    waiting = status.live and status.live.progress.waiting
    if running is not None and waiting:
        why = f"; the last one: {waiting.why}" if waiting.why else ""
        return show_line(f"over: process {running.pid} on {running.host} begins the next at {_moment(waiting.until)}{why}")
    if running is not None:
        return f"going on since {_moment(running.since)}: process {running.pid} on {show_line(running.host)}"
    if last is None:
        return "none"
    began = f"began {_moment(last.started)} on {show_line(last.host)}"
    if last.ended is None:
        return f"{began}, was killed: the same sync goes on from there"
    summary = last.summary or {}
    code = summary.get("exit_code")
    if summary.get("stopped"):
        after = duration(last.ended - last.started)
        return f"{began}, stopped after {after}, before its end: the same command goes on from there"
    ended = f"{began}, ended after {duration(last.ended - last.started)}"
    return f"{ended} with exit code {code}" if isinstance(code, int) else ended


def _live_lines(found: Live) -> Iterator[str]:
    progress = found.progress
    if found.paused is not None:
        yield f"paused       since {_moment(found.paused)}: no request begins; asyncmirror ctl resume goes on"
    if progress.running or progress.seconds:
        yield f"{'this run' if progress.running else 'run before':<13}{periodic(progress, Pace().observe(progress))}"
    yield f"tuning       {', '.join(f'{name} {value}' for name, value in found.knobs.items())}"


def _moment(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(seconds))
