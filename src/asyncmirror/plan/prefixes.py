"""For which part of the keys a store admits fewer requests, learned from what it refused and what it admitted at the same time.

Owns the judgement. Pure. Knows no limit: what a narrow prefix is allowed, its own `plan.allowance` knows. A prefix ends with a
slash, as directories do. Which level of them the store divides by is nobody's to know beforehand: it is the first at which
directories whose keys are refused lie beside others whose keys are admitted. A store that refuses some of everything divides by
none; and as chance alone leaves many a small directory without a refusal, what is admitted must be so much that the same share
of refusals would have been seen there, and that twice, in two spans one after the other.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import NamedTuple

LEAST = 6
"""Refusals of a directory in one span that tell something."""
SURE = 6.0
"""Refusals to be expected beside it, if all were refused alike: that there is none by chance happens once in 400 spans."""
CLEARLY = 8
"""So many times fewer of them there were, at least."""
DIVISIONS = 8
"""Prefixes of one span, and in all: each request to a store that has some is held against each."""


class Found(NamedTuple):
    """A prefix that is refused while others are admitted. `share`: its part of what was admitted, and of what was sent."""

    prefix: str
    share: float


class Evidence(NamedTuple):
    """What the last span told."""

    suspected: frozenset[str] = frozenset()

    def weigh(self, refused: Sequence[str], admitted: Sequence[str]) -> tuple["Evidence", tuple[Found, ...]]:
        """The evidence with another span, and the prefixes that both found narrow.

        Args:
            refused: Keys of requests that were refused in it, one for each.
            admitted: And of those that were not.
        """
        found = sorted(_apart("", refused, admitted))[:DIVISIONS]
        narrow = (
            Found(prefix, sum(key.startswith(prefix) for key in admitted) / (len(refused) + len(admitted)))
            for prefix in found
            if prefix in self.suspected
        )
        return Evidence(frozenset(found)), tuple(narrow)


def tells(refused: int) -> bool:
    """Whether a span with so many refusals can tell anything."""
    return refused >= LEAST


def _apart(prefix: str, refused: Sequence[str], admitted: Sequence[str]) -> Iterator[str]:
    """Directories below a prefix, or a prefix of theirs, that are refused while those beside them are admitted."""
    if not tells(len(refused)):
        return
    turned, passed = (Counter(_below(prefix, key) for key in keys) for keys in (refused, admitted))
    heavy = {name for name, count in turned.items() if count >= LEAST}
    beside = [sum(count for name, count in counts.items() if name not in heavy) for counts in (turned, passed)]
    expected = sum(beside) * len(refused) / (len(refused) + len(admitted))
    directories = sorted(name for name in heavy if name != prefix)
    if expected >= SURE and beside[0] * CLEARLY <= expected:
        yield from directories
        return
    for name in directories:
        inside = [[key for key in keys if key.startswith(name)] for keys in (refused, admitted)]
        yield from _apart(name, *inside)


def _below(prefix: str, key: str) -> str:
    """The directory next below a prefix that a key is in; the prefix itself for a key without one."""
    end = key.find("/", len(prefix))
    return prefix if end < 0 else key[: end + 1]
