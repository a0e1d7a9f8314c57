"""Runs that look at a part of the source."""

import errno
import os

import pytest

from asyncmirror.errors import UsageError
from asyncmirror.model import Outcome
from asyncmirror.settings import Symlinks
from asyncmirror.source.beneath import Beneath
from tests.audit.test_verify import verify
from tests.engine.house import House

NAMES = ("a/x", "a/b/y", "a/b/c/d", "ab/z", "c/w", "c/v", "top", "other")


@pytest.fixture
def full(house: House) -> House:
    for name in NAMES:
        house.write(name, name.encode())
    return house


@pytest.mark.parametrize(
    ("subdirs", "found"),
    [
        (("a",), {"a/x", "a/b/y", "a/b/c/d"}),
        (("a/b", "a", "a/b/c"), {"a/x", "a/b/y", "a/b/c/d"}),
        (("a/b/c", "c"), {"a/b/c/d", "c/w", "c/v"}),
        (("c/w", "top"), {"c/w", "top"}),
        (("c/w", "a/b/y", "a/b"), {"c/w", "a/b/y", "a/b/c/d"}),
        ((), set(NAMES)),
    ],
)
async def test_only_what_is_named_is_looked_at_and_once(full: House, subdirs: tuple[str, ...], found: set[str]) -> None:
    ran = await full.run(full.options(subdirs=subdirs))
    assert full.bucket().keys() == {f"pre/{name}" for name in found}
    assert len(ran.events) == len(found) + 2
    assert ran.summary.exit_code == 0


async def test_a_part_is_not_the_whole_and_what_the_mirror_is_of_is(full: House) -> None:
    await full.run(full.options(within=("a", "c"), subdirs=("c",)))
    assert full.bucket().keys() == {"pre/c/w", "pre/c/v"}
    assert (await verify(full)).report.exit_code == 3  # nobody has seen the whole source
    await full.run(full.options(within=("a", "c")))
    assert (await verify(full)).report.exit_code == 0
    await full.run(full.options(within=("a", "c"), subdirs=("c",)))
    assert (await verify(full)).report.exit_code == 0


async def test_what_is_beside_a_named_file_stays_as_it_is_on_record(full: House) -> None:
    await full.run()
    (full.root / "c/w").write_bytes(b"changed")
    (full.root / "c/v").unlink()
    ran = await full.run(full.options(subdirs=("c/w",)))
    assert {path: event.outcome for path, event in ran.settled.items()} == {b"c/w": Outcome.COMPLETE}


@pytest.mark.parametrize(("symlinks", "outcome"), [(Symlinks.SKIP, Outcome.UNSUPPORTED), (Symlinks.RECORD, Outcome.COMPLETE)])
async def test_a_link_is_named_as_itself(full: House, symlinks: Symlinks, outcome: Outcome) -> None:
    (full.root / "link").symlink_to("a")
    ran = await full.run(full.options(subdirs=("link",), symlinks=symlinks))
    assert {path: event.outcome for path, event in ran.settled.items()} == {b"link": outcome}


@pytest.mark.parametrize("name", ["none", "a/none", "top/x"])
async def test_what_is_not_there_is_refused_before_anything_is_sent(full: House, name: str) -> None:
    with pytest.raises(UsageError, match="the source has no"):
        await full.run(full.options(subdirs=("a", name)))
    assert not full.store.sent


async def test_a_scan_that_begins_below_a_link_or_a_circle_sees_what_one_from_the_root_sees(full: House) -> None:
    (full.root / "a/b/up").symlink_to("..")
    (full.root / "c/link").symlink_to("../a")
    (full.root / "c/top").symlink_to("..")
    (full.root / "c/file").symlink_to("../a/x")
    everything = await full.run(full.options(symlinks=Symlinks.FOLLOW, dry_run=True))
    for start in ("a", "a/b", "c", "c/link", "c/link/b", "c/link/b/up", "c/link/x", "c/file"):
        ran = await full.run(full.options(symlinks=Symlinks.FOLLOW, dry_run=True, subdirs=(start,)))
        below = os.fsencode(start)
        assert ran.settled == {
            path: event for path, event in everything.settled.items() if path == below or path.startswith(below + b"/")
        }


@pytest.mark.parametrize("name", ["c/link/x", "c/out/x"])
async def test_what_is_behind_a_link_that_is_not_followed_is_refused(full: House, name: str) -> None:
    (full.root / "c/link").symlink_to("../a")
    (full.root / "c/out").symlink_to("/")
    symlinks = Symlinks.FOLLOW if "out" in name else Symlinks.SKIP
    with pytest.raises(UsageError, match="not a directory"):
        await full.run(full.options(subdirs=(name,), symlinks=symlinks))


async def test_what_may_not_be_listed_is_reported_and_the_rest_is_sent(full: House, monkeypatch: pytest.MonkeyPatch) -> None:
    open_directory = Beneath.open_directory

    def refuse(beneath: Beneath, location: bytes) -> int:
        if location == b"a/b":
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        return open_directory(beneath, location)

    monkeypatch.setattr(Beneath, "open_directory", refuse)
    ran = await full.run(full.options(subdirs=("a/b", "c/w")))
    assert {path: event.outcome for path, event in ran.settled.items()} == {
        b"a/b": Outcome.UNREADABLE,
        b"c/w": Outcome.COMPLETE,
    }
