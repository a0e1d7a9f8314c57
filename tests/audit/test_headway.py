"""Looks that read, stopped and gone on with: what is read again, and what must not be passed over."""

import asyncio
import os
import shutil
import sqlite3
import time
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

import pytest

from asyncmirror.audit import headway, verify
from asyncmirror.audit.contents import Contents
from asyncmirror.audit.merge import Finding, Verdict
from asyncmirror.audit.sidecars import Sidecars
from asyncmirror.errors import BucketError
from asyncmirror.journal import looks
from asyncmirror.journal.ordered import Kept
from tests.audit.test_sidecars import seal
from tests.audit.test_verify import OF, Pass
from tests.audit.test_verify import verify as passed
from tests.engine.house import House

FILES = [f"d{number % 3}/file-{number:02}" for number in range(30)]
PAGE = 4


class Reads:
    """Counts what is read, and has the pass fail at one of them."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.keys: list[str] = []
        self.left = 1000
        inspect = Contents.inspect

        async def counted(contents: Contents, kept: Kept) -> Finding:
            if not self.left:
                raise BucketError("the network is gone")
            self.left -= 1
            self.keys.append(kept.key.removeprefix("pre/"))
            return await inspect(contents, kept)

        monkeypatch.setattr(Contents, "inspect", counted)

    async def stopped(self, house: House, after: int, *, deep: bool = True, download: bool = False) -> set[str]:
        """A look that ends after so many reads; gives what it read."""
        self.keys.clear()
        self.left = after
        with pytest.raises(BucketError):
            await passed(house, deep=deep, download=download)
        self.left = 1000
        return set(self.keys)

    async def whole(self, house: House, *, deep: bool = True, **changes: object) -> tuple[Pass, set[str]]:
        """A look to its end, and what it read."""
        self.keys.clear()
        done = await passed(house, of=OF, deep=deep, **changes)
        assert len(set(self.keys)) == len(self.keys)
        return done, set(self.keys)


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> Reads:
    monkeypatch.setattr(verify, "PAGE", PAGE)
    monkeypatch.setattr(headway, "_SAVE", 0.0)
    return Reads(monkeypatch)


@pytest.fixture
async def house(tmp_path: Path) -> House:
    house = House(tmp_path)
    for name in FILES:
        house.write(name, name.encode())
    await house.run()
    return house


async def test_what_agreed_is_not_read_again(house: House, reads: Reads) -> None:
    first = await reads.stopped(house, 12)
    second = await reads.stopped(house, 8)
    done, third = await reads.whole(house)
    assert first | second | third == set(FILES)
    # Of what is read at a time, a range may be left that is read again.
    assert len(first & second) <= 2 * PAGE
    assert len(third) <= len(FILES) - 12 - 8 + 2 * 2 * PAGE
    assert (done.report.earlier, done.report.exit_code) == (len(FILES) - len(third), 0)
    assert done.report.counts[Verdict.EQUAL] == len(FILES)
    _, again = await reads.whole(house)
    assert again == set(FILES)


async def test_a_look_that_was_stopped_says_since_when_it_looks(house: House, reads: Reads) -> None:
    before = time.time()
    await reads.stopped(house, 12)
    between = time.time()
    done, _ = await reads.whole(house)
    assert before <= done.report.began <= between
    assert (await reads.whole(house))[0].report.began >= between


@pytest.mark.parametrize("deep", [True, False])
async def test_what_did_not_agree_is_found_again(house: House, reads: Reads, *, deep: bool) -> None:
    name = sorted(FILES)[2]
    if deep:
        path = house.root / name
        state = path.stat()
        path.write_bytes(bytes(state.st_size))
        os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns))
    else:
        stored = house.store.objects[f"pre/{name}"]
        house.store.objects[f"pre/{name}"] = stored._replace(data=bytes(stored.size))
    await reads.stopped(house, 12, deep=deep, download=not deep)
    done, read = await reads.whole(house, deep=deep, download=not deep)
    assert len(read) < len(FILES)
    assert done.findings.keys() == {f"pre/{name}"}
    assert done.report.exit_code == 3


async def test_what_a_run_has_sent_since_is_read(house: House, reads: Reads) -> None:
    first = await reads.stopped(house, 12)
    name = min(first)
    house.write(name, b"new content")
    house.write("d0/a-new-one", b"new")
    await house.run()
    _, second = await reads.whole(house)
    assert {name, "d0/a-new-one"} <= second
    assert len(second) < len(FILES)


async def test_what_happened_in_the_bucket_since_is_found(house: House, reads: Reads) -> None:
    first = sorted(await reads.stopped(house, 12))
    del house.store.objects[f"pre/{first[0]}"]
    done, _ = await reads.whole(house, repair=True)
    assert done.verdicts == {f"pre/{first[0]}": Verdict.MISSING}
    assert done.report.repaired == 1


@pytest.mark.parametrize("why", ["asked", "old", "another"])
async def test_a_look_begins_anew(house: House, reads: Reads, why: str) -> None:
    await reads.stopped(house, 12)
    assert house.settings.journal is not None
    if why == "old":
        with closing(sqlite3.connect(house.settings.journal)) as connection, connection:
            connection.execute("UPDATE look SET began = began - ?", (31 * 86400,))
    changes = {"asked": {"restart": True}, "old": {}, "another": {"download": True}}[why]
    done, read = await reads.whole(house, **changes)
    assert (read, done.report.earlier) == (set(FILES), 0)
    assert (await reads.whole(house))[1] == set(FILES)


async def test_a_look_at_the_listing_leaves_another_as_it_is(house: House, reads: Reads) -> None:
    await reads.stopped(house, 12)
    assert (await passed(house)).report.earlier == 0
    assert (await reads.whole(house))[0].report.earlier


async def test_checksum_files_are_gone_on_with(house: House, reads: Reads, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(3):
        where = house.root / f"d{number}"
        seal(house, f"d{number}/sums-{number}.sha256sum", *sorted(path.name for path in where.iterdir()))
    house.write("d0/file-00", b"damaged before it was sent")
    await house.run()
    check = Sidecars.check
    checked: list[bytes] = []
    failing = [True]
    done = headway.Headway.done
    came_past_the_second = asyncio.Event()

    async def fail_at_the_last(sidecars: Sidecars, kept: Kept) -> AsyncIterator[Finding]:
        checked.append(kept.parent)
        if kept.parent == b"d2" and failing.pop():
            await came_past_the_second.wait()
            raise BucketError("the network is gone")
        async for finding in check(sidecars, kept):
            yield finding

    async def note(self: headway.Headway, kept: Kept) -> None:
        await done(self, kept)
        if self._behind >= "pre/d1/sums-1.sha256sum":
            came_past_the_second.set()

    monkeypatch.setattr(Sidecars, "check", fail_at_the_last)
    monkeypatch.setattr(headway.Headway, "done", note)
    with pytest.raises(BucketError):
        await passed(house, sidecars=True)
    assert sorted(checked) == [b"d0", b"d1", b"d2"]
    checked.clear()
    failing.append(False)
    whole = await passed(house, sidecars=True)
    assert sorted(checked) == [b"d0", b"d2"]
    assert [finding.path for finding in whole.findings.values()] == [b"d0/file-00"]
    assert whole.report.exit_code == 3
    assert reads.keys == []


async def test_what_was_read_of_another_source_is_read_of_this_one(house: House, reads: Reads, tmp_path: Path) -> None:
    first = await reads.stopped(house, 12)
    copy = tmp_path / "copy"
    shutil.copytree(house.root, copy)
    for name in first:
        (copy / name).write_bytes(b"something else")
    done, read = await reads.whole(house, source=copy)
    assert read == set(FILES)
    assert done.report.exit_code == 3


@pytest.mark.parametrize("how", ["sent again", "deleted"])
async def test_a_checksum_file_is_read_again_where_a_run_has_changed_what_stands_with_it(
    house: House, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    for number in range(3):
        names = sorted(path.name for path in (house.root / f"d{number}").iterdir())
        seal(house, f"d{number}/sums-{number}.sha256sum", *names)
    await house.run()
    check, failing = Sidecars.check, [True]

    def fail_at_the_last(sidecars: Sidecars, kept: Kept) -> AsyncIterator[Finding]:
        if kept.parent == b"d2" and failing.pop():
            raise BucketError("the network is gone")
        return check(sidecars, kept)

    monkeypatch.setattr(headway, "_SAVE", 0.0)
    monkeypatch.setattr(verify, "PAGE", PAGE)
    monkeypatch.setattr(Sidecars, "check", fail_at_the_last)
    with pytest.raises(BucketError):
        await passed(house, sidecars=True)
    if how == "deleted":
        (house.root / "d0/file-00").unlink()
    else:
        house.write("d0/file-00", b"not what was sealed")
    await house.run(house.options(delete=True))
    failing.append(False)
    done = await passed(house, sidecars=True)
    assert b"d0/file-00" in [finding.path for finding in done.findings.values()]
    assert done.report.exit_code == 3


async def test_the_last_looks_are_on_record(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(looks, "_KEPT", 3)
    assert house.settings.journal is not None
    with closing(sqlite3.connect(house.settings.journal)) as connection:
        assert looks.last(connection) is None
    await passed(house, deep=True)
    (house.root / FILES[0]).unlink()
    await passed(house, deep=True, download=True)
    with closing(sqlite3.connect(house.settings.journal)) as connection:
        last = looks.last(connection)
        assert last is not None
        assert (last.kind, last.exit_code) == ("deep download", 3)
        assert last.began <= last.ended <= time.time()
        assert connection.execute("SELECT count(*) FROM sqlite_schema WHERE type = 'trigger'").fetchone() == (0,)
        assert connection.execute("SELECT count(*) FROM unread").fetchone() == (0,)
    for _ in range(4):
        await passed(house)
    with closing(sqlite3.connect(house.settings.journal)) as connection:
        assert connection.execute("SELECT count(*) FROM look").fetchone() == (3,)
