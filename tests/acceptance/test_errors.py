"""What goes wrong before or during a run: one line that says what to do, the right exit code, and nothing lost."""

import json
import os
import shutil
import socket
import sqlite3
import subprocess
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.acceptance.command import Inside, Run, Runner, Site, sync
from tests.acceptance.evidence import regular_files, wrong
from tests.acceptance.servers import Server, serve

USAGE, STORE = 2, 4


def assert_one_line(run: Run, code: int, *words: str) -> None:
    """One line on stderr with these words, and this exit code."""
    assert run.code == code, run.error
    lines = run.error.splitlines()
    assert len(lines) == 1, run.error
    assert lines[0].startswith("asyncmirror: ")
    for word in words:
        assert word in lines[0]


class Case(NamedTuple):
    """What is asked, and the answer: `options` come behind, `environment` replaces; None takes a variable away."""

    code: int
    words: tuple[str, ...]
    options: tuple[str, ...] = ()
    environment: Mapping[str, str] = {}
    source: str = ""
    destination: str = ""


@pytest.fixture
def closed_port() -> Iterator[int]:
    """A port that nothing listens on, kept from being taken."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield taken.getsockname()[1]


NO_KEYS = {"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""}
STORES = {
    "wrong bucket": Case(STORE, ("NoSuchBucket", "create the bucket"), destination="s3://absent"),
    "wrong key": Case(STORE, ("InvalidAccessKeyId", "AWS_ACCESS_KEY_ID"), environment={"AWS_ACCESS_KEY_ID": "nobody"}),
    "wrong secret": Case(STORE, ("SignatureDoesNotMatch", "secret key"), environment={"AWS_SECRET_ACCESS_KEY": "wrong"}),
    "no credentials": Case(
        STORE, ("AWS_ACCESS_KEY_ID", "--profile"), environment={"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""}
    ),
    "half the credentials": Case(STORE, ("AWS_SECRET_ACCESS_KEY",), environment={"AWS_SECRET_ACCESS_KEY": ""}),
    "no such profile": Case(STORE, ("--profile", "absent"), ("--profile", "absent")),
    "CA bundle of the environment missing": Case(STORE, ("AWS_CA_BUNDLE",), environment={"AWS_CA_BUNDLE": "/absent.pem"}),
    "another region": Case(STORE, ("region",), ("--region", "eu-west-1")),
    "no such region": Case(STORE, ("uswest-2", "us-west-2", "--region"), ("--region", "uswest-2"), {"AWS_ENDPOINT_URL": ""}),
}
USAGES = {
    "source missing": Case(USAGE, ("does not exist",), source="absent"),
    "source a file": Case(USAGE, ("no directory",), source="a/file-0"),
    "destination no URL": Case(USAGE, ("s3://BUCKET",), destination="box/prefix"),
    "destination without a bucket": Case(USAGE, ("s3://BUCKET",), destination="s3://"),
    "destination with dots": Case(USAGE, ("..", "s3://BUCKET"), destination="s3://box/../etc"),
    "destination of another kind": Case(USAGE, ("s3://BUCKET",), destination="gs://box"),
    "size without a unit": Case(USAGE, ("--part-size", "64MiB"), ("--part-size", "64")),
    "size too small": Case(USAGE, ("--part-size", "from 5 MiB to 5 GiB"), ("--part-size", "1MiB")),
    "part beyond the memory": Case(USAGE, ("--part-size", "--max-memory"), ("--part-size", "64MiB", "--max-memory", "32MiB")),
    "no number": Case(USAGE, ("--concurrency",), ("--concurrency", "many")),
    "out of bounds": Case(USAGE, ("--concurrency", "from 1 to 4096"), ("--concurrency", "0")),
    "no such checksum": Case(USAGE, ("--checksum-algorithm", "crc64nvme"), ("--checksum-algorithm", "md6")),
    "no such flag": Case(USAGE, ("--concurency", "--help"), ("--concurency", "3")),
    "variable out of bounds": Case(USAGE, ("ASYNCMIRROR_CONCURRENCY",), environment={"ASYNCMIRROR_CONCURRENCY": "9999"}),
    "CA bundle missing": Case(USAGE, ("--ca-bundle", "No such file"), ("--ca-bundle", "/absent.pem")),
    "CA bundle a directory": Case(USAGE, ("--ca-bundle", "directory"), ("--ca-bundle", "/")),
    "endpoint no URL": Case(USAGE, ("--endpoint-url",), ("--endpoint-url", "localhost:9000")),
}


@pytest.mark.parametrize("case", [pytest.param(case, id=name) for name, case in (STORES | USAGES).items()])
def test_a_mistake_is_one_line_that_says_what_to_do(
    case: Case, runner: Runner, inside: Inside, site: Site, strict: Server, tree: Path
) -> None:
    start = len(strict.settled())
    arguments: list[str | Path] = ["sync", tree / case.source, case.destination or f"s3://{site.bucket}", *case.options]
    ran = inside if case.code == USAGE else runner
    run = ran.run(*arguments, environment=case.environment)
    assert_one_line(run, case.code, *case.words)
    assert not any(request.body for request in strict.settled()[start:])
    assert "testsecret" not in run.error


def test_an_endpoint_that_nobody_listens_on(runner: Runner, tree: Path, closed_port: int) -> None:
    run = runner.run("sync", tree, "s3://box", "--endpoint-url", f"http://127.0.0.1:{closed_port}", seconds=30)
    assert_one_line(run, STORE, str(closed_port), "--endpoint-url")
    assert run.seconds < 20  # eight attempts, with pauses of 12.7 s at most


def test_a_host_that_does_not_resolve(runner: Runner, tree: Path) -> None:
    run = runner.run("sync", tree, "s3://box", "--endpoint-url", "http://absent.invalid", "--max-attempts", "2", seconds=30)
    assert_one_line(run, STORE, "absent.invalid", "--endpoint-url")


def test_a_store_that_never_answers(runner: Runner, tree: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        patience = ("--request-timeout", "1", "--max-attempts", "2")
        run = runner.run("sync", tree, "s3://box", "--endpoint-url", url, *patience, seconds=30)
    assert_one_line(run, STORE, "no answer in time", "--request-timeout")


def test_a_store_that_is_down_from_the_start(home: Path, tree: Path) -> None:
    down = {"op": "*", "kind": "status", "status": 503, "code": "ServiceUnavailable"}
    with serve("asyncmirror.testing", "--bucket", "box", "--faults", json.dumps({"faults": [down]})) as server:
        runner = Runner(home, Site(server.url, "box").environment(home))
        run = runner.run("sync", tree, "s3://box", "--max-attempts", "2", "--quiet", seconds=30)
    assert_one_line(run, STORE, "ServiceUnavailable")


def test_a_store_that_goes_away(home: Path, tree: Path) -> None:
    held = {"op": "PutObject", "kind": "stall", "first": 6}
    with serve("asyncmirror.testing", "--bucket", "box", "--faults", json.dumps({"faults": [held]})) as server:
        site = Site(server.url, "box")
        runner = Runner(home, site.environment(home))
        with runner.start(*sync(tree, site, home / "journal", "--max-attempts", "3", "--concurrency", "4")) as running:
            assert server.wait(lambda requests: sum(request.stored for request in requests) == 5)
            server.end()
            run = running.finish(20)
    assert_one_line(run, STORE, site.url.rpartition(":")[2], "refused", "--endpoint-url")
    assert run.summary["complete"] == 5
    assert run.summary["pending"] == 15


@pytest.mark.hazard(29)
def test_a_journal_that_another_process_has(runner: Runner, tree: Path, site: Site, home: Path) -> None:
    """The first run is held up by a server that does not answer."""
    journal = home / "journal"
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with runner.start(*sync(tree, site, journal), environment={"AWS_ENDPOINT_URL": url}) as first:
            silent.settimeout(20)
            connection, _ = silent.accept()
            with connection:
                second = runner.run(*sync(tree, site, journal), environment={"AWS_ENDPOINT_URL": url})
                assert_one_line(second, STORE, f"in use by process {first.process.pid}", "--journal")


@pytest.mark.hazard(28)
def test_a_journal_of_a_newer_version_is_left_as_it_is(runner: Runner, tree: Path, site: Site, home: Path) -> None:
    journal = home / "journal"
    assert runner.run(*sync(tree, site, journal)).code == 0
    with sqlite3.connect(journal) as connection:
        connection.execute("PRAGMA user_version = 99")
    connection.close()
    before = journal.read_bytes()
    assert_one_line(runner.run(*sync(tree, site, journal)), STORE, "version 99", "newer asyncmirror")
    assert journal.read_bytes() == before


def test_a_file_that_is_no_journal_is_left_as_it_is(runner: Runner, tree: Path, site: Site) -> None:
    file = tree / "a" / "file-0"
    before = file.read_bytes()
    assert_one_line(runner.run(*sync(tree, site, file)), STORE, "no asyncmirror journal", "--journal")
    assert file.read_bytes() == before


def test_a_journal_of_another_destination(runner: Runner, tree: Path, site: Site, home: Path) -> None:
    journal = home / "journal"
    assert runner.run(*sync(tree, site, journal)).code == 0
    run = runner.run("sync", tree, f"s3://{site.bucket}/elsewhere", "--journal", journal)
    assert_one_line(run, USAGE, "/elsewhere", "--journal")


def test_a_journal_where_nothing_may_be_written(tree: Path, site: Site, home: Path) -> None:
    runner = Runner(home, site.environment(home), ordinary=True)
    closed = home / "closed"
    closed.mkdir(mode=0o500)
    assert_one_line(runner.run(*sync(tree, site, closed / "journal")), STORE, "closed", "--journal")


def test_a_journal_below_a_file(runner: Runner, tree: Path, site: Site) -> None:
    assert_one_line(runner.run(*sync(tree, site, tree / "a" / "file-0" / "journal")), STORE, "--journal")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Callable[[str], Path]]:
    """A file system of its own; called with a size it is made, or made so large."""
    if os.geteuid() != 0 or shutil.which("mount") is None:
        pytest.skip("only root may mount a tmpfs")
    place = tmp_path / "disk"
    place.mkdir()

    def resize(size: str) -> Path:
        options = f"remount,size={size}" if place.is_mount() else f"size={size}"
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", place], capture_output=True, check=False)
        if done.returncode:
            pytest.skip(f"no tmpfs can be mounted here: {done.stderr.decode().strip()}")
        return place

    yield resize
    if place.is_mount():
        subprocess.run(["umount", place], check=True)


@pytest.mark.hazard(26)
def test_a_full_disk_under_the_journal_loses_nothing(
    runner: Runner, site: Site, strict: Server, tmp_path: Path, small_disk: Callable[[str], Path]
) -> None:
    tree = tmp_path / "many"
    for number in range(600):
        path = tree / f"{number % 30}" / f"a-rather-long-name-that-takes-its-space-in-the-journal-{number}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"%d" % number)
    journal = small_disk("256k") / "journal"
    first = runner.run(*sync(tree, site, journal))
    assert_one_line(first, STORE, str(journal), "free some space", "same command")
    told = {line["key"] for line in first.objects.values() if line["outcome"] == "complete"}
    assert 0 < len(told) < 600
    assert first.summary["exit_code"] == STORE

    small_disk("64m")
    start = len(strict.settled())
    second = runner.run(*sync(tree, site, journal))
    assert (second.code, second.error) == (0, "")
    assert second.summary["complete"] + second.summary["unchanged"] == 600
    sent = {request.key for request in strict.settled()[start:] if request.body}
    assert not sent & told
    assert wrong(site, regular_files(tree)) == []
