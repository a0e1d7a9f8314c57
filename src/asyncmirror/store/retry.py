"""What failed and may yet succeed is tried again: the one place in the project where a request is repeated.

Owns the loop; how long it waits is decided in `plan.backoff`, and which errors are worth it stands on the errors themselves
(`retryable`). Waits holding nothing: slots are taken below, for each attempt. A request that was turned away because there were
too many is charged no attempt, unless the store admitted others meanwhile; and none is charged the time for which the store
asked for fewer: that is everybody's wait and no request's fault. Knows no operation's meaning: a Complete whose first answer
was lost comes back as `UploadGoneError`, and what that means its caller finds out.
"""

import asyncio
import logging
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import ParamSpec, TypeVar

from asyncmirror.errors import StoreError, ThrottledError, UnreachableError
from asyncmirror.model import (
    Algorithm,
    Body,
    Checksum,
    Properties,
    Receipt,
    RemoteObject,
    RemotePart,
    RemoteUpload,
    Stored,
    Visibility,
)
from asyncmirror.plan import backoff
from asyncmirror.settings import Tuning
from asyncmirror.store.limit import closing
from asyncmirror.store.port import Store
from asyncmirror.store.throttle import Throttle

P = ParamSpec("P")
T = TypeVar("T")
_log = logging.getLogger(__name__)
_LONGEST_STALL = 86400.0
"""Seconds of throttling that a request sits out: a run must end, if nothing is left but one key that is always turned away."""


