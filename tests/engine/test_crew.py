import os
import signal
import time
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from asyncmirror.engine.frames import Frames
from asyncmirror.engine.mirror import Mirror
from asyncmirror.engine.several import Several, added_up, portion, share
from asyncmirror.events import Allowance, Event, Flight, Narrow, Settled, Summary
from asyncmirror.model import Outcome
from asyncmirror.settings import Connection, Destination, ObjectOptions, Settings, Tuning
from asyncmirror.sizes import MIB
from asyncmirror.testing import S3Server, ServerConfig
from asyncmirror.timetable import Timetable
from tests.engine.house import Ran

TUNING = Tuning(loops=2, concurrency=8, part_size=5 * MIB, multipart_threshold=10 * MIB, max_memory=64 * MIB)


@pytest.fixture
async def server(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[S3Server]:
    config = ServerConfig(buckets=("box",))
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", config.credentials[0].access_key)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", config.credentials[0].secret_key)
    async with S3Server(config) as server:
        yield server


@pytest.fixture
def settings(tmp_path: Path, server: S3Server) -> Settings:
    root = tmp_path / "tree"
    for n in range(300):
        path = root / f"d{n % 7}" / f"f{n}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"%d" % n)
    (root / "big").write_bytes(os.urandom(MIB) * 23)
    connection = Connection(endpoint_url=server.url, region="us-east-1")
    return Settings(root, Destination("box"), connection, tuning=TUNING, journal=tmp_path / "j.sqlite", probe=False)


def test_the_gauges_of_several_processes_are_added_up() -> None:
    first = Flight(8, 10, 1, narrow=(Narrow("a/", 3),))
    second = Flight(8, 10, 2, throttled=True, narrow=(Narrow("a/", 4), Narrow("b/", 1)))
    assert added_up([first, second]) == Flight(16, 20, 3, throttled=True, narrow=(Narrow("a/", 7), Narrow("b/", 1)))


async def run(settings: Settings, at: int = -1, act: str = "") -> Ran:
    """Run; at the n-th settled entry drain, stop, or kill a process."""
    events: list[Event] = []
    async with Mirror(settings) as mirror:
        async for event in mirror.run():
            events.append(event)
            if isinstance(event, Settled):
                at -= 1
                if at == 0 and act == "kill":
                    assert mirror._run is not None
                    crew = mirror._run._stages._crew
                    assert isinstance(crew, Several)
                    os.kill(crew._members[0].pid, signal.SIGKILL)
                elif at == 0:
                    getattr(mirror, act)()
    return Ran(events)


def tree(settings: Settings) -> dict[str, bytes]:
    return {
        os.path.relpath(os.path.join(where, name), settings.source): (Path(where) / name).read_bytes()
        for where, _, names in os.walk(settings.source)
        for name in names
    }


def bucket(server: S3Server) -> dict[str, bytes]:
    return {key: stored.body for key, stored in server.objects("box").items()}


async def test_processes_mirror_a_tree_and_a_second_run_sends_nothing(settings: Settings, server: S3Server) -> None:
    first = await run(settings)
    assert first.summary.exit_code == 0
    assert first.count(Outcome.COMPLETE) == 301
    assert first.summary.bytes_sent == first.summary.bytes_total
    assert bucket(server) == tree(settings)
    assert first.summary.requests == 301 - 1 + 5 + 2 + 1  # small ones, parts, create and complete, the first check
    before = len(server.requests)
    second = await run(settings)
    assert second.count(Outcome.UNCHANGED) == 301
    assert len(server.requests) == before + 1


async def test_a_limit_is_the_runs_however_many_processes_and_is_turned_in_all(settings: Settings, server: S3Server) -> None:
    (settings.source / "big").unlink()
    limited = replace(settings.tuning, max_requests_per_second=40)
    settled: list[float] = []
    async with Mirror(replace(settings, tuning=limited)) as mirror:
        async for event in mirror.run():
            if isinstance(event, Settled):
                settled.append(time.monotonic())
                if len(settled) == 40:
                    mirror.steer(replace(mirror.tuning, max_requests_per_second=0, bwlimit=Timetable.parse("1GiB")))
                    assert mirror.progress().allowance == Allowance(1 << 30)
    assert settled[39] - settled[0] >= 0.8
    assert settled[-1] - settled[39] < 5  # 6.5 at the old rate
    assert len(server.objects("box")) == 300


async def test_processes_import_nothing_from_the_working_directory(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "uvloop.py").write_text("raise SystemExit(9)", encoding="ascii")
    monkeypatch.chdir(elsewhere)
    assert (await run(settings)).summary.exit_code == 0


@pytest.mark.parametrize(("act", "code", "stopped"), [("drain", 0, True), ("stop", 0, True), ("kill", 4, True)])
async def test_whatever_stops_them_the_next_run_goes_on(
    settings: Settings,
    server: S3Server,
    act: str,
    code: int,
    stopped: bool,  # noqa: FBT001  the column of a table
) -> None:
    first = await run(settings, 40, act)
    assert first.summary.exit_code == code
    assert first.summary.stopped is stopped
    confirmed = {event.key for event in first.settled.values() if event.outcome is Outcome.COMPLETE}
    assert len(confirmed) >= 40
    before = len(server.requests)
    second = await run(settings)
    assert second.summary.exit_code == 0
    assert bucket(server) == tree(settings)
    again = Counter(request.key for request in server.requests[before:] if request.op in ("PutObject", "UploadPart"))
    assert not confirmed & set(again)


async def test_a_fatal_error_in_a_process_ends_the_run(settings: Settings, server: S3Server) -> None:
    async with Mirror(settings) as mirror:
        server.renew(replace(server.config.credentials[0], access_key="another"))
        events = [event async for event in mirror.run()]
    summary = events[-1]
    assert isinstance(summary, Summary)
    assert summary.exit_code == 4
    assert "InvalidAccessKeyId" in summary.error
    assert summary.counts.get(Outcome.FAILED, 0) == 0


def test_a_process_gets_its_share(settings: Settings) -> None:
    given = replace(settings, objects=ObjectOptions(metadata={"a": "b"}), tuning=replace(TUNING, loops=3, concurrency=8))
    tuning = portion(given).tuning
    assert tuning == share(given.tuning)
    assert (tuning.loops, tuning.concurrency, tuning.max_memory) == (1, 3, 64 * MIB // 3)
    assert isinstance(portion(given).objects.metadata, dict)


def test_messages_come_out_as_they_went_in_however_they_are_cut() -> None:
    sent: list[bytes] = []

    class Transport:
        def write(self, data: bytes) -> None:
            sent.append(data)

        def is_closing(self) -> bool:
            return False

    out = Frames(lambda _: None, lambda: None)
    out.connection_made(Transport())  # type: ignore[arg-type]  # what is used of a transport
    received: list[object] = []
    into = Frames(received.append, lambda: None)
    messages = [("x" * n,) for n in (0, 1, 1000)]
    for message in messages:
        out.send(message)  # type: ignore[arg-type]  # any value will do
    data = b"".join(sent)
    for start in range(0, len(data), 7):
        into.data_received(data[start : start + 7])
    assert received == messages
