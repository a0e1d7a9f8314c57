"""Kills at random moments: runs over a tree that changes before each, ended by SIGKILL from outside.

Owns the moments, and when the accounts are made up: after some kills a run comes to its end, and bucket and tree are compared.
"""

import random
import time
from collections.abc import Iterator
from pathlib import Path

from asyncmirror.sizes import KIB, MIB
from tests.acceptance.command import Run, Site, sync
from tests.acceptance.evidence import client, regular_files, wrong
from tests.acceptance.servers import Server
from tests.soak import record
from tests.soak.account import Account
from tests.soak.tree import Tree
from tests.soak.warm import Warm, WarmRun

_KILLED = -9
_OPTIONS = ("--part-size", "5MiB", "--multipart-threshold", "8MiB")
_COMPARED = 25
"""Kills between two comparisons, about."""
_SMALL = 16 * KIB


def plant(tree: Tree, chance: random.Random, small: int, large: int) -> None:
    """Let a tree have so many files of each kind."""
    for number in range(small):
        tree.write(tree.root / f"{number % 20:02d}" / f"small-{number}", chance.randint(0, _SMALL))
    for number in range(large):
        tree.write(tree.root / f"{number * 3 % 20:02d}" / f"large-{number}", chance.randint(9 * MIB, 24 * MIB))


class Kills:
    """Mirrors one tree, killed again and again."""

    def __init__(self, work: Path, server: Server, site: Site, tree: Tree, account: Account, chance: random.Random) -> None:
        self._server = server
        self._site = site
        self._tree = tree
        self._account = account
        self._chance = chance
        self._journal = work / "kills.sqlite"
        self._command = sync(tree.root, site, self._journal, *_OPTIONS)
        self._warm = Warm(work, site)
        self._seconds = 1.0
        """What a run takes that is not killed."""

    def run(self, kills: int, changes: int) -> Iterator[int]:
        """Kill so many runs; gives the number of kills after each comparison.

        Args:
            kills: How many.
            changes: How many small files change before each run.
        """
        first, made_up = self._account.kills, self._account.kills
        while (done := self._account.kills - first) < kills:
            self._one(kill=True)
            if self._account.kills - made_up >= _COMPARED:
                made_up = self._account.kills
                self._compare()
                yield done
            self._tree.change(changes, _SMALL)
        self._compare()
        yield self._account.kills - first

    def _one(self, *, kill: bool) -> Run:
        """A run in the accounts."""
        before, files, seen = record.read(self._journal), self._tree.files(), len(self._server.settled())
        several = ("--loops", "2") if self._chance.random() < 0.03 else ()
        command = (*self._command, "--concurrency", str(self._chance.choice((4, 16, 64))), *several)
        with self._warm.start(*command) as running:
            if kill:
                self._kill(running, seen)
            run = running.finish(300)
        requests = self._server.settled()[seen:]
        self._account.add(run, files, before, record.read(self._journal), requests)
        if run.code not in (0, _KILLED):
            self._account.ended(f"exit code {run.code}: {run.error}")
        return run

    def _kill(self, running: WarmRun, seen: int) -> None:
        """Wait for a random moment, drawn by time or by requests, and kill."""
        began = time.monotonic()
        if self._chance.random() < 0.5:
            running.wait(self._chance.uniform(0, self._seconds))
        else:
            until = seen + 1 + int(self._chance.expovariate(1 / 30))
            while not running.wait(0) and not self._server.wait(lambda requests: len(requests) >= until, 0.05):
                pass
            running.wait(self._chance.uniform(0, 0.02))
        if running.wait(0):
            self._seconds = 0.9 * self._seconds + 0.1 * (time.monotonic() - began)
        running.process.kill()

    def _compare(self) -> None:
        """Let a run come to its end, compare bucket and tree, and look for what is left over."""
        began = time.monotonic()
        self._one(kill=False)
        self._seconds = time.monotonic() - began
        files = regular_files(self._tree.root)
        self._account.compared(len(files), wrong(self._site, files, former=self._tree.former))
        with client(self._site) as s3:
            pages = s3.get_paginator("list_multipart_uploads").paginate(Bucket=self._site.bucket)
            left = {upload["UploadId"] for page in pages for upload in page.get("Uploads", ())}
        self._account.left_over(left)
