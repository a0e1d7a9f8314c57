"""Who carries works out: this process's own event loop, or several processes with a loop each (`--loops`).

Owns what the run may ask of either kind (carry out, steer, pause, drain, gauges), and the first; the other is `several`. Scan,
plan and journal stay in the run's process, one of each.
"""

from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

from asyncmirror.engine.throttling import Throttling
from asyncmirror.events import Flight, Transfer
from asyncmirror.settings import Settings, Tuning
from asyncmirror.source.beneath import Beneath
from asyncmirror.store.assemble import Assembled
from asyncmirror.transfer.upload import Uploader
from asyncmirror.transfer.work import Ledger, Work

SLOWEST = 5
"""Transfers that are told of."""


class Crew(Protocol):
    """Carries works out."""

    @property
    def files(self) -> int:
        """How many small files are best handed over at once."""
        ...

    @property
    def requests(self) -> int:
        """Requests sent so far."""
        ...

    @property
    def bytes_sent(self) -> int:
        """Bytes of bodies sent so far."""
        ...

    @property
    def under_way(self) -> int:
        """Bytes that have been sent of files without an outcome yet."""
        ...

    @property
    def flight(self) -> Flight:
        """Requests in flight as allowed now."""
        ...

    async def run(self, works: list[Work]) -> None:
        """Carry works out; each gets its outcome in the ledger.

        Raises:
            AsyncmirrorError: A fatal one: the run can't go on.
        """
        ...

    def steer(self, tuning: Tuning) -> None:
        """Go by another tuning from now on. The store of the run's own process is steered by the run."""
        ...

    def pause(self, *, paused: bool) -> None:
        """Begin no request, or go on. The store of the run's own process is paused by the run."""
        ...

    def spread_log_levels(self) -> None:
        """Log from the levels on that loggers of the run's own process have by now."""
        ...

    def drain(self) -> None:
        """Begin nothing new."""
        ...

    def slowest(self) -> tuple[Transfer, ...]:
        """The transfers that have been going on for longest."""
        ...


class Alone:
    """This process's own loop."""

    def __init__(
        self, settings: Settings, beneath: Beneath, store: Assembled, ledger: Ledger, readers: ThreadPoolExecutor
    ) -> None:
        self._limited = store.limited
        self._refused = store.limited.throttle.refused  # in earlier runs
        throttling = Throttling(ledger.notice)
        store.limited.throttle.changed = lambda: throttling.observe(self.flight)
        self._uploader = Uploader(settings, beneath, store.store, ledger, readers)
        self.run = self._uploader.run

    @property
    def files(self) -> int:
        """See `Crew.files`."""
        return self._uploader.hops.files

    @property
    def requests(self) -> int:
        """See `Crew.requests`."""
        return self._limited.requests

    @property
    def bytes_sent(self) -> int:
        """See `Crew.bytes_sent`."""
        return self._limited.bytes_sent

    @property
    def under_way(self) -> int:
        """See `Crew.under_way`."""
        return self._uploader.confirmed + self._limited.unconfirmed

    @property
    def flight(self) -> Flight:
        """See `Crew.flight`."""
        flight = self._limited.throttle.flight
        return flight._replace(refused=flight.refused - self._refused)

    def steer(self, tuning: Tuning) -> None:
        """See `Crew.steer`."""
        self._uploader.steer(tuning)

    def pause(self, *, paused: bool) -> None:
        """See `Crew.pause`: this process's store is all there is."""

    def spread_log_levels(self) -> None:
        """See `Crew.spread_log_levels`: there is no other process."""

    def drain(self) -> None:
        """See `Crew.drain`."""
        self._uploader.draining = True
        self._limited.end()

    def slowest(self) -> tuple[Transfer, ...]:
        """See `Crew.slowest`."""
        return self._uploader.active(SLOWEST)
