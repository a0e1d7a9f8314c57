"""What file systems and names do: rows 32 to 39 of docs/hazards.md."""

import asyncio
import os
import tracemalloc
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from asyncmirror.engine import distributing
from asyncmirror.engine.mirror import Mirror
from asyncmirror.events import Summary
from asyncmirror.model import Body, Checksum, Outcome, Properties, Stored
from asyncmirror.plan.parts import MAX_PARTS, part_size, parts
from asyncmirror.sizes import MIB
from asyncmirror.source import walk
from asyncmirror.source.beneath import Beneath
from asyncmirror.store.memory import MemoryStore
from tests.acceptance.command import Runner, Site, sync
from tests.acceptance.evidence import regular_files, wrong
from tests.acceptance.servers import serve
from tests.engine.house import House, Sent
from tests.hazards.faults import failing
from tests.hazards.strict import PART, PARTS, Strict

INCOMPLETE = 3
SLOPE = 70
"""Bytes of memory for each more file of a directory, at most. An event that was kept would be twice that."""


def grow(path: Path) -> None:
    with path.open("ab") as file:
        file.write(b"more")


def shrink(path: Path) -> None:
    os.truncate(path, path.stat().st_size - 1)


def rewrite(path: Path) -> None:
    with path.open("r+b") as file:
        file.seek(-8, os.SEEK_END)
        file.write(os.urandom(8))


@pytest.mark.hazard(32)
@pytest.mark.parametrize("change", [grow, shrink, rewrite])
@pytest.mark.parametrize("often", [1, 99], ids=["once", "again and again"])
async def test_a_large_file_that_changes_under_the_reader_is_retried_then_reported(
    house: House, change: Callable[[Path], None], often: int
) -> None:
    path = house.write("large", PARTS)
    house.write("other", b"x")
    left = [often]

    def before(sent: Sent) -> None:
        if sent.op == "UploadPart" and sent.part == 2 and left[0]:
            left[0] -= 1
            change(path)

    house.store.before = before
    ran = await house.run()
    assert ran.outcome(b"other") is Outcome.COMPLETE
    assert house.store.uploads == 0
    if often == 1:
        assert ran.outcome(b"large") is Outcome.COMPLETE
        assert house.bucket() == house.tree()
    else:
        assert ran.outcome(b"large") is Outcome.CHANGED
        assert ran.summary.exit_code == INCOMPLETE
        assert set(house.bucket()) == {"pre/other"}


@pytest.mark.hazard(32)
@pytest.mark.parametrize("change", [grow, shrink, rewrite])
@pytest.mark.parametrize("often", [1, 99], ids=["once", "again and again"])
async def test_a_small_file_that_changes_under_the_reader_is_retried_then_reported(
    house: House, monkeypatch: pytest.MonkeyPatch, change: Callable[[Path], None], often: int
) -> None:
    path = house.write("small", b"0123456789" * 10)
    house.write("other", b"x")
    pread = os.pread
    left = [often]

    def slow(descriptor: int, length: int, offset: int) -> bytes:
        data = pread(descriptor, length, offset)
        if data.startswith(b"0123") and left[0]:
            left[0] -= 1
            change(path)
        return data

    monkeypatch.setattr(os, "pread", slow)
    ran = await house.run()
    assert ran.outcome(b"other") is Outcome.COMPLETE
    if often == 1:
        assert ran.outcome(b"small") is Outcome.COMPLETE
        assert house.bucket() == house.tree()
    else:
        assert ran.outcome(b"small") is Outcome.CHANGED
        assert ran.summary.exit_code == INCOMPLETE
        assert set(house.bucket()) == {"pre/other"}


