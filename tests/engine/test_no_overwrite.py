"""`--no-overwrite`: what is in the bucket already stays as it is."""

from dataclasses import replace
from pathlib import Path

import pytest

from asyncmirror.engine.mirror import Mirror
from asyncmirror.errors import UsageError
from asyncmirror.model import Outcome
from asyncmirror.settings import ObjectOptions
from asyncmirror.sizes import MIB
from asyncmirror.testing import Fault, FaultPlan, Kind, S3Server, StoredObject
from asyncmirror.testing.profiles import RGW, STORAGEGRID, STRICT
from tests.engine.house import Ran
from tests.engine.test_probing import Home, home

__all__ = ["home"]
LARGE = bytes(range(256)) * (9 * MIB // 256)
KEEP = ObjectOptions(overwrite=False)
OPAQUE = replace(RGW, name="opaque", md5_etags=False, conditional_completes=True)
"""It tells nothing of the bytes: the nonce alone does."""
OTHERS = StoredObject(b"another's", "0" * 32, 1.0)


@pytest.fixture
def careful(home: Home) -> Home:
    home.settings = replace(home.settings, objects=KEEP)
    return home


def reasons(ran: Ran) -> dict[bytes, str]:
    return {path: event.reason for path, event in ran.settled.items() if event.outcome is Outcome.REFUSED}


@pytest.mark.hazard(21)
async def test_another_object_stays_and_its_file_is_refused_by_name(careful: Home) -> None:
    careful.fill(3)
    (careful.tree / "large").write_bytes(LARGE)
    for key in ("pre/file-1", "pre/large"):
        careful.server.put("bucket", key, OTHERS)
    ran = await careful.run()
    assert ran.summary.exit_code == 3
    assert set(reasons(ran)) == {b"file-1", b"large"}
    assert all("an object of that key is there already" in reason for reason in reasons(ran).values())
    assert {key: stored.body for key, stored in careful.server.objects("bucket").items()} == {
        "pre/file-0": b"0",
        "pre/file-1": OTHERS.body,
        "pre/file-2": b"2",
        "pre/large": OTHERS.body,
    }
    assert not careful.server.uploads("bucket")
    assert "UploadPart" not in [request.op for request in careful.server.requests if "probe" not in request.key]


async def test_an_object_that_appears_while_its_parts_are_sent_stays(careful: Home) -> None:
    (careful.tree / "large").write_bytes(LARGE)
    async with Mirror(careful.settings) as mirror:
        events = []
        async for event in mirror.run():
            events.append(event)
            careful.server.put("bucket", "pre/large", OTHERS)  # the first event comes before anything is sent
            careful.server.inject(FaultPlan((Fault("HeadObject", Kind.STATUS, times=1, status=403, code="AccessDenied"),)))
    ran = Ran(events)
    assert ran.outcome(b"large") is Outcome.REFUSED
    assert careful.server.objects("bucket")["pre/large"].body == OTHERS.body
    assert not careful.server.uploads("bucket")


@pytest.mark.parametrize("profile", [STRICT, OPAQUE], ids=lambda profile: profile.name)
@pytest.mark.parametrize("op", ["PutObject", "CompleteMultipartUpload"])
async def test_our_own_success_whose_answer_was_lost_is_no_refusal(careful: Home, op: str, profile: object) -> None:
    careful.server.reconfigure(profile=profile)
    (careful.tree / "file").write_bytes(LARGE if op == "CompleteMultipartUpload" else b"x")
    careful.server.inject(FaultPlan((Fault(op, Kind.LOST_ANSWER, key="pre/file", times=1),)))
    ran = await careful.run()
    assert (ran.summary.exit_code, ran.outcome(b"file")) == (0, Outcome.COMPLETE)


async def test_what_a_killed_run_had_sent_is_known_by_its_bytes(careful: Home) -> None:
    """Another nonce, for the run that sent it never told its journal."""
    careful.fill(2)
    assert (await careful.run()).summary.exit_code == 0
    ran = await careful.run(journal=careful.tree.parent / "another.sqlite")
    assert (ran.summary.exit_code, ran.count(Outcome.COMPLETE)) == (0, 2)


async def test_a_write_that_met_another_is_begun_anew(careful: Home) -> None:
    careful.fill(1)
    (careful.tree / "large").write_bytes(LARGE)
    conflict = {"status": 409, "code": "ConditionalRequestConflict", "times": 1}
    faults = (
        Fault("PutObject", Kind.STATUS, key="pre/file-0", **conflict),  # type: ignore[arg-type]  # its own fields
        Fault("CompleteMultipartUpload", Kind.STATUS, key="pre/large", **conflict),  # type: ignore[arg-type]  # the same
    )
    careful.server.inject(FaultPlan(faults))
    ran = await careful.run()
    assert (ran.summary.exit_code, ran.count(Outcome.COMPLETE)) == (0, 2)
    created = [request.key for request in careful.server.requests if request.op == "CreateMultipartUpload"]
    assert created.count("pre/large") == 2
    assert not careful.server.uploads("bucket")


@pytest.mark.hazard(21)
async def test_a_store_that_ignores_it_is_refused_before_anything_is_sent(careful: Home) -> None:
    careful.server.reconfigure(profile=STORAGEGRID)
    careful.fill(1)
    for _ in range(2):
        with pytest.raises(UsageError, match="can't be kept here: If-None-Match is ignored by PutObject"):
            await careful.run()
    assert not careful.server.objects("bucket")
    assert (await careful.run(objects=ObjectOptions())).summary.exit_code == 0


async def test_where_nobody_can_tell_it_takes_a_word_for_it(careful: Home) -> None:
    careful.server.reconfigure(denied=frozenset({"DeleteObject"}))
    careful.fill(1)
    with pytest.raises(UsageError, match="is not known"):
        await careful.run()
    ran = await careful.run(probe=False)
    assert (ran.summary.exit_code, ran.count(Outcome.COMPLETE)) == (0, 1)


async def test_every_write_carries_the_condition(careful: Home, tmp_path: Path) -> None:
    async with S3Server(replace(careful.server.config, log_headers=True)) as server:
        careful.fill(1)
        (careful.tree / "large").write_bytes(LARGE)
        connection = replace(careful.settings.connection, endpoint_url=server.url)
        await careful.run(connection=connection, journal=tmp_path / "other.sqlite", probe=False)
        conditions = {request.op: request.headers.get("if-none-match") for request in server.requests}
        assert conditions["PutObject"] == conditions["CompleteMultipartUpload"] == "*"
        assert conditions["CreateMultipartUpload"] is conditions["UploadPart"] is None
