import contextlib
import io
import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from asyncmirror.errors import UsageError
from asyncmirror.formats import batch_json
from asyncmirror.formats.batch_json import BatchFile
from asyncmirror.plan.batches import Batch
from tests.formats.test_find_json import JSON
from tests.formats.trees import NAMES

shared = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
PATHS = st.lists(NAMES, min_size=1, max_size=3).map(lambda names: b"/" + b"/".join(names))
BATCHES = st.lists(PATHS, unique=True, max_size=12).flatmap(
    lambda paths: st.lists(st.integers(1, 4), min_size=len(paths), max_size=len(paths)).map(lambda cuts: grouped(paths, cuts))
)


def grouped(paths: list[bytes], cuts: list[int]) -> list[Batch]:
    batches: list[Batch] = []
    for cut in cuts:
        if paths:
            batches.append(Batch(tuple(paths[:cut]), cut * 7, cut))
            paths = paths[cut:]
    return batches


def written(batches: list[Batch], completed: list[bytes] | None = None, *, plain: bool = False) -> bytes:
    file = io.BytesIO()
    batch_json.write(file, batches, completed or [], plain=plain)
    return file.getvalue()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "batch.json"


def test_the_files_of_an_old_run_are_taken_up(path: Path) -> None:
    # As upload.py leaves it: what failed stands at the queue's end again, and a path twice where it was stopped.
    path.write_text(
        json.dumps({"completed": ["/p/edr/a"], "queued": ["/p/edr/b", "/p/edr/b/", "/p/edr/c"], "failed": ["/p/edr/c"]})
    )
    found = batch_json.read(path)
    assert found == BatchFile((b"/p/edr/a",), (b"/p/edr/b", b"/p/edr/c"), (b"/p/edr/c",))
    assert list(found.pending()) == [Batch((b"/p/edr/b",)), Batch((b"/p/edr/c",))]


def test_slashes_that_say_nothing_and_the_mark_of_an_editor_are_passed_over(path: Path) -> None:
    path.write_text(json.dumps({"queued": ["/p//edr/a", "//p/edr///b/", "/p/edr/a", "//"]}), "utf-8-sig")
    assert batch_json.read(path).queued == (b"/p/edr/a", b"/p/edr/b", b"/")


def test_the_plain_form_is_what_the_old_tools_write() -> None:
    old = {"completed": ["/é"], "queued": ["/a", "/b", "/\udcff"], "failed": []}
    batches = [Batch((b"/a", b"/b"), 5, 2), Batch((b"/\xff",), 1, 1)]
    assert written(batches, ["/é".encode()], plain=True) == json.dumps(old).encode() + b"\n"


@shared
@given(batches=BATCHES)
def test_batches_are_read_back_and_old_tools_find_one_path_an_entry(path: Path, batches: list[Batch]) -> None:
    path.write_bytes(written(batches))
    found = batch_json.read(path)
    assert list(found.pending()) == batches
    as_old = json.loads(path.read_bytes())
    assert [name.encode("utf-8", "surrogateescape") for name in as_old["queued"]] == [
        p for batch in batches for p in batch.paths
    ]


@shared
@given(batches=BATCHES, data=st.data())
def test_what_an_old_tool_has_done_meanwhile_is_not_done_again(path: Path, batches: list[Batch], data: st.DataObject) -> None:
    state = json.loads(written(batches))
    for _ in range(data.draw(st.integers(0, len(state["queued"])))):
        state["completed"].append(state["queued"].pop(data.draw(st.integers(0, len(state["queued"]) - 1))))
    state["queued"] = data.draw(st.permutations(state["queued"]))
    path.write_text(json.dumps(state))
    found = batch_json.read(path)
    pending = list(found.pending())
    assert sorted(p for batch in pending for p in batch.paths) == sorted(found.queued)
    assert all(batch in batches or batch.size is None for batch in pending)
    again = written(pending, list(found.completed))
    path.write_bytes(again)
    assert list(batch_json.read(path).pending()) == pending
    assert batch_json.read(path).completed == found.completed


@pytest.mark.parametrize(
    ("data", "says"),
    [
        ("", "it is empty"),
        ('{"queued": ["/a"', "character 16"),
        ("[]", "must be an object"),
        ('{"completed": []}', 'no "queued"'),
        ('{"queued": "/a"}', "queued must be a list"),
        ('{"queued": ["/a", 5]}', "queued[1] must be a path"),
        ('{"queued": ["a"]}', "queued[0] is 'a', which is no absolute path"),
        ('{"queued": ["/a/../b"]}', "queued[0]"),
        ('{"queued": ["/a\\u0000"]}', "queued[0]"),
        ('{"queued": ["/a\\ud800"]}', "queued[0]"),
        ('{"queued": [], "failed": {}}', "failed must be a list"),
        ('{"queued": [], "batches": [5]}', "batches[0] must be an object"),
        ('{"queued": [], "batches": [{}]}', "batches[0].paths must be a list"),
        ('{"queued": [], "batches": [{"paths": []}]}', "batches[0].paths is empty"),
        ('{"queued": [], "batches": [{"paths": ["/a"], "size": -1}]}', "batches[0].size"),
        ('{"queued": [], "batches": [{"paths": ["/a"], "entries": true}]}', "batches[0].entries"),
        ("[" * 100_000, "nesting"),
        ('{"queued": ' + "9" * 5000 + "}", "number"),
    ],
)
def test_what_is_no_batch_json_is_refused_with_the_place(path: Path, data: str, says: str) -> None:
    path.write_text(data)
    with pytest.raises(UsageError) as caught:
        batch_json.read(path)
    assert says in str(caught.value)
    assert str(path) in str(caught.value)
    assert "asyncmirror batch" in str(caught.value)


def test_a_file_that_is_not_there_is_told(path: Path) -> None:
    with pytest.raises(UsageError, match="No such file"):
        batch_json.read(path)


@shared
@given(data=st.binary(max_size=100))
def test_random_bytes_crash_nothing(path: Path, data: bytes) -> None:
    path.write_bytes(data)
    with contextlib.suppress(UsageError):
        batch_json.read(path)


@shared
@given(
    value=st.one_of(
        JSON,
        st.fixed_dictionaries(
            {"queued": st.lists(st.one_of(PATHS.map(lambda path: path.decode("utf-8", "replace")), JSON), max_size=3)},
            optional={
                "completed": JSON,
                "failed": JSON,
                "batches": st.lists(st.fixed_dictionaries({"paths": JSON}), max_size=3),
            },
        ),
    )
)
def test_random_json_crashes_nothing(path: Path, value: object) -> None:
    path.write_text(json.dumps(value))
    with contextlib.suppress(UsageError):
        list(batch_json.read(path).pending())
