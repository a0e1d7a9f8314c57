from pathlib import Path

import pytest

from asyncmirror.errors import UsageError
from asyncmirror.formats import mirror_toml
from asyncmirror.formats.mirror_template import TEMPLATE
from asyncmirror.formats.mirror_toml import MirrorFile, Setting
from asyncmirror.settings import Destination, Remap

LEAST = 'root = "/data"\nbucket = "desidata"\n'
FULL = """
root = "/dvs_ro/desi/public"
aliases = ["/global/desi/public"]
bucket = "desidata"
prefix = "public"
releases = ["edr", "dr1", "edr"]
journal = "state/mirror.sqlite"

[common]
"{release}/spectro/data" = "raw_spectro_data"
"dr1/{release}=x" = "{release}"
"docs" = "documents"

[selection]
exclude = ["*.tmp", "b"]

[limits]
concurrency = 32
retry-window = 1.5

[behaviour]
drop-cache = true
probe = false
"""


def read(tmp_path: Path, text: str | bytes) -> MirrorFile:
    path = tmp_path / "asyncmirror.toml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return mirror_toml.read(path)


def test_all_that_a_file_may_say(tmp_path: Path) -> None:
    assert read(tmp_path, FULL) == MirrorFile(
        path=tmp_path / "asyncmirror.toml",
        roots=(Path("/dvs_ro/desi/public"), Path("/global/desi/public")),
        destination=Destination("desidata", "public"),
        releases=("edr", "dr1"),
        remaps=(
            Remap("edr/spectro/data", "raw_spectro_data"),
            Remap("dr1/spectro/data", "raw_spectro_data"),
            Remap("dr1/edr=x", "edr"),
            Remap("dr1/dr1=x", "dr1"),
            Remap("docs", "documents"),
        ),
        journal=tmp_path / "state/mirror.sqlite",
        options=(
            Setting("limits", "concurrency", ("32",)),
            Setting("limits", "retry-window", ("1.5",)),
            Setting("selection", "exclude", ("*.tmp", "b")),
            Setting("behaviour", "drop-cache", ("yes",)),
            Setting("behaviour", "probe", ("no",)),
        ),
    )


def test_the_least_that_a_file_must_say(tmp_path: Path) -> None:
    found = read(tmp_path, b"\xef\xbb\xbf" + LEAST.encode())  # as some editors begin a file
    assert found == MirrorFile(tmp_path / "asyncmirror.toml", (Path("/data"),), Destination("desidata"))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("root = \n", r"it is no TOML: .*line 1.*\(correct that line\)"),
        ("x = " + "[" * 5000, "nesting|no TOML"),
        (b"\xff", "byte 0 is no UTF-8"),
        ('bucket = "b-b"', r'root is missing \(write root = "/the/tree"\)'),
        ('root = "/data"', "bucket is missing"),
        ('root = "data"\nbucket = "b-b"', "root is 'data', which is no absolute path"),
        ('root = 7\nbucket = "b-b"', r"root must be a text \(write it in quotes\)"),
        ('root = "/data"\nbucket = "b-b/x"', "write the rest as prefix"),
        ('root = "/data"\nbucket = "!"', "bucket or prefix: '!' is no bucket name"),
        (LEAST + 'prefix = "a//b"', "bucket or prefix: the prefix 'a//b' has an empty"),
        (LEAST + 'aliases = "/a"', r"aliases must be a list"),
        (LEAST + 'aliases = ["/a", "b"]', r"aliases\[1\] is 'b', which is no absolute path"),
        (LEAST + "releases = [1]", r"releases\[0\] must be a text"),
        (LEAST + 'releases = ["../x"]', r"releases\[0\] is '../x', which is no directory below root"),
        (LEAST + 'journal = ""', "journal is '', which is no path"),
        (LEAST + "exclude = []", r"'exclude' is not known \(what may stand there: root, "),
        (LEAST + "common = 1", r"common must be a table \(write \[common\]"),
        (LEAST + '[common]\na = ["b"]', "common.'a' must be a text"),
        (LEAST + '[common]\na = "/b"', "common.'a': a=/b: '/b' is no relative path"),
        (LEAST + '[common]\n"{release}/a" = "b"', r"common.'\{release\}/a' is for each \{release\}, and there are none"),
        (LEAST + '[common]\na = "b"\n"a/" = "c"', r"common.'a/': what is in 'a/' is remapped to 'b' and to 'c' \(keep one"),
        (LEAST + "[limits]\nconcurrency = 1979-05-27", "limits.concurrency must be a text, a number, true or false"),
        (LEAST + "[limits.part-size]\nx = 1", "limits.part-size must be a text"),
    ],
)
def test_what_cannot_be_meant_is_refused_with_file_key_and_remedy(tmp_path: Path, text: str | bytes, says: str) -> None:
    with pytest.raises(UsageError, match=says) as caught:
        read(tmp_path, text)
    assert str(caught.value).startswith(str(tmp_path / "asyncmirror.toml"))


def test_what_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="can't be read: Is a directory"):
        mirror_toml.read(tmp_path)


def test_the_template_is_such_a_file_with_and_without_what_is_commented_out(tmp_path: Path) -> None:
    assert read(tmp_path, TEMPLATE).roots == (Path("/data/public"),)
    lines = [line.removeprefix("# ") if " = " in line else line for line in TEMPLATE.splitlines()]
    found = read(tmp_path, "\n".join(lines))
    assert found.releases == ("edr", "dr1")
    assert len(found.remaps) == 4
    assert {setting.table.partition(".")[0] for setting in found.options} == set(mirror_toml.TABLES)
