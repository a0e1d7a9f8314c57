"""Who carries works out in a run that adopts: lists the bucket once, and compares.

Owns the listing's task and the wait for it. Implements `engine.crew.Crew`; the comparing is `audit.adopt`'s.
"""

import asyncio
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager

from asyncmirror.audit.adopt import Adopter
from asyncmirror.audit.catalogue import Catalogue
from asyncmirror.errors import BucketError, StoreError
from asyncmirror.events import Flight, Transfer
from asyncmirror.plan import keys
from asyncmirror.settings import Settings, Tuning
from asyncmirror.source.beneath import Beneath
from asyncmirror.store.assemble import Assembled
from asyncmirror.store.limit import closing
from asyncmirror.store.port import Store
from asyncmirror.transfer.work import Ledger, Work

_PAGE = 1000


@asynccontextmanager
async def adopting(
    settings: Settings, beneath: Beneath, store: Assembled, ledger: Ledger, readers: ThreadPoolExecutor
) -> AsyncIterator["Adopters"]:
    """A crew that sends nothing; the bucket's listing goes on beside the scan."""
    catalogue = Catalogue()
    listing = asyncio.create_task(_list(store.store, keys.directory_prefix(settings.destination.prefix, b""), catalogue))
    try:
        adopter = Adopter(settings, beneath, store.store, catalogue, ledger, readers)
        yield Adopters(adopter, store, listing)
    finally:
        listing.cancel()
        await asyncio.wait([listing])
        if not listing.cancelled():
            listing.exception()  # whoever waited for it was told
        catalogue.close()


class Adopters:
    """Implements `engine.crew.Crew`."""

    files = 1

    def __init__(self, adopter: Adopter, store: Assembled, listing: "asyncio.Task[None]") -> None:
        self._adopter = adopter
        self._limited = store.limited
        self._listing = listing

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
        """See `Crew.under_way`: nothing is sent."""
        return 0

    @property
    def flight(self) -> Flight:
        """See `Crew.flight`."""
        return self._limited.throttle.flight

    async def run(self, works: list[Work]) -> None:
        """See `Crew.run`. Waits until the bucket is listed."""
        try:
            if not self._adopter.draining:
                await asyncio.shield(self._listing)
            await self._adopter.run(works)
        except StoreError as error:
            if error.fatal:
                raise
            hint = "what was adopted is kept: run the same command again when the store is well"
            raise BucketError(f"the bucket could not be looked at: {error}", hint=hint) from error

    def steer(self, tuning: Tuning) -> None:
        """See `Crew.steer`: only the store's requests are turned."""

    def pause(self, *, paused: bool) -> None:
        """See `Crew.pause`: only the store's requests are paused."""

    def spread_log_levels(self) -> None:
        """See `Crew.spread_log_levels`: there is no other process."""

    def drain(self) -> None:
        """See `Crew.drain`."""
        self._adopter.draining = True
        self._listing.cancel()
        self._limited.end()

    def slowest(self) -> tuple[Transfer, ...]:
        """See `Crew.slowest`."""
        return ()


async def _list(store: Store, prefix: str, catalogue: Catalogue) -> None:
    """List all that is there."""
    page = []
    async with closing(store.list_objects(prefix)) as objects:
        async for found in objects:
            page.append(found)
            if len(page) == _PAGE:
                await asyncio.to_thread(catalogue.add, page)
                page = []
    await asyncio.to_thread(catalogue.add, page)
