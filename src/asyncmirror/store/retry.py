"""What failed and may yet succeed is tried again: the one place in the project where a request is repeated.

Owns the loop, and what of a request goes into the next attempt; whether there is one, and when, is `patience`'s. Waits holding
nothing: slots are taken below, for each attempt. Knows no operation's meaning: a Complete whose first answer was lost comes
back as `UploadGoneError`, and what that means its caller finds out.
"""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
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
from asyncmirror.settings import Tuning
from asyncmirror.store.limit import closing
from asyncmirror.store.patience import Attempts, Patience
from asyncmirror.store.port import Store
from asyncmirror.store.throttle import Throttle

P = ParamSpec("P")
T = TypeVar("T")
_PROGRESS = 1 << 20
"""Bytes of an object after which its failures are counted anew."""


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
        self._patience = Patience(tuning, clock, sleep, chance, throttle)

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
        attempts = Attempts(self._patience)
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

    async def get_object(self, key: str, start: int = 0, etag: str = "") -> AsyncIterator[bytes]:
        """See `port.Bodies.get_object`. After a failure it goes on behind the last byte given.

        Without an ETag it is tried again only before the first piece: the object may be another one by then.
        """
        attempts = Attempts(self._patience)
        charged = start
        while not attempts.done:
            async with attempts, closing(self._store.get_object(key, start, etag)) as pieces:
                async for piece in pieces:
                    start += len(piece)
                    if start - charged >= _PROGRESS:  # a peer that drips does not count as one that goes on
                        attempts.progressed, charged = True, start
                    attempts.spent = not etag
                    yield piece

    async def list_objects(self, prefix: str, after: str = "") -> AsyncIterator[RemoteObject]:
        """See `port.Store.list_objects`. After a failure it goes on behind the last key given."""
        attempts = Attempts(self._patience)
        while not attempts.done:
            async with attempts, closing(self._store.list_objects(prefix, after)) as objects:
                async for found in objects:
                    after = found.key
                    attempts.progressed = True
                    yield found

    async def list_multipart_uploads(self, prefix: str) -> AsyncIterator[RemoteUpload]:
        """See `port.Store.list_multipart_uploads`. After a failure it begins anew and leaves out what was given."""
        given: set[tuple[str, str]] = set()
        attempts = Attempts(self._patience)
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
