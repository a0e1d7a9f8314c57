"""At most so many requests at once, each at most so long; and the count of what was sent.

Owns the deadline and the gauges, and takes a slot for each attempt: `retry` stands above and waits without one. How many slots
there are, the `throttle` decides, which is told how requests end; which have fewer of their own, `lanes`; what may be sent in
a second, `limits`. The deadline begins when all that is there, so that waiting for it is no failure. Listings and reads take no
slot: they make one request at a time, as fast as their consumer goes on, and one that held a slot would lock out a consumer
that sends requests of its own in between. Knows no backoff.
"""

import asyncio
import sys
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Coroutine, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from typing import ParamSpec, TypeVar, TypeVarTuple

from asyncmirror.errors import ConnectionFaultError, StoreError, ThrottledError
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
from asyncmirror.plan.allowance import Allowance
from asyncmirror.plan.climb import START
from asyncmirror.settings import Tuning
from asyncmirror.store.lanes import Lane, Lanes
from asyncmirror.store.limits import Limits
from asyncmirror.store.port import Store
from asyncmirror.store.slots import Slots
from asyncmirror.store.throttle import Throttle

P = ParamSpec("P")
T = TypeVar("T")
Ts = TypeVarTuple("Ts")
_SLOWEST = float(1 << 20)
"""Bytes per second: a body has this much time on top, so that a slow line is no stall."""
_PAGE = 1000
"""Entries of a listing that come with one request: S3's most, and every store's default."""


