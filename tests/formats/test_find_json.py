import contextlib
import io
import json
import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from asyncmirror.errors import UsageError
from asyncmirror.formats import find_json, find_tokens
from asyncmirror.formats.find_json import FindFile
from asyncmirror.plan.outline import Kind, Move, Step
from tests.formats.trees import TREES, Tree, node

SEED = """
[
  ".", 0, 89110240,
  [
    "docs", 0, 28915,
    [ "README.md", 1, 478 ],
    [ "entry_schema.png", 1, 28437 ]
  ],
  [ "LICENSE", 1, 1495 ],
  [ "batch.json", 1, 309506 ],
  [ "batch.py", 1, 2964 ],
  [ "find.json", 1, 88754948 ],
  [ "find.py", 1, 6271 ],
  [ "makefile", 1, 925 ],
  [ "upload.py", 1, 5216 ]
]
"""
shared = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)


def current(tree: Tree) -> object:
    return [text(tree.name), max(tree.kind, -1), tree.size, *map(current, tree.entries)]


def legacy(tree: Tree) -> object:
    return [text(tree.name), int(tree.kind), *map(legacy, tree.entries), tree.size]


def quoted(tree: Tree) -> object:
    return [text(tree.name), str(int(tree.kind)), *map(quoted, tree.entries), tree.size]


def quoted_current(tree: Tree) -> object:
    return [text(tree.name), str(int(tree.kind)), tree.size, *map(quoted_current, tree.entries)]


def text(name: bytes) -> str:
    return name.decode("utf-8", "surrogateescape")


def written(tree: Tree) -> bytes:
    file = io.BytesIO()
    find_json.write(file, tree.steps())
    return file.getvalue()


def read(path: Path) -> list[Step]:
    with FindFile(path) as found:
        return list(found.steps())


def refusal(path: Path, data: bytes) -> str:
    path.write_bytes(data)
    with pytest.raises(UsageError) as caught:
        read(path)
    return str(caught.value)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "find.json"


def test_the_example_of_the_pipelines_manual_is_read(path: Path) -> None:
    path.write_text(SEED)
    with FindFile(path) as found:
        assert (found.name, found.size, found.entries, found.misstated) == (b".", 89_110_240, 11, 0)
        steps = list(found.steps())
    assert steps == list(node(*json.loads(SEED)).steps())


def test_what_is_written_is_what_the_pipelines_own_crawler_writes() -> None:
    tree = node(*json.loads(SEED))
    assert written(tree) == json.dumps(json.loads(SEED), separators=(",", ":")).encode() + b"\n"


@pytest.mark.parametrize("layout", [current, legacy, quoted, quoted_current])
@shared
@given(tree=TREES)
def test_every_layout_tells_the_same_tree(path: Path, layout: Callable[[Tree], object], tree: Tree) -> None:
    path.write_text(json.dumps(layout(tree)))
    assert read(path) == list(tree.steps())
    path.write_text(json.dumps(layout(tree), indent=2, ensure_ascii=False), encoding="utf-8", errors="surrogateescape")
    assert read(path) == list(tree.steps())


@shared
@given(tree=TREES)
def test_what_is_written_is_valid_json_and_read_back(path: Path, tree: Tree) -> None:
    path.write_bytes(written(tree))
    assert json.loads(path.read_bytes()) == current(tree)
    assert read(path) == list(tree.steps())


def test_a_directory_that_could_not_be_listed_is_written_as_unknown(path: Path) -> None:
    file = io.BytesIO()
    tree = Tree(b"r", Kind.DIRECTORY, 0, (Tree(b"d", Kind.UNREADABLE, 0, (Tree(b"f", Kind.FILE, 3),)),))
    find_json.write(file, tree.steps())
    assert file.getvalue() == b'["r",0,3,["d",-1,3,["f",1,3]]]\n'
    path.write_bytes(file.getvalue())
    assert [step.kind for step in read(path)][1] is Kind.UNKNOWN


