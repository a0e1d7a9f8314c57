"""The state machine: files change, runs come to their end or are killed, the store fails in many ways; in any order.

Owns the rules, and what must hold after each run: what is confirmed is in the bucket and is not sent again, and after a run
that came to its end the bucket holds the tree, but for what the run itself has reported.
"""

import itertools
import os
import random
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test

from asyncmirror.plan import keys
from asyncmirror.sizes import MIB
from asyncmirror.testing import Fault, FaultPlan, Kind
from asyncmirror.text import show_line
from tests.acceptance.command import Run, sync
from tests.soak import record
from tests.soak.account import DONE, Account
from tests.soak.strict import Strict
from tests.soak.tree import Tree
from tests.soak.warm import Warm

if TYPE_CHECKING:
    from collections.abc import Callable

# A request that nobody answers is given up long before a run counts as hanging.
_OPTIONS = ("--part-size", "5MiB", "--multipart-threshold", "8MiB", "--concurrency", "4", "--request-timeout", "10")
_KILLED, _CANNOT_GO_ON = -9, 4
_NAMES = [b"a", b"b%41", b"c\xff", b"d\n\x1b[2J", "é".encode(), b"x/y/z", b"x/y/w", b"e/f"]
_CHANGES = ("rewrite", "grow", "truncate", "replace", "revert", "touch", "chmod", "rename", "delete", "close", "open")
# What is over when it has happened once or twice. A credential that has expired is none of these.
_FAULTS = (
    Kind.STATUS,
    Kind.SLOW_DOWN,
    Kind.RESET_BEFORE,
    Kind.RESET_IN_BODY,
    Kind.RESET_AFTER,
    Kind.CLOSE_BEFORE,
    Kind.LOST_ANSWER,
    Kind.TRUNCATED,
    Kind.GARBAGE_BODY,
    Kind.ERROR_IN_200,
    Kind.MISSING_ETAG,
    Kind.CLOSE_SILENT,
)
_STRUCK = ("PutObject", "UploadPart", "CreateMultipartUpload", "CompleteMultipartUpload", "ListParts", "*")


class Broken(BaseException):
    """A promise was broken; the text tells the steps. No `Exception`: hypothesis would try to have it again, and moments do not
    come again."""


