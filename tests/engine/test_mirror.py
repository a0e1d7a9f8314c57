import os
import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from asyncmirror.engine.crew import Alone
from asyncmirror.engine.mirror import Mirror
from asyncmirror.engine.status import read_status
from asyncmirror.errors import (
    AccessDeniedError,
    CorruptedError,
    CredentialsError,
    JournalError,
    RejectedError,
    ServerFaultError,
    UsageError,
)
from asyncmirror.events import Event, Notice, Settled, Started, Summary
from asyncmirror.model import Algorithm, Checksum, Outcome, Properties, Receipt, Stored
from asyncmirror.plan.properties import NONCE
from asyncmirror.settings import Rule, Symlinks
from asyncmirror.source.beneath import Beneath
from asyncmirror.source.walk import Listing, Walker
from asyncmirror.store import memory
from asyncmirror.timetable import Timetable
from tests.engine.house import PART, TUNING, House, Ran, Sent
from tests.soak import record

BIG = os.urandom(PART) * 3 + b"tail"


def rejects(key: str, error: Exception) -> Callable[[Sent], None]:
    def before(sent: Sent) -> None:
        if sent.key == key and sent.op in ("PutObject", "CreateMultipartUpload", "UploadPart"):
            raise error

    return before


async def stop_within_an_upload(house: House) -> Path:
    """A large file of which some parts are sent, and not all."""
    path = house.write("big", os.urandom(PART) * 12)
    mirrors: list[Mirror] = []
    house.store.after = lambda sent: mirrors[0].drain() if sent.op == "UploadPart" else None
    ran = await house.run(watch=lambda mirror, _: mirrors.append(mirror))
    assert ran.outcome(b"big") is Outcome.PENDING
    assert house.store.uploads == 1
    house.store.after = lambda _: None
    return path


def notices(ran: Ran) -> list[str]:
    return [event.text for event in ran.events if isinstance(event, Notice)]


def touch(path: Path) -> None:
    status = path.stat()
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns + 1_000_000_000))


async def test_a_tree_is_mirrored_and_a_second_run_sends_nothing(house: House) -> None:
    house.write("top", b"x")
    house.write("empty", b"")
    house.write("a/b/c.fits", b"y" * 1000)
    house.write("big", BIG)
    first = await house.run()
    assert house.bucket() == house.tree()
    assert isinstance(first.events[0], Started)
    assert not first.events[0].resumed
    assert first.summary.exit_code == 0
    assert first.count(Outcome.COMPLETE) == 4
    assert first.summary.bytes_total == first.summary.bytes_sent == len(BIG) + 1001
    second = await house.run()
    assert not house.store.sent
    assert second.count(Outcome.UNCHANGED) == 4
    assert second.unchanged == {b"top", b"empty", b"a/b/c.fits", b"big"}
    assert second.summary.bytes_sent == 0
    assert second.summary.exit_code == 0


async def test_an_object_carries_its_files_time_a_nonce_and_a_type(house: House) -> None:
    path = house.write("a.fits", b"x")
    os.utime(path, ns=(0, 1_234_567_890_123_456_789))
    house.write("big.fits", BIG)
    await house.run(house.options(objects=house.settings.objects))
    stored = {key: value.properties for key, value in house.store.objects.items()}
    assert stored["pre/a.fits"].content_type == "application/fits"
    assert stored["pre/a.fits"].metadata["mtime"] == "1234567890.123456789"
    nonces = {properties.metadata[NONCE] for properties in stored.values()}
    assert len(nonces) == 2


async def test_only_what_is_new_is_sent(house: House) -> None:
    house.write("old", b"1")
    await house.run()
    house.write("new", b"2")
    ran = await house.run()
    assert [sent.key for sent in house.store.sent] == ["pre/new"]
    assert ran.outcome(b"old") is Outcome.UNCHANGED


async def test_a_touched_file_is_read_but_not_sent(house: House) -> None:
    small, big = house.write("small", b"same"), house.write("big", BIG)
    await house.run()
    touch(small)
    touch(big)
    ran = await house.run()
    assert not house.store.sent
    assert ran.settled[b"big"].outcome is Outcome.UNCHANGED
    assert ran.settled[b"big"].reason == "its times changed, its bytes did not"
    again = await house.run()
    assert again.unchanged == {b"small", b"big"}  # the new identity was journalled


async def test_a_rewritten_file_of_equal_size_is_sent(house: House) -> None:
    small, big = house.write("small", b"one"), house.write("big", BIG)
    await house.run()
    for path, data in ((small, b"two"), (big, BIG[::-1])):
        path.write_bytes(data)
        touch(path)
    ran = await house.run()
    assert house.bucket() == house.tree()
    assert ran.count(Outcome.COMPLETE) == 2


