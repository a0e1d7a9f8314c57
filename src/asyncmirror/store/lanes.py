"""Prefixes that the store admits fewer requests for: slots of their own, so that no others become fewer.

Owns which prefixes are narrow now, the keys that are heard while the store refuses some, and for how long a prefix is
remembered. Which are narrow, `plan.prefixes` judges; how many requests each is allowed, an allowance of its own does. A request
of a narrow prefix takes a slot there before one of all. While nothing is refused nothing is heard, and while nothing is narrow
nobody asks here who finds a slot free.
"""

import time
from collections.abc import Callable
from typing import NamedTuple

from asyncmirror.errors import StoreError, ThrottledError
from asyncmirror.events import Narrow
from asyncmirror.plan.allowance import Allowance
from asyncmirror.plan.prefixes import DIVISIONS, Evidence, Found, tells
from asyncmirror.plan.trial import Reading
from asyncmirror.store.slots import Slots
from asyncmirror.store.throttle import Throttle

HEEDED = 10.0
"""Seconds after a refusal for which keys are heard: what is admitted at other times tells nothing."""
SPAN = 0.25
"""Seconds of keys that are weighed together, at least; so many more as it takes to hear enough refusals that tell something."""
MANY = 24
"""Refusals that suffice for a suspicion, if there is to be one."""
KEYS = 4096
"""And no more than so many of them."""
FORGOTTEN = 60.0
"""Seconds after its last refusal for which a prefix counts as narrow."""
_ALL = 1 << 30


class Lane:
    """A narrow prefix. Its requests are numbered as their answers come: one with another is as good as in turn.

    Args:
        prefix: Of its keys.
        whole: The slots of all requests.
        all_: What all are allowed; it is told what is admitted and refused here.
        allowance: What is allowed to begin with.
        clock: Gives seconds, never going back.
    """

    def __init__(self, prefix: str, whole: Slots, all_: Throttle, allowance: Allowance, clock: Callable[[], float]) -> None:
        self.prefix = prefix
        self.slots = Slots(allowance.limit)
        self.throttle = Throttle(self.slots, allowance, clock=clock)
        self.refused_at = clock()
        self._whole = whole
        self._all = all_
        self._clock = clock
        self._begun = 0
        self._answered = 0
        self._sent = 0

    async def enter(self, size: int) -> None:
        """Take a slot here, and then one of all, for a body of so many bytes."""
        if not self.slots.take():
            await self.slots.turn()
        try:
            if not self._whole.take():
                await self._whole.turn()
        except BaseException:
            self.slots.release()
            raise
        self._begun += 1
        self._sent += size

    def release(self) -> None:
        """Give both back."""
        self.slots.release()
        self._whole.release()

    def succeeded(self) -> None:
        """A request was admitted."""
        self._answered += 1
        self._all.admitted += 1
        if self.throttle.active:
            self.throttle.succeeded(self._answered)

    def failed(self, error: StoreError) -> None:
        """A request failed."""
        self._answered += 1
        self.throttle.failed(error, self._answered, self._begun)
        if isinstance(error, ThrottledError):
            self._all.refused += 1
            self.refused_at = self._clock()

    def look(self, reading: Reading) -> None:
        """Take in the gauges of the machine, and the own ones."""
        ended = self._answered - self.throttle.refused
        self.throttle.look(reading._replace(requests=ended, sent=self._sent, in_flight=self.slots.taken))

    def open(self) -> None:
        """Hold nobody back any more."""
        self.slots.resize(_ALL)

    def end(self) -> None:
        """Turn away who waits."""
        self.throttle.ending = True
        self.slots.refuse(lambda: ThrottledError("the run ended before the store admitted this request"))


class _Heard(NamedTuple):
    """What is heard from a refusal on. Times are in seconds."""

    since: float
    allowed: Allowance  # what was allowed to all before it
    refused: list[str]
    admitted: list[str]


