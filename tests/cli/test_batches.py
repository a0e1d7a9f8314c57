"""A release batch by batch: what becomes of each, and what the queue says whenever the loop ends."""

import json
import os
import tempfile
import urllib.request
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from asyncmirror.cli import sync
from asyncmirror.cli.gather import Invocation
from asyncmirror.cli.main import main
from asyncmirror.errors import BucketError
from asyncmirror.testing import S3Server, ServerConfig
from tests.cli.test_mirror_file import command

Runner = Callable[..., list[tuple[str, ...]]]


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in ("a/x", "b/y", "c", "d/z", "e"):
        (tmp_path / "tree" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "tree" / name).write_bytes(name.encode())
    return tmp_path / "tree"


@pytest.fixture
def runner(monkeypatch: pytest.MonkeyPatch) -> Runner:
    """Has runs end with these codes; gives what they looked at."""

    def prepare(*codes: int) -> list[tuple[str, ...]]:
        looked: list[tuple[str, ...]] = []
        rest = iter(codes)

        def run(invocation: Invocation, *_: object) -> int:
            looked.append(invocation.settings.subdirs)
            code = next(rest, 0)
            if code == 4:
                raise BucketError("gone")
            return code

        monkeypatch.setattr(sync, "run", run)
        return looked

    return prepare


def write(tree: Path, queued: Sequence[str | Path], **more: object) -> None:
    lists = {"completed": [], "queued": [str(tree / name) for name in queued], "failed": [], **more}
    Path("batch.json").write_text(json.dumps(lists))


def read(tree: Path) -> dict[str, Any]:
    found = json.loads(Path("batch.json").read_text())
    return {
        key: [os.path.relpath(path.replace("/global/tree", str(tree)), tree) for path in found[key]]
        for key in ("completed", "queued", "failed")
    }


def go(tree: Path, *flags: str) -> int:
    return main(["sync", str(tree), "s3://bucket", "--batches", "batch.json", *flags])


def test_an_old_queue_is_gone_on_with(tree: Path, runner: Runner, capsys: pytest.CaptureFixture[str]) -> None:
    looked = runner(0, 3, 0)
    write(tree, ["b", "c", "d"], completed=[str(tree / "a")], failed=[str(tree / "d")])
    assert go(tree) == 3
    assert looked == [("b",), ("c",), ("d",)]
    assert read(tree) == {"completed": ["a", "b", "d"], "queued": ["c"], "failed": ["c"]}
    assert "batches" not in json.loads(Path("batch.json").read_text())  # it was in the old tools' form
    err = capsys.readouterr().err
    assert "batch 2 of 3: c\n" in err
    assert "1 batch is queued" in err
    assert go(tree) == 0
    assert read(tree) == {"completed": ["a", "b", "d", "c"], "queued": [], "failed": []}


def test_a_batch_of_several_paths_is_one_run(tree: Path, runner: Runner) -> None:
    looked = runner()
    paths = [[str(tree / name) for name in names] for names in (["a", "c"], ["b", "e"], ["d"])]
    write(tree, ["a", "c", "b", "e", "d"], batches=[{"paths": each, "size": 1} for each in paths])
    assert go(tree, "--max-batches", "2") == 0
    assert looked == [("a", "c"), ("b", "e")]
    assert read(tree) == {"completed": ["a", "c", "b", "e"], "queued": ["d"], "failed": []}
    assert json.loads(Path("batch.json").read_text())["batches"] == [{"paths": paths[2], "size": 1}]


@pytest.mark.parametrize("code", [130, 143, 4])
def test_what_ends_a_run_leaves_its_batch_where_it_was(tree: Path, runner: Runner, code: int) -> None:
    runner(1, code)
    write(tree, ["a", "b", "c"])
    assert go(tree) == code
    assert read(tree) == {"completed": [], "queued": ["b", "c", "a"], "failed": ["a"]}


@pytest.mark.parametrize(("codes", "worst"), [((0, 3, 1), 1), ((3, 1, 0), 1), ((0, 3, 0), 3)])
def test_the_exit_code_is_the_worst(tree: Path, runner: Runner, codes: tuple[int, ...], worst: int) -> None:
    runner(*codes)
    write(tree, ["a", "b", "c"])
    assert go(tree) == worst


