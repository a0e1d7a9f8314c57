import contextlib
import os
import signal
import tempfile
import threading
from pathlib import Path

import pytest

from asyncmirror.engine.crawl import Crawl, Totals
from asyncmirror.errors import OutputError, UsageError
from asyncmirror.formats.spool import Spool
from asyncmirror.plan.outline import Kind, Move, Step
from asyncmirror.settings import Symlinks
from asyncmirror.source.walk import Walker


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    root = tmp_path / "edr"
    (root / "docs" / "deep").mkdir(parents=True)
    (root / "empty").mkdir()
    (root / "docs" / "README").write_bytes(b"readme")
    (root / "docs" / "deep" / "image").write_bytes(b"x" * 100)
    (root / "link").symlink_to("docs/README")
    (root / "broken").symlink_to("nowhere")
    os.mkfifo(root / "fifo")
    return root


def crawl(root: Path, symlinks: Symlinks = Symlinks.SKIP) -> tuple[Totals, dict[bytes, tuple[Kind, int]]]:
    spool = Spool()
    totals = Crawl(spool, symlinks).run(root, 3)
    found = {step.name: (step.kind, step.size) for step in spool.steps(b"edr") if step.move is not Move.LEAVE}
    spool.close()
    return totals, found


def test_everything_is_found_with_its_size(tree: Path) -> None:
    totals, found = crawl(tree)
    assert totals == Totals(files=2, size=106, unknown=3, unreadable=0)
    assert found == {
        b"edr": (Kind.DIRECTORY, 106),
        b"docs": (Kind.DIRECTORY, 106),
        b"deep": (Kind.DIRECTORY, 100),
        b"image": (Kind.FILE, 100),
        b"README": (Kind.FILE, 6),
        b"empty": (Kind.DIRECTORY, 0),
        b"link": (Kind.UNKNOWN, 0),
        b"broken": (Kind.UNKNOWN, 0),
        b"fifo": (Kind.UNKNOWN, 0),
    }


@pytest.mark.parametrize(("symlinks", "size", "unknown"), [(Symlinks.FOLLOW, 6, 2), (Symlinks.RECORD, 0, 1)])
def test_a_link_counts_as_sync_would_treat_it(tree: Path, symlinks: Symlinks, size: int, unknown: int) -> None:
    totals, found = crawl(tree, symlinks)
    assert found[b"link"] == (Kind.FILE, size)
    assert totals.unknown == unknown


def test_a_file_on_tape_counts_with_its_size(tree: Path) -> None:
    with (tree / "stub").open("wb") as file:
        file.truncate(1 << 20)
    assert crawl(tree)[1][b"stub"] == (Kind.FILE, 1 << 20)


def test_a_directory_that_can_not_be_listed_is_told_marked_and_passed_over(tree: Path) -> None:
    spool = Spool()
    told: list[tuple[bytes, str]] = []

    def vanish(_: Totals) -> None:
        if (tree / "docs").exists():  # the root has been listed, and with one thread nothing else
            (tree / "docs").rename(tree.parent / "gone")

    totals = Crawl(spool, on_progress=vanish, on_unreadable=lambda path, reason: told.append((path, reason))).run(tree, 1)
    assert told == [(b"docs", "directory not listed: list: it vanished")]
    assert totals == Totals(files=0, size=0, unknown=3, unreadable=1)
    assert Step(Move.ENTRY, b"docs", Kind.UNREADABLE, 0) in list(spool.steps(b"edr"))
    spool.close()


def test_a_full_disk_ends_a_crawl(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with open("/dev/full", "wb", buffering=0) as file:
        monkeypatch.setattr(tempfile, "TemporaryFile", lambda **_: file)
        with pytest.raises(OutputError, match="No space left"):
            Crawl(Spool()).run(tree, 3)


def test_ctrl_c_ends_a_crawl_before_the_end_of_the_tree(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for n in range(200):
        (tree / f"d{n}").mkdir()
    main, listed = threading.get_ident(), []

    def interrupt(_: Totals) -> None:
        signal.pthread_kill(main, signal.SIGINT)
        listed.append(stopping.wait(10))

    stopping = threading.Event()
    before = Walker.stop

    def stop(walker: Walker) -> None:
        before(walker)
        stopping.set()

    monkeypatch.setattr(Walker, "stop", stop)
    with contextlib.closing(Spool()) as spool, pytest.raises(KeyboardInterrupt):
        Crawl(spool, on_progress=interrupt).run(tree, 1)
    assert listed == [True]


def test_a_root_that_is_no_directory_is_refused(tree: Path) -> None:
    spool = Spool()
    with pytest.raises(UsageError, match="not a directory"):
        Crawl(spool).run(tree / "docs" / "README")
    spool.close()
