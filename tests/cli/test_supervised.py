"""What a supervisor is told, over a real datagram socket."""

import asyncio
import os
import re
import socket
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import cast

import pytest

from asyncmirror.cli import supervised
from asyncmirror.cli.sd_notify import Supervisor
from asyncmirror.cli.supervised import Supervised
from asyncmirror.cli.tap import Mirroring
from asyncmirror.cli.vigil import HUNG, Vigil
from asyncmirror.errors import BucketError
from asyncmirror.events import Allowance, Progress, Summary, Transfer


@contextmanager
def listening(address: str) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ear:
        ear.bind(address)
        ear.settimeout(10)
        yield ear


def heard(ear: socket.socket) -> list[str]:
    """What has come in by now."""
    ear.settimeout(0)
    found: list[str] = []
    try:
        while True:
            found.append(ear.recv(4096).decode())
    except BlockingIOError:
        return found
    finally:
        ear.settimeout(10)


@pytest.fixture
def ear(tmp_path: Path) -> Iterator[socket.socket]:
    with listening(str(tmp_path / "notify")) as made:
        yield made


def environment(ear: socket.socket, **more: str) -> Mapping[str, str]:
    return {"NOTIFY_SOCKET": os.fsdecode(ear.getsockname()), **more}


@pytest.mark.parametrize("abstract", [False, True])
def test_the_words_of_the_protocol(tmp_path: Path, *, abstract: bool) -> None:
    name = f"asyncmirror-test-{os.getpid()}"
    with listening("\0" + name if abstract else str(tmp_path / name)) as ear:
        told = Supervisor({"NOTIFY_SOCKET": "@" + name if abstract else str(tmp_path / name)})
        assert told
        told.ready()
        told.stopping()
        told.alive()
        told.extend(1.5)
        told.status("ä" * 400 + "\n")
        before = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
        told.reloading()
        *words, status, reloading = heard(ear)
        told.close()
        told.ready()
        assert heard(ear) == []
    assert words == ["READY=1", "STOPPING=1", "WATCHDOG=1", "EXTEND_TIMEOUT_USEC=1500000"]
    assert status == "STATUS=" + "ä" * 250
    first, when = reloading.split("\nMONOTONIC_USEC=")
    assert first == "RELOADING=1"
    assert before <= int(when) <= before + 60_000_000


@pytest.mark.parametrize("address", ["", "relative", "vsock:2:1234", "/nowhere/notify", "@nobody-listens", "/" + "x" * 200])
def test_where_nobody_listens_nothing_is_told(address: str) -> None:
    told = Supervisor({"NOTIFY_SOCKET": address, "WATCHDOG_USEC": "1000000"})
    assert not told
    assert told.watchdog is None
    told.ready()
    told.close()


def test_a_listener_that_goes_or_sleeps_is_endured(tmp_path: Path) -> None:
    with listening(str(tmp_path / "notify")) as ear:
        told = Supervisor({"NOTIFY_SOCKET": str(tmp_path / "notify")})
        for _ in range(5_000):  # more than a socket holds
            told.alive()
        assert heard(ear)
    told.alive()
    told.close()


@pytest.mark.parametrize(
    ("given", "seconds"),
    [({"WATCHDOG_USEC": "2500000"}, 2.5), ({"WATCHDOG_USEC": "0"}, None), ({"WATCHDOG_USEC": "x"}, None), ({}, None)],
)
def test_the_watchdog_s_time(ear: socket.socket, given: Mapping[str, str], seconds: float | None) -> None:
    for process, expected in ((str(os.getpid()), seconds), ("1", None)):
        told = Supervisor(environment(ear, **given, WATCHDOG_PID=process))
        assert told.watchdog == expected
        told.close()


class Standing:
    """Of a mirror, the gauges."""

    def __init__(self, progress: Progress) -> None:
        self.gauges = progress

    def progress(self) -> Progress:
        return self.gauges


def standing(progress: Progress) -> Mirroring:
    return cast("Mirroring", Standing(progress))


async def until(ear: socket.socket, word: str) -> list[str]:
    """What is heard up to this word."""
    found: list[str] = []
    while not found or found[-1].split("=")[0] != word:
        found.append((await asyncio.to_thread(ear.recv, 4096)).decode())
    return found


