"""A run as a service: what its supervisor hears, what its log file says, who is told, and what a death leaves behind."""

import json
import signal
import socket
from pathlib import Path

from tests.acceptance.command import Runner, Site, sync
from tests.acceptance.servers import PATIENCE, serve

SECRET = "planted-secret-of-the-store"


def heard(ear: socket.socket, word: str) -> list[str]:
    """What is heard up to a word."""
    found: list[str] = []
    while not found or not found[-1].startswith(word):
        found.append(ear.recv(4096).decode())
    return found


def test_a_service_from_start_to_stop(tree: Path, home: Path) -> None:
    held = {"op": "PutObject", "kind": "delay", "seconds": 1, "times": 1000}
    keys = ("--secret-key", SECRET, "--faults", json.dumps({"faults": [held]}))
    with (
        serve("asyncmirror.testing", "--bucket", "box", *keys) as server,
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ear,
    ):
        ear.bind(str(home / "notify"))
        ear.settimeout(PATIENCE)
        site = Site(server.url, "box", secret_key=SECRET)
        runner = Runner(home, site.environment(home))
        environment = {"NOTIFY_SOCKET": str(home / "notify"), "WATCHDOG_USEC": "200000"}
        log = home / "log"
        (home / "tell").write_text(f"env > {home}/env; cat > {home}/told", encoding="utf-8")
        service = f'[service]\nwatch = "1h"\nlog-file = "{log}"\nnotify = ["sh {home}/tell"]\n[limits]\nconcurrency = 2\n'
        mirror = f'root = "{tree}"\nbucket = "box"\n{service}'
        (home / "asyncmirror.toml").write_text(mirror, encoding="utf-8")
        with runner.start("sync", "--quiet", environment=environment) as running:
            starting = heard(ear, "READY=1")
            assert starting[0] == "STATUS=opening the journal, asking the store"
            assert starting[1].startswith("EXTEND_TIMEOUT_USEC=")
            assert heard(ear, "WATCHDOG=1")
            assert server.wait(lambda requests: any(request.body for request in requests))
            (home / "asyncmirror.toml").write_text(mirror.replace("1h", "2h"), encoding="utf-8")
            running.process.send_signal(signal.SIGHUP)
            assert heard(ear, "RELOADING=1\nMONOTONIC_USEC=")
            assert heard(ear, "READY=1")
            running.process.send_signal(signal.SIGTERM)
            assert heard(ear, "STOPPING=1")
            assert heard(ear, "EXTEND_TIMEOUT_USEC=60000000")
            assert running.process.wait(PATIENCE) == 143
        assert running.said() == "", "it was asked to be quiet"
    lines = [json.loads(line) for line in log.read_bytes().splitlines()]
    told = [line["event"] for line in lines if line["event"] != "problem"]
    assert told == ["started", "steered", "notice", "signal", "summary"]
    assert lines[1]["message"] == "watch: 1h → 2h, by SIGHUP"
    assert lines[-1]["exit_code"] == 143
    alert = json.loads((home / "told").read_bytes())
    assert (alert["kind"], alert["exit_code"], alert["destination"]) == ("ended", 143, "s3://box")
    assert f"ASYNCMIRROR_EVENT_TEXT={alert['text']}\n" in (home / "env").read_text(encoding="utf-8")
    for path in home.rglob("*"):
        if path.is_file():
            assert SECRET.encode() not in path.read_bytes(), path


FATAL = """
import os, signal
from asyncmirror.transfer import upload

async def fatal(self, works):
    os.kill(os.getpid(), signal.SIGSEGV)

upload.Uploader.run = fatal
"""


def test_a_run_that_dies_is_told_of_by_the_next(tree: Path, home: Path, runner: Runner, site: Site, tmp_path: Path) -> None:
    (tmp_path / "fatal").mkdir()
    (tmp_path / "fatal" / "sitecustomize.py").write_text(FATAL, encoding="utf-8")
    arguments = sync(tree, site, home / "journal")
    with runner.start(*arguments, environment={"PYTHONPATH": str(tmp_path / "fatal")}) as running:
        assert running.process.wait(PATIENCE) == -signal.SIGSEGV
    second = runner.run(*arguments)
    assert second.code == 0
    (report,) = (home / "state" / "asyncmirror").iterdir()
    assert f"an earlier run died: {report} tells where\n" in second.error
    said = report.read_text(encoding="utf-8")
    assert said.startswith("Fatal Python error: Segmentation fault")
    assert "in fatal\n" in said
    third = runner.run(*arguments)
    assert "an earlier run died" not in third.error
