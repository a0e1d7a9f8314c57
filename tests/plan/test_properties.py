from urllib.parse import unquote_to_bytes

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncmirror.plan.properties import content_type, format_mtime, properties


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (b"zpix.fits", "application/fits"),
        (b"zpix.FITS", "application/fits"),
        (b"zpix.fits.gz", "application/gzip"),
        (b"README.md", "text/markdown"),
        (b"a.json", "application/json"),
        (b"checksum", "application/octet-stream"),
        (b"x.\xff\xfe", "application/octet-stream"),
        (b".bashrc", "application/octet-stream"),
    ],
)
def test_the_media_type_of_a_name(name: bytes, expected: str) -> None:
    assert content_type(name) == expected


@pytest.mark.parametrize(
    ("ns", "text"),
    [(0, "0.000000000"), (1_700_000_000_123_456_789, "1700000000.123456789"), (-1, "-0.000000001"), (5, "0.000000005")],
)
def test_mtime_is_written_as_rclone_does(ns: int, text: str) -> None:
    assert format_mtime(ns) == text


def test_what_is_stored_beside_a_file() -> None:
    stored = properties(b"a.txt", 1_000_000_000, "n1", None, {"release": "edr"})
    assert stored.content_type == "text/plain"
    assert stored.metadata == {"release": "edr", "mtime": "1.000000000", "asyncmirror-nonce": "n1"}
    assert properties(b"a.txt", 0, "n1", "image/png", {}).content_type == "image/png"


@given(st.binary(min_size=1))
def test_a_links_target_is_stored_reversibly_in_printable_ascii(target: bytes) -> None:
    text = properties(b"a", 0, "n", None, {}, target).metadata["symlink-target"]
    assert text.isascii()
    assert text.isprintable()
    assert unquote_to_bytes(text) == target
