"""What stores and networks do to uploads: rows 1 to 22 of docs/hazards.md, through the product against the strict server."""

import asyncio
import json
import sqlite3
import time
from collections import Counter
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from asyncmirror import checksum
from asyncmirror.engine.mirror import Mirror
from asyncmirror.errors import BucketError
from asyncmirror.events import Event, Started
from asyncmirror.model import Algorithm, Outcome, Properties
from asyncmirror.settings import Connection, ObjectOptions
from asyncmirror.store.s3 import S3Store
from asyncmirror.testing import HETZNER, MINIO, RGW, STORAGEGRID, STRICT, Credentials, Fault, Kind, Profile, StoredObject
from tests.hazards.strict import ONCE, PART, PARTS, TUNING, Strict

SMALL = b"0123456789" * 100


def nonces(place: Strict) -> set[str]:
    return {found.metadata["asyncmirror-nonce"] for found in place.server.objects("bucket").values()}


def receipts(place: Strict) -> list[int]:
    """The parts that the journal has receipts of. No run may be going on."""
    with closing(sqlite3.connect(place.journal)) as connection:
        return [number for (number,) in connection.execute("SELECT number FROM receipt ORDER BY number")]


@pytest.mark.hazard(1)
@pytest.mark.parametrize("kind", [Kind.RESET_BEFORE, Kind.RESET_IN_BODY, Kind.RESET_AFTER])
@pytest.mark.parametrize("data", [SMALL, PARTS], ids=["small", "large"])
async def test_a_body_that_was_reset_is_sent_again_whole(place: Strict, kind: Kind, data: bytes) -> None:
    place.write("file", data)
    place.inject(Fault("PutObject", kind, times=2), Fault("UploadPart", kind, part=2, times=2))
    ran = await place.run()
    assert ran.outcome(b"file") is Outcome.COMPLETE
    assert place.stored() == place.tree()
    assert sum(request.fault == kind.value for request in place.since()) == 2


@pytest.mark.hazard(1)
@pytest.mark.parametrize("kind", [Kind.SHORT_STORED, Kind.EARLY_ANSWER])
@pytest.mark.parametrize("data", [SMALL, PARTS], ids=["small", "large"])
async def test_a_body_of_which_not_all_was_taken_is_no_success_though_it_is_answered_with_200(
    place: Strict, kind: Kind, data: bytes
) -> None:
    place.write("file", data)
    place.inject(Fault("PutObject", kind, status=200), Fault("UploadPart", kind, status=200, part=2))
    failed = await place.run(tuning=ONCE)
    assert failed.outcome(b"file") is Outcome.FAILED
    assert failed.summary.exit_code == 1
    place.inject()
    assert (await place.run()).outcome(b"file") is Outcome.COMPLETE
    assert place.stored() == place.tree()


@pytest.mark.hazard(2)
@pytest.mark.parametrize("status", [500, 502, 503, 504])
async def test_server_errors_within_the_budget_are_endured(place: Strict, status: int) -> None:
    code = {500: "InternalError", 503: "ServiceUnavailable"}.get(status, "")
    for number in range(4):
        place.write(f"file-{number}", SMALL)
    place.write("large", PARTS)
    place.inject(*(Fault(op, Kind.STATUS, status=status, code=code, times=2) for op in ("PutObject", "UploadPart")))
    ran = await place.run()
    assert (ran.count(Outcome.COMPLETE), ran.summary.exit_code) == (5, 0)
    assert place.stored() == place.tree()
    assert sum(request.status == status for request in place.since()) == 4


@pytest.mark.hazard(2)
async def test_server_errors_beyond_the_budget_are_journalled_and_tried_in_the_next_run(place: Strict) -> None:
    place.write("bad", SMALL)
    place.write("good", SMALL)
    place.fault("PutObject", Kind.STATUS, key="*/bad", status=500)
    ran = await place.run(tuning=replace(TUNING, max_attempts=3))
    assert ran.outcome(b"bad") is Outcome.FAILED
    assert ran.outcome(b"good") is Outcome.COMPLETE
    assert ran.summary.exit_code == 1
    assert Counter(request.key for request in place.bodies()) == {"pre/bad": 3, "pre/good": 1}
    place.inject()
    start = place.count
    assert (await place.run()).outcome(b"bad") is Outcome.COMPLETE
    assert [request.key for request in place.bodies(start)] == ["pre/bad"]


