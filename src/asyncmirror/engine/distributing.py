"""From plans to works: what is settled is recorded and told, what is to be done waits until a worker takes it.

Owns the channels between the scan and the workers, the gauges of both, and what a dry run says of a work. Knows no task: the
scan threads put, one task runs, as many work as `workers` has hired.
"""

from collections.abc import Sequence

from asyncmirror.engine.channel import Channel
from asyncmirror.engine.crew import Crew
from asyncmirror.engine.forecast import Forecast, Outlook
from asyncmirror.engine.parking import MEMORY, Parking
from asyncmirror.engine.planner import Plan
from asyncmirror.engine.recorder import Recorder
from asyncmirror.errors import SecretError
from asyncmirror.events import Event, Narrow, Settled
from asyncmirror.model import Outcome
from asyncmirror.plan.hops import INLINE_MOST
from asyncmirror.settings import Settings, Tuning
from asyncmirror.store.port import Store
from asyncmirror.transfer.guard import Guard
from asyncmirror.transfer.work import Work

_PLANS = 16  # listings between scan and distribution, of at most 1,000 files each
_WORKS = 2_000


class Distributing:
    """Of one run.

    Attributes:
        scanned: Entries that were found so far.
        scanned_bytes: Their sizes.
        queued_bytes: Those of what waits for a worker.
    """

    def __init__(self, settings: Settings, store: Store, recorder: Recorder, outbox: Channel[Event]) -> None:
        self.scanned = 0
        self.scanned_bytes = 0
        self.queued_bytes = 0
        self._dry_run = settings.dry_run
        self._tuning = settings.tuning
        self._recorder = recorder
        self._outbox = outbox
        self._guard = Guard(settings, store, recorder.notice)
        self._outlook = Outlook(settings.tuning) if settings.dry_run else None
        self._ending = False
        self._plans: Channel[Plan] = Channel(_PLANS)
        self._works: Channel[Work] = Channel(_WORKS)
        self._parking = Parking(self._works, settings.tuning.max_memory // MEMORY)

    @property
    def queued(self) -> int:
        """How many works wait."""
        return len(self._works) + len(self._parking)

    @property
    def forecast(self) -> Forecast | None:
        """What a run would do that is not dry; None where this one is not."""
        return None if self._outlook is None else self._outlook.forecast()

    def put(self, plan: Plan) -> None:
        """In a scan thread: here is a plan; it waits while too many are ahead."""
        self._plans.put(plan)

    def scan_ended(self) -> None:
        """There are no more plans."""
        self._plans.close()

    def steer(self, tuning: Tuning) -> None:
        """Go by another tuning from now on."""
        self._tuning = tuning
        self._parking.most = tuning.max_memory // MEMORY

    def end(self) -> None:
        """Give out no more works."""
        self._ending = True

    def drain(self) -> bool:
        """Let nothing that waits be done; whether there was something."""
        left = len(self._plans) > 0
        self._plans.close()
        left = bool(self._works.clear() or self._parking) or left
        self._parking.clear()
        self._works.close()
        self.queued_bytes = 0
        return left

    async def run(self) -> None:
        """Take plans apart: what is settled goes to the journal and the caller, works go to the workers."""
        while plans := await self._plans.take(1):
            plan = plans[0]
            if self._outlook is not None:
                plan = await self._foresee(plan)
                self._outlook.take(plan)
            unchanged, settled, changes, works, scanned, scanned_bytes = plan
            self.scanned += scanned
            self.scanned_bytes += scanned_bytes
            if unchanged is not None:
                self._outbox.offer((unchanged,))
            if settled or changes:
                self._recorder.add(settled, changes)
            if self._dry_run:
                self._recorder.add([_would(work) for work in works], ())
            elif not self._ending:
                self._works.offer(works)
                self.queued_bytes += sum(work.size for work in works)
            await self._works.room()
            await self._recorder.room()
            await self._outbox.room()
        self._works.close()

    async def work(self, crew: Crew) -> None:
        """Take works and have them carried out until there are no more."""
        # So small that the files of one hop leave most of the budget to the other workers.
        least = min(INLINE_MOST // 16, self._tuning.max_memory // 64)

        def joins(first: Work, other: Work) -> bool:
            return first.is_plain(least) and other.is_plain(least)

        def together() -> int:
            """A worker's share of what waits, and no more than the crew likes."""
            return max(1, min(crew.files, len(self._works) // max(1, crew.flight.limit)))

        def narrow() -> Sequence[Narrow]:
            return crew.flight.narrow

        while works := (handful := await self._parking.take(together, narrow, joins)).works:
            self.queued_bytes -= sum(work.size for work in works)
            try:
                await crew.run(works)
            finally:
                self._parking.done(handful)
            await self._recorder.room()
            await self._outbox.room()

    async def _foresee(self, plan: Plan) -> Plan:
        """A dry run's plan: what the guard refuses is settled. Of secrets it knows those that their path gives away."""
        works = []
        for work in plan.works:
            try:
                await self._guard.pass_through(work.path, work.rule)
            except SecretError as error:
                plan.settled.append(Settled(work.path, work.key, Outcome.REFUSED, work.size, f"dry run: {error}"))
            else:
                works.append(work._replace(rule=""))
        return plan._replace(works=works)


def _would(work: Work) -> Settled:
    """What a dry run says of a work."""
    return Settled(work.path, work.key, Outcome.PENDING, work.size, f"dry run: {work.action.value}")
