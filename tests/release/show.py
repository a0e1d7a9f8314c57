"""The old workflow with the new makefile: crawled, put into batches, uploaded, killed, resumed elsewhere, and verified.

Owns the order of the story and what must be seen in it. What is in tree and bucket is found out by `walk`, what was sent by the
store's own log.
"""

import contextlib
import json
import os
import subprocess
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from asyncmirror.sizes import format_size
from tests.acceptance.command import COMMAND, Site
from tests.acceptance.evidence import confirmed
from tests.acceptance.servers import Request, Server
from tests.release.account import Account
from tests.release.tree import Release
from tests.release.walk import compare, path_of, place, walk
from tests.release.workplace import Done, Workplace, kill

RELEASE = "dr1"
LOOKS = ((), ("--sidecars",), ("--deep",), ("--deep", "--download", "--sidecars"))
"""Looks at the end. One that is deep and nothing else is killed first, after half the time that the one before it took."""
_TRIES = 10
"""After so many more of `make upload`, all must be there."""


class Show:
    """One release, one store, one working directory."""

    def __init__(
        self,
        account: Account,
        release: Release,
        server: Server,
        site: Site,
        place_of_work: Workplace,
        looks: Sequence[tuple[str, ...]] = LOOKS,
    ) -> None:
        self._account = account
        self._release = release
        self._server = server
        self._site = site
        self._work = place_of_work
        self._looks = looks
        self._found = walk(release.root)
        self._mine = walk(release.root, (RELEASE,))

    def tell(self) -> None:
        """All of it."""
        self._begin()
        self._outline()
        self._killed()
        self._resumed()
        self._verified()

    def _begin(self) -> None:
        account, release, found = self._account, self._release, self._found
        account.head("The release")
        account.said("regular files", f"{release.files:,} ({format_size(release.size)}) and {release.links:,} links")
        account.said("objects that they must become", f"{len(found.files):,} ({format_size(found.size)}), links followed")
        account.said("lines of checksum files", found.sums)
        closed = len(found.files) - len(found.but(release.unreadable).files)
        account.said("in a directory that may not be listed", f"{closed:,} files")
        account.said("links that lead nowhere", len(release.nowhere))
        account.held("entries that can't be objects", len(found.odd), found.odd == set(release.nowhere))

    def _outline(self) -> None:
        account, work = self._account, self._work
        account.head("make find.json batch.json, by the read-only mount")
        done = work.make("find.json", "batch.json")
        account.held("exit code", f"{done.code} after {done.seconds:.1f} s", done.code == 0)
        account.held("the unreadable directory is named", "yes", self._release.unreadable.partition("/")[2] in done.error)
        tree = json.loads((work.where / "find.json").read_text(encoding="utf-8"))
        kinds = Counter(node[1] for node in _nodes(tree))
        readable = walk(self._release.root, (RELEASE,), RELEASE).but(self._release.unreadable)
        account.held("files in find.json, as the old tools read it", kinds[1], kinds[1] == len(readable.files))
        account.held("their bytes", f"{tree[2]:,}", tree[2] == readable.size)
        account.held("entries of type -1", kinds[-1], kinds[-1] == len(readable.odd) + 1)
        queue = self._queue()
        account.held("batches", f"{len(queue['batches']):,} of {len(queue['queued']):,} paths", len(queue["batches"]) > 1)

    def _killed(self) -> None:
        account, work = self._account, self._work
        account.head("make upload, killed with SIGKILL in the middle")
        half = len(self._mine.files) // 2
        began = time.monotonic()
        with work.making("upload") as process:
            reached = False
            while not reached and process.poll() is None:
                reached = self._server.wait(lambda requests: sum(each.stored for each in requests) >= half, 1)
            kill(process)
            process.communicate()
        account.held("killed after", f"{time.monotonic() - began:.1f} s", reached)
        self._before = self._server.settled()
        journalled = self._confirmed("killed")
        stored = sum(each.stored for each in self._before)
        account.held("stored / confirmed in the journal", f"{stored:,} / {len(journalled):,}", 0 < len(journalled) <= stored)
        self._journalled = journalled
        queue = self._queue()
        account.said("completed / queued paths", f"{len(queue['completed']):,} / {len(queue['queued']):,}")

    def _resumed(self) -> None:
        account, work, release = self._account, self._work, self._release
        account.head("make upload again and again, by the other mount")
        variables = {"release": f"{work.alias}/{RELEASE}"}
        work.use(work.alias, **variables)
        opened = False
        for number in range(_TRIES):
            done = work.make("upload")
            left = len(self._queue()["queued"])
            account.said(
                f"make upload, number {number + 2}", f"{_code(done)} after {done.seconds:.1f} s, {left:,} paths queued"
            )
            if done.code == 0:
                break
            if not opened:
                opened = True
                self._problems()
                os.chmod(release.root / release.unreadable, 0o755)
                work.exclude([f"/{link}" for link in release.nowhere])
                account.said("now", "the directory is opened, the links are excluded")
        queue = self._queue()
        account.held("queued / failed at the end", f"{len(queue['queued'])} / {len(queue['failed'])}", not queue["queued"])
        self._sent_again()

    def _problems(self) -> None:
        """What is not in the bucket by our account and by the walk's."""
        account, release = self._account, self._release
        done = self._work.command("problems", "--json")
        named = {line["path"] for line in done.lines if line.get("event") != "summary"}
        expected = {release.unreadable, *release.nowhere}
        account.held("asyncmirror problems names", f"{len(named)} entries: those of the walk", named == expected)
        difference = compare(self._site, self._mine.but(release.unreadable))
        account.held("everything else is in the bucket", difference or "byte for byte", not difference)

    def _sent_again(self) -> None:
        account = self._account
        stored = {_piece(each) for each in self._before if each.stored}
        after = self._server.settled()[len(self._before) :]
        repeated = [each for each in after if each.stored and _piece(each) in stored]
        again = [each for each in repeated if _piece(each) in self._journalled]
        account.said("sent again, stored and not yet confirmed", f"{len(repeated) - len(again):,} objects and parts")
        account.held("sent again though confirmed", len(again), not again)

    def _verified(self) -> None:
        account, work, found = self._account, self._work, self._found
        account.head("make verify: the whole mirror, then the answers")
        done = work.make("verify")
        account.held("make verify", f"{_code(done)} after {done.seconds:.1f} s", done.code == 0)
        for flags in self._looks:
            if flags == ("--deep",):
                self._look_killed(done.seconds / 2, *flags)
            done = work.command("verify", "--json", *flags)
            told = done.summary
            good = done.code == 0 and told["equal"] == told["objects"] == len(found.files) and told["bytes"] == found.size
            good = good and told["sums"] == (found.sums if "--sidecars" in flags else 0)
            text = f"{told['equal']:,} of {told['objects']:,} equal, exit code {done.code}, {done.seconds:.1f} s"
            text += f", {told['sums']:,} lines of checksum files" if told["sums"] else ""
            text += f", {told['earlier']:,} read before the kill" if told["earlier"] else ""
            account.held(" ".join(("verify", *flags)), text, good)
        account.head("The same from outside: a walk, boto3's listing, every byte")
        began = time.monotonic()
        difference = compare(self._site, found)
        seconds = time.monotonic() - began
        all_of_it = f"{len(found.files):,} objects, {format_size(found.size)}, {seconds:.1f} s"
        account.held("equal, byte for byte", difference or all_of_it, not difference)

    def _look_killed(self, after: float, *flags: str) -> None:
        """A look that ends by SIGKILL after so many seconds."""
        with self._work.started(COMMAND, "verify", *flags) as process:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(after)
            ended = process.poll() is not None
            kill(process)
            process.communicate()
        label = " ".join(("verify", *flags, "killed"))
        self._account.said(label, "it had ended" if ended else f"after {after:.1f} s")

    def _queue(self) -> dict[str, Any]:
        value: dict[str, Any] = json.loads((self._work.where / "batch.json").read_text(encoding="utf-8"))
        return value

    def _confirmed(self, name: str) -> set[tuple[bytes, int]]:
        """What the journal calls confirmed, by place and part."""
        pieces = confirmed(self._work.journal, self._work.where / name)
        return {(place(path_of(key)), part) for key, part in pieces}


def _piece(request: Request) -> tuple[bytes, int]:
    return path_of(request.key), request.part


def _nodes(node: list[Any]) -> Iterator[list[Any]]:
    """As batch.py reads a find.json: name, type, size, then the children."""
    yield node
    for child in node[3:]:
        yield from _nodes(child)


def _code(done: Done) -> str:
    """The exit code of what `make` ran."""
    error = done.error.rpartition("Error ")[2].split()[:1]
    return f"exit code {error[0] if done.code and error else done.code}"
