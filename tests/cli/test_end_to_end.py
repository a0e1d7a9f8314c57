"""The command as a process of its own, against the strict server on a real socket."""

import asyncio
import contextlib
import json
import os
import signal
import sys
import tempfile
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from asyncmirror.testing import Credentials, Fault, FaultPlan, Kind, S3Server, ServerConfig

_BOUND = 60.0
HOSTILE = b"\xff\x1b[31m\xe2\x80\xae"


class Ended(NamedTuple):
    code: int
    out: str
    err: str

    @property
    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.out.splitlines()]

    @property
    def summary(self) -> dict[str, Any]:
        return self.lines[-1]


class Place:
    """A tree, a store, and the command in an environment of its own."""

    def __init__(self, root: Path, state: str, server: S3Server) -> None:
        self.tree = root / "tree"
        self.tree.mkdir()
        self.server = server
        key = Credentials()
        self.environ: dict[str, str] = {
            "HOME": str(root),
            "XDG_STATE_HOME": state,
            "PATH": os.environ["PATH"],
            "AWS_ACCESS_KEY_ID": key.access_key,
            "AWS_SECRET_ACCESS_KEY": key.secret_key,
            "AWS_REGION": "us-east-1",
            "AWS_EC2_METADATA_DISABLED": "true",
            "ASYNCMIRROR_NO_PROBE": "yes",
            "AWS_ENDPOINT_URL": server.url,
        }

    def fill(self, count: int) -> None:
        for number in range(count):
            (self.tree / f"file-{number:03}").write_bytes(b"%d" % number)

    async def start(
        self, *arguments: str, environ: Mapping[str, str] = {}, stdout: int | None = None
    ) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "asyncmirror",
            *arguments,
            env={**self.environ, **environ},
            stdout=asyncio.subprocess.PIPE if stdout is None else stdout,
            stderr=asyncio.subprocess.PIPE,
        )

    async def sync(self, *flags: str, environ: Mapping[str, str] = {}) -> Ended:
        return await end(await self.start("sync", str(self.tree), "s3://bucket/top", *flags, environ=environ))

    async def status(self, *flags: str) -> Ended:
        return await end(await self.start("status", str(self.tree), "s3://bucket/top", *flags))


async def end(process: asyncio.subprocess.Process) -> Ended:
    try:
        async with asyncio.timeout(_BOUND):
            out, err = await process.communicate()
    except TimeoutError:
        process.kill()
        await process.wait()
        raise
    assert process.returncode is not None
    return Ended(process.returncode, (out or b"").decode(), err.decode())


async def said(process: asyncio.subprocess.Process, word: str) -> str:
    """Wait for a line on stderr."""
    assert process.stderr is not None
    async with asyncio.timeout(_BOUND):
        while word not in (line := (await process.stderr.readline()).decode()):
            assert line, f"stderr ended without {word!r}"
    return line


@pytest.fixture
async def place(tmp_path: Path) -> AsyncIterator[Place]:
    # pytest's own directories have names too long for the socket beside the journal.
    with tempfile.TemporaryDirectory(prefix="am-") as state:
        async with S3Server(ServerConfig()) as server:
            yield Place(tmp_path, state, server)