@pytest.mark.parametrize("body", [b"small", BIG], ids=["small", "in parts"])
async def test_what_is_known_of_an_object_is_forgotten_before_it_is_overwritten(house: House, body: bytes) -> None:
    path = house.write("file", body)
    await house.run()
    path.write_bytes(body[::-1])
    assert house.settings.journal is not None
    journal = house.settings.journal
    known: list[bool] = []

    def stored(sent: Sent) -> None:
        if sent.op in ("PutObject", "CompleteMultipartUpload"):
            known.append("file" in record.read(journal).objects)

    house.store.before = stored
    await house.run()
    assert known == [False]
    assert "file" in record.read(journal).objects


async def test_an_object_that_may_have_been_overwritten_is_not_taken_for_the_one_before(house: House) -> None:
    path = house.write("file", b"first")
    await house.run()
    path.write_bytes(b"other")

    def stored_and_not_said(sent: Sent) -> None:
        if sent.op == "PutObject":
            raise RejectedError("an answer that is none", op=sent.op, path=sent.key)

    house.store.after = stored_and_not_said
    await house.run()
    assert house.bucket() == {"pre/file": b"other"}
    house.store.after = lambda _: None
    path.write_bytes(b"first")  # back to what the journal once called complete
    assert (await house.run()).outcome(b"file") is Outcome.COMPLETE
    assert house.bucket() == house.tree()


async def test_trust_mtime_renews_without_reading(house: House) -> None:
    path = house.write("a", b"one")
    await house.run()
    path.rename(house.root / "b")
    (house.root / "b").rename(path)  # ctime differs, mtime does not
    path.chmod(0o600)
    ran = await house.run(house.options(trust_mtime=True))
    assert ran.outcome(b"a") is Outcome.UNCHANGED
    assert "trust-mtime" in ran.settled[b"a"].reason
    assert (await house.run()).unchanged == {b"a"}


async def test_the_events_of_a_run_are_committed_before_they_are_told(house: House) -> None:
    for n in range(50):
        house.write(f"f{n}", b"x")
    told = 0

    def watch(mirror: Mirror, event: Event) -> None:
        nonlocal told
        if isinstance(event, Settled):
            name = event.path
            known = mirror._journal.ask(
                lambda c: c.execute("SELECT count(*) FROM object WHERE name = ?", (name,)).fetchone()[0]
            ).result(10)
            told += known

    await house.run(watch=watch)
    assert told == 50


@pytest.mark.hazard(17)
async def test_a_permanent_refusal_of_one_file_does_not_stop_the_others(house: House) -> None:
    for name in ("a", "bad", "c"):
        house.write(name, b"x")
    house.store.before = rejects("pre/bad", RejectedError("no", op="PutObject", status=400))
    ran = await house.run()
    assert ran.outcome(b"bad") is Outcome.FAILED
    assert ran.count(Outcome.COMPLETE) == 2
    assert ran.summary.exit_code == 1
    kept = await house.run()
    assert not house.store.sent
    assert kept.outcome(b"bad") is Outcome.FAILED
    assert "--retry-failed" in kept.settled[b"bad"].reason
    assert kept.summary.exit_code == 1
    house.store.before = lambda _: None
    retried = await house.run(house.options(retry_failed=True))
    assert retried.outcome(b"bad") is Outcome.COMPLETE
    assert (await house.run()).summary.exit_code == 0


@pytest.mark.parametrize("error", [ServerFaultError("oops", status=500), AccessDeniedError("no", status=403)])
async def test_what_may_be_over_by_then_is_tried_again_in_the_next_run(house: House, error: Exception) -> None:
    house.write("a", b"x")
    house.write("b", b"x")
    house.store.before = rejects("pre/a", error)
    assert (await house.run()).outcome(b"a") is Outcome.FAILED
    house.store.before = lambda _: None
    assert (await house.run()).outcome(b"a") is Outcome.COMPLETE


async def test_a_transient_fault_is_retried_within_the_run(house: House) -> None:
    house.write("a", b"x")
    faults = iter([True])

    def before(_: Sent) -> None:
        if next(faults, False):
            raise ServerFaultError("oops", status=500)

    house.store.before = before
    assert (await house.run()).outcome(b"a") is Outcome.COMPLETE
    assert house.store.ops() == {"PutObject": 2}


