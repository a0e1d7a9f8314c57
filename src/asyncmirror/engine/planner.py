"""From listings to plans: asks the journal what it knows of a directory, and decides for each of its entries.

Owns the step between scan and work. Runs in the scan threads, so that the event loop is not charged with entries that need
nothing: for a file that is unchanged it costs one comparison. Decisions themselves are `plan.decide`'s.
"""

import os
from collections.abc import Mapping
from typing import NamedTuple

from asyncmirror.engine.claims import Claims
from asyncmirror.engine.endpoint import DIRECTORY, SOCKET
from asyncmirror.engine.revisit import Revisit
from asyncmirror.errors import RefusedError
from asyncmirror.events import Settled, Unchanged
from asyncmirror.journal import queries
from asyncmirror.journal.changes import Change, Complete, Fail, Forgive, Orphan
from asyncmirror.journal.queries import Known
from asyncmirror.journal.writer import Journal
from asyncmirror.model import Outcome, Problem, Record
from asyncmirror.plan import keys
from asyncmirror.plan.decide import Action, decide
from asyncmirror.plan.filters import Filters
from asyncmirror.plan.remap import Remaps
from asyncmirror.plan.secrets import Place
from asyncmirror.settings import Secrets, Settings
from asyncmirror.source.beneath import Beneath
from asyncmirror.source.walk import File, Listing, Oddity
from asyncmirror.transfer.work import Work

_OWN = (b"", b"-wal", b"-shm", b"-journal", b"-new", b".lock")
_RECORDED = frozenset({Outcome.UNREADABLE, Outcome.UNSUPPORTED, Outcome.REFUSED, Outcome.FAILED})
_NOTHING = Record()
_TAKEN = "its key is that of {}: a remap brings both there"


class Plan(NamedTuple):
    """What one listing came to. `changes` are for the journal, `settled` are told once those are committed."""

    unchanged: Unchanged | None
    settled: list[Settled]
    changes: list[Change]
    works: list[Work]
    scanned: int
    scanned_bytes: int