@contextlib.asynccontextmanager
async def stalled(place: Place) -> AsyncIterator[asyncio.subprocess.Process]:
    """A run all of whose uploads get no answer."""
    place.fill(20)
    place.server.inject(FaultPlan((Fault("PutObject", Kind.STALL),)))
    process = await place.start("sync", str(place.tree), "s3://bucket/top", "--json", "--concurrency", "4")
    try:
        async with asyncio.timeout(_BOUND):
            while place.server.count < 4:  # noqa: ASYNC110  the server tells only of requests that ended: these never do
                await asyncio.sleep(0.02)
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def test_a_tree_is_mirrored_told_of_and_found_unchanged(place: Place) -> None:
    place.fill(30)
    (place.tree / "sub").mkdir()
    (place.tree / "sub" / os.fsdecode(HOSTILE)).write_bytes(b"hostile")
    (place.tree / "link").symlink_to("nowhere")
    os.mkfifo(place.tree / "fifo")

    first = await place.sync("--json")
    assert first.code == 3
    told = {line["path"].encode("utf-8", "surrogateescape"): line for line in first.lines[:-1]}
    assert told[b"sub/" + HOSTILE]["outcome"] == "complete"
    assert {path for path, line in told.items() if line["outcome"] == "unsupported"} == {b"link", b"fifo"}
    stored = place.server.objects("bucket")
    assert stored[told[b"sub/" + HOSTILE]["key"]].body == b"hostile"
    assert {key for key in stored if key.startswith("top/file-")} == {f"top/file-{number:03}" for number in range(30)}
    assert (first.summary["complete"], first.summary["unsupported"], first.summary["exit_code"]) == (31, 2, 3)
    assert r"unsupported: link: " in first.err
    assert all(line.isprintable() for line in first.err.splitlines())

    second = await place.sync("--json")
    assert second.code == 3
    assert (second.summary["unchanged"], second.summary["bytes_sent"]) == (31, 0)
    assert {line["key"] for line in second.lines if line.get("outcome") == "unchanged"} == set(stored)

    text = await place.status()
    assert text.code == 0
    assert "destination  s3://bucket/top\n" in text.out
    assert "with exit code 3\n" in text.out
    assert "unsupported: fifo: " in text.out
    known = json.loads((await place.status("--json")).out)
    assert known["outcomes"]["complete"]["count"] == 31
    assert known["running"] is None
    assert {problem["path"] for problem in known["problems"]} == {"link", "fifo"}
    by_name = await end(await place.start("status", "--journal", known["journal"], "--json"))
    assert json.loads(by_name.out) == known


async def test_a_first_signal_drains_and_the_next_run_goes_on(place: Place) -> None:
    place.fill(60)
    place.server.reconfigure(latency=0.05)
    process = await place.start("sync", str(place.tree), "s3://bucket/top", "--json", "--concurrency", "2")
    await place.server.reached(8)
    process.send_signal(signal.SIGINT)
    stopped = await end(process)
    assert stopped.code == 130
    assert "stopping: finishing what is in flight" in stopped.err
    assert stopped.summary["exit_code"] == 130
    done = stopped.summary["complete"]
    assert 0 < done < 60
    assert done == len(place.server.objects("bucket"))

    place.server.reconfigure(latency=0.0)
    rest = await place.sync("--json")
    assert (rest.code, rest.summary["complete"], rest.summary["unchanged"]) == (0, 60 - done, done)
    assert len([request for request in place.server.requests if request.op == "PutObject"]) == 60


async def test_a_second_signal_stops_at_once_and_nothing_is_lost(place: Place) -> None:
    async with stalled(place) as process:
        process.send_signal(signal.SIGTERM)
        await said(process, "stopping")
        process.send_signal(signal.SIGTERM)
        assert (await end(process)).code == 143
    place.server.inject(FaultPlan())
    assert (await place.sync()).code == 0
    assert len(place.server.objects("bucket")) == 20


async def test_status_asks_a_run_that_goes_on(place: Place) -> None:
    async with stalled(place) as process:
        text = await place.status()
        assert text.code == 0
        assert "last run     going on since " in text.out
        assert json.loads((await place.status("--json")).out)["running"]["pid"] == process.pid
        second = await place.sync()
        assert second.code == 4
        assert f"process {process.pid}" in second.err


async def test_a_killed_run_is_told_of_and_resumed(place: Place) -> None:
    async with stalled(place) as process:
        process.kill()
        await process.wait()
    place.server.inject(FaultPlan())
    assert "was killed: the same sync goes on from there" in (await place.status()).out
    assert (await place.sync("--quiet")) == Ended(0, "", "")


