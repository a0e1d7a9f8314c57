"""The store as a run uses it: the adapter, limited, and retried.

Owns the order of the decorators: a slot is taken for each attempt, so that waiting before another one holds none.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import NamedTuple

from asyncmirror.settings import Settings
from asyncmirror.store.limit import LimitedStore
from asyncmirror.store.port import Store
from asyncmirror.store.retry import RetryingStore
from asyncmirror.store.s3 import S3Store


class Assembled(NamedTuple):
    """What to send requests to, and the gauges of what was sent."""

    store: Store
    limited: LimitedStore


@asynccontextmanager
async def assemble(settings: Settings, own: Store | None = None) -> AsyncIterator[Assembled]:
    """The store that the settings name, or one's own, decorated.

    Raises:
        StoreError: Its configuration is wrong; no request is made yet.
    """
    tuning = settings.tuning
    if own is not None:
        yield _decorate(own, settings)
        return
    adapter = S3Store(settings.destination.bucket, settings.connection, settings.objects, tuning.concurrency)
    async with adapter:
        yield _decorate(adapter, settings)


def _decorate(adapter: Store, settings: Settings) -> Assembled:
    limited = LimitedStore(adapter, settings.tuning.concurrency, settings.tuning.request_timeout)
    return Assembled(RetryingStore(limited, settings.tuning), limited)
