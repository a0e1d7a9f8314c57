r"""``--json``: one line per finished entry, per notice, and at last the summary.

Owns the lines' form, which other programs read: names, order and meaning of the keys are kept. A path is text; bytes of it
that are no UTF-8 stand as ``\udcXX`` escapes, so that ``path.encode("utf-8", "surrogateescape")`` in Python gives the exact
bytes back. Also owns when lines are written: in large pieces, off the event loop, so that a slow reader holds the run up but
no request in flight. Knows no screen and no engine.
"""

import asyncio
import json
import os
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from typing import ClassVar

import orjson

from asyncmirror.cli.tap import Tap
from asyncmirror.events import (
    Deletion,
    DeletionBegun,
    Deletions,
    Event,
    Fate,
    Notice,
    Progress,
    Settled,
    Started,
    Steered,
    Summary,
    Unchanged,
    Waiting,
)
from asyncmirror.model import Outcome
from asyncmirror.plan import keys
from asyncmirror.text import decode

_PIECE = 64 << 10
"""Bytes gathered before they are written: a pipe's usual capacity."""
_PATIENCE = 1.0
"""Seconds that a line waits at most."""
_OUTCOMES = {outcome: outcome.name.lower() for outcome in Outcome}
# The order of the summary's keys is part of the form.
_SUMMARY = (
    "complete",
    "unchanged",
    "excluded",
    "changed",
    "unreadable",
    "unsupported",
    "refused",
    "failed",
    "pending",
    "adopted",
)


def lines(event: Event) -> Iterator[bytes]:
    """The lines, each with its newline, that tell of an event. `Started` has none."""
    match event:
        case Settled(path, key, outcome, size, reason):
            yield _object(decode(path), key, _OUTCOMES[outcome], size, reason)
        case Unchanged(directory, prefix, files):
            parent = decode(directory) + "/" if directory else ""
            for name, size in files:
                yield _object(parent + decode(name), prefix + keys.encode(name), "unchanged", size, "")
        case DeletionBegun() | Deletion():
            yield dump(_deletion(event))
        case Notice(text):
            yield dump({"event": "notice", "text": text})
        case Steered():
            yield dump({"event": "steered", **event._asdict()})
        case Summary():
            yield dump(summary(event))
        case Waiting(until, why):
            yield dump({"event": "waiting", "until": round(until, 3), "reason": why})
        case Started():
            pass


def _object(path: str, key: str, outcome: str, size: int, reason: str) -> bytes:
    line = {"event": "object", "path": path, "key": key, "outcome": outcome, "size": size}
    if reason:
        line["reason"] = reason
    return dump(line)


def _deletion(event: DeletionBegun | Deletion) -> dict[str, object]:
    if isinstance(event, DeletionBegun):
        return {"event": "deleting", "objects": event.objects, "bytes": event.size}
    line: dict[str, object] = {"event": "deletion", "path": decode(event.path), "key": event.key}
    line |= {"size": event.size, "fate": event.fate.value}
    return {**line, "reason": event.reason} if event.reason else line


def summary(event: Summary) -> dict[str, object]:
    """The summary's keys, in their order."""
    counts = {_OUTCOMES[outcome]: count for outcome, count in event.counts.items()}
    return {
        "event": "summary",
        **{name: counts.get(name, 0) for name in _SUMMARY},
        "bytes_sent": event.bytes_sent,
        "bytes_total": event.bytes_total,
        "requests": event.requests,
        "seconds": round(event.seconds, 3),
        "exit_code": event.exit_code,
        **({} if event.deletions is None else _deletions(event.deletions)),
    }


def _deletions(deletions: Deletions) -> dict[str, object]:
    """The summary's keys where deletion was asked for."""
    told: dict[str, object] = {fate.value: deletions.counts.get(fate, 0) for fate in Fate}
    told["bytes_deleted"] = deletions.sizes.get(Fate.DELETED, 0)
    return {"deletions": {**told, "refusal": deletions.refusal}}


def dump(line: Mapping[str, object]) -> bytes:
    """One line of JSON with its newline."""
    try:
        return orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE)
    except orjson.JSONEncodeError:
        # orjson refuses surrogates, which stand for bytes that are no UTF-8; the standard library writes their escapes.
        return json.dumps(line, separators=(",", ":")).encode("ascii") + b"\n"


class JsonLines(Tap):
    """Writes lines to a file descriptor. `on_broken` is called once, when nobody reads any more or nothing can be written."""

    interval: ClassVar[float | None] = 0.25

    def __init__(
        self, descriptor: int, on_broken: Callable[[OSError], None], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._descriptor = descriptor
        self._on_broken = on_broken
        self._buffer = bytearray()
        self._clock = clock
        self._written_at = clock()
        self._turn = asyncio.Lock()
        self.broken = False

    def tell(self, event: Event) -> Awaitable[None] | None:
        """Keep an event's lines; the run waits for them to be written where they are many, and at its end."""
        self.add(event)
        # What a notice says may be told only once.
        return self.flush() if self.due or isinstance(event, Notice | Steered | Summary | Waiting) else None

    async def look(self, progress: Progress) -> None:  # noqa: ARG002  lines wait for a time, whatever the gauges say
        """Write lines that have waited."""
        if self.due:
            await self.flush()

    def add(self, event: Event) -> None:
        """Keep an event's lines until they are written."""
        if not self.broken:
            for line in lines(event):
                self._buffer += line

    @property
    def due(self) -> bool:
        """Whether `flush` should be called: there is a piece, or a line has waited long enough."""
        if len(self._buffer) >= _PIECE:
            return True
        return bool(self._buffer) and self._clock() - self._written_at >= _PATIENCE

    async def flush(self) -> None:
        """Write what was kept, in order, whoever calls."""
        async with self._turn:
            piece, self._buffer = self._buffer, bytearray()
            self._written_at = self._clock()
            if not piece or self.broken:
                return
            try:
                await asyncio.to_thread(_write, self._descriptor, piece)
            except OSError as error:
                self.broken = True
                self._on_broken(error)


def _write(descriptor: int, piece: bytearray) -> None:
    with memoryview(piece) as rest:
        written = 0
        while written < len(rest):
            written += os.write(descriptor, rest[written:])
