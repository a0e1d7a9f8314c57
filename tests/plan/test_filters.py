import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncmirror.errors import UsageError
from asyncmirror.plan.filters import Filters
from asyncmirror.settings import Rule


def exclude(*patterns: str) -> Filters:
    return Filters([Rule(include=False, pattern=pattern) for pattern in patterns])


# rclone's documentation, "Filtering", has these as its examples.
@pytest.mark.parametrize(
    ("pattern", "path", "matches"),
    [
        ("*.jpg", b"file.jpg", True),
        ("*.jpg", b"directory/file.jpg", True),
        ("*.jpg", b"file.jpg/something", False),
        ("/*.jpg", b"file.jpg", True),
        ("/*.jpg", b"directory/file.jpg", False),
        ("dir/*", b"dir/file", True),
        ("dir/*", b"a/dir/file", True),
        ("dir/*", b"dir/sub/file", False),
        ("dir/**", b"dir/sub/file", True),
        ("dir/", b"dir/sub/file", True),
        ("dir/", b"otherdir/file", False),
        ("file?.{txt,md}", b"a/file1.md", True),
        ("file?.{txt,md}", b"a/file12.md", False),
        ("[a-c]x", b"bx", True),
        ("[!a-c]x", b"bx", False),
        ("[!a-c]x", b"/x", False),
        (r"\*.fits", b"*.fits", True),
        (r"\*.fits", b"a.fits", False),
        ("a.b", b"axb", False),
        ("name\n*", b"name\nx", True),
        ("\udcff*", b"\xffabc", True),
    ],
)
def test_the_pattern_language(pattern: str, path: bytes, matches: bool) -> None:  # noqa: FBT001  the column of a table
    assert bool(exclude(pattern).excludes(path)) is matches


def test_the_first_rule_that_matches_decides() -> None:
    filters = Filters([Rule(True, "keep.tmp"), Rule(False, "*.tmp")])  # noqa: FBT003
    assert filters.excludes(b"d/keep.tmp") == ""
    assert filters.excludes(b"d/other.tmp") == "--exclude *.tmp"
    assert filters.excludes(b"d/file.fits") == "no --include matches"


def test_without_an_include_what_no_rule_matches_is_kept() -> None:
    assert exclude("*.tmp").excludes(b"a.fits") == ""
    assert not Filters([])
    assert exclude("x")


def test_a_directory_is_pruned_only_where_nothing_in_it_can_be_kept() -> None:
    assert exclude("tmp/").prunes(b"a/tmp") == "--exclude tmp/"
    assert exclude("tmp/**").prunes(b"tmp")
    assert not exclude("tmp/*").prunes(b"tmp")
    assert not exclude("*.tmp").prunes(b"x.tmp")
    assert not Filters([Rule(True, "keep"), Rule(False, "tmp/")]).prunes(b"tmp")  # noqa: FBT003


@pytest.mark.parametrize("pattern", ["", "/", "{a", "[z-a]", "a\\", "[abc"])
def test_a_malformed_pattern_is_a_usage_error(pattern: str) -> None:
    with pytest.raises(UsageError, match="pattern"):
        exclude(pattern)


@given(st.text(max_size=20), st.binary(max_size=20))
def test_any_pattern_compiles_or_is_a_usage_error(pattern: str, path: bytes) -> None:
    try:
        filters = exclude(pattern)
    except (UsageError, UnicodeEncodeError):
        return
    filters.excludes(path)
    filters.prunes(path)
