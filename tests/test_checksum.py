import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncmirror.checksum import Running, compute, from_header, of_parts, to_header
from asyncmirror.model import Algorithm, Checksum, Receipt

# The check values of the CRC catalogue (reveng) and of FIPS 180-4, over "123456789" and "abc".
KNOWN = [
    (Algorithm.CRC64NVME, b"123456789", "ae8b14860a799888"),
    (Algorithm.CRC32C, b"123456789", "e3069283"),
    (Algorithm.CRC32, b"123456789", "cbf43926"),
    (Algorithm.SHA256, b"abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
    (Algorithm.SHA1, b"abc", "a9993e364706816aba3e25717850c26c9cd0d89d"),
]


@pytest.mark.parametrize(("algorithm", "data", "digest"), KNOWN)
def test_the_published_check_values(algorithm: Algorithm, data: bytes, digest: str) -> None:
    assert compute(algorithm, data) == Checksum(algorithm, bytes.fromhex(digest))


@given(st.sampled_from([a for a in Algorithm if a.full_object]), st.lists(st.binary(min_size=1, max_size=50), min_size=1))
def test_part_crcs_combine_to_the_objects(algorithm: Algorithm, pieces: list[bytes]) -> None:
    receipts = [Receipt(n, len(piece), "", compute(algorithm, piece)) for n, piece in enumerate(pieces, 1)]
    assert of_parts(algorithm, receipts) == compute(algorithm, b"".join(pieces))


def test_a_composite_sha_is_the_hash_of_the_part_digests_and_counts_them() -> None:
    one, two = compute(Algorithm.SHA256, b"one"), compute(Algorithm.SHA256, b"two")
    composite = of_parts(Algorithm.SHA256, [Receipt(1, 3, "", one), Receipt(2, 3, "", two)])
    assert composite == Checksum(Algorithm.SHA256, compute(Algorithm.SHA256, one.digest + two.digest).digest, 2)
    assert to_header(composite).endswith("=-2")


def test_crc32_agrees_with_zlib() -> None:
    assert compute(Algorithm.CRC32, b"x" * 1000).digest == zlib.crc32(b"x" * 1000).to_bytes(4, "big")


@given(st.sampled_from(Algorithm), st.binary(max_size=20), st.integers(0, 10_000))
def test_a_header_reads_back_as_it_was_written(algorithm: Algorithm, data: bytes, parts: int) -> None:
    checksum = compute(algorithm, data)._replace(parts=parts)
    assert from_header(algorithm, to_header(checksum)) == checksum


@given(st.sampled_from(Algorithm), st.text(max_size=60))
def test_any_header_is_read_or_refused(algorithm: Algorithm, text: str) -> None:
    checksum = from_header(algorithm, text)
    assert checksum is None or checksum.algorithm is algorithm


@pytest.mark.parametrize("text", ["", "AAAA", "AAAAAAAAAAA=-0", "AAAAAAAAAAA=-", "AAAAAAAAAAA=-x", "é"])
def test_a_header_that_is_none_is_refused(text: str) -> None:
    assert from_header(Algorithm.CRC64NVME, text) is None


@given(st.sampled_from(Algorithm), st.lists(st.binary(max_size=50)))
def test_a_checksum_in_pieces_is_the_one_of_the_whole(algorithm: Algorithm, pieces: list[bytes]) -> None:
    running = Running(algorithm)
    for piece in pieces:
        running.update(piece)
    assert running.checksum() == compute(algorithm, b"".join(pieces))
