"""Runs ``asyncmirror sync`` in this process and prints, as JSON, how much CPU each thread used, or what a profiler saw.

    python -m stages.child clock|profile ARGUMENTS OF asyncmirror...

Two modes, because a profiler slows what it watches: `clock` only reads each thread's CPU clock, at its end, around
the scan and its plans; `profile` has cProfile watch the event loop's thread, and its figures serve as shares.
"""

import cProfile
import json
import pstats
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import asyncmirror

_ROOT = str(Path(asyncmirror.__file__).parent)
_LOOP = "uvloop"
_WRITE = "socket write"
# uvloop's own functions are invisible to cProfile: their time is that of the Python function that calls them.
_OWN = {("asyncio/runners.py", "run"): _LOOP, ("store/wire/http.py", "_write"): _WRITE}
_DEPTH = 40
"""Calls of libraries among themselves that are followed up to one of ours."""

Function = tuple[str, int, str]


class Clocks:
    """The CPU seconds of each kind of thread, and of plans within the scan threads."""

    def __init__(self) -> None:
        self.seconds: defaultdict[str, float] = defaultdict(float)
        self._lock = threading.Lock()
        self._watch_threads()
        self._watch_plans()
        self._watch_scan()

    def _add(self, name: str, seconds: float) -> None:
        with self._lock:
            self.seconds[name] += seconds

    def _watch_threads(self) -> None:
        run, add = threading.Thread.run, self._add

        def timed(thread: threading.Thread) -> None:
            try:
                run(thread)
            finally:
                add(f"thread {thread.name.rstrip('0123456789-_')}", time.thread_time())

        threading.Thread.run = timed  # type: ignore[method-assign,assignment]  # on purpose

    def _watch_plans(self) -> None:
        from asyncmirror.engine.planner import Plan, Planner  # noqa: PLC0415  only where it is asked for
        from asyncmirror.source.walk import Listing  # noqa: PLC0415

        plan, add = Planner.plan, self._add

        def timed(planner: Planner, listing: Listing) -> Plan:
            began = time.thread_time()
            try:
                return plan(planner, listing)
            finally:
                add("plans", time.thread_time() - began)

        Planner.plan = timed  # type: ignore[method-assign,assignment]  # on purpose

    def _watch_scan(self) -> None:
        from asyncmirror.source.walk import Walker  # noqa: PLC0415  only where it is asked for

        run, add = Walker.run, self._add

        def timed(walker: Walker) -> None:
            began = time.thread_time()
            try:
                run(walker)
            finally:
                add("scan", time.thread_time() - began)

        Walker.run = timed  # type: ignore[method-assign,assignment]  # on purpose


def rooms(profile: cProfile.Profile) -> tuple[Mapping[str, float], Mapping[str, float]]:
    """Seconds by room, and half the calls that it made or received: each cost the profiler something that is in the seconds.

    What a library or a C function used is its caller's, whoever that was in the end.
    """
    stats: dict[Function, tuple[int, int, float, float, dict[Function, tuple[int, int, float, float]]]]
    stats = pstats.Stats(profile).stats  # type: ignore[attr-defined]  # there is no public way to the callers
    halves: defaultdict[Function, float] = defaultdict(float)
    callers: dict[Function, dict[Function, float]] = {}
    for function, (_, calls, _, _, made_by) in stats.items():
        halves[function] += calls / 2
        for caller, told in made_by.items():
            halves[caller] += told[0] / 2
        weights = {caller: told[2] or told[0] * 1e-9 for caller, told in made_by.items() if caller != function}
        callers[function] = {caller: weight / sum(weights.values()) for caller, weight in weights.items()}
    return _home({function: own for function, (_, _, own, _, _) in stats.items()}, callers), _home(halves, callers)


def _home(amounts: Mapping[Function, float], callers: Mapping[Function, Mapping[Function, float]]) -> Mapping[str, float]:
    """What belongs to each room; what belongs to none goes to the callers, as long as there are any."""
    found: defaultdict[str, float] = defaultdict(float)
    for _ in range(_DEPTH):
        moved: defaultdict[Function, float] = defaultdict(float)
        for function, amount in amounts.items():
            room = _room(function)
            if room is not None or not callers[function]:
                found[room or "other"] += amount
                continue
            for caller, share in callers[function].items():
                moved[caller] += amount * share
        amounts = moved
    found["other"] += sum(amounts.values())
    return found


def _room(function: Function) -> str | None:
    file, _, name = function
    for (end, who), what in _OWN.items():
        if name == who and file.endswith(end):
            return what
    return file[len(_ROOT) + 1 :].removesuffix(".py") if file.startswith(_ROOT) else None


def main(how: str, arguments: list[str]) -> None:
    """Run and print."""
    from asyncmirror.cli.main import main as run  # noqa: PLC0415  its import counts as start-up

    if how == "profile":
        profile = cProfile.Profile(time.thread_time)
        code = profile.runcall(run, arguments)
        seconds, halves = rooms(profile)
        told: dict[str, Any] = {"rooms": seconds, "halves": halves}
    else:
        clocks = Clocks()
        code = run(arguments)
        told = {"total": time.process_time(), "loop": time.thread_time(), "threads": dict(_ended(clocks))}
    print(json.dumps({"code": code, **told}))


def _ended(clocks: Clocks) -> Iterator[tuple[str, float]]:
    for thread in threading.enumerate():
        if thread is not threading.main_thread():
            thread.join(timeout=5)
    yield from clocks.seconds.items()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
