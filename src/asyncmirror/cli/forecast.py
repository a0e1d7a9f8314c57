"""`asyncmirror plan`: what the next sync would send, in how many requests, for how much money, in what time.

Owns the two forms (text and one JSON object, whose keys are kept), the picture of the sizes, and what is said on stderr
meanwhile. The scan is `engine.forecast`'s, the arithmetic `plan.estimate`'s.
"""

import shutil
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from asyncmirror.cli import report, stderr, stdout
from asyncmirror.cli.fold import PROBLEMS_KEPT
from asyncmirror.cli.gather import Gathered, Output
from asyncmirror.cli.json_lines import dump
from asyncmirror.engine.forecast import Forecast, Forecaster
from asyncmirror.errors import UsageError
from asyncmirror.events import Settled
from asyncmirror.model import PROBLEMS, Outcome
from asyncmirror.plan.estimate import Bin
from asyncmirror.plan.prices import AS_OF, LISTED, REGION, Quote, Stock, monthly, quote
from asyncmirror.sizes import KIB, format_size
from asyncmirror.text import counted, show_line

INCOMPLETE = 3
_INTERVAL = 10.0
"""Seconds between two lines that say how far the scan is."""
_PIPED_WIDTH = 100
_BESIDE_BARS = 48
"""Columns of a line that are no bar."""
_LEAST_BAR = 10
_EIGHTHS = "▏▎▍▌▋▊▉█"


@dataclass(frozen=True, slots=True)
class Ask:
    """What is asked beside the sync's own options. `bandwidth` in bytes per second; `quote` is what it is reckoned with."""

    bandwidth: int | None = None
    quote: Quote = field(default_factory=quote)

    def __post_init__(self) -> None:
        if self.bandwidth == 0:
            raise UsageError("--bandwidth must be more than nothing")


def run(gathered: Gathered, source: str, destination: str) -> int:
    """Look ahead, and write what would come; gives the exit code.

    Raises:
        UsageError: It can't be meant so.
        JournalError: The journal is in use, or can't be read.
    """
    settings = gathered.settings(source, destination)
    given = {**gathered.sections.get("plan", {})}
    bandwidth = Ask(given.pop("bandwidth", None)).bandwidth
    asked = Ask(settings.tuning.bwlimit.mean(bandwidth), quote(settings.objects.storage_class, **given))
    output = gathered.output()
    teller = _Teller(output)
    found = Forecaster(settings, teller.progress, teller.settled).run()
    teller.end()
    if output.json:
        text = dump(to_json(found, asked))
    else:
        text = "".join(line + "\n" for line in lines(found, asked, width())).encode("utf-8")
    if not stdout.write(text):
        return stdout.LOST
    left_out = found.send.refused or any(found.counts.get(outcome) for outcome in PROBLEMS)
    return INCOMPLETE if left_out else 0


