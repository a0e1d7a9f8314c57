"""What happens to the journal and the disk below it: rows 25, 26, 27 and 30 of docs/hazards.md."""

import os
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from asyncmirror.engine import recorder
from asyncmirror.engine.mirror import Mirror
from asyncmirror.events import Event, Notice, Summary
from asyncmirror.journal import runs, writer
from asyncmirror.model import Outcome
from asyncmirror.sizes import MIB
from asyncmirror.source import filesystem
from tests.acceptance.command import Runner, Site, sync
from tests.acceptance.evidence import regular_files, wrong
from tests.acceptance.servers import Server
from tests.acceptance.test_errors import STORE, assert_one_line
from tests.engine.house import PART, House, Sent
from tests.hazards.faults import failing

CUTS = (0, 31, 32, 1000, 0.1, 0.5, 0.9, -4097, -1)
"""Where a log that was not synced may end: bytes from its beginning, its end, or a share of it."""


def power_cut(journal: Path, copy: Path) -> None:
    """Keep the journal as it stands on the disk this moment, a run going on."""
    copy.mkdir(exist_ok=True)
    for name in (journal.name, f"{journal.name}-wal"):
        shutil.copy(journal.with_name(name), copy / name)


def bring_back(copy: Path, journal: Path, cut: float, *, torn: bool) -> None:
    """Put the copy in the journal's place, its log cut short; `torn`: what is behind the cut came out as garbage."""
    for found in journal.parent.glob(f"{journal.name}*"):
        found.unlink()
    shutil.copy(copy / journal.name, journal)
    log = (copy / f"{journal.name}-wal").read_bytes()
    length = int(cut * len(log)) if 0 < cut < 1 else int(cut) % (len(log) + 1)
    tail = os.urandom(len(log) - length) if torn else b""
    journal.with_name(f"{journal.name}-wal").write_bytes(log[:length] + tail)


def known(copy: Path, scratch: Path) -> set[str]:
    """The keys of the objects that a copy of a journal calls complete."""
    shutil.rmtree(scratch, ignore_errors=True)
    shutil.copytree(copy, scratch)
    with closing(sqlite3.connect(scratch / "journal.sqlite")) as connection:
        return {f"pre/{name.decode()}" for (name,) in connection.execute("SELECT name FROM object")}


@pytest.mark.hazard(25)
@pytest.mark.parametrize("torn", [False, True], ids=["cut", "torn"])
async def test_a_journal_whose_last_commits_a_power_cut_took_opens_and_nothing_is_lost(
    house: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, torn: bool
) -> None:
    journal = house.settings.journal
    assert journal is not None
    for number in range(200):
        house.write(f"file-{number}", b"%d" % number)
    house.write("large", bytes(PART) * 3)

    def watch(_: Mirror, event: Event) -> None:
        if isinstance(event, Summary):
            power_cut(journal, tmp_path / "cut")

    monkeypatch.setattr(recorder, "_MOST", 10)
    monkeypatch.setattr(writer, "_LINGER", 0.0)  # so that there are many commits
    await house.run(watch=watch)
    monkeypatch.setattr(runs, "here", lambda: ("here", "after the power cut"))  # so that the file is checked
    counts = []
    for cut in CUTS:
        bring_back(tmp_path / "cut", journal, cut, torn=torn)
        power_cut(journal, tmp_path / "found")
        complete = known(tmp_path / "found", tmp_path / "scratch")
        ran = await house.run()
        assert ran.summary.exit_code == 0
        sent = {sent.key for sent in house.store.sent if sent.op in ("PutObject", "UploadPart")}
        assert not sent & complete, "what the journal still knew was sent again"
        assert sent | complete == house.bucket().keys()
        assert house.bucket() == house.tree()
        counts.append(len(complete))
    assert counts[0] == 0
    assert 0 < counts[-4] < counts[-2] <= 201, f"the cuts made no difference: {counts}"


@pytest.mark.hazard(25)
async def test_parts_whose_receipts_a_power_cut_took_are_sent_again_and_no_others(
    house: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "_LINGER", 0.0)
    journal = house.settings.journal
    assert journal is not None
    house.write("large", bytes(PART) * 9)
    mirrors: list[Mirror] = []

    def after(sent: Sent) -> None:
        if sent.op == "UploadPart" and len(house.store.parts_sent("pre/large")) == 5:
            mirrors[0].drain()

    def watch(mirror: Mirror, event: Event) -> None:
        mirrors.append(mirror)
        if isinstance(event, Summary):
            power_cut(journal, tmp_path / "cut")

    house.store.after = after
    await house.run(watch=watch)
    house.store.after = lambda _: None
    receipts: set[int] = set()
    for cut in range(95, 0, -5):  # back to where some are left, and not all
        bring_back(tmp_path / "cut", journal, cut / 100, torn=False)
        power_cut(journal, tmp_path / "found")
        with closing(sqlite3.connect(tmp_path / "found" / journal.name)) as connection:
            receipts = {number for (number,) in connection.execute("SELECT number FROM receipt")}
        if len(receipts) < 5:
            break
    assert 0 < len(receipts) < 5
    assert (await house.run()).outcome(b"large") is Outcome.COMPLETE
    assert sorted(house.store.parts_sent("pre/large")) == sorted(set(range(1, 10)) - receipts)
    assert house.store.ops()["CreateMultipartUpload"] == 0
    assert house.bucket() == house.tree()


