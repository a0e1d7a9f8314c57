import io
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import BinaryIO

import pytest

from asyncmirror.cli import release
from asyncmirror.cli.main import main
from asyncmirror.formats import batch_json
from asyncmirror.plan.largest import Large
from asyncmirror.plan.outline import Kind
from tests.acceptance.command import COMMAND, ORDINARY

Capture = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in os.environ:
        if name.startswith("ASYNCMIRROR_"):
            monkeypatch.delenv(name)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    root = tmp_path / "edr"
    (root / "docs").mkdir(parents=True)
    (root / "spectro" / "redux").mkdir(parents=True)
    (root / "docs" / "README").write_bytes(b"readme")
    (root / "docs" / "cover").write_bytes(b"c" * 10)
    (root / "spectro" / "redux" / "tile").write_bytes(b"x" * 500)
    (root / "spectro" / "redux" / "log").write_bytes(b"x" * 20)
    (root / "LICENSE").write_bytes(b"l" * 50)
    return root


OUTLINE = [
    "edr", 0, 586,
    ["docs", 0, 16, ["README", 1, 6], ["cover", 1, 10]],
    ["spectro", 0, 520, ["redux", 0, 520, ["log", 1, 20], ["tile", 1, 500]]],
    ["LICENSE", 1, 50],
]  # fmt: skip


def test_the_outline_goes_to_stdout_or_into_a_file(tree: Path, capsys: Capture) -> None:
    assert main(["find", str(tree)]) == 0
    out, err = capsys.readouterr()
    assert json.loads(out) == OUTLINE
    assert err == "asyncmirror: 5 files, 586 B\n"
    assert main(["find", str(tree), "-q", "-o", str(tree.parent / "find.json")]) == 0
    assert capsys.readouterr() == ("", "")
    assert (tree.parent / "find.json").read_text() == out


@pytest.mark.parametrize(("depth", "shown"), [("0", ["edr", 0, 586]), ("-1", OUTLINE), ("9", OUTLINE)])
def test_a_depth_leaves_out_what_is_deeper(tree: Path, capsys: Capture, depth: str, shown: object) -> None:
    assert main(["find", str(tree), "--depth", depth, "--max-workers", "4"]) == 0
    assert json.loads(capsys.readouterr().out) == shown


def test_ncdus_form_is_written(tree: Path, capsys: Capture) -> None:
    assert main(["find", f"{tree}/", "--format", "ncdu"]) == 0
    assert json.loads(capsys.readouterr().out)[3][0] == {"name": str(tree)}