def width() -> int:
    """How many columns there are."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else _PIPED_WIDTH


def lines(found: Forecast, asked: Ask, width: int) -> Iterator[str]:
    """The text, in lines of at most so many columns where it can."""
    yield from _entries(found)
    yield ""
    yield from _costs(found, asked)
    if found.send.bins:
        yield ""
        yield from histogram(found.send.bins, width)


def _entries(found: Forecast) -> Iterator[str]:
    send = found.send
    yield f"{'':<14}{'entries':>16}{'bytes':>12}"
    yield _row("scanned", found.scanned, found.scanned_size)
    yield _row("to send", send.files, send.size)
    if found.compared:
        yield _row("to compare", found.compared, found.compared_size) + "  (times changed: sent if the bytes did)"
    for outcome in Outcome:
        if found.counts.get(outcome):
            yield _row(outcome.name.lower(), found.counts[outcome], found.sizes.get(outcome, 0))
    if send.refused:
        large = counted(send.refused, "file is", "files are")
        yield f"{large} too large for --max-memory or for S3, and not in these numbers"
    if found.secret:
        look = "looks like a secret" if found.secret == 1 else "look like secrets"
        yield f"{found.secret:,} of those to send {look}: refused unless the bucket is private"


def _costs(found: Forecast, asked: Ask) -> Iterator[str]:
    send, prices = found.send, asked.quote.prices
    if send.sent != send.size:
        yield f"bytes         {format_size(send.sent)} of {format_size(send.size)}: the rest has been confirmed before"
    yield f"requests      {send.requests:,} that are charged as PUT"
    if send.multipart:
        enlarged = f", {send.enlarged:,} of them in parts larger than --part-size" if send.enlarged else ""
        parts = f"{counted(send.parts, 'part')} of at most {format_size(send.longest_part)}"
        yield f"parts         {counted(send.multipart, 'file')} in {parts}{enlarged}"
    costs = f"{_dollars(send.request_cost(prices))} for requests; a month of storage {_dollars(monthly(send.stock, prices))}"
    yield f"cost          {costs}, with what is there already {_dollars(monthly(_there(found), prices))}"
    yield from _reckoned(asked.quote)
    if asked.bandwidth:
        spent = report.duration(send.seconds(asked.bandwidth))
        yield f"time          {spent} at {format_size(asked.bandwidth)}/s, by bandwidth alone"


def _reckoned(asked: Quote) -> Iterator[str]:
    """With which prices it is reckoned."""
    prices = asked.prices
    name = show_line(asked.storage_class)
    yield f"prices        {name}: ${prices.storage:g} for a TB and month, ${prices.requests:g} for 1,000 PUTs"
    if asked.listed:
        of = "" if len(asked.listed) == len(LISTED) else f"{asked.listed[0]}: "
        whose = "Amazon's" if asked.known else "no price of this class is known: of S3 Standard, Amazon's"
        yield f"              {of}{whose} in {REGION}, {AS_OF}; yours may differ"
    charged = []
    if prices.least:
        charged.append(f"as {format_size(prices.least)} at least")
    if prices.beside:
        charged.append("with 40 KiB beside it")
    if prices.days:
        charged.append(f"for {prices.days} days at least")
    if charged:
        yield f"              each object is charged {', '.join(charged)}"


def _there(found: Forecast) -> Stock:
    """What will be in the bucket."""
    return found.send.stock.and_(found.there)


def histogram(bins: Sequence[Bin], width: int) -> Iterator[str]:
    """How many files are of which size, as bars; the longest takes what room there is."""
    most = max(each.files for each in bins)
    room = max(_LEAST_BAR, width - _BESIDE_BARS)
    yield f"{'size of files to send':<24}{'files':>12}{'bytes':>10}"
    for each in bins:
        upper = f"to {format_size(max(each.least * 4, KIB))}"
        label = f"{format_size(each.least):>9} {upper:<12}"
        yield f"{label:<24}{each.files:>12,}{format_size(each.size):>10}  {_bar(each.files / most, room)}".rstrip()


def _bar(share: float, room: int) -> str:
    """A bar of that share of the room, in eighths of a column; what is not nothing shows."""
    eighths = round(share * room * 8) or (share > 0)
    whole, rest = divmod(eighths, 8)
    return "█" * whole + (_EIGHTHS[rest - 1] if rest else "")


def _row(label: str, count: int, size: int) -> str:
    return f"{label:<14}{count:>16,}{format_size(size):>12}"


def _dollars(amount: float) -> str:
    return f"${amount:,.2f}"


def to_json(found: Forecast, asked: Ask) -> dict[str, object]:
    """The JSON object. Sizes in bytes, costs in US dollars, `seconds` null without a bandwidth."""
    send, prices = found.send, asked.quote.prices
    return {
        "scanned": {"count": found.scanned, "bytes": found.scanned_size},
        "send": {"count": send.files, "bytes": send.size, "left": send.sent},
        "compare": {"count": found.compared, "bytes": found.compared_size},
        "outcomes": {
            outcome.name.lower(): {"count": count, "bytes": found.sizes.get(outcome, 0)}
            for outcome, count in sorted(found.counts.items())
        },
        "too_large": send.refused,
        "secrets": found.secret,
        "requests": send.requests,
        "multipart": {
            "files": send.multipart,
            "parts": send.parts,
            "longest_part": send.longest_part,
            "enlarged": send.enlarged,
        },
        "request_cost": round(send.request_cost(prices), 6),
        "monthly_cost": {"sent": round(monthly(send.stock, prices), 6), "all": round(monthly(_there(found), prices), 6)},
        "prices": _quoted(asked.quote),
        "seconds": round(send.seconds(asked.bandwidth), 3) if asked.bandwidth else None,
        "histogram": [each._asdict() for each in send.bins],
    }


def _quoted(asked: Quote) -> dict[str, object]:
    prices = asked.prices
    return {
        "storage_class": asked.storage_class,
        "storage": prices.storage,
        "requests": prices.requests,
        "listed": AS_OF if asked.listed else None,
        "least_size": prices.least,
        "least_days": prices.days,
    }


class _Teller:
    """Says on stderr how far the scan is, and what would not be sent."""

    def __init__(self, output: Output) -> None:
        self._interval = _INTERVAL if output.progress and not output.quiet else None
        self._next = time.monotonic() + _INTERVAL
        self._problems = 0

    def progress(self, entries: int, size: int) -> None:
        """So much has been scanned."""
        if self._interval is not None and time.monotonic() >= self._next:
            self._next = time.monotonic() + self._interval
            stderr.write([f"asyncmirror: scanned {entries:,} ({format_size(size)})"])

    def settled(self, entry: Settled) -> None:
        """An entry would not be sent."""
        if entry.outcome in PROBLEMS:
            self._problems += 1
            if self._problems <= PROBLEMS_KEPT:
                stderr.write([report.problem(entry)])

    def end(self) -> None:
        """All is scanned."""
        if self._problems > PROBLEMS_KEPT:
            stderr.write([f"asyncmirror: {self._problems:,} entries in all could not be sent"])
