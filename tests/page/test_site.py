"""The page as a client has it: who is let in, what is answered, what is told as it happens, and how it ends."""

import asyncio
import contextlib
import json
import os
import socket
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession

from asyncmirror.errors import UsageError
from asyncmirror.events import Allowance, Deletions, Erasing, Fate, Notice, Settled, Transfer
from asyncmirror.http import door
from asyncmirror.http.address import Address
from asyncmirror.http.picture import Batches
from asyncmirror.http.site import Site
from asyncmirror.http.stream import MOST
from asyncmirror.journal import pages
from asyncmirror.model import Outcome
from tests.page.served import ANYWHERE, HOSTILE, STARTED, TOKEN, asking, journal, progress, summary, text

EVERYTHING = (
    "/",
    "/assets/page.js",
    "/assets/icon.svg",
    "/metrics",
    "/healthz",
    "/api/status",
    "/api/history",
    "/api/problems",
    "/api/runs",
    "/api/events",
    "/nothing",
)


@pytest.fixture
def site() -> Iterator[Site]:
    with Site(ANYWHERE, None) as opened:
        yield opened


@pytest.fixture
def locked() -> Iterator[Site]:
    with Site(ANYWHERE, TOKEN) as opened:
        yield opened


async def status(site: Site) -> dict[str, Any]:
    async with asking(site) as session:
        found: dict[str, Any] = json.loads((await text(session, "/api/status"))[1])
    return found


@pytest.mark.parametrize("path", EVERYTHING)
async def test_every_answer_keeps_the_browser_in_bounds(site: Site, path: str) -> None:
    async with asking(site, Origin="https://evil.example") as session, session.get(path) as answer:
        assert answer.status == {"/nothing": 404, "/api/problems": 503, "/api/runs": 503}.get(path, 200)
        headers = answer.headers
        assert headers["Content-Security-Policy"].startswith("default-src 'none'; script-src 'self';")
        assert "unsafe" not in headers["Content-Security-Policy"]
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Referrer-Policy"] == "no-referrer"
        assert headers["Cross-Origin-Resource-Policy"] == "same-origin"
        assert not [name for name in headers if name.lower().startswith("access-control")]
        assert "Server" not in headers


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"])
@pytest.mark.parametrize("path", ["/", "/api/status", "/nothing"])
async def test_nothing_can_be_changed(site: Site, method: str, path: str) -> None:
    async with asking(site) as session, session.request(method, path, data=b"x") as answer:
        assert answer.status == 405
        assert answer.headers["Allow"] == "GET,HEAD"


@pytest.mark.parametrize("path", EVERYTHING)
async def test_another_name_for_this_machine_is_refused(site: Site, path: str) -> None:
    async with asking(site, Host="evil.example") as session:
        assert (await text(session, path))[0] == 421


async def test_the_token_is_asked_for_and_exchanged_for_a_cookie(locked: Site) -> None:
    async with asking(locked, Host="any.example") as session:
        for path in EVERYTHING:
            assert (await text(session, path))[0] == (200 if path.startswith("/assets/") else 401), path
        assert "token" in (await text(session, "/"))[1]
        assert (await text(session, "/?token=wrong"))[0] == 401
        assert (await text(session, f"/api/status?token={TOKEN}"))[0] == 401
        async with session.get(f"/?token={TOKEN}", allow_redirects=False) as answer:
            assert (answer.status, answer.headers["Location"]) == (303, "./")
            cookie = answer.headers["Set-Cookie"]
        assert TOKEN not in cookie
        assert {"HttpOnly", "SameSite=Strict", "Path=/"} <= set(cookie.split("; "))
    async with ClientSession(locked.url, headers={"Cookie": cookie.split(";")[0]}) as session:
        assert (await text(session, "/api/status"))[0] == 200
        assert 'id="headline"' in (await text(session, "/"))[1]
    async with asking(locked, Authorization=f"Bearer {TOKEN}") as session:
        assert (await text(session, "/metrics"))[0] == 200
        async with session.get(f"/?token={TOKEN}", allow_redirects=False, headers={"X-Forwarded-Proto": "https"}) as answer:
            assert "Secure" in answer.headers["Set-Cookie"]