async def test_it_is_told_of_a_run_from_start_to_stop(ear: socket.socket) -> None:
    told = Supervised(Supervisor(environment(ear, WATCHDOG_USEC="40000")))
    async with told:
        assert await until(ear, "EXTEND_TIMEOUT_USEC") == [
            "STATUS=opening the journal, asking the store",
            "EXTEND_TIMEOUT_USEC=60000000",
        ]
        await told.opened(standing(Progress(seconds=12.0, scanned=7)))
        *_, first = await until(ear, "READY")
        assert first == "READY=1"
        status, *_ = await until(ear, "WATCHDOG")
        assert re.fullmatch(r"STATUS=0:12; scanned 7 .*", status)
        assert await until(ear, "WATCHDOG") == ["WATCHDOG=1"], "again and again"
        told.reloading(done=False)
        *_, word = await until(ear, "RELOADING")
        assert word.startswith("RELOADING=1\nMONOTONIC_USEC=")
        told.reloading(done=True)
        await until(ear, "READY")
        told.tell(Summary({}, {}, 0, 0, 0, 0.0, 3))
        assert (await until(ear, "STATUS"))[-1] == "STATUS=the last run ended with exit code 3"
        told.stopping(at_once=False)
        await until(ear, "STOPPING")
        assert await until(ear, "EXTEND_TIMEOUT_USEC") == ["EXTEND_TIMEOUT_USEC=60000000"]
        heard(ear)
    assert not any("WATCHDOG" in word for word in heard(ear))


async def test_what_ended_it_is_its_last_status(ear: socket.socket) -> None:
    with pytest.raises(BucketError):
        async with Supervised(Supervisor(environment(ear))):
            raise BucketError("NoSuchBucket\x1b")
    assert heard(ear)[-1] == "STATUS=NoSuchBucket\\x1b"


async def test_a_run_that_hangs_gives_no_sign(ear: socket.socket) -> None:
    now = 100.0
    told = Supervised(Supervisor(environment(ear, WATCHDOG_USEC="20000")), lambda: now)
    async with told:
        await told.opened(standing(Progress()))
        await until(ear, "WATCHDOG")
        now += HUNG + 1
        heard(ear)
        assert await until(ear, "STATUS")
        said = [*await until(ear, "STATUS"), *await until(ear, "STATUS")]
        assert set(said) == {"STATUS=nothing has moved for 7201 s: no more signs of life"}


MOVING = Progress(requests=1)
HELD = {
    "paused": Progress(paused=True),
    "allowed little": Progress(allowance=Allowance(bandwidth=1024)),
    "allowed few": Progress(allowance=Allowance(requests=0.001)),
    "between two runs": Progress(running=False),
}


@pytest.mark.parametrize("case", HELD)
def test_a_run_that_waits_for_a_reason_lives(case: str) -> None:
    vigil = Vigil(0.0).look(HUNG + 1, HELD[case], 0)
    assert vigil.lives(HUNG + 1)
    assert vigil.look(3 * HUNG, HELD[case], 0).lives(3 * HUNG)


def test_a_run_lives_while_something_moves() -> None:
    vigil = Vigil(0.0)
    assert vigil.lives(HUNG - 1)
    assert not vigil.lives(HUNG)
    assert vigil.look(HUNG, MOVING, 0).lives(HUNG)
    assert vigil.look(HUNG, Progress(), 1 << 20).lives(HUNG)
    assert not vigil.look(HUNG, Progress(), (1 << 20) - 1).lives(HUNG)


def test_clocks_that_run_are_no_sign() -> None:
    def gauges(seconds: float) -> Progress:
        return Progress(seconds=seconds, slowest=(Transfer(b"a", 1, 2, seconds),))

    vigil = Vigil(0.0).look(1.0, gauges(1.0), 0)
    assert vigil.look(9.0, gauges(9.0), 0) == vigil


def test_what_is_read_is_counted_with_its_children() -> None:
    with open(__file__, "rb") as file:
        before = sum(supervised._read())
        size = len(file.read())
    assert sum(supervised._read()) - before >= size
