"""How the text of an option becomes paths, and patterns of paths.

Owns the readers of what names files: each takes the text and gives the value, or raises a `UsageError` that says what to
write instead. Some look whether the file is there; none opens it for more than that. Knows no flag's name and no parser.
"""

import os
from pathlib import Path

from asyncmirror.errors import UsageError
from asyncmirror.plan.filters import Filters
from asyncmirror.plan.remap import Remaps
from asyncmirror.settings import Remap, Rule


def path(text: str) -> Path:
    """A path, which need not exist, made absolute; ``..`` stays, because a link may stand before it."""
    if not text or "\0" in text:
        raise UsageError(f"{text!r} is no path")
    return Path(text).absolute()


def file(text: str) -> Path:
    """A file that is there and can be read."""
    found = path(text)
    try:
        with found.open("rb"):
            pass
    except OSError as error:
        raise UsageError(f"{text!r} can't be read: {error.strerror}") from None
    return found


def source(text: str) -> Path:
    """The directory to mirror, which must be there."""
    found = path(text)
    try:
        is_directory = found.is_dir()
        is_there = is_directory or os.path.lexists(found)
    except OSError as error:
        raise UsageError(f"the source {text!r} can't be looked at: {error.strerror}") from None
    if is_directory:
        return found
    what = "is no directory" if is_there else "does not exist"
    raise UsageError(f"the source {text!r} {what}", hint="give the directory that is to be mirrored")


def include(text: str) -> tuple[Rule, ...]:
    """A pattern that keeps what it matches."""
    return (_rule(include=True, pattern=text),)


def exclude(text: str) -> tuple[Rule, ...]:
    """A pattern that leaves out what it matches."""
    return (_rule(include=False, pattern=text),)


def exclude_from(text: str) -> tuple[Rule, ...]:
    """The patterns of a file, one per line; empty lines and those that begin with ``#`` are passed over."""
    try:
        lines = path(text).read_bytes().decode("utf-8-sig", "surrogateescape").split("\n")
    except OSError as error:
        raise UsageError(f"{text!r} can't be read: {error.strerror}") from None
    patterns = (line.removesuffix("\r") for line in lines)
    return tuple(_rule(include=False, pattern=line) for line in patterns if line and not line.startswith("#"))


def pattern(text: str) -> tuple[str, ...]:
    """A pattern by itself, in the language of the rules."""
    return (_rule(include=False, pattern=text).pattern,)


def _rule(*, include: bool, pattern: str) -> Rule:
    rule = Rule(include=include, pattern=pattern)
    Filters((rule,))  # a malformed pattern should be named by the flag that it came with
    return rule


def remap(text: str) -> tuple[Remap, ...]:
    """``FROM=TO``: a directory of the source, and where below the destination its content goes. FROM has no equals sign."""
    source, equals, target = text.partition("=")
    if not equals:
        raise UsageError(f"{text!r} is no remap", hint="write FROM=TO")
    moved = Remap(source.removesuffix("/"), target.removesuffix("/"))
    Remaps((moved,))
    return (moved,)


def subdir(text: str) -> tuple[str, ...]:
    """A directory or a file of the source."""
    place = text.removesuffix("/")
    if "\0" in place or not {"", ".", ".."}.isdisjoint(place.split("/")):
        raise UsageError(f"{text!r} is no relative path", hint="write it below the source, without '.' and '..'")
    return (place,)