@pytest.mark.hazard(33)
@pytest.mark.parametrize(
    ("calls", "error", "said"),
    [
        ("openat", "ESTALE", "open: the file system's handle is stale"),
        ("openat", "EACCES", "open: permission denied"),
        ("pread64,preadv,preadv2", "EIO", "read: input/output error"),
    ],
)
def test_what_the_file_system_refuses_is_classified_and_the_run_goes_on(
    home: Path, site: Site, tree: Path, calls: str, error: str, said: str
) -> None:
    bad: list[str | Path] = [tree / "a" / "file-0", "file-0", tree / "large", "large"]
    (tree / "large").write_bytes(os.urandom(11 * MIB))
    options = ("--part-size", "5MiB", "--multipart-threshold", "8MiB")
    arguments = sync(tree, site, home / "journal", *options)
    run = Runner(home, site.environment(home), under=failing(bad, calls, error)).run(*arguments)
    assert run.code == INCOMPLETE, run.error
    refused = {path: (line["outcome"], line["reason"]) for path, line in run.objects.items() if line["outcome"] != "complete"}
    assert refused == {b"a/file-0": ("unreadable", said), b"large": ("unreadable", said)}
    assert run.summary["complete"] == 19

    again = Runner(home, site.environment(home)).run(*arguments)
    assert (again.code, again.summary["complete"], again.summary["unchanged"]) == (0, 2, 19)
    assert wrong(site, regular_files(tree)) == []


@pytest.mark.hazard(33)
def test_a_stale_handle_is_resolved_again(home: Path, site: Site, tree: Path) -> None:
    runner = Runner(home, site.environment(home), under=failing(["file-0", "b"], "openat", "ESTALE", "1+2"))
    run = runner.run(*sync(tree, site, home / "journal"))
    assert (run.code, run.error) == (0, "")
    assert wrong(site, regular_files(tree)) == []


@pytest.mark.hazard(34)
@pytest.mark.parametrize("swap", [os.mkfifo, lambda path: os.symlink(path.name, path)], ids=["FIFO", "link to itself"])
async def test_a_file_that_becomes_something_else_after_the_scan_is_listed_and_never_blocks(
    house: House, monkeypatch: pytest.MonkeyPatch, swap: Callable[[Path], None]
) -> None:
    for name, data in (("small", b"x"), ("large", PARTS), ("other", b"y")):
        house.write(name, data)
    open_file = Beneath.open_file

    def late(self: Beneath, directory: bytes, name: bytes) -> tuple[int, os.stat_result]:
        path = house.root / os.fsdecode(name)
        if name != b"other" and path.is_file():
            path.unlink()
            swap(path)
        return open_file(self, directory, name)

    monkeypatch.setattr(Beneath, "open_file", late)
    ran = await house.run()
    assert ran.outcome(b"other") is Outcome.COMPLETE
    assert ran.outcome(b"small") is ran.outcome(b"large") is Outcome.UNREADABLE
    assert ran.summary.exit_code == INCOMPLETE
    assert set(house.bucket()) == {"pre/other"}