@pytest.mark.hazard(16)
async def test_wrong_credentials_end_the_run_and_charge_no_file(house: House) -> None:
    for n in range(30):
        house.write(f"f{n}", b"x")

    def before(_: Sent) -> None:
        raise CredentialsError("the token expired", status=400, code="ExpiredToken")

    house.store.before = before
    ran = await house.run()
    assert ran.summary.exit_code == 4
    assert "expired" in ran.summary.error
    assert ran.count(Outcome.PENDING) == 30
    assert not ran.settled
    house.store.before = lambda _: None
    again = await house.run()
    assert again.count(Outcome.COMPLETE) == 30
    assert again.summary.exit_code == 0


async def test_a_bucket_that_denies_every_upload_ends_the_run(house: House) -> None:
    for n in range(100):
        house.write(f"f{n}", b"x")

    def before(_: Sent) -> None:
        raise AccessDeniedError("no", status=403)

    house.store.before = before
    ran = await house.run()
    assert ran.summary.exit_code == 4
    assert "denied the first 20 uploads" in ran.summary.error


@pytest.mark.parametrize("how", ["drain", "stop"])
async def test_a_stopped_upload_goes_on_with_the_parts_that_are_missing(house: House, how: str) -> None:
    house.write("big", os.urandom(PART) * 9)
    mirrors: list[Mirror] = []

    def after(sent: Sent) -> None:
        if sent.op == "UploadPart" and len(house.store.parts_sent("pre/big")) == 3:
            getattr(mirrors[0], how)()

    def watch(mirror: Mirror, _: Event) -> None:
        mirrors.append(mirror)

    house.store.after = after
    stopped = await house.run(house.options(tuning=TUNING), watch=watch)
    assert stopped.summary.stopped
    assert stopped.count(Outcome.PENDING) == 1
    first = set(house.store.parts_sent("pre/big"))
    status = read_status(house.settings.journal or Path())
    assert len(status.uploads) == 1
    confirmed = status.uploads[0].confirmed // PART
    house.store.after = lambda _: None
    resumed = await house.run()
    assert resumed.outcome(b"big") is Outcome.COMPLETE
    assert house.bucket() == house.tree()
    assert house.store.ops()["CreateMultipartUpload"] == 0
    assert len(house.store.parts_sent("pre/big")) == 9 - confirmed
    if how == "drain":
        assert not first & set(house.store.parts_sent("pre/big"))


@pytest.mark.hazard(7)
async def test_an_upload_that_the_store_lost_is_begun_anew(house: House) -> None:
    await stop_within_an_upload(house)
    house.store._uploads.clear()  # a lifecycle rule
    ran = await house.run()
    assert ran.outcome(b"big") is Outcome.COMPLETE
    assert house.store.ops()["CreateMultipartUpload"] == 1
    assert house.bucket() == house.tree()


@pytest.mark.hazard(18)
async def test_an_upload_that_is_aborted_while_it_runs_is_begun_anew_once(house: House) -> None:
    house.write("big", BIG)
    aborted = iter([True])

    def before(sent: Sent) -> None:
        if sent.op == "UploadPart" and sent.part == 2 and next(aborted, False):
            house.store._uploads.clear()

    house.store.before = before
    ran = await house.run()
    assert ran.outcome(b"big") is Outcome.COMPLETE
    assert house.store.ops()["CreateMultipartUpload"] == 2
    assert house.store.uploads == 0


@pytest.mark.hazard(5)
async def test_a_complete_whose_answer_was_lost_is_confirmed_by_its_nonce(house: House) -> None:
    house.write("big", BIG)

    def after(sent: Sent) -> None:
        if sent.op == "CompleteMultipartUpload":
            raise ServerFaultError("the answer was lost", status=500)

    house.store.after = after
    ran = await house.run()
    assert ran.outcome(b"big") is Outcome.COMPLETE
    assert house.store.ops()["CompleteMultipartUpload"] == 2
    assert house.store.ops()["UploadPart"] == 4
    assert (await house.run()).unchanged == {b"big"}


@pytest.mark.hazard(8)
async def test_a_complete_that_is_already_in_progress_for_ever_is_confirmed_by_its_nonce(house: House) -> None:
    house.write("big", BIG)

    def after(sent: Sent) -> None:
        if sent.op == "CompleteMultipartUpload":
            house.store.before = in_progress
            raise ServerFaultError("the answer was lost", status=500)

    def in_progress(sent: Sent) -> None:
        if sent.op == "CompleteMultipartUpload":
            raise ServerFaultError("This multipart completion is already in progress", status=500, code="InternalError")

    house.store.after = after
    ran = await house.run()
    assert ran.outcome(b"big") is Outcome.COMPLETE
    assert house.store.ops()["UploadPart"] == 4
    assert house.store.uploads == 0


