import os
from itertools import product

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from asyncmirror.errors import UsageError
from asyncmirror.plan.remap import Remaps, Rivals
from asyncmirror.settings import Remap

DESI = Remaps(
    [
        Remap("edr/spectro/data", "raw_spectro_data"),
        Remap("edr/target", "target"),
        Remap("dr1/spectro/data", "raw_spectro_data"),
        Remap("dr1/target", "target/"),
    ]
)
NAMES = st.sampled_from(["a", "b", "ab"])
DIRECTORIES = st.lists(NAMES, min_size=1, max_size=3).map("/".join)
REMAPS = st.dictionaries(DIRECTORIES, DIRECTORIES, max_size=4).map(
    lambda pairs: Remaps([Remap(source, target) for source, target in pairs.items()])
)
EVERY = sorted({b"", *(b"/".join(parts) for count in (1, 2, 3, 4) for parts in product((b"a", b"b", b"ab"), repeat=count))})


@pytest.mark.parametrize(
    ("path", "place"),
    [
        (b"edr/target/x", b"target/x"),
        (b"edr/target/a/b/x", b"target/a/b/x"),
        (b"dr1/spectro/data/20210101/x", b"raw_spectro_data/20210101/x"),
        (b"edr/target_x/y", b"edr/target_x/y"),  # a match ends at a slash
        (b"edr/target", b"edr/target"),  # a file of that name is not in the directory
        (b"edr/x", b"edr/x"),
        (b"x", b"x"),
        (b"dr1/target/\xff", b"target/\xff"),
    ],
)
def test_a_file_goes_where_its_directory_is_remapped_to(path: bytes, place: bytes) -> None:
    assert DESI.file(path) == place


@pytest.mark.parametrize("turn", [1, -1])
def test_the_longest_decides_and_nothing_is_remapped_twice(turn: int) -> None:
    remaps = Remaps([Remap("a", "b"), Remap("a/c", "d"), Remap("b", "e")][::turn])
    assert [remaps.file(path) for path in (b"a/x", b"a/c/x", b"b/x", b"a/cc/x")] == [b"b/x", b"d/x", b"e/x", b"b/cc/x"]


def test_the_releases_meet_in_the_common_directories() -> None:
    assert DESI.rivals(b"dr1/target/a") == Rivals((b"target/a", b"edr/target/a"), ())
    assert DESI.rivals(b"edr/target/a") == Rivals((b"target/a",), (b"dr1/target/a",))
    assert DESI.rivals(b"dr1/spectro/redux") == Rivals()
    assert DESI.rivals(b"target") == Rivals((), (b"edr/target", b"dr1/target"))


@given(REMAPS, st.sampled_from(EVERY))
@example(Remaps([Remap("a", "b"), Remap("b", "a")]), b"a")
def test_rivals_are_exactly_the_directories_that_come_to_the_same_place(remaps: Remaps, directory: bytes) -> None:
    rivals = remaps.rivals(directory)
    place = remaps.directory(directory)
    found = {other for other in EVERY if other != directory and remaps.directory(other) == place}
    assert found <= {*rivals.before, *rivals.behind}
    for other in (*rivals.before, *rivals.behind):
        assert other != directory
        assert remaps.directory(other) == place
        # Of any two, exactly one comes first.
        mirrored = remaps.rivals(other)
        assert (directory in mirrored.behind) == (other in rivals.before)
        assert (directory in mirrored.before) == (other in rivals.behind)


@given(REMAPS, REMAPS, st.sampled_from(EVERY))
def test_two_differ_only_below_the_directories_named(before: Remaps, after: Remaps, directory: bytes) -> None:
    assume(before.directory(directory) != after.directory(directory))
    parts = directory.split(b"/")
    assert {b"/".join(parts[:count]) for count in range(1, len(parts) + 1)} & set(before.differing(after))


def test_text_gives_back_what_it_was_made_of() -> None:
    remaps = Remaps([Remap(os.fsdecode(b"a\xff"), "b"), Remap("c d", "é")])
    again = Remaps.from_text(remaps.text())
    assert not remaps.differing(again)
    assert again.directory(b"a\xff/x") == b"b/x"
    assert Remaps().text() == ""
    assert not Remaps.from_text("")


@pytest.mark.parametrize("text", ["{", "{}", "[1]", '[["a"]]', '[["a", 1]]', '[["a", "../b"]]', '[["\\ud800", "b"]]'])
def test_what_text_did_not_give_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        Remaps.from_text(text)


@pytest.mark.parametrize("path", ["", "/", "/a", "a//b", ".", "a/../b", "a\0"])
def test_what_is_no_relative_path_is_refused(path: str) -> None:
    for remap in (Remap(path, "a"), Remap("a", path)):
        with pytest.raises(UsageError, match="no relative path"):
            Remaps([remap])


def test_one_directory_cannot_go_to_two_places() -> None:
    assert Remaps([Remap("a", "b"), Remap("a/", "b")])
    with pytest.raises(UsageError, match=r"'a/' is remapped to 'b' and to 'c'.*keep one"):
        Remaps([Remap("a", "b"), Remap("a/", "c")])
