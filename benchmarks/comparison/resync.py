"""Rows that are more than one command on a tree: what a second run costs, and what one after `kill -9` does first.

Owns the order within these rows. A journal belongs to one endpoint, so that each row stays with one server.
"""

import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from comparison import trees
from comparison.clients import Client, Job, environment
from comparison.measure import Sample, run, wait_for_calm
from comparison.race import Entry, Racing, Result, describe, say
from comparison.servers import Server, serve
from comparison.trees import Shape

_TINY = 64  # bytes; the file's content is not what a second run is about
_CAP = 3600.0
_LEFT = 4000
"""Files that a killed run should not have sent: so many, or a hundredth of all."""


def versions(racing: Racing) -> Result:
    """How long `--version` takes: the start of the program itself."""
    began = time.time()
    entries = []
    for name in ("asyncmirror", "s5cmd, 64", "aws-cli", "rclone"):
        if client := racing.clients.get(name):
            with _scratch(racing) as scratch:
                job = Job(trees.Tree(scratch, 0, 0, scratch), Server("none", "http://localhost", None, 0), "", scratch)
                variables = environment(client, job)
                wait_for_calm(racing.ground.calm)
                times = 20 if name == "asyncmirror" else 5
                samples = [run(client.version, variables, racing.ground.client_cores, 60) for _ in range(times)]
            say(f"version: {name}: {describe(samples[-1])}")
            entries.append(Entry(name, 1, 0, samples))
    return Result("version", "The version, asked for 20 times (of others 5)", "none", "objects", began, entries)


def unchanged(racing: Racing, files: int, name: str) -> Result:
    """A first run killed near its end, the one that resumes it, and then runs that find nothing to do."""
    began = time.time()
    client = racing.clients["asyncmirror"]
    tree = racing.tree(Shape(files, _TINY))
    facts: dict[str, float] = {}
    with serve("plain", racing.ground.work, racing.ground.server_cores) as server, _scratch(racing) as scratch:
        job = Job(tree, server, "resync", scratch)
        enough = files - max(files // 100, _LEFT)
        say(f"{name}: first run, killed when {enough:,} files are sent ...")
        killed = _sync(racing, client, job, until=lambda _: server.requests() >= enough)
        facts["first run, until it was killed: objects/s"] = enough / killed.wall
        facts["first run: peak MiB"] = killed.rss / (1 << 20)
        say(f"{name}: the run after kill -9 ...")
        watch = _First(server)
        resumed = _sync(racing, client, job, until=watch, every=0.01)
        if not resumed.ok:
            raise SystemExit(f"the resumed run failed: {resumed.output}")
        assert watch.request is not None
        assert watch.body is not None
        facts["run after kill -9: seconds to its first request"] = watch.request
        facts["run after kill -9: seconds to its first body"] = watch.body
        facts["run after kill -9: seconds in all"] = resumed.wall
        facts["run after kill -9: peak MiB"] = resumed.rss / (1 << 20)
        entry = Entry("asyncmirror", files, tree.size)
        for turn in range(racing.ground.turns):
            say(f"{name}, turn {turn + 1} ...")
            entry.samples.append(_sync(racing, client, job))
    return Result(name, f"Nothing to do: {files:,} files, all journalled", "plain", "objects", began, [entry], facts)


def listing(racing: Racing, shares: dict[str, int]) -> Result:
    """The same against peers, which ask the bucket what it has; `shares` are files by client."""
    began = time.time()
    ours = racing.clients["asyncmirror"]
    whole = max(shares.values())
    entries, jobs = [], []
    with serve("listing", racing.ground.work, racing.ground.server_cores) as server, _scratch(racing) as scratch:
        for files in sorted(set(shares.values())):
            (scratch / str(files)).mkdir()
            seed = Job(racing.tree(Shape(files, _TINY)), server, f"tree-{files}", scratch / str(files))
            say(f"noop-listing: sending {files:,} files ...")
            sample = _sync(racing, ours, seed)
            if not sample.ok:
                raise SystemExit(f"asyncmirror failed: {sample.output}")
            jobs.append(seed)
        for name, files in shares.items():
            if client := racing.clients.get(name):
                job = next(job for job in jobs if job.tree.files == files)
                entries.append((client, job, Entry(name, files, job.tree.size)))
        for turn in range(racing.ground.turns):
            for client, job, entry in entries:
                say(f"noop-listing, turn {turn + 1}: {client.name} ...")
                entry.samples.append(_sync(racing, client, job))
    title = f"Nothing to do: {whole:,} files, all in a bucket that lists quickly"
    return Result("noop-listing", title, "listing", "objects", began, [entry for _, _, entry in entries])


class _First:
    """Asked again and again, notes when the server had its first and its second request since: the bucket's check, then a body.

    Never says that it is over. Its own questions are requests too, and are left out.
    """

    def __init__(self, server: Server) -> None:
        self.request: float | None = None
        self.body: float | None = None
        self._server = server
        self._expected = 0

    def __call__(self, seconds: float) -> bool:
        if self.body is None:
            seen = self._server.requests()
            self._expected = self._expected + 1 if self._expected else seen
            if seen > self._expected and self.request is None:
                self.request = seconds
            if seen > self._expected + 1:
                self.body = seconds
        return False


def _sync(
    racing: Racing, client: Client, job: Job, until: Callable[[float], bool] | None = None, every: float = 0.05
) -> Sample:
    """One run of what a client has for a second time."""
    assert client.sync is not None
    wait_for_calm(racing.ground.calm)
    trees.look(job.tree)
    before = job.server.requests()
    ground = racing.ground
    sample = run(client.sync(job), environment(client, job), ground.client_cores, _CAP, job.server.cpu, until, every)
    job.server.check()
    counted = job.server.requests() - before - 1
    sample = replace(sample, requests=counted)
    say(describe(sample))
    return sample


@contextmanager
def _scratch(racing: Racing) -> Iterator[Path]:
    path = Path(tempfile.mkdtemp(prefix="scratch-", dir=racing.ground.work))
    try:
        yield path
    finally:
        shutil.rmtree(path)
