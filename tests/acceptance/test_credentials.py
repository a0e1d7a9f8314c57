"""Hazard 40: credentials planted wherever they may come from are found nowhere that anybody reads.

Everything a run leaves behind is searched: both its outputs with logging at "debug", its journal with the log beside it, the
command lines of all its processes, what `status` answers meanwhile.
"""

import base64
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.parse import quote

import pytest

from tests.acceptance.command import Runner, Running, Site, sync
from tests.acceptance.servers import PATIENCE, Server, serve

SECRET = "planted/Secret+key0123456789abcdefghijklm"
TOKEN = "planted/Token+FwoGZXIvYXdzEBYaDHqa0AP1=="
PASSWORD = "planted Pass:word@9"
USER = "planted-user"
PLANTED = (SECRET, TOKEN, PASSWORD)
# A module that Python imports at its start: here it makes a bug whose message holds what it should not.
BUG = """
import os
from asyncmirror.transfer import upload

async def broken(self, works):
    token = os.environ["AWS_SESSION_TOKEN"]
    raise RuntimeError(f"a bug with {token} and {os.environ['AWS_SECRET_ACCESS_KEY']}", {"Authorization": "planted-header"})

upload.Uploader.run = broken
"""


def spellings(secret: str) -> list[bytes]:
    """A secret as it may stand in a text: as it is, in a URL, in a JSON string, in a Basic header."""
    plain = [secret, quote(secret), quote(secret, safe=""), json.dumps(secret)[1:-1], repr(secret)[1:-1]]
    basic = base64.b64encode(f"{USER}:{secret}".encode())
    return [*{text.encode() for text in plain}, basic]


def assert_clean(said: bytes, where: str) -> None:
    for secret in (*PLANTED, "planted-header"):
        for spelling in spellings(secret):
            assert spelling not in said, f"{where}: {said[max(0, said.find(spelling) - 200) :][:400]!r}"


def assert_nothing_left(home: Path) -> None:
    """Neither in the outputs nor in the journal nor in anything else that was written."""
    for path in home.rglob("*"):
        if path.is_file():
            assert_clean(path.read_bytes(), str(path))


def processes(parent: int) -> Iterator[int]:
    """A process and all that descend from it."""
    yield parent
    for task in Path(f"/proc/{parent}/task").iterdir():
        for child in (task / "children").read_text(encoding="ascii").split():
            yield from processes(int(child))


def command_lines(running: Running) -> list[bytes]:
    return [Path(f"/proc/{pid}/cmdline").read_bytes() for pid in processes(running.process.pid)]


@pytest.fixture(scope="module")
def keyed() -> Iterator[Server]:
    """A server that takes the planted key with its token only; every file's first part is held up."""
    held = {"op": "UploadPart", "kind": "delay", "seconds": 1.5, "part": 1}
    keys = ("--secret-key", SECRET, "--session-token", TOKEN, "--faults", json.dumps({"faults": [held]}))
    with serve("asyncmirror.testing", "--bucket", "box", *keys) as server:
        yield server


@pytest.fixture
def planted(keyed: Server, home: Path) -> tuple[Server, Runner, Site]:
    """That server, a run's environment with all that it takes, and the site."""
    site = Site(keyed.url, "box", secret_key=SECRET)
    return keyed, Runner(home, site.environment(home) | {"AWS_SESSION_TOKEN": TOKEN}), site


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    root = tmp_path / "tree"
    root.mkdir()
    (root / "large").write_bytes(os.urandom(1 << 20) * 6)
    for number in range(20):
        (root / f"file-{number}").write_bytes(b"%d" % number)
    return root


pytestmark = pytest.mark.hazard(40)
PARTS = ("--part-size", "5MiB", "--multipart-threshold", "5MiB", "--log-level", "debug")


def ended(runner: Runner, *arguments: str | Path, environment: Mapping[str, str] | None = None) -> tuple[int, str]:
    """A run whose output is no JSON: exit code and stderr."""
    with runner.start(*arguments, environment=environment) as running:
        return running.process.wait(PATIENCE), running.said()


@pytest.mark.parametrize("loops", ["1", "2"])
def test_a_run_that_goes_well(planted: tuple[Server, Runner, Site], tree: Path, home: Path, loops: str) -> None:
    server, runner, site = planted
    journal = home / "journal"
    before = len(server.requests)
    with runner.start(*sync(tree, site, journal, *PARTS, "--loops", loops)) as running:
        assert server.wait(lambda requests: any(request.op == "CreateMultipartUpload" for request in requests[before:]))
        lines = command_lines(running)
        assert len(lines) >= int(loops)
        assert_clean(b"\n".join(lines), "/proc/PID/cmdline")
        assert_nothing_left(home)
        assert runner.run("status", "--journal", journal, "--json", "--log-level", "debug").code == 0
        run = running.finish()
    assert run.code == 0, run.error
    assert run.summary["complete"] == 21
    assert ended(runner, "status", "--journal", journal)[0] == 0
    assert_nothing_left(home)