class Planner:
    """Makes plans for one run."""

    def __init__(self, settings: Settings, filters: Filters, journal: Journal, beneath: Beneath) -> None:
        self._settings = settings
        self._filters = filters
        self._journal = journal
        self._prefix = settings.destination.prefix
        self._remaps = Remaps(settings.remaps)
        self._claims = Claims(self._remaps, filters, settings.symlinks, beneath, journal)
        # The journal's files, where they lie within the source: they change while they would be read.
        where, _, name = os.path.realpath(os.fsencode(journal.path)).rpartition(b"/")
        below = os.path.relpath(where, os.path.realpath(os.fsencode(settings.source)))
        within = b"" if below == b"." else below
        socket = queries.join(within, name + os.fsencode(DIRECTORY))
        self._own = {within: frozenset(name + suffix for suffix in _OWN), socket: frozenset({os.fsencode(SOCKET)})}

    def prefix(self, directory: bytes) -> str:
        """What the keys of a directory's files begin with."""
        return keys.directory_prefix(self._prefix, self._remaps.directory(directory))

    def plan(self, listing: Listing) -> Plan:
        """What is to be done about a listing. Blocks on the journal.

        Raises:
            JournalError: The journal failed.
        """
        listing = self._looked_at(_once(listing))
        directory, files, oddities, whole = listing
        scanned_bytes = sum(file.identity.size for file in files) + sum(oddity.size for oddity in oddities)
        plan = Plan(None, [], [], [], len(files) + len(oddities), scanned_bytes)
        if own := self._own.get(directory.path):
            listing = _without_own(listing, own, plan)
            _, files, oddities, _ = listing
        if self._filters:
            files, oddities = self._filtered(listing, plan)
        known = self._journal.known(directory.path, None if whole else [file.name for file in files])
        complete, unsettled = known.complete, known.unsettled
        unchanged: list[tuple[bytes, int]] = []
        others: list[File] = []
        for file in files:
            name, identity = file.name, file.identity
            if complete.get(name) == identity[1:] and name not in unsettled:
                unchanged.append((name, identity.size))
            else:
                others.append(file)
        prefix = self.prefix(directory.path)
        if others:
            self._decide(others, listing, known, prefix, plan)
        for name, outcome, reason, size in oddities:
            path = directory.child(name) if name else directory.path
            plan.settled.append(Settled(path, "", outcome, size, reason))
            if outcome in _RECORDED:
                plan.changes.append(Fail(known.directory, name, Problem(None, outcome, reason, retryable=True)))
        if whole and unsettled:
            self._forgive(listing, known, plan)
        if unchanged:
            return plan._replace(unchanged=Unchanged(directory.path, prefix, tuple(unchanged)))
        return plan

    def _looked_at(self, listing: Listing) -> Listing:
        """What of the listing this run is about."""
        return self._filters.narrow(listing, self._journal) if isinstance(self._filters, Revisit) else listing

    def _filtered(self, listing: Listing, plan: Plan) -> tuple[list[File], list[Oddity]]:
        """What no rule leaves out. What is told of a directory itself, in its own listing, is not for these rules."""

        def kept(name: bytes, size: int) -> bool:
            path = listing.directory.child(name)
            reason = self._filters.excludes(path)
            if reason:
                plan.settled.append(Settled(path, "", Outcome.EXCLUDED, size, reason))
            return not reason

        return (
            [file for file in listing.files if kept(file.name, file.identity.size)],
            [odd for odd in listing.oddities if not odd.name or odd.outcome is Outcome.EXCLUDED or kept(odd.name, odd.size)],
        )

    def _decide(self, files: list[File], listing: Listing, known: Known, prefix: str, plan: Plan) -> None:
        """Decide for the files that are not simply unchanged."""
        settings = self._settings
        place = None if settings.secrets is Secrets.OFF else Place(listing.directory.path)
        recorded = [file.name for file in files if file.name in known.complete or file.name in known.unsettled]
        records = self._journal.records(known.directory, recorded) if recorded else {}
        taken = self._taken(listing.directory.path, files, records) if self._remaps else {}
        for file in files:
            record = records.get(file.name, _NOTHING)
            work = Work(
                known.directory,
                listing.directory.child(file.name),
                prefix + keys.encode(file.name),
                file,
                decide(file.identity, record, trust_mtime=settings.trust_mtime, retry_failed=settings.retry_failed),
                record,
                rule=_rule(place, file),
            )
            if file.name in taken:
                self._refuse(work, _TAKEN.format(_shown(taken[file.name])), plan, retryable=True)
            else:
                self._place(work, plan)

    def _place(self, work: Work, plan: Plan) -> None:
        """Put a decided file where it belongs: to the works, or to what is settled at once."""
        action, record, file = work.action, work.record, work.file
        try:
            keys.check(work.key)
        except RefusedError as error:
            self._refuse(work, str(error), plan, retryable=False)
            return
        if action is Action.SKIP:  # its problem on record is no more
            plan.changes.append(Forgive(work.directory, file.name))
            plan.settled.append(Settled(work.path, work.key, Outcome.UNCHANGED, work.size))
        elif action is Action.RENEW and record.completed is not None:
            renewed = record.completed._replace(identity=file.identity)
            plan.changes.append(Complete(work.directory, file.name, renewed, clears=True))
            reason = "only its inode or ctime changed (--trust-mtime)"
            plan.settled.append(Settled(work.path, work.key, Outcome.UNCHANGED, work.size, reason))
        elif action is Action.KEEP and record.problem is not None:
            reason = f"{record.problem.reason} (not tried again: --retry-failed does)"
            plan.settled.append(Settled(work.path, work.key, Outcome.FAILED, work.size, reason))
        else:
            if action is Action.UPLOAD and self._settings.adopt and record.completed is None and not file.target:
                action = Action.ADOPT
            elif action is Action.RECHECK and file.target:
                action = Action.UPLOAD  # a link's object is empty: its bytes tell nothing of its target
            plan.works.append(work._replace(action=action))

    def _taken(self, directory: bytes, files: list[File], records: Mapping[bytes, Record]) -> dict[bytes, bytes]:
        """Which files must not be sent because their key is another's, and whose."""
        owners = {name for name, record in records.items() if record.completed or record.uploading}
        return self._claims.taken(directory, list(owners), [file.name for file in files if file.name not in owners])

    def _refuse(self, work: Work, reason: str, plan: Plan, *, retryable: bool) -> None:
        """Settle a file that must not be sent."""
        problem = Problem(work.file.identity, Outcome.REFUSED, reason, retryable=retryable)
        plan.changes.append(Fail(work.directory, work.file.name, problem))
        plan.settled.append(Settled(work.path, work.key, Outcome.REFUSED, work.size, reason))

    def _forgive(self, listing: Listing, known: Known, plan: Plan) -> None:
        """Forget the problems of entries that are no more, and of the directory itself, which was listed."""
        there = {file.name for file in listing.files} | {oddity.name for oddity in listing.oddities}
        gone = known.unsettled - there
        for name, record in (self._journal.records(known.directory, list(gone)) if gone else {}).items():
            plan.changes.append(Forgive(known.directory, name))
            if record.uploading is not None:
                plan.changes.append(Orphan(known.directory, name))


def _rule(place: Place | None, file: File) -> str:
    """The rule that catches a file by its path, or by that of what a link to it leads to. A link on record shows nothing."""
    if place is None or file.target:
        return ""
    rule = place.rule(file.name)
    if not rule and file.name != file.real_name:
        rule = Place(file.directory).rule(file.real_name)
    return rule


def _shown(path: bytes) -> str:
    return path.decode("utf-8", "backslashreplace")


def _once(listing: Listing) -> Listing:
    """The listing with each name once: a directory that changes while it is read may repeat one."""
    names = {file.name: file for file in listing.files}
    return listing if len(names) == len(listing.files) else listing._replace(files=list(names.values()))


def _without_own(listing: Listing, own: frozenset[bytes], plan: Plan) -> Listing:
    """The listing without the journal's own files."""
    for name in [file.name for file in listing.files] + [oddity.name for oddity in listing.oddities]:
        if name in own:
            path = listing.directory.child(name)
            plan.settled.append(Settled(path, "", Outcome.EXCLUDED, 0, "it belongs to the journal of this run"))
    return listing._replace(
        files=[file for file in listing.files if file.name not in own],
        oddities=[oddity for oddity in listing.oddities if oddity.name not in own],
    )