class RetryingStore:
    """Decorates a store. Implements `port.Store`; raises what the last attempt raised.

    Args:
        store: Who is asked.
        tuning: `max_attempts` and `retry_window`.
        clock: Gives seconds, never going back.
        sleep: Waits so many seconds.
        chance: Draws evenly from [0, 1).
        throttle: Tells for how long the store has asked for fewer requests. None: whoever asks wants an answer soon, whatever
            it is, and attempts that were turned away are charged like any other.

    Attributes:
        uncertain: Keys of which a CreateMultipartUpload failed, and may have made an upload all the same. Whoever has seen to
            it takes the key out.
    """

    def __init__(
        self,
        store: Store,
        tuning: Tuning,
        *,
        throttle: Throttle | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self.uncertain: set[str] = set()
        self._store = store
        self._patience = _Patience(tuning, clock, sleep, chance, throttle)

    @property
    def retries(self) -> int:
        """How many attempts so far were second or later ones."""
        return self._patience.retries

    async def put_object(self, key: str, body: Body, checksum: Checksum, properties: Properties) -> Stored:
        """See `port.Bodies.put_object`."""
        try:
            return await self._store.put_object(key, body, checksum, properties)
        except StoreError as error:
            failure = error
        return await self._again(failure, self._store.put_object, key, body, checksum, properties)

    async def upload_part(self, key: str, upload_id: str, number: int, body: Body, checksum: Checksum) -> str:
        """See `port.Bodies.upload_part`."""
        try:
            return await self._store.upload_part(key, upload_id, number, body, checksum)
        except StoreError as error:
            failure = error
        return await self._again(failure, self._store.upload_part, key, upload_id, number, body, checksum)

    async def create_multipart_upload(self, key: str, algorithm: Algorithm, properties: Properties) -> str:
        """See `port.Store.create_multipart_upload`."""
        return await self._try(self._create, key, algorithm, properties)

    async def _create(self, key: str, algorithm: Algorithm, properties: Properties) -> str:
        try:
            return await self._store.create_multipart_upload(key, algorithm, properties)
        except StoreError as error:
            if error.retryable and not isinstance(error, (ThrottledError, UnreachableError)):
                self.uncertain.add(key)
            raise

    async def complete_multipart_upload(
        self, key: str, upload_id: str, receipts: Sequence[Receipt], size: int, checksum: Checksum
    ) -> Stored:
        """See `port.Store.complete_multipart_upload`."""
        return await self._try(self._store.complete_multipart_upload, key, upload_id, receipts, size, checksum)

    async def abort_multipart_upload(self, key: str, upload_id: str) -> None:
        """See `port.Store.abort_multipart_upload`."""
        await self._try(self._store.abort_multipart_upload, key, upload_id)

    async def list_parts(self, key: str, upload_id: str) -> AsyncIterator[RemotePart]:
        """See `port.Store.list_parts`. After a failure it begins anew and leaves out what was given."""
        last = 0
        attempts = _Attempts(self._patience)
        while not attempts.done:
            async with attempts, closing(self._store.list_parts(key, upload_id)) as parts:
                async for part in parts:
                    if part.number > last:
                        last = part.number
                        attempts.progressed = True
                        yield part

    async def head_object(self, key: str) -> RemoteObject | None:
        """See `port.Store.head_object`."""
        return await self._try(self._store.head_object, key)

    async def get_object(self, key: str) -> AsyncIterator[bytes]:
        """See `port.Store.get_object`. Tried again only before the first piece: the object may be another one by then."""
        attempts = _Attempts(self._patience)
        while not attempts.done:
            async with attempts, closing(self._store.get_object(key)) as pieces:
                async for piece in pieces:
                    attempts.spent = True
                    yield piece

    async def list_objects(self, prefix: str, after: str = "") -> AsyncIterator[RemoteObject]:
        """See `port.Store.list_objects`. After a failure it goes on behind the last key given."""
        attempts = _Attempts(self._patience)
        while not attempts.done:
            async with attempts, closing(self._store.list_objects(prefix, after)) as objects:
                async for found in objects:
                    after = found.key
                    attempts.progressed = True
                    yield found

    async def list_multipart_uploads(self, prefix: str) -> AsyncIterator[RemoteUpload]:
        """See `port.Store.list_multipart_uploads`. After a failure it begins anew and leaves out what was given."""
        given: set[tuple[str, str]] = set()
        attempts = _Attempts(self._patience)
        while not attempts.done:
            async with attempts, closing(self._store.list_multipart_uploads(prefix)) as uploads:
                async for upload in uploads:
                    name = (upload.key, upload.upload_id)
                    if name not in given:
                        given.add(name)
                        attempts.progressed = True
                        yield upload

    async def delete_object(self, key: str) -> None:
        """See `port.Store.delete_object`."""
        await self._try(self._store.delete_object, key)

    async def delete_objects(self, keys: Sequence[str]) -> Mapping[str, StoreError]:
        """See `port.Store.delete_objects`. Keys that failed for a passing reason are asked for again, without the others."""
        failed = dict(await self._try(self._store.delete_objects, keys))
        tries = self._patience.begin()
        while passing := [key for key, error in failed.items() if error.retryable]:
            try:
                await self._patience.pause(failed[passing[0]], tries)
                again = await self._try(self._store.delete_objects, passing)
            except StoreError as error:
                if error.fatal:
                    raise
                break  # what has been answered stays answered
            failed = {key: again.get(key, error) for key, error in failed.items() if key in again or not error.retryable}
        return failed

    async def check_bucket(self, prefix: str) -> None:
        """See `port.Store.check_bucket`."""
        await self._try(self._store.check_bucket, prefix)

    async def visibility(self) -> Visibility:
        """See `port.Store.visibility`."""
        return await self._try(self._store.visibility)

    async def _try(self, call: Callable[P, Awaitable[T]], *args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return await call(*args, **kwargs)
        except StoreError as error:
            failure = error
        return await self._again(failure, call, *args, **kwargs)

    async def _again(self, failure: StoreError, call: Callable[P, Awaitable[T]], *args: P.args, **kwargs: P.kwargs) -> T:
        """What follows a first failure."""
        tries = self._patience.begin()
        while True:
            await self._patience.pause(failure, tries)
            try:
                return await call(*args, **kwargs)
            except StoreError as error:
                failure = error


@dataclass(slots=True)
class _Tries:
    """What has been tried for one request: failures, those of them that are charged, and since when."""

    since: float
    stalled: float = 0.0
    paused: float = 0.0
    admitted: int = 0
    failures: int = 0
    charged: int = 0


class _Patience:
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

    def begin(self) -> _Tries:
        """The tries of a request that has just failed for the first time."""
        throttle = self._throttle
        now = self._clock()
        return _Tries(now) if throttle is None else _Tries(now, throttle.stalled(), throttle.paused(), throttle.admitted)

    async def pause(self, failure: StoreError, tries: _Tries) -> None:
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


class _Attempts:
    """The attempts at one listing or read, each in a scope of its own.

    Attributes:
        done: One went through to its end.
        progressed: Set where the listing went on; failures are counted from there.
        spent: Set where there can't be another attempt.
    """

    def __init__(self, patience: _Patience) -> None:
        self.done = False
        self.progressed = False
        self.spent = False
        self._patience = patience
        self._tries: _Tries | None = None

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
