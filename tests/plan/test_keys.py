import os

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from asyncmirror.errors import RefusedError
from asyncmirror.plan import keys

NAMES = st.binary(min_size=1, max_size=40).filter(
    lambda name: b"/" not in name and b"\0" not in name and name not in (b".", b"..")
)
# Names made of what the escape is made of: where a mistake would be.
TRICKY = st.lists(st.sampled_from(["␛".encode(), b"F", b"0", b"\xff", b"\x01", b"\xe2", b"\x90", b"%"]), min_size=1).map(
    b"".join
)


@pytest.mark.parametrize(
    ("path", "key"),
    [
        (b"edr/spectro/redux/fuji/healpix/sv3.fits", "edr/spectro/redux/fuji/healpix/sv3.fits"),
        ("Ångström/名前 +%20 †.txt".encode(), "Ångström/名前 +%20 †.txt"),
        (b"a\nb\tc\rd", "a\nb\tc\rd"),
        (b"bad\xffname", "bad␛FFname"),
        (b"esc\x1b[31m", "esc␛1B[31m"),
        ("␛".encode(), "␛"),
        ("␛FF".encode(), "␛E2␛90␛9BFF"),
        (b"\xed\xb2\x80", "␛ED␛B2␛80"),
        ("\uffff".encode(), "␛EF␛BF␛BF"),
    ],
)
def test_a_utf8_name_is_its_own_key_and_the_rest_is_escaped(path: bytes, key: str) -> None:
    assert keys.encode(path) == key
    assert keys.decode(key) == path


@pytest.mark.hazard(36)
@given(NAMES | TRICKY)
@example("␛␛FF".encode())
@example("␛F\xff".encode("latin-1", "ignore") + b"\xff")
def test_every_path_comes_back_so_that_no_two_share_a_key(path: bytes) -> None:
    assert keys.decode(keys.encode(path)) == path


@given(st.lists(NAMES | TRICKY, min_size=1, max_size=4))
def test_components_are_encoded_on_their_own(components: list[bytes]) -> None:
    assert keys.encode(b"/".join(components)) == "/".join(keys.encode(component) for component in components)


@given(NAMES | TRICKY)
def test_a_key_can_stand_in_xml(path: bytes) -> None:
    key = keys.encode(path)
    key.encode("utf-8")
    assert not any(ord(c) < 0x20 and c not in "\t\n\r" for c in key)


@pytest.mark.parametrize(
    ("prefix", "directory", "result"), [("", b"", ""), ("p", b"", "p/"), ("", b"d/e", "d/e/"), ("p/q", b"d\xff", "p/q/d␛FF/")]
)
def test_the_prefix_of_a_directory(prefix: str, directory: bytes, result: str) -> None:
    assert keys.directory_prefix(prefix, directory) == result


@pytest.mark.hazard(36)
def test_a_key_of_1024_bytes_is_taken_and_one_more_is_refused() -> None:
    keys.check("é" * 512)
    keys.check("x" * 1024)
    with pytest.raises(RefusedError, match=r"1,025 bytes"):
        keys.check("x" * 1025)
    with pytest.raises(RefusedError, match=r"1,026 bytes"):
        keys.check("é" * 513)


ELSEWHERE = ["../x", "a/../../x", "a/..", "..", ".", "./x", "/etc/passwd", "a//b", "a/", "", "a\0b"]


@pytest.mark.hazard(41)
@pytest.mark.parametrize("key", [*ELSEWHERE, "␛2E␛2E/x", "a/␛2E./x", "␛2Fetc/passwd", "a␛2F..␛2Fx", "␛61", "a␛00b", "\ud800"])
def test_a_key_that_would_lead_elsewhere_has_no_path(key: str) -> None:
    with pytest.raises(RefusedError):
        keys.decode(key)


@pytest.mark.hazard(41)
@given(st.text(st.sampled_from("./␛2EFabc\0"), max_size=12))
def test_whatever_a_key_is_its_path_stays_below(key: str) -> None:
    try:
        path = keys.decode(key)
    except RefusedError:
        return
    assert os.path.normpath(b"/root/" + path) == b"/root/" + path
    assert keys.encode(path) == key