def test_entries_count_where_a_directory_states_another_size(path: Path) -> None:
    path.write_text('["r",0,0,["d",0,99,["f",1,3]],["cut off by a depth",0,5]]')
    with FindFile(path) as found:
        assert (found.size, found.misstated) == (8, 2)
        assert [step.size for step in found.steps() if step.move is Move.ENTER] == [8, 3]


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "it is empty"),
        (b" \n", "byte 2: the file ends"),
        (b"{}", "byte 0: expected an entry"),
        (b'["r",0,5', "byte 0: expected an entry"),
        (b'["r",0,5,["f",1,5]', "byte 18: the file ends"),
        (b'["r",0,5,["f",1,5]]]', "byte 19: expected the end of the file"),
        (b'["r",0,5,["f",1,5],]', "byte 18: expected another entry"),
        (b'["r",0,5],["f",1,5]', "byte 9: expected the end of the file"),
        (b'["r",0,5,["f",1,5],["a/b",1,5]]', "byte 19: 'a/b' is no name"),
        (b'["r",0,5,["f",1,5],5]', "its size before its entries"),
        (b'["r",0,["f",1,5]]', "its size before its entries"),
        (b'["r",0,-5]', "byte 0: expected an entry"),
        (b'["r",0,5.5]', "byte 0: expected an entry"),
        (b'["r",0,05]', "byte 0: expected an entry"),
        (b'["r",00,5]', "byte 0: expected an entry"),
        (b'["r",0,["f",1,5],05]', "byte 16: expected another entry"),
        (b'["r",2,5]', "2 is no type"),
        (b'["r",1,5,["f",1,5]]', "a file that has entries"),
        (b'["r",0,5,["a/b",1,5]]', "'a/b' is no name"),
        (b'["r",0,5,["..",1,5]]', "'..' is no name"),
        (b'["r",0,5,["",1,5]]', "'' is no name"),
        (b'["r",0,5,["\\u0000",1,5]]', "a name that no file can have"),
        (b'["r",0,5,["\\ud800",1,5]]', "a name that no file can have"),
        (b'["r",0,5,["\\q",1,5]]', "a name that no file can have"),
        (b'["r",0,0' + b',["f",1,999999999999999999]' * 10 + b"]", "more than 8 EiB"),
        (b'["r",0,1234567890123456789]', "expected an entry"),
        (b'["r",0,1,' * 5000, "more than 4,096 deep"),
        (b"[" * 5000, "expected an entry"),
    ],
)
def test_what_is_no_find_json_is_refused_with_the_byte(path: Path, data: bytes, says: str) -> None:
    message = refusal(path, data)
    assert says in message
    assert str(path) in message
    assert "asyncmirror find" in message


@shared
@given(data=st.binary(max_size=200))
@example(b'["r",0,5,["\xff\\u00e9",1,5]]')
def test_random_bytes_crash_nothing(path: Path, data: bytes) -> None:
    path.write_bytes(data)
    with contextlib.suppress(UsageError):
        read(path)


JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-2, 3), st.integers(), st.floats(allow_nan=False), st.text(max_size=3)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=5),
        st.dictionaries(st.text(max_size=3), inner, max_size=3),
        st.tuples(st.text(max_size=3), st.sampled_from([0, 1, -1, "0"]), st.integers(0, 9), inner).map(list),
    ),
)


@shared
@given(value=JSON)
def test_random_json_crashes_nothing(path: Path, value: object) -> None:
    path.write_text(json.dumps(value))
    with contextlib.suppress(UsageError):
        read(path)


@shared
@given(tree=TREES, data=st.data())
def test_a_damaged_file_crashes_nothing_and_what_is_taken_is_json(path: Path, tree: Tree, data: st.DataObject) -> None:
    whole = bytearray(written(tree))
    place = data.draw(st.integers(0, len(whole) - 1))
    whole[place : place + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=3))
    path.write_bytes(whole)
    with contextlib.suppress(UsageError):
        read(path)
        json.loads(whole.decode("utf-8", "surrogateescape"))


def test_a_node_may_stand_across_the_pieces_in_which_a_file_is_read(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tree = Tree(b"r", Kind.DIRECTORY, 0, tuple(Tree(b"%d" % n * 20, Kind.FILE, n) for n in range(200)))
    path.write_bytes(written(tree))
    monkeypatch.setattr(find_tokens, "_WINDOW", 200)
    for piece in (1, 7, 100):
        monkeypatch.setattr(find_tokens, "_PIECE", piece)
        assert read(path) == list(tree.steps())
        wrong = written(tree).index(b'["' + b"150" * 20)
        assert f"byte {wrong:,}: expected an entry" in refusal(path, written(tree)[:wrong] + b"[x" + written(tree)[wrong:])
        path.write_bytes(written(tree))


def test_a_pipe_is_read(path: Path) -> None:
    os.mkfifo(path)
    feeder = threading.Thread(target=path.write_text, args=(SEED,))
    feeder.start()
    assert read(path) == list(node(*json.loads(SEED)).steps())
    feeder.join()


@pytest.mark.parametrize("now", ['["r",0,5]', '["r",0,5,["d",0,5,["f",1,5]],["g",1,0]]'])
def test_a_file_that_is_rewritten_between_two_readings_is_noticed(path: Path, now: str) -> None:
    path.write_text('["r",0,5,["d",0,5,["f",1,5]]]')
    with FindFile(path) as found:
        path.write_text(now)
        with pytest.raises(UsageError, match="changed while it was read"):
            list(found.steps())


def test_a_file_that_is_not_there_is_told(path: Path) -> None:
    with pytest.raises(UsageError, match="No such file"):
        FindFile(path)
    with pytest.raises(UsageError, match="directory"):
        FindFile(path.parent)
