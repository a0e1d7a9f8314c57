"""The store as a run uses it: the adapter, limited, and retried.

Owns the order of the decorators: a slot is taken for each attempt, so that waiting before another one holds none.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import NamedTuple

from asyncmirror.settings import Collection, Settings, Verification
from asyncmirror.store.guarantees import is_amazon
from asyncmirror.store.limit import LimitedStore
from asyncmirror.store.port import Store
from asyncmirror.store.probe.scratch import Asking
from asyncmirror.store.retry import RetryingStore
from asyncmirror.store.wire.store import WireStore

_FIRST_ATTEMPTS = 7
"""Over at most 6 seconds."""


class Assembled(NamedTuple):
    """What to send requests to, the gauges of what was sent, and what the user should know of it."""

    store: RetryingStore
    limited: LimitedStore
    first: Store  # gives up sooner: for what is asked while somebody waits for the run to begin
    notices: tuple[str, ...] = ()
    wire: Asking | None = None  # for probes; None where there is no lean wire
    amazon: bool = False  # whether the store is Amazon's own
    signed: bool = True  # whether the signature covers bodies


@asynccontextmanager
async def assemble(settings: Settings | Verification | Collection, own: Store | None = None) -> AsyncIterator[Assembled]:
    """The store that the settings name, or one's own, decorated.

    Raises:
        StoreError: Its configuration is wrong; no request is made yet.
    """
    tuning = settings.tuning
    if own is not None:
        yield _decorate(own, settings)
        return
    bucket, timeout = settings.destination.bucket, tuning.request_timeout
    async with WireStore(bucket, settings.connection, settings.objects, tuning.concurrency, timeout) as adapter:
        reason = adapter.sdk_serves
        notices = (f"uploads go through the SDK, which is slower: {reason}",) if reason else ()
        url = adapter.endpoint.url if adapter.endpoint is not None else ""
        signed = settings.connection.sign_request and not (settings.connection.unsigned_payload and url.startswith("https:"))
        store = _decorate(adapter, settings, keeps_time=not reason)
        yield store._replace(notices=notices, wire=adapter.wire, amazon=is_amazon(url), signed=signed)


def _decorate(adapter: Store, settings: Settings | Verification | Collection, *, keeps_time: bool = False) -> Assembled:
    tuning = settings.tuning
    limited = LimitedStore(adapter, tuning.concurrency, tuning.request_timeout, keeps_time=keeps_time)
    hasty = replace(tuning, max_attempts=min(tuning.max_attempts, _FIRST_ATTEMPTS))
    retrying = RetryingStore(limited, tuning, throttle=limited.throttle)
    return Assembled(retrying, limited, RetryingStore(limited, hasty))
