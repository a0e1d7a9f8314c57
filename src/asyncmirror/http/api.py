"""The JSON of ``/api/…``: pictures, points and rows as objects whose keys are kept, because other programs read them.

Owns those keys; docs/json.md tells of them. Times are in seconds since the epoch, sizes in bytes. A path is told twice: `path`
gives its exact bytes back, `name` is fit to be shown. Pure; knows no socket.
"""

import json
import os
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from asyncmirror.events import Allowance, Erasing, Progress, Settled, Summary, Waiting
from asyncmirror.http.health import Health
from asyncmirror.http.history import Point, Series
from asyncmirror.http.picture import Phase, Picture
from asyncmirror.journal.pages import Page, Run
from asyncmirror.model import PROBLEMS, Outcome
from asyncmirror.rates import average, deletion_left, remaining
from asyncmirror.text import decode, show_line, show_name
from asyncmirror.version import VERSION


def dump(value: Mapping[str, object]) -> bytes:
    """An object as text. Surrogates, which stand for bytes that are no UTF-8, are written as escapes."""
    return json.dumps(value, separators=(",", ":"), allow_nan=False).encode("ascii")


class Instance(NamedTuple):
    """The process that tells: a name that no other one has, for a page that is connected again, and since when it lives."""

    name: str
    since: float


def status(picture: Picture, health: Health, instance: Instance, now: float) -> dict[str, object]:
    """How far it is."""
    progress, rate = picture.progress, picture.pace.now
    running = picture.phase is Phase.RUNNING
    rest = remaining(progress, rate) if running else None
    mean = average(progress.seconds, progress.bytes_sent, progress.settled.get(Outcome.COMPLETE, 0))
    return {
        "version": VERSION,
        "instance": instance.name,
        "since": instance.since,
        "pid": os.getpid(),
        "time": now,
        "phase": picture.phase.value,
        "health": {"good": health.good, "reason": health.reason},
        "source": show_line(picture.source),
        "destination": show_line(picture.destination),
        "journal": show_line(picture.journal),
        "run": {
            "number": picture.run,
            "started": picture.started or None,
            "ended": picture.ended,
            "seconds": round(progress.seconds, 3),
            "scanning": running and progress.scanning,
            "paused": running and progress.paused,
            "scanned": {"count": progress.scanned, "bytes": progress.scanned_bytes},
            "queued": {"count": progress.queued, "bytes": progress.queued_bytes},
            "outcomes": outcomes(progress.settled, progress.settled_bytes),
            "problems": picture.problem_count,
            "bytes_sent": progress.bytes_sent,
            "requests": progress.requests,
            "refused": progress.flight.refused,
            "share": None if rest is None else round(rest.share, 4),
            "left_seconds": None if rest is None or rest.seconds is None else round(rest.seconds, 1),
            "erasing": _erasing(progress.erasing),
            "deletions": None if picture.summary is None else _deletions(picture.summary),
            "result": None if picture.result is None else picture.result.value,
            "exit_code": None if picture.summary is None else picture.summary.exit_code,
            "error": show_line(picture.error),
        },
        "now": {"bytes_per_second": round(rate.bytes), "files_per_second": round(rate.objects, 2)} if running else None,
        "average": {"bytes_per_second": round(mean.bytes), "files_per_second": round(mean.objects, 2)},
        "in_flight": {
            "limit": progress.flight.limit,
            "most": progress.flight.most,
            "throttled": running and progress.flight.throttled,
            "narrow": [{**each._asdict(), "prefix": show_line(each.prefix)} for each in progress.flight.narrow if running],
        },
        "allowance": _allowance(progress.allowance),
        "slowest": _slowest(progress),
        "problems": [_problem(problem) for problem in reversed(picture.problems)],
        "notices": [{"time": said.time, "text": show_line(said.text)} for said in reversed(picture.notices)],
        "waiting": None if picture.waiting is None else _waiting(picture.waiting),
        "batches": None if picture.batches is None else picture.batches._asdict(),
        "last_success": picture.last_success,
        "runs": {result.value: count for result, count in picture.totals.runs.items()},
    }


def _erasing(erasing: Erasing | None) -> dict[str, object] | None:
    if erasing is None:
        return None
    rest = deletion_left(erasing)
    told = {"looked": erasing.looked, "objects": erasing.objects, "done": erasing.done}
    return {**told, "left_seconds": None if rest is None else round(rest, 1)}


def outcomes(counts: Mapping[Outcome, int], sizes: Mapping[Outcome, int]) -> dict[str, object]:
    """Entries and bytes by outcome, of those that occurred."""
    return {
        outcome.name.lower(): {"count": counts[outcome], "bytes": sizes.get(outcome, 0), "problem": outcome in PROBLEMS}
        for outcome in sorted(counts)
        if counts[outcome]
    }


def series(found: Series) -> dict[str, object]:
    """Points in columns, to be short. Where a time is missing, nothing was measured."""
    return {"step": found.step, **points(found.points)}


def points(found: Iterable[Point]) -> dict[str, object]:
    """Points in columns."""
    columns = list(zip(*found, strict=True)) or [()] * len(Point._fields)
    return {name: [round(value, 2) for value in column] for name, column in zip(Point._fields, columns, strict=True)}


def page(found: Page, counts: Mapping[Outcome, int] | None) -> dict[str, object]:
    """A page of problems; `counts` are of all that are on record, by outcome."""
    told: dict[str, object] = {
        "problems": [
            {
                **_named(problem.path),
                "outcome": problem.outcome.name.lower(),
                "reason": show_line(problem.reason),
                "retryable": problem.retryable,
                "size": problem.size,
            }
            for problem in found.problems
        ],
        "after": None if found.after is None else str(found.after),
    }
    if counts is not None:
        told["on_record"] = {outcome.name.lower(): count for outcome, count in sorted(counts.items())}
    return told


def runs(found: Iterable[Run]) -> dict[str, object]:
    """Runs on record, the newest first."""
    return {
        "runs": [
            {
                "number": run.number,
                "started": run.started,
                "ended": run.ended,
                "host": show_line(run.host),
                "version": show_line(run.version),
                "summary": run.summary,
            }
            for run in found
        ]
    }


def _named(path: bytes) -> dict[str, object]:
    return {"path": decode(path), "name": show_name(path) or "."}


def _problem(event: Settled) -> dict[str, object]:
    return {**_named(event.path), "outcome": event.outcome.name.lower(), "reason": show_line(event.reason), "size": event.size}


def _allowance(allowance: Allowance) -> dict[str, object]:
    return {
        "bytes_per_second": allowance.bandwidth or None,
        "until": allowance.until or None,
        "requests_per_second": allowance.requests or None,
    }


def _deletions(summary: Summary) -> dict[str, object] | None:
    """What `--delete` came to; None where it was not asked for."""
    found = summary.deletions
    if found is None:
        return None
    fates = {fate.value: {"count": count, "bytes": found.sizes.get(fate, 0)} for fate, count in found.counts.items() if count}
    return {"fates": fates, "refusal": show_line(found.refusal)}


def _waiting(waiting: Waiting) -> dict[str, object]:
    return {"until": waiting.until, "why": show_line(waiting.why)}


def _slowest(progress: Progress) -> list[object]:
    return [
        {**_named(each.path), "sent": each.sent, "size": each.size, "seconds": round(each.seconds, 1)}
        for each in progress.slowest
    ]
