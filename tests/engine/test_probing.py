"""What a run does about what its store guarantees, on the strict server."""

import os
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from asyncmirror.engine import probing
from asyncmirror.engine.mirror import Mirror
from asyncmirror.events import Notice
from asyncmirror.model import Outcome
from asyncmirror.settings import Connection, Destination, Settings, Tuning
from asyncmirror.sizes import MIB
from asyncmirror.store.probe.scratch import Asking
from asyncmirror.store.wire.answer import Answer
from asyncmirror.store.wire.request import Request
from asyncmirror.testing import Fault, FaultPlan, Kind, S3Server
from asyncmirror.testing.profiles import RGW, STRICT
from tests.engine.house import Ran

FRAMING = replace(STRICT, name="framing", frames_bodies=True)


class Home:
    """A tree, a journal, and a server that can be set anew."""

    def __init__(self, path: Path, server: S3Server) -> None:
        self.server = server
        self.tree = path / "tree"
        self.tree.mkdir()
        self.settings = Settings(
            self.tree,
            Destination("bucket", "pre"),
            Connection(server.url),
            tuning=Tuning(concurrency=4, part_size=5 * MIB, multipart_threshold=8 * MIB, max_attempts=2, retry_window=1.0),
            journal=path / "journal.sqlite",
        )

    def fill(self, count: int) -> None:
        for number in range(count):
            (self.tree / f"file-{number}").write_bytes(b"%d" % number)

    async def run(self, **changes: object) -> Ran:
        async with Mirror(replace(self.settings, **changes)) as mirror:  # type: ignore[arg-type]  # the names are its own
            return Ran([event async for event in mirror.run()])

    def probed(self) -> list[str]:
        """The operations of probes so far."""
        return [request.op for request in self.server.requests if "/.asyncmirror-probe/" in request.key]


class Dying:
    """Stands for a process that is killed when the store has answered a probe's first PutObject: nothing is sent then."""

    def __init__(self, wire: Asking) -> None:
        self._wire = wire
        self._dead = False

    async def ask(self, request: Request) -> Answer:
        if self._dead:
            raise RuntimeError("killed")
        answer = await self._wire.ask(request)
        self._dead = request.method == "PUT" and answer.success
        return answer


def notices(ran: Ran) -> list[str]:
    return [event.text for event in ran.events if isinstance(event, Notice)]


@pytest.fixture
async def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Home]:
    for name in list(os.environ):
        if name.startswith("AWS_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testkey")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testsecret")
    monkeypatch.setenv("HOME", str(tmp_path))
    async with S3Server() as server:
        yield Home(tmp_path, server)


async def test_a_store_is_asked_once_and_not_in_the_next_runs(home: Home) -> None:
    home.fill(3)
    ran = await home.run()
    assert (ran.summary.exit_code, notices(ran)) == (0, [])
    assert sorted(home.probed()) == ["DeleteObject"] * 2 + ["GetObject"] + ["PutObject"] * 3
    assert ran.summary.requests == home.server.count
    assert set(home.server.objects("bucket")) == {f"pre/file-{number}" for number in range(3)}
    home.fill(4)
    before = len(home.probed())
    assert (await home.run()).count(Outcome.COMPLETE) == 1
    assert len(home.probed()) == before


