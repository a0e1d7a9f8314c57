"""`sync --http` as a process: served while the run goes on, gone with it, and no run is harmed."""

import json
import re
import signal
import socket
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from tests.acceptance.command import Runner, Running, Site, sync
from tests.acceptance.servers import serve

TOKEN = "correct-horse-battery-staple"


def get(url: str, token: str = "") -> tuple[int, str]:
    """The status and the text of an answer."""
    request = urllib.request.Request(url, headers={"Authorization": f"Bearer {token}"} if token else {})
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def address(running: Running) -> str:
    """Where it says that the page is."""
    running.wait_said(" shows how far it is")
    found = re.search(r"http://\S+", running.said())
    assert found is not None
    return found[0]


def test_a_run_is_told_of_while_it_goes_on(runner: Runner, tree: Path, tmp_path: Path) -> None:
    slow = json.dumps({"faults": [{"op": "PutObject", "kind": "delay", "seconds": 60, "first": 6}]})
    with serve("asyncmirror.testing", "--bucket=box", f"--faults={slow}") as server:
        arguments = ("sync", tree, "s3://box", "--http", "127.0.0.1:0", "--journal", tmp_path / "j.db", "--concurrency", "5")
        environment = {"AWS_ENDPOINT_URL": server.url, "ASYNCMIRROR_HTTP_TOKEN": TOKEN}
        with runner.start(*arguments, environment=environment) as running:
            url = address(running)
            assert get(url + "api/status")[0] == 401
            while json.loads(get(url + "api/status", TOKEN)[1])["run"]["outcomes"].get("complete", {}).get("count") != 5:
                pass
            assert get(url + "healthz", TOKEN) == (200, "ok\n")
            assert 'asyncmirror_entries_total{outcome="complete"} 5.0' in get(url + "metrics", TOKEN)[1]
            [run] = json.loads(get(url + "api/runs", TOKEN)[1])["runs"]
            assert run["ended"] is None
            for _ in range(2):
                running.process.send_signal(signal.SIGTERM)
                running.wait_said("stopping")
            ended = running.finish()
    assert ended.code in (143, -15)
    assert TOKEN not in ended.error
    with pytest.raises(urllib.error.URLError):
        get(url)


def test_a_port_that_is_taken_ends_it_with_one_line(runner: Runner, site: Site, tree: Path, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken = f"127.0.0.1:{other.getsockname()[1]}"
        run = runner.run(*sync(tree, site, tmp_path / "j.db", "--http", taken))
    assert run.code == 2
    assert (
        run.error
        == f"asyncmirror: --http {taken}: Address already in use (is this mirror run already? else choose another port)\n"
    )
    assert not (tmp_path / "j.db").exists()


def test_others_are_asked_for_a_token(runner: Runner, site: Site, tree: Path, tmp_path: Path) -> None:
    run = runner.run(*sync(tree, site, tmp_path / "j.db", "--http", "0.0.0.0:0"))
    assert run.code == 2
    assert run.error.startswith("asyncmirror: --http 0.0.0.0:0: others can reach this address, so that a token is needed")
