"""`--delete`: what goes, what stays, and when nothing goes at all."""

import asyncio
import errno
import os
import shutil
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pytest

from asyncmirror.audit import gone as look
from asyncmirror.audit import standing
from asyncmirror.engine import deleting
from asyncmirror.engine.mirror import Mirror
from asyncmirror.errors import AccessDeniedError, ServerFaultError, StoreError, UsageError
from asyncmirror.events import Deletion, DeletionBegun, Deletions, Erasing, Event, Fate, Notice
from asyncmirror.journal import paths
from asyncmirror.journal.belongs import Belongs
from asyncmirror.journal.changes import Condemn
from asyncmirror.journal.paths import Table
from asyncmirror.journal.writer import Journal
from asyncmirror.model import Outcome, RemoteObject
from asyncmirror.settings import MaxDelete, Remap, Rule, Settings, Symlinks
from asyncmirror.source import mounts
from asyncmirror.source.beneath import Beneath
from asyncmirror.store.port import Store
from tests.engine.house import House, Ran, Sent

NAMES = ("a/1", "a/2", "a/b/3", "c", "d/4", "d/5")


def told(ran: Ran) -> dict[str, Fate]:
    """What became of each key."""
    return {event.key: event.fate for event in ran.events if isinstance(event, Deletion)}


def result(ran: Ran) -> Deletions:
    assert ran.summary.deletions is not None
    return ran.summary.deletions


def on_record(house: House, table: Table) -> set[bytes]:
    """The paths that the journal has in a table."""
    journal = Journal(house.settings.journal or house.root, Belongs("", "s3://bucket/pre", ""), read_only=True)
    try:
        rows = journal.ask(lambda db: paths.page(db, table, (b"", b""), 1000)).result()
    finally:
        journal.close()
    return {row.parent + b"/" + row.name if row.parent else row.name for row in rows}


def deletes(house: House, **changes: object) -> Settings:
    return house.options(delete=True, **changes)


@pytest.fixture
async def mirrored(house: House) -> House:
    for name in NAMES:
        house.write(name, name.encode())
    await house.run()
    return house


def keys(*names: str) -> dict[str, Fate]:
    return {f"pre/{name}": Fate.DELETED for name in names}


async def test_objects_whose_file_is_gone_are_deleted(mirrored: House) -> None:
    (mirrored.root / "a/1").unlink()
    shutil.rmtree(mirrored.root / "a/b")
    mirrored.write("new", b"new")
    ran = await mirrored.run(deletes(mirrored))
    assert told(ran) == keys("a/1", "a/b/3")
    assert mirrored.bucket() == mirrored.tree()
    assert result(ran) == Deletions({Fate.DELETED: 2}, {Fate.DELETED: 8}, "")
    assert ran.summary.exit_code == 0
    assert on_record(mirrored, Table.COMPLETE) == {b"a/2", b"c", b"d/4", b"d/5", b"new"}
    assert not on_record(mirrored, Table.CONDEMNED)
    again = await mirrored.run(deletes(mirrored))
    assert result(again) == Deletions()


async def test_it_tells_how_far_it_is(mirrored: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deleting, "MOST_DELETED", 1)
    monkeypatch.setattr(deleting, "_TOGETHER", 1)
    shutil.rmtree(mirrored.root / "a")
    seen: list[Erasing | None] = []

    async def asked(some: Sequence[str]) -> Mapping[str, StoreError]:
        seen.append(mirrors[0].progress().erasing)
        return await real(some)

    def watch(mirror: Mirror, _: Event) -> None:
        mirrors.append(mirror)

    mirrors: list[Mirror] = []
    real = mirrored.store.delete_objects
    monkeypatch.setattr(mirrored.store, "delete_objects", asked)
    ran = await mirrored.run(deletes(mirrored), watch=watch)
    assert [each and each[:3] for each in seen] == [(len(NAMES), 3, done) for done in range(3)]
    assert mirrors[0].progress().erasing is None
    events = [event for event in ran.events if isinstance(event, Deletion | DeletionBegun)]
    assert events[0] == DeletionBegun(3, sum(event.size for event in events[1:] if isinstance(event, Deletion)))
    assert events[0].size
    assert len(events) == 4