async def test_a_file_that_is_known_is_not_sent_again(site: Site) -> None:
    async with asking(site) as session, session.get("/assets/page.css") as first:
        tag = first.headers["ETag"]
        async with session.get("/assets/page.css", headers={"If-None-Match": tag}) as second:
            assert (second.status, await second.read()) == (304, b"")


async def test_how_far_it_is(site: Site) -> None:
    assert (await status(site))["phase"] == "opening"
    site.tell(STARTED)
    site.tell(Notice("bad \x1b[2J"))
    site.work_off(Batches(2, 3, "a/b", 1 << 30, 1, 0))
    site.look(progress(40, failed=1, seconds=10.0, transfers=[Transfer(HOSTILE[-1], 5, 10, 1.5)]))
    told = await status(site)
    assert told["source"] == "/data/\\x1b[2Jedr"
    run = told["run"]
    assert run["outcomes"] == {
        "complete": {"count": 40, "bytes": 40 << 10, "problem": False},
        "failed": {"count": 1, "bytes": 1024, "problem": True},
    }
    assert (run["problems"], run["share"], run["scanning"], run["result"]) == (1, 0.41, False, None)
    assert told["in_flight"] == {
        "limit": 16,
        "most": 64,
        "throttled": False,
        "narrow": [{"prefix": "bad\\x1b[2J/", "limit": 5}],
    }
    assert told["allowance"] == {"bytes_per_second": None, "until": None, "requests_per_second": None}
    [slow] = told["slowest"]
    assert slow == {"path": "\udcff\udcfe no UTF-8", "name": "\\xff\\xfe no UTF-8", "sent": 5, "size": 10, "seconds": 1.5}
    [notice] = told["notices"]
    assert notice["text"] == "bad \\x1b[2J"
    assert told["batches"] == {"number": 2, "of": 3, "name": "a/b", "size": 1 << 30, "completed": 1, "failed": 0}
    assert run["erasing"] is None
    site.look(progress(40, failed=1, seconds=11.0)._replace(erasing=Erasing(50, 20, 5, 1.0)))
    erasing = {"looked": 50, "objects": 20, "done": 5, "left_seconds": 3.0}
    assert (await status(site))["run"]["erasing"] == erasing
    site.tell(Settled(b"late", "late", Outcome.FAILED, 3, "no"))
    fates = Deletions({Fate.DELETED: 3, Fate.LEFT: 0}, {Fate.DELETED: 30}, "")
    site.tell(summary(99, failed=1, code=1)._replace(deletions=fates))
    told = await status(site)
    assert told["run"]["deletions"] == {"fates": {"deleted": {"count": 3, "bytes": 30}}, "refusal": ""}
    assert (told["phase"], told["run"]["result"], told["run"]["exit_code"]) == ("waiting", "incomplete", 1)
    assert [problem["name"] for problem in told["problems"]] == ["late"]
    assert told["now"] is None


async def test_history_is_told_in_columns(site: Site) -> None:
    site.tell(STARTED)
    for half in range(6):
        site.look(progress(10 * half, seconds=half / 2)._replace(allowance=Allowance(2048)))
    async with asking(site) as session:
        told = json.loads((await text(session, "/api/history?seconds=60&points=100"))[1])
        site.tell(summary(1000)._replace(seconds=3.5))  # much was done since the last reading
        ended = json.loads((await text(session, "/api/history?seconds=60&points=100"))[1])
    assert max(told["files_per_second"]) < 100 < max(ended["files_per_second"])
    assert told["step"] == 1
    assert len(told["time"]) == len(told["bytes_per_second"]) > 0
    assert (max(told["most"]), max(told["bytes_allowed"])) == (64, 2048)


