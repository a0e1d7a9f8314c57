import io
import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings

from asyncmirror.formats import ncdu
from asyncmirror.plan.outline import Kind
from tests.formats.trees import TREES, Tree

TREE = Tree(
    b"edr",
    Kind.DIRECTORY,
    0,
    (
        Tree(b"denied", Kind.UNREADABLE),
        Tree(b"empty", Kind.DIRECTORY),
        Tree(b'q"\\\x01\x7f\xff', Kind.DIRECTORY, 0, (Tree("é".encode(), Kind.FILE, 3),)),
        Tree(b"pipe", Kind.UNKNOWN),
        Tree(b"zero", Kind.FILE),
    ),
)


def written(tree: Tree) -> bytes:
    file = io.BytesIO()
    ncdu.write(file, tree.steps(), Path("/data/edr"), 1_700_000_000)
    return file.getvalue()


def total(node: Any) -> int:
    """As ncdu adds sizes up: each description's own."""
    if isinstance(node, dict):
        return int(node.get("asize", 0))
    assert isinstance(node[0], dict)
    return sum(map(total, node))


@settings(max_examples=60)
@given(tree=TREES)
def test_it_is_json_of_the_documented_shape(tree: Tree) -> None:
    major, minor, metadata, root = json.loads(written(tree).decode("utf-8", "surrogateescape"))
    assert (major, minor, metadata["progname"]) == (1, 2, "asyncmirror")
    assert root[0]["name"] == "/data/edr"
    assert total(root) == tree.size


def test_names_are_bytes_and_marks_are_ncdus() -> None:
    assert written(TREE).split(b"\n")[1:-1] == [
        b'[{"name":"/data/edr"},',
        b'[{"name":"denied","read_error":true}],',
        b'[{"name":"empty"}],',
        b'[{"name":"q\\u0022\\u005c\\u0001\\u007f\xff"},',
        b'{"name":"\xc3\xa9","asize":3,"dsize":3}],',
        b'{"name":"pipe","notreg":true},',
        b'{"name":"zero"}]]',
    ]


@pytest.mark.skipif(shutil.which("ncdu") is None, reason="ncdu is not installed")
def test_ncdu_reads_it_and_writes_the_same_again(tmp_path: Path) -> None:
    (tmp_path / "export").write_bytes(written(TREE))
    told = subprocess.run(["ncdu", "-f", tmp_path / "export", "-o-"], check=True, capture_output=True)
    ours = json.loads(written(TREE).decode("utf-8", "surrogateescape"))
    theirs = json.loads(told.stdout.decode("utf-8", "surrogateescape"))
    assert theirs[3] == ours[3]
