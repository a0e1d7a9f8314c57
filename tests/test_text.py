import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncmirror.text import counted, decode, show_line, show_lines, show_name

_ESCAPE = re.compile(r"\\(\\|x[0-9a-f]{2}|u[0-9a-f]{4}|U[0-9a-f]{8})")


def unescape(shown: str) -> bytes:
    def one(match: re.Match[str]) -> str:
        escape = match[1]
        if escape == "\\":
            return escape
        code = int(escape[1:], 16)
        return chr(code + 0xDC00) if escape[0] == "x" and code >= 0x80 else chr(code)

    return _ESCAPE.sub(one, shown).encode("utf-8", "surrogateescape")


@given(st.binary())
def test_a_shown_name_tells_the_exact_bytes(name: bytes) -> None:
    assert unescape(show_name(name)) == name


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_a_shown_name_of_any_text_tells_the_exact_bytes(name: str) -> None:
    assert unescape(show_name(name.encode())) == name.encode()


@given(st.one_of(st.binary().map(decode), st.text()))
def test_nothing_that_is_shown_can_move_a_cursor(text: str) -> None:
    assert show_line(text).isprintable()
    assert all(line.isprintable() for line in show_lines(text).split("\n"))


@pytest.mark.hazard(36)
@pytest.mark.parametrize(
    ("name", "shown"),
    [
        (b"plain name.fits", "plain name.fits"),
        ("Größe-日本".encode(), "Größe-日本"),
        (b"\xff", r"\xff"),
        ("\x85".encode(), r"\u0085"),
        (b"\x1b[31m\n\t\x7f", r"\x1b[31m\x0a\x09\x7f"),
        (b"back\\slash", r"back\\slash"),
        ("\u202a\u202e\u2066\u2069\u200e\u200f\u061c".encode(), r"\u202a\u202e\u2066\u2069\u200e\u200f\u061c"),
        ("\u2028\u2029\u00a0".encode(), r"\u2028\u2029\u00a0"),
        ("\U000e0041".encode(), r"\U000e0041"),
        (b"[red]rich[/]", "[red]rich[/]"),
    ],
)
def test_a_hostile_name_is_shown_escaped(name: bytes, shown: str) -> None:
    assert show_name(name) == shown


def test_a_lone_surrogate_in_a_message_is_shown() -> None:
    assert show_line("\ud800\udcff") == r"\ud800\xff"


def test_one_is_no_plural() -> None:
    assert [counted(number, "file") for number in (0, 1, 2000)] == ["0 files", "1 file", "2,000 files"]
    assert [counted(number, "batch", "batches") for number in (1, 2)] == ["1 batch", "2 batches"]
