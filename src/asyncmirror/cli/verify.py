"""`asyncmirror verify`: what is missing, different or extra, a line each on stdout, and at last what it comes to.

Owns which journal is meant, the two forms (text and JSON lines, whose keys are kept), the signals and the exit code. A signal
ends the look at once: nothing is written that would have to be finished. The pass itself is `audit.verify`'s.
"""

import asyncio
import contextlib
import signal
import time
from collections.abc import Iterator

import uvloop

from asyncmirror.audit.merge import Finding, Verdict
from asyncmirror.audit.verify import Gauge, Report, Verifier
from asyncmirror.cli import paths, stdout
from asyncmirror.cli.gather import Gathered, Output
from asyncmirror.cli.json_lines import dump
from asyncmirror.cli.meter import Meter
from asyncmirror.cli.report import duration
from asyncmirror.engine.journals import belongs, default_journal, journals_of
from asyncmirror.errors import UsageError
from asyncmirror.journal.belongs import Belongs
from asyncmirror.settings import Connection, Destination, ObjectOptions, Tuning, Verification
from asyncmirror.sizes import format_size
from asyncmirror.store.configured import configured_endpoint
from asyncmirror.text import counted, decode, show_line, show_name

_REFRESH = 0.25
_PIECE = 64 << 10
_STOPPED_BY = 128
_SIGNALS = (signal.SIGINT, signal.SIGTERM)


def asked(gathered: Gathered, destination: str, source: str | None) -> Verification:
    """What is asked for.

    Raises:
        UsageError: It can't be meant so, or it is not told which journal is meant.
    """
    where = Destination.parse(destination)
    connection = gathered.fill(Connection(), "connection")
    root = None if source is None else paths.source(source)
    journal = gathered.sections.get("settings", {}).get("journal")
    if journal is None and root is not None:
        journal = default_journal(belongs(root, where, connection))
    if journal is None:
        found = journals_of(where)
        if len(found) != 1:
            many = f"there are {len(found)} journals of {where}" if found else f"there is no journal of {where}"
            raise UsageError(many, hint="name SOURCE as it was given to sync, or --journal FILE")
        journal = found[0]
    verification = Verification(
        destination=where,
        journal=journal,
        source=root,
        within=gathered.sections.get("settings", {}).get("within"),
        connection=connection,
        objects=gathered.fill(ObjectOptions(), "objects"),
        tuning=gathered.fill(Tuning(), "tuning"),
    )
    return gathered.fill(verification, "verify")


def run(asked: Verification, output: Output, meter: Meter) -> int:
    """Look, and give the exit code.

    Raises:
        AsyncmirrorError: It could not begin, or could not go on.
    """
    of = Belongs("", str(asked.destination), configured_endpoint(asked.connection))
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_Look(Verifier(asked, of), output, meter).run())


class _Look:
    """One look."""

    def __init__(self, verifier: Verifier, output: Output, meter: Meter) -> None:
        self._verifier = verifier
        self._output = output
        self._meter = meter
        self._signal: signal.Signals | None = None
        self._buffer = bytearray()

    async def run(self) -> int:
        """The whole of it."""
        task = asyncio.current_task()
        assert task is not None
        loop = asyncio.get_running_loop()
        for each in _SIGNALS:
            loop.add_signal_handler(each, self._on_signal, each, task)
        ticker = asyncio.create_task(self._tick())
        try:
            return await self._follow()
        except asyncio.CancelledError:
            if self._signal is None:
                raise
            stdout.write(bytes(self._buffer))
            return _STOPPED_BY + self._signal
        finally:
            ticker.cancel()
            await asyncio.wait([ticker])
            self._meter.close()
            for each in _SIGNALS:
                loop.remove_signal_handler(each)

    def _on_signal(self, number: signal.Signals, task: asyncio.Task[object]) -> None:
        self._signal = number
        loop = asyncio.get_running_loop()
        for each in _SIGNALS:  # a second one kills: a file system that does not answer can't be waited for
            loop.remove_signal_handler(each)
            signal.signal(each, signal.SIG_DFL)
        task.cancel()

    async def _follow(self) -> int:
        code = 0
        async with contextlib.aclosing(self._verifier.run()) as found:
            async for each in found:
                if isinstance(each, Report):
                    code = each.exit_code
                    self._buffer += dump(summary(each)) if self._output.json else _text(lines(each))
                else:
                    self._buffer += dump(to_json(each)) if self._output.json else _text((line(each),))
                if (isinstance(each, Report) or len(self._buffer) >= _PIECE) and not await self._flush():
                    return stdout.LOST
        return code

    async def _flush(self) -> bool:
        """Write what has gathered, off the event loop: a slow reader holds the look up, but no request in flight."""
        piece, self._buffer = self._buffer, bytearray()
        return await asyncio.to_thread(stdout.write, bytes(piece))

    async def _tick(self) -> None:
        while True:
            with contextlib.suppress(OSError):
                await asyncio.to_thread(self._meter.show, progress(self._verifier.gauge()))
            await asyncio.sleep(_REFRESH)


