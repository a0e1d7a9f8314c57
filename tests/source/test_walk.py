import os
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from asyncmirror.errors import UsageError
from asyncmirror.model import Outcome
from asyncmirror.plan.filters import Filters
from asyncmirror.settings import Rule, Stubs, Symlinks
from asyncmirror.source import walk
from asyncmirror.source.beneath import Beneath
from asyncmirror.source.walk import Directory, Listing, Oddity, Walker

Walk = Callable[..., list[Listing]]


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    root = tmp_path / "tree"
    (root / "a" / "b").mkdir(parents=True)
    (root / "top.txt").write_bytes(b"top")
    (root / "a" / "one").write_bytes(b"1")
    (root / "a" / "b" / "two").write_bytes(b"22")
    return root


@pytest.fixture
def listings(tree: Path) -> Iterator[Walk]:
    beneath = Beneath(tree)

    def run(
        symlinks: Symlinks = Symlinks.SKIP, stubs: Stubs = Stubs.SKIP, rules: tuple[Rule, ...] = (), threads: int = 3
    ) -> list[Listing]:
        found: list[Listing] = []
        Walker(beneath, Filters(rules), symlinks, stubs, found.append, threads).run()
        return found

    yield run
    beneath.close()


def files(listings: list[Listing]) -> dict[bytes, int]:
    return {listing.directory.child(file.name): file.identity.size for listing in listings for file in listing.files}


def oddities(listings: list[Listing]) -> dict[bytes, tuple[Outcome, str]]:
    return {
        listing.directory.child(odd.name) if odd.name else listing.directory.path: (odd.outcome, odd.reason)
        for listing in listings
        for odd in listing.oddities
    }


@pytest.mark.parametrize("threads", [1, 4])
def test_every_regular_file_is_found_once(listings: Walk, threads: int) -> None:
    found = listings(threads=threads)
    assert files(found) == {b"top.txt": 3, b"a/one": 1, b"a/b/two": 2}
    assert sum(len(listing.files) for listing in found) == 3
    assert oddities(found) == {}


def test_an_identity_is_what_stat_says(tree: Path, listings: Walk) -> None:
    status = (tree / "top.txt").stat()
    (file,) = next(listing.files for listing in listings() if listing.directory.path == b"")
    expected = (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
    assert file.identity == expected


def test_names_are_bytes(tree: Path, listings: Walk) -> None:
    names = [b"\xff\xfe", b"new\nline", b"esc\x1b[31m", "é".encode(), "e\u0301".encode(), b"100%25", b" "]
    for name in names:
        (tree / os.fsdecode(name)).write_bytes(b"x")
    assert set(names) <= set(files(listings()))


@pytest.mark.hazard(34)
def test_what_has_no_bytes_is_reported_and_never_opened(tree: Path, listings: Walk) -> None:
    os.mkfifo(tree / "fifo")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tree / "socket"))
        found = oddities(listings())
    assert found[b"fifo"] == (Outcome.UNSUPPORTED, "a FIFO has no bytes to mirror")
    assert found[b"socket"] == (Outcome.UNSUPPORTED, "a socket has no bytes to mirror")


def test_an_empty_directory_is_named(tree: Path, listings: Walk) -> None:
    (tree / "a" / "empty").mkdir()
    assert oddities(listings()) == {b"a/empty": (Outcome.EXCLUDED, "an empty directory: S3 has no directories")}


@pytest.mark.hazard(33)
def test_a_directory_that_vanished_is_reported_and_the_walk_goes_on(tree: Path) -> None:
    beneath = Beneath(tree)
    found: list[Listing] = []

    def emit(listing: Listing) -> None:
        if listing.directory.path == b"":
            (tree / "a").rename(tree.parent / "gone")
        found.append(listing)

    Walker(beneath, Filters(()), Symlinks.SKIP, Stubs.SKIP, emit, 1).run()
    beneath.close()
    assert oddities(found) == {b"a": (Outcome.UNREADABLE, "directory not listed: list: it vanished")}
    assert files(found) == {b"top.txt": 3}


@pytest.mark.hazard(35)
def test_a_directory_swapped_for_a_link_does_not_lead_outside(tree: Path) -> None:
    outside = tree.parent / "outside"
    outside.mkdir()
    (outside / "secret").write_bytes(b"secret")
    beneath = Beneath(tree)
    found: list[Listing] = []

    def emit(listing: Listing) -> None:
        if listing.directory.path == b"":
            (tree / "a").rename(tree.parent / "gone")
            (tree / "a").symlink_to(outside)
        found.append(listing)

    Walker(beneath, Filters(()), Symlinks.SKIP, Stubs.SKIP, emit, 1).run()
    beneath.close()
    assert b"a/secret" not in files(found)
    assert oddities(found)[b"a"][0] is Outcome.UNREADABLE


def link_farm(tree: Path) -> None:
    outside = tree.parent / "outside"
    outside.mkdir()
    (outside / "secret").write_bytes(b"secret")
    (tree / "to_file").symlink_to("a/one")
    (tree / "to_directory").symlink_to("a/b")
    (tree / "broken").symlink_to("nowhere")
    (tree / "outward").symlink_to(outside)
    (tree / "outward_file").symlink_to(outside / "secret")
    (tree / "a" / "up").symlink_to("..")
    (tree / "self").symlink_to("self")


