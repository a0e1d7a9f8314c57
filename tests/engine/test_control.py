"""The socket of a running process: who may use it, what it bears, and where it is."""

import asyncio
import json
import os
import select
import socket
import stat
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import uvloop

from asyncmirror.engine import control as controls
from asyncmirror.engine.asking import ask, follow
from asyncmirror.engine.control import LONGEST, Control, Peer, Request
from asyncmirror.engine.endpoint import DIRECTORY, SOCKET, Endpoint, listening
from asyncmirror.errors import AsyncmirrorError, JournalError, StoreError, UsageError
from asyncmirror.journal.lock import Holder


@pytest.fixture
def unhandled() -> list[object]:
    """What would be logged as an exception that nobody took."""
    return []


@asynccontextmanager
async def serving(path: Path) -> AsyncIterator[tuple[Control, Endpoint]]:
    control = Control()
    unhandled: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: unhandled.append(context))

    async def echo(request: Request, peer: Peer) -> object:
        return {"said": request.get("say"), "peer": list(peer)}

    control.serve("echo", echo)
    with listening(path) as endpoint:
        assert endpoint is not None
        async with asyncio.timeout(10), control.listening(endpoint):
            yield control, endpoint
    assert not unhandled


async def said(endpoint: Endpoint, what: bytes, *, end: bool = False) -> bytes:
    reader, writer = await asyncio.open_unix_connection(endpoint.path)
    try:
        writer.write(what)
        if end:
            writer.write_eof()
        return await reader.read()
    except ConnectionError:
        return b"reset"
    finally:
        writer.close()


def holder(endpoint: Endpoint) -> Holder:
    return Holder(1, "here", 0.0, endpoint.path)


async def test_a_request_has_an_answer_and_who_asked_is_known(tmp_path: Path) -> None:
    async with serving(tmp_path / "j") as (_, endpoint):
        answer = await asyncio.to_thread(ask, holder(endpoint), tmp_path / "j", {"do": "echo", "say": "\udcff€"})
        assert answer == {"said": "\udcff€", "peer": [os.getpid(), os.geteuid()]}


@pytest.mark.parametrize(
    "request_",
    [
        b"\n",
        b"[" * 9000 + b"\n",
        b'{"most": -1}\n',
        b'{"do": 1e999}\n',
        b'{"do": ["x"]}\n',
        b'"do"\n',
        b"x" * (LONGEST + 1) + b"\n",
        b"\xff\n",
        b'{"do": "\\u001b[2J"}\n',
    ],
)
async def test_what_is_no_request_is_told_so_and_disturbs_nobody(request_: bytes, tmp_path: Path) -> None:
    async with serving(tmp_path / "j") as (_, endpoint):
        found = json.loads(await said(endpoint, request_, end=True))
        assert found["error"]
        assert found["exit_code"] == 2
        assert json.loads(await said(endpoint, b'{"do": "echo", "say": 1}\n'))["said"] == 1


async def test_a_request_that_never_ends_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(controls, "PATIENCE", 0.05)
    async with serving(tmp_path / "j") as (_, endpoint):
        assert await said(endpoint, b'{"do": "ec') == b""
        assert json.loads(await said(endpoint, b"", end=True))["error"]


async def test_who_only_connects_does_not_hold_up_the_end_and_many_do_not_lock_out(tmp_path: Path) -> None:
    async with serving(tmp_path / "j") as (_, endpoint):
        silent = [await asyncio.open_unix_connection(endpoint.path) for _ in range(32)]
        assert "others are talking" in json.loads(await said(endpoint, b'{"do": "echo"}\n'))["error"]
        silent.pop()[1].close()
        while "error" in json.loads(await said(endpoint, b'{"do": "echo"}\n')):
            pass
        began = asyncio.get_running_loop().time()
    assert asyncio.get_running_loop().time() - began < 0.5
    for reader, writer in silent:
        assert await reader.read() == b""
        writer.close()


