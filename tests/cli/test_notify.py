"""How somebody is told: real programs, and a real web server."""

import asyncio
import json
import logging
import os
import select
import signal
import socket
import ssl
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trustme
from aiohttp import web

from asyncmirror.cli import deliver
from asyncmirror.cli.deliver import Command, Hook, Target, environment, target
from asyncmirror.cli.logs import Redactor, configure
from asyncmirror.cli.notify import Notify
from asyncmirror.errors import BucketError, OutputError
from asyncmirror.events import Started, Summary
from asyncmirror.model import Outcome

STARTED = Started("/data", "s3://box", "/j.sqlite", resumed=True)
ENDED = Summary({Outcome.COMPLETE: 2}, {}, 7, 7, 3, 65.0, 0)
SECRET = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
HOSTILE = {
    "AWS_SECRET_ACCESS_KEY": SECRET,
    "AWS_SESSION_TOKEN": SECRET,
    "ASYNCMIRROR_NOTIFY": f"https://hooks.test/{SECRET}",
    "NOTIFY_SOCKET": "/run/systemd/notify",
    "WATCHDOG_USEC": "1",
    "HTTPS_PROXY": f"http://me:{SECRET}@proxy",
    "http_proxy": "http://proxy",
    "PATH": os.environ["PATH"],
    "HOME": "/home/me",
}


async def run(targets: Sequence[Target], *events: Started | Summary, error: Exception | None = None) -> None:
    async with Notify(targets) as notify:
        for event in events:
            notify.tell(event)
        if error is not None:
            raise error


def shell(script: str, *arguments: str | Path) -> Command:
    return Command(["sh", "-c", script, "sh", *map(str, arguments)], HOSTILE)


async def test_a_command_gets_it_on_stdin_and_in_variables(tmp_path: Path) -> None:
    await run([shell("cat > $1; env > $2", tmp_path / "in", tmp_path / "env")], STARTED, ENDED)
    told = json.loads((tmp_path / "in").read_bytes())
    assert told["kind"] == "ended"
    assert told["text"] == "/data to s3://box: all is mirrored: sent 2 files, 7 B in 1:05"
    assert (told["level"], told["exit_code"], told["complete"], told["source"]) == ("info", 0, 2, "/data")
    assert told["pid"] == os.getpid()
    given = dict(line.split("=", 1) for line in (tmp_path / "env").read_text(encoding="utf-8").splitlines())
    assert given["ASYNCMIRROR_EVENT_TEXT"] == told["text"]
    assert (given["ASYNCMIRROR_EVENT_EXIT_CODE"], given["ASYNCMIRROR_EVENT_KIND"]) == ("0", "ended")
    assert {"PATH", "HOME", "http_proxy"} <= set(given)
    assert not {"AWS_SECRET_ACCESS_KEY", "NOTIFY_SOCKET", "WATCHDOG_USEC", "HTTPS_PROXY", "ASYNCMIRROR_NOTIFY"} & set(given)
    assert SECRET not in str(given)


async def test_no_shell_reads_what_it_is_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    command = target(f"touch '{tmp_path}/a b' $(false) ;", None, HOSTILE)
    assert command.name == "touch"
    monkeypatch.chdir(tmp_path)
    await command.deliver(b"{}", {})
    assert set(os.listdir(tmp_path)) == {"a b", "$(false)", ";"}


@pytest.mark.parametrize(
    ("command", "says"),
    [
        (shell("echo a >&2; echo 'no way' >&2; exit 3"), "sh: it ended with exit code 3: no way"),
        (shell("exit 7"), "sh: it ended with exit code 7"),
        (shell("kill -9 $$"), "sh: it ended with exit code -9"),
        (Command(["/nowhere/notify", SECRET], {}), "notify: it can't be started: No such file or directory"),
    ],
)
async def test_a_command_that_fails_is_told_of_and_changes_nothing(
    command: Command, says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    configure("warning", Redactor({}))
    await run([command], STARTED, ENDED)
    assert capsys.readouterr().err == f"WARNING asyncmirror.cli.notify: somebody could not be told: {says}\n"


async def test_a_command_that_does_not_end_is_killed_with_all_it_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deliver, "COMMAND_DEADLINE", 0.2)
    with pytest.raises(OutputError, match="did not end within"):
        await shell("trap '' INT TERM; sleep 60 & echo $! > $1; wait", tmp_path / "child").deliver(b"{}", {})
    assert ends(int((tmp_path / "child").read_text(encoding="ascii")))


def ends(process: int) -> bool:
    """Whether a process that is no child of ours ends soon."""
    try:
        handle = os.pidfd_open(process)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([handle], [], [], 10)[0])
    finally:
        os.close(handle)