def test_links_are_skipped_and_reported_by_default(tree: Path, listings: Walk) -> None:
    link_farm(tree)
    found = listings()
    assert set(files(found)) == {b"top.txt", b"a/one", b"a/b/two"}
    assert {path for path, (outcome, _) in oddities(found).items() if outcome is Outcome.UNSUPPORTED} == {
        b"to_file",
        b"to_directory",
        b"broken",
        b"outward",
        b"outward_file",
        b"a/up",
        b"self",
    }


@pytest.mark.hazard(34, 35)
def test_links_are_followed_inside_the_source_only_and_never_in_circles(tree: Path, listings: Walk) -> None:
    link_farm(tree)
    found = listings(symlinks=Symlinks.FOLLOW)
    assert files(found) == {b"top.txt": 3, b"a/one": 1, b"a/b/two": 2, b"to_file": 1, b"to_directory/two": 2}
    reasons = {path: reason for path, (_, reason) in oddities(found).items()}
    assert reasons == {
        b"broken": "a broken symbolic link",
        b"outward": "a symbolic link that leads outside the source",
        b"outward_file": "a symbolic link that leads outside the source",
        b"a/up": "a symbolic link that leads in a circle",
        b"self": "a symbolic link that leads in a circle",
    }


def test_links_are_recorded_with_their_targets(tree: Path, listings: Walk) -> None:
    link_farm(tree)
    found = listings(symlinks=Symlinks.RECORD)
    targets = {listing.directory.child(f.name): f.target for listing in found for f in listing.files if f.target}
    assert targets[b"broken"] == b"nowhere"
    assert targets[b"a/up"] == b".."
    assert targets[b"outward_file"] == os.fsencode(tree.parent / "outside" / "secret")
    assert oddities(found) == {}


def test_a_file_without_blocks_is_not_recalled_from_tape_unless_asked(tree: Path, listings: Walk) -> None:
    with (tree / "stub").open("wb") as file:
        file.truncate(1 << 20)
    assert oddities(listings())[b"stub"][0] is Outcome.UNSUPPORTED
    assert files(listings(stubs=Stubs.READ))[b"stub"] == 1 << 20


def test_an_excluded_directory_is_not_entered(listings: Walk) -> None:
    found = listings(rules=(Rule(include=False, pattern="b/"),))
    assert set(files(found)) == {b"top.txt", b"a/one"}
    assert oddities(found) == {b"a/b": (Outcome.EXCLUDED, "--exclude b/")}


@pytest.mark.hazard(39)
def test_a_large_directory_comes_in_pieces(tree: Path, listings: Walk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(walk, "CHUNK", 10)
    for n in range(35):
        (tree / "a" / "b" / f"{n}").touch()
    pieces = [listing for listing in listings() if listing.directory.path == b"a/b"]
    assert [len(piece.files) for piece in pieces] == [10, 10, 10, 6]
    assert not any(piece.whole for piece in pieces)


@pytest.mark.hazard(39)
def test_many_directories_are_not_all_remembered(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(walk, "_PENDING", 3)
    for n in range(50):
        (tree / f"d{n}" / "sub").mkdir(parents=True)
        (tree / f"d{n}" / "sub" / "f").touch()
    beneath = Beneath(tree)
    found: list[Listing] = []
    walker = Walker(beneath, Filters(()), Symlinks.SKIP, Stubs.SKIP, found.append, 1)
    most = 0

    class Watched(list[walk.Directory]):
        def append(self, item: walk.Directory) -> None:
            nonlocal most
            super().append(item)
            most = max(most, len(self))

    walker._pending = Watched(walker._pending)
    walker.run()
    beneath.close()
    assert len(files(found)) == 53
    assert most == 4


def test_a_walk_can_be_stopped_while_emit_blocks_it(tree: Path) -> None:
    beneath = Beneath(tree)
    entered, release = threading.Event(), threading.Event()

    def emit(_: Listing) -> None:
        entered.set()
        release.wait(10)

    walker = Walker(beneath, Filters(()), Symlinks.SKIP, Stubs.SKIP, emit, 2)
    thread = threading.Thread(target=walker.run)
    thread.start()
    assert entered.wait(10)
    walker.stop()
    release.set()
    thread.join(10)
    assert not thread.is_alive()
    beneath.close()


def test_what_emit_raises_ends_the_walk_and_is_raised(tree: Path) -> None:
    beneath = Beneath(tree)

    def emit(_: Listing) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        Walker(beneath, Filters(()), Symlinks.SKIP, Stubs.SKIP, emit, 3).run()
    beneath.close()


@pytest.mark.parametrize(("name", "said"), [("missing", "does not exist"), ("top.txt", "not a directory")])
def test_a_source_that_is_no_directory_is_a_usage_error(tree: Path, name: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        Beneath(tree / name)


def test_no_descriptor_is_left_open(tree: Path) -> None:
    before = len(os.listdir("/proc/self/fd"))
    beneath = Beneath(tree)
    Walker(beneath, Filters(()), Symlinks.FOLLOW, Stubs.SKIP, lambda _: None, 4).run()
    beneath.close()
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_named_file_that_has_vanished_since_is_told_of(tree: Path) -> None:
    (tree / "beside").write_bytes(b"")
    found: list[Listing] = []
    with closing(Beneath(tree)) as beneath:
        start = Directory(b"", b"", only=frozenset({b"top.txt", b"gone"}))
        Walker(beneath, Filters(()), Symlinks.SKIP, Stubs.SKIP, found.append, 1, [start]).run()
    (listing,) = found
    assert ([file.name for file in listing.files], listing.whole) == ([b"top.txt"], False)
    assert listing.oddities == [Oddity(b"gone", Outcome.UNREADABLE, "it vanished")]