@pytest.mark.hazard(4)
async def test_complete_with_an_error_inside_its_200_completes_nothing(place: Strict) -> None:
    place.write("large", PARTS)
    place.fault("CompleteMultipartUpload", Kind.ERROR_IN_200)
    failed = await place.run(tuning=ONCE)
    assert failed.outcome(b"large") is Outcome.FAILED
    assert place.stored() == {}
    place.inject()
    start = place.count
    assert (await place.run()).outcome(b"large") is Outcome.COMPLETE
    assert place.stored() == place.tree()
    assert place.ops(start)["UploadPart"] == 0


@pytest.mark.hazard(5)
@pytest.mark.parametrize("profile", [STRICT, RGW], ids=lambda profile: profile.name)
@pytest.mark.parametrize("attempts", [1, 6], ids=["in the next run", "at once"])
async def test_a_complete_whose_answer_was_lost_sends_nothing_again(place: Strict, profile: Profile, attempts: int) -> None:
    await lost_complete(place, profile, attempts)


@pytest.mark.hazard(6)
@pytest.mark.parametrize("profile", [MINIO, STORAGEGRID], ids=lambda profile: profile.name)
@pytest.mark.parametrize("attempts", [1, 6], ids=["in the next run", "at once"])
async def test_a_repeated_complete_that_finds_no_upload_sends_nothing_again(
    place: Strict, profile: Profile, attempts: int
) -> None:
    await lost_complete(place, profile, attempts)


@pytest.mark.hazard(8)
@pytest.mark.parametrize("attempts", [1, 2], ids=["in the next run", "at once"])
async def test_a_complete_that_is_already_in_progress_is_looked_for(place: Strict, attempts: int) -> None:
    await lost_complete(place, HETZNER, attempts)


async def lost_complete(place: Strict, profile: Profile, attempts: int) -> None:
    """Lose the answer of Complete, and of the HEAD that asks what became of it where the next run is to find out."""
    place.server.reconfigure(profile=profile)
    place.write("large", PARTS)
    faults = [Fault("CompleteMultipartUpload", Kind.LOST_ANSWER, times=1)]
    if attempts == 1:
        faults.append(Fault("HeadObject", Kind.RESET_BEFORE, times=1))
    place.inject(*faults)
    ran = await place.run(tuning=replace(TUNING, max_attempts=attempts))
    if attempts == 1:
        assert ran.outcome(b"large") is Outcome.FAILED
        ran = await place.run()
    assert ran.outcome(b"large") is Outcome.COMPLETE
    assert place.ops()["UploadPart"] == 3
    assert place.ops()["CreateMultipartUpload"] == 1
    assert place.stored() == place.tree()
    assert (await place.run()).unchanged == {b"large"}


@pytest.mark.hazard(5, 6)
async def test_an_object_without_our_nonce_is_no_confirmation(place: Strict) -> None:
    place.server.reconfigure(profile=MINIO)
    place.write("large", PARTS)
    place.inject(Fault("CompleteMultipartUpload", Kind.LOST_ANSWER, times=1), Fault("HeadObject", Kind.RESET_BEFORE, times=1))
    await place.run(tuning=ONCE)
    theirs = StoredObject(b"\0" * len(PARTS), "theirs", 0.0, metadata={"asyncmirror-nonce": "another"})
    place.server.put("bucket", "pre/large", theirs)
    assert (await place.run()).outcome(b"large") is Outcome.COMPLETE
    assert place.stored() == place.tree()


async def stop_after_a_part(place: Strict) -> None:
    """A file of three parts of which one is sent and journalled."""
    place.write("large", PARTS)
    place.fault("UploadPart", Kind.STATUS, first=2)
    ran = await place.run(tuning=replace(ONCE, concurrency=1))
    assert ran.outcome(b"large") is Outcome.FAILED
    assert len(receipts(place)) == 1
    place.inject()


@pytest.mark.hazard(7)
async def test_an_upload_that_is_gone_without_an_object_is_begun_anew(place: Strict) -> None:
    await stop_after_a_part(place)
    assert place.server.abort_uploads() == 1
    start = place.count
    assert (await place.run()).outcome(b"large") is Outcome.COMPLETE
    assert place.ops(start)["CreateMultipartUpload"] == 1
    assert place.ops(start)["UploadPart"] == 3
    assert place.stored() == place.tree()


