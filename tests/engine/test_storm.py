"""A SlowDown storm on a real socket: fewer requests in flight, all of them again afterwards, and nothing lost."""

import asyncio
import os
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from asyncmirror.engine.mirror import Mirror
from asyncmirror.events import Event, Flight, Notice, Settled, Started
from asyncmirror.model import Outcome
from asyncmirror.plan.prefixes import Found
from asyncmirror.settings import Connection, Destination, Settings, Tuning
from asyncmirror.testing import Fault, FaultPlan, Kind, S3Server, ServerConfig
from tests.engine.house import Ran

FILES = 400
TUNING = Tuning(concurrency=32, max_attempts=2, retry_window=1.0)
STORM = 1.2
"""Seconds: more than the window."""


@pytest.fixture
async def server(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[S3Server]:
    config = ServerConfig(buckets=("box",), latency=0.05)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", config.credentials[0].access_key)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", config.credentials[0].secret_key)
    async with S3Server(config) as server:
        yield server


@pytest.fixture
def settings(tmp_path: Path, server: S3Server) -> Settings:
    root = tmp_path / "tree"
    root.mkdir()
    for n in range(FILES):
        (root / f"f{n}").write_bytes(b"%d" % n)
    connection = Connection(endpoint_url=server.url, region="us-east-1")
    return Settings(root, Destination("box"), connection, tuning=TUNING, journal=tmp_path / "j.sqlite")


class Watched:
    """A run, and the gauges as they were now and then."""

    def __init__(self) -> None:
        self.flights: list[Flight] = []
        self.events: list[Event] = []

    async def run(self, settings: Settings, server: S3Server, storm: Fault) -> Ran:
        """Run; once fifty files are there, let the storm begin."""
        async with Mirror(settings) as mirror:
            watching = asyncio.create_task(self._watch(mirror))
            async for event in mirror.run():
                self.events.append(event)
                if sum(isinstance(each, Settled) for each in self.events) == 50:
                    server.inject(FaultPlan((storm,)))
            watching.cancel()
        return Ran(self.events)

    async def _watch(self, mirror: Mirror) -> None:
        while True:
            self.flights.append(mirror.progress().flight)
            await asyncio.sleep(0.05)

    @property
    def notices(self) -> list[str]:
        return [event.text for event in self.events if isinstance(event, Notice)]


@pytest.mark.hazard(3)
@pytest.mark.parametrize("loops", [1, 2])
async def test_a_storm_narrows_the_flight_and_loses_nothing(settings: Settings, server: S3Server, loops: int) -> None:
    watched = Watched()
    settings = replace(settings, tuning=replace(TUNING, loops=loops))
    ran = await watched.run(settings, server, Fault("PutObject", Kind.SLOW_DOWN, until=STORM))
    assert ran.summary.exit_code == 0
    assert ran.count(Outcome.COMPLETE) == FILES
    assert {key: stored.body for key, stored in server.objects("box").items()} == {
        name: (settings.source / name).read_bytes() for name in os.listdir(settings.source)
    }
    refused = sum(request.code == "SlowDown" for request in server.requests)
    assert 32 <= refused <= 32 + 30 * loops
    assert watched.flights[0] == Flight(32, 32, 0)
    assert min(flight.limit for flight in watched.flights) == 0
    last = max(watched.flights, key=lambda flight: flight.refused)
    assert last.refused == refused
    # Most of them again: for the rest it takes eight seconds more.
    assert watched.flights[-1].limit >= 0.6 * 32
    assert "asks for fewer requests" in watched.notices[0]


@pytest.mark.hazard(3)
async def test_a_store_that_admits_so_many_a_second_is_given_so_many(settings: Settings, server: S3Server) -> None:
    watched = Watched()
    settings = replace(settings, tuning=Tuning(concurrency=32, auto=False))
    ran = await watched.run(settings, server, Fault("PutObject", Kind.SLOW_DOWN, admits=200.0))
    assert ran.summary.exit_code == 0
    assert ran.count(Outcome.COMPLETE) == FILES
    assert sum(request.code == "SlowDown" for request in server.requests) < FILES // 10
    assert 5 <= watched.flights[-1].limit <= 20  # ten in flight for 50 ms each are 200 a second


async def test_a_run_can_be_ended_in_a_storm_and_goes_on_afterwards(settings: Settings, server: S3Server) -> None:
    server.inject(FaultPlan((Fault("PutObject", Kind.SLOW_DOWN),)))
    async with Mirror(settings) as mirror:
        run = asyncio.create_task(_collect(mirror))
        await server.reached(40)
        mirror.drain()
        async with asyncio.timeout(30):
            first = Ran(await run)
    assert first.summary.stopped
    assert first.count(Outcome.FAILED) == 0
    assert first.count(Outcome.PENDING) > 0
    server.inject(FaultPlan())
    async with Mirror(settings) as mirror:
        assert Ran(await _collect(mirror)).count(Outcome.COMPLETE) == FILES


async def _collect(mirror: Mirror) -> list[Event]:
    return [event async for event in mirror.run()]


@pytest.mark.usefixtures("server")
async def test_a_narrow_prefix_holds_up_nobody(settings: Settings) -> None:
    for n in range(160):
        path = settings.source / ("slow" if n % 2 else "fast") / f"f{n}"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"body")
    watched = Watched()
    async with Mirror(settings) as mirror:
        async for event in mirror.run():
            watched.events.append(event)
            if isinstance(event, Started):
                assert mirror._run is not None
                limited = mirror._run._stages._store.limited
                limited.lanes._divide(Found("slow/", 0.0), limited.throttle.allowance)
                limited.lanes._tell()
                assert [each.prefix for each in mirror.progress().flight.narrow] == ["slow/"]
    settled = [event.key for event in watched.events if isinstance(event, Settled) and event.outcome is Outcome.COMPLETE]
    assert len(settled) == FILES + 160
    last = max(place for place, key in enumerate(settled) if not key.startswith("slow/"))
    assert sum(key.startswith("slow/") for key in settled[last:]) > 10, "they were overtaken"
    (notice,) = watched.notices
    assert "fewer requests under slow/ than" in notice