async def test_a_closed_pipe_on_stdout_ends_the_run_as_a_drain(place: Place) -> None:
    place.fill(60)
    place.server.reconfigure(latency=0.05)
    reader, writer = os.pipe()
    process = await place.start("sync", str(place.tree), "s3://bucket/top", "--json", "--concurrency", "2", stdout=writer)
    os.close(writer)
    os.close(reader)
    ended = await end(process)
    assert ended.code == 4
    assert "stdout can't be written (Broken pipe)" in ended.err
    assert "Traceback" not in ended.err
    assert len(place.server.objects("bucket")) < 60


async def test_streams_that_were_closed_change_nothing(place: Place) -> None:
    place.fill(3)
    command = (sys.executable, "-m", "asyncmirror", "sync", str(place.tree), "s3://bucket/top", "--loops", "2")
    process = await asyncio.create_subprocess_exec("sh", "-c", 'exec "$0" "$@" <&- >&- 2>&-', *command, env=place.environ)
    async with asyncio.timeout(_BOUND):
        assert await process.wait() == 0
    assert len(place.server.objects("bucket")) == 3


@pytest.mark.parametrize(
    ("destination", "environ", "says"),
    [
        ("s3://elsewhere", {}, "NoSuchBucket"),
        ("s3://bucket", {"AWS_SECRET_ACCESS_KEY": "wrong-planted"}, "SignatureDoesNotMatch"),
        ("s3://bucket", {"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""}, "redentials"),
        ("s3://bucket", {"AWS_ENDPOINT_URL": "http://127.0.0.1:1", "ASYNCMIRROR_RETRY_WINDOW": "0.1"}, "no connection to"),
        ("s3://bucket", {"AWS_PROFILE": "nobody"}, "nobody"),
    ],
)
async def test_what_keeps_a_run_from_beginning_is_one_line_and_exit_code_4(
    place: Place, destination: str, environ: dict[str, str], says: str
) -> None:
    place.fill(1)
    ended = await end(await place.start("sync", str(place.tree), destination, environ=environ))
    assert (ended.code, ended.out) == (4, "")
    assert ended.err.startswith("asyncmirror: ")
    assert ended.err.count("\n") == 1
    assert says in ended.err


async def test_no_credential_is_told_at_any_level(place: Place) -> None:
    place.fill(3)
    secret, token = "planted-secret-7", "planted-token-7"
    place.server.renew(Credentials("KEY", secret, token))
    environ = {"AWS_ACCESS_KEY_ID": "KEY", "AWS_SECRET_ACCESS_KEY": secret, "AWS_SESSION_TOKEN": token}
    ended = await place.sync("--log-level", "debug", "--json", environ=environ)
    assert ended.code == 0
    place.server.renew(Credentials("KEY", "another", token))
    (place.tree / "new").write_bytes(b"new")
    refused = await place.sync("--log-level", "debug", "--json", environ=environ)
    assert refused.code == 4
    for text in (*ended, *refused):
        assert "planted" not in str(text)


async def test_a_dry_run_sends_nothing(place: Place) -> None:
    place.fill(3)
    ended = await place.sync("--dry-run", "--json")
    assert sorted(line["path"] for line in ended.lines[:-1]) == ["file-000", "file-001", "file-002"]
    assert ended.summary["bytes_sent"] == 0
    assert not place.server.objects("bucket")


async def test_status_of_nothing_is_a_usage_error(place: Place) -> None:
    ended = await place.status()
    assert (ended.code, ended.out) == (2, "")
    assert "there is no journal" in ended.err
    assert (await end(await place.start("status", str(place.tree)))).code == 2


async def test_a_status_that_nobody_reads_shows_no_traceback(place: Place) -> None:
    place.fill(1)
    assert (await place.sync()).code == 0
    reader, writer = os.pipe()
    os.close(reader)
    process = await place.start("status", str(place.tree), "s3://bucket/top", stdout=writer)
    os.close(writer)
    assert await end(process) == Ended(4, "", "")
