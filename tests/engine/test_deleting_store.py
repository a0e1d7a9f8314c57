"""`--delete` through the product's own store, on real sockets: the strict server that fails in all ways, and moto."""

import os
import shutil
from pathlib import Path

import pytest

from asyncmirror.audit import standing
from asyncmirror.engine import deleting
from asyncmirror.events import Deletion, Fate
from asyncmirror.settings import Connection, MaxDelete
from asyncmirror.testing import Fault, Kind, S3Server
from asyncmirror.testing.moto import MotoServer
from tests.engine.house import Ran
from tests.hazards.strict import ONCE, Strict

GONE = ("a/1", "a/2", os.fsdecode(b"b/\xff"), "deep/er/3")
STAY = ("a/stays", "top")


def fates(ran: Ran) -> list[Fate]:
    return [event.fate for event in ran.events if isinstance(event, Deletion)]


async def mirror(place: Strict) -> None:
    """Mirror a tree, and remove some of its files."""
    for name in (*GONE, *STAY):
        place.write(name, os.fsencode(name))
    await place.run()
    for name in GONE[:-1]:
        (place.root / name).unlink()
    shutil.rmtree(place.root / "deep")


@pytest.mark.parametrize(
    "fault",
    [
        Fault("DeleteObjects", Kind.KEYS_FAILED, times=2),
        Fault("DeleteObjects", Kind.KEYS_UNTOLD, times=1),
        Fault("DeleteObjects", Kind.SLOW_DOWN, times=2),
        Fault("DeleteObjects", Kind.LOST_ANSWER, times=1),
        Fault("DeleteObjects", Kind.TRUNCATED, times=1),
        Fault("DeleteObjects", Kind.FLIP_RECEIVED, times=1),
        Fault("HeadObject", Kind.SLOW_DOWN, times=2),
    ],
    ids=lambda fault: f"{fault.op}-{fault.kind.value}",
)
async def test_what_fails_in_passing_is_endured(place: Strict, fault: Fault) -> None:
    await mirror(place)
    place.inject(fault)
    ran = await place.run(delete=True)
    assert fates(ran) == [Fate.DELETED] * 4
    assert place.stored() == place.tree()
    assert ran.summary.exit_code == 0
    assert any(request.fault == fault.kind.value for request in place.since())


async def test_what_goes_on_failing_is_told_and_ends_well_in_the_next_run(place: Strict) -> None:
    await mirror(place)
    place.inject(Fault("DeleteObjects", Kind.LOST_ANSWER, times=1), Fault("DeleteObjects", Kind.STATUS))
    ran = await place.run(delete=True, tuning=ONCE)
    assert fates(ran) == [Fate.FAILED] * 4
    assert ran.summary.exit_code == 1
    assert place.stored() == place.tree(), "they are gone, and nobody could know"
    place.inject()
    start = place.count
    assert fates(await place.run(delete=True)) == [Fate.DELETED] * 4
    assert place.ops(start)["DeleteObjects"] == 0, "they were not there any more"


async def test_keys_that_the_store_retains_are_named_and_stay_on_record(place: Strict) -> None:
    await mirror(place)
    place.server.reconfigure(retained=("pre/a/*",))
    ran = await place.run(delete=True)
    told = {event.key: event for event in ran.events if isinstance(event, Deletion)}
    assert {key for key, event in told.items() if event.fate is Fate.FAILED} == {"pre/a/1", "pre/a/2"}
    assert "AccessDenied" in told["pre/a/1"].reason
    place.server.reconfigure(retained=())
    assert fates(await place.run(delete=True)) == [Fate.DELETED] * 2


async def test_neighbours_are_asked_for_by_one_listing_and_the_scattered_by_name(
    place: Strict,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(standing, "_WORTH", 5)
    monkeypatch.setattr(standing, "_PAGE", 10)
    place.server.reconfigure(page_size=10)
    for number in range(60):
        place.write(f"f{number:02}", b"x")
    await place.run()
    for number in (*range(30), 35, 45, 55):
        (place.root / f"f{number:02}").unlink()
    start = place.count
    assert fates(await place.run(delete=True)) == [Fate.DELETED] * 33
    assert place.stored() == place.tree()
    # The first key, which the listing begins behind, and those that no page is worth.
    assert {request.key for request in place.since(start) if request.op == "HeadObject"} == {"pre/f00", "pre/f45", "pre/f55"}
    assert place.ops(start)["ListObjectsV2"] == 5, "four pages, and the first request of every run"


async def test_who_may_not_list_may_delete_all_the_same(place: Strict, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(standing, "_WORTH", 1)
    await mirror(place)
    place.server.reconfigure(may_list=False)
    assert fates(await place.run(delete=True)) == [Fate.DELETED] * 4


async def test_so_many_keys_a_request_and_hardly_a_question_more(place: Strict, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deleting, "MOST_DELETED", 100)
    (place.root / "many").mkdir()
    for number in range(150):
        (place.root / "many" / f"{number:03}").touch()
    place.write("top", b"x")
    await place.run()
    shutil.rmtree(place.root / "many")
    start = place.count
    ran = await place.run(delete=True, max_delete=MaxDelete(150, 0))
    assert fates(ran) == [Fate.DELETED] * 150
    assert place.ops(start)["DeleteObjects"] == 2
    assert place.ops(start)["HeadObject"] == 2, "the first of each, which the listing begins behind"
    assert place.stored() == place.tree()


@pytest.mark.usefixtures("chain")
async def test_on_moto(tmp_path: Path) -> None:
    async with S3Server() as unused:
        house = Strict(tmp_path, unused)
    with MotoServer("bucket") as server:
        connection = Connection(endpoint_url=server.url)
        for name in (*GONE, *STAY):
            house.write(name, os.fsencode(name))
        await house.run(connection=connection)
        for name in GONE:
            (house.root / name).unlink()
        assert fates(await house.run(connection=connection, delete=True)) == [Fate.DELETED] * 4
        assert fates(await house.run(connection=connection, delete=True, delete_unknown=True)) == []