async def test_nothing_goes_unasked(mirrored: House) -> None:
    (mirrored.root / "c").unlink()
    ran = await mirrored.run()
    assert ran.summary.deletions is None
    assert "pre/c" in mirrored.store.objects


async def test_a_dry_run_tells_each_and_deletes_none(mirrored: House) -> None:
    (mirrored.root / "c").unlink()
    shutil.rmtree(mirrored.root / "d")
    ran = await mirrored.run(deletes(mirrored, dry_run=True))
    assert told(ran) == dict.fromkeys(("pre/c", "pre/d/4", "pre/d/5"), Fate.PLANNED)
    assert result(ran).counts == {Fate.PLANNED: 3}
    assert len(mirrored.store.objects) == len(NAMES)
    assert ran.summary.exit_code == 0


@pytest.mark.parametrize("page", [1, 2, 1000])
@pytest.mark.parametrize("batch", [1, 2, 1000])
async def test_pages_and_batches_of_any_length(mirrored: House, monkeypatch: pytest.MonkeyPatch, page: int, batch: int) -> None:
    monkeypatch.setattr(look, "_PAGE", page)
    monkeypatch.setattr(deleting, "MOST_DELETED", batch)
    for name in ("a/1", "c", "d/5"):
        (mirrored.root / name).unlink()
    shutil.rmtree(mirrored.root / "a/b")
    ran = await mirrored.run(deletes(mirrored))
    assert told(ran) == keys("a/1", "a/b/3", "c", "d/5")
    assert mirrored.bucket() == mirrored.tree()


@pytest.mark.parametrize(
    "replace",
    [
        lambda path: path.symlink_to("elsewhere"),
        os.mkfifo,
        lambda path: path.symlink_to("2"),
    ],
    ids=["broken link", "FIFO", "link"],
)
async def test_what_something_else_took_the_place_of_stays(mirrored: House, replace: Callable[[Path], None]) -> None:
    path = mirrored.root / "a/1"
    path.unlink()
    replace(path)
    ran = await mirrored.run(deletes(mirrored))
    assert told(ran) == {}
    assert "pre/a/1" in mirrored.store.objects
    assert ran.count(Outcome.UNSUPPORTED) == 1


async def test_a_directory_moved_away_and_linked_to_stays(mirrored: House, tmp_path: Path) -> None:
    (mirrored.root / "a").rename(tmp_path / "moved")
    (mirrored.root / "a").symlink_to(tmp_path / "moved")
    ran = await mirrored.run(deletes(mirrored))
    assert told(ran) == {}
    assert any("3 objects stay whose files are gone: a symbolic link is in place" in str(event) for event in ran.events)


async def test_a_directory_in_a_files_place_and_a_file_in_a_directorys(mirrored: House) -> None:
    (mirrored.root / "c").unlink()
    mirrored.write("c/inside", b"x")
    shutil.rmtree(mirrored.root / "a/b")
    mirrored.write("a/b", b"a file now")
    ran = await mirrored.run(deletes(mirrored))
    assert told(ran) == keys("c", "a/b/3")
    assert mirrored.bucket() == mirrored.tree()


async def test_what_a_rule_leaves_out_is_left_alone_on_either_side(mirrored: House) -> None:
    (mirrored.root / "a/1").unlink()
    (mirrored.root / "c").unlink()
    rules = (Rule(include=False, pattern="/a/"), Rule(include=False, pattern="5"))
    ran = await mirrored.run(deletes(mirrored, rules=rules))
    assert told(ran) == keys("c")
    assert "pre/d/5" in mirrored.store.objects


