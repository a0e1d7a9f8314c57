"""A mirror that is turned, paused and gone on with while it runs."""

import asyncio
import logging
import re
import resource
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import fields, replace
from pathlib import Path

import pytest

from asyncmirror.cli import read
from asyncmirror.cli.options import OPTIONS
from asyncmirror.engine.history import End, read_history
from asyncmirror.engine.mirror import Mirror
from asyncmirror.engine.steering import KNOBS, LIVE, Turn, permit, turns
from asyncmirror.errors import UsageError
from asyncmirror.events import Event, Settled, Summary
from asyncmirror.model import Body, Checksum, Outcome, Properties, Stored
from asyncmirror.settings import Connection, Destination, Settings, Tuning
from asyncmirror.sizes import MIB
from asyncmirror.testing import Fault, FaultPlan, Kind, S3Server, ServerConfig
from tests.engine.house import PART, TUNING, House, Watched

FAILS_ONCE = FaultPlan((Fault("PutObject", Kind.STATUS, status=500, code="InternalError", at=(3,)),))


class Gated(Watched):
    """A store whose requests with bodies end when they are let."""

    def __init__(self) -> None:
        super().__init__()
        self.held = 0
        self._gate = asyncio.Condition()
        self._open = 0

    async def _pass(self) -> None:
        async with self._gate:
            self.held += 1
            self._gate.notify_all()
            await self._gate.wait_for(lambda: self._open > 0)
            self._open -= 1
            self.held -= 1
            self._gate.notify_all()

    async def put_object(self, key: str, body: Body, checksum: Checksum, properties: Properties) -> Stored:
        await self._pass()
        return await super().put_object(key, body, checksum, properties)

    async def upload_part(self, key: str, upload_id: str, number: int, body: Body, checksum: Checksum) -> str:
        await self._pass()
        return await super().upload_part(key, upload_id, number, body, checksum)

    async def let(self, count: int) -> None:
        async with self._gate:
            self._open += count
            self._gate.notify_all()

    async def reaches(self, held: int) -> None:
        """Wait until so many are held."""
        async with asyncio.timeout(5), self._gate:
            await self._gate.wait_for(lambda: self.held == held)

    async def stays(self, held: int) -> None:
        """Be sure that it is so many, and that no more come."""
        await self.reaches(held)
        await asyncio.sleep(0.02)
        assert self.held == held


@pytest.fixture
async def house(tmp_path: Path) -> House:
    house = House(tmp_path)
    house.store = Gated()
    return house


@asynccontextmanager
async def going(house: House, settings: Settings) -> AsyncIterator[tuple[Mirror, Gated, list[Event]]]:
    """A run, and its events; at the end all are let go, and each was sent once."""
    store, events = house.store, list[Event]()
    assert isinstance(store, Gated)

    async def follow(mirror: Mirror) -> None:
        async for event in mirror.run():
            events.append(event)

    async with Mirror(settings, store) as mirror:
        task = asyncio.create_task(follow(mirror))
        yield mirror, store, events
        await store.let(1 << 30)
        async with asyncio.timeout(10):
            await task
    sent = Counter(sent for sent in store.sent if sent.op in ("PutObject", "UploadPart"))
    assert sent.total() == len(sent)


def small(house: House, count: int, **tuning: int) -> Settings:
    for number in range(count):
        house.write(f"f{number}", b"x")
    return house.options(tuning=replace(TUNING, **tuning))  # type: ignore[arg-type]  # numbers


async def test_concurrency_is_turned_up_beyond_what_the_run_began_with_and_down(house: House) -> None:
    async with going(house, small(house, 600, concurrency=2)) as (mirror, store, events):
        await store.stays(2)
        mirror.steer(replace(mirror.tuning, concurrency=20))
        await store.stays(20)
        assert mirror.progress().flight.most == 20
        mirror.steer(replace(mirror.tuning, concurrency=3))
        await store.let(18)
        await store.stays(3)
    assert isinstance(events[-1], Summary)
    assert events[-1].counts[Outcome.COMPLETE] == 600