@pytest.mark.hazard(9)
@pytest.mark.parametrize("kind", [Kind.TRUNCATED, Kind.GARBAGE_BODY, Kind.GARBAGE, Kind.STALL_IN_ANSWER])
@pytest.mark.parametrize("op", ["CreateMultipartUpload", "UploadPart", "CompleteMultipartUpload", "ListParts", "ListObjectsV2"])
async def test_an_answer_that_is_cut_or_garbled_is_asked_for_again(place: Strict, op: str, kind: Kind) -> None:
    await stop_after_a_part(place) if op == "ListParts" else place.write("large", PARTS)
    place.fault(op, kind, times=1)
    ran = await place.run(tuning=replace(TUNING, request_timeout=0.5))
    assert ran.outcome(b"large") is Outcome.COMPLETE
    assert place.stored() == place.tree()
    assert len(nonces(place)) == 1
    if op in ("ListParts", "UploadPart", "CompleteMultipartUpload"):
        assert sum(request.fault == kind.value for request in place.since()) == 1


@pytest.mark.hazard(10)
async def test_a_part_without_an_etag_gets_no_receipt(place: Strict) -> None:
    place.write("large", PARTS)
    place.fault("UploadPart", Kind.MISSING_ETAG, part=2)
    failed = await place.run(tuning=ONCE)
    assert failed.outcome(b"large") is Outcome.FAILED
    assert "no ETag" in failed.settled[b"large"].reason
    assert 2 not in receipts(place)
    known = len(receipts(place))
    place.inject()
    start = place.count
    assert (await place.run()).outcome(b"large") is Outcome.COMPLETE
    assert len(place.bodies(start)) == 3 - known
    assert place.stored() == place.tree()


@pytest.mark.hazard(11)
@pytest.mark.parametrize("profile", [STRICT, RGW], ids=lambda profile: profile.name)
@pytest.mark.parametrize("data", [SMALL, PARTS], ids=["small", "large"])
async def test_bytes_flipped_on_the_way_are_refused_and_sent_again(place: Strict, profile: Profile, data: bytes) -> None:
    place.server.reconfigure(profile=profile)
    place.write("file", data)
    place.inject(Fault("PutObject", Kind.FLIP_RECEIVED, times=1), Fault("UploadPart", Kind.FLIP_RECEIVED, times=1))
    assert (await place.run()).outcome(b"file") is Outcome.COMPLETE
    assert [request.status for request in place.since() if request.fault] == [400]
    assert place.stored() == place.tree()


@pytest.mark.hazard(11)
@pytest.mark.parametrize("algorithm", list(Algorithm))
async def test_bytes_flipped_at_rest_do_not_match_what_the_journal_keeps(place: Strict, algorithm: Algorithm) -> None:
    place.write("file", SMALL)
    place.fault("PutObject", Kind.FLIP_STORED)
    assert (await place.run(objects=ObjectOptions(algorithm=algorithm))).outcome(b"file") is Outcome.COMPLETE
    with closing(sqlite3.connect(place.journal)) as connection:
        ((name, digest),) = connection.execute("SELECT algorithm, digest FROM object")
    async with S3Store("bucket", Connection(endpoint_url=place.server.url), ObjectOptions(), 1) as store:
        read = b"".join([piece async for piece in store.get_object("pre/file")])
    assert (name, digest) == (algorithm.value, checksum.compute(algorithm, SMALL).digest)
    assert checksum.compute(algorithm, read).digest != digest


@pytest.mark.hazard(13)
@pytest.mark.parametrize("answers", [False, True])
async def test_a_server_that_ignores_expect_holds_nothing_up(place: Strict, answers: bool) -> None:  # noqa: FBT001  a parameter
    place.server.reconfigure(profile=replace(STRICT, answers_expect=answers), log_headers=True)
    place.write("small", SMALL)
    place.write("large", PARTS)
    async with asyncio.timeout(20):
        assert (await place.run()).summary.exit_code == 0
    assert place.stored() == place.tree()
    assert all("expect" not in request.headers for request in place.since() if request.headers)
    assert any(request.headers for request in place.since())


@pytest.mark.hazard(14)
@pytest.mark.parametrize("kind", [Kind.STALL, Kind.STALL_IN_BODY, Kind.STALL_IN_ANSWER])
@pytest.mark.parametrize("op", ["PutObject", "UploadPart", "CompleteMultipartUpload"])
async def test_an_answer_that_never_comes_ends_at_the_deadline_and_is_asked_for_again(
    place: Strict, op: str, kind: Kind
) -> None:
    place.write("file", SMALL if op == "PutObject" else PARTS)
    place.fault(op, kind, times=1)
    began = time.monotonic()
    ran = await place.run(tuning=replace(TUNING, request_timeout=0.4))
    assert ran.outcome(b"file") is Outcome.COMPLETE
    assert time.monotonic() - began > 0.4
    assert place.stored() == place.tree()