def test_what_a_run_cannot_begin_with_is_named_and_the_rest_of_its_batch_mirrored(
    tree: Path, runner: Runner, capsys: pytest.CaptureFixture[str]
) -> None:
    looked = runner()
    (tree / "link").symlink_to("/etc")  # find.py followed it
    paths = [str(tree / name) for name in ("a", "gone", "c/in", "link/passwd")]
    write(tree, ["link/passwd", "b", "a", "gone", "c/in"], batches=[{"paths": paths}])
    assert go(tree) == 3
    assert looked == [("a",), ("b",)]
    assert read(tree) == {
        "completed": ["b"],
        "queued": ["a", "gone", "c/in", "link/passwd"],
        "failed": ["a", "gone", "c/in", "link/passwd"],
    }
    err = capsys.readouterr().err
    assert "the source has no 'gone' that can be looked at: no such file or directory\n" in err
    assert "the source has no 'link/passwd' that can be looked at: not a directory\n" in err
    assert "the source has no 'c/in' that can be looked at: not a directory\n" in err


@pytest.mark.parametrize(("remains", "says"), [(True, "the source is empty (is it mounted?)"), (False, "does not exist")])
def test_a_source_that_goes_away_ends_the_loop(
    tree: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *, remains: bool, says: str
) -> None:
    def run(*_: object) -> int:
        tree.rename(tree.with_name("elsewhere"))
        if remains:
            tree.mkdir()
        return 0

    monkeypatch.setattr(sync, "run", run)
    write(tree, ["a", "b", "c"])
    assert go(tree) == 4
    assert says in capsys.readouterr().err
    assert read(tree) == {"completed": ["a"], "queued": ["b", "c"], "failed": []}


def test_a_dry_run_changes_nothing(tree: Path, runner: Runner) -> None:
    runner()
    write(tree, ["a", "b"])
    before = Path("batch.json").read_bytes()
    assert go(tree, "--dry-run", "-q") == 0
    assert Path("batch.json").read_bytes() == before


@pytest.mark.parametrize(
    ("queued", "flags", "says"),
    [
        (["../elsewhere"], [], "'/elsewhere' is not in what is mirrored"),
        (["a", "b"], ["--subdir", "a"], "b' is not in what is mirrored"),
        (["../tree2"], [], "tree2' is not in what is mirrored"),
    ],
)
def test_what_is_not_of_the_source_is_refused_before_anything_is_sent(
    tree: Path, runner: Runner, capsys: pytest.CaptureFixture[str], queued: list[str], flags: list[str], says: str
) -> None:
    looked = runner()
    write(tree, [])
    paths = ["/elsewhere" if name == "../elsewhere" else os.path.normpath(tree / name) for name in queued]
    Path("batch.json").write_text(json.dumps({"queued": paths}))
    assert go(tree, *flags) == 2
    assert says in capsys.readouterr().err
    assert not looked


def test_a_number_without_a_queue_is_refused(tree: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sync", str(tree), "s3://bucket", "--max-batches", "2"]) == 2
    assert "--max-batches belongs to --batches" in capsys.readouterr().err


async def test_a_queue_of_another_mount_of_a_mirror_comes_to_its_end(tree: Path, tmp_path: Path) -> None:
    (tmp_path / "asyncmirror.toml").write_text(f'root = "{tree}"\naliases = ["/global/tree"]\nbucket = "box"\n')
    write(Path("/global/tree"), ["a", tree / "c"], completed=["/global/tree/e"])
    with tempfile.TemporaryDirectory(prefix="am-") as state:
        async with S3Server(ServerConfig(buckets=("box",))) as server:
            ended = await command(tmp_path, server.url, state, "sync", "--batches", "batch.json")
            assert ended.code == 0, ended.err
            assert sorted(server.objects("box")) == ["a/x", "c"]
    assert read(tree) == {"completed": ["e", "a", "c"], "queued": [], "failed": []}


def test_a_page_tells_which_batch_is_worked_on(
    tree: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    told: list[dict[str, Any]] = []
    codes = iter((3, 0))
    url = ""

    def run(*_: object) -> int:
        nonlocal url
        url = url or next(word for word in capsys.readouterr().err.split() if word.startswith("http://"))
        with urllib.request.urlopen(url + "api/status", timeout=30) as answer:
            told.append(json.loads(answer.read())["batches"])
        return next(codes)

    monkeypatch.setattr(sync, "run", run)
    write(tree, ["b", "c"])
    assert go(tree, "--http", "127.0.0.1:0") == 3
    assert told == [
        {"number": 1, "of": 2, "name": "b", "size": None, "completed": 0, "failed": 0},
        {"number": 2, "of": 2, "name": "c", "size": None, "completed": 0, "failed": 1},
    ]
