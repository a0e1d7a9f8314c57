"""How many files a process may have open, and what becomes of a run that wants more.

Owns the estimate of what a run opens, the raising of this process's own limit (setrlimit(2), ``ulimit -n``) as far as the
system allows without asking, and the cut where that is not enough or less is asked for (`--max-open-files`): fewer requests at
once are slower; files called unreadable because too many are open already would be wrong.
"""

import math
import resource
from dataclasses import replace

from asyncmirror.errors import UsageError
from asyncmirror.plan.climb import START
from asyncmirror.settings import Tuning

_BASE = 24
"""Standard streams, event loop, journal with its lock and socket, the root, what libraries keep open; with some to spare."""
_EACH_REQUEST = 3
"""A connection over the wire, one over the SDK, and a large file."""
_EACH_THREAD = 4
"""A file, its directory, the one listed, and a step on the way there."""


def needed(tuning: Tuning) -> int:
    """How many descriptors a process of a run may need at once; `readers` and `scanners` are known by now."""
    requests = -(-tuning.concurrency // tuning.loops)
    return _BASE + _EACH_REQUEST * requests + _EACH_THREAD * (tuning.readers + tuning.scanners) + 2 * tuning.loops


def fit(tuning: Tuning, limit: float, whose: str = "ulimit -n") -> Tuning:
    """The same with as few threads and requests at once as `limit` descriptors allow; `whose` names the limit in the error.

    Raises:
        UsageError: Not even one of each is allowed.
    """
    if needed(tuning) <= limit:
        return tuning
    least = replace(tuning, concurrency=tuning.loops, readers=1, scanners=1)
    if needed(least) > limit:
        raise UsageError(
            f"only {limit} files may be open at once",
            hint=f"allow at least {needed(least)}, better {needed(tuning)}: {whose}",
        )
    # Half of what is left to threads, the rest to requests.
    left = int(limit) - needed(least)
    scanners = min(tuning.scanners, 1 + left // 8 // _EACH_THREAD)
    readers = min(tuning.readers, 1 + left // 4 // _EACH_THREAD)
    left = int(limit) - needed(replace(least, readers=readers, scanners=scanners))
    requests = 1 + left // _EACH_REQUEST
    return replace(tuning, concurrency=min(tuning.concurrency, requests * tuning.loops), readers=readers, scanners=scanners)


def allow(tuning: Tuning) -> tuple[Tuning, str]:
    """Raise this process's limit where the run needs it, and cut the run where that may not be.

    Returns:
        What can be done, and what to tell the user of it; empty where nothing was cut that would be missed.

    Raises:
        UsageError: As `fit`.
    """
    wanted = needed(tuning)
    soft, hard = map(_count, resource.getrlimit(resource.RLIMIT_NOFILE))
    if soft < min(wanted, hard):
        soft = int(min(wanted, hard))
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
    asked = tuning.max_open_files or math.inf
    limit, whose = (asked, "--max-open-files") if asked < soft else (soft, "ulimit -n")
    fitted = fit(tuning, limit, whose)
    if fitted == tuning or (tuning.auto and fitted == replace(tuning, concurrency=max(START, fitted.concurrency))):
        return fitted, ""  # of what `auto` may come to there is enough left
    return fitted, (
        f"only {limit} files may be open at once ({whose}; this run wants {wanted}):"
        f" --concurrency is {fitted.concurrency}, --readers {fitted.readers}, --scanners {fitted.scanners}"
    )


def _count(limit: int) -> float:
    return math.inf if limit == resource.RLIM_INFINITY else limit