@pytest.mark.hazard(15)
@pytest.mark.parametrize("minutes", [-20, 20])
async def test_a_clock_that_is_twenty_minutes_off_is_corrected_or_told_before_anything_is_sent(
    place: Strict, minutes: int
) -> None:
    place.server.clock.shift(60 * minutes)
    for number in range(20):
        place.write(f"small-{number}", SMALL)
    told = ""
    try:
        code = (await place.run()).summary.exit_code
    except BucketError as error:
        code, told = error.exit_code, str(error)
    if code:
        assert "clock is off by more than 15 minutes: set it" in told
        assert not place.bodies()
    else:
        assert place.stored() == place.tree()
    assert sum(request.code == "RequestTimeTooSkewed" for request in place.since()) <= 10, "a storm"


@pytest.mark.hazard(15)
async def test_a_clock_that_is_set_back_during_the_run_is_corrected_once(place: Strict) -> None:
    for number in range(60):
        place.write(f"small-{number}", SMALL)

    def watch(_: Mirror, event: Event) -> None:
        if isinstance(event, Started):
            place.server.clock.shift(1200)

    ran = await place.run(watch=watch)
    assert (ran.count(Outcome.COMPLETE), ran.summary.exit_code) == (60, 0)
    assert place.stored() == place.tree()
    # Those in flight at once met the wrong clock, and no others.
    assert 1 <= sum(request.code == "RequestTimeTooSkewed" for request in place.since()) <= TUNING.concurrency


@pytest.mark.hazard(15)
async def test_a_clock_that_no_date_corrects_is_told_and_makes_no_storm(place: Strict) -> None:
    for number in range(20):
        place.write(f"small-{number}", SMALL)
    place.fault("PutObject", Kind.CLOCK_SKEW, seconds=1200)
    ran = await place.run()
    assert ran.summary.exit_code == 4
    assert "clock" in ran.summary.error
    assert len(place.bodies()) <= 2 * TUNING.concurrency
    assert not ran.settled


def hand_out(path: Path, token: str) -> None:
    """What `credential_process` is to tell."""
    # It expires so soon that the SDK asks anew each time that it is asked itself.
    until = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 60))
    found = {
        "Version": 1,
        "AccessKeyId": "testkey",
        "SecretAccessKey": "testsecret",
        "SessionToken": token,
        "Expiration": until,
    }
    path.write_text(json.dumps(found))


