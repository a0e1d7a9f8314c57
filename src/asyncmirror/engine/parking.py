"""Works of prefixes that the store admits fewer requests for are set aside, so that others overtake them.

Owns the works set aside and how many of a narrow prefix are carried out at once: about as many as its requests may be in
flight, so that no worker waits for its slots while others could be used. As many works are set aside as is allowed; then they
wait in the way, and all go at the narrow prefix's rate. Knows no store: which prefixes are narrow it is told.
"""

from collections import Counter, deque
from collections.abc import Callable, Sequence
from typing import NamedTuple

from asyncmirror.engine.channel import Channel
from asyncmirror.events import Narrow
from asyncmirror.transfer.work import Work

AHEAD = 2
"""Of a narrow prefix's limit are carried out: some are being read, some wait to be tried again."""
_MORE = 4
MEMORY = 32 << 10
"""Bytes of `--max-memory` for each work that may be set aside; it takes about one of them itself."""


class Handful(NamedTuple):
    """Works for one worker; of a narrow prefix, or of none."""

    works: list[Work]
    prefix: str = ""


class Parking:
    """Where workers take works from.

    Args:
        works: What comes, in order.
        most: How many works may be set aside.
    """

    def __init__(self, works: Channel[Work], most: int) -> None:
        self.most = most
        self._works = works
        self._aside: dict[str, deque[Work]] = {}
        self._in_hand: Counter[str] = Counter()

    def __len__(self) -> int:
        """How many are set aside."""
        return sum(map(len, self._aside.values()))

    async def take(
        self, limit: Callable[[], int], narrow: Callable[[], Sequence[Narrow]], joins: Callable[[Work, Work], bool]
    ) -> Handful:
        """Take works, as `Channel.take` does; none means that there will be no more. Give them back with `done`.

        Args:
            limit: How many at most, at the moment.
            narrow: The narrow prefixes, at the moment.
            joins: Whether a work may be taken together with the first.
        """
        while True:
            if self._aside and (aside := self._next(narrow())):
                return aside
            works = await self._works.take(limit(), joins)
            if prefixes := narrow():
                works = [work for work in works if not self._is_set_aside(work, prefixes)]
            if works or not self._aside:
                return Handful(works)
            # Nobody is left to overtake them: all may go.
            if self._works.ended and (aside := self._next(())):
                return aside

    def done(self, handful: Handful) -> None:
        """They have been carried out."""
        if handful.prefix:
            self._in_hand[handful.prefix] -= 1

    def clear(self) -> None:
        """Forget what is set aside."""
        self._aside.clear()

    def _is_set_aside(self, work: Work, narrow: Sequence[Narrow]) -> bool:
        prefix = next((each.prefix for each in narrow if work.key.startswith(each.prefix)), "")
        if not prefix or len(self) >= self.most:
            return False
        self._aside.setdefault(prefix, deque()).append(work)
        return True

    def _next(self, narrow: Sequence[Narrow]) -> Handful | None:
        """The first of a prefix of which one more may be carried out."""
        limits = {each.prefix: AHEAD * each.limit + _MORE for each in narrow}
        for prefix, works in self._aside.items():
            if prefix not in limits or self._in_hand[prefix] < limits[prefix]:
                self._in_hand[prefix] += 1
                handful = Handful([works.popleft()], prefix)
                if not works:
                    del self._aside[prefix]
                return handful
        return None