async def test_problems_come_a_page_at_a_time_and_are_found(site: Site, tmp_path: Path) -> None:
    names = [b"%04d" % number for number in range(7)]
    with journal(tmp_path, [*names, *HOSTILE]) as opened:
        site.attach(opened.ask)
        async with asking(site) as session:
            found: list[dict[str, Any]] = []
            after, pages_read = "", 0
            while not pages_read or after:
                told = json.loads((await text(session, f"/api/problems?limit=4&after={after}"))[1])
                assert len(told["problems"]) == min(4, 13 - len(found))
                found += told["problems"]
                after, pages_read = told["after"], pages_read + 1
            paths = {os.fsencode(problem["path"]) for problem in found}
            assert paths == {b"d/" + name for name in (*names, *HOSTILE)}
            assert len(found) == len(paths)
            assert all(problem["name"].isprintable() for problem in found)
            assert {problem["size"] for problem in found} == {1024}
            told = json.loads((await text(session, "/api/problems?q=SCRIPT"))[1])
            assert [problem["name"] for problem in told["problems"]] == ["d/<script>document.title='run'</script>"]
            assert told["on_record"] == {"failed": 13}
            assert len(json.loads((await text(session, "/api/problems?q=said+no"))[1])["problems"]) == 13
            assert len(json.loads((await text(session, "/api/problems?outcome=failed"))[1])["problems"]) == 13
            assert json.loads((await text(session, "/api/problems?outcome=refused&outcome=changed"))[1])["problems"] == []
        site.detach()


