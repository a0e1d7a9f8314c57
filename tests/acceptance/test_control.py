"""A run that is told what to do while it goes on, by `asyncmirror ctl`, by SIGHUP, by a terminal that goes away; looked at."""

import json
import os
import pty
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.command import COMMAND, Runner, Running, Site, sync
from tests.acceptance.servers import PATIENCE, Server, serve

LATENCY_MS = 100
HOSTILE = os.fsdecode(b"\x1b[2J\n\xff")


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    fails = {"op": "PutObject", "key": "again-*", "kind": "status", "status": 500, "code": "InternalError", "every": 2}
    boxes = [f"--bucket=box-{n}" for n in range(3)]
    with serve(
        "asyncmirror.testing", *boxes, "--latency-ms", str(LATENCY_MS), "--faults", json.dumps({"faults": [fails]})
    ) as server:
        yield server


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    (tmp_path / "tree").mkdir()
    for number in range(400):
        (tmp_path / "tree" / f"f{number}").write_bytes(b"%d" % number)
    return tmp_path / "tree"


def wait_for(running: Running, server: Server, count: int) -> None:
    """Wait until so many more requests have ended."""
    wanted = len(server.requests) + count
    assert server.wait(lambda requests: len(requests) >= wanted), running.said()


def ctl(runner: Runner, *words: str | Path) -> dict[str, Any]:
    run = runner.run("ctl", *words, "--json")
    assert run.code == 0, run.error
    return run.lines[0]


def test_concurrency_follows_at_once_and_nothing_is_sent_twice(tree: Path, home: Path, server: Server) -> None:
    (tree / HOSTILE).symlink_to("nowhere")
    site, journal = Site(server.url, "box-0"), home / "journal"
    runner = Runner(home, site.environment(home))
    start = len(server.settled())
    with runner.start(*sync(tree, site, journal, "--concurrency", "2")) as running:
        wait_for(running, server, 10)
        with runner.start("top", "--journal", journal) as top:
            assert ctl(runner, "set", "concurrency=64", "--journal", journal) == {"concurrency": {"before": "2", "after": "64"}}
            began = time.monotonic()
            run = running.finish()
            assert time.monotonic() - began < 400 * LATENCY_MS / 1000 / 2 / 3, "as if nothing had been set"
            told = top.finish()
    assert run.code == 3  # the link
    steered = [line for line in run.lines if line["event"] == "steered"]
    assert [(line["what"], line["before"], line["after"]) for line in steered] == [("concurrency", "2", "64")]
    sent = Counter(request.key for request in server.settled()[start:] if request.body)
    assert set(sent.values()) == {1}
    assert len(sent) == 400
    assert told.code == 3
    assert "complete                 400" in told.error
    assert r"unsupported: \x1b[2J\x0a\xff" in told.error
    assert "concurrency: 2 → 64, by process" in told.error


def test_it_pauses_goes_on_reads_its_file_again_and_ends_when_told(tree: Path, home: Path, server: Server) -> None:
    site = Site(server.url, "box-1")
    runner = Runner(home, site.environment(home))
    file = home / "asyncmirror.toml"
    text = f'root = "{tree}"\nbucket = "box-1"\n[limits]\nloops = 2\nconcurrency = 4\n'
    for each in tree.iterdir():
        each.rename(each.with_name(f"again-{each.name}"))
    file.write_text(text)
    with runner.start("sync", "--no-progress") as running:
        wait_for(running, server, 10)
        assert ctl(runner, "pause") == {"paused": {"before": "no", "after": "yes"}}
        status = runner.run("status", "--json").lines[0]
        assert status["live"]["paused_since"] <= time.time()
        assert status["live"]["tuning"]["concurrency"] == "4"
        before = len(server.requests)
        file.write_text(text.replace("= 4", "= 16") + 'part-size = "9MiB"\n')
        running.process.send_signal(signal.SIGHUP)
        running.wait_said("concurrency: 4 → 16, by SIGHUP")
        running.wait_said("from the next start on holds what it says of part-size")
        file.write_text(text + "\x00")
        running.process.send_signal(signal.SIGHUP)
        running.wait_said("SIGHUP: nothing is changed: ")
        assert len(server.requests) == before
        journal = status["journal"]
        assert "DEBUG" not in running.said()
        assert ctl(runner, "log-level", "debug", "--journal", journal) == {"log-level": {"before": "warning", "after": "debug"}}
        assert ctl(runner, "resume", "--journal", journal) == {"paused": {"before": "yes", "after": "no"}}
        wait_for(running, server, 10)
        file.write_text(text)
        running.wait_said("DEBUG asyncmirror.store.patience: PutObject: again-f")
        refused = runner.run("ctl", "set", "loops=4")
        assert refused.code == 2
        assert refused.error.startswith("asyncmirror: 'loops' can't be turned (what can: concurrency, ")
        assert ctl(runner, "drain") == {"ending": {"before": "no", "after": "drain"}}
        assert running.finish().code == 130
    after = runner.run("ctl", "set", "concurrency=1")
    assert after.code == 4
    assert "no process has this journal" in after.error


def test_a_terminal_that_goes_away_ends_nothing(tree: Path, home: Path, server: Server) -> None:
    site, journal = Site(server.url, "box-2"), home / "journal"
    start = len(server.settled())
    leader, follower = pty.openpty()
    environment = Runner(home, site.environment(home)).environment | {"TERM": "xterm"}
    command = [str(word) for word in (COMMAND, "sync", tree, "s3://box-2", "--journal", journal, "--concurrency", 40)]
    with subprocess.Popen(
        command, stdin=follower, stdout=follower, stderr=follower, env=environment, start_new_session=True
    ) as process:
        try:
            os.close(follower)
            assert server.wait(lambda requests: any(request.body for request in requests[start:]))
            os.read(leader, 100)
            os.close(leader)
            process.send_signal(signal.SIGHUP)
            assert process.wait(PATIENCE) == 0
        finally:
            process.kill()
    assert Counter(request.key for request in server.settled()[start:] if request.stored) == Counter(os.listdir(tree))