class Machine(RuleBasedStateMachine):
    """One tree, one bucket, one journal. The server and the accounts are shared by all machines of a game."""

    server: ClassVar[Strict]
    account: ClassVar[Account]
    work: ClassVar[Path]
    number: ClassVar["itertools.count[int]"]

    def __init__(self) -> None:
        super().__init__()
        home = self._home = self.work / f"machine-{next(self.number)}"
        home.mkdir()
        self.server.set_back({})
        self.account.begin_anew(())
        self._tree = Tree(home / "tree", random.Random(1), large=8 * MIB)
        self._journal = home / "journal.sqlite"
        self._warm = Warm(home, self.server.site)
        self._command = sync(self._tree.root, self.server.site, self._journal, *_OPTIONS)
        self._story: list[str] = []
        self._closed: set[Path] = set()
        self._gone: set[str] = set()

    @property
    def _files(self) -> list[Path]:
        return sorted(self._tree.files().values())

    @initialize(large=st.booleans())
    def plant(self, large: bool) -> None:  # noqa: FBT001  hypothesis gives it by name
        for name in _NAMES[:4]:
            self._tell(self._tree.write(self._tree.root / os.fsdecode(name), 100))
        if large:
            self.write_large(1, 3)

    @rule(names=st.lists(st.sampled_from(_NAMES), min_size=1, unique=True), size=st.sampled_from((0, 1, 1000, 100_000)))
    def write(self, names: list[bytes], size: int) -> None:
        for name in names:
            path = self._tree.root / os.fsdecode(name)
            if path not in self._closed:
                self._tell(self._tree.write(path, size))

    @rule(number=st.integers(1, 2), parts=st.integers(2, 3))
    def write_large(self, number: int, parts: int) -> None:
        self._tell(self._tree.write(self._tree.root / f"large-{number}", parts * 5 * MIB - 1000))

    @precondition(lambda self: self._files)
    @rule(what=st.sampled_from(_CHANGES), which=st.integers(0, 99))
    def change(self, what: str, which: int) -> None:
        path = self._files[which % len(self._files)]
        if what == "close":
            path.chmod(0)
            self._closed.add(path)
            self._tell(f"close {path.name}")
        elif what == "open" or path in self._closed:
            path.chmod(0o600)
            self._closed.discard(path)
            self._tell(f"open {path.name}")
        else:
            change: Callable[[Path], str] = getattr(self._tree, what)
            self._tell(change(path))

    @rule(name=st.sampled_from(("empty", "x/empty", "x/y")))
    def mkdir(self, name: str) -> None:
        (self._tree.root / name).mkdir(parents=True, exist_ok=True)

    @rule(name=st.sampled_from(("empty", "x", "x/y")))
    def remove_directory(self, name: str) -> None:
        self._tell(f"remove {name}")
        self._tree.files()  # so that their keys are known as former ones
        shutil.rmtree(self._tree.root / name, ignore_errors=True)
        self._closed = {path for path in self._closed if path.exists()}

    @rule()
    def lifecycle(self) -> None:
        """A rule of the bucket aborts all uploads."""
        self._tell("all uploads are aborted")
        self._gone |= self.server.uploads().keys()
        self.server.do(lambda server: server.abort_uploads())

    @rule()
    def run(self) -> None:
        self._ended(self._run(0))

    @rule(at=st.integers(15, 60))
    def kill(self, at: int) -> None:
        run = self._run(at)
        if run.code != _KILLED:
            self._ended(run)

    @rule(
        op=st.sampled_from(_STRUCK),
        kind=st.sampled_from(_FAULTS),
        first=st.integers(1, 4),
        times=st.integers(1, 2),
        at=st.sampled_from((0, 0, 30, 40, 50)),
    )
    def fail(self, op: str, kind: Kind, first: int, times: int, at: int) -> None:
        """A run under faults, at times killed as well."""
        # The first request of all, which begins a run, is not tried for long.
        fault = Fault(op, kind, first=first + 2 * (op == "*"), times=times, status=503)
        run = self._run(at, FaultPlan((fault,)))
        if run.code != _KILLED:
            self._ended(run)

    @rule(first=st.integers(1, 12))
    def expire(self, first: int) -> None:
        """The credentials expire, and there are no others."""
        run = self._run(0, FaultPlan((Fault("*", Kind.EXPIRED_TOKEN, first=first),)))
        if run.code != _CANNOT_GO_ON:
            self._ended(run)

    @rule(after=st.integers(2, 12))
    def restart(self, after: int) -> None:
        """The server is restarted within a run."""
        self._tell(f"the server is restarted after {after} requests")
        self.server.restart(after)
        run = self._run(0)
        self.server.forget_restart()
        self._ended(run)

    def _run(self, at: int, plan: FaultPlan | None = None) -> Run:
        """A run in the accounts."""
        self.account.steps += 1
        before, seen = record.read(self._journal), len(self.server.settled())
        files = self._tree.files()
        self.server.do(lambda server: server.inject(plan or FaultPlan()))
        run = self._warm.run(*self._command, at=at)
        faults = " ".join(
            f"{fault.op} {fault.kind.value} {fault.first} {fault.times}" for fault in (plan or FaultPlan()).faults
        )
        self._tell(f"run: exit code {run.code} {self._warm.point()} {faults}")
        requests = self.server.settled()[seen:]
        self.account.faults += self.server.struck(seen)
        after = record.read(self._journal)
        self.account.add(run, files, before, after, requests, self._gone)
        self.account.ahead(self.server.ahead(after, self._gone))
        self._check()
        return run

    def _ended(self, run: Run) -> None:
        """What must hold when a run has come to its end."""
        odd = {path for path, line in run.objects.items() if line["outcome"] not in (*DONE, "excluded")}
        if run.code != (3 if odd else 0):
            self.account.ended(f"exit code {run.code}: {run.error} {run.summary}")
        closed = {os.fsencode(path.relative_to(self._tree.root)) for path in self._closed}
        if odd - closed:
            self.account.ended(f"not mirrored: {sorted(odd - closed)}")
        files = self._tree.files()
        but = {keys.encode(path) for path in odd}
        self.account.compared(len(files), self.server.wrong(files, but, self._tree.former))
        on_record = {upload_id for _, upload_id in record.read(self._journal).uploads.values()}
        self.account.left_over(self.server.uploads().keys() - on_record)
        self._check()

    def _check(self) -> None:
        if not self.account.good:
            raise Broken("\n".join([*self.account.failures(), *self._story]))

    def _tell(self, what: str) -> None:
        self._story.append(show_line(what))

    def teardown(self) -> None:
        self.server.do(lambda server: server.inject(FaultPlan()))
        shutil.rmtree(self._home)


def play(server: Strict, account: Account, work: Path, number: int, games: int, steps: int) -> None:
    """Play games of at most so many steps each, drawn from a seed.

    Raises:
        AssertionError: A promise was broken; the text tells the steps.
    """

    class Seeded(Machine):
        pass

    Seeded.server, Seeded.account, Seeded.work, Seeded.number = server, account, work, itertools.count(1)
    chosen = settings(
        max_examples=games,
        stateful_step_count=steps,
        deadline=None,
        database=None,
        phases=(Phase.generate,),
        suppress_health_check=list(HealthCheck),
    )
    try:
        run_state_machine_as_test(seed(number)(Seeded), settings=chosen)
    except Broken as broken:
        raise AssertionError(f"seed {number}:\n{broken}") from None
