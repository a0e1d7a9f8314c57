"""The store as an open mirror has it: there, looked at before each run, and opened anew after it failed.

Owns how long somebody waits for its first answer, and that what it refuses then is no file's failure. What it can guarantee is
`probing`'s to find out.
"""

import asyncio
from contextlib import AsyncExitStack

from asyncmirror.errors import BucketError, StoreError, UnreachableError
from asyncmirror.settings import Settings
from asyncmirror.store.assemble import Assembled, assemble
from asyncmirror.store.port import Store

_PATIENCE = 30.0
"""Seconds in which the store must have answered before anything is begun: somebody is waiting."""


class Reach:
    """One store at a time. To be opened before use, and closed."""

    def __init__(self, own: Store | None) -> None:
        """Prepare it; `own` is a store of one's own, undecorated."""
        self._own = own
        self._scope = AsyncExitStack()

    async def open(self, settings: Settings, *, paused: bool = False) -> None:
        """Open the store, with what configuration and credentials are now; one that is open is closed.

        Raises:
            StoreError: Its configuration is wrong; no request is made.
        """
        await self._scope.aclose()
        self.store: Assembled = await self._scope.enter_async_context(assemble(settings, self._own))
        if paused:
            self.store.limited.pause()

    async def close(self) -> None:
        """Close it."""
        await self._scope.aclose()

    async def check(self, settings: Settings) -> None:
        """Make sure that the store can be worked with. What it refuses now is no file's failure: the run can't begin.

        Raises:
            StoreError: It can't, as its `fatal` tells.
        """
        try:
            async with asyncio.timeout(_PATIENCE):
                await self.store.first.check_bucket(settings.destination.prefix)
        except TimeoutError:
            where = str(settings.destination)
            hint = "check --endpoint-url and the network"
            raise UnreachableError(f"the store did not answer within {_PATIENCE:.0f} s", path=where, hint=hint) from None
        except StoreError as error:
            if error.fatal:
                raise
            hint = error.hint or "nothing was begun: run the same command again when the store is well"
            raise BucketError(
                error.message, op=error.op, path=error.path, hint=hint, status=error.status, code=error.code
            ) from error
