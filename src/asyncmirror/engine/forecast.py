"""What the next sync would do, in numbers: a scan, and the decisions that a sync would make, without the store.

Owns the scan and what each decision counts as, also for a dry run, which scans by itself. The journal is only read. What only
the store can tell is left open: whether a file whose times changed has other bytes, what is found to be adopted, whether what
looks like a secret may go where the user does not say.
"""

import threading
from collections import Counter
from collections.abc import Callable, Mapping
from typing import NamedTuple

from asyncmirror.audit.agreed import agree
from asyncmirror.engine.crawl import walk
from asyncmirror.engine.journals import belongs, default_journal
from asyncmirror.engine.planner import Plan, Planner
from asyncmirror.engine.starts import starts
from asyncmirror.events import Settled
from asyncmirror.journal.writer import Journal
from asyncmirror.model import Outcome
from asyncmirror.plan.decide import Action
from asyncmirror.plan.estimate import Estimate, Estimator
from asyncmirror.plan.filters import Filters
from asyncmirror.plan.prices import Stock
from asyncmirror.plan.remap import Remaps
from asyncmirror.settings import Settings, Tuning
from asyncmirror.source import filesystem
from asyncmirror.source.beneath import Beneath
from asyncmirror.source.walk import Listing, Walker
from asyncmirror.transfer.guard import Word, refusal


class Forecast(NamedTuple):
    """What was found. `send` is what would be sent; `counts` and `sizes` (bytes) are of entries that would not, by outcome.

    `compared` files, of `compared_size` bytes, are read first and sent only if their bytes changed; `secret` of those to send
    look like secrets by their path, and only the store knows whether they may go. `scanned` are all entries but directories,
    `scanned_size` their bytes. `there` is in the bucket already, those that are compared included.
    """

    send: Estimate
    counts: Mapping[Outcome, int]
    sizes: Mapping[Outcome, int]
    compared: int
    compared_size: int
    secret: int
    scanned: int
    scanned_size: int
    there: Stock = Stock()


class Outlook:
    """Adds plans up. Remembers numbers alone, however many files there are."""

    def __init__(self, tuning: Tuning, on_settled: Callable[[Settled], None] = lambda _: None) -> None:
        """Begin. `on_settled` is told of each entry that would not be sent, but for those that are unchanged."""
        self.scanned = self.scanned_size = 0
        self._on_settled = on_settled
        self._send = Estimator(tuning)
        self._counts: Counter[Outcome] = Counter()
        self._sizes: Counter[Outcome] = Counter()
        self._compared = self._compared_size = self._secret = 0
        self._there = Stock()

    def take(self, plan: Plan) -> None:
        """Take in the plan of one listing."""
        if plan.unchanged is not None:
            self._counts[Outcome.UNCHANGED] += len(plan.unchanged.files)
            self._sizes[Outcome.UNCHANGED] += sum(size for _, size in plan.unchanged.files)
            self._there = self._there.plus(size for _, size in plan.unchanged.files)
        for settled in plan.settled:
            self._counts[settled.outcome] += 1
            self._sizes[settled.outcome] += settled.size
            if settled.outcome is Outcome.UNCHANGED:
                self._there = self._there.plus((settled.size,))
            else:
                self._on_settled(settled)
        for work in plan.works:
            if work.action is Action.RECHECK:
                self._compared += 1
                self._compared_size += work.size
                self._there = self._there.plus((work.size,))
                continue
            self._secret += bool(work.rule)
            uploading = work.record.uploading if work.action is Action.RESUME else None
            self._send.add(work.size, uploading.upload if uploading is not None and uploading.upload.upload_id else None)
        self.scanned += plan.scanned
        self.scanned_size += plan.scanned_bytes

    def forecast(self) -> Forecast:
        """The sum so far."""
        return Forecast(
            self._send.estimate(),
            dict(self._counts),
            dict(self._sizes),
            self._compared,
            self._compared_size,
            self._secret,
            self.scanned,
            self.scanned_size,
            self._there,
        )


class Forecaster:
    """One look ahead. `on_progress` and `on_settled` are called from scan threads, one call at a time."""

    def __init__(
        self,
        settings: Settings,
        on_progress: Callable[[int, int], None] = lambda _, __: None,
        on_settled: Callable[[Settled], None] = lambda _: None,
    ) -> None:
        """Prepare.

        Args:
            settings: The sync that would be made.
            on_progress: Is told of entries and bytes scanned so far.
            on_settled: Is told of each entry that would not be sent, but for those that are unchanged.
        """
        self._settings = settings
        self._on_progress = on_progress
        self._lock = threading.Lock()
        self._word = Word(settings)
        self._outlook = Outlook(settings.tuning, on_settled)

    def run(self) -> Forecast:
        """Look.

        Raises:
            UsageError: The source is no directory, a pattern is malformed, or the journal is another destination's.
            JournalError: The journal is in use, or can't be read.
        """
        settings = self._settings
        filters = Filters(settings.rules)
        beneath = Beneath(settings.source)
        try:
            begin = starts(beneath, settings.subdirs or settings.within, settings.symlinks)
            of = belongs(settings.source, settings.destination, settings.connection)
            journal = Journal(settings.journal or default_journal(of), of, read_only=True)
            try:
                remaps = Remaps(settings.remaps)
                journal.ask(lambda connection: agree(connection, remaps, journal.path)).result()
                planner = Planner(settings, filters, journal, beneath)

                def take(listing: Listing) -> None:
                    self._take(planner.plan(listing))

                count = filesystem.threads(settings.source, settings.tuning.scanners, 0).scanners
                walk(Walker(beneath, filters, settings.symlinks, settings.stubs, take, count, begin))
            finally:
                journal.close()
        finally:
            beneath.close()
        return self._outlook.forecast()

    def _take(self, plan: Plan) -> None:
        with self._lock:
            self._outlook.take(self._foresee(plan))
            self._on_progress(self._outlook.scanned, self._outlook.scanned_size)

    def _foresee(self, plan: Plan) -> Plan:
        """The same, where the user's word says what becomes of secrets."""
        works = []
        for work in plan.works:
            if not work.rule or self._word.allows(work.path):
                works.append(work._replace(rule=""))
            elif (visibility := self._word.visibility) is None:
                works.append(work)
            else:
                reason = str(refusal(work.rule, visibility))
                plan.settled.append(Settled(work.path, work.key, Outcome.REFUSED, work.size, reason))
        return plan._replace(works=works)