@pytest.mark.hazard(5, 6)
async def test_a_run_stopped_after_complete_confirms_it_in_the_next(house: House) -> None:
    house.write("big", BIG)
    mirrors: list[Mirror] = []
    house.store.after = lambda sent: mirrors[0].stop() if sent.op == "CompleteMultipartUpload" else None

    def after(sent: Sent) -> None:
        if sent.op == "CompleteMultipartUpload":
            mirrors[0].stop()
            raise ServerFaultError("killed before the answer came", status=500)

    house.store.after = after
    stopped = await house.run(watch=lambda mirror, _: mirrors.append(mirror))
    assert stopped.count(Outcome.PENDING) == 1
    house.store.after = lambda _: None
    ran = await house.run()
    assert ran.outcome(b"big") is Outcome.COMPLETE
    assert set(house.store.ops()) == {"HeadObject"}


@pytest.mark.hazard(5, 6)
async def test_somebody_elses_object_is_no_confirmation(house: House) -> None:
    path = await stop_within_an_upload(house)
    house.store._uploads.clear()
    other = Checksum(Algorithm.CRC64NVME, b"\0" * 8)
    house.store.objects["pre/big"] = memory._Object(path.stat().st_size, "e", other, Properties("x/y", {NONCE: "another"}), b"")
    ran = await house.run()
    assert ran.outcome(b"big") is Outcome.COMPLETE
    assert house.bucket() == house.tree()


async def test_a_changed_file_gives_its_old_upload_up(house: House) -> None:
    path = await stop_within_an_upload(house)
    path.write_bytes(BIG[::-1])
    ran = await house.run()
    assert ran.outcome(b"big") is Outcome.COMPLETE
    assert house.store.ops()["AbortMultipartUpload"] == 1
    assert house.store.uploads == 0
    assert house.bucket() == house.tree()


async def stop_at_create(house: House) -> None:
    """An upload is created, and the run ends before it learns the id."""
    mirrors: list[Mirror] = []

    def after(sent: Sent) -> None:
        if sent.op == "CreateMultipartUpload":
            mirrors[0].stop()
            raise ServerFaultError("killed before the answer came", status=500)

    house.store.after = after
    await house.run(watch=lambda mirror, _: mirrors.append(mirror))
    assert house.store.uploads == 1
    house.store.after = lambda _: None


@pytest.mark.hazard(24)
@pytest.mark.parametrize("then", ["it stays", "it changes", "it shrinks", "it goes"])
async def test_an_upload_without_an_id_is_told_of_in_every_run_until_it_is_gone(house: House, then: str) -> None:
    path = house.write("big", BIG)
    await stop_at_create(house)
    if then == "it changes":
        path.write_bytes(BIG[::-1])
    elif then == "it shrinks":
        path.write_bytes(b"small")
    elif then == "it goes":
        path.unlink()
    told = (
        "an unfinished upload of 'pre/big' may be left over from a stopped run: id upload-1"
        " (abort it if nobody else is uploading that key)"
    )
    for _ in range(2):
        assert notices(await house.run()) == [told]
    await house.store.abort_multipart_upload("pre/big", "upload-1")
    assert notices(await house.run()) == []
    assert house.store.ops()["ListMultipartUploads"] == 1
    assert notices(await house.run()) == []
    assert not house.store.ops()["ListMultipartUploads"]


async def test_an_upload_whose_creation_was_not_told_is_told_of_though_the_next_attempt_succeeds(house: House) -> None:
    house.write("big", BIG)
    left = [True]

    def after(sent: Sent) -> None:
        if sent.op == "CreateMultipartUpload" and left.pop():
            left.append(False)
            raise ServerFaultError("the answer was lost", status=500)

    house.store.after = after
    ran = await house.run()
    assert ran.outcome(b"big") is Outcome.COMPLETE
    (told,) = notices(ran)
    assert "id upload-1" in told


async def test_who_may_not_look_for_uploads_is_told_so(house: House) -> None:
    house.write("big", BIG)
    await stop_at_create(house)

    def before(sent: Sent) -> None:
        if sent.op == "ListMultipartUploads":
            raise AccessDeniedError("no", status=403)

    house.store.before = before
    for _ in range(2):
        ran = await house.run()
        assert ran.summary.exit_code == 0
        assert notices(ran) == ["uploads of 'pre/big' left over from a stopped run can't be looked for: no"]