async def test_no_page_holds_the_journal_up(site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of many problems, a page reads some; it may find nothing, and tells where to go on."""
    monkeypatch.setattr(pages, "_ROWS", 5)
    with journal(tmp_path, [b"%04d" % number for number in range(12)]) as opened:
        site.attach(opened.ask)
        found: list[list[str]] = []
        after = ""
        async with asking(site) as session:
            for _ in range(3):
                told = json.loads((await text(session, f"/api/problems?q=0011&after={after}"))[1])
                found.append([problem["name"] for problem in told["problems"]])
                after = told["after"]
        site.detach()
    assert found == [[], [], ["d/0011"]]
    assert after is None


@pytest.mark.parametrize(
    "query",
    [
        "problems?outcome=complete",
        "problems?after=x",
        "problems?after=-1-",
        "problems?after=1-abc",
        "problems?limit=0",
        "problems?limit=501",
        "history?seconds=-1",
        "history?seconds=99999999999999999999",
        "history?points=x",
        "runs?limit=1e3",
    ],
)
async def test_what_is_no_question_is_said_to_be_none(site: Site, query: str) -> None:
    async with asking(site) as session:
        code, said = await text(session, f"/api/{query}")
    assert code == 400
    assert said.startswith(query.partition("?")[2].partition("=")[0])


async def test_runs_are_those_on_record(site: Site, tmp_path: Path) -> None:
    with journal(tmp_path) as opened:
        await asyncio.wrap_future(opened.begin_run())
        await asyncio.wrap_future(opened.end_run({"exit_code": 3, "seconds": 1.5}))
        await asyncio.wrap_future(opened.begin_run())
        site.attach(opened.ask)
        async with asking(site) as session:
            told = json.loads((await text(session, "/api/runs"))[1])["runs"]
        site.detach()
    assert [(run["summary"], run["ended"] is None) for run in told] == [({}, True), ({"exit_code": 3, "seconds": 1.5}, False)]


async def test_health_has_a_reason(site: Site) -> None:
    site.tell(STARTED)
    async with asking(site) as session:
        assert await text(session, "/healthz") == (200, "ok\n")
        site.tell(summary(0, error="the bucket is gone\x1b", code=4))
        assert await text(session, "/healthz") == (503, "the last run ended by an error: the bucket is gone\\x1b\n")
        site.tell(STARTED)
        assert await text(session, "/healthz") == (200, "ok\n")


async def test_what_happens_is_told_as_it_happens_and_the_end_last() -> None:
    serving = contextlib.ExitStack()
    site = serving.enter_context(Site(ANYWHERE, None))
    async with asking(site) as session, session.get("/api/events") as answer, asyncio.timeout(20):
        assert answer.content_type == "text/event-stream"
        assert await answer.content.readline() == b"retry: 1000\n"

        async def phases() -> AsyncIterator[str]:
            while line := await answer.content.readline():
                if line.startswith(b"data: "):
                    yield json.loads(line.removeprefix(b"data: "))["phase"]

        told = phases()
        assert await anext(told) == "opening"
        site.tell(STARTED)
        while await anext(told) != "running":
            pass
        site.tell(summary())
        await asyncio.to_thread(serving.close)
        assert [phase async for phase in told][-1] == "ended"


async def test_so_many_may_listen(site: Site) -> None:
    async with asking(site) as session:
        listeners = [await session.get("/api/events") for _ in range(MOST)]
        assert {listener.status for listener in listeners} == {200}
        assert (await text(session, "/api/events"))[0] == 503
        for listener in listeners:
            listener.close()
        async with asyncio.timeout(20):  # there is room again as soon as it is noticed
            while True:
                async with session.get("/api/events") as answer:
                    if answer.status == 200:
                        break


async def test_who_asks_nothing_is_hung_up_on_and_there_are_so_many_connections(monkeypatch: pytest.MonkeyPatch) -> None:
    before = len(os.listdir("/proc/self/fd"))
    with Site(ANYWHERE, TOKEN) as site, contextlib.ExitStack() as stack:
        where = (site.address.host, site.address.port)
        half = [stack.enter_context(socket.create_connection(where)) for _ in range(2 * door.MOST)]
        for each in half:
            with contextlib.suppress(OSError):
                each.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\nX-Half: ")
        half[-1].settimeout(20)
        with contextlib.suppress(ConnectionResetError):
            assert half[-1].recv(1) == b""
        assert len(os.listdir("/proc/self/fd")) - before - len(half) < door.MOST + 32
    monkeypatch.setattr(door, "PATIENCE", 0.05)
    with Site(ANYWHERE, TOKEN) as site, socket.create_connection((site.address.host, site.address.port), 20) as half_asked:
        half_asked.sendall(b"GET / HTTP/1.1\r\n")
        assert half_asked.recv(1) == b""


async def test_a_request_that_is_none_is_not_logged(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    for nonsense in (b"GET /\0 HTTP/1.1\r\n\r\n", b"GET /" + 10_000 * b"x" + b" HTTP/1.1\r\n\r\n", b"\x16\x03\x01"):
        reader, writer = await asyncio.open_connection(site.address.host, site.address.port)
        writer.write(nonsense)
        writer.write_eof()
        async with asyncio.timeout(20):
            assert b"Traceback" not in await reader.read()
        writer.close()
    assert not caplog.records


def test_a_port_that_is_taken_is_told() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other, pytest.raises(UsageError, match="Address already in use"):
        Site(Address("127.0.0.1", other.getsockname()[1]), None)


def test_others_may_not_look_without_a_token() -> None:
    for host in ("0.0.0.0", "::"):
        with pytest.raises(UsageError, match="a token is needed"):
            Site(Address(host, 0), None)
    with pytest.raises(UsageError, match="give an address of this machine"):
        Site(Address("no.such.host.invalid", 0), TOKEN)


def test_an_error_that_ends_all_is_no_reason_to_hang() -> None:
    site = Site(ANYWHERE, None)
    with pytest.raises(RuntimeError, match="the run's"), site:
        raise RuntimeError("the run's")
    site.tell(STARTED)  # nobody listens any more
