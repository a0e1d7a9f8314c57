"""SIGINT and SIGTERM on runs that are in the middle of it: the first drains, the second stops, and both can be resumed."""

import json
import signal
import socket
from collections import Counter
from pathlib import Path

import pytest

from tests.acceptance.command import Runner, Site, sync
from tests.acceptance.evidence import confirmed, regular_files, wrong
from tests.acceptance.servers import Server, serve

MIB = 1 << 20
STOPPING = "asyncmirror: stopping: finishing what is in flight; again to stop at once\n"
TALKING = ("--no-quiet", "--no-progress")
SMALL_PARTS = ("--part-size", "5MiB", "--multipart-threshold", "8MiB", "--concurrency", "4")


@pytest.fixture
def tree(tree: Path) -> Path:
    """With two files that go up in three parts each."""
    for name in ("large-1", "large-2"):
        (tree / name).write_bytes(name.encode() * (11 * MIB // len(name)))
    return tree


def sent(server: Server, start: int = 0) -> Counter[tuple[str, int]]:
    """How often each piece was sent."""
    return Counter((request.key, request.part) for request in server.settled()[start:] if request.body)


@pytest.mark.hazard(31)
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_the_first_signal_finishes_what_is_in_flight(
    number: signal.Signals, code: int, tree: Path, home: Path, tmp_path: Path
) -> None:
    with serve("asyncmirror.testing", "--bucket", "box", "--latency-ms", "100") as server:
        site, journal = Site(server.url, "box"), home / "journal"
        runner = Runner(home, site.environment(home))
        with runner.start(*sync(tree, site, journal, *SMALL_PARTS, *TALKING)) as running:
            assert server.wait(lambda requests: sum(request.body for request in requests) >= 5)
            running.process.send_signal(number)
            first = running.finish()
        assert first.code == first.summary["exit_code"] == code
        assert STOPPING in first.error
        assert first.summary["complete"] < 22
        (line,) = runner.run("history", "--json", "--journal", journal).lines
        assert (line["end"], line["summary"]) == ("stopped", line["summary"] | {"exit_code": code, "stopped": True})

        known, pieces = confirmed(journal, tmp_path / "copy"), sent(server)
        whole = {key for key, part in known if not part}
        assert {key for key, part in pieces if not part} <= whole, "sent, and not waited for"
        assert {piece for piece in pieces if piece[1] and piece[0] not in whole} == {piece for piece in known if piece[1]}

        second = runner.run(*sync(tree, site, journal, *SMALL_PARTS))
        assert (second.code, second.error) == (0, "")
        assert set(sent(server).values()) == {1}, "something was sent twice"
        assert wrong(site, regular_files(tree)) == []


def test_a_drain_too_late_to_leave_anything_out_is_the_end_of_a_complete_run(tree: Path, home: Path) -> None:
    held = {"op": "PutObject", "kind": "delay", "seconds": 1.5}
    with serve("asyncmirror.testing", "--bucket", "box", "--faults", json.dumps({"faults": [held]})) as server:
        site = Site(server.url, "box")
        runner = Runner(home, site.environment(home))
        only_small = ("--exclude", "large*", "--concurrency", "64")
        with runner.start(*sync(tree, site, home / "journal", *only_small, *TALKING)) as running:
            assert server.wait(bool)
            assert runner.run("ctl", "drain", "--journal", home / "journal", "--json").code == 0
            run = running.finish()
        assert STOPPING in run.error
        assert run.code == run.summary["exit_code"] == 0
        assert run.summary["complete"] == 20
        assert wrong(site, {key: file for key, file in regular_files(tree).items() if "large" not in key}) == []
    (line,) = runner.run("history", "--json", "--journal", home / "journal").lines
    assert line["end"] == "ended"


@pytest.mark.hazard(31)
def test_the_second_signal_stops_at_once(tree: Path, home: Path) -> None:
    held = {"op": "PutObject", "kind": "delay", "seconds": 50, "first": 6, "times": 4}
    with serve("asyncmirror.testing", "--bucket", "box", "--faults", json.dumps({"faults": [held]})) as server:
        site, journal = Site(server.url, "box"), home / "journal"
        runner = Runner(home, site.environment(home))
        only_small = ("--exclude", "large*", "--concurrency", "4")
        with runner.start(*sync(tree, site, journal, *only_small, *TALKING)) as running:
            assert server.wait(lambda requests: sum(request.body for request in requests) >= 9)
            running.process.send_signal(signal.SIGINT)
            running.wait_said(STOPPING)
            running.process.send_signal(signal.SIGINT)
            first = running.finish(10)
        assert first.code == first.summary["exit_code"] == 130
        done = {line["key"] for line in first.objects.values() if line["outcome"] == "complete"}
        assert len(done) == first.summary["complete"] == 5
        start = len(server.settled())

        second = runner.run(*sync(tree, site, journal, *SMALL_PARTS))
        assert (second.code, second.error) == (0, "")
        assert second.summary["unchanged"] == len(done)
        assert not done & {key for key, _ in sent(server, start)}
        assert wrong(site, regular_files(tree)) == []


def test_a_signal_before_anything_was_sent(tree: Path, home: Path, runner: Runner, site: Site) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        silent.settimeout(20)
        silent_site = site._replace(url=f"http://127.0.0.1:{silent.getsockname()[1]}")
        arguments = sync(tree, silent_site, home / "journal")
        with runner.start(*arguments, environment={"AWS_ENDPOINT_URL": silent_site.url}) as running:
            connection, _ = silent.accept()
            with connection:
                running.process.send_signal(signal.SIGINT)
                run = running.finish(10)
    assert (run.code, run.lines, run.error) == (130, [], "")
