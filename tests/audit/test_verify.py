"""A whole pass over a journal that a mirror wrote and a bucket that something has happened to since."""

import asyncio
import os
import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, closing
from dataclasses import replace
from pathlib import Path

import pytest

from asyncmirror.audit import listing
from asyncmirror.audit.merge import Finding, Verdict
from asyncmirror.audit.verify import Report, Verifier
from asyncmirror.checksum import compute
from asyncmirror.errors import BucketError, ConnectionFaultError, JournalError, UsageError
from asyncmirror.journal import queries
from asyncmirror.journal.belongs import Belongs
from asyncmirror.journal.schema import connect
from asyncmirror.journal.writer import Journal
from asyncmirror.model import Algorithm, Outcome, Properties, RemoteObject
from asyncmirror.settings import Symlinks, Verification
from asyncmirror.store.memory import MemoryStore
from tests.engine.house import PART, TUNING, House

PLAIN = Properties("text/plain", {})
OF = Belongs("", "s3://bucket/pre", "")
NAMES = ["a-b", "a/c", "a/d/e", "a0", "b", "x\x01y", "é"]


@pytest.fixture
def house(tmp_path: Path) -> House:
    house = House(tmp_path)
    for name in NAMES:
        house.write(name, name.encode() * 100)
    return house


class Pass:
    """What a pass told."""

    def __init__(self, findings: list[Finding], report: Report) -> None:
        self.report = report
        self.findings = {finding.key: finding for finding in findings}
        assert len(self.findings) == len(findings)

    @property
    def verdicts(self) -> dict[str, Verdict]:
        return {key: finding.verdict for key, finding in self.findings.items()}


async def verify(house: House, *, of: Belongs = OF, **changes: object) -> Pass:
    journal, destination = house.settings.journal, house.settings.destination
    assert journal is not None
    asked = Verification(destination, journal, house.root, tuning=TUNING)
    asked = replace(asked, **changes)  # type: ignore[arg-type]  # the names are the verification's own
    *findings, report = [found async for found in Verifier(asked, of, house.store).run()]
    assert isinstance(report, Report)
    return Pass([found for found in findings if isinstance(found, Finding)], report)


async def put(house: House, key: str, data: bytes) -> None:
    """Somebody else stores something."""
    await MemoryStore.put_object(house.store, key, data, compute(Algorithm.CRC64NVME, data), PLAIN)


async def test_all_is_there(house: House) -> None:
    await house.run()
    house.store.requests.clear()
    done = await verify(house)
    assert done.findings == {}
    assert done.report.counts == {Verdict.EQUAL: len(NAMES)}
    assert done.report.exit_code == 0
    assert {request.op for request in house.store.requests} == {"ListObjectsV2"}


