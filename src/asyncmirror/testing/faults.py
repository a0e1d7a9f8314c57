"""Which request misbehaves, and how: a plan that is a value, and the count of what it has met so far.

Owns the kinds of fault and the decision when one strikes. Knows no socket and no S3 answer: `delivery` and `protocol`
carry a fault out. A decision depends on the plan, its seed and the ordinal of the request alone, so a plan replays.
"""

import random
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from enum import Enum
from fnmatch import fnmatchcase
from types import NoneType

import orjson


class Kind(Enum):
    """What goes wrong. *Done* means that the operation takes effect all the same."""

    # Before the body is read; not done.
    RESET_BEFORE = "reset-before"  # RST once the head has been read
    CLOSE_BEFORE = "close-before"  # FIN instead: what a keep-alive connection gone stale looks like
    EARLY_ANSWER = "early-answer"  # `status` is answered at the head, then the connection closes, body unread
    # In the body; not done.
    RESET_IN_BODY = "reset-in-body"  # RST after `at_byte` bytes of the body
    STALL_IN_BODY = "stall-in-body"  # stops reading after `at_byte` bytes
    # After the body, instead of the operation; not done.
    STATUS = "status"  # `status` with error `code`
    SLOW_DOWN = "slow-down"  # 503 SlowDown; a storm with `times`
    RESET_AFTER = "reset-after"  # RST once the body has been read
    STALL = "stall"  # no answer ever
    ERROR_IN_200 = "error-in-200"  # 200 with an Error document
    EXPIRED_TOKEN = "expired-token"  # noqa: S105  the name of a fault, no secret
    CLOCK_SKEW = "clock-skew"  # RequestTimeTooSkewed, with a Date `seconds` away
    NO_SUCH_UPLOAD = "no-such-upload"
    DONE_LATE = "done-late"  # RST now, done `seconds` later: the late duplicate of a request that was sent again
    # Done, but not as told.
    FLIP_STORED = "flip-stored"  # one byte of what is stored differs; ETag and checksum are of what was sent
    FLIP_RECEIVED = "flip-received"  # one byte changes on the way in, before anything is verified
    SHORT_STORED = "short-stored"  # only the first half is stored, and 200 answered
    KEYS_FAILED = "keys-failed"  # DeleteObjects: every second key is kept, with error `code`
    KEYS_UNTOLD = "keys-untold"  # DeleteObjects: every second key is kept, and the answer leaves it out
    # Done; the answer goes wrong.
    LOST_ANSWER = "lost-answer"  # RST instead of the answer
    TRUNCATED = "truncated"  # half the answer, then FIN
    STALL_IN_ANSWER = "stall-in-answer"  # half the answer, then silence
    GARBAGE = "garbage"  # bytes that are no HTTP
    GARBAGE_BODY = "garbage-body"  # 200 with a body that is no XML
    MISSING_ETAG = "missing-etag"
    CLOSE_SILENT = "close-silent"  # the answer, then FIN, without `Connection: close`
    CLOSE_TOLD = "close-told"  # the answer with `Connection: close`, then FIN
    DELAY = "delay"  # the answer after `seconds`
    DRIP = "drip"  # the answer one byte at a time, `seconds` in all
    INFORMATIONAL = "informational"  # two 1xx answers first
    CHUNKED = "chunked"  # the answer in chunked transfer encoding
    EXTRA_ANSWER = "extra-answer"  # a second answer that nobody asked for


@dataclass(frozen=True, slots=True)
class Fault:
    """One rule of a plan. Requests that match `op`, `key` and `part` are counted from 1; that ordinal decides.

    Args:
        op: S3's name of the operation, or ``*``.
        kind: What happens.
        key: A shell pattern the key must match; empty for any.
        part: The part number; 0 for any.
        at: Ordinals that it strikes. Empty: all from `first` on, thinned by `every` and `probability`.
        first: The first ordinal that may be struck.
        every: Strikes each `every`-th from `first` on.
        probability: Of each remaining one, 0 to 1, drawn from the plan's seed.
        times: How often in all; None for no end.
        after: Not in the first so many seconds of the plan.
        until: Not later than so many seconds into the plan; None for no end.
        admits: So many requests per second get past it, a tenth of a second's worth at once; what comes above them is struck.
        status: The HTTP status of `STATUS` and `EARLY_ANSWER`.
        code: The S3 error code of `STATUS`; empty for a proxy's page that is no XML.
        seconds: How long, for kinds that last.
        at_byte: Where in the body; -1 for its middle.
    """

    op: str
    kind: Kind
    key: str = ""
    part: int = 0
    at: tuple[int, ...] = ()
    first: int = 1
    every: int = 1
    probability: float = 1.0
    times: int | None = None
    after: float = 0.0
    until: float | None = None
    admits: float = 0.0
    status: int = 500
    code: str = "InternalError"
    seconds: float = 0.0
    at_byte: int = -1

    def matches(self, op: str, key: str = "", part: int = 0) -> bool:
        """Whether a request counts for this rule."""
        return self.op in ("*", op) and (not self.key or fnmatchcase(key, self.key)) and (not self.part or part == self.part)

    def strikes(self, n: int, struck: int, elapsed: float, seed: int | str) -> bool:
        """Whether the `n`-th matching request is struck, when `struck` were before and the plan is `elapsed` seconds old."""
        if (self.times is not None and struck >= self.times) or elapsed < self.after:
            return False
        if self.until is not None and elapsed > self.until:
            return False
        if self.at:
            return n in self.at
        if n < self.first or (n - self.first) % self.every:
            return False
        return self.probability >= 1 or random.Random(f"{seed}/{n}").random() < self.probability  # noqa: S311  replay is the point