async def test_what_a_command_leaves_running_holds_nobody_up(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(deliver, "_HANGING_ON", 0.05)
    began = time.monotonic()
    await shell("sleep 60 & echo $! > $1", tmp_path / "child").deliver(b"{}", {})
    assert time.monotonic() - began < 10
    os.kill(int((tmp_path / "child").read_text(encoding="ascii")), signal.SIGKILL)


async def test_a_command_need_not_read() -> None:
    await shell("exec <&-; exit 0").deliver(b"x" * (1 << 20), {})


async def test_what_ends_the_command_is_told(tmp_path: Path) -> None:
    with pytest.raises(BucketError):
        await run([shell("cat > $1", tmp_path / "in")], error=BucketError("NoSuchBucket"))
    told = json.loads((tmp_path / "in").read_bytes())
    assert (told["kind"], told["exit_code"], told["text"]) == ("failed", 4, "asyncmirror: NoSuchBucket")


async def test_somebody_in_a_hurry_is_not_held_up(caplog: pytest.LogCaptureFixture) -> None:
    async with Notify([shell("sleep 60")]) as notify:
        notify.tell(STARTED)
        notify.tell(ENDED)
        await asyncio.sleep(0)
        notify.stopping(at_once=False)
        notify.stopping(at_once=True)
    assert "nobody could be told" in caplog.text


async def test_those_that_wait_are_few(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    async with Notify([]) as notify:
        for _ in range(21):
            notify._tell(notify._worth.last(BucketError("no")))
    assert [record.getMessage() for record in caplog.records] == ["not told, because others wait: asyncmirror: no"]


class Site:
    """Answers with these statuses, the last for ever; keeps what it was posted."""

    def __init__(self, *statuses: int) -> None:
        self.statuses = list(statuses)
        self.bodies: list[object] = []
        self.url = ""

    async def answer(self, request: web.Request) -> web.Response:
        self.bodies.append(await request.json())
        status = self.statuses.pop(0) if len(self.statuses) > 1 else self.statuses[0]
        return web.Response(status=status, headers={"Location": "/elsewhere"})


@asynccontextmanager
async def served(*statuses: int, tls: ssl.SSLContext | None = None) -> AsyncIterator[Site]:
    site = Site(*statuses)
    app = web.Application()
    app.router.add_post("/hook/secret-path", site.answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls).start()
    port = runner.addresses[0][1]
    site.url = f"{'https' if tls else 'http'}://127.0.0.1:{port}/hook/secret-path"
    try:
        yield site
    finally:
        await runner.cleanup()


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deliver, "_PAUSES", (0.0, 0.0))


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("statuses", [(200,), (204,), (503, 200), (429, 500, 200)])
async def test_a_url_is_posted_to_until_it_takes_it(statuses: tuple[int, ...]) -> None:
    async with served(*statuses) as site:
        await run([Hook(site.url, None)], STARTED, ENDED)
    assert len(site.bodies) == len(statuses)
    assert isinstance(site.bodies[-1], dict)
    assert site.bodies[-1]["text"].startswith("/data to s3://box: all is mirrored")


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize(("status", "posts"), [(503, 3), (404, 1), (302, 1)])
async def test_a_url_that_does_not_take_it_is_told_of_without_its_path(
    status: int, posts: int, capsys: pytest.CaptureFixture[str]
) -> None:
    configure("debug", Redactor({}))
    async with served(status) as site:
        await run([Hook(site.url, None)], STARTED, ENDED)
    said = capsys.readouterr().err
    assert f"somebody could not be told: 127.0.0.1: it answered {status}\n" in said
    assert "secret-path" not in said
    assert len(site.bodies) == posts


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize(
    ("url", "says"), [("http://127.0.0.1:1/secret-path", "no connection"), ("http://[::1/secret-path", "could not be posted")]
)
async def test_where_nobody_is_the_url_stays_a_secret(url: str, says: str) -> None:
    hook = Hook("http://127.0.0.1/", None)
    hook._url = url
    with pytest.raises(OutputError, match=says) as caught:
        await hook.deliver(b"{}", {})
    assert "secret-path" not in str(caught.value)


@pytest.mark.usefixtures("quick")
async def test_a_url_that_never_answers_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deliver, "POST_DEADLINE", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as silent, pytest.raises(OutputError, match="no answer within"):
        await Hook(f"http://127.0.0.1:{silent.getsockname()[1]}/", None).deliver(b"{}", {})


@pytest.mark.usefixtures("quick")
async def test_a_certificate_is_verified(tmp_path: Path) -> None:
    authority = trustme.CA()
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(tls)
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    async with served(200, tls=tls) as site:
        with pytest.raises(OutputError, match="its certificate is not trusted"):
            await Hook(site.url, None).deliver(b"{}", {})
        assert site.bodies == []
        made = target(site.url, tmp_path / "ca.pem", {})
        await made.deliver(b"{}", {})
        assert made.name == "127.0.0.1"
    assert site.bodies == [{}]


def test_variables_hold_texts_and_numbers() -> None:
    assert environment({"text": "a\0b", "exit_code": 3, "problems": [1], "none": None}) == {
        "ASYNCMIRROR_EVENT_TEXT": "ab",
        "ASYNCMIRROR_EVENT_EXIT_CODE": "3",
    }


def test_the_path_of_a_hook_is_hidden_wherever_it_stands() -> None:
    url = "https://hooks.test/services/T0/B0/XyZ"
    for redact in (Redactor({}, [url]), Redactor({"ASYNCMIRROR_NOTIFY": f"mail me\n{url}"})):
        assert redact(f"POST {url} and services/T0/B0/XyZ") == "POST https://hooks.test/[hidden] and [hidden]"