def many(tmp_path: Path) -> Path:
    """Three hundred files whose names take their space."""
    tree = tmp_path / "many"
    for number in range(300):
        path = tree / f"{number % 30}" / f"a-rather-long-name-that-takes-its-space-in-the-journal-{number}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"%d" % number)
    return tree


@pytest.mark.hazard(26)
@pytest.mark.parametrize(("calls", "when"), [("pwrite64", "20+"), ("fdatasync", "3+")])
def test_a_disk_that_fails_under_the_journal_stops_the_run_and_the_next_goes_on(
    home: Path, site: Site, strict: Server, tmp_path: Path, calls: str, when: str
) -> None:
    tree, journal = many(tmp_path), home / "journal"
    log = journal.with_name("journal-wal")
    under = failing([journal, log], calls, "EIO", when)
    first = Runner(home, site.environment(home), under=under).run(*sync(tree, site, journal))
    assert_one_line(first, STORE, str(journal), "same command")
    told = {line["key"] for line in first.objects.values() if line["outcome"] == "complete"}
    assert len(told) < 300

    start = len(strict.settled())
    second = Runner(home, site.environment(home)).run(*sync(tree, site, journal))
    assert (second.code, second.error) == (0, "")
    assert second.summary["complete"] + second.summary["unchanged"] == 300
    assert not {request.key for request in strict.settled()[start:] if request.body} & told
    assert wrong(site, regular_files(tree)) == []


def damage(journal: Path) -> None:
    """Overwrite the pages in the file's middle, as a disk does that lost them."""
    size = journal.stat().st_size
    with journal.open("r+b") as file:
        file.seek(size // 4 // 4096 * 4096)
        file.write(b"\xa5" * (size // 2 // 4096 * 4096))


@pytest.mark.hazard(27)
def test_a_damaged_journal_is_named_with_the_remedy_and_after_it_nothing_is_sent_again(
    runner: Runner, site: Site, strict: Server, home: Path, tmp_path: Path
) -> None:
    tree, journal = many(tmp_path), home / "journal"
    (tree / "large").write_bytes(os.urandom(11 * MIB))
    options = ("--part-size", "5MiB", "--multipart-threshold", "8MiB")
    assert runner.run(*sync(tree, site, journal, *options)).code == 0
    damage(journal)
    start = len(strict.settled())
    for command in (sync(tree, site, journal, *options), ("status", "--journal", journal)):
        found = runner.run(*command)
        assert_one_line(found, STORE, str(journal), "damaged", "move it away", "--adopt")
    assert not any(request.body for request in strict.settled()[start:])

    journal.rename(home / "aside")
    adopted = runner.run(*sync(tree, site, journal, *options, "--adopt"))
    assert (adopted.code, adopted.error) == (0, "")
    assert adopted.summary["adopted"] == 301
    again = runner.run(*sync(tree, site, journal, *options))
    assert again.summary["unchanged"] == 301
    assert not any(request.body for request in strict.settled()[start:])


@pytest.fixture
def on_nfs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The mount table says that everything here lies on a file server."""
    device = tmp_path.stat().st_dev
    table = tmp_path / "mountinfo"
    table.write_text(f"36 35 {os.major(device)}:{os.minor(device)} / / rw - nfs4 server:/export rw\n")
    monkeypatch.setattr(filesystem, "_MOUNTS", table)


@pytest.mark.hazard(30)
@pytest.mark.usefixtures("on_nfs")
async def test_a_journal_on_a_network_file_system_is_used_without_shared_memory_and_that_is_said(house: House) -> None:
    journal = house.settings.journal
    assert journal is not None
    house.write("a", b"x")
    seen: list[str] = []

    def watch(mirror: Mirror, _: Event) -> None:
        seen.extend(mirror._journal.ask(lambda c: c.execute("PRAGMA locking_mode").fetchone()[0]).result(10) for _ in (1,))
        assert not list(journal.parent.glob("*-shm"))
        with closing(sqlite3.connect(journal, timeout=0)) as other, pytest.raises(sqlite3.OperationalError, match="locked"):
            other.execute("SELECT * FROM meta").fetchall()

    ran = await house.run(watch=watch)
    assert set(seen) == {"exclusive"}
    assert [event.text for event in ran.events if isinstance(event, Notice)] == [
        "the journal lies on nfs4: it is locked for this run alone and used without shared memory, which is safe there"
    ]
    assert (await house.run()).unchanged == {b"a"}


@pytest.mark.hazard(30)
async def test_a_journal_on_this_machines_own_disk_is_worth_no_word(house: House) -> None:
    house.write("a", b"x")
    assert not [event for event in (await house.run()).events if isinstance(event, Notice)]
