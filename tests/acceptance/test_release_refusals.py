"""What is refused of a release, its mirror file, its queue: one line that says what to do, and nothing sent."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.acceptance.command import Inside, Run, Runner, Site
from tests.acceptance.servers import Server
from tests.acceptance.test_errors import assert_one_line

USAGE, INCOMPLETE = 2, 3


class Case(NamedTuple):
    """A command line, what stands in files of the working directory (`{root}` is the tree), and words of the answer."""

    arguments: tuple[str, ...]
    words: tuple[str, ...]
    files: Mapping[str, str] = {}


def toml(more: str = "", releases: str = '["edr", "dr1"]') -> Mapping[str, str]:
    return {"asyncmirror.toml": f'root = "{{root}}"\nbucket = "{{bucket}}"\nreleases = {releases}\n{more}'}


def queue(text: str) -> Mapping[str, str]:
    return {**toml(), "batch.json": text}


MIRROR_FILE = {
    "no mirror file": Case(("sync",), ("no asyncmirror.toml", "asyncmirror init")),
    "no TOML": Case(("sync",), ("asyncmirror.toml", "line 4", "correct that line"), toml("[common\n")),
    "a key nobody knows": Case(("sync",), ("asyncmirror.toml", "'bukket'", "what may stand there"), toml('bukket = "x"\n')),
    "a flag nobody knows": Case(("sync",), ("limits.concurency", "concurrency"), toml("[limits]\nconcurency = 3\n")),
    "a value that can't be meant": Case(("sync",), ("limits.concurrency", "many"), toml('[limits]\nconcurrency = "many"\n')),
    "a text where a list belongs": Case(("sync",), ("releases must be a list",), toml(releases='"dr1"')),
    "a remap out of the bucket": Case(("sync",), ("common.'dr1/target'",), toml('[common]\n"dr1/target" = "../target"\n')),
    "a release nobody knows": Case(("sync", "dr9"), ("'dr9' is no release", "edr, dr1"), toml()),
    "a release that is not there": Case(("sync", "dr2"), ("dr2", "check the path"), toml(releases='["dr2"]')),
    "a part that is not there": Case(("sync", "dr1", "--subdir", "none"), ("dr1/none", "check the path"), toml()),
    "a root of another tree": Case(("sync", "--root", "/tmp"), ("--root '/tmp'", "root and aliases"), toml()),
    "a mirror file that is there": Case(("init",), ("it is there already",), toml()),
    "a journal that is not there": Case(("verify",), ("journal", "nothing was mirrored"), toml()),
}
BATCHES = ("sync", "dr1", "--batches", "batch.json")
QUEUE = {
    "an empty queue file": Case(BATCHES, ("batch.json", "it is empty", "asyncmirror batch"), queue("")),
    "half of a queue file": Case(BATCHES, ("batch.json", "character"), queue('{"completed": ["/a", "/b')),
    "a queue without a queue": Case(BATCHES, ("batch.json", '"queued"'), queue('{"completed": []}')),
    "a queue of numbers": Case(BATCHES, ("queued[0]", "must be a path"), queue('{"queued": [1]}')),
    "a queue of relative paths": Case(BATCHES, ("queued[0]", "no absolute path"), queue('{"queued": ["dr1/target"]}')),
    "a queue of another tree": Case(
        BATCHES, ("/elsewhere/dr1", "make the batches of"), queue('{"queued": ["/elsewhere/dr1"]}')
    ),
    "no queue file": Case(BATCHES, ("batch.json", "No such file"), toml()),
    "a number without a queue": Case(("sync", "dr1", "--max-batches", "3"), ("--batches FILE",), toml()),
}
OF_DR1 = ("batch", "find.json", "--root", "{root}/dr1")
OUTLINE = {
    "an empty outline": Case(OF_DR1, ("find.json", "it is empty", "asyncmirror find"), {"find.json": ""}),
    "half of an outline": Case(OF_DR1, ("find.json", "byte"), {"find.json": '["dr1",0,9,["target",0,9'}),
    "an outline of no place": Case(("batch", "find.json"), ("find.json", "--root DIR"), {"find.json": '["dr1",0,0]'}),
    "an outline of another tree": Case(OF_DR1, ("'edr'", "check --root"), {"find.json": '["edr",0,0]'}),
    "sizes that can't be kept": Case(("batch", "{root}", "--max-size", "1GB"), ("--min-size", "--max-size")),
}


@pytest.fixture
def public(tmp_path: Path) -> Path:
    """Two releases with a directory in common, in which two files want one key."""
    root = tmp_path / "public"
    for name in ("edr/target/x", "dr1/target/x", "dr1/target/y"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(name.encode())
    return root


def prepare(case: Case, home: Path, public: Path, site: Site) -> list[str]:
    for name, text in case.files.items():
        (home / name).write_text(text.replace("{root}", str(public)).replace("{bucket}", site.bucket))
    return [argument.replace("{root}", str(public)) for argument in case.arguments]


@pytest.mark.parametrize("case", [pytest.param(case, id=name) for name, case in (MIRROR_FILE | QUEUE | OUTLINE).items()])
def test_a_refusal_is_one_line(case: Case, inside: Inside, home: Path, public: Path, site: Site, strict: Server) -> None:
    arguments = prepare(case, home, public, site)
    before = {path.name: path.read_bytes() for path in home.iterdir() if path.is_file()}
    start = len(strict.settled())
    assert_one_line(inside.run(*arguments), USAGE, *case.words)
    assert not any(request.body for request in strict.settled()[start:])
    assert before.items() <= {path.name: path.read_bytes() for path in home.iterdir() if path.is_file()}.items()


COMMON = '[common]\n"{release}/target" = "target"\n'


def test_two_files_with_one_key_are_told_of_before_anything_is_sent(
    runner: Runner, home: Path, public: Path, site: Site, strict: Server
) -> None:
    prepare(Case((), (), toml(COMMON)), home, public, site)
    start = len(strict.settled())
    assert_refused(runner.run("plan", "--json", "--no-progress"))
    assert not any(request.body for request in strict.settled()[start:])
    assert_refused(runner.run("sync", "--no-progress"))


def assert_refused(run: Run) -> None:
    """One file is, and that is one line."""
    assert run.code == INCOMPLETE
    (line,) = [line for line in run.error.splitlines() if line.startswith("refused: ")]
    assert line == "refused: dr1/target/x: its key is that of edr/target/x: a remap brings both there"


def test_other_remaps_than_those_on_record_are_one_line(runner: Runner, home: Path, public: Path, site: Site) -> None:
    (public / "edr/target/x").rename(public / "edr/target/z")
    prepare(Case((), (), toml(COMMON)), home, public, site)
    assert runner.run("sync", "--quiet").code == 0
    prepare(Case((), (), toml()), home, public, site)
    assert_one_line(runner.run("sync", "--quiet"), USAGE, "target", "journal")


def test_a_queue_that_can_not_be_written_again_is_one_line(runner: Runner, home: Path, public: Path, site: Site) -> None:
    """Its directory became read-only while a batch ran: nobody's work is lost, and the next run goes on."""
    prepare(Case((), (), toml()), home, public, site)
    where = home / "queue"
    where.mkdir()
    (where / "batch.json").write_text(json.dumps({"queued": [str(public / "dr1/target/y")]}))
    where.chmod(0o555)
    ordinary = Runner(home, runner.environment, ordinary=True)
    run = ordinary.run("sync", "dr1", "--batches", where / "batch.json", "--quiet")
    assert_one_line(run, 4, os.fspath(where), "it can't be written")
    where.chmod(0o755)
    assert json.loads((where / "batch.json").read_text())["queued"] == [str(public / "dr1/target/y")]
    assert runner.run("sync", "dr1", "--batches", where / "batch.json", "--quiet").code == 0
    assert json.loads((where / "batch.json").read_text())["completed"] == [str(public / "dr1/target/y")]