@pytest.mark.hazard(16)
async def test_a_token_that_expires_among_the_parts_is_renewed_and_no_part_sent_before_is_sent_again(
    place: Strict, chain: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    told = tmp_path / "told.json"
    (tmp_path / "config").write_text(f"[default]\ncredential_process = cat {told}\n")
    chain.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    chain.delenv("AWS_ACCESS_KEY_ID")
    chain.delenv("AWS_SECRET_ACCESS_KEY")
    hand_out(told, "first")
    place.server.renew(Credentials("testkey", "testsecret", "first"))
    place.write("large", PARTS * 3)

    async def expire() -> None:
        while sum(request.op == "UploadPart" for request in place.since()) < 2:
            await place.server.reached(place.count + 1)
        hand_out(told, "second")
        place.server.renew(Credentials("testkey", "testsecret", "second"))

    async with asyncio.TaskGroup() as group:
        group.create_task(expire())
        ran = await place.run(tuning=replace(TUNING, concurrency=1))
    assert ran.outcome(b"large") is Outcome.COMPLETE
    assert place.stored() == place.tree()
    assert Counter(request.part_number for request in place.bodies() if request.status == 200).total() == 7
    assert 1 <= sum(request.status in (400, 403) for request in place.bodies()) <= 8


@pytest.mark.hazard(16)
async def test_credentials_that_can_not_be_renewed_end_the_run_and_the_next_goes_on_with_the_parts(place: Strict) -> None:
    place.write("large", PARTS * 3)
    place.write("other", SMALL)
    place.fault("UploadPart", Kind.EXPIRED_TOKEN, first=3)
    ran = await place.run(tuning=replace(TUNING, concurrency=1))
    assert ran.summary.exit_code == 4
    assert "xpired" in ran.summary.error
    assert b"large" not in ran.settled  # it is charged nothing: it is pending
    known = len(receipts(place))
    assert known == 2
    place.inject()
    start = place.count
    assert (await place.run()).summary.exit_code == 0
    assert place.ops(start)["UploadPart"] == 7 - known
    assert place.stored() == place.tree()


@pytest.mark.hazard(17)
async def test_a_key_that_is_denied_is_that_files_failure_only(place: Strict) -> None:
    for name in ("a", "b", "denied", "z"):
        place.write(name, SMALL)
    place.write("denied-large", PARTS)
    denied = partial(Fault, kind=Kind.STATUS, key="*/denied*", status=403, code="AccessDenied")
    place.inject(denied("PutObject"), denied("UploadPart"))
    ran = await place.run()
    assert ran.summary.exit_code == 1
    assert {path for path, event in ran.settled.items() if event.outcome is Outcome.FAILED} == {b"denied", b"denied-large"}
    assert "AccessDenied" in ran.settled[b"denied"].reason
    assert set(place.stored()) == {"pre/a", "pre/b", "pre/z"}
    assert sum(request.key == "pre/denied" for request in place.since()) == 1


@pytest.mark.hazard(18)
async def test_an_upload_that_a_lifecycle_rule_aborts_is_begun_anew_once(place: Strict) -> None:
    place.write("large", PARTS * 3)

    async def rule() -> None:
        while not sum(request.op == "UploadPart" for request in place.since()):
            await place.server.reached(place.count + 1)
        assert place.server.abort_uploads() == 1

    async with asyncio.TaskGroup() as group:
        group.create_task(rule())
        ran = await place.run(tuning=replace(TUNING, concurrency=1))
    assert ran.outcome(b"large") is Outcome.COMPLETE
    assert place.ops()["CreateMultipartUpload"] == 2
    assert place.stored() == place.tree()


@pytest.mark.hazard(18)
async def test_uploads_that_are_aborted_again_and_again_are_given_up(place: Strict) -> None:
    place.write("large", PARTS)
    place.fault("UploadPart", Kind.NO_SUCH_UPLOAD)
    ran = await place.run()
    assert ran.outcome(b"large") is Outcome.FAILED
    assert place.ops()["CreateMultipartUpload"] == 2


@pytest.mark.hazard(19)
async def test_all_2500_parts_of_an_upload_are_listed(place: Strict) -> None:
    async with S3Store("bucket", Connection(endpoint_url=place.server.url), ObjectOptions(), 1) as store:
        upload_id = await store.create_multipart_upload("many", Algorithm.CRC64NVME, Properties("", {}))
        await store.upload_part("many", upload_id, 1, b"x", checksum.compute(Algorithm.CRC64NVME, b"x"))
        upload = place.server.uploads("bucket")[upload_id]
        upload.parts.update({number: replace(upload.parts[1], number=number) for number in range(2, 2501)})
        found = [part.number async for part in store.list_parts("many", upload_id)]
    assert found == list(range(1, 2501))
    assert place.ops()["ListParts"] == 3


@pytest.mark.hazard(19)
async def test_an_upload_goes_on_with_the_parts_of_all_pages(place: Strict) -> None:
    place.server.reconfigure(page_size=2)
    place.write("large", bytes(PART) * 8)
    place.fault("UploadPart", Kind.STATUS, first=6)
    await place.run(tuning=replace(ONCE, concurrency=1))
    known = len(receipts(place))
    assert known >= 3
    place.inject()
    start = place.count
    assert (await place.run()).outcome(b"large") is Outcome.COMPLETE
    assert place.ops(start)["UploadPart"] == 8 - known
    assert place.ops(start)["ListParts"] > 1


@pytest.mark.hazard(20)
async def test_a_late_duplicate_of_a_part_changes_nothing(place: Strict) -> None:
    place.write("large", PARTS)
    place.inject(
        Fault("UploadPart", Kind.DONE_LATE, part=1, times=1, seconds=0.2),
        Fault("CompleteMultipartUpload", Kind.STATUS, status=503, code="ServiceUnavailable", times=1),
    )
    ran = await place.run()
    assert ran.outcome(b"large") is Outcome.COMPLETE
    async with asyncio.timeout(10):
        while sum(request.part_number == 1 for request in place.since()) < 3:
            await place.server.reached(place.count + 1)
    assert place.stored() == place.tree()


@pytest.mark.hazard(20)
async def test_a_late_duplicate_of_a_part_of_another_version_reaches_another_upload(place: Strict) -> None:
    path = place.write("large", PARTS)
    place.fault("UploadPart", Kind.DONE_LATE, part=1, seconds=0.3)
    first = await place.run(tuning=ONCE)
    assert first.outcome(b"large") is Outcome.FAILED
    struck = sum(request.fault == Kind.DONE_LATE.value and not request.status for request in place.since())
    assert struck >= 1
    place.inject()
    path.write_bytes(PARTS[::-1])
    assert (await place.run()).outcome(b"large") is Outcome.COMPLETE
    async with asyncio.timeout(10):
        while sum(request.part_number == 1 for request in place.since()) < 2 * struck + 1:
            await place.server.reached(place.count + 1)
    assert place.stored() == {"pre/large": PARTS[::-1]}