async def test_what_the_mirror_is_not_of_any_more_stays(mirrored: House) -> None:
    (mirrored.root / "a/1").unlink()
    (mirrored.root / "d/5").unlink()
    mirrored.store.objects["pre/d/unknown"] = mirrored.store.objects["pre/a/unknown"] = mirrored.store.objects["pre/c"]
    ran = await mirrored.run(deletes(mirrored, within=("a",), delete_unknown=True))
    assert told(ran) == keys("a/1", "a/unknown")
    assert [event.text for event in ran.events if isinstance(event, Notice) and "stay" in event.text] == [
        "3 objects stay that are of none of the releases that the mirror file names"
    ]


async def test_with_followed_links_what_is_gone_behind_them_goes(house: House, tmp_path: Path) -> None:
    for name in ("real/1", "real/2", "real/sub/3", "out"):
        house.write(name, name.encode())
    (house.root / "link").symlink_to("real")
    follow = house.options(symlinks=Symlinks.FOLLOW)
    await house.run(follow)
    assert "pre/link/sub/3" in house.store.objects
    (house.root / "real/1").unlink()
    shutil.rmtree(house.root / "real/sub")
    ran = await house.run(deletes(house, symlinks=Symlinks.FOLLOW))
    assert told(ran) == keys("real/1", "real/sub/3", "link/1", "link/sub/3")
    (house.root / "real").rename(tmp_path / "away")  # the link is broken now: its target may only be unmounted
    ran = await house.run(deletes(house, symlinks=Symlinks.FOLLOW))
    assert told(ran) == keys("real/2")


async def test_an_empty_mount_is_never_taken_for_a_deletion(mirrored: House) -> None:
    shutil.rmtree(mirrored.root)
    (mirrored.root / "lost+found").mkdir(parents=True)
    ran = await mirrored.run(deletes(mirrored, max_delete=MaxDelete(1000, 1)))
    assert told(ran) == {}
    assert "is it mounted?" in result(ran).refusal
    assert len(mirrored.store.objects) == len(NAMES)
    assert ran.summary.exit_code == 3


