"""What `--delete` does, once everything else of a run went well: looks what is gone, weighs it, and has it deleted.

Owns the order of the steps, and what stands between them: nothing is deleted before all that would be is known, nor where one
of the conditions is not met, and then one line says why. Of each object the journal forgets that it is complete before the
store is asked to delete it, and remembers that it was asked (`journal.changes.Condemn`): a run that is killed in between leaves
neither a record of what is not there, nor an object that nobody knows (docs/adr/0011). What is gone is `audit.gone`'s to find,
whether it is still ours `audit.standing`'s, and what is allowed `plan.deletion`'s.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import ParamSpec, TypeVar

from asyncmirror.audit import standing
from asyncmirror.audit.candidates import Candidate, Candidates
from asyncmirror.audit.gone import Look
from asyncmirror.audit.merge import Pair, Verdict, judge
from asyncmirror.audit.unknown import Page, Unknown
from asyncmirror.engine import mounts
from asyncmirror.engine.recorder import Recorder
from asyncmirror.engine.root import Root
from asyncmirror.errors import SourceError, StoreError, ThrottledError
from asyncmirror.events import Deletion, DeletionBegun, Deletions, Erasing, Event, Fate, Settled
from asyncmirror.journal import paths
from asyncmirror.journal.changes import Bury, Change, Condemn, Spare, Supersede
from asyncmirror.journal.ordered import Kept
from asyncmirror.journal.writer import Journal
from asyncmirror.model import Completed, Outcome, RemoteObject
from asyncmirror.plan import deletion, keys
from asyncmirror.plan.filters import Filters
from asyncmirror.settings import Settings
from asyncmirror.source.beneath import Beneath
from asyncmirror.store.limit import closing
from asyncmirror.store.port import MOST_DELETED, Store

P = ParamSpec("P")
T = TypeVar("T")
_TOGETHER = 4
"""Requests in flight, of a thousand keys each: Amazon admits some 3,500 keys a second below one prefix."""
_LISTED = 1000


class Deleting:
    """The deletion of one run. All methods belong to the loop's thread.

    Attributes:
        stopped: It was told to begin nothing new.
        over: It has come to its end, whatever it came to.
    """

    def __init__(
        self,
        settings: Settings,
        filters: Filters,
        beneath: Beneath,
        journal: Journal,
        store: Store,
        recorder: Recorder,
        room: Callable[[], Awaitable[None]],
    ) -> None:
        """Prepare.

        Args:
            settings: What was asked.
            filters: Its rules, compiled.
            beneath: The source.
            journal: What remembers the objects.
            store: The bucket, retrying.
            recorder: What takes changes to the journal, and events to the caller.
            room: Waits while the caller is behind.
        """
        self.stopped = False
        self.over = False
        self._refusal = ""
        self._settings = settings
        self._filters = filters
        self._beneath = beneath
        self._journal = journal
        self._store = store
        self._recorder = recorder
        self._room = room
        self._prefix = keys.directory_prefix(settings.destination.prefix, b"")
        self._outcomes: Counter[Outcome] = Counter()
        self._counts: Counter[Fate] = Counter()
        self._sizes: Counter[Fate] = Counter()
        self._look: Look | None = None
        self._going = False
        self._objects = 0
        self._began = 0.0
        self._before = 0

    def watch(self, events: Iterable[Event]) -> None:
        """Take note of how the run goes."""
        for event in events:
            if isinstance(event, Settled):
                self._outcomes[event.outcome] += 1

    def result(self) -> Deletions:
        """What it came to."""
        return Deletions(dict(self._counts), dict(self._sizes), self._refusal)

    def progress(self) -> Erasing | None:
        """How far it is; None before it begins, and after."""
        if not self._going:
            return None
        looked = 0 if self._look is None else self._look.objects
        if not self._objects:
            return Erasing(looked)
        return Erasing(looked, self._objects, self._counts.total() - self._before, time.monotonic() - self._began)

    def stop(self) -> None:
        """Begin nothing new."""
        self.stopped = True
        self.refuse("the run was stopped")

    def refuse(self, reason: str) -> None:
        """Say why nothing was deleted, or no more; the first reason stands."""
        self._refusal = self._refusal or reason

    async def run(self) -> None:
        """Delete what is to be deleted, or say why not.

        Raises:
            JournalError: The journal failed.
            StoreError: The run can't go on.
        """
        await self._recorder.finish()
        if reason := deletion.hindered(self._outcomes):
            self.refuse(reason)
        if not self._refusal:
            await self._find()
        self.over = True

    async def _find(self) -> None:
        candidates = Candidates()
        self._going = True
        try:
            await self._run(candidates)
        except SourceError as error:
            self.refuse(f"the source could not be looked at: {error}")
        finally:
            self._going = False
            candidates.close()

    async def _run(self, candidates: Candidates) -> None:
        look = self._look = Look(self._settings, self._filters, self._beneath, self._journal, candidates)
        await self._thread(look.run, lambda: self.stopped)
        await self._look_at_mounts()
        if self._settings.delete_unknown and not self.stopped:
            await self._look_for_unknown(candidates)
        if self.stopped:
            return
        for text in look.staying():
            self._recorder.notice(text)
        there = look.there + self._outcomes[Outcome.COMPLETE] + self._outcomes[Outcome.PENDING]
        reason = deletion.refuses(candidates.count, look.objects, there, self._settings.max_delete)
        if reason:
            self.refuse(reason)
        if self._settings.dry_run:
            self._begin(candidates)
            await self._plan(candidates)
        elif not self._refusal:
            self._begin(candidates)
            self._recorder.add((), [Bury(*entry) for entry in look.outlived])
            async with asyncio.TaskGroup() as group:
                for _ in range(_TOGETHER):
                    group.create_task(self._work(candidates))

    def _begin(self, candidates: Candidates) -> None:
        """Tell how many there are."""
        self._objects, self._began, self._before = candidates.count, time.monotonic(), self._counts.total()
        if candidates.count:
            self._recorder.add((DeletionBegun(candidates.count, candidates.size),), ())

    async def _look_at_mounts(self) -> None:
        """See that what was looked at is still the source: what is mounted may have changed meanwhile.

        Raises:
            SourceGoneError: Something else stands at its path.
        """
        settings = self._settings
        await Root(settings.source, self._beneath, ()).check()
        if away := await mounts.away(self._journal, settings.source, self._beneath):
            self.refuse(mounts.tell(away))

    async def _look_for_unknown(self, candidates: Candidates) -> None:
        """Add what the bucket has and nobody knows of."""
        unknown = Unknown(self._settings, self._filters, self._beneath, self._journal)
        page: list[RemoteObject] = []
        async with closing(self._store.list_objects(self._prefix)) as objects:
            async for remote in objects:
                page.append(remote)
                if len(page) == _LISTED:
                    if self.stopped:
                        return
                    await self._take(await self._thread(unknown.judge, page), candidates)
                    page = []
        await self._take(await self._thread(unknown.judge, page), candidates)

    async def _take(self, page: Page, candidates: Candidates) -> None:
        """Put aside what a page held, and tell of what is not to be judged."""
        await self._thread(candidates.add, page.gone)
        reason = "no path has this key: another program named it"
        self._tell([Deletion(b"", each.key, each.size, Fate.LEFT, reason) for each in page.foreign], ())
        await self._room()

    async def _plan(self, candidates: Candidates) -> None:
        """Tell what would be deleted."""
        while not self.stopped and (page := await self._thread(candidates.take, MOST_DELETED)):
            self._tell([_fate(each, Fate.PLANNED) for each in page], ())
            await self._room()

    async def _work(self, candidates: Candidates) -> None:
        """Take objects and have them deleted, until there are no more."""
        while not (self.stopped or self._refusal) and (page := await self._thread(candidates.take, MOST_DELETED)):
            ours = await self._check(page)
            if ours and not self.stopped:
                await self._delete(ours)
            await self._recorder.room()
            await self._room()

    async def _check(self, page: Sequence[Candidate]) -> list[Candidate]:
        """Those that are still what was confirmed; of the others is told, and what the journal had of them is forgotten."""
        recorded = [each for each in page if each.directory]
        entries = [(each.directory, each.name) for each in recorded]
        completed = await asyncio.wrap_future(self._journal.ask(lambda connection: paths.confirmed(connection, entries)))
        found = await standing.look(self._store, self._prefix, [each.key for each in recorded])
        ours = [each for each in page if not each.directory]
        for each in recorded:
            remote = found[each.key]
            if self._was_turned_away(remote):
                continue
            if isinstance(remote, StoreError):
                self._tell([_fate(each, Fate.FAILED, f"it can't be looked at: {remote}")], ())
                continue
            verdict, reason = _judge(each, completed[each.directory, each.name], remote)
            if verdict is Verdict.EQUAL:
                ours.append(each)
                continue
            fate = Fate.DELETED if verdict is Verdict.MISSING else Fate.LEFT
            self._tell([_fate(each, fate, reason)], (Supersede(each.directory, each.name), Bury(each.directory, each.name)))
        return ours

    async def _delete(self, page: Sequence[Candidate]) -> None:
        """Have objects deleted, and journal what the store says of each."""
        recorded = [each for each in page if each.directory]
        await asyncio.wrap_future(self._journal.submit([Condemn(each.directory, each.name) for each in recorded]))
        failed: Mapping[str, StoreError]
        try:
            failed = await self._store.delete_objects([each.key for each in page])
        except StoreError as error:
            if error.fatal:
                raise
            self.refuse(f"the store does not delete: {error}")
            failed = {each.key: error for each in page}
        for each in page:
            refused = failed.get(each.key)
            if self._was_turned_away(refused):
                continue
            entry = (each.directory, each.name)
            changes: tuple[Change, ...] = ()
            if refused is None:
                told, changes = _fate(each, Fate.DELETED), (Bury(*entry),)
            else:
                told = _fate(each, Fate.FAILED, str(refused))
                if not refused.retryable:  # one that may be gone all the same stays condemned: the next run asks again
                    changes = (Spare(*entry),)
            self._tell([told], changes if each.directory else ())

    def _was_turned_away(self, answer: object) -> bool:
        """Whether a request was never made, because the run ends: then nothing has failed."""
        return self.stopped and isinstance(answer, ThrottledError)

    def _tell(self, told: Sequence[Deletion], changes: Iterable[Change]) -> None:
        for each in told:
            self._counts[each.fate] += 1
            self._sizes[each.fate] += each.size
        self._recorder.add(told, changes)

    async def _thread(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Call something that blocks. Cancelled, wait for its end: it must not ask a journal that is closed."""
        call = asyncio.ensure_future(asyncio.to_thread(function, *args, **kwargs))
        try:
            return await asyncio.shield(call)
        except asyncio.CancelledError:
            self.stopped = True
            await asyncio.wait([call])
            raise


def _judge(candidate: Candidate, completed: Completed, remote: RemoteObject | None) -> tuple[Verdict, str]:
    """Whether an object is what was confirmed."""
    parent = candidate.path[: -len(candidate.name)].removesuffix(b"/")
    found = judge(Pair(Kept(candidate.key, candidate.directory, parent, candidate.name, completed), remote))
    return found.verdict, found.reason


def _fate(candidate: Candidate, fate: Fate, reason: str = "") -> Deletion:
    return Deletion(candidate.path, candidate.key, candidate.size, fate, reason)
