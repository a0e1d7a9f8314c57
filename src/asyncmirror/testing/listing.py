"""One page of a listing: which keys, which common prefixes, and whether more follow.

Owns the paging. Pure: works on a sorted sequence of keys, whoever keeps it.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from typing import NamedTuple

_LAST = "\U0010ffff"


class Page(NamedTuple):
    """A page: keys and common prefixes in order; `last` is where the next page goes on after, empty when none follows."""

    keys: list[str]
    prefixes: list[str]
    last: str


def page(ordered: Sequence[str], *, prefix: str, after: str, delimiter: str, limit: int) -> Page:
    """The page of at most `limit` keys and common prefixes that follow `after` and begin with `prefix`.

    `after` is a key or a common prefix of the page before; nothing below such a prefix comes again.
    """
    keys: list[str] = []
    prefixes: list[str] = []
    last = ""
    start = max(bisect_left(ordered, prefix), bisect_right(ordered, after) if after else 0)
    if delimiter and after.endswith(delimiter) and len(after) > len(prefix):
        start = max(start, bisect_left(ordered, after + _LAST))
    index = start
    while index < len(ordered) and ordered[index].startswith(prefix):
        if len(keys) + len(prefixes) == limit:
            return Page(keys, prefixes, last)
        key = ordered[index]
        cut = key.find(delimiter, len(prefix)) if delimiter else -1
        if cut < 0:
            keys.append(key)
            last = key
            index += 1
        else:
            last = key[: cut + len(delimiter)]
            prefixes.append(last)
            index = bisect_left(ordered, last + _LAST, index)
    return Page(keys, prefixes, "")
