"""DeleteObjects: what is not confirmed by name is not deleted, and what failed for a passing reason is asked for again."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager

import pytest

from asyncmirror import checksum as checksums
from asyncmirror.errors import AccessDeniedError, CorruptedError, ServerFaultError, StoreError
from asyncmirror.model import Algorithm, Properties
from asyncmirror.settings import Connection, ObjectOptions, Tuning
from asyncmirror.store.limit import LimitedStore
from asyncmirror.store.memory import MemoryStore
from asyncmirror.store.retry import RetryingStore
from asyncmirror.store.s3 import S3Store
from asyncmirror.testing import Fault, FaultPlan, Kind, S3Server, ServerConfig
from asyncmirror.testing.profiles import AWS, RGW, Profile

pytestmark = pytest.mark.usefixtures("chain")
KEYS = [f"key-{number}" for number in range(6)]
PLAIN = Properties("a/b", {})


async def no_sleep(_: float) -> None:
    """Waits are for people."""


@asynccontextmanager
async def filled(server: S3Server) -> AsyncIterator[S3Store]:
    async with S3Store("bucket", Connection(endpoint_url=server.url), ObjectOptions(), 4) as store:
        for key in KEYS:
            await store.put_object(key, b"x", checksums.compute(Algorithm.CRC64NVME, b"x"), PLAIN)
        yield store


def retrying(store: S3Store) -> RetryingStore:
    limited = LimitedStore(store, 4, 5.0)
    return RetryingStore(limited, Tuning(max_attempts=4), throttle=limited.throttle, sleep=no_sleep)


def struck(kind: Kind, *at: int, code: str = "InternalError") -> FaultPlan:
    return FaultPlan((Fault("DeleteObjects", kind, at=at, code=code),))


def asked(server: S3Server) -> int:
    return sum(request.op == "DeleteObjects" for request in server.requests)


@pytest.mark.parametrize("profile", [AWS, RGW], ids=lambda profile: profile.name)
async def test_a_body_that_changes_on_the_way_deletes_nothing(profile: Profile) -> None:
    async with S3Server(ServerConfig(profile=profile)) as server, filled(server) as store:
        server.inject(struck(Kind.FLIP_RECEIVED, 1))
        with pytest.raises(CorruptedError):
            await store.delete_objects(KEYS)
        assert server.objects("bucket").keys() == set(KEYS)


@pytest.mark.parametrize(
    ("kind", "code", "error"),
    [
        (Kind.KEYS_UNTOLD, "", ServerFaultError),
        (Kind.KEYS_FAILED, "InternalError", ServerFaultError),
        (Kind.KEYS_FAILED, "AccessDenied", AccessDeniedError),
    ],
)
async def test_each_key_that_is_not_confirmed_is_told(kind: Kind, code: str, error: type) -> None:
    async with S3Server() as server, filled(server) as store:
        server.inject(struck(kind, 1, code=code))
        failed = await store.delete_objects(KEYS)
        assert {key: type(each) for key, each in failed.items()} == dict.fromkeys(KEYS[1::2], error)
        assert all(each.path == key for key, each in failed.items())
        assert server.objects("bucket").keys() == set(KEYS[1::2])


@pytest.mark.parametrize(
    ("plan", "times"),
    [
        (struck(Kind.KEYS_UNTOLD, 1), 2),
        (struck(Kind.KEYS_FAILED, 1, 2), 3),
        (struck(Kind.KEYS_FAILED, 1, code="SlowDown"), 2),
        (struck(Kind.SLOW_DOWN, 1), 2),
        (struck(Kind.LOST_ANSWER, 1), 2),
        (struck(Kind.TRUNCATED, 1), 2),
        (struck(Kind.ERROR_IN_200, 1), 2),
    ],
    ids=lambda value: value.faults[0].kind.value if isinstance(value, FaultPlan) else str(value),
)
async def test_what_fails_in_passing_is_asked_for_again(plan: FaultPlan, times: int) -> None:
    async with S3Server() as server, filled(server) as store:
        server.inject(plan)
        assert await retrying(store).delete_objects(KEYS) == {}
        assert not server.objects("bucket")
        assert asked(server) == times


async def test_what_is_refused_is_not_asked_for_again() -> None:
    config = ServerConfig(retained=("key-[35]",))
    async with S3Server(config) as server, filled(server) as store:
        server.inject(struck(Kind.KEYS_UNTOLD, 1))
        failed = await retrying(store).delete_objects(KEYS)
        assert set(failed) == {"key-3", "key-5"} == server.objects("bucket").keys()
        assert all(isinstance(error, AccessDeniedError) for error in failed.values())
        assert asked(server) == 2


async def test_what_goes_on_failing_is_told_beside_what_was_done() -> None:
    async with S3Server() as server, filled(server) as store:
        server.inject(FaultPlan((Fault("DeleteObjects", Kind.KEYS_UNTOLD, times=1), Fault("DeleteObjects", Kind.STATUS))))
        failed = await retrying(store).delete_objects(KEYS)
        assert list(failed) == KEYS[1::2]
        assert server.objects("bucket").keys() == set(KEYS[1::2])


async def test_a_refusal_stands_while_others_are_asked_for_again() -> None:
    class Answering(MemoryStore):
        async def delete_objects(self, keys: Sequence[str]) -> Mapping[str, StoreError]:
            requests.append(list(keys))
            told = {"locked": AccessDeniedError("no"), "late": ServerFaultError("not now")}
            return {key: told[key] for key in keys if key in told and (key == "locked" or len(requests) == 1)}

    requests: list[list[str]] = []
    failed = await RetryingStore(Answering(), Tuning(), sleep=no_sleep).delete_objects(["gone", "locked", "late"])
    assert list(failed) == ["locked"]
    assert requests == [["gone", "locked", "late"], ["late"]]
