"""`asyncmirror status` while a run goes on, after it was killed, after it ended, and where there is none."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.command import Runner, Site, sync
from tests.acceptance.evidence import regular_files
from tests.acceptance.servers import Server, serve

HELD = {"op": "UploadPart", "kind": "stall", "part": 2, "times": 1}


@pytest.fixture
def holding() -> Iterator[Server]:
    """A server that takes the second part of a file, and answers it never."""
    with serve("asyncmirror.testing", "--bucket", "box", "--faults", json.dumps({"faults": [HELD]})) as server:
        yield server


def ask(runner: Runner, journal: Path) -> dict[str, Any]:
    run = runner.run("status", "--journal", journal, "--json")
    assert (run.code, run.error) == (0, "")
    return run.lines[0]


def count(status: dict[str, Any]) -> int:
    """How many files are complete."""
    return int(status["outcomes"].get("complete", {"count": 0})["count"])


def test_what_is_known_during_a_run_and_after_it(tree: Path, home: Path, holding: Server) -> None:
    (tree / "large").write_bytes(b"12345678" * (11 << 17))
    site, journal = Site(holding.url, "box"), home / "journal"
    runner = Runner(home, site.environment(home))
    arguments = sync(tree, site, journal, "--part-size", "5MiB", "--multipart-threshold", "8MiB")
    with runner.start(*arguments) as running:
        # 20 files, the list that begins a run, Create, and the first and third part.
        assert holding.wait(lambda requests: sum(request.stored for request in requests) == 22)
        during = ask(runner, journal)
        while count(during) < 20 or during["uploads"][0]["confirmed"] < 6 << 20:
            during = ask(runner, journal)  # what is stored takes a moment to be confirmed
        assert during["running"]["pid"] == running.process.pid
        assert f"process {running.process.pid}" in text(runner, journal)
        assert during["destination"] == "s3://box"
        assert during["endpoint"] == site.url
        assert [(upload["path"], upload["size"]) for upload in during["uploads"]] == [("large", 11 << 20)]
        running.process.kill()
        assert running.finish().code == -9

    killed = ask(runner, journal)
    assert killed["running"] is None
    assert killed["last_run"]["ended"] is None
    assert killed["outcomes"] == during["outcomes"]
    assert killed["uploads"] == during["uploads"]
    assert "was killed: the same sync goes on from there" in text(runner, journal)

    assert runner.run(*arguments).code == 0
    after = ask(runner, journal)
    assert after["running"] is None
    assert after["uploads"] == after["problems"] == []
    size = sum(size for _, size in regular_files(tree).values())
    assert after["outcomes"] == {"complete": {"count": 21, "bytes": size}}
    assert after["last_run"]["summary"]["exit_code"] == 0
    assert "exit code 0" in text(runner, journal)


def test_the_default_journal_is_found_by_source_and_destination(tree: Path, site: Site, runner: Runner) -> None:
    destination = f"s3://{site.bucket}/release"
    assert runner.run("sync", tree, destination, "--quiet").code == 0
    run = runner.run("status", tree, destination, "--json")
    assert run.code == 0
    assert count(run.lines[0]) == 20


def test_a_journal_that_is_not_there(tree: Path, site: Site, runner: Runner, home: Path) -> None:
    for arguments in (("--journal", home / "absent"), (tree, f"s3://{site.bucket}/never")):
        run = runner.run("status", *arguments)
        assert run.code == 2
        assert run.error.startswith("asyncmirror: there is no journal")
        assert run.error.count("\n") == 1
    assert not (home / "absent").exists()


def text(runner: Runner, journal: Path) -> str:
    """What it says to people."""
    with runner.start("status", "--journal", journal) as running:
        assert running.process.wait(20) == 0
        return running.printed()
