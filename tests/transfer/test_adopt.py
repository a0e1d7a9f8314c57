import hashlib
import os
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from asyncmirror.checksum import compute
from asyncmirror.model import Algorithm, Checksum, RemoteObject
from asyncmirror.settings import MIB
from asyncmirror.source.beneath import Beneath, identity_of
from asyncmirror.source.read import OpenFile
from asyncmirror.source.walk import File
from asyncmirror.transfer.adopt import is_equal

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
        of_parts(7 * MIB),  # nobody's part size
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
