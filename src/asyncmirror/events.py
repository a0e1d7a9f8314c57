"""What happened: the values a run tells its caller, in the order they became true.

Owns names and shapes. An event about an entry is told only after the journal has committed it. `Progress` is no event but
a reading of the gauges at one moment, for screens that refresh at their own pace.
"""

from collections.abc import Mapping
from enum import Enum
from typing import NamedTuple, TypeAlias

from asyncmirror.model import Outcome


class Started(NamedTuple):
    """The journal is open and the store answered; work begins. `resumed`: the journal had been used before."""

    source: str
    destination: str
    journal: str
    resumed: bool


class Notice(NamedTuple):
    """Something the user should read once: a guarantee that is missing, an upload of somebody else's found."""

    text: str


class Steered(NamedTuple):
    """Something was turned while it runs, each named as its flag or command is, with what it stood at and stands at."""

    what: str
    before: str
    after: str
    by: str

    @property
    def text(self) -> str:
        """The same for people."""
        return f"{self.what}: {self.before} → {self.after}, by {self.by}"


class Settled(NamedTuple):
    """One entry reached its outcome. `size` in bytes; `key` is empty where the entry has none; `reason` says why."""

    path: bytes
    key: str
    outcome: Outcome
    size: int
    reason: str = ""


class Unchanged(NamedTuple):
    """Files of one directory that the journal knows to be complete, told together: there may be millions.

    `directory` is the path below the source (empty for the source itself), `prefix` the key of that directory with its
    slash; a file's key is `prefix` + `plan.keys.encode(name)`. `files` are (name, size in bytes) pairs.
    """

    directory: bytes
    prefix: str
    files: tuple[tuple[bytes, int], ...]


class Fate(Enum):
    """What became of an object whose file is gone, where deletion was asked for."""

    DELETED = "deleted"  # the store confirmed it, or had it no more
    PLANNED = "planned"  # a dry run: it would be deleted
    LEFT = "left"  # it is another object than was confirmed: not ours to delete
    FAILED = "failed"  # the store would not delete it, or could not be asked about it


class DeletionBegun(NamedTuple):
    """All objects whose file is gone are known, with their bytes; their deletion begins, or in a dry run their list."""

    objects: int
    size: int


class Deletion(NamedTuple):
    """One object met its fate. `size` in bytes; `path` is empty where the journal does not know it; `reason` says why."""

    path: bytes
    key: str
    size: int
    fate: Fate
    reason: str = ""


class Deletions(NamedTuple):
    """What a deletion came to: objects and bytes per fate, and why nothing was deleted where nothing could be."""

    counts: Mapping[Fate, int] = {}
    sizes: Mapping[Fate, int] = {}
    refusal: str = ""


class Summary(NamedTuple):
    """The run is over. Bytes as in `--json`'s summary: `bytes_sent` counts bodies put on the wire in this run."""

    counts: Mapping[Outcome, int]
    bytes_by_outcome: Mapping[Outcome, int]
    bytes_sent: int
    bytes_total: int
    requests: int
    seconds: float
    exit_code: int
    stopped: bool = False
    error: str = ""
    deletions: Deletions | None = None  # None: not asked for


class Waiting(NamedTuple):
    """The mirror is watched, and no run goes on. The next one begins at `until` (seconds since the epoch), if no clock is set.

    `why` tells what a run could not begin or go on for; empty where the last one came to its end.
    """

    until: float
    why: str = ""


Event: TypeAlias = Started | Notice | Steered | Settled | Unchanged | DeletionBegun | Deletion | Summary | Waiting


class Transfer(NamedTuple):
    """A file being sent at this moment: bytes confirmed of bytes in all, and for how many seconds."""

    path: bytes
    sent: int
    size: int
    seconds: float


class Narrow(NamedTuple):
    """A prefix for which the store admits fewer requests than for others: `limit` of them may be in flight now."""

    prefix: str
    limit: int


class Flight(NamedTuple):
    """Requests in flight: `limit` are allowed now, `most` at any time, `refused` were turned away by the store.

    The limit is lower than `most` where fewer serve as well, and where the store asks for fewer: then `throttled` says so. It
    is 0 while the store admits none and is tried every few seconds. `narrow` are prefixes with a limit of their own.
    """

    limit: int = 0
    most: int = 0
    refused: int = 0
    throttled: bool = False
    narrow: tuple[Narrow, ...] = ()


class Allowance(NamedTuple):
    """What may be sent in a second: `bandwidth` in bytes of bodies and `requests`, 0 for as much as can be.

    `until` is when another bandwidth is allowed, in seconds since the epoch; 0: never.
    """

    bandwidth: int = 0
    requests: float = 0.0
    until: float = 0.0


class Erasing(NamedTuple):
    """How far a deletion is. So many objects on record were `looked` for among the files, and some of them are gone: `objects`.

    While those are not all known, they are 0; then so many are `done`, each with one fate or another, within so many seconds.
    """

    looked: int = 0
    objects: int = 0
    done: int = 0
    seconds: float = 0.0


class Progress(NamedTuple):
    """The gauges at one moment. `settled` counts entries by outcome; bytes are of files, `bytes_sent` of bodies sent.

    `under_way` are bytes of files without an outcome yet that have been sent, in this run or before, confirmed or not.
    `running`: a run goes on; before the first there are none, between two the gauges are those of the last, and `waiting`
    tells until when.
    """

    scanning: bool = True
    scanned: int = 0
    scanned_bytes: int = 0
    queued: int = 0
    queued_bytes: int = 0
    settled: Mapping[Outcome, int] = {}
    settled_bytes: Mapping[Outcome, int] = {}
    bytes_sent: int = 0
    requests: int = 0
    seconds: float = 0.0
    slowest: tuple[Transfer, ...] = ()
    flight: Flight = Flight()
    allowance: Allowance = Allowance()
    paused: bool = False  # no request begins until somebody says so
    under_way: int = 0
    running: bool = True
    waiting: Waiting | None = None
    erasing: Erasing | None = None  # None: nothing is being deleted
