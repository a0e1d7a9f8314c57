import asyncio
import json
import os
import stat
import time
from pathlib import Path

import pytest

from asyncmirror.engine.asking import ask
from asyncmirror.engine.history import End, Run, read_history
from asyncmirror.engine.mirror import Mirror
from asyncmirror.engine.status import Live, Status, Trouble, Upload, from_plain, read_status, to_plain
from asyncmirror.errors import JournalError, UsageError
from asyncmirror.events import Allowance, Erasing, Flight, Narrow, Progress, Started, Transfer
from asyncmirror.journal.belongs import Belongs
from asyncmirror.journal.changes import Condemn
from asyncmirror.journal.lock import Holder, Lock
from asyncmirror.journal.looks import Ended
from asyncmirror.journal.writer import Journal
from asyncmirror.model import Outcome
from asyncmirror.settings import Remap
from tests.engine.house import House

FLIGHT = Flight(1, 2, 3, narrow=(Narrow("a/", 4),))


async def test_a_finished_run_is_read_from_the_file(house: House) -> None:
    house.write("a", b"xyz")
    (house.root / "link\xff").symlink_to("a")
    await house.run()
    assert house.settings.journal is not None
    found = read_status(house.settings.journal)
    assert found.destination == "s3://bucket/pre"
    assert found.running is None
    assert found.counts == {Outcome.COMPLETE: 1, Outcome.UNSUPPORTED: 1}
    assert found.sizes == {Outcome.COMPLETE: 3, Outcome.UNSUPPORTED: 0}
    assert found.troubles[0].path == "link\xff".encode()
    assert found.last_run is not None
    assert found.last_run.summary is not None
    assert found.last_run.summary["exit_code"] == 3


async def test_a_run_that_is_going_on_answers_itself(house: House) -> None:
    house.write("a", b"xyz")
    path = house.settings.journal
    assert path is not None
    async with Mirror(house.settings, house.store) as mirror:
        async for _ in mirror.run():
            pass
        socket = path.with_name(path.name + ".control") / "socket"
        assert stat.S_IMODE(socket.stat().st_mode) == 0o600
        assert stat.S_IMODE(socket.parent.stat().st_mode) == 0o700
        found = await asyncio.to_thread(read_status, path)
        assert found.running is not None
        assert found.running.pid == os.getpid()
        assert found.counts == {Outcome.COMPLETE: 1}
        assert found.live is not None
        assert found.live.progress.settled[Outcome.COMPLETE] == 1
        assert found.live.knobs["max-memory"] == "64MiB"
        assert found.live.paused is None
        mirror.pause()
        found = await asyncio.to_thread(read_status, path)
        assert found.live is not None
        assert time.time() - 60 < (found.live.paused or 0) <= time.time()
        with pytest.raises(JournalError, match="does not answer"):
            await asyncio.to_thread(ask, Holder(1, "h", 0.0, str(path) + ".nothing"), path, {"do": "status"})
    assert not [name for name in os.listdir(path.parent) if name.endswith(".control")]


async def test_only_so_many_troubles_as_asked_for(house: House) -> None:
    for n in range(5):
        (house.root / f"link{n}").symlink_to("x")
    await house.run()
    assert len(read_status(house.settings.journal or Path(), 2).troubles) == 2


def test_no_journal_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there is no journal"):
        read_status(tmp_path / "none.sqlite")
    assert not list(tmp_path.iterdir())


def test_a_process_that_can_not_be_asked_is_named(tmp_path: Path) -> None:
    lock = Lock(tmp_path / "j")
    with pytest.raises(JournalError, match=f"process {os.getpid()} on .* does not answer: it has only begun"):
        read_status(tmp_path / "j")
    lock.release()


def test_a_report_survives_the_socket() -> None:
    run = Run(1.5, None, "host", 7, "0.1", {"complete": 1})
    uploads = (Upload(b"\xff/a", 10, "id", 5),)
    report = Status("s", "d", "e", "j", None, run, {Outcome.FAILED: 1}, {Outcome.FAILED: 2}, uploads, ())
    report = report._replace(troubles=(Trouble(b"\xfe\n", Outcome.FAILED, "why"),), looked=Ended("deep", 1.5, 2.5, 3))
    report = report._replace(remaps=((b"a\xff", b"b"), (b"c", b"b")), releases=("edr", "d\udcff"), condemned=7)
    assert from_plain(json.loads(json.dumps(to_plain(report)))) == report
    transfers = (Transfer(b"\xff\x1b", 1, 2, 0.5),)
    settled = {Outcome.FAILED: 5}
    gauges = Progress(scanned=1, settled=settled, settled_bytes=settled, seconds=9.5, slowest=transfers, flight=FLIGHT)
    gauges = gauges._replace(
        scanning=False, paused=True, queued=2, queued_bytes=3, bytes_sent=4, requests=5, allowance=Allowance(6, 7.5, 8.5)
    )
    gauges = gauges._replace(erasing=Erasing(9, 8, 7, 6.5))
    report = report._replace(live=Live(gauges, {"concurrency": "64"}, 1.5))
    assert from_plain(json.loads(json.dumps(to_plain(report)))) == report


async def test_a_running_mirror_tells_its_history(house: House) -> None:
    house.write("a", b"1")
    await house.run()
    async with Mirror(house.settings, house.store) as mirror:
        assert house.settings.journal is not None
        between = await asyncio.to_thread(read_history, house.settings.journal)
        found, holder = between, between.running
        assert holder is not None
        async for event in mirror.run():
            if isinstance(event, Started):
                found = await asyncio.to_thread(read_history, house.settings.journal)
        with pytest.raises(UsageError, match="no number"):
            await asyncio.to_thread(ask, holder, house.settings.journal, {"do": "history", "most": "all"})
    assert [between.end(run) for run in between.runs] == [End.ENDED]
    assert [found.end(run) for run in found.runs] == [End.ENDED, End.RUNNING]
    after = read_history(house.settings.journal)
    assert [after.end(run) for run in after.runs] == [End.ENDED, End.ENDED]
    assert [run.summary and run.summary["unchanged"] for run in after.runs] == [0, 1]
    assert read_history(house.settings.journal, 1).runs == after.runs[1:]


async def test_what_goes_where_and_what_was_to_be_deleted_is_on_record(house: House) -> None:
    house.write("edr/target/f", b"x")
    house.write("dr1/g", b"x")
    settings = house.options(remaps=(Remap("edr/target", "target"),), within=("edr", "dr1"))
    await house.run(settings)
    path = house.settings.journal
    assert path is not None
    found = read_status(path)
    assert (found.remaps, found.releases, found.condemned) == (((b"edr/target", b"target"),), ("edr", "dr1"), 0)
    journal = Journal(path, Belongs("", "s3://bucket/pre", ""))
    journal.submit([Condemn(journal.known(b"dr1", None).directory, b"g")]).result()
    journal.close()
    assert read_status(path).condemned == 1
    await house.run(house.options(remaps=settings.remaps))
    assert read_status(path).releases == ()