@pytest.mark.parametrize("page", [1, 2, 3, 1000])
async def test_what_happened_to_the_bucket_is_found_and_nothing_else(
    house: House, page: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("listing", "verify"):
        monkeypatch.setattr(f"asyncmirror.audit.{module}.PAGE", page)
    await house.run()
    del house.store.objects["pre/a/c"], house.store.objects["pre/é"]
    await put(house, "pre/a0", b"truncated")
    await put(house, "pre/b", b"b" * 100)  # the same bytes, stored by somebody else: the ETag is not the one confirmed
    await put(house, "pre/a/", b"")
    await put(house, "pre/zzz", b"")
    await put(house, "prefix/of/somebody/else", b"")
    done = await verify(house)
    assert done.verdicts == {
        "pre/a/": Verdict.EXTRA,
        "pre/a/c": Verdict.MISSING,
        "pre/a0": Verdict.DIFFERENT,
        "pre/b": Verdict.DIFFERENT,
        "pre/zzz": Verdict.EXTRA,
        "pre/é": Verdict.MISSING,
    }
    assert done.findings["pre/é"].path == "é".encode()
    assert done.report.counts[Verdict.EQUAL] == 3
    assert done.report.exit_code == 3


@pytest.mark.parametrize(
    ("whole", "part", "within", "ended"),
    [
        (["a"], ["a"], ("a",), True),
        (["a"], ["a"], ("a", "new"), False),  # it came into the mirror file since
        (["a"], ["a", "new"], None, False),  # a run of a part of it has been, since
        (["a"], ["a"], ("a/d",), True),
        (["a"], ["a"], (), False),
        ([], ["a"], ("a",), True),
    ],
)
async def test_what_came_into_the_mirror_since_was_not_seen_by_its_last_run(
    house: House, whole: list[str], part: list[str], within: tuple[str, ...] | None, *, ended: bool
) -> None:
    house.write("new/file", b"")
    await house.run(house.options(within=tuple(whole)))
    await house.run(house.options(within=tuple(part), subdirs=("a/d",)))
    done = await verify(house, within=within)
    assert done.report.account.ended is ended
    assert done.report.exit_code == (0 if ended else 3)


async def test_extra_objects_can_be_passed_over(house: House) -> None:
    await house.run()
    await put(house, "pre/zzz", b"")
    assert (await verify(house)).report.exit_code == 3
    done = await verify(house, ignore_extra=True)
    assert (done.findings, done.report.exit_code) == ({}, 0)


async def test_repair_has_the_next_sync_send_what_is_amiss_and_nothing_else(house: House) -> None:
    await house.run()
    del house.store.objects["pre/a/c"]
    await put(house, "pre/b", b"other")
    await put(house, "pre/zzz", b"extra")
    assert (await verify(house)).report.repaired == 0
    assert (await house.run()).count(Outcome.UNCHANGED) == len(NAMES)
    done = await verify(house, repair=True)
    assert (done.report.repaired, done.report.exit_code) == (2, 3)
    again = await verify(house, ignore_extra=True)
    assert (again.report.account.incomplete, again.report.exit_code) == (2, 3), "what is to be sent yet is not there"
    ran = await house.run()
    assert {path for path, event in ran.settled.items() if event.outcome is Outcome.COMPLETE} == {b"a/c", b"b"}
    assert {sent.key for sent in house.store.sent if sent.op == "PutObject"} == {"pre/a/c", "pre/b"}
    assert house.store.data("pre/a/c") == b"a/c" * 100
    assert house.store.data("pre/zzz") == b"extra"
    assert (await verify(house, ignore_extra=True)).report.exit_code == 0


async def test_what_is_to_be_mended_is_a_problem_and_is_sent_by_a_run_over_the_problems(house: House) -> None:
    await house.run()
    del house.store.objects["pre/a/c"]
    await verify(house, repair=True)
    assert house.settings.journal is not None
    with closing(connect(house.settings.journal)) as connection:
        [found] = queries.problems(connection)
    assert (found.path, found.problem.outcome, found.problem.reason) == (
        b"a/c",
        Outcome.FAILED,
        "verify: it is not in the bucket",
    )
    ran = await house.run(house.options(only_failed=True, retry_failed=True))
    assert {path for path, event in ran.settled.items() if event.outcome is Outcome.COMPLETE} == {b"a/c"}
    assert (await verify(house)).report.exit_code == 0


async def test_a_mirror_that_is_not_whole_is_not_all_there(house: House) -> None:
    os.mkfifo(house.root / "fifo")
    await house.run()
    done = await verify(house)
    assert done.report.account.incomplete == 1
    assert (done.findings, done.report.exit_code) == ({}, 3)


async def test_a_sync_that_was_stopped_saw_not_all(house: House) -> None:
    await house.run()
    await house.run(watch=lambda mirror, _: mirror.stop())
    done = await verify(house)
    assert not done.report.account.ended
    assert done.report.exit_code == 3


class Listing(MemoryStore):
    """Lists as it is told to."""

    def __init__(self, of: MemoryStore) -> None:
        super().__init__()
        self.objects = of.objects
        self.cut = 0
        self.breaks = 0

    async def list_objects(self, prefix: str, after: str = "") -> AsyncIterator[RemoteObject]:
        given = 0
        async for found in super().list_objects(prefix, after):
            if self.breaks and given == 2:
                self.breaks -= 1
                raise ConnectionFaultError("reset")
            if self.cut and given == self.cut:
                return
            given += 1
            yield found


async def test_a_listing_cut_short_without_a_word_is_not_taken_for_missing_objects(house: House) -> None:
    await house.run()
    house.store = liar = Listing(house.store)  # type: ignore[assignment]  # a bucket of the same objects
    liar.cut = 3
    with pytest.raises(BucketError, match="leaves out 'pre/a0', which is there"):
        await verify(house, repair=True)
    liar.cut = 0
    done = await verify(house)
    assert done.report.counts == {Verdict.EQUAL: len(NAMES)}, "nothing was forgotten"


async def test_beyond_the_first_missing_ones_a_sample_is_asked_for(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listing, "_ASKED_EACH", 2)
    monkeypatch.setattr(listing, "_ASKED_OF", 3)
    await house.run()
    house.store.objects.clear()
    house.store.requests.clear()
    assert (await verify(house)).report.counts == {Verdict.MISSING: len(NAMES)}
    assert sum(request.op == "HeadObject" for request in house.store.requests) == 4  # the first, second, third, sixth


async def test_a_listing_that_breaks_off_goes_on(house: House) -> None:
    await house.run()
    house.store = breaking = Listing(house.store)  # type: ignore[assignment]  # the same
    breaking.breaks = 3
    assert (await verify(house)).report.counts == {Verdict.EQUAL: len(NAMES)}
    assert breaking.breaks == 0


async def test_a_listing_that_stays_broken_ends_the_look(house: House) -> None:
    await house.run()
    del house.store.objects["pre/a-b"]
    house.store = broken = Listing(house.store)  # type: ignore[assignment]  # the same
    broken.breaks = 1000
    with pytest.raises(BucketError, match="could not be looked at"):
        await verify(house, repair=True, tuning=replace(TUNING, max_attempts=1))
    broken.breaks = 0
    assert (await verify(house)).verdicts == {"pre/a-b": Verdict.MISSING}, "it is on record still"


async def test_a_journal_in_use_and_one_of_another_bucket_are_refused(house: House) -> None:
    journal = house.settings.journal
    assert journal is not None
    with pytest.raises(UsageError, match="there is no journal"):
        await verify(house)
    connect(journal).close()  # a run was killed that had just begun to make it
    with pytest.raises(UsageError, match="was never used"):
        await verify(house, download=True)
    await house.run()
    with pytest.raises(UsageError, match="belongs to s3://bucket/pre"):
        await verify(house, of=Belongs("", "s3://bucket/other", ""))
    held = Journal(journal, OF)
    try:
        with pytest.raises(JournalError, match=f"in use by process {os.getpid()}"):
            await verify(house)
    finally:
        held.close()


async def test_deep_reads_the_source_anew(house: House) -> None:
    house.write("large", os.urandom(2 * PART + 1))
    await house.run()
    assert (await verify(house, deep=True)).report.exit_code == 0
    rot = house.root / "large"
    before = os.stat(rot)
    with rot.open("r+b") as file:
        file.seek(PART)
        file.write(b"rotten")
    os.utime(rot, ns=(before.st_atime_ns, before.st_mtime_ns))
    house.write("a0", b"longer than before" * 100)
    (house.root / "b").unlink()
    (house.root / "a-b").write_bytes(b"-" * 300)
    assert (await verify(house)).report.exit_code == 0
    done = await verify(house, deep=True, repair=True)
    told = {key: (finding.verdict, finding.reason) for key, finding in done.findings.items()}
    assert told == {
        # Its ctime changed: that nobody can undo, so it is no rot in silence.
        "pre/large": (Verdict.CHANGED, "the file has other bytes by now; the next sync sends it"),
        "pre/a-b": (Verdict.CHANGED, "the file has other bytes by now; the next sync sends it"),
        "pre/a0": (Verdict.CHANGED, "the file has 1,800 bytes by now; the next sync sends it"),
        "pre/b": (Verdict.CHANGED, "it is gone from the source"),
    }
    assert done.report.repaired == 0


def to_fifo(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def to_directory(path: Path) -> None:
    path.unlink()
    path.mkdir()


def to_circle(path: Path) -> None:
    path.unlink()
    path.symlink_to(path.name)


def parent_to_file(path: Path) -> None:
    path.unlink()
    path.parent.rmdir()
    path.parent.write_bytes(b"")


@pytest.mark.parametrize("change", [to_fifo, to_directory, to_circle, parent_to_file])
async def test_deep_calls_changed_what_is_no_file_any_more(house: House, change: Callable[[Path], None]) -> None:
    house.write("one/file", b"")
    await house.run()
    change(house.root / "one" / "file")
    done = await verify(house, deep=True)
    assert {key: (finding.verdict, finding.reason) for key, finding in done.findings.items()} == {
        "pre/one/file": (Verdict.CHANGED, "it is gone from the source")
    }


async def test_download_reads_the_objects(house: House) -> None:
    house.write("large", os.urandom(2 * PART + 1))
    await house.run()
    stored = house.store.objects["pre/large"]
    assert stored.data is not None
    flipped = bytearray(stored.data)
    flipped[-1] ^= 1
    house.store.objects["pre/large"] = stored._replace(data=bytes(flipped))  # same size, same ETag
    assert (await verify(house, deep=True)).report.exit_code == 0
    done = await verify(house, download=True, repair=True)
    assert done.verdicts == {"pre/large": Verdict.DIFFERENT}
    assert done.report.repaired == 1


@pytest.mark.parametrize("algorithm", list(Algorithm))
async def test_every_checksum_is_computed_anew_as_it_was(house: House, algorithm: Algorithm) -> None:
    house.write("large", os.urandom(2 * PART + 1))
    house.write("whole", os.urandom(2 * PART))
    objects = replace(house.settings.objects, algorithm=algorithm)
    await house.run(house.options(objects=objects))
    done = await verify(house, deep=True, download=True)
    assert (done.verdicts, done.report.exit_code) == ({}, 0)


async def test_links_are_looked_at_as_they_were_scanned(house: House) -> None:
    (house.root / "link").symlink_to("a0")
    (house.root / "to-directory").symlink_to("a")
    await house.run(house.options(symlinks=Symlinks.FOLLOW))
    assert set(house.bucket()) >= {"pre/link", "pre/to-directory/c", "pre/to-directory/d/e"}
    assert (await verify(house, deep=True)).report.exit_code == 0


async def test_links_on_record_are_empty_objects(house: House) -> None:
    (house.root / "link").symlink_to("a0")
    await house.run(house.options(symlinks=Symlinks.RECORD))
    assert (await verify(house, deep=True, download=True)).report.exit_code == 0


async def test_a_look_that_is_left_lets_go_of_the_journal(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("asyncmirror.audit.verify._FINDINGS", 1)  # so that who finds waits for who left
    await house.run()
    house.store.objects.clear()
    journal = house.settings.journal
    assert journal is not None
    async with aclosing(Verifier(Verification(house.settings.destination, journal), OF, house.store).run()) as found:
        await anext(found)
    assert (await house.run()).count(Outcome.UNCHANGED) == len(NAMES)


async def test_a_look_that_is_left_does_not_read_on(house: House) -> None:
    house.write("large", bytes(4 * PART))
    await house.run()
    os.truncate(house.root / "large", 0)
    os.truncate(house.root / "large", 1 << 42)  # a sparse file: reading it would take an hour
    journal = house.settings.journal
    assert journal is not None
    with closing(sqlite3.connect(journal)) as connection, connection:
        connection.execute("UPDATE object SET size = ? WHERE name = CAST('large' AS BLOB)", (1 << 42,))
    large = house.store.objects["pre/large"]
    house.store.objects["pre/large"] = large._replace(size=1 << 42)
    verifier = Verifier(Verification(house.settings.destination, journal, house.root, deep=True), OF, house.store)
    look = asyncio.create_task(anext(verifier.run()))
    async with asyncio.timeout(20):
        while verifier.gauge().looked < len(NAMES):  # noqa: ASYNC110  a gauge tells nobody that it has moved
            await asyncio.sleep(0)
        look.cancel()
        await asyncio.wait([look])
    assert look.cancelled()
