"""Runs rows: every entrant once per turn, in turn, and keeps each sample.

Owns order, pinning, caches and caps. Every run begins with an empty prefix and a journal of its own.
"""

import itertools
import json
import shutil
import sys
import tempfile
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from comparison import trees
from comparison.clients import Client, Job, environment
from comparison.measure import Sample, run, wait_for_calm
from comparison.rows import Row
from comparison.servers import Server, serve
from comparison.trees import Shape, Tree


@dataclass(frozen=True)
class Ground:
    """Where and how it is run.

    Attributes:
        work: A directory for trees, journals and certificates.
        server_cores: The server's cores.
        client_cores: The clients'.
        turns: How often each entrant has its go.
        calm: Seconds to wait at most, before each run, for a machine that is busy with other things.
        cold: Take the tree out of the page cache before each run.
    """

    work: Path
    server_cores: Collection[int]
    client_cores: Collection[int]
    turns: int
    calm: float
    cold: bool


@dataclass
class Entry:
    """What one entrant did in a row; `objects` and `size` (bytes) are per run."""

    client: str
    objects: int
    size: int
    samples: list[Sample] = field(default_factory=list)


@dataclass
class Result:
    """A row, measured."""

    name: str
    title: str
    server: str
    unit: str
    began: float
    entries: list[Entry]
    facts: dict[str, float] = field(default_factory=dict)


class Racing:
    """Runs one row after the other on one ground."""

    def __init__(self, ground: Ground, clients: Mapping[str, Client]) -> None:
        self.ground = ground
        self.clients = clients
        self._numbers = itertools.count(1)

    def tree(self, shape: Shape) -> Tree:
        """A tree, made if need be."""
        return trees.make(self.ground.work, shape)

    def race(self, row: Row) -> Result:
        """Run a row."""
        began = time.time()
        entrants = [(self.clients[name], self.tree(shape)) for name, shape in row.entrants if name in self.clients]
        entries = [Entry(client.name, tree.files, tree.size) for client, tree in entrants]
        with serve(row.server, self.ground.work, self.ground.server_cores) as server:
            for turn in range(self.ground.turns):
                for (client, tree), entry in zip(entrants, entries, strict=True):
                    if any(sample.late for sample in entry.samples):
                        continue  # it has had its time
                    say(f"{row.name}, turn {turn + 1}: {client.name} ...")
                    sample = self.go(client, tree, server, row.cap)
                    entry.samples.append(sample)
                    say(describe(sample))
        return Result(row.name, row.title, row.server, row.unit, began, entries)

    def go(self, client: Client, tree: Tree, server: Server, cap: float) -> Sample:
        """One run of one client, with nothing of an earlier run to build on."""
        number = next(self._numbers)
        scratch = Path(tempfile.mkdtemp(prefix="scratch-", dir=self.ground.work))
        try:
            job = Job(tree, server, f"run-{number}", scratch)
            wait_for_calm(self.ground.calm)
            # Each time anew: on some virtual machines the host takes cached pages back within seconds, and whoever has the
            # first go in a turn would read from the disk what the others find in memory.
            (trees.cool if self.ground.cold else trees.warm)(tree)
            before = server.requests()
            sample = run(client.copy(job), environment(client, job), self.ground.client_cores, cap, server.cpu)
            server.check()
            counted = server.requests() - before - 1 if before else 0  # the question is a request too
        finally:
            shutil.rmtree(scratch)
        return within(replace(sample, requests=counted), client)


def within(sample: Sample, client: Client) -> Sample:
    """The sample of a program that measures itself, by its own clock: the limit, whose start-up is no part of it."""
    if not client.name.startswith("limit") or not sample.ok:
        return sample
    told = json.loads(sample.output.splitlines()[-1])
    return replace(sample, wall=told["seconds"], cpu=told["cpu"])


def describe(sample: Sample) -> str:
    """A sample in one line, for who watches."""
    fate = "" if sample.ok else " TOO SLOW" if sample.late else f" FAILED ({sample.code}): {sample.output[-300:]}"
    return (
        f"  {sample.wall:.2f} s, CPU {sample.cpu:.2f} s, {sample.rss / 2**20:.0f} MiB, {sample.requests} requests,"
        f" server {sample.server:.0%}, others {sample.others:.0%}{fate}"
    )


def say(text: str) -> None:
    """Tell who watches."""
    print(text, file=sys.stderr, flush=True)