async def test_it_is_asked_again_after_a_week_and_for_another_checksum(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    await home.run()
    once = len(home.probed())
    monkeypatch.setattr(probing, "HOLDS", 0.0)
    await home.run()
    assert len(home.probed()) == 2 * once
    monkeypatch.setattr(probing, "HOLDS", time.time())
    sha = replace(home.settings.objects, algorithm=type(home.settings.objects.algorithm).SHA256)
    await home.run(objects=sha)
    assert len(home.probed()) == 3 * once


async def test_what_is_missing_is_told_in_every_run(home: Home) -> None:
    home.server.reconfigure(profile=RGW)
    home.fill(1)
    for _ in range(2):
        told = notices(await home.run())
        assert len(told) == 1
        assert told[0].startswith("this store does not give every guarantee: x-amz-checksum-crc64nvme is not verified")
    assert home.probed().count("GetObject") == 1


@pytest.mark.hazard(12)
@pytest.mark.parametrize("loops", [1, 2])
async def test_a_store_that_does_not_keep_bytes_ends_the_run_with_nothing_complete(home: Home, loops: int) -> None:
    home.server.reconfigure(profile=FRAMING)
    home.fill(500)
    (home.tree / "large").write_bytes(bytes(9 * MIB))
    for _ in range(2):  # what is known to be so is asked again: it may have been put right
        ran = await home.run(tuning=replace(home.settings.tuning, loops=loops))
        assert ran.summary.exit_code == 4
        assert "does not keep bytes as they are sent" in ran.summary.error
        assert ran.count(Outcome.COMPLETE) == 0
        assert not ran.settled
    home.server.reconfigure(profile=STRICT)
    ran = await home.run()
    assert (ran.summary.exit_code, ran.count(Outcome.COMPLETE)) == (0, 501)
    assert home.server.objects("bucket")["pre/file-7"].body == b"7"
    assert not [key for key in home.server.objects("bucket") if "probe" in key]


async def test_the_first_bodies_do_not_wait_for_the_probe(home: Home) -> None:
    """The answer to the probe's GetObject is late; meanwhile files go up, and none of them is told to be complete."""
    home.fill(20)
    home.server.inject(FaultPlan((Fault("GetObject", Kind.DELAY, seconds=0.5),)))
    ran = await home.run()
    assert ran.summary.exit_code == 0
    assert ran.count(Outcome.COMPLETE) == 20
    # The probe's next request after that answer comes behind all files.
    assert "wrong-crc64nvme" in next(request.key for request in reversed(home.server.requests) if request.op == "PutObject")


@pytest.mark.parametrize("changes", [{"probe": False}, {"dry_run": True}])
async def test_nobody_is_asked_where_it_was_not_wanted(home: Home, changes: dict[str, object]) -> None:
    home.server.reconfigure(profile=RGW)
    home.fill(2)
    ran = await home.run(**changes)
    assert (home.probed(), notices(ran), ran.summary.exit_code) == ([], [], 0)


@pytest.mark.parametrize("denied", ["DeleteObject", "GetObject"])
async def test_where_it_may_not_be_asked_a_run_says_nothing(home: Home, denied: str) -> None:
    home.server.reconfigure(denied=frozenset({denied}))
    home.fill(2)
    ran = await home.run()
    assert (notices(ran), ran.summary.exit_code, ran.count(Outcome.COMPLETE)) == ([], 0, 2)
    before = len(home.probed())
    await home.run()
    assert len(home.probed()) == before


async def test_a_store_that_did_not_answer_is_asked_in_the_next_run(home: Home) -> None:
    home.fill(1)
    home.server.inject(FaultPlan((Fault("GetObject", Kind.LOST_ANSWER),)))
    assert (await home.run()).summary.exit_code == 0
    home.server.inject(FaultPlan())
    before = len(home.probed())
    await home.run()
    assert len(home.probed()) > before


async def test_an_object_that_a_killed_probe_left_is_removed_by_the_next(home: Home) -> None:
    async with Mirror(home.settings) as mirror:
        assert mirror._reach.store.wire is not None
        dying = mirror._reach.store._replace(wire=Dying(mirror._reach.store.wire))
        with pytest.raises(BaseExceptionGroup):
            await probing.Probing(home.settings, mirror._journal, dying).find()
    assert [key for key in home.server.objects("bucket") if "probe" in key]
    assert (await home.run()).summary.exit_code == 0
    assert not home.server.objects("bucket")


async def test_what_can_not_be_removed_is_told(home: Home) -> None:
    home.server.inject(FaultPlan((Fault("DeleteObject", Kind.STATUS, first=2, status=500, code="InternalError"),)))
    told = notices(await home.run())
    assert len(told) == 1
    assert "could not be removed: remove it" in told[0]


async def test_a_drained_run_still_removes_what_the_probe_made(home: Home) -> None:
    home.fill(5)
    async with Mirror(home.settings) as mirror:
        mirror.drain()
        events = [event async for event in mirror.run()]
    assert Ran(events).summary.stopped
    assert not [key for key in home.server.objects("bucket") if "probe" in key]
