import ctypes
import mmap
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from asyncmirror.checksum import compute, of_parts
from asyncmirror.errors import ChangedError, UnreadableError
from asyncmirror.model import Algorithm, Receipt
from asyncmirror.plan.parts import Part, parts
from asyncmirror.source.beneath import Beneath, identity_of
from asyncmirror.source.filesystem import kind
from asyncmirror.source.read import OpenFile, Whole, read_whole
from asyncmirror.source.walk import File

CRC = Algorithm.CRC64NVME
DATA = bytes(range(256)) * 40


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "f").write_bytes(DATA)
    return tmp_path


@pytest.fixture
def beneath(root: Path) -> Iterator[Beneath]:
    beneath = Beneath(root)
    yield beneath
    beneath.close()


def scanned(root: Path, name: bytes = b"f") -> File:
    return File(name, identity_of(os.lstat(root / "d" / os.fsdecode(name))), b"d", name)


def test_a_small_file_is_read_whole_with_its_checksum(root: Path, beneath: Beneath) -> None:
    file = scanned(root)
    assert read_whole(beneath, file, CRC) == Whole(DATA, compute(CRC, DATA), file.identity)


@pytest.mark.hazard(33, 34)
def test_each_file_has_its_own_fate(root: Path, beneath: Beneath) -> None:
    for name in ("gone", "fifo", "link", "same"):
        (root / "d" / name).write_bytes(b"x")
    found = [scanned(root, name) for name in (b"gone", b"fifo", b"link", b"same")]
    for name in ("gone", "fifo", "link"):
        (root / "d" / name).unlink()
    os.mkfifo(root / "d" / "fifo")
    (root / "d" / "link").symlink_to("same")
    gone, fifo, link, same = (read_whole(beneath, file, CRC) for file in found)
    assert isinstance(gone, UnreadableError)
    assert "it vanished" in str(gone)
    assert isinstance(fifo, UnreadableError)
    assert "a socket or a device" in str(fifo)
    assert isinstance(link, UnreadableError)
    assert "symbolic link" in str(link)
    assert isinstance(same, Whole)


@pytest.mark.hazard(32)
@pytest.mark.parametrize("change", ["grow", "shrink", "rewrite", "replace", "touch"])
@pytest.mark.parametrize("when", ["before", "while"])
def test_a_file_that_changes_is_not_read(
    root: Path, beneath: Beneath, monkeypatch: pytest.MonkeyPatch, change: str, when: str
) -> None:
    path = root / "d" / "f"
    file = scanned(root)

    def happen() -> None:
        if change == "grow":
            with path.open("ab") as out:
                out.write(b"more")
        elif change == "shrink":
            os.truncate(path, 100)
        elif change == "rewrite":
            path.write_bytes(DATA[::-1])
        elif change == "replace":
            other = root / "other"
            other.write_bytes(DATA)
            other.rename(path)
        os.utime(path, ns=(1, 1))

    if when == "before":
        happen()
    else:
        pread = os.pread

        def slow(descriptor: int, length: int, offset: int) -> bytes:
            data = pread(descriptor, length // 2 or length, offset)
            if offset == 0:
                happen()
            return data

        monkeypatch.setattr(os, "pread", slow)
    found = read_whole(beneath, file, CRC)
    assert isinstance(found, ChangedError)


def test_parts_are_read_at_their_positions(root: Path, beneath: Beneath) -> None:
    with OpenFile(beneath, scanned(root)) as opened:
        for part in reversed(list(parts(len(DATA), 1000))):
            data = bytearray(part.length)
            checksum = opened.read(part, CRC, data)
            assert data == DATA[part.offset : part.offset + part.length]
            assert checksum == compute(CRC, data)
        opened.verify()


def test_a_part_is_refused_when_the_file_changed_after_it_was_opened(root: Path, beneath: Beneath) -> None:
    with OpenFile(beneath, scanned(root)) as opened:
        os.utime(root / "d" / "f", ns=(1, 1))
        with pytest.raises(ChangedError, match="changed while it was read"):
            opened.read(Part(1, 0, 10), CRC, bytearray(10))
        with pytest.raises(ChangedError):
            opened.verify()


@pytest.mark.hazard(32)
def test_a_file_that_lost_its_end_is_noticed(root: Path, beneath: Beneath) -> None:
    with OpenFile(beneath, scanned(root)) as opened:
        os.truncate(root / "d" / "f", 5)
        with pytest.raises(ChangedError, match="shorter"):
            opened.read(Part(1, 0, 10), CRC, bytearray(10))


@pytest.mark.parametrize("algorithm", list(Algorithm))
@pytest.mark.parametrize("part_size", [0, 1000])
@pytest.mark.parametrize("piece", [700, 100_000])
def test_the_checksum_of_a_file_is_the_one_its_object_has(
    root: Path, beneath: Beneath, algorithm: Algorithm, part_size: int, piece: int
) -> None:
    expected = compute(algorithm, DATA)
    if part_size and not algorithm.full_object:
        pieces = [DATA[start : start + part_size] for start in range(0, len(DATA), part_size)]
        expected = of_parts(algorithm, [Receipt(n, 0, "", compute(algorithm, data)) for n, data in enumerate(pieces, 1)])
    with OpenFile(beneath, scanned(root)) as opened:
        assert opened.checksum(algorithm, part_size, piece) == expected


def test_an_empty_file_has_a_checksum_too(root: Path, beneath: Beneath) -> None:
    (root / "d" / "empty").touch()
    with OpenFile(beneath, scanned(root, b"empty")) as opened:
        assert opened.checksum(CRC, 0, 10) == compute(CRC, b"")
    whole = read_whole(beneath, scanned(root, b"empty"), CRC)
    assert isinstance(whole, Whole)
    assert whole.data == b""


def test_no_descriptor_is_left_open(root: Path, beneath: Beneath) -> None:
    file = scanned(root)
    read_whole(beneath, file, CRC)
    before = len(os.listdir("/proc/self/fd"))
    stale = file._replace(identity=file.identity._replace(ino=1))
    for each in (file, stale, file._replace(real_name=b"gone")):
        read_whole(beneath, each, CRC)
    with pytest.raises(ChangedError):
        OpenFile(beneath, stale)
    with OpenFile(beneath, file):
        pass
    assert len(os.listdir("/proc/self/fd")) == before


def resident(path: Path) -> int:
    """How many bytes of a file are in the page cache (mincore(2))."""
    size = path.stat().st_size
    with path.open("r+b") as file, mmap.mmap(file.fileno(), size) as view:
        pages = (ctypes.c_ubyte * (size // mmap.PAGESIZE))()
        address = ctypes.addressof(ctypes.c_char.from_buffer(view))
        assert ctypes.CDLL(None, use_errno=True).mincore(ctypes.c_void_p(address), ctypes.c_size_t(size), pages) == 0
        return sum(page & 1 for page in pages) * mmap.PAGESIZE


@pytest.mark.parametrize("drop", [False, True])
def test_the_page_cache_is_dropped_behind_a_part_when_asked(root: Path, beneath: Beneath, drop: bool) -> None:  # noqa: FBT001
    path, size = root / "d" / "big", 4 << 20
    with path.open("wb") as file:
        file.write(os.urandom(size))
        file.flush()
        os.fsync(file.fileno())
    if kind(root) in ("", "tmpfs"):
        pytest.skip("this file system has no pages to drop")
    with OpenFile(beneath, scanned(root, b"big"), drop_cache=drop) as opened:
        opened.read(Part(1, 0, size), CRC, bytearray(size))
    assert (resident(path) < size // 2) is drop