@pytest.mark.hazard(35)
async def test_a_directory_swapped_for_a_link_between_scan_and_read_leads_nowhere(
    house: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    inside = house.write("d/small", b"inside").parent
    (outside / "small").write_bytes(b"secret")
    os.utime(outside / "small", ns=(1, 1))
    house.write("other", b"y")
    open_file = Beneath.open_file

    def late(self: Beneath, directory: bytes, name: bytes) -> tuple[int, os.stat_result]:
        if directory == b"d" and not inside.is_symlink():
            inside.rename(tmp_path / "moved")
            inside.symlink_to(outside)
        return open_file(self, directory, name)

    monkeypatch.setattr(Beneath, "open_file", late)
    ran = await house.run()
    assert ran.outcome(b"other") is Outcome.COMPLETE
    assert ran.outcome(b"d/small") is Outcome.UNREADABLE
    assert house.bucket() == {"pre/other": b"y"}


@pytest.mark.hazard(37)
async def test_twins_by_normalisation_and_by_case_are_two_objects_each(place: Strict) -> None:
    twins = ("\u00e9", "e\u0301", "Name", "name", "NAME", "\u212b", "\u00c5", "A\u030a")
    for number, name in enumerate(twins):
        place.write(f"{name}/file", b"%d" % number)
        place.write(f"large {name}", PARTS + b"%d" % number)
    ran = await place.run()
    assert (ran.count(Outcome.COMPLETE), ran.summary.exit_code) == (16, 0)
    assert len(place.stored()) == 16
    assert place.stored() == place.tree()


@pytest.mark.hazard(38)
@pytest.mark.parametrize(
    ("size", "sizes"),
    [
        (0, []),
        (1, []),
        (PART - 1, []),
        (PART, [PART]),
        (PART + 1, [PART, 1]),
        (2 * PART - 1, [PART, PART - 1]),
        (2 * PART, [PART, PART]),
        (2 * PART + 1, [PART, PART, 1]),
    ],
)
async def test_a_file_is_cut_where_it_must_be(place: Strict, size: int, sizes: list[int]) -> None:
    """The threshold is one part: up to it a file is one PUT."""
    place.write("file", os.urandom(size))
    assert (await place.run()).summary.exit_code == 0
    assert place.stored() == place.tree()
    assert list(place.server.objects("bucket")["pre/file"].part_sizes) == sizes


@pytest.mark.hazard(38)
@pytest.mark.parametrize("more", [0, 1])
def test_a_file_of_one_byte_more_than_10000_parts_hold_gets_larger_parts(more: int) -> None:
    size = MAX_PARTS * PART + more
    chosen = part_size(size, PART, 512 * MIB)
    cut = list(parts(size, chosen))
    assert chosen == (PART if not more else PART + MIB)
    assert len(cut) <= MAX_PARTS
    assert sum(part.length for part in cut) == size
    assert [part.offset for part in cut] == list(range(0, size, chosen))


class Bottomless(MemoryStore):
    """A store that keeps nothing: what grows is not its."""

    async def put_object(self, key: str, body: Body, checksum: Checksum, properties: Properties) -> Stored:
        del body, properties
        await asyncio.sleep(0)
        return Stored(f"etag of {key}", checksum)


@pytest.mark.hazard(39)
async def test_a_directory_of_many_files_takes_no_more_memory_than_one_of_few(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is kept of an entry once it is settled would show as bytes for each more of them."""
    monkeypatch.setattr(walk, "CHUNK", 100)  # and shorter queues, so that a few thousand files fill them
    monkeypatch.setattr(distributing, "_PLANS", 2)
    monkeypatch.setattr(distributing, "_WORKS", 200)
    tuning = replace(house.settings.tuning, concurrency=4, scanners=1, readers=1)
    few, many = 1_500, 5_500

    async def peaks(count: int) -> tuple[int, int]:
        """Of a run that sends all of them, and of one that finds them unchanged."""
        root = house.root / f"{count}"
        root.mkdir()
        for number in range(count):
            (root / f"{number:07}").touch()
        settings = house.options(source=root, tuning=tuning, journal=house.root.parent / f"{count}.sqlite")
        found = []
        for _ in range(2):
            tracemalloc.start()
            try:
                counted = 0
                async with Mirror(settings, Bottomless()) as mirror:
                    async for event in mirror.run():
                        counted = sum(event.counts.values()) if isinstance(event, Summary) else 0
                found.append(tracemalloc.get_traced_memory()[1])
            finally:
                tracemalloc.stop()
            assert counted == count
        return found[0], found[1]

    await peaks(300)  # what is imported and made once
    slopes = [(large - small) / (many - few) for small, large in zip(await peaks(few), await peaks(many), strict=True)]
    assert max(slopes) < SLOPE, f"{slopes} bytes an entry"


@pytest.mark.hazard(39)
def test_sixty_four_descriptors_slow_the_run_down_and_stop_nothing(home: Path, tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    for number in range(400):
        path = tree / f"{number % 20}" / f"{number}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"%d" % number)
    for number in range(8):
        (tree / f"large-{number}").write_bytes(os.urandom(6 * MIB))
    with serve("asyncmirror.testing", "--bucket", "box", "--latency-ms", "5") as server:
        site = Site(server.url, "box")
        runner = Runner(home, site.environment(home), under=("prlimit", "--nofile=64:64"))
        options = ("--concurrency", "64", "--readers", "32", "--scanners", "8", "--part-size", "5MiB")
        run = runner.run(*sync(tree, site, home / "journal", *options, "--multipart-threshold", "5MiB"))
        assert (run.code, run.error) == (0, "")
        assert run.summary["complete"] == 408
        (notice,) = [line["text"] for line in run.lines if line["event"] == "notice"]
        assert "only 64 files may be open at once" in notice
        assert wrong(site, regular_files(tree)) == []
        few = Runner(home, site.environment(home), under=("prlimit", "--nofile=24:24"))
        refused = few.run(*sync(tree, site, home / "other"))
    assert refused.code == 2
    assert refused.error.startswith("asyncmirror: only 24 files may be open at once (allow at least ")
    assert refused.error.count("\n") == 1