class Lanes:
    """The narrow prefixes of one store.

    Args:
        slots: Those of all requests.
        throttle: What all are allowed.
        clock: Gives seconds, never going back.
    """

    def __init__(self, slots: Slots, throttle: Throttle, clock: Callable[[], float] = time.monotonic) -> None:
        self._slots = slots
        self._throttle = throttle
        self._clock = clock
        self._lanes: dict[str, Lane] = {}
        self._heard: _Heard | None = None
        self._refused_at = 0.0
        self._evidence = Evidence()

    async def enter(self, key: str, size: int) -> Slots | Lane:
        """Wait for the slots that a request needs; gives what is to be released."""
        lane = self._of(key)
        if lane is not None:
            await lane.enter(size)
            return lane
        if not self._slots.take():
            await self._slots.turn()
        return self._slots

    def admitted(self, key: str) -> None:
        """A request that is of no narrow prefix was admitted. Need only be told while the throttle heeds."""
        if self._heard is not None and len(self._heard.admitted) < KEYS:
            self._heard.admitted.append(key)

    def refused(self, key: str) -> bool:
        """A request that entered none was refused. Gives whether its prefix was found narrow meanwhile."""
        if self._of(key) is not None:
            self._throttle.refused += 1
            return True
        self._refused_at = now = self._clock()
        if self._heard is None:
            self._heard = _Heard(now, self._throttle.allowance, [], [])
            self._tell()
        if len(self._heard.refused) < KEYS:
            self._heard.refused.append(key)
        return False

    def look(self, reading: Reading, begun: int) -> None:
        """Weigh what was heard, and see to the narrow prefixes.

        Args:
            reading: The gauges of all requests.
            begun: The number of the last one.
        """
        now = self._clock()
        for lane in [*self._lanes.values()]:
            lane.look(reading)
            if now - lane.refused_at > FORGOTTEN or lane.throttle.allowance.limit >= self._throttle.allowance.most:
                self._lanes.pop(lane.prefix).open()
        if self._heard is not None:
            self._weigh(self._heard, now, begun)
        if self._throttle.heeds:
            self._tell()

    def steer(self, most: int, *, auto: bool) -> None:
        """Have at most so many of each from now on."""
        for lane in self._lanes.values():
            lane.throttle.steer(most, auto=auto)

    def begin(self) -> None:
        """Another run begins: what is narrow is found out anew."""
        for lane in self._lanes.values():
            lane.open()
        self._lanes.clear()
        self._tell()

    def end(self) -> None:
        """Turn away who waits."""
        for lane in self._lanes.values():
            lane.end()

    def _weigh(self, heard: _Heard, now: float, begun: int) -> None:
        if now - self._refused_at > HEEDED:
            self._heard, self._evidence = None, Evidence()
            return
        if now - heard.since < SPAN or not tells(len(heard.refused)):
            return
        evidence, found = self._evidence.weigh(heard.refused, heard.admitted)
        if not evidence.suspected and len(heard.refused) < MANY and len(heard.admitted) < KEYS:
            return
        self._evidence = evidence
        if found:
            for each in found[: DIVISIONS - len(self._lanes)]:
                self._divide(each, heard.allowed)
            self._throttle.resume_at(max(heard.allowed, self._throttle.allowance, key=lambda allowance: allowance.limit), begun)
        allowed = heard.allowed if self._evidence.suspected else self._throttle.allowance
        self._heard = _Heard(now, allowed, [], [])

    def _divide(self, found: Found, allowed: Allowance) -> None:
        self._lanes[found.prefix] = Lane(found.prefix, self._slots, self._throttle, allowed.part(found.share), self._clock)

    def _of(self, key: str) -> Lane | None:
        return next((lane for prefix, lane in self._lanes.items() if key.startswith(prefix)), None)

    def _tell(self) -> None:
        narrow = tuple(Narrow(lane.prefix, lane.throttle.flight.limit) for lane in self._lanes.values())
        self._throttle.divide(narrow, listens=self._heard is not None)
