"""Whether a request that failed has another attempt, and the wait before it.

Owns the account of what was tried. How long a wait is, is decided in `plan.backoff`; which errors are worth it stands on the
errors themselves (`retryable`). A request that was turned away because there were too many is charged no attempt, unless the
store admitted others meanwhile; and none is charged the time for which the store asked for fewer: that is everybody's wait and
no request's fault. Knows no request.
"""

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from types import TracebackType

from asyncmirror.errors import StoreError, ThrottledError
from asyncmirror.plan import backoff
from asyncmirror.settings import Tuning
from asyncmirror.store.throttle import Throttle

_log = logging.getLogger(__name__)
_LONGEST_STALL = 86400.0
"""Seconds of throttling that a request sits out: a run must end, if nothing is left but one key that is always turned away."""


@dataclass(slots=True)
class Tries:
    """What has been tried for one request: failures, those of them that are charged, and since when."""

    since: float
    stalled: float = 0.0
    paused: float = 0.0
    admitted: int = 0
    failures: int = 0
    charged: int = 0


class Patience:
    """Whether there is another attempt, and the wait before it."""

    def __init__(
        self,
        tuning: Tuning,
        clock: Callable[[], float],
        sleep: Callable[[float], Awaitable[None]],
        chance: Callable[[], float],
        throttle: Throttle | None,
    ) -> None:
        self.retries = 0
        self._clock = clock
        self._max_attempts = tuning.max_attempts
        self._window = tuning.retry_window
        self._sleep = sleep
        self._chance = chance
        self._throttle = throttle

    def begin(self) -> Tries:
        """The tries of a request that has just failed for the first time."""
        throttle = self._throttle
        now = self._clock()
        return Tries(now) if throttle is None else Tries(now, throttle.stalled(), throttle.paused(), throttle.admitted)

    async def pause(self, failure: StoreError, tries: Tries) -> None:
        """Wait until the next attempt; raise the failure where there is to be none."""
        throttle, throttled = self._throttle, isinstance(failure, ThrottledError)
        tries.failures += 1
        if throttle is None or not throttled or throttle.admitted != tries.admitted:
            tries.charged += 1
        if not failure.retryable or tries.charged >= self._max_attempts:
            raise failure
        pause = backoff.delay(tries.failures, self._chance(), throttled=throttled)
        passed = self._clock() - tries.since
        if throttle is not None:
            passed -= min(throttle.stalled() - tries.stalled, _LONGEST_STALL) + throttle.paused() - tries.paused
            tries.admitted = throttle.admitted
        # In a storm the pause goes on the storm's account; whether there is one may not be known at its first refusal.
        if passed + (0.0 if throttled and throttle is not None else pause) > self._window:
            raise failure
        _log.debug("%s: attempt %d follows in %.1f s", failure, tries.failures + 1, pause)
        if not self._is_ending(failure):
            await self._sleep(pause)
        if self._is_ending(failure):
            raise failure
        self.retries += 1

    def _is_ending(self, failure: StoreError) -> bool:
        return self._throttle is not None and self._throttle.ending and isinstance(failure, ThrottledError)


class Attempts:
    """The attempts at one listing or read, each in a scope of its own.

    Attributes:
        done: One went through to its end.
        progressed: Set where the listing went on; failures are counted from there.
        spent: Set where there can't be another attempt.
    """

    def __init__(self, patience: Patience) -> None:
        self.done = False
        self.progressed = False
        self.spent = False
        self._patience = patience
        self._tries: Tries | None = None

    async def __aenter__(self) -> None:
        return

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        if error is None:
            self.done = True
        if not isinstance(error, StoreError) or self.spent:
            return False
        if self._tries is None or self.progressed:
            self._tries, self.progressed = self._patience.begin(), False
        await self._patience.pause(error, self._tries)
        return True
