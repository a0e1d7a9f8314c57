"""Turning knobs by their texts, which are those of the flags.

Owns how texts and a tuning make another tuning, and how two settings are told apart for people. Which knobs there are is
`engine.steering`'s; how a text is read is the flag's, with its errors.
"""

from collections.abc import Mapping
from dataclasses import replace

from asyncmirror.cli.gather import Given, gather
from asyncmirror.cli.options import OPTIONS
from asyncmirror.engine.steering import KNOBS, LIVE
from asyncmirror.errors import UsageError
from asyncmirror.settings import Settings, Tuning

_OPTIONS = {option.name: option for group in OPTIONS.values() for option in group}


def read(now: Tuning, texts: Mapping[str, str]) -> Tuning:
    """The tuning with these knobs turned.

    Raises:
        UsageError: There is no such knob, or its text is not what its flag would take.
    """
    knobs = [knob.name for knob in KNOBS]
    for name in texts:
        if name not in knobs:
            raise UsageError(f"{name!r} can't be turned", hint=f"what can: {', '.join(knobs)}")
    gathered = gather([Given(_OPTIONS[name], text, f"--{name}") for name, text in texts.items()], ())
    return gathered.fill(now, "tuning")


def follow(now: Tuning, before: Tuning, after: Tuning) -> Tuning:
    """The tuning in force with what can be turned and became another between two readings of what was asked for."""
    return replace(now, **{field: getattr(after, field) for field in LIVE if getattr(before, field) != getattr(after, field)})


def fixed(before: Settings, after: Settings) -> tuple[str, ...]:
    """What differs between two settings and can't be turned, as the command line or the mirror file calls it."""
    found = ["root"] if before.source != after.source else []
    found += ["bucket and prefix"] if before.destination != after.destination else []
    found += ["releases"] if before.within != after.within else []
    known: set[str] = set()
    for option in _OPTIONS.values():
        section, _, name = option.field.partition(".")
        if section not in ("connection", "objects", "tuning", "settings") or name in LIVE or option.field in known:
            continue
        known.add(option.field)
        old, new = ((each if section == "settings" else getattr(each, section)) for each in (before, after))
        if getattr(old, name) != getattr(new, name):
            found.append(option.name)
    return tuple(found)