@pytest.mark.hazard(32)
async def test_a_file_that_changes_once_is_sent_as_it_is_then(house: House) -> None:
    path = house.write("big", BIG)
    changes = iter([b"later" + BIG])

    def before(sent: Sent) -> None:
        if sent.op == "UploadPart" and (data := next(changes, None)):
            path.write_bytes(data)

    house.store.before = before
    ran = await house.run()
    assert ran.outcome(b"big") is Outcome.COMPLETE
    assert house.bucket() == house.tree()
    assert house.store.uploads == 0


@pytest.mark.hazard(32)
async def test_a_file_that_keeps_changing_is_reported_and_not_complete(house: House) -> None:
    path = house.write("big", BIG)
    house.store.before = lambda sent: touch(path) if sent.op == "UploadPart" else None
    ran = await house.run()
    assert ran.outcome(b"big") is Outcome.CHANGED
    assert ran.summary.exit_code == 3
    assert house.store.ops()["CreateMultipartUpload"] == 3
    assert house.store.uploads == 0
    assert house.bucket() == {}


@pytest.mark.hazard(32)
async def test_a_small_file_that_changed_after_the_scan_is_looked_at_anew(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = house.write("a", b"before")
    open_file = Beneath.open_file
    changes = iter([b"after, and longer"])

    def late(self: Beneath, directory: bytes, name: bytes) -> tuple[int, os.stat_result]:
        if data := next(changes, None):
            path.write_bytes(data)
        return open_file(self, directory, name)

    monkeypatch.setattr(Beneath, "open_file", late)
    ran = await house.run()
    assert ran.outcome(b"a") is Outcome.COMPLETE
    assert house.bucket() == {"pre/a": b"after, and longer"}


@pytest.mark.hazard(33)
async def test_a_file_that_vanished_is_unreadable_and_the_run_goes_on(house: House) -> None:
    path = house.write("big", BIG)
    house.write("other", b"x")
    house.store.before = lambda sent: path.unlink(missing_ok=True) if sent.op == "UploadPart" else None
    ran = await house.run()
    assert ran.outcome(b"big") is Outcome.UNREADABLE
    assert ran.outcome(b"other") is Outcome.COMPLETE
    assert ran.summary.exit_code == 3


async def test_a_problem_that_is_over_is_forgotten(house: House) -> None:
    (house.root / "link").symlink_to("nowhere")
    house.write("d/a", b"x")
    (house.root / "d" / "fifo").mkdir()
    ran = await house.run()
    assert ran.summary.exit_code == 3
    assert [trouble.path for trouble in read_status(house.settings.journal or Path()).troubles] == [b"link"]
    (house.root / "link").unlink()
    assert (await house.run()).summary.exit_code == 0
    assert read_status(house.settings.journal or Path()).troubles == ()


@pytest.mark.hazard(36)
async def test_a_key_that_is_too_long_is_refused_by_name(house: House) -> None:
    deep = "/".join(["d" * 200] * 6)
    house.write(deep + "/f", b"x")
    house.write("short", b"x")
    ran = await house.run()
    path = os.fsencode(deep + "/f")
    assert ran.outcome(path) is Outcome.REFUSED
    assert "1,024" in ran.settled[path].reason
    assert ran.summary.exit_code == 3


async def test_filters_leave_out_what_is_no_file_too(house: House) -> None:
    house.write("a.fits", b"x")
    os.mkfifo(house.root / "fifo")
    (house.root / "link").symlink_to("nowhere")
    out = await house.run(house.options(rules=(Rule(include=False, pattern="fifo"), Rule(include=False, pattern="link"))))
    assert out.settled[b"fifo"].reason == "--exclude fifo"
    assert out.settled[b"link"].outcome is Outcome.EXCLUDED
    assert out.summary.exit_code == 0
    only = await house.run(house.options(rules=(Rule(include=True, pattern="*.fits"),)))
    assert only.count(Outcome.EXCLUDED) == 2
    assert only.summary.exit_code == 0
    assert (await house.run()).summary.exit_code == 3


async def test_filters_leave_out_and_say_so(house: House) -> None:
    house.write("a.fits", b"x")
    house.write("b.log", b"x")
    house.write("tmp/c.fits", b"x")
    rules = (Rule(include=False, pattern="tmp/"), Rule(include=False, pattern="*.log"))
    ran = await house.run(house.options(rules=rules))
    assert set(house.bucket()) == {"pre/a.fits"}
    assert ran.settled[b"b.log"].outcome is Outcome.EXCLUDED
    assert ran.settled[b"tmp"].reason == "--exclude tmp/"
    assert ran.summary.exit_code == 0


@pytest.mark.parametrize("where", ["", "state/deep", ".state"])
async def test_a_journal_within_the_source_is_left_out(house: House, where: str) -> None:
    house.write("a", b"x")
    house.write("state/deep/b", b"x")
    inside = house.options(journal=house.root / where / "j.sqlite")
    assert (await house.run(inside)).summary.exit_code == 0
    assert set(house.bucket()) == {"pre/a", "pre/state/deep/b"}
    ran = await house.run(inside)
    assert ran.summary.exit_code == 0
    assert ran.outcome(os.fsencode(os.path.join(where, "j.sqlite"))) is Outcome.EXCLUDED


async def test_links_are_recorded_as_empty_objects(house: House) -> None:
    house.write("a", b"x")
    link = house.root / "link"
    link.symlink_to("a")
    record = house.options(symlinks=Symlinks.RECORD)
    assert (await house.run(record)).summary.exit_code == 0
    assert house.bucket()["pre/link"] == b""
    assert house.store.objects["pre/link"].properties.metadata["symlink-target"] == "a"
    assert (await house.run(record)).unchanged == {b"a", b"link"}
    link.unlink()
    link.symlink_to("b")  # of equal length: its bytes can't tell
    assert (await house.run(record)).outcome(b"link") is Outcome.COMPLETE
    assert house.store.objects["pre/link"].properties.metadata["symlink-target"] == "b"


async def test_what_a_dry_run_tells_is_what_a_run_does_and_it_does_nothing(house: House) -> None:
    house.write("a", b"x")
    ran = await house.run(house.options(dry_run=True))
    assert not house.store.sent
    assert ran.settled[b"a"] == Settled(b"a", "pre/a", Outcome.PENDING, 1, "dry run: upload")
    assert ran.summary.exit_code == 0
    assert not (house.settings.journal or Path()).exists()
    await house.run()
    house.write("b", b"x")
    ran = await house.run(house.options(dry_run=True))
    assert ran.unchanged == {b"a"}
    assert set(ran.settled) == {b"b"}


async def test_what_is_in_the_bucket_already_is_adopted_when_proven_equal(house: House, tmp_path: Path) -> None:
    house.write("same", b"same")
    house.write("other", b"mine")
    house.write("big", BIG)
    await house.run()
    assert house.settings.journal is not None
    other = house.options(journal=tmp_path / "new.sqlite", adopt=True)
    house.write("other", b"your")
    touch(house.root / "other")
    ran = await house.run(other)
    assert ran.outcome(b"same") is Outcome.ADOPTED
    assert ran.outcome(b"big") is Outcome.ADOPTED
    assert ran.outcome(b"other") is Outcome.COMPLETE
    assert ran.summary.exit_code == 0
    assert house.store.ops()["PutObject"] == 1
    assert house.bucket() == house.tree()
    assert (await house.run(other)).unchanged == {b"same", b"big", b"other"}


@pytest.mark.parametrize("algorithm", list(Algorithm))
async def test_every_algorithm_uploads_rechecks_and_resumes(house: House, algorithm: Algorithm) -> None:
    house.write("small", b"x")
    path = house.write("big", BIG)
    objects = house.settings.objects.__class__(algorithm=algorithm)
    await house.run(house.options(objects=objects))
    assert house.bucket() == house.tree()
    touch(path)
    ran = await house.run()  # with the default algorithm: what is compared is the journalled one's
    assert not house.store.sent
    assert ran.outcome(b"big") is Outcome.UNCHANGED


@pytest.mark.hazard(29)
async def test_a_second_run_on_the_same_journal_is_refused(house: House) -> None:
    house.write("a", b"x")
    async with Mirror(house.settings, house.store):
        with pytest.raises(JournalError, match="in use by process"):
            async with Mirror(house.settings, house.store):
                pass
    assert (await house.run()).summary.exit_code == 0


async def test_a_missing_source_is_a_usage_error_and_makes_no_journal(house: House) -> None:
    house.root.rmdir()
    with pytest.raises(UsageError, match="does not exist"):
        await house.run()
    assert not (house.settings.journal or Path()).exists()


@pytest.mark.hazard(26)
async def test_a_journal_that_fails_ends_the_run_resumable(house: House) -> None:
    for n in range(300):
        house.write(f"f{n:0150d}", b"x")

    def watch(mirror: Mirror, event: Event) -> None:
        if isinstance(event, Started):
            pages = mirror._journal.ask(lambda c: c.execute("PRAGMA page_count").fetchone()[0]).result(10)
            mirror._journal.ask(lambda c: c.execute(f"PRAGMA max_page_count = {pages + 2}").fetchone()).result(10)

    ran = await house.run(watch=watch)
    assert ran.summary.exit_code == 4
    assert "no space left" in ran.summary.error
    assert ran.count(Outcome.PENDING) == 300 - ran.count(Outcome.COMPLETE)
    again = await house.run()
    assert again.summary.exit_code == 0
    assert house.bucket() == house.tree()


async def test_a_drain_finishes_what_is_in_flight_and_counts_the_rest(house: House) -> None:
    for n in range(3000):
        house.write(f"d{n % 7}/f{n}", b"x")
    mirrors: list[Mirror] = []
    house.store.after = lambda _: mirrors[0].drain()
    ran = await house.run(watch=lambda mirror, _: mirrors.append(mirror))
    done = ran.count(Outcome.COMPLETE)
    assert 0 < done < 3000
    assert len(house.bucket()) == done
    assert ran.summary.stopped
    assert ran.count(Outcome.PENDING) > 0
    resumed = await house.run()
    assert resumed.count(Outcome.UNCHANGED) == done
    assert resumed.count(Outcome.COMPLETE) == 3000 - done


async def test_a_drain_under_a_low_limit_finishes_the_parts_in_flight_and_begins_none_of_those_that_wait(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("asyncmirror.plan.admission.AHEAD", 0.06)
    house.write("large", os.urandom(8 * PART))
    mirrors: list[Mirror] = []
    house.store.after = lambda sent: mirrors[0].drain() if sent.op == "UploadPart" else None
    tuning = replace(TUNING, bwlimit=Timetable.parse("100MiB"))
    ran = await house.run(house.options(tuning=tuning), watch=lambda mirror, _: mirrors.append(mirror))
    assert ran.outcome(b"large") is Outcome.PENDING
    sent = house.store.parts_sent("pre/large")
    assert 2 <= len(sent) < 8
    house.store.after = lambda _: None
    resumed = await house.run()
    assert resumed.summary.exit_code == 0
    assert sorted(sent + house.store.parts_sent("pre/large")) == list(range(1, 9))


async def test_a_drain_before_the_run_begins_lets_nothing_begin(house: House) -> None:
    house.write("a", b"x")
    async with Mirror(house.settings, house.store) as mirror:
        mirror.drain()
        events = [event async for event in mirror.run()]
    assert not house.store.sent
    assert isinstance(events[-1], Summary)
    assert events[-1].stopped


async def test_the_gauges_add_up(house: House) -> None:
    for n in range(20):
        house.write(f"f{n}", b"xy")
    seen = []

    def watch(mirror: Mirror, event: Event) -> None:
        seen.append(mirror.progress())
        if isinstance(event, Summary):
            progress = mirror.progress()
            assert not progress.scanning
            assert progress.scanned == 20
            assert progress.scanned_bytes == 40
            assert progress.settled[Outcome.COMPLETE] == 20
            assert progress.bytes_sent == 40
            assert (progress.queued, progress.queued_bytes) == (0, 0)
            assert progress.slowest == ()

    await house.run(watch=watch)
    assert seen[0].scanning


def taken(mirror: Mirror) -> int:
    assert mirror._run is not None
    crew = mirror._run._stages._crew
    assert isinstance(crew, Alone)
    return crew._uploader._budget.taken


@pytest.mark.hazard(39)
async def test_bodies_in_flight_stay_within_the_memory_allowed(house: House) -> None:
    for n in range(6):
        house.write(f"big{n}", os.urandom(1000) * (PART // 1000 * 4))
    allowed = TUNING.__class__(concurrency=32, part_size=PART, multipart_threshold=PART, max_memory=2 * PART, max_attempts=1)
    most = 0

    def watch(mirror: Mirror, _: Event) -> None:
        def before(__: Sent) -> None:
            nonlocal most
            most = max(most, taken(mirror))

        house.store.before = before

    ran = await house.run(house.options(tuning=allowed), watch=watch)
    assert ran.summary.exit_code == 0
    assert PART <= most <= 2 * PART


async def test_uploads_begin_before_the_scan_ends(house: House) -> None:
    for n in range(60):
        for m in range(100):
            house.write(f"d{n}/f{m}", b"x")
    scanning: list[bool] = []

    def watch(mirror: Mirror, event: Event) -> None:
        if isinstance(event, Settled):
            progress = mirror.progress()
            assert progress.queued == progress.queued_bytes  # of one byte each
            scanning.append(progress.scanning)

    await house.run(house.options(tuning=TUNING.__class__(concurrency=2, scanners=1)), watch=watch)
    assert scanning[0]


async def test_numbers_that_do_not_fit_the_journal_are_wrapped_and_still_tell_a_change(house: House) -> None:
    path = house.write("a", b"x")
    late = 10_413_792_000_000_000_000  # in 2300
    os.utime(path, ns=(late, late))
    assert (await house.run()).outcome(b"a") is Outcome.COMPLETE
    assert (await house.run()).unchanged == {b"a"}
    os.utime(path, ns=(late, late + 1))
    assert (await house.run()).settled[b"a"].reason == "its times changed, its bytes did not"


@pytest.mark.hazard(11)
async def test_a_complete_that_answers_another_checksum_is_never_taken_for_ours(house: House) -> None:
    house.write("big", BIG)
    complete = house.store.complete_multipart_upload
    wrong = Checksum(Algorithm.CRC64NVME, b"\0" * 8)

    async def corrupted(key: str, upload_id: str, receipts: Sequence[Receipt], size: int, checksum: Checksum) -> Stored:
        stored = await complete(key, upload_id, receipts, size, checksum)
        house.store.objects[key] = house.store.objects[key]._replace(checksum=wrong, data=b"\0" * size)
        return stored._replace(checksum=wrong)

    house.store.complete_multipart_upload = corrupted  # type: ignore[method-assign]  # a store that corrupts
    first = await house.run()
    assert first.outcome(b"big") is Outcome.FAILED
    house.store.complete_multipart_upload = complete  # type: ignore[method-assign]
    second = await house.run()
    assert second.outcome(b"big") is Outcome.COMPLETE
    assert house.bucket() == house.tree()


async def test_a_confirmation_needs_the_checksum_too_where_the_store_tells_it(house: House) -> None:
    house.write("big", BIG)

    def after(sent: Sent) -> None:
        if sent.op == "CompleteMultipartUpload":
            stored = house.store.objects[sent.key]
            house.store.objects[sent.key] = stored._replace(checksum=Checksum(Algorithm.CRC64NVME, b"\0" * 8))
            house.store.after = lambda _: None
            raise ServerFaultError("the answer was lost", status=500)

    house.store.after = after
    ran = await house.run()
    assert ran.outcome(b"big") is Outcome.COMPLETE
    assert house.store.ops()["CreateMultipartUpload"] == 2


async def test_parts_that_are_refused_at_the_end_are_sent_anew_in_the_next_run(house: House) -> None:
    house.write("big", BIG)

    def before(sent: Sent) -> None:
        if sent.op == "CompleteMultipartUpload":
            raise CorruptedError("BadDigest", status=400, code="BadDigest")

    house.store.before = before
    assert (await house.run()).outcome(b"big") is Outcome.FAILED
    assert house.store.uploads == 0
    house.store.before = lambda _: None
    assert (await house.run()).outcome(b"big") is Outcome.COMPLETE


async def test_less_memory_than_the_parts_of_an_upload_need_is_refused_by_name(house: House) -> None:
    await stop_within_an_upload(house)
    house.write("other", b"x")
    less = replace(TUNING, max_memory=PART, part_size=PART)
    known = house.settings.journal
    assert known is not None
    with sqlite3.connect(known) as connection:
        connection.execute("UPDATE upload SET part_size = ?", (2 * PART,))
    connection.close()
    ran = await house.run(house.options(tuning=less))
    assert ran.outcome(b"big") is Outcome.REFUSED
    assert "--max-memory 10MiB" in ran.settled[b"big"].reason
    assert ran.outcome(b"other") is Outcome.COMPLETE
    assert ran.summary.exit_code == 3


async def test_who_may_only_write_gets_on_all_the_same(house: House) -> None:
    await stop_within_an_upload(house)
    house.store._uploads.clear()

    def before(sent: Sent) -> None:
        if sent.op == "HeadObject":
            raise AccessDeniedError("no", status=403)

    house.store.before = before
    assert (await house.run()).outcome(b"big") is Outcome.COMPLETE
    assert house.bucket() == house.tree()


async def test_an_unfinished_upload_of_a_file_that_is_gone_is_told_of(house: House) -> None:
    path = await stop_within_an_upload(house)
    path.unlink()
    house.write("a", b"x")
    for _ in range(2):
        (told,) = notices(await house.run())
        assert "'pre/big'" in told
        assert "id upload-1" in told
    assert read_status(house.settings.journal or Path()).uploads == ()


async def test_a_name_that_a_directory_tells_twice_is_sent_once(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    house.write("a", b"x")
    house.write("b", b"x")
    told = Walker._tell

    def twice(self: Walker, listing: Listing) -> None:
        told(self, listing._replace(files=listing.files * 2))

    monkeypatch.setattr(Walker, "_tell", twice)
    ran = await house.run()
    assert house.store.ops() == {"PutObject": 2}
    assert ran.count(Outcome.COMPLETE) == 2
    assert ran.count(Outcome.PENDING) == 0
