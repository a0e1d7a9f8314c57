"""What failed and may yet succeed is tried again: the one place in the project where a request is repeated.

Owns the loop; how long it waits is decided in `plan.backoff`, and which errors are worth it stands on the errors themselves
(`retryable`). Waits holding nothing: slots are taken below, for each attempt. Knows no operation's meaning: a Complete whose
first answer was lost comes back as `UploadGoneError`, and what that means its caller finds out.
"""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from types import TracebackType
from typing import ParamSpec, TypeVar

from asyncmirror.errors import StoreError, ThrottledError
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

P = ParamSpec("P")
T = TypeVar("T")


class RetryingStore:
    """Decorates a store. Implements `port.Store`; raises what the last attempt raised.

    Args:
        store: Who is asked.
        tuning: `max_attempts` and `retry_window`.
        clock: Gives seconds, never going back.
        sleep: Waits so many seconds.
        chance: Draws evenly from [0, 1).
    """

    def __init__(
        self,
        store: Store,
        tuning: Tuning,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._store = store
        self._clock = clock
        self._patience = _Patience(tuning, clock, sleep, chance)

    @property
    def retries(self) -> int:
        """How many attempts so far were second or later ones."""
        return self._patience.retries

    async def put_object(self, key: str, body: Body, checksum: Checksum, properties: Properties) -> Stored:
        """See `port.Bodies.put_object`."""
        started = self._clock()
        try:
            return await self._store.put_object(key, body, checksum, properties)
        except StoreError as error:
            failure = error
        return await self._again(failure, started, self._store.put_object, key, body, checksum, properties)

    async def upload_part(self, key: str, upload_id: str, number: int, body: Body, checksum: Checksum) -> str:
        """See `port.Bodies.upload_part`."""
        started = self._clock()
        try:
            return await self._store.upload_part(key, upload_id, number, body, checksum)
        except StoreError as error:
            failure = error
        return await self._again(failure, started, self._store.upload_part, key, upload_id, number, body, checksum)

    async def create_multipart_upload(self, key: str, algorithm: Algorithm, properties: Properties) -> str:
        """See `port.Store.create_multipart_upload`."""
        return await self._try(self._store.create_multipart_upload, key, algorithm, properties)

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

    async def check_bucket(self, prefix: str) -> None:
        """See `port.Store.check_bucket`."""
        await self._try(self._store.check_bucket, prefix)

    async def visibility(self) -> Visibility:
        """See `port.Store.visibility`."""
        return await self._try(self._store.visibility)

    async def _try(self, call: Callable[P, Awaitable[T]], *args: P.args, **kwargs: P.kwargs) -> T:
        started = self._clock()
        try:
            return await call(*args, **kwargs)
        except StoreError as error:
            failure = error
        return await self._again(failure, started, call, *args, **kwargs)

    async def _again(
        self, failure: StoreError, started: float, call: Callable[P, Awaitable[T]], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """What follows a first failure."""
        failures = 1
        while True:
            await self._patience.pause(failure, failures, started)
            try:
                return await call(*args, **kwargs)
            except StoreError as error:
                failure = error
                failures += 1


class _Patience:
    """Whether there is another attempt, and the wait before it."""

    def __init__(
        self,
        tuning: Tuning,
        clock: Callable[[], float],
        sleep: Callable[[float], Awaitable[None]],
        chance: Callable[[], float],
    ) -> None:
        self.retries = 0
        self.clock = clock
        self._max_attempts = tuning.max_attempts
        self._window = tuning.retry_window
        self._sleep = sleep
        self._chance = chance

    async def pause(self, failure: StoreError, failures: int, started: float) -> None:
        """Wait until the next attempt; raise the failure where there is to be none."""
        if not failure.retryable or failures >= self._max_attempts:
            raise failure
        pause = backoff.delay(failures, self._chance(), throttled=isinstance(failure, ThrottledError))
        if self.clock() + pause - started > self._window:
            raise failure
        await self._sleep(pause)
        self.retries += 1


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
        self._failures = 0
        self._started = patience.clock()

    async def __aenter__(self) -> None:
        return

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        if error is None:
            self.done = True
        if not isinstance(error, StoreError) or self.spent:
            return False
        if self.progressed:
            self._failures, self._started, self.progressed = 0, self._patience.clock(), False
        self._failures += 1
        await self._patience.pause(error, self._failures, self._started)
        return True
