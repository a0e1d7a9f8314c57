"""What may be turned while a mirror goes on, and whether this process can follow.

Owns the knobs: a name, which is a flag's, the fields of `settings.Tuning` behind it, and its text as the flag would take it. A
tuning is swapped whole; how it reaches the stages is theirs.
"""

from collections.abc import Callable
from dataclasses import fields, replace
from typing import NamedTuple

from asyncmirror.engine.descriptors import allow
from asyncmirror.errors import UsageError
from asyncmirror.settings import Tuning
from asyncmirror.sizes import write_size
from asyncmirror.timetable import OFF


class Knob(NamedTuple):
    """What can be turned: a flag's name without its dashes, the fields of `Tuning` that it sets, and what it stands at."""

    name: str
    fields: tuple[str, ...]
    show: Callable[[Tuning], str]


KNOBS = (
    Knob("concurrency", ("auto", "concurrency"), lambda tuning: "auto" if tuning.auto else str(tuning.concurrency)),
    Knob("bwlimit", ("bwlimit",), lambda tuning: str(tuning.bwlimit)),
    Knob(
        "max-requests-per-second",
        ("max_requests_per_second",),
        lambda tuning: f"{tuning.max_requests_per_second:g}" if tuning.max_requests_per_second else OFF,
    ),
    Knob("max-memory", ("max_memory",), lambda tuning: write_size(tuning.max_memory)),
)
LIVE = frozenset(field for knob in KNOBS for field in knob.fields)
"""Fields of `Tuning` that may be turned; all others are fixed when a mirror is opened."""


class Turn(NamedTuple):
    """A knob that was turned, and what it stood at before and stands at after, as its flag would take it."""

    knob: str
    before: str
    after: str


def turns(now: Tuning, asked: Tuning) -> tuple[Turn, ...]:
    """The knobs that are turned from one tuning to another."""
    return tuple(
        Turn(knob.name, knob.show(now), knob.show(asked))
        for knob in KNOBS
        if any(getattr(now, field) != getattr(asked, field) for field in knob.fields)
    )


def permit(now: Tuning, asked: Tuning) -> Tuning:
    """See that all that differs may be turned, and raise this process's limit of open files where that needs it.

    Returns:
        What was asked, with a lower bound on what `auto` may come to where the system allows no more open files.

    Raises:
        UsageError: Something differs that can't be turned, or more files would have to be open than the system allows.
    """
    differ = [each.name for each in fields(Tuning) if getattr(now, each.name) != getattr(asked, each.name)]
    fixed = [name for name in differ if name not in LIVE]
    if fixed:
        flag = "--" + fixed[0].replace("_", "-")
        raise UsageError(f"{flag} can't be turned while a run goes on", hint="it holds from the next start on")
    if asked.concurrency <= now.concurrency:
        return asked
    fitted, _ = allow(asked)
    if asked.auto:
        return replace(asked, concurrency=fitted.concurrency)
    if fitted.concurrency < asked.concurrency:
        raise UsageError(
            f"--concurrency {asked.concurrency} needs more open files than the system allows (ulimit -n)",
            hint=f"at most {fitted.concurrency}",
        )
    return asked