def test_who_goes_away_while_it_is_told_something_disturbs_nobody(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def goes_away() -> None:
        async with serving(tmp_path / "j") as (control, endpoint):
            left, told = asyncio.Event(), asyncio.Event()

            async def frames() -> AsyncGenerator[object, None]:
                yield 1
                await left.wait()
                for _ in range(100):
                    await asyncio.sleep(0)
                told.set()
                yield 2

            async def top(_: Request, __: Peer) -> object:
                return frames()

            control.serve("top", top)
            with socket.socket(socket.AF_UNIX) as client:
                client.connect(endpoint.path)
                client.sendall(b'{"do": "top"}\n')
                await asyncio.to_thread(select.select, [client], [], [])  # something is there, and stays unread
            left.set()
            await told.wait()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(goes_away())
    assert not caplog.records


async def test_another_user_is_turned_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with serving(tmp_path / "j") as (_, endpoint):
        peer = controls._peer
        monkeypatch.setattr(controls, "_peer", lambda connection: peer(connection)._replace(uid=4242))
        assert "another user" in json.loads(await said(endpoint, b'{"do": "echo"}\n'))["error"]


async def test_errors_come_back_as_what_they_are(tmp_path: Path) -> None:
    async def fail(request: Request, _: Peer) -> object:
        match request["how"]:
            case "usage":
                raise UsageError("--x is 5", hint="less")
            case "store":
                raise StoreError("no", op="PutObject", path="key")
            case _:
                raise ZeroDivisionError

    async with serving(tmp_path / "j") as (control, endpoint):
        control.serve("fail", fail)

        async def failed(how: str) -> AsyncmirrorError:
            with pytest.raises(AsyncmirrorError) as caught:
                await asyncio.to_thread(ask, holder(endpoint), tmp_path, {"do": "fail", "how": how})
            return caught.value

        usage = await failed("usage")
        assert isinstance(usage, UsageError)
        assert str(usage) == "--x is 5 (less)"
        store = await failed("store")
        assert (str(store), store.exit_code) == ("PutObject: key: no", 4)
        assert str(await failed("bug")) == "internal error: ZeroDivisionError: "


async def test_who_looks_on_is_told_one_thing_after_the_other_and_the_last_word(tmp_path: Path) -> None:
    async def count(_: Request, __: Peer) -> object:
        async def each() -> AsyncIterator[object]:
            number = 0
            while not control.closing.is_set():
                yield number
                number += 1
                await asyncio.sleep(0)
                if number == 3:
                    await control.closing.wait()
            yield "last"

        return each()

    told: list[object] = []
    third = asyncio.Event()
    loop = asyncio.get_running_loop()

    def look(endpoint: Endpoint) -> None:
        for answer in follow(holder(endpoint), tmp_path, {"do": "count"}):
            told.append(answer)
            if answer == 2:
                loop.call_soon_threadsafe(third.set)

    async with serving(tmp_path / "j") as (control, endpoint):
        control.serve("count", count)
        looking = asyncio.create_task(asyncio.to_thread(look, endpoint))
        await third.wait()
    await looking
    assert told == [0, 1, 2, "last"]


def test_nobody_else_can_enter_and_all_is_gone_afterwards(tmp_path: Path) -> None:
    path = tmp_path / ("j" + DIRECTORY)
    path.mkdir(mode=0o755)
    path.chmod(0o755)
    (path / SOCKET).write_bytes(b"left by a killed run")
    with listening(tmp_path / "j") as endpoint:
        assert endpoint is not None
        assert endpoint.path == str(path / SOCKET)
        assert stat.S_IMODE(path.stat().st_mode) == 0o700
        assert stat.S_IMODE((path / SOCKET).stat().st_mode) == 0o600
    assert not path.exists()


@pytest.mark.parametrize("case", ["long", "link", "runtime", "temporary"])
def test_where_it_can_not_be_beside_the_journal_it_is_in_the_runtime_directory(
    case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    short = Path(os.path.realpath(f"/tmp/am-{os.getpid()}-{case}"))
    short.mkdir()
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(short) if case != "temporary" else "")
    monkeypatch.setattr("tempfile.tempdir", str(short))
    journal = tmp_path / ("j" if case == "link" else "j" * 120)
    if case == "link":
        (tmp_path / ("j" + DIRECTORY)).symlink_to(tmp_path)
    try:
        with listening(journal) as endpoint, listening(tmp_path / ("k" * 120)) as other:
            assert endpoint is not None
            assert other is not None
            assert other.path != endpoint.path
            inside = short / ("asyncmirror" if case != "temporary" else f"asyncmirror-{os.geteuid()}")
            assert Path(endpoint.path).parent == inside
            assert stat.S_IMODE(inside.stat().st_mode) == 0o700
        assert not inside.exists()
    finally:
        short.rmdir()


def test_where_it_can_be_nowhere_there_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "is" / "not" / "there"))
    with listening(tmp_path / ("j" * 120)) as endpoint:
        assert endpoint is None


def test_silence_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(JournalError, match="does not answer"):
        ask(Holder(1, "there", 0.0, str(tmp_path / "none")), tmp_path, {"do": "echo"})
