"""Where a release is mirrored from: the project's makefile and mirror file, set to a made-up tree, its alias, and a store.

Owns that directory and the programs that are run there, as a user without root's rights over permissions. Nothing of the
caller's configuration reaches them.
"""

import contextlib
import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from tests.acceptance.command import COMMAND, ORDINARY, Site

EXAMPLE = Path(__file__).parents[2] / "examples" / "desi"
_LONG = 3600.0


class Done(NamedTuple):
    """A program that ended: its exit code, what it said, and how long it took."""

    code: int
    out: str
    error: str
    seconds: float

    @property
    def lines(self) -> list[dict[str, Any]]:
        """Its JSON lines."""
        return [json.loads(line) for line in self.out.splitlines()]

    @property
    def summary(self) -> dict[str, Any]:
        """The last of them."""
        return self.lines[-1]


class Workplace:
    """A working directory; `root` and `alias` are two ways to one tree."""

    def __init__(self, where: Path, site: Site, root: Path, alias: Path, settings: str = "") -> None:
        """Make it.

        Args:
            where: A directory that is there; the files of the example go into it.
            site: The bucket.
            root: The tree.
            alias: Another path to it.
            settings: More tables of the mirror file.
        """
        self.where = where
        self.root = root
        self.alias = alias
        self.journal = where / "mirror.sqlite"
        text = (EXAMPLE / "asyncmirror.toml").read_text(encoding="utf-8")
        for old, new in {
            "/dvs_ro/cfs/cdirs/desi/public": str(root),
            "/global/cfs/cdirs/desi/public": str(alias),
            'bucket = "desidata"': f'bucket = "{site.bucket}"\njournal = "mirror.sqlite"',
            'region = "us-west-2"': f'region = "us-east-1"\nendpoint-url = "{site.url}"',
        }.items():
            assert old in text, f"the example no longer says {old}"
            text = text.replace(old, new)
        (where / "asyncmirror.toml").write_text(f"{text}\n{settings}", encoding="utf-8")
        (where / "makefile").write_text((EXAMPLE / "makefile").read_text(encoding="utf-8"), encoding="utf-8")
        environment = site.environment(where)
        environment["PATH"] = f"{COMMAND.parent}{os.pathsep}{environment['PATH']}"
        del environment["AWS_ENDPOINT_URL"], environment["AWS_REGION"]  # the mirror file has them
        self._environment = environment
        self._prefix = ORDINARY if os.geteuid() == 0 else ()
        self._variables: list[str] = []

    def use(self, root: Path, **variables: object) -> None:
        """From now on `make` has this root and these variables."""
        self._variables = [f"root={root}", *(f"{name}={value}" for name, value in variables.items())]

    def exclude(self, patterns: list[str]) -> None:
        """Say in the mirror file that some entries are not meant to be mirrored."""
        path = self.where / "asyncmirror.toml"
        text = path.read_text(encoding="utf-8")
        path.write_text(text.replace("[selection]\n", f"[selection]\nexclude = {json.dumps(patterns)}\n"), encoding="utf-8")

    def command(self, *arguments: str | Path) -> Done:
        """`asyncmirror` to its end."""
        return self._run(COMMAND, *arguments)

    def make(self, *targets: str) -> Done:
        """`make` to its end."""
        return self._run("make", *self._variables, *targets)

    def _run(self, *command: str | Path) -> Done:
        with self.started(*command) as process:
            began = time.monotonic()
            out, error = process.communicate(timeout=_LONG)
            return Done(process.returncode, out.decode(), error.decode("utf-8", "replace"), time.monotonic() - began)

    @contextlib.contextmanager
    def making(self, *targets: str) -> Iterator["subprocess.Popen[bytes]"]:
        """`make`, which does not outlive the block, nor does what it began."""
        with self.started("make", *self._variables, *targets) as process:
            yield process

    @contextlib.contextmanager
    def started(self, *command: str | Path) -> Iterator["subprocess.Popen[bytes]"]:
        """A program in a session of its own, of which nothing outlives the block."""
        with subprocess.Popen(
            [*self._prefix, *command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=self.where,
            env=self._environment,
            start_new_session=True,
        ) as process:
            try:
                yield process
            finally:
                kill(process)


def kill(process: "subprocess.Popen[bytes]") -> None:
    """SIGKILL to a program and to all that it began."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
