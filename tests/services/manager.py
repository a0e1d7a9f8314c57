"""A machine with a systemd of its own: a container with this one's /usr, and /etc and /var that are empty and in memory.

Owns its boot, its end, and how commands are run in it. Knows no unit. Needs Debian's package systemd-container, and root. It
shares the network; nothing of this machine can be changed from it but what is bound, and that is bound for reading.
"""

import contextlib
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import asyncmirror
from tests.acceptance.servers import PATIENCE

PROGRAMS = ("systemd-nspawn", "nsenter", "systemctl", "dbus-daemon")
_BOOTED = Path("/run/systemd/system")  # sd_booted(3)
_COMMAND = "/opt/asyncmirror/bin/asyncmirror"
_UP = ("running", "degraded")
"""Of `systemctl is-system-running`: there is no hardware for some of this machine's own units."""


class Machine:
    """It is up. Made by `booted`."""

    def __init__(self, leader: int) -> None:
        self._enter = ("nsenter", "--target", str(leader), "--mount", "--pid", "--uts", "--ipc")

    def run(self, *command: str, given: str = "", check: bool = True, seconds: float = PATIENCE) -> str:
        """Run a command in it; gives what it says on stdout."""
        told = subprocess.run(
            (*self._enter, *command), input=given, stdout=subprocess.PIPE, text=True, check=check, timeout=seconds
        )
        return told.stdout.strip()

    def write(self, path: str, text: str, mode: int = 0o644) -> None:
        """Write a file, with the directories that it is in."""
        self.run("install", "-D", "-m", f"{mode:o}", "/dev/stdin", path, given=text)

    def read(self, path: str) -> str:
        """What is in a file; empty where there is none."""
        return self.run("sh", "-c", 'cat "$0" 2>/dev/null', path, check=False)


@contextlib.contextmanager
def booted(where: Path, binds: Mapping[str, Path]) -> Iterator[Machine]:
    """The machine until the block ends, with our command where the unit has it, and what else is bound, by its path there.

    Args:
        where: A directory for the console's log and the command; it is there.
        binds: Directories that are seen in it.
    """
    own = {"/opt/python": Path(sys.base_prefix)}
    ours = [Path(asyncmirror.__file__).parents[1], *(Path(each) for each in sys.path if each.endswith("-packages"))]
    own |= {f"/opt/packages/{number}": each for number, each in enumerate(ours)}
    command = where / "opt" / "bin" / "asyncmirror"
    command.parent.mkdir(parents=True)
    packages = ":".join(name for name in own if name.startswith("/opt/packages/"))
    python = f"/opt/python/bin/python{sys.version_info.major}.{sys.version_info.minor}"
    # Python's own library is found by a path of this machine, which may be nobody else's to look into.
    places = f"LD_LIBRARY_PATH=/opt/python/lib PYTHONPATH={packages}"
    command.write_text(f'#!/bin/sh\n{places} exec {python} -m asyncmirror "$@"\n', encoding="utf-8")
    command.chmod(0o755)
    bound = {**own, str(Path(_COMMAND).parents[1]): where / "opt", **binds}
    with (
        (where / "console").open("wb") as console,
        subprocess.Popen(
            [
                *("systemd-nspawn", "--quiet", "--boot", "--directory=/", "--volatile=yes", "--console=pipe"),
                *("--machine=asyncmirror-show", "--register=no", *(() if _BOOTED.exists() else ("--keep-unit",))),
                *(f"--bind-ro={source}:{target}" for target, source in bound.items()),
            ],
            stdin=subprocess.DEVNULL,
            stdout=console,
            stderr=console,
        ) as process,
    ):
        try:
            yield _machine(process, where / "console")
        finally:
            process.terminate()  # systemd in it shuts down
            try:
                process.wait(60)
            except subprocess.TimeoutExpired:
                process.kill()


def _machine(process: "subprocess.Popen[bytes]", console: Path) -> Machine:
    """The machine, once it is up."""
    deadline = time.monotonic() + PATIENCE
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    while process.poll() is None and time.monotonic() < deadline:
        if leader := children.read_text(encoding="ascii").split():
            machine = Machine(int(leader[0]))
            if machine.run("sh", "-c", "systemctl is-system-running 2>&1", check=False) in _UP:
                return machine
        time.sleep(0.2)
    raise AssertionError(f"the machine does not come up: {console.read_text(encoding='utf-8', errors='replace')[-2000:]}")