def test_links_are_marked_and_told_of(tree: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    (tree / "link").symlink_to("LICENSE")
    assert main(["find", str(tree)]) == 0
    out, err = capsys.readouterr()
    assert ["link", -1, 0] in json.loads(out)
    assert "1 links, FIFOs and the like have type -1" in err
    monkeypatch.setenv("ASYNCMIRROR_SYMLINKS", "follow")
    monkeypatch.setenv("ASYNCMIRROR_DEPTH", "0")  # no option of sync, and so no variable
    assert main(["find", str(tree)]) == 0
    assert ["link", 1, 50] in json.loads(capsys.readouterr().out)


def test_a_summary_is_a_tree_of_the_largest_directories(tree: Path, capsys: Capture) -> None:
    (tree / "spectro" / "\x1b[2J[red]").mkdir()
    assert main(["find", str(tree), "--summary", "-q"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "    586 B 100% edr",
        "├──      16 B   3% docs",
        "└──     520 B  89% spectro",
        "    ├──       0 B   0% \\x1b[2J[red]",
        "    └──     520 B  89% redux",
    ]


def test_an_empty_tree_has_a_summary() -> None:
    assert release.summary([Large(b"edr", 0, 0, Kind.UNREADABLE)], 0) == b"      0 B 100% edr (not listed to its end)\n"


def test_an_unreadable_directory_is_told_and_marked_and_the_file_is_whole(tree: Path) -> None:
    (tree / "docs").chmod(0)
    ordinary = ORDINARY if os.geteuid() == 0 else ()
    told = subprocess.run([*ordinary, COMMAND, "find", tree], check=False, capture_output=True, text=True)
    assert told.returncode == 3
    assert ["docs", -1, 0] in json.loads(told.stdout)
    assert "unreadable: docs: directory not listed: list: permission denied" in told.stderr
    told = subprocess.run([*ordinary, COMMAND, "batch", tree], check=False, capture_output=True, text=True)
    assert (told.returncode, json.loads(told.stdout)["queued"]) == (3, [str(tree)])


def test_only_the_first_problems_are_listed(tree: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(release, "PROBLEMS_KEPT", 2)

    def refuse(*_: object) -> None:
        raise PermissionError(13, "no")

    for n in range(5):
        (tree / f"d{n}").mkdir()
    monkeypatch.setattr("asyncmirror.source.beneath.Beneath.open_directory", refuse)
    assert main(["find", str(tree), "-q"]) == 3
    out, err = capsys.readouterr()
    assert json.loads(out) == ["edr", -1, 0]
    assert err == "unreadable: .: directory not listed: list: permission denied\n"


def test_a_crawl_says_now_and_then_how_far_it_is(tree: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(release, "_INTERVAL", 0.0)
    assert main(["find", str(tree), "--depth", "0"]) == 0
    assert "asyncmirror: found 5 files (586 B)\n" in capsys.readouterr().err
    assert main(["find", str(tree), "--depth", "0", "--no-progress"]) == 0
    assert "found" not in capsys.readouterr().err


BATCHES = ["--max-size", "500B", "--min-size", "60B"]


@pytest.mark.parametrize("command", ["find", "batch"])
def test_a_full_disk_is_one_line(tree: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch, command: str) -> None:
    def full(*, buffering: int, **_: object) -> BinaryIO:
        return open("/dev/full", "wb", buffering)

    monkeypatch.setattr(tempfile, "TemporaryFile", full)
    assert main([command, str(tree), "-o", str(tree / "out.json")]) == 4
    err = capsys.readouterr().err
    assert err.startswith("asyncmirror: the temporary file can't be written: No space left on device (free")
    assert err.count("\n") == 1
    assert not (tree / "out.json").exists()


def test_a_tree_and_its_outline_are_divided_alike(tree: Path, capsys: Capture) -> None:
    outline, one, two = (str(tree.parent / name) for name in ("find.json", "1.json", "2.json"))
    assert main(["find", str(tree), "-o", outline]) == 0
    assert main(["batch", outline, "--root", str(tree), "-o", one, *BATCHES]) == 0
    assert "2 batches of 4 paths, 586 B in all" in capsys.readouterr().err
    assert main(["batch", str(tree), "--subdir", "docs", "-o", two, *BATCHES]) == 0
    assert "1 batch of 1 path, " in capsys.readouterr().err
    assert main(["batch", str(tree), "-o", two, *BATCHES]) == 0
    assert Path(one).read_bytes() == Path(two).read_bytes()
    pending = [batch.paths for batch in batch_json.read(Path(one)).pending()]
    below = os.fsencode(tree)
    assert pending == [
        (below + b"/spectro/redux/tile",),
        (below + b"/docs", below + b"/spectro/redux/log", below + b"/LICENSE"),
    ]


@pytest.mark.parametrize("subdir", ["spectro/redux", "./spectro/redux/", "ABSOLUTE"])
def test_a_subdirectory_can_be_chosen(tree: Path, capsys: Capture, subdir: str) -> None:
    subdir = str(tree / "spectro" / "redux") if subdir == "ABSOLUTE" else subdir
    assert main(["batch", str(tree), "--subdir", subdir, "--plain"]) == 0
    assert json.loads(capsys.readouterr().out) == {"completed": [], "queued": [f"{tree}/spectro/redux"], "failed": []}


def test_a_file_larger_than_a_batch_is_told_of(tree: Path, capsys: Capture) -> None:
    assert main(["batch", str(tree), "--max-size", "400B", "--min-size", "0B"]) == 0
    assert "the largest single file has 500 B, more than --max-size" in capsys.readouterr().err


def test_sizes_that_do_not_add_up_are_told_of(tree: Path, capsys: Capture) -> None:
    outline = tree.parent / "find.json"
    outline.write_text('[".",0,0,["f",1,5]]')
    assert main(["batch", str(outline), "--root", str(tree)]) == 0
    assert "1 directory states a size that is not the sum of their entries" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("argv", "code", "says"),
    [
        (["find"], 2, "ROOT"),
        (["find", "/nowhere"], 2, "does not exist"),
        (["find", "TREE/LICENSE"], 2, "no directory"),
        (["find", "TREE", "--depth", "x"], 2, "--depth: 'x'"),
        (["find", "TREE", "--max-workers", "5000"], 2, "--max-workers is 5000"),
        (["find", "TREE", "--format", "du"], 2, "write find or ncdu"),
        (["find", "TREE", "-o", "/nowhere/find.json"], 4, "/nowhere: no temporary file can be made"),
        (["find", "TREE", "-o", "/dev/full"], 4, "/dev/full: it can't be written: No space left"),
        (["batch"], 2, "SOURCE|find.json"),
        (["batch", "/nowhere", "--root", "/edr"], 2, "No such file"),
        (["batch", "TREE/LICENSE"], 2, "add --root DIR"),
        (["batch", "TREE/LICENSE", "--root", "TREE"], 2, "byte 0: expected an entry"),
        (["batch", "TREE", "--root", "TREE"], 2, "--root belongs to a find.json"),
        (["batch", "TREE/../find.json", "--root", "/data/dr1"], 2, "of a tree named 'edr', not of '/data/dr1'"),
        (["batch", "TREE", "--subdir", "../x"], 2, "--subdir '../x' is not in"),
        (["batch", "TREE", "--subdir", "nope"], 2, "the tree has no 'nope'"),
        (["batch", "TREE", "--max-size", "1GB"], 2, "is more than --max-size"),
        (["batch", "TREE", "--min-size", "5"], 2, "64MiB"),
    ],
)
def test_a_refusal_is_one_line(tree: Path, capsys: Capture, argv: list[str], code: int, says: str) -> None:
    (tree.parent / "find.json").write_text('["edr",0,5]')
    assert main([each.replace("TREE", str(tree)) for each in argv] + ["-q"] * (len(argv) > 1)) == code
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("asyncmirror: ")
    assert err.count("\n") == 1
    assert says in err


@pytest.mark.parametrize("command", ["find", "batch"])
def test_a_stdout_that_nobody_reads_is_told(tree: Path, command: str) -> None:
    with open("/dev/full", "wb") as full:
        told = subprocess.run(
            [sys.executable, "-m", "asyncmirror", command, tree, "-q"],
            check=False,
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
        )
    assert (told.returncode, told.stderr) == (4, "asyncmirror: stdout can't be written: No space left on device\n")


def test_what_old_tools_make_of_a_queue(tree: Path, capsys: Capture) -> None:
    """The pipeline's uploader takes the first path, moves it, and writes everything again; asyncmirror goes on from there."""
    assert main(["batch", str(tree), *BATCHES, "-q"]) == 0
    state = json.load(io.StringIO(capsys.readouterr().out))
    state["completed"].append(state["queued"].pop(0))
    path = tree.parent / "batch.json"
    path.write_text(json.dumps(state))
    found = batch_json.read(path)
    assert [os.fsdecode(each) for each in found.completed] == state["completed"]
    assert sum(len(batch.paths) for batch in found.pending()) == len(state["queued"])


def test_what_a_rule_leaves_out_is_in_no_outline_and_no_batch(tree: Path, capsys: Capture) -> None:
    rules = ["--exclude", "/docs/", "--exclude", "*.tmp", "--exclude", "log"]
    (tree / "part.tmp").write_bytes(b"tmp")
    (tree / "spectro" / "x.tmp").symlink_to("nowhere")
    assert main(["find", str(tree), *rules]) == 0
    out, err = capsys.readouterr()
    redux = ["spectro", 0, 500, ["redux", 0, 500, ["tile", 1, 500]]]
    assert json.loads(out) == ["edr", 0, 550, redux, ["LICENSE", 1, 50]]
    assert err == "asyncmirror: 2 files, 550 B\n"
    assert main(["batch", str(tree), "--include", "tile", "--min-size", "1B", "--max-size", "1GB", "-q"]) == 0
    assert sum(batch["size"] for batch in json.loads(capsys.readouterr().out)["batches"]) == 500


def test_rules_are_for_directories(tree: Path, capsys: Capture) -> None:
    found = tree.parent / "find.json"
    assert main(["find", str(tree), "-q", "-o", str(found)]) == 0
    assert main(["batch", str(found), "--root", str(tree), "--exclude", "x"]) == 2
    assert "give --include and --exclude to the find that writes the file" in capsys.readouterr().err
