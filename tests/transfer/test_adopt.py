import hashlib
import os
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from asyncmirror.checksum import compute
from asyncmirror.model import Algorithm, Checksum, RemoteObject
from asyncmirror.sizes import MIB
from asyncmirror.source.beneath import Beneath, identity_of
from asyncmirror.source.read import OpenFile
from asyncmirror.source.walk import File
from asyncmirror.transfer.adopt import is_equal, part_sizes

DATA = random.Random(1).randbytes(1000) * 20_000  # 19.1 MiB: three parts of 8 MiB, four of 5 MiB, one of 50
CRC = Algorithm.CRC64NVME


def md5(data: bytes) -> bytes:
    return hashlib.md5(data).digest()


def of_parts(size: int, data: bytes = DATA) -> str:
    digests = [md5(data[start : start + size]) for start in range(0, len(data), size)]
    return f"{md5(b''.join(digests)).hex()}-{len(digests)}"


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OpenFile]:
    root = tmp_path_factory.mktemp("tree")
    (root / "f").write_bytes(DATA)
    beneath = Beneath(Path(root))
    with OpenFile(beneath, File(b"f", identity_of(os.lstat(root / "f")), b"", b"f")) as opened:
        yield opened
    beneath.close()


def remote(etag: str = "", checksum: Checksum | None = None) -> RemoteObject:
    return RemoteObject("k", len(DATA), etag, checksum)


@pytest.mark.parametrize(
    "etag",
    [
        md5(DATA).hex(),
        of_parts(8 * MIB),  # aws-cli
        of_parts(5 * MIB),  # rclone
        of_parts(50 * MIB),  # s5cmd: one part, and still with its count
        of_parts(16 * MIB),
        of_parts(1 << 30),  # one part, of whatever size
        of_parts(7 * MIB),  # found by the number of parts
    ],
)
def test_an_etag_that_an_uploader_would_have_made_of_these_bytes_proves_them(opened: OpenFile, etag: str) -> None:
    completed = is_equal(opened, remote(etag), CRC, MIB)
    assert completed is not None
    assert completed.checksum == compute(CRC, DATA)
    assert completed.etag == etag
    assert completed.identity == opened.identity


@pytest.mark.parametrize(
    "etag",
    [
        "",
        "not-an-md5",
        md5(b"other").hex(),
        of_parts(8 * MIB, DATA[::-1]),
        of_parts(7 * MIB + 1),  # nobody's part size
        md5(DATA).hex() + "-0",
        md5(DATA).hex() + "-99999",
    ],
)
def test_any_other_etag_proves_nothing(opened: OpenFile, etag: str) -> None:
    assert is_equal(opened, remote(etag), CRC, MIB) is None


def test_a_checksum_of_the_whole_object_decides_whatever_the_etag_says(opened: OpenFile) -> None:
    equal, other = compute(Algorithm.SHA256, DATA), compute(Algorithm.SHA256, b"other")
    completed = is_equal(opened, remote("opaque", equal), CRC, MIB)
    assert completed is not None
    assert completed.checksum == equal
    assert is_equal(opened, remote(md5(DATA).hex(), other), CRC, MIB) is None


def test_a_checksum_over_parts_leaves_the_word_to_the_etag(opened: OpenFile) -> None:
    composite = Checksum(Algorithm.SHA256, b"\0" * 32, 3)
    assert is_equal(opened, remote(of_parts(8 * MIB), composite), CRC, MIB) is not None
    assert is_equal(opened, remote("opaque", composite), CRC, MIB) is None


@pytest.mark.parametrize(
    ("size", "part_size"),
    [
        (470_000_000_000, 50 * MIB),  # s5cmd
        (600_000_000_000, 60_000_001),  # s5cmd, where 50 MiB would be too many parts
        (100 * MIB, 8 * MIB),  # aws-cli
        (200_000_000_000, 32 * MIB),  # aws-cli, which doubles
        (700 * MIB, 5 * MIB),  # rclone
        (5 * MIB, 5 * MIB),
        (60_000 * MIB, 6 * MIB),  # rclone, in whole MiB
        (80 * MIB, 25 * MIB),
    ],
)
def test_the_part_size_is_found_by_the_number_of_parts(size: int, part_size: int) -> None:
    count = -(-size // part_size)
    found = part_sizes(size, count)
    assert part_size in found
    assert all(-(-size // each) == count for each in found)
    assert len(found) <= 12


@pytest.mark.parametrize(("size", "count"), [(0, 2), (10, 0), (10, 11), (1 << 40, 10_001)])
def test_a_number_of_parts_that_cannot_be_has_no_part_size(size: int, count: int) -> None:
    assert part_sizes(size, count) == ()


def test_a_file_is_read_once_whatever_is_tried(opened: OpenFile, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[int] = []
    pread = os.pread

    def counted(descriptor: int, length: int, offset: int) -> bytes:
        read.append(length)
        return pread(descriptor, length, offset)

    monkeypatch.setattr(os, "pread", counted)
    assert is_equal(opened, remote(of_parts(7 * MIB)), CRC, MIB) is not None
    assert sum(read) == len(DATA)
