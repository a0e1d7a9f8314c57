"""Outages that a mirror that is watched meets, one after the other: what the process said and did.

Owns the scenes. Each is the real command against the strict server in this process; something is taken away, and given back
after a while. What is held to account: that no file is called failed for it, that nothing that was stored is gone, that it says
what it waits for, and that all is in the bucket in the end.
"""

import contextlib
import os
import queue
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from asyncmirror.testing.signature import Credentials
from tests.acceptance.command import COMMAND
from tests.soak.strict import BUCKET, Strict
from tests.soak.watching import Process, Ran

_PATIENCE = 600.0


class Scene:
    """A process at work, and what became of it. `broken` are the promises that were not kept."""

    def __init__(self, work: Path, store: Strict, process: Process, say: Callable[[str], None]) -> None:
        self.root = work / "tree"
        self.broken: list[str] = []
        self.store = store
        self.process = process
        self.reasons: list[str] = []
        self._say = say
        self._began = time.monotonic()

    def did(self, what: str) -> None:
        """Tell what was done to it."""
        self._say(f"{time.monotonic() - self._began:7.1f} s  {what}")

    def ran(self, patience: float = _PATIENCE) -> Ran:
        """The next run or try, told.

        Raises:
            queue.Empty: There was none within so many seconds.
        """
        ran = self.process.ran(patience)
        if ran.summary is None:
            told = "no run"
        else:
            counts = {outcome: len(paths) for outcome, paths in ran.lines.items()}
            told = f"a run ended with exit code {ran.summary['exit_code']}: {counts}"
        self.did(f"  {told}{self._why(ran.reason)}")
        if ran.lines.keys() & {"failed", "changed"}:
            self.broken.append(f"files are called failed or changed: {ran.lines}")
        if ran.reason:
            self.reasons.append(ran.reason)
        return ran

    def _why(self, reason: str) -> str:
        if not reason:
            return ""
        return "; it waits: as before" if reason in self.reasons[-1:] else f"; it waits: {reason}"

    def until(self, good: Callable[[Ran], bool]) -> Ran:
        """The first run that is so."""
        deadline = time.monotonic() + _PATIENCE
        while True:
            ran = self.ran()
            if good(ran):
                return ran
            assert time.monotonic() < deadline, self.reasons

    def wait(self, seconds: float) -> None:
        """Let time pass, and tell what happens: this is how long it is away."""
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            with contextlib.suppress(queue.Empty):
                self.ran(left)

    def expect(self, said: str) -> None:
        """It must have waited for this."""
        if not any(said in reason for reason in self.reasons):
            self.broken.append(f"it never waited because of {said!r}: {self.reasons}")

    def settle(self) -> None:
        """Everything must be there now, and the process ends as asked."""
        files = {path.relative_to(self.root).as_posix(): path for path in self.root.rglob("*") if path.is_file()}
        if wrong := self.store.wrong(files):
            self.broken.append(f"the bucket is not the tree: {wrong[:5]}")
        code = self.process.end()
        self.did(f"SIGTERM while it waits: exit code {code}")
        if code != 128 + signal.SIGTERM:
            self.broken.append(f"its exit code is {code}")


@contextlib.contextmanager
def _scene(
    work: Path,
    store: Strict,
    say: Callable[[str], None],
    *flags: str | Path,
    interval: float = 1,
    environment: Mapping[str, str] | None = None,
) -> Iterator[Scene]:
    journal = work / "state" / "journal.sqlite"
    command: list[str | Path] = [
        *(
            COMMAND,
            "sync",
            work / "tree",
            f"s3://{BUCKET}",
            "--watch",
            f"{max(1, round(interval))}s",
            "--json",
            "--journal",
            journal,
        ),
        *("--concurrency", "8", "--part-size", "5MiB", "--multipart-threshold", "5MiB", "--max-memory", "64MiB", *flags),
    ]
    with (
        (work / "stderr").open("wb") as stderr,
        subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=stderr,
            env=store.site.environment(work) | dict(environment or {}),
            cwd=work,
        ) as process,
    ):
        try:
            yield Scene(work, store, Process(process, journal, work / "stderr"), say)
        finally:
            process.kill()
    for line in (work / "stderr").read_text(encoding="utf-8").splitlines():
        say(f"           | {line}")


def _plant(root: Path, count: int, size: int = 2000) -> None:
    for number in range(count):
        path = root / f"{number // 50}" / f"{number}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(os.urandom(size))


def _good(ran: Ran) -> bool:
    return ran.summary is not None and ran.summary["exit_code"] == 0


def _slowly(store: Strict, seconds: float) -> None:
    store.do(lambda server: server.reconfigure(latency=seconds))


def _reach(store: Strict, requests: int) -> None:
    deadline = time.monotonic() + _PATIENCE
    while len(store.told()) < requests:
        assert time.monotonic() < deadline
        time.sleep(0.02)


def stopped(work: Path, store: Strict, seconds: float, say: Callable[[str], None]) -> list[str]:
    """SIGSTOP in the middle of a run, for longer than a request may take and be tried again."""
    _plant(work / "tree", 120)
    (work / "tree" / "large").write_bytes(os.urandom(12 << 20))
    _slowly(store, 0.1)
    patience = max(5.0, seconds / 4)
    with _scene(
        work, store, say, "--request-timeout", f"{patience}", "--retry-window", f"{2 * patience}", interval=seconds / 4
    ) as scene:
        _reach(store, 60)
        scene.process.process.send_signal(signal.SIGSTOP)
        scene.did(f"kill -STOP in the middle of a run, for {seconds:g} s; a request may take {patience:g} s")
        scene.wait(seconds)
        scene.process.process.send_signal(signal.SIGCONT)
        scene.did("kill -CONT")
        scene.until(_good)
        if scene.reasons:
            scene.broken.append(f"it gave up: {scene.reasons}")
        _slowly(store, 0)
        scene.settle()
    return scene.broken