async def test_parts_of_a_file_follow(house: House) -> None:
    house.write("big", bytes(12 * PART))
    async with going(house, house.options(tuning=replace(TUNING, concurrency=5))) as (mirror, store, _):
        await store.stays(5)
        mirror.steer(replace(mirror.tuning, concurrency=9))
        await store.stays(9)
        mirror.steer(replace(mirror.tuning, max_memory=3 * PART))  # a quarter of it is the SDK's
        await store.let(9)
        await store.stays(2)


async def test_nothing_begins_while_paused(house: House) -> None:
    async with going(house, small(house, 50, concurrency=4)) as (mirror, store, events):
        await store.reaches(4)
        mirror.pause()
        await store.let(4)
        await store.stays(0)
        assert mirror.progress().paused
        mirror.resume()
        await store.stays(4)
    assert isinstance(events[-1], Summary)
    assert events[-1].exit_code == 0


async def test_drained_while_paused_a_run_ends_without_another_request(house: House) -> None:
    house.write("big", bytes(8 * PART))
    async with going(house, small(house, 50, concurrency=4)) as (mirror, store, events):
        await store.reaches(4)
        mirror.pause()
        await store.let(4)
        await store.reaches(0)
        mirror.drain()
    assert isinstance(events[-1], Summary)
    assert events[-1].stopped
    assert events[-1].counts.get(Outcome.FAILED, 0) == 0
    assert len([sent for sent in store.sent if sent.op in ("PutObject", "UploadPart")]) == 4


@pytest.mark.parametrize(
    ("concurrency", "delete", "stopped"),
    [(6, False, False), (6, True, True), (3, False, True)],
    ids=["nothing-is-left", "a-deletion-is-left", "files-are-left"],
)
async def test_a_run_is_stopped_if_it_leaves_something_out(
    house: House,
    concurrency: int,
    delete: bool,  # noqa: FBT001  the column of a table
    stopped: bool,  # noqa: FBT001  the same
) -> None:
    house.write("big", bytes(2 * PART))
    settings = small(house, 4, concurrency=concurrency)
    async with going(house, replace(settings, delete=delete)) as (mirror, store, events):
        await store.reaches(concurrency)
        async with asyncio.timeout(5):
            while mirror.progress().scanning:  # noqa: ASYNC110  no event tells of it
                await asyncio.sleep(0)
        mirror.drain()
    summary = events[-1]
    assert isinstance(summary, Summary)
    assert summary.stopped is stopped
    assert summary.exit_code == (3 if delete else 0)
    assert (summary.counts[Outcome.COMPLETE] == 5) is (concurrency == 6)
    history = read_history(house.settings.journal or Path())
    assert history.end(history.runs[-1]) is (End.STOPPED if stopped else End.ENDED)


@pytest.mark.parametrize("field", ["loops", "part_size", "request_timeout"])
async def test_what_is_fixed_is_refused_and_nothing_is_turned(house: House, field: str) -> None:
    async with going(house, small(house, 1)) as (mirror, _, _):
        before = mirror.tuning
        changed: dict[str, int] = {field: PART + 1 if field == "part_size" else 2}
        with pytest.raises(UsageError, match=f"--{field.replace('_', '-')} can't be turned"):
            mirror.steer(replace(before, concurrency=100, **changed))  # type: ignore[arg-type]  # numbers
        assert mirror.tuning == before


def test_more_than_the_system_allows_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: (1000, 1000))
    now = Tuning(auto=False, concurrency=4, scanners=1, readers=1)
    assert permit(now, replace(now, concurrency=200)).concurrency == 200
    assert 300 < permit(now, replace(now, auto=True, concurrency=4000)).concurrency < 400, "a bound is what there can be"
    with pytest.raises(UsageError, match=r"needs more open files than the system allows \(ulimit -n\) \(at most 3\d\d\)"):
        permit(now, replace(now, concurrency=4000))