async def test_a_file_system_that_is_away_below_the_source_is_no_deletion(
    mirrored: House, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    table = tmp_path / "mountinfo"
    monkeypatch.setattr(mounts, "TABLE", table)
    root = os.fsencode(mirrored.root).replace(b" ", rb"\040")
    table.write_bytes(b"20 1 8:1 / / rw - ext4 /dev/sda rw\n36 20 98:0 / " + root + b"/d rw master:1 - ext4 /dev/sdb rw\n")
    await mirrored.run()
    table.write_bytes(b"20 1 8:1 / / rw - ext4 /dev/sda rw\n")
    for name in ("d/4", "d/5"):
        (mirrored.root / name).unlink()
    for _ in range(2):
        ran = await mirrored.run(deletes(mirrored))
        assert told(ran) == {}
        assert result(ran).refusal.startswith("nothing is mounted at 'd', as it was before")
        assert ran.summary.exit_code == 3
    (mirrored.root / "d").rmdir()
    assert told(await mirrored.run(deletes(mirrored))) == keys("d/4", "d/5")


@pytest.fixture
def mount(house: House, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., None]:
    """Says what is mounted in the source from now on."""
    monkeypatch.setattr(mounts, "TABLE", tmp_path / "mountinfo")

    def mounted(*where: str) -> None:
        lines = [b"36 20 98:0 / " + os.fsencode(house.root / each) + b" rw - ext4 /dev/sdb rw\n" for each in where]
        mounts.TABLE.write_bytes(b"".join(lines))

    mounted()
    return mounted


async def test_a_mount_point_that_has_its_files_without_it_is_a_directory(mirrored: House, mount: Callable[..., None]) -> None:
    mount("a")
    await mirrored.run()
    mount()
    (mirrored.root / "a/1").unlink()
    assert told(await mirrored.run(deletes(mirrored))) == keys("a/1")


@pytest.mark.parametrize("where", ["d", ""], ids=["below", "the source itself"])
async def test_what_lies_in_the_directory_of_a_mount_that_is_away_does_not_stand_for_it(
    mirrored: House, mount: Callable[..., None], where: str
) -> None:
    mount(where)
    await mirrored.run()
    mount()
    for path in (mirrored.root / where).iterdir():
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    mirrored.write(f"{where}/stray.log".removeprefix("/"), b"written while nothing was mounted")
    for _ in range(2):  # the second time it is on record
        ran = await mirrored.run(deletes(mirrored))
        assert told(ran) == {}
        assert result(ran).refusal.startswith(f"nothing is mounted at '{where or '.'}', as it was before")


async def test_a_run_that_deletes_nothing_tells_of_a_file_system_that_is_away(
    mirrored: House, mount: Callable[..., None]
) -> None:
    mount("d")
    await mirrored.run()
    mount()
    for name in ("d/4", "d/5"):
        (mirrored.root / name).unlink()
    notices = [event.text for event in (await mirrored.run()).events if isinstance(event, Notice)]
    assert notices == ["nothing is mounted at 'd', as it was before (or remove the directory)"]


async def test_a_file_system_that_nothing_was_mirrored_from_hinders_nothing(
    mirrored: House, mount: Callable[..., None]
) -> None:
    (mirrored.root / "scratch").mkdir()
    mount("scratch")
    await mirrored.run()
    mount()
    (mirrored.root / "c").unlink()
    assert told(await mirrored.run(deletes(mirrored))) == keys("c")


async def test_a_mount_within_one_that_was_away_is_still_known(
    mirrored: House, mount: Callable[..., None], tmp_path: Path
) -> None:
    mount("a", "a/b")
    await mirrored.run()
    mount()
    (mirrored.root / "a").rename(tmp_path / "away")
    (mirrored.root / "a").mkdir()
    await mirrored.run()
    (mirrored.root / "a").rmdir()
    (tmp_path / "away").rename(mirrored.root / "a")
    (mirrored.root / "a/b/3").unlink()
    mount("a")
    ran = await mirrored.run(deletes(mirrored))
    assert told(ran) == {}
    assert result(ran).refusal.startswith("nothing is mounted at 'a/b'")


async def test_a_file_system_that_goes_away_while_it_is_looked_at_is_no_deletion(
    mirrored: House, mount: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    mount("d")
    run = look.Look.run

    def unmounted(gone: look.Look, stopped: Callable[[], bool]) -> None:
        for name in ("d/4", "d/5"):
            (mirrored.root / name).unlink()
        mount()
        run(gone, stopped)

    monkeypatch.setattr(look.Look, "run", unmounted)
    ran = await mirrored.run(deletes(mirrored))
    assert told(ran) == {}
    assert result(ran).refusal.startswith("nothing is mounted at 'd'")


async def test_a_source_that_another_directory_has_replaced_meanwhile_loses_nothing(
    mirrored: House, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    run = look.Look.run

    def replaced(gone: look.Look, stopped: Callable[[], bool]) -> None:
        shutil.copytree(mirrored.root, tmp_path / "new")
        mirrored.root.rename(tmp_path / "old")
        (tmp_path / "new").rename(mirrored.root)
        (tmp_path / "old/d/4").unlink()
        run(gone, stopped)

    monkeypatch.setattr(look.Look, "run", replaced)
    ran = await mirrored.run(deletes(mirrored))
    assert told(ran) == {}
    assert "another directory is in its place" in result(ran).refusal


@pytest.mark.parametrize("symlinks", [Symlinks.RECORD, Symlinks.FOLLOW])
async def test_links_that_are_mirrored_are_not_told_of_as_gone(house: House, symlinks: Symlinks) -> None:
    house.write("file", b"x")
    (house.root / "link").symlink_to("file")
    await house.run(house.options(symlinks=symlinks))
    ran = await house.run(deletes(house, symlinks=symlinks))
    assert [event.text for event in ran.events if isinstance(event, Notice) and "stay" in event.text] == []


async def test_a_file_that_was_renamed_goes_even_if_it_was_the_only_one(house: House) -> None:
    house.write("old", b"x")
    await house.run()
    (house.root / "old").rename(house.root / "new")
    dry = await house.run(deletes(house, dry_run=True))
    assert told(dry) == {"pre/old": Fate.PLANNED}
    assert not result(dry).refusal
    assert told(await house.run(deletes(house))) == keys("old")


@pytest.mark.parametrize("at", [1, 2], ids=["by the scan", "by the second look"])
async def test_a_directory_that_cannot_be_listed_keeps_everything(
    mirrored: House, monkeypatch: pytest.MonkeyPatch, at: int
) -> None:
    real, asked = Beneath.open_directory, Counter[bytes]()

    def open_directory(beneath: Beneath, location: bytes) -> int:
        asked[location] += 1
        if location == b"d" and asked[location] == at:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return real(beneath, location)

    (mirrored.root / "c").unlink()
    monkeypatch.setattr(Beneath, "open_directory", open_directory)
    ran = await mirrored.run(deletes(mirrored))
    assert told(ran) == {}
    assert ("1 unreadable", "list: d: input/output error")[at - 1] in result(ran).refusal
    assert len(mirrored.store.objects) == len(NAMES)
    assert ran.summary.exit_code == 3


async def test_an_upload_that_fails_keeps_everything(mirrored: House) -> None:
    (mirrored.root / "c").rename(mirrored.root / "moved")

    def refuse(sent: Sent) -> None:
        if sent == Sent("PutObject", "pre/moved", 0):
            raise AccessDeniedError("no", op="PutObject", path="pre/moved")

    mirrored.store.before = refuse
    ran = await mirrored.run(deletes(mirrored))
    assert ran.count(Outcome.FAILED) == 1
    assert "1 failed" in result(ran).refusal
    assert "pre/c" in mirrored.store.objects, "it is the only copy"
    assert ran.summary.exit_code == 1


@pytest.mark.parametrize(
    "part",
    [{"subdirs": ("a",)}, {"only_failed": True}, {"send": False}],
    ids=lambda part: next(iter(part)),
)
def test_a_run_of_a_part_is_refused(house: House, part: dict[str, object]) -> None:
    with pytest.raises(UsageError, match="needs a look at the whole source"):
        deletes(house, **part)


async def test_a_run_that_is_drained_deletes_nothing(mirrored: House) -> None:
    (mirrored.root / "c").unlink()

    ran = await mirrored.run(deletes(mirrored), watch=lambda mirror, _: mirror.drain())
    assert told(ran) == {}
    assert "was stopped" in result(ran).refusal
    assert len(mirrored.store.objects) == len(NAMES)


async def test_more_than_is_allowed_is_refused_with_both_numbers(mirrored: House) -> None:
    shutil.rmtree(mirrored.root / "a")
    for most, allowed in ((MaxDelete(2, 0), 2), (MaxDelete(0, 0.4), 2)):
        ran = await mirrored.run(deletes(mirrored, max_delete=most))
        assert told(ran) == {}
        assert f"3 of 6 objects would go, and --max-delete {most} allows {allowed}" in result(ran).refusal
        assert ran.summary.exit_code == 3
    dry = await mirrored.run(deletes(mirrored, max_delete=MaxDelete(2, 0), dry_run=True))
    assert len(told(dry)) == 3, "the plan is told all the same"
    assert result(dry).refusal
    assert len(told(await mirrored.run(deletes(mirrored, max_delete=MaxDelete(3, 0))))) == 3


async def test_an_object_that_is_not_ours_any_more_is_left(mirrored: House) -> None:
    (mirrored.root / "c").unlink()
    (mirrored.root / "d/4").unlink()
    mirrored.store.objects["pre/c"] = mirrored.store.objects["pre/c"]._replace(etag="somebody else's")
    ran = await mirrored.run(deletes(mirrored))
    assert told(ran) == {"pre/c": Fate.LEFT, **keys("d/4")}
    assert "pre/c" in mirrored.store.objects
    assert ran.summary.exit_code == 3
    assert b"c" not in on_record(mirrored, Table.COMPLETE), "it is not what was confirmed"
    assert told(await mirrored.run(deletes(mirrored))) == {}


async def test_an_object_that_is_not_there_any_more_is_forgotten(mirrored: House) -> None:
    (mirrored.root / "c").unlink()
    del mirrored.store.objects["pre/c"]
    ran = await mirrored.run(deletes(mirrored))
    assert told(ran) == keys("c")
    assert mirrored.store.ops()["DeleteObjects"] == 0
    assert b"c" not in on_record(mirrored, Table.COMPLETE)


async def test_what_the_store_refuses_stays_on_record_and_what_nobody_knows_is_asked_again(
    mirrored: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = mirrored.store.delete_objects
    answers: dict[str, StoreError] = {
        "pre/a/1": AccessDeniedError("retained", path="pre/a/1"),
        "pre/a/2": ServerFaultError("who knows", path="pre/a/2"),
    }

    async def delete(some: Sequence[str]) -> Mapping[str, StoreError]:
        await real([key for key in some if key not in answers])
        return {key: answers[key] for key in some if key in answers}

    monkeypatch.setattr(mirrored.store, "delete_objects", delete)
    for name in ("a/1", "a/2", "c"):
        (mirrored.root / name).unlink()
    ran = await mirrored.run(deletes(mirrored))
    assert told(ran) == {"pre/a/1": Fate.FAILED, "pre/a/2": Fate.FAILED, **keys("c")}
    assert ran.summary.exit_code == 1
    assert b"a/1" in on_record(mirrored, Table.COMPLETE)
    assert on_record(mirrored, Table.CONDEMNED) == {b"a/2"}
    assert b"a/2" not in on_record(mirrored, Table.COMPLETE)
    answers.clear()
    assert told(await mirrored.run(deletes(mirrored))) == keys("a/1", "a/2")
    assert mirrored.bucket() == mirrored.tree()
    assert not on_record(mirrored, Table.CONDEMNED)


async def test_a_store_that_lets_nobody_delete_is_asked_once(mirrored: House, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []

    async def delete(some: Sequence[str]) -> Mapping[str, StoreError]:
        asked.append(len(some))
        raise AccessDeniedError("not you", op="DeleteObjects")

    monkeypatch.setattr(mirrored.store, "delete_objects", delete)
    monkeypatch.setattr(deleting, "MOST_DELETED", 1)
    monkeypatch.setattr(deleting, "_TOGETHER", 1)
    shutil.rmtree(mirrored.root / "a")
    ran = await mirrored.run(deletes(mirrored))
    assert asked == [1]
    assert "not you" in result(ran).refusal
    assert ran.summary.exit_code == 1
    assert len(on_record(mirrored, Table.COMPLETE)) == len(NAMES)


async def test_the_journal_forgets_before_the_store_deletes(mirrored: House, monkeypatch: pytest.MonkeyPatch) -> None:
    (mirrored.root / "c").unlink()

    class Killed(BaseException):
        """As if the process were gone."""

    async def delete(some: Sequence[str]) -> Mapping[str, StoreError]:
        for key in some:
            del mirrored.store.objects[key]
        raise Killed

    monkeypatch.setattr(mirrored.store, "delete_objects", delete)
    with pytest.raises(BaseExceptionGroup):
        await mirrored.run(deletes(mirrored))
    monkeypatch.undo()
    assert b"c" not in on_record(mirrored, Table.COMPLETE)
    assert on_record(mirrored, Table.CONDEMNED) == {b"c"}
    mirrored.write("c", b"c")
    ran = await mirrored.run()
    assert ran.outcome(b"c") is Outcome.COMPLETE, "it has its former bytes back, and is sent all the same"
    ran = await mirrored.run(deletes(mirrored))
    assert told(ran) == {}
    assert not on_record(mirrored, Table.CONDEMNED)
    assert mirrored.bucket() == mirrored.tree()


async def test_an_object_that_another_file_has_the_key_of_stays(house: House) -> None:
    house.write("from/f", b"same")
    house.write("x", b"x")
    remaps = (Remap("from", "to"),)
    await house.run(house.options(remaps=remaps))
    # What a kill may leave: a condemned object, and by the next run another file of the same key, with the same bytes.
    journal = Journal(house.settings.journal or house.root, Belongs("", "s3://bucket/pre", ""))
    directory = journal.known(b"from", None).directory
    journal.submit([Condemn(directory, b"f")]).result()
    journal.close()
    (house.root / "from/f").unlink()
    house.write("to/f", b"same")
    ran = await house.run(deletes(house, remaps=remaps))
    assert told(ran) == {}
    assert house.bucket() == {"pre/to/f": b"same", "pre/x": b"x"}


class TestUnknown:
    """`--delete-unknown`."""

    @pytest.fixture
    def littered(self, mirrored: House) -> House:
        some = mirrored.store.objects["pre/c"]
        for key in ("pre/left/over", "pre/a/x", "pre/../up", "pre//twice", "elsewhere", "prefix", "pre/.asyncmirror-probe/n/x"):
            mirrored.store.objects[key] = some
        return mirrored

    async def test_without_it_they_stay(self, littered: House) -> None:
        assert told(await littered.run(deletes(littered))) == {}

    async def test_what_neither_journal_nor_source_knows_goes(self, littered: House) -> None:
        ran = await littered.run(deletes(littered, delete_unknown=True))
        foreign = dict.fromkeys(("pre/../up", "pre//twice"), Fate.LEFT)
        assert told(ran) == {**keys("left/over", "a/x"), **foreign}
        kept = {"elsewhere", "prefix", "pre/.asyncmirror-probe/n/x", *foreign, *(f"pre/{name}" for name in NAMES)}
        assert littered.store.objects.keys() == kept

    async def test_what_has_a_file_or_is_left_out_stays(self, littered: House) -> None:
        littered.write("left/over", b"not on record: it is excluded")
        rules = (Rule(include=False, pattern="/left/"), Rule(include=False, pattern="x"))
        ran = await littered.run(deletes(littered, delete_unknown=True, rules=rules))
        assert Fate.DELETED not in told(ran).values()

    async def test_remapped_keys_lead_back_to_their_files(self, house: House) -> None:
        house.write("from/f", b"x")
        remaps = (Remap("from", "to"),)
        await house.run(house.options(remaps=remaps))
        house.store.objects["pre/to/g"] = house.store.objects["pre/from/g"] = house.store.objects["pre/to/f"]
        ran = await house.run(deletes(house, remaps=remaps, delete_unknown=True))
        assert told(ran) == keys("to/g", "from/g")
        assert house.store.objects.keys() == {"pre/to/f"}

    async def test_what_no_release_leads_to_stays(self, house: House) -> None:
        for name in ("dr1/file", "dr1/raw/x"):
            house.write(name, b"x")
        within, remaps = ("dr1",), (Remap("dr1/raw", "raw"),)
        await house.run(house.options(within=within, remaps=remaps))
        other = house.store.objects["pre/dr1/file"]
        house.store.objects.update({f"pre/{name}": other for name in ("dr1/raw/y", "raw/z/y", "edr/y", "dr1/y")})
        ran = await house.run(deletes(house, within=within, remaps=remaps, delete_unknown=True))
        assert told(ran) == keys("dr1/y")

    async def test_a_dry_run_tells_of_them(self, littered: House) -> None:
        ran = await littered.run(deletes(littered, delete_unknown=True, dry_run=True))
        assert {key for key, fate in told(ran).items() if fate is Fate.PLANNED} == {"pre/left/over", "pre/a/x"}
        assert "pre/left/over" in littered.store.objects

    def test_it_is_nothing_by_itself(self, house: House) -> None:
        with pytest.raises(UsageError, match="nothing without it"):
            house.options(delete_unknown=True)


async def test_what_was_not_asked_for_because_the_run_ended_has_not_failed(
    mirrored: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    (mirrored.root / "c").unlink()
    mirrors: list[Mirror] = []
    real = standing.look

    async def paused(store: Store, prefix: str, keys: Sequence[str]) -> dict[str, RemoteObject | StoreError | None]:
        mirrors[0].pause()
        asyncio.get_running_loop().call_soon(mirrors[0].drain)
        return await real(store, prefix, keys)

    monkeypatch.setattr(standing, "look", paused)
    ran = await mirrored.run(deletes(mirrored), watch=lambda mirror, _: mirrors.append(mirror))
    assert told(ran) == {}
    assert "pre/c" in mirrored.store.objects
    assert result(ran).refusal == "the run was stopped"


@pytest.mark.parametrize("how", ["drain", "stop"])
async def test_a_deletion_that_is_stopped_goes_on_in_the_next_run(
    mirrored: House, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    monkeypatch.setattr(deleting, "MOST_DELETED", 1)
    monkeypatch.setattr(deleting, "_TOGETHER", 1)
    shutil.rmtree(mirrored.root / "a")

    real = mirrored.store.delete_objects
    mirrors: list[Mirror] = []

    async def delete(some: Sequence[str]) -> Mapping[str, StoreError]:
        failed = await real(some)
        getattr(mirrors[0], how)()
        await asyncio.sleep(0)
        return failed

    monkeypatch.setattr(mirrored.store, "delete_objects", delete)
    ran = await mirrored.run(deletes(mirrored), watch=lambda mirror, _: mirrors.append(mirror))
    assert result(ran).refusal == "the run was stopped"
    assert ran.summary.stopped
    assert told(ran) == (keys("a/1") if how == "drain" else {})
    assert on_record(mirrored, Table.CONDEMNED) == (set() if how == "drain" else {b"a/1"})
    monkeypatch.setattr(mirrored.store, "delete_objects", real)
    await mirrored.run(deletes(mirrored))
    assert mirrored.bucket() == mirrored.tree()
    assert not on_record(mirrored, Table.CONDEMNED)


async def test_a_stop_waits_for_the_look_to_end(mirrored: House, monkeypatch: pytest.MonkeyPatch) -> None:
    real, ended = look.Look.run, asyncio.Event()
    loop = asyncio.get_running_loop()

    def run(each: look.Look, stopped: Callable[[], bool]) -> None:
        loop.call_soon_threadsafe(mirrors[0].stop)
        while not stopped():
            pass
        real(each, lambda: False)
        loop.call_soon_threadsafe(ended.set)

    mirrors: list[Mirror] = []
    monkeypatch.setattr(look.Look, "run", run)
    (mirrored.root / "c").unlink()
    ran = await mirrored.run(deletes(mirrored), watch=lambda mirror, _: mirrors.append(mirror))
    assert ran.summary.stopped
    assert ended.is_set()
    assert "pre/c" in mirrored.store.objects


async def test_each_run_of_a_mirror_that_stays_open_deletes_for_itself(mirrored: House) -> None:
    async with Mirror(deletes(mirrored), mirrored.store) as mirror:
        for name in ("c", "d/4"):
            (mirrored.root / name).unlink()
            assert told(Ran([event async for event in mirror.run()])) == keys(name)
        assert result(Ran([event async for event in mirror.run()])) == Deletions()
    assert mirrored.bucket() == mirrored.tree()