CLOSED = "127.0.0.1:1"
LOGIN = f"{USER}:{quote(PASSWORD, safe='')}"
FAILURES = {
    "a wrong secret key": ({"AWS_SECRET_ACCESS_KEY": SECRET + "x"}, 4, "SignatureDoesNotMatch"),
    "a wrong token": ({"AWS_SESSION_TOKEN": TOKEN + "x"}, 4, "InvalidToken"),
    "a token with a line break": ({"AWS_SESSION_TOKEN": TOKEN + "\n"}, 4, "line break"),
    "a key with a line break": ({"AWS_SECRET_ACCESS_KEY": SECRET + "\n"}, 4, "line break"),
    "nobody listens": ({"AWS_ENDPOINT_URL": f"http://{CLOSED}"}, 4, "refused"),
    "a login in the endpoint": ({"AWS_ENDPOINT_URL": f"http://{LOGIN}@{CLOSED}"}, 2, "must not carry credentials"),
    "a login in the endpoint that is no URL": ({"AWS_ENDPOINT_URL": f"{LOGIN}@{CLOSED}"}, 2, "endpoint"),
    "a proxy that is not there": ({"HTTP_PROXY": f"http://{LOGIN}@{CLOSED}"}, 4, "proxy"),
    "a proxy that is no URL": ({"HTTP_PROXY": f"{LOGIN}@{CLOSED}:x"}, 4, "//[hidden]@"),
}


@pytest.mark.parametrize("case", FAILURES)
def test_a_run_that_can_not_begin(planted: tuple[Server, Runner, Site], tree: Path, home: Path, case: str) -> None:
    _, runner, site = planted
    environment, code, says = FAILURES[case]
    options = (*PARTS, "--max-attempts", "1")
    said = ended(runner, *sync(tree, site, home / "journal", *options), environment=environment)
    assert said[0] == code, said[1]
    assert says in said[1]
    assert_nothing_left(home)


def test_keys_of_a_file(planted: tuple[Server, Runner, Site], tree: Path, home: Path, tmp_path: Path) -> None:
    """Not in the environment, so that nobody may rely on knowing their values."""
    _, runner, site = planted
    file = tmp_path / "credentials"
    keys = {"aws_access_key_id": "testkey", "aws_secret_access_key": SECRET + "x", "aws_session_token": TOKEN}
    file.write_text("[default]\n" + "".join(f"{name} = {value}\n" for name, value in keys.items()), encoding="utf-8")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        runner.environment.pop(name)
    environment = {"AWS_SHARED_CREDENTIALS_FILE": str(file)}
    code, said = ended(runner, *sync(tree, site, home / "journal", *PARTS), environment=environment)
    assert (code, "SignatureDoesNotMatch" in said) == (4, True), said
    assert_nothing_left(home)


@pytest.mark.parametrize(("level", "loops"), [("debug", "1"), ("debug", "2"), ("warning", "2")])
def test_a_bug(planted: tuple[Server, Runner, Site], tree: Path, home: Path, tmp_path: Path, level: str, loops: str) -> None:
    _, runner, site = planted
    (tmp_path / "bug").mkdir()
    (tmp_path / "bug" / "sitecustomize.py").write_text(BUG, encoding="utf-8")
    options = (*PARTS, "--log-level", level, "--loops", loops)
    environment = {"PYTHONPATH": str(tmp_path / "bug")}
    code, said = ended(runner, *sync(tree, site, home / "journal", *options), environment=environment)
    assert code == 4, said
    assert "a bug with [hidden] and [hidden]" in said
    assert ("Traceback" in said) == (level == "debug")
    (report,) = (home / "state" / "asyncmirror").glob("asyncmirror-crash-*.txt")
    assert str(report) in said
    assert report.stat().st_mode & 0o777 == 0o600
    told = report.read_text(encoding="utf-8")
    for expected in ("RuntimeError", "in broken", f"settings.tuning.part_size: {5 << 20}", "The gauges:\n", "asyncmirror 0."):
        assert expected in told
    assert not list((home / "state" / "asyncmirror").glob("asyncmirror-native-*"))
    assert_nothing_left(home)