def test_what_differs_is_named() -> None:
    now = Tuning()
    assert turns(now, replace(now, max_memory=65 * MIB, auto=False, concurrency=1)) == (
        Turn("concurrency", "auto", "1"),
        Turn("max-memory", "512MiB", "65MiB"),
    )
    assert turns(now, now) == ()
    assert {each.name for each in fields(Tuning)} >= LIVE
    names = {option.name: option for option in OPTIONS["tuning"]}
    for knob in KNOBS:
        value = names[knob.name].read(knob.show(now))
        values = value.values if isinstance(value, read.Fields) else {names[knob.name].field.removeprefix("tuning."): value}
        assert all(getattr(now, field) == value for field, value in values.items()), "a knob's text is what its flag takes"


async def test_processes_follow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    config = ServerConfig(buckets=("box",), latency=0.02)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", config.credentials[0].access_key)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", config.credentials[0].secret_key)
    root = tmp_path / "tree"
    root.mkdir()
    for number in range(300):
        (root / f"f{number}").write_bytes(b"x")
    tuning = replace(TUNING, loops=2, concurrency=4)
    repeated = "asyncmirror.store.patience"
    caplog.set_level(logging.DEBUG, repeated)
    async with S3Server(config) as server:
        server.inject(FAILS_ONCE)
        connection = Connection(endpoint_url=server.url, region="us-east-1")
        settings = Settings(root, Destination("box"), connection, tuning=tuning, journal=tmp_path / "j", probe=False)
        async with Mirror(settings) as mirror:
            counts: list[int] = []
            async for event in mirror.run():
                if not isinstance(event, Settled):
                    continue
                counts.append(server.connections)
                if len(counts) == 30:
                    mirror.pause()
                    await asyncio.sleep(0.2)
                    before = server.count
                    await asyncio.sleep(0.1)
                    assert server.count == before
                    mirror.steer(replace(mirror.tuning, concurrency=12))
                    logging.getLogger(repeated).setLevel(logging.INFO)
                    mirror.spread_log_levels()
                    logging.getLogger(repeated).setLevel(logging.DEBUG)  # it is the processes that must not say it any more
                    server.inject(FAILS_ONCE)
                    mirror.resume()
        spare = 2  # what the run's own process may have open
        assert max(counts[:30]) <= 4 + spare
        assert 12 <= max(counts[30:]) <= 12 + spare
        assert sorted(Counter(request.key for request in server.requests if request.op == "PutObject").values())[-3:] == [
            1,
            2,
            2,
        ]
        (told,) = [record.getMessage() for record in caplog.records if record.name == repeated]
        assert re.fullmatch(r"PutObject: f\d+: .*: attempt 2 follows in \d\.\d s", told), told
        assert len(server.objects("box")) == 300


async def test_processes_that_are_paused_end_when_drained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = ServerConfig(buckets=("box",), latency=0.02)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", config.credentials[0].access_key)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", config.credentials[0].secret_key)
    root = tmp_path / "tree"
    root.mkdir()
    for number in range(200):
        (root / f"f{number}").write_bytes(b"x")
    async with S3Server(config) as server:
        connection = Connection(endpoint_url=server.url, region="us-east-1")
        tuning = replace(TUNING, loops=2, concurrency=4)
        settings = Settings(root, Destination("box"), connection, tuning=tuning, journal=tmp_path / "j", probe=False)
        async with asyncio.timeout(20), Mirror(settings) as mirror:
            events: list[Event] = []
            sent = 0
            async for event in mirror.run():
                events.append(event)
                if isinstance(event, Settled) and not sent:
                    mirror.pause()
                    await asyncio.sleep(0.2)
                    sent = server.count
                    mirror.drain()
        summary = events[-1]
        assert isinstance(summary, Summary)
        assert summary.stopped
        assert summary.counts.get(Outcome.FAILED, 0) == 0
        assert server.count == sent
