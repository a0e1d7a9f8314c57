"""RetryingStore on a store that fails as told, with a clock that only sleeping moves."""

from collections.abc import AsyncIterator, Sequence

import pytest

from asyncmirror import checksum as checksums
from asyncmirror.errors import (
    AccessDeniedError,
    ConnectionFaultError,
    CredentialsError,
    PreconditionError,
    ServerFaultError,
    StoreError,
    ThrottledError,
    UnreachableError,
    UntrustedError,
    UploadGoneError,
)
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
from asyncmirror.plan.allowance import Allowance
from asyncmirror.settings import Tuning
from asyncmirror.store.memory import MemoryStore
from asyncmirror.store.retry import RetryingStore
from asyncmirror.store.slots import Slots
from asyncmirror.store.throttle import Throttle

CRC = Algorithm.CRC64NVME
PLAIN = Properties("a/b", {})
BODY = b"body"
SUM = checksums.compute(CRC, BODY)


class Time:
    """A clock that goes only while somebody sleeps, and what was slept."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.slept: list[float] = []

    def clock(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


class Failing(MemoryStore):
    """Raises the next of `failures` at each call, None being success; listings fail after `give` items."""

    def __init__(self, *failures: StoreError | None) -> None:
        super().__init__(min_part_size=1)
        self.failures = list(failures)
        self.calls = 0
        self.give = 1_000_000

    def fail(self) -> None:
        self.calls += 1
        if self.failures and (failure := self.failures.pop(0)) is not None:
            raise failure

    async def put_object(self, key: str, body: Body, checksum: Checksum, properties: Properties) -> Stored:
        self.fail()
        return await super().put_object(key, body, checksum, properties)

    async def upload_part(self, key: str, upload_id: str, number: int, body: Body, checksum: Checksum) -> str:
        self.fail()
        return await super().upload_part(key, upload_id, number, body, checksum)

    async def create_multipart_upload(self, key: str, algorithm: Algorithm, properties: Properties) -> str:
        self.fail()
        return await super().create_multipart_upload(key, algorithm, properties)

    async def complete_multipart_upload(
        self, key: str, upload_id: str, receipts: Sequence[Receipt], size: int, checksum: Checksum
    ) -> Stored:
        self.fail()
        return await super().complete_multipart_upload(key, upload_id, receipts, size, checksum)

    async def abort_multipart_upload(self, key: str, upload_id: str) -> None:
        self.fail()
        await super().abort_multipart_upload(key, upload_id)

    async def head_object(self, key: str) -> RemoteObject | None:
        self.fail()
        return await super().head_object(key)

    async def delete_object(self, key: str) -> None:
        self.fail()
        await super().delete_object(key)

    async def check_bucket(self, prefix: str) -> None:
        self.fail()
        await super().check_bucket(prefix)

    async def visibility(self) -> Visibility:
        self.fail()
        return await super().visibility()

    async def list_parts(self, key: str, upload_id: str) -> AsyncIterator[RemotePart]:
        given = 0
        async for part in super().list_parts(key, upload_id):
            if given == self.give:
                self.fail()
                given = 0
            given += 1
            yield part

    async def list_objects(self, prefix: str, after: str = "") -> AsyncIterator[RemoteObject]:
        given = 0
        async for found in super().list_objects(prefix, after):
            if given == self.give:
                self.fail()
                given = 0
            given += 1
            yield found

    async def list_multipart_uploads(self, prefix: str) -> AsyncIterator[RemoteUpload]:
        given = 0
        async for upload in super().list_multipart_uploads(prefix):
            if given == self.give:
                self.fail()
                given = 0
            given += 1
            yield upload

    async def get_object(self, key: str, start: int = 0, etag: str = "") -> AsyncIterator[bytes]:
        if self.give:
            self.fail()
        async for piece in super().get_object(key, start, etag):
            yield piece
            if not self.give:
                self.fail()


def retrying(store: MemoryStore, time: Time, *, attempts: int = 5, window: float = 300.0, chance: float = 0.5) -> RetryingStore:
    tuning = Tuning(max_attempts=attempts, retry_window=window)
    return RetryingStore(store, tuning, clock=time.clock, sleep=time.sleep, chance=lambda: chance)


async def test_a_request_that_succeeds_is_made_once() -> None:
    store, time = Failing(), Time()
    await retrying(store, time).put_object("key", BODY, SUM, PLAIN)
    assert (store.calls, time.slept) == (1, [])


@pytest.mark.parametrize("error", [ServerFaultError, ConnectionFaultError, UnreachableError])
async def test_what_may_heal_is_tried_again(error: type[StoreError]) -> None:
    store, time = Failing(error("1"), error("2"), error("3")), Time()
    retried = retrying(store, time)
    await retried.put_object("key", BODY, SUM, PLAIN)
    assert store.data("key") == BODY
    assert (store.calls, retried.retries) == (4, 3)
    assert time.slept == [0.5 * backoff.BASE, 0.5 * backoff.BASE * 2, 0.5 * backoff.BASE * 4]


async def test_a_store_that_asks_for_fewer_requests_gets_longer_pauses() -> None:
    store, time = Failing(ThrottledError("SlowDown")), Time()
    await retrying(store, time).put_object("key", BODY, SUM, PLAIN)
    assert time.slept == [0.5 * backoff.THROTTLED_BASE]


@pytest.mark.parametrize("error", [AccessDeniedError, CredentialsError, UntrustedError, UploadGoneError])
async def test_what_does_not_heal_is_raised_at_once(error: type[StoreError]) -> None:
    store, time = Failing(error("no"), None), Time()
    with pytest.raises(error):
        await retrying(store, time).put_object("key", BODY, SUM, PLAIN)
    assert (store.calls, time.slept) == (1, [])


async def test_attempts_are_counted() -> None:
    store, time = Failing(*(ServerFaultError(str(number)) for number in range(1, 10))), Time()
    with pytest.raises(ServerFaultError, match="5"):
        await retrying(store, time, attempts=5).put_object("key", BODY, SUM, PLAIN)
    assert store.calls == 5


async def test_one_attempt_means_one() -> None:
    store, time = Failing(ServerFaultError("1")), Time()
    with pytest.raises(ServerFaultError):
        await retrying(store, time, attempts=1).put_object("key", BODY, SUM, PLAIN)
    assert (store.calls, time.slept) == (1, [])


async def test_no_attempt_begins_after_the_window() -> None:
    store, time = Failing(*(ServerFaultError("") for _ in range(100))), Time()
    with pytest.raises(ServerFaultError):
        await retrying(store, time, attempts=1000, window=60.0, chance=0.999).put_object("key", BODY, SUM, PLAIN)
    assert 40.0 < sum(time.slept) <= 60.0
    assert store.calls == len(time.slept) + 1


def storm(time: Time) -> Throttle:
    """A throttle that the store has just told to slow down, and that nothing more is told."""
    throttle = Throttle(Slots(10), Allowance.fixed(10), clock=time.clock)
    for number in (1, 2):
        throttle.failed(ThrottledError(""), number, 10)
    return throttle


def patient(store: MemoryStore, time: Time, throttle: Throttle, *, attempts: int = 1000, window: float = 1.0) -> RetryingStore:
    tuning = Tuning(max_attempts=attempts, retry_window=window)
    return RetryingStore(store, tuning, clock=time.clock, sleep=time.sleep, chance=lambda: 0.9, throttle=throttle)


async def test_attempts_that_were_turned_away_are_not_charged() -> None:
    store, time = (
        Failing(*(ThrottledError("SlowDown") for _ in range(20)), ServerFaultError("1"), ServerFaultError("2")),
        Time(),
    )
    await patient(store, time, storm(time), attempts=3, window=60.0).put_object("key", BODY, SUM, PLAIN)
    assert store.calls == 23


async def test_those_are_charged_between_which_others_were_admitted() -> None:
    time = Time()
    throttle = storm(time)

    class Others(Failing):
        async def put_object(self, key: str, body: Body, checksum: Checksum, properties: Properties) -> Stored:
            throttle.succeeded(10 + self.calls)
            return await super().put_object(key, body, checksum, properties)

    store = Others(*(ThrottledError("SlowDown") for _ in range(20)))
    with pytest.raises(ThrottledError):
        await patient(store, time, throttle, attempts=3).put_object("key", BODY, SUM, PLAIN)
    assert store.calls == 4


async def test_who_wants_an_answer_soon_charges_them() -> None:
    store, time = Failing(*(ThrottledError("SlowDown") for _ in range(20))), Time()
    with pytest.raises(ThrottledError):
        await retrying(store, time, attempts=3).check_bucket("")
    assert store.calls == 3


async def test_at_the_end_of_a_run_nobody_waits_for_the_store_to_admit_more() -> None:
    store, time = Failing(ThrottledError("SlowDown"), ServerFaultError("1"), ThrottledError("SlowDown")), Time()
    throttle = storm(time)
    throttle.end()
    with pytest.raises(ThrottledError):
        await patient(store, time, throttle).put_object("key", BODY, SUM, PLAIN)
    assert (store.calls, time.slept) == (1, [])
    with pytest.raises(ThrottledError):
        await patient(store, time, throttle).put_object("key", BODY, SUM, PLAIN)
    assert (store.calls, len(time.slept)) == (3, 1)


async def test_not_even_the_last_key_is_waited_for_longer_than_a_day() -> None:
    store, time = Failing(*(ThrottledError("") for _ in range(10000))), Time()
    with pytest.raises(ThrottledError):
        await patient(store, time, storm(time), window=300.0).put_object("key", BODY, SUM, PLAIN)
    assert 86400 + 280 < sum(time.slept) < 86400 + 320


@pytest.mark.parametrize("error", [ThrottledError, ServerFaultError])
async def test_the_window_leaves_out_the_time_in_which_the_store_asks_for_fewer(error: type[StoreError]) -> None:
    store, time = Failing(*(error("") for _ in range(100)), None), Time()
    await patient(store, time, storm(time), window=20.0).put_object("key", BODY, SUM, PLAIN)
    assert store.calls == 101


async def test_one_key_that_is_always_turned_away_is_given_up_after_the_window() -> None:
    store, time = Failing(*(ThrottledError("") for _ in range(1000))), Time()
    with pytest.raises(ThrottledError):
        await patient(store, time, Throttle(Slots(10), Allowance.fixed(10), clock=time.clock), window=60.0).put_object(
            "key", BODY, SUM, PLAIN
        )
    assert 40.0 < sum(time.slept) <= 80.0


async def test_a_permanent_failure_after_a_passing_one_ends_it() -> None:
    store, time = Failing(ServerFaultError("1"), AccessDeniedError("2"), None), Time()
    with pytest.raises(AccessDeniedError):
        await retrying(store, time).put_object("key", BODY, SUM, PLAIN)
    assert store.calls == 2


async def test_every_operation_is_retried() -> None:
    store, time = Failing(), Time()
    retried = retrying(store, time)

    def fail() -> None:
        store.failures, store.calls = [ServerFaultError("once"), None], 0

    fail()
    upload_id = await retried.create_multipart_upload("key", CRC, PLAIN)
    fail()
    etag = await retried.upload_part("key", upload_id, 1, BODY, SUM)
    assert store.calls == 2
    fail()
    await retried.complete_multipart_upload("key", upload_id, [Receipt(1, 4, etag, SUM)], 4, SUM)
    assert store.calls == 2
    fail()
    assert await retried.head_object("key") is not None
    fail()
    assert [piece async for piece in retried.get_object("key")] == [BODY]
    assert store.calls == 2
    fail()
    await retried.delete_object("key")
    fail()
    await retried.check_bucket("")
    assert await retried.visibility() is Visibility.PRIVATE
    fail()
    await retried.abort_multipart_upload("key", upload_id)
    assert store.calls == 2
    assert retried.retries == 8


async def test_a_listing_goes_on_where_it_broke() -> None:
    store, time = Failing(), Time()
    for number in range(10):
        await store.put_object(f"key{number}", BODY, SUM, PLAIN)
    store.failures = [ServerFaultError("") for _ in range(3)]
    store.give = 3
    keys = [found.key async for found in retrying(store, time, attempts=2).list_objects("key")]
    assert keys == [f"key{number}" for number in range(10)]
    assert len(time.slept) == 3


async def test_a_listing_that_gives_nothing_is_given_up() -> None:
    store, time = Failing(), Time()
    await store.put_object("key", BODY, SUM, PLAIN)
    store.failures = [ServerFaultError(str(number)) for number in range(1, 10)]
    store.give = 0
    with pytest.raises(ServerFaultError, match="3"):
        [found async for found in retrying(store, time, attempts=3).list_objects("")]


async def test_parts_and_uploads_are_given_once() -> None:
    store, time = Failing(), Time()
    upload_id = await store.create_multipart_upload("key", CRC, PLAIN)
    for number in range(1, 8):
        await store.upload_part("key", upload_id, number, BODY, SUM)
    store.failures = [ServerFaultError(""), None, ServerFaultError("")]
    store.give = 2
    parts = [part.number async for part in retrying(store, time).list_parts("key", upload_id)]
    assert parts == list(range(1, 8))
    ids = [upload_id, *[await store.create_multipart_upload("key", CRC, PLAIN) for _ in range(4)]]
    store.failures = [ServerFaultError(""), None, ServerFaultError("")]
    uploads = [upload.upload_id async for upload in retrying(store, time).list_multipart_uploads("")]
    assert uploads == sorted(ids)


async def test_a_read_goes_on_at_the_byte_where_it_broke() -> None:
    store, time = Failing(), Time()
    body = bytes(range(251)) * 20_000
    await store.put_object("key", body, checksums.compute(CRC, body), PLAIN)
    store.failures, store.give = [ServerFaultError(str(number)) for number in range(4)], 0
    etag = store.objects["key"].etag
    retried = retrying(store, time, attempts=2)
    assert b"".join([piece async for piece in retried.get_object("key", 3, etag)]) == body[3:]
    assert len(time.slept) == 4
    store.failures = [PreconditionError("another")]
    with pytest.raises(PreconditionError):
        [piece async for piece in retried.get_object("key", 0, etag)]


async def test_a_read_that_drips_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("asyncmirror.store.memory._PIECE", 1)
    store, time = Failing(), Time()
    await store.put_object("key", BODY, SUM, PLAIN)
    store.failures, store.give = [ServerFaultError(str(number)) for number in range(9)], 0
    with pytest.raises(ServerFaultError, match="2"):
        [piece async for piece in retrying(store, time, attempts=3).get_object("key", 0, store.objects["key"].etag)]


async def test_a_read_that_broke_half_way_is_not_patched_together() -> None:
    store, time = Failing(), Time()
    await store.put_object("key", BODY, SUM, PLAIN)
    store.failures, store.give = [ServerFaultError("half-way")], 0
    with pytest.raises(ServerFaultError):
        [piece async for piece in retrying(store, time).get_object("key")]
    assert time.slept == []


async def test_a_listing_that_is_left_early_is_closed() -> None:
    store, time = Failing(), Time()
    for number in range(10):
        await store.put_object(f"key{number}", BODY, SUM, PLAIN)
    objects = retrying(store, time).list_objects("key")
    assert (await anext(objects)).key == "key0"
    await objects.aclose()  # type: ignore[attr-defined]  # a generator's
    assert time.slept == []


async def test_a_pause_is_no_part_of_the_window() -> None:
    time = Time()
    throttle = Throttle(Slots(10), Allowance.fixed(10), clock=time.clock)

    class Paused(Failing):
        async def put_object(self, key: str, body: Body, checksum: Checksum, properties: Properties) -> Stored:
            if self.calls:
                throttle.pause()
                time.now += 3600.0
                throttle.resume()
            return await super().put_object(key, body, checksum, properties)

    store = Paused(*(ServerFaultError("") for _ in range(4)))
    await patient(store, time, throttle, window=60.0).put_object("key", BODY, SUM, PLAIN)
    assert store.calls == 5
