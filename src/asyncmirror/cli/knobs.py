"""Turning knobs by their texts, which are those of the flags.

Owns how texts and a tuning make another tuning, and how two readings of what is asked for are told apart for people. Which
knobs there are is `engine.steering`'s; how a text is read is the flag's, with its errors.
"""

from collections.abc import Mapping
from dataclasses import replace

from asyncmirror.cli.command_options import DELETE
from asyncmirror.cli.gather import Given, Invocation, gather
from asyncmirror.cli.options import OPTIONS
from asyncmirror.engine.steering import KNOBS, LIVE
from asyncmirror.errors import UsageError
from asyncmirror.settings import Tuning

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


def fixed(before: Invocation, after: Invocation) -> tuple[str, ...]:
    """What differs between two readings and can't be turned, as the command line or the mirror file calls it."""
    old, new = before.settings, after.settings
    found = ["root"] if old.source != new.source else []
    found += ["bucket and prefix"] if old.destination != new.destination else []
    found += ["releases"] if old.within != new.within else []
    found += ["watch"] if (before.watch is None) != (after.watch is None) else []  # else it is turned
    known = {"settings.subdirs"}  # in no mirror file; each batch has its own
    for option in (*_OPTIONS.values(), *DELETE):
        section, _, name = option.field.partition(".")
        if name in LIVE or option.field in known:
            continue
        known.add(option.field)
        if getattr(_section(before, section), name) != getattr(_section(after, section), name):
            found.append(option.name)
    return tuple(found)


def _section(asked: Invocation, name: str) -> object:
    match name:
        case "settings":
            return asked.settings
        case "output":
            return asked.output
        case _:
            return getattr(asked.settings, name)