def _text(told: Iterator[str] | tuple[str, ...]) -> bytes:
    return "".join(each + "\n" for each in told).encode("utf-8")


def progress(gauge: Gauge) -> str:
    """How far it is, in one line."""
    share = f" ({gauge.looked / gauge.objects:.0%})" if gauge.objects else ""
    rate = gauge.looked / gauge.seconds if gauge.seconds else 0.0
    parts = [f"{duration(gauge.seconds)}", f"looked at {gauge.looked:,} of {gauge.objects:,}{share}", f"amiss {gauge.amiss:,}"]
    if gauge.bytes_read:
        parts.append(f"read {format_size(gauge.bytes_read)} ({format_size(gauge.bytes_read / gauge.seconds)}/s)")
    return "; ".join((*parts, f"{rate:,.0f} objects/s"))


def line(finding: Finding) -> str:
    """One finding, for people. An object that is on no record has no path: it is shown by its key."""
    name = show_name(finding.path) if finding.path else show_name(finding.key.encode("utf-8", "surrogateescape"))
    return f"{finding.verdict.value}: {name}: {show_line(finding.reason)}"


def to_json(finding: Finding) -> dict[str, object]:
    """One finding, for programs."""
    return {
        "event": "finding",
        "verdict": finding.verdict.value,
        "path": decode(finding.path),
        "key": finding.key,
        "size": finding.size,
        "reason": finding.reason,
    }


def lines(report: Report) -> Iterator[str]:
    """What it comes to, for people."""
    counts, account = report.counts, report.account
    told = [f"{counts[verdict]:,} {verdict.value}" for verdict in Verdict if counts.get(verdict)]
    size = format_size(account.size)
    yield f"{counted(account.objects, 'object')} on record ({size}): {', '.join(told) or 'nothing to look at'}"
    if report.sums:
        yield f"{report.sums:,} lines of checksum files were held against the source"
    if report.earlier:
        since = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(report.began))
        yield f"{report.earlier:,} of them were read before this look was stopped; it began {since} (--restart reads all again)"
    if account.unproven:
        yield f"{account.unproven:,} of them were adopted by size alone (--trust-size): nothing proves their bytes"
    if account.incomplete:
        yield f"{account.incomplete:,} entries of the source are not in the bucket: asyncmirror problems tells which, and why"
    if not account.ended:
        yield "the last sync did not see the whole source: what it did not see is not in this account"
    if report.repaired:
        yield f"{report.repaired:,} objects are no longer on record as complete: the next sync sends them"
    verdict = "not all is there" if report.exit_code else "all is there"
    yield f"{verdict} ({counted(report.requests, 'request')}, {duration(report.seconds)})"


def summary(report: Report) -> dict[str, object]:
    """What it comes to, for programs."""
    account = report.account
    return {
        "event": "summary",
        **{verdict.value: report.counts.get(verdict, 0) for verdict in Verdict},
        "objects": account.objects,
        "bytes": account.size,
        "trusted": account.unproven,
        "incomplete": account.incomplete,
        "ended": account.ended,
        "sums": report.sums,
        "earlier": report.earlier,
        "began": round(report.began, 3),
        "repaired": report.repaired,
        "requests": report.requests,
        "seconds": round(report.seconds, 3),
        "exit_code": report.exit_code,
    }