def server_gone(work: Path, store: Strict, seconds: float, say: Callable[[str], None]) -> list[str]:
    """The server stops listening in the middle of a run, for longer than a request is tried again."""
    _plant(work / "tree", 200)
    _slowly(store, 0.1)
    with _scene(work, store, say, "--retry-window", f"{seconds / 4}", interval=seconds / 4) as scene:
        _reach(store, 60)
        before = set(store.objects())
        store.leave()
        scene.did(f"the server is gone for {seconds:g} s; a request is tried again for {seconds / 4:g} s")
        scene.wait(seconds)
        store.come_back()
        _slowly(store, 0)
        scene.did("the server is back")
        scene.until(_good)
        scene.expect("no connection")
        if not before <= set(store.objects()):
            scene.broken.append("something that was stored is gone")
        scene.settle()
    return scene.broken


def unmounted(work: Path, store: Strict, seconds: float, say: Callable[[str], None]) -> list[str]:
    """The source's file system is unmounted between two runs of `sync --delete`, and mounted again. Only root may do that."""
    _plant(work / "real", 100)
    root = work / "tree"
    root.mkdir()
    with _mounted(root, work / "real") as mount, _scene(work, store, say, "--delete", interval=seconds / 4) as scene:
        scene.until(_good)
        before = store.objects()
        mount.take_away()
        scene.did(f"the source is unmounted for {seconds:g} s: {os.listdir(root)} is in its place")
        scene.until(lambda ran: bool(ran.reason))
        scene.wait(seconds)
        mount.bring_back()
        scene.did("it is mounted again")
        scene.until(_good)
        scene.expect("the source is not there")
        if store.objects().keys() != before.keys():
            scene.broken.append("objects were deleted")
        scene.settle()
    return scene.broken


class _Mount(NamedTuple):
    root: Path
    real: Path

    def bring_back(self) -> None:
        subprocess.run(["mount", "--bind", self.real, self.root], check=True)

    def take_away(self) -> None:
        """As an administrator would: also while somebody has a directory of it open."""
        subprocess.run(["umount", "--lazy", self.root], check=True)


@contextlib.contextmanager
def _mounted(root: Path, real: Path) -> Iterator[_Mount]:
    mount = _Mount(root, real)
    mount.bring_back()
    try:
        yield mount
    finally:
        mount.take_away()


def disk_full(work: Path, store: Strict, seconds: float, say: Callable[[str], None]) -> list[str]:
    """The journal's disk is full before all is on record, and has room again later. Only root may mount a small one."""
    _plant(work / "tree", 50)
    state = work / "state"
    state.mkdir(mode=0o700)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4M,mode=700", "none", state], check=True)
    try:
        with _scene(work, store, say, interval=seconds / 4) as scene:
            scene.until(_good)
            ballast = state / "ballast"
            with contextlib.suppress(OSError), ballast.open("wb", buffering=0) as file:
                while True:
                    file.write(bytes(4096))
            scene.did(f"the journal's disk is full for {seconds:g} s: {os.statvfs(state).f_bavail} blocks are free")
            _plant(work / "tree" / "more", 500, 10)
            scene.until(lambda ran: bool(ran.reason))
            scene.wait(seconds)
            ballast.unlink()
            scene.did("there is room again")
            scene.until(_good)
            scene.expect("no space left for the journal")
            scene.settle()
    finally:
        subprocess.run(["umount", "--lazy", state], check=True)
    return scene.broken


def expired(work: Path, store: Strict, seconds: float, say: Callable[[str], None]) -> list[str]:
    """The keys are revoked, and others are written into the credentials file later."""
    _plant(work / "tree", 100)
    keys = work / "credentials"
    _write_keys(keys, "testkey", "testsecret")
    environment = {"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": "", "AWS_SHARED_CREDENTIALS_FILE": str(keys)}
    with _scene(work, store, say, interval=seconds / 4, environment=environment) as scene:
        scene.until(_good)
        store.do(lambda server: server.reconfigure(credentials=(Credentials("newkey", "newsecret"),)))
        _plant(work / "tree" / "more", 20)
        scene.did(f"the keys are no longer accepted; new ones come in {seconds:g} s")
        scene.until(lambda ran: bool(ran.reason))
        scene.wait(seconds)
        _write_keys(keys, "newkey", "newsecret")
        scene.did("new keys are in the credentials file")
        scene.until(_good)
        scene.expect("access key")
        scene.settle()
    return scene.broken


def _write_keys(path: Path, key: str, secret: str) -> None:
    path.write_text(f"[default]\naws_access_key_id = {key}\naws_secret_access_key = {secret}\n", encoding="ascii")


class Outage(NamedTuple):
    """A scene, how long what is taken away is away in `scripts/outages`, and whether only root can play it."""

    play: Callable[[Path, Strict, float, Callable[[str], None]], list[str]]
    seconds: float
    root: bool = False


OUTAGES = (
    Outage(stopped, 60),
    Outage(server_gone, 120),
    Outage(unmounted, 30, root=True),
    Outage(disk_full, 30, root=True),
    Outage(expired, 30),
)


def may_mount() -> bool:
    """Whether this process may mount something: root in a container often may not."""
    return (
        os.geteuid() == 0 and subprocess.run(["unshare", "--mount", "true"], check=False, capture_output=True).returncode == 0
    )