@dataclass(frozen=True, slots=True)
class FaultPlan:
    """Rules in order of precedence, and the seed of what they leave to chance."""

    faults: tuple[Fault, ...] = ()
    seed: int = 0

    def to_json(self) -> str:
        """The plan as JSON, as `from_json` reads it."""
        return orjson.dumps(asdict(self)).decode()

    @classmethod
    def from_json(cls, text: str | bytes) -> "FaultPlan":
        """Read a plan: ``{"seed": 7, "faults": [{"op": "PutObject", "kind": "status", "status": 503, "times": 3}]}``.

        Raises:
            ValueError, TypeError: It is no plan.
        """
        value = orjson.loads(text)
        if not isinstance(value, Mapping):
            raise TypeError("a fault plan is a JSON object with `faults` and `seed`")
        faults, seed = value.get("faults", []), value.get("seed", 0)
        if not isinstance(faults, list) or not isinstance(seed, int):
            raise TypeError("`faults` is a list of rules, `seed` a whole number")
        return cls(tuple(_fault(fields) for fields in faults), seed)


_TYPES: Mapping[str, tuple[type, ...]] = {
    **dict.fromkeys(("op", "kind", "key", "code"), (str,)),
    **dict.fromkeys(("part", "first", "every", "status", "at_byte"), (int,)),
    **dict.fromkeys(("probability", "after", "admits", "seconds"), (int, float)),
    "at": (list,),
    "times": (int, NoneType),
    "until": (int, float, NoneType),
}


def _fault(fields: object) -> Fault:
    """A rule of its JSON object."""
    if not isinstance(fields, Mapping) or not {"op", "kind"} <= fields.keys():
        raise TypeError("a rule is a JSON object with `op`, `kind` and more")
    for name, value in fields.items():
        if name not in _TYPES or not isinstance(value, _TYPES[name]):
            raise TypeError(f"a rule has no {name!r}, or not of this type")
    at = tuple(fields.get("at", ()))
    if not all(isinstance(ordinal, int) for ordinal in at) or fields.get("every", 1) < 1:
        raise ValueError("`at` is a list of ordinals, `every` at least 1")
    return Fault(**{**fields, "kind": Kind(fields["kind"]), "at": at})


@dataclass(slots=True)
class FaultCount:
    """A plan under way: how many requests each rule has met and struck, and how many more it admits."""

    plan: FaultPlan
    met: list[int] = field(init=False)
    struck: list[int] = field(init=False)
    _credit: list[float] = field(init=False)
    _credited: list[float] = field(init=False)

    def __post_init__(self) -> None:
        self.met = [0] * len(self.plan.faults)
        self.struck = [0] * len(self.plan.faults)
        self._credit = [_burst(fault) for fault in self.plan.faults]
        self._credited = [fault.after for fault in self.plan.faults]

    def next(self, op: str, key: str = "", part: int = 0, elapsed: float = 0.0) -> Fault | None:
        """Count one request, and tell the fault that strikes it. The first rule that strikes wins; all that match count."""
        winner: Fault | None = None
        for index, fault in enumerate(self.plan.faults):
            if not fault.matches(op, key, part):
                continue
            self.met[index] += 1
            if winner is None and fault.strikes(self.met[index], self.struck[index], elapsed, f"{self.plan.seed}/{index}"):
                if self._admits(index, fault, elapsed):
                    continue
                self.struck[index] += 1
                winner = fault
        return winner

    def _admits(self, index: int, fault: Fault, elapsed: float) -> bool:
        """Whether a request gets past a rule that admits some, and if so, charge it."""
        if not fault.admits:
            return False
        earned = fault.admits * (elapsed - self._credited[index])
        self._credit[index] = min(_burst(fault), self._credit[index] + earned)
        self._credited[index] = elapsed
        if self._credit[index] < 1:
            return False
        self._credit[index] -= 1
        return True


def _burst(fault: Fault) -> float:
    return max(1.0, fault.admits / 10)
