"""The store as a run uses it: the adapter, limited, and retried.

Owns the order of the decorators: a slot is taken for each attempt, so that waiting before another one holds none.
"""

from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from dataclasses import replace
from typing import NamedTuple

from asyncmirror.settings import Collection, Settings, Verification
from asyncmirror.store.awake import Awake, awake
from asyncmirror.store.guarantees import is_amazon
from asyncmirror.store.limit import LimitedStore
from asyncmirror.store.limits import Limits
from asyncmirror.store.meter import Meter
from asyncmirror.store.pacer import pacing
from asyncmirror.store.port import Store
from asyncmirror.store.pots import SharedPots
from asyncmirror.store.probe.scratch import Asking
from asyncmirror.store.retry import RetryingStore
from asyncmirror.store.wire.answer import Answer
from asyncmirror.store.wire.request import Request
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
async def assemble(
    settings: Settings | Verification | Collection, own: Store | None = None, pots: SharedPots | None = None
) -> AsyncIterator[Assembled]:
    """The store that the settings name, or one's own, decorated.

    Args:
        settings: What is asked.
        own: A store of one's own.
        pots: What several processes of one run draw their limits from; they are left to the others at the end.

    Raises:
        StoreError: Its configuration is wrong; no request is made yet.
    """
    tuning = settings.tuning
    if pots is None and tuning.loops > 1:
        pots = SharedPots.make(tuning.loops)
    with ExitStack() as stack:
        if pots is not None:
            stack.callback(pots.close)
        limits, clock = Limits(tuning, pots), stack.enter_context(awake())
        if own is not None:
            store = _decorate(own, settings, limits, clock)
            stack.enter_context(pacing(store.limited))
            yield store
            return
        async with _wired(settings, limits, clock) as store:
            with pacing(store.limited):
                yield store


@asynccontextmanager
async def _wired(settings: Settings | Verification | Collection, limits: Limits, clock: Awake) -> AsyncIterator[Assembled]:
    tuning = settings.tuning
    place = settings.destination.bucket, settings.connection, settings.objects
    async with WireStore(*place, tuning.concurrency, tuning.request_timeout, limits.bandwidth) as adapter:
        reason = adapter.sdk_serves
        notices = (f"uploads go through the SDK, which is slower: {reason}",) if reason else ()
        url = adapter.endpoint.url if adapter.endpoint is not None else ""
        signed = settings.connection.sign_request and not (settings.connection.unsigned_payload and url.startswith("https:"))
        store = _decorate(adapter, settings, limits, clock, keeps_time=not reason, keeps_pace=True)
        wire = None if adapter.wire is None else LimitedAsking(adapter.wire, limits.requests)
        yield store._replace(notices=notices, wire=wire, amazon=is_amazon(url), signed=signed)


def _decorate(
    adapter: Store,
    settings: Settings | Verification | Collection,
    limits: Limits,
    clock: Awake,
    *,
    keeps_time: bool = False,
    keeps_pace: bool = False,
) -> Assembled:
    tuning, timeout = settings.tuning, settings.tuning.request_timeout
    keeps = {"keeps_time": keeps_time, "keeps_pace": keeps_pace}
    limited = LimitedStore(adapter, tuning.concurrency, timeout, auto=tuning.auto, limits=limits, **keeps)
    hasty = replace(tuning, max_attempts=min(tuning.max_attempts, _FIRST_ATTEMPTS))
    retrying = RetryingStore(limited, tuning, throttle=limited.throttle, clock=clock)
    return Assembled(retrying, limited, RetryingStore(limited, hasty, clock=clock))


class LimitedAsking:
    """A probe's requests, each in its turn."""

    def __init__(self, wire: Asking, rate: Meter) -> None:
        self._wire = wire
        self._rate = rate

    async def ask(self, request: Request) -> Answer:
        """See `probe.scratch.Asking.ask`."""
        if self._rate.limited and not self._rate.over:  # what the probe made is removed all the same when the run ends
            await self._rate.turn()
        return await self._wire.ask(request)
