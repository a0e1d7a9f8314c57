"""Unfinished uploads: what the next sync goes on with, what is ours and of no use, what is somebody else's."""

import os
from pathlib import Path

import pytest

from asyncmirror.audit.leftovers import Leftover, Whose, collect
from asyncmirror.cli.collect import line
from asyncmirror.errors import BucketError, JournalError, ServerFaultError
from asyncmirror.journal.changes import Begin
from asyncmirror.journal.writer import Journal
from asyncmirror.model import Algorithm, Identity, RemoteUpload, Upload
from asyncmirror.settings import Collection
from asyncmirror.store.memory import MemoryStore
from tests.audit.test_verify import OF, PLAIN
from tests.engine.house import PART, TUNING, House, Sent


@pytest.fixture
async def house(tmp_path: Path) -> House:
    """One upload was stopped half-way, of one file the upload is left over, and somebody else's is going on."""
    house = House(tmp_path)
    house.write("half", os.urandom(3 * PART))
    house.write("gone", os.urandom(3 * PART))

    def last(sent: Sent) -> None:
        if sent.op == "UploadPart" and sent.part == 3:
            raise ServerFaultError("no", op="UploadPart")

    house.store.before = last
    await house.run(house.options(tuning=TUNING))
    assert house.store.uploads == 2
    house.store.before = lambda _: None
    (house.root / "gone").unlink()
    house.store.before = last
    await house.run(house.options(tuning=TUNING))
    house.store.before = lambda _: None
    await MemoryStore.create_multipart_upload(house.store, "pre/other", Algorithm.CRC32, PLAIN)
    await MemoryStore.create_multipart_upload(house.store, "prefix/other", Algorithm.CRC32, PLAIN)
    return house


async def leftovers(house: House, *, abort: bool = False) -> dict[str, Leftover]:
    assert house.settings.journal is not None
    asked = Collection(house.settings.destination, house.settings.journal, tuning=TUNING, abort=abort)
    return {found.upload.key: found async for found in collect(asked, OF, house.store)}


async def test_whose_they_are(house: House) -> None:
    found = await leftovers(house)
    assert {key: (each.whose, each.aborted) for key, each in found.items()} == {
        "pre/gone": (Whose.ORPHAN, False),
        "pre/half": (Whose.RESUMABLE, False),
        "pre/other": (Whose.FOREIGN, False),
    }
    assert house.store.uploads == 4


async def test_only_orphans_are_ended_and_the_rest_goes_on(house: House) -> None:
    found = await leftovers(house, abort=True)
    assert {key for key, each in found.items() if each.aborted} == {"pre/gone"}
    assert house.store.uploads == 3
    assert (await leftovers(house)).keys() == {"pre/half", "pre/other"}
    ran = await house.run()
    assert ran.summary.exit_code == 0
    assert house.store.parts_sent("pre/half") == [3], "its upload was gone on with"


async def test_a_journal_in_use_is_not_judged_by(house: House) -> None:
    journal = house.settings.journal
    assert journal is not None
    held = Journal(journal, OF)
    try:
        with pytest.raises(JournalError, match="in use"):
            await leftovers(house, abort=True)
    finally:
        held.close()
    assert house.store.uploads == 4


async def test_a_store_that_refuses_ends_the_look(house: House) -> None:
    def refuse(sent: Sent) -> None:
        if sent.op == "AbortMultipartUpload":
            raise ServerFaultError("no", op="AbortMultipartUpload")

    house.store.before = refuse
    with pytest.raises(BucketError, match="could not be looked at"):
        await leftovers(house, abort=True)


async def test_an_upload_whose_id_was_never_learnt_is_ours(tmp_path: Path) -> None:
    house = House(tmp_path)
    path = house.settings.journal
    assert path is not None
    journal = Journal(path, OF)
    directory = journal.known(b"d\xff", None).directory
    intent = Upload("", "nonce", PART, Algorithm.CRC32)
    journal.submit((Begin(directory, b"large", Identity(0, 1, 2, 3, 4), intent),)).result()
    journal.close()
    upload_id = await house.store.create_multipart_upload("pre/d␛FF/large", Algorithm.CRC32, PLAIN)
    assert upload_id
    (found,) = (await leftovers(house, abort=True)).values()
    assert (found.whose, found.aborted) == (Whose.ORPHAN, True)


def test_a_hostile_key_is_shown_escaped() -> None:
    told = line(Leftover(Whose.FOREIGN, RemoteUpload("a\x1b[2J", "id\n", 0.0)))
    assert told.isprintable()
    assert told.startswith(r"foreign: a\x1b[2J: begun 19")
