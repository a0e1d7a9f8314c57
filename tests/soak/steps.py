"""A kill at every step of a run, one after the other: each time the same tree and the same beginning.

Owns the tree and the loop. Each kill is followed by a run that comes to its end, or by a second kill before it; then the
accounts are made up.
"""

import os
import random
import shutil
from collections.abc import Iterator
from pathlib import Path

from asyncmirror.sizes import MIB
from tests.acceptance.command import Run, sync
from tests.acceptance.evidence import regular_files
from tests.soak import record
from tests.soak.account import Account
from tests.soak.strict import Strict
from tests.soak.warm import Warm

_OPTIONS = ("--part-size", "5MiB", "--multipart-threshold", "8MiB", "--concurrency", "4", "--delete")
_SKIPPED = 3  # the exit code of a run that met the FIFO
_KILLED = -9


class Steps:
    """One tree, changed since it was mirrored; every run begins there."""

    def __init__(self, work: Path, server: Strict, account: Account) -> None:
        self._server = server
        self._account = account
        self._tree = work / "tree"
        self._journal = work / "journal" / "journal.sqlite"
        self._kept = work / "kept"
        for path in (self._tree, self._journal.parent, work / "home"):
            path.mkdir()
        self._warm = Warm(work / "home", server.site)
        self._command = sync(self._tree, server.site, self._journal, *_OPTIONS)
        _make_tree(self._tree)
        first = self._warm.run(*self._command)
        assert first.code == 0, first.error
        server.settled()
        shutil.copytree(self._journal.parent, self._kept)
        self._objects = server.objects()
        _change_tree(self._tree)
        self._files = {key: path for key, (path, _) in regular_files(self._tree).items()}

    def each(self, start: int = 1, step: int = 1) -> Iterator[int]:
        """Kill at the points `start`, `start` + `step`, …, until a run comes to its end before; gives each number."""
        number = start
        while self.kill_at(number):
            yield number
            number += step

    def kill_at(self, *numbers: int) -> bool:
        """Begin anew, kill a run at each of these points, one run after the other, then let one come to its end.

        Returns:
            Whether all points were reached.
        """
        shutil.rmtree(self._journal.parent)
        shutil.copytree(self._kept, self._journal.parent)
        self._server.set_back(self._objects)
        self._account.begin_anew(self._objects)
        points: list[str] = []
        left = [0, *reversed(numbers)]
        while (run := self._run(left.pop())).code == _KILLED:
            points.append(self._warm.point())
        where = "; ".join(points) or "never killed"
        if run.code != _SKIPPED:
            self._account.ended(f"killed at {where}: exit code {run.code}: {run.error}")
        self._account.compared(len(self._files), [f"{key}: killed at {where}" for key in self._server.wrong(self._files)])
        self._account.left_over(self._server.uploads())
        return len(points) == len(numbers)

    def _run(self, number: int) -> Run:
        """A run that is killed at a point, or not (0), in the accounts."""
        before, seen = record.read(self._journal), len(self._server.settled())
        run = self._warm.run(*self._command, at=number)
        requests = self._server.settled()[seen:]
        after = record.read(self._journal)
        self._account.add(run, self._files, before, after, requests)
        self._account.ahead(self._server.ahead(after))
        return run


def _make_tree(root: Path) -> None:
    (root / "same").write_bytes(b"as it was")
    (root / "changed").write_bytes(b"before it was changed")
    (root / "touched").write_bytes(b"only its times change")
    (root / "gone").write_bytes(b"it will be removed")
    (root / "left").mkdir()
    (root / "left" / "behind").write_bytes(b"it will be removed with its directory")


def _change_tree(root: Path) -> None:
    """New files of every kind, one that changed, one that was touched, two that are gone, and one problem."""
    chance = random.Random(4)
    (root / "changed").write_bytes(b"since it was changed!")
    os.utime(root / "touched", ns=(1, 1))
    (root / "gone").unlink()
    shutil.rmtree(root / "left")
    (root / "small").write_bytes(chance.randbytes(1000))
    (root / "empty").touch()
    (root / os.fsdecode(b"str\xffange\n")).write_bytes(b"under a strange name")
    (root / "a" / "deep" / "directory").mkdir(parents=True)
    (root / "a" / "deep" / "directory" / "file").write_bytes(b"far down")
    (root / "large").write_bytes(chance.randbytes(11 * MIB))
    os.mkfifo(root / "pipe")