class LimitedStore:
    """Decorates a store. Implements `port.Store`.

    Args:
        store: Who is asked.
        slots: Requests that may be under way at once.
        timeout: Seconds that one request may take, and one page or piece of a listing or read; a body's time comes on top.
        auto: As many of them as serve best: see `pacer`.
        limits: What may be sent in a second. None: as much as can be.
        keeps_time: The store keeps deadlines for bodies itself, as the lean wire does; a timer per object would be wasted.
        keeps_pace: The store lets bodies go slice by slice as `limits` grant, and says what it has in hand. Where not, each
            waits until it may go whole.

    Attributes:
        throttle: How many may be under way now.
        lanes: How many of prefixes that the store admits fewer of.
        requests: Requests begun, each attempt counted; a listing or read counts as one.
    """

    def __init__(
        self,
        store: Store,
        slots: int,
        timeout: float,
        *,
        auto: bool = False,
        limits: Limits | None = None,
        keeps_time: bool = False,
        keeps_pace: bool = False,
    ) -> None:
        self.requests = 0
        self._bytes = 0
        self._in_flight_bytes = 0
        self._store = store
        allowance = Allowance.auto(slots, START) if auto else Allowance.fixed(slots)
        self._slots = Slots(allowance.limit)
        self.throttle = Throttle(self._slots, allowance)
        self.lanes = Lanes(self._slots, self.throttle)
        self._timeout = timeout
        self._within: Callable[[int], AbstractAsyncContextManager[object]] = nullcontext if keeps_time else self._deadline
        self._keeps_pace = keeps_pace
        self.limits = limits or Limits(Tuning())
        self._bodies = self.limits.bodies
        self._waits = self._must_wait()

    @property
    def bytes_sent(self) -> int:
        """Bytes of the bodies of requests begun, each attempt counted; under a limit those of them that have left."""
        bandwidth = self.limits.bandwidth
        begun = self._bytes - bandwidth.given_up
        return begun - self._in_flight_bytes + self.unconfirmed if bandwidth.limited else begun

    @property
    def unconfirmed(self) -> int:
        """Bytes of bodies that have been sent and not been answered."""
        bandwidth = self.limits.bandwidth
        return max(0, min(self._in_flight_bytes, bandwidth.carried) - bandwidth.owed - bandwidth.stuck)

    def steer(self, tuning: Tuning) -> None:
        """Go by another tuning from now on."""
        for each in (self.throttle, self.lanes):
            each.steer(tuning.concurrency, auto=tuning.auto)
        self.limits.steer(tuning)
        self._waits = self._must_wait()

    def _must_wait(self) -> bool:
        return self.limits.requests.limited or (self.limits.bandwidth.limited and not self._keeps_pace)

    @property
    def in_flight(self) -> int:
        """Requests under way that hold a slot."""
        return self._slots.taken

    def pause(self) -> None:
        """Begin no request until `resume`; what is in flight goes on."""
        self.throttle.pause()
        self.limits.requests.hold(held=True)

    def resume(self) -> None:
        """Go on after `pause`."""
        self.throttle.resume()
        self.limits.requests.hold(held=False)

    def begin(self) -> None:
        """Another run begins: who waits is no longer turned away."""
        self.throttle.begin()
        self.lanes.begin()
        self.limits.requests.admit()
        self._bodies.admit()

    def end(self) -> None:
        """Turn away who waits, because less is allowed than was asked for, or nothing; what is in flight goes on."""
        self.throttle.end()
        self.lanes.end()
        self._bodies.refuse(lambda: ThrottledError("the run ended before this body's turn came"))
        self.limits.requests.refuse(lambda: ThrottledError("the run ended before this request's turn came"))

    def put_object(self, key: str, body: Body, checksum: Checksum, properties: Properties) -> Coroutine[None, None, Stored]:
        """See `port.Bodies.put_object`."""
        return self._send("PutObject", key, body, self._store.put_object, key, body, checksum, properties)

    def upload_part(self, key: str, upload_id: str, number: int, body: Body, checksum: Checksum) -> Coroutine[None, None, str]:
        """See `port.Bodies.upload_part`."""
        return self._send("UploadPart", key, body, self._store.upload_part, key, upload_id, number, body, checksum)

    async def create_multipart_upload(self, key: str, algorithm: Algorithm, properties: Properties) -> str:
        """See `port.Store.create_multipart_upload`."""
        return await self._one("CreateMultipartUpload", key, self._store.create_multipart_upload, key, algorithm, properties)

    async def complete_multipart_upload(
        self, key: str, upload_id: str, receipts: Sequence[Receipt], size: int, checksum: Checksum
    ) -> Stored:
        """See `port.Store.complete_multipart_upload`."""
        complete = self._store.complete_multipart_upload
        return await self._one("CompleteMultipartUpload", key, complete, key, upload_id, receipts, size, checksum)

    async def abort_multipart_upload(self, key: str, upload_id: str) -> None:
        """See `port.Store.abort_multipart_upload`."""
        await self._one("AbortMultipartUpload", key, self._store.abort_multipart_upload, key, upload_id)

    def list_parts(self, key: str, upload_id: str) -> AsyncIterator[RemotePart]:
        """See `port.Store.list_parts`."""
        return self._each("ListParts", key, self._store.list_parts(key, upload_id))

    async def head_object(self, key: str) -> RemoteObject | None:
        """See `port.Store.head_object`."""
        return await self._one("HeadObject", key, self._store.head_object, key)

    def get_object(self, key: str, start: int = 0, etag: str = "") -> AsyncIterator[bytes]:
        """See `port.Bodies.get_object`."""
        return self._each("GetObject", key, self._store.get_object(key, start, etag), page=sys.maxsize)

    def list_objects(self, prefix: str, after: str = "") -> AsyncIterator[RemoteObject]:
        """See `port.Store.list_objects`."""
        return self._each("ListObjectsV2", prefix, self._store.list_objects(prefix, after))

    def list_multipart_uploads(self, prefix: str) -> AsyncIterator[RemoteUpload]:
        """See `port.Store.list_multipart_uploads`."""
        return self._each("ListMultipartUploads", prefix, self._store.list_multipart_uploads(prefix))

    async def delete_object(self, key: str) -> None:
        """See `port.Store.delete_object`."""
        await self._one("DeleteObject", key, self._store.delete_object, key)

    async def delete_objects(self, keys: Sequence[str]) -> Mapping[str, StoreError]:
        """See `port.Store.delete_objects`."""
        return await self._one("DeleteObjects", next(iter(keys), ""), self._store.delete_objects, keys)

    async def check_bucket(self, prefix: str) -> None:
        """See `port.Store.check_bucket`."""
        await self._one("ListObjectsV2", prefix, self._store.check_bucket, prefix)

    async def visibility(self) -> Visibility:
        """See `port.Store.visibility`."""
        return await self._one("GetBucketPolicyStatus", "", self._store.visibility)

    async def _one(self, op: str, path: str, call: Callable[P, Awaitable[T]], *args: P.args, **kwargs: P.kwargs) -> T:
        at_once = not self.throttle.narrow and self._slots.take()
        slot = self._slots if at_once else await self.lanes.enter(path, 0)
        if self._waits:
            await self._turn(slot)
        self.requests = ordinal = self.requests + 1
        try:
            async with asyncio.timeout(self._timeout):
                answer = await call(*args, **kwargs)
            if self.throttle.heeds:
                self._succeeded(path, ordinal, slot)
        except TimeoutError:
            raise self._failed(_late(op, path), path, ordinal, slot) from None
        except StoreError as error:
            self._failed(error, path, ordinal, slot)
            raise
        finally:
            slot.release()
        return answer

    async def _send(self, op: str, path: str, body: Body, call: Callable[[*Ts], Awaitable[T]], *args: *Ts) -> T:
        """Make a request with a body. One more call in between would cost a small object more than all of this."""
        size, bodies = len(body), self._bodies
        if not bodies.take(size):
            await bodies.turn(size)
        try:
            at_once = not self.throttle.narrow and self._slots.take()
            slot = self._slots if at_once else await self.lanes.enter(path, size)
            if self._waits:
                await self._turn(slot, size)
            self.requests = ordinal = self.requests + 1
            self._bytes += size
            self._in_flight_bytes += size
            try:
                if not self._keeps_pace:
                    self.limits.bandwidth.carried += size
                async with self._within(size):
                    answer = await call(*args)
                if self.throttle.heeds:
                    self._succeeded(path, ordinal, slot)
            except TimeoutError:
                raise self._failed(_late(op, path), path, ordinal, slot) from None
            except StoreError as error:
                self._failed(error, path, ordinal, slot)
                raise
            finally:
                if not self._keeps_pace:
                    self.limits.bandwidth.carried -= size
                self._in_flight_bytes -= size
                slot.release()
        finally:
            bodies.release(size)
        return answer

    async def _turn(self, slot: Slots | Lane, size: int = 0) -> None:
        """Wait until a request with so many bytes may be sent; a slot is held, and given back where nobody waits any more."""
        try:
            await self.limits.requests.turn()
            if not self._keeps_pace:
                await self.limits.bandwidth.turn(size)
        except BaseException:
            slot.release()
            raise

    def _deadline(self, size: int) -> AbstractAsyncContextManager[object]:
        """The time that a body may take. Where it is sent at a pace, whoever sends it sees to it that it goes on at all."""
        paced = self._keeps_pace and self.limits.bandwidth.limited
        return asyncio.timeout(None if paced else self._timeout + size / _SLOWEST)

    def _succeeded(self, key: str, ordinal: int, slot: Slots | Lane) -> None:
        if isinstance(slot, Lane):
            slot.succeeded()
            return
        self.lanes.admitted(key)
        if self.throttle.active:
            self.throttle.succeeded(ordinal)

    def _failed(self, error: StoreError, key: str, ordinal: int, slot: Slots | Lane) -> StoreError:
        if isinstance(slot, Lane):
            slot.failed(error)
        elif not (isinstance(error, ThrottledError) and self.lanes.refused(key)):
            self.throttle.failed(error, ordinal, self.requests)
        return error

    async def _each(self, op: str, path: str, items: AsyncIterator[T], page: int = _PAGE) -> AsyncIterator[T]:
        self.requests += 1
        given = 0
        async with closing(items):
            while True:
                if given % page == 0:
                    if self._slots.paused:  # it takes no slot, but waits as those who do
                        await self._slots.turn()
                        self._slots.release()
                    if self._waits:
                        await self.limits.requests.turn()
                try:
                    async with asyncio.timeout(self._timeout):
                        item = await anext(items)
                except StopAsyncIteration:
                    return
                except TimeoutError:
                    raise _late(op, path) from None
                given += 1
                yield item


@asynccontextmanager
async def closing(items: AsyncIterator[T]) -> AsyncIterator[AsyncIterator[T]]:
    """A scope that ends an iterator's request, if it is a generator, however it is left."""
    try:
        yield items
    finally:
        if isinstance(items, AsyncGenerator):
            await items.aclose()


def _late(op: str, path: str) -> ConnectionFaultError:
    return ConnectionFaultError("no answer in time", op=op, path=path, hint="see --request-timeout")
