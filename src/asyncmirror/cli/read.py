"""How the text of an option becomes its value: numbers, words, headers.

Owns the readers: each takes the text and gives the value, or raises a `UsageError` that says what to write instead.
Knows no flag's name, no environment and no parser. What names files is read in `paths`.
"""

import math
import re
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import NamedTuple
from urllib.parse import urlsplit

from asyncmirror.errors import UsageError
from asyncmirror.http import address as addresses
from asyncmirror.model import Algorithm
from asyncmirror.plan.schedule import Schedule
from asyncmirror.plan.schedule import parse as parse_schedule
from asyncmirror.settings import MaxDelete, Secrets, Stubs, Symlinks, Tuning
from asyncmirror.sizes import parse_size
from asyncmirror.store_url import parse_store_url
from asyncmirror.timetable import OFF, Timetable

_YES = frozenset({"1", "true", "yes", "on"})
_NO = frozenset({"0", "false", "no", "off"})
# RFC 9110, 5.6.2: what a header's name may consist of. The key becomes the tail of x-amz-meta-*.
_TOKEN = re.compile(r"[a-z0-9!#$%&'*+.^_`|~-]+")
_METADATA_LIMIT = 2048
"""Bytes of all keys and values together. Source: AWS, "Working with object metadata"."""

_DIGITS = 18
"""More than any count needs; Python refuses to read thousands of them."""

_ALL = 100  # percent

size = parse_size
timetable = Timetable.parse


def size_or_off(text: str) -> int:
    """A size in bytes; 0 for "off"."""
    return 0 if _is_off(text) else parse_size(text)


def schedule(text: str) -> Schedule | None:
    """When a mirror is run again; None for "off"."""
    return None if _is_off(text) else parse_schedule(text)


def address(text: str) -> addresses.Address | None:
    """Where a page is served; None for "off"."""
    return None if _is_off(text) else addresses.parse(text)


def _is_off(text: str) -> bool:
    return text.strip().lower() == OFF


endpoint = parse_store_url


def plain(text: str) -> str:
    """A name that goes into no header."""
    if not text or not text.isprintable():
        raise UsageError(f"{text!r} is empty or not printable")
    return text


def header(text: str) -> str:
    """A header's value: printable ASCII, so that it can neither end the header nor be read as anything else."""
    if not (text.strip() and text.isascii() and text.isprintable()):
        raise UsageError(f"{text!r} must be printable ASCII text")
    return text.strip()


def switch(text: str) -> bool:
    """Yes or no."""
    word = text.strip().lower()
    if word not in _YES | _NO:
        raise UsageError(f"{text!r} is neither yes nor no", hint="write yes or no")
    return word in _YES


def negated(text: str) -> bool:
    """The opposite, for a flag that begins with ``--no-``."""
    return not switch(text)


def count(text: str) -> int:
    """A whole number. Its bounds are checked where it is used."""
    digits = text.strip()
    if not (digits.isascii() and digits.isdigit() and len(digits) <= _DIGITS):
        raise UsageError(f"{text!r} is no whole number", hint="write digits only")
    return int(digits)


def max_delete(text: str) -> MaxDelete:
    """How many objects may be deleted: a number, or a percentage."""
    number = text.strip()
    if not number.endswith("%"):
        return MaxDelete(count(number), 0)
    try:
        share = float(number.removesuffix("%"))
    except ValueError:
        share = -1.0
    if not 0 <= share <= _ALL:
        raise UsageError(f"{text!r} is no percentage", hint="write a number such as 500, or a part such as 5%")
    return MaxDelete(0, share / _ALL)


class Fields(NamedTuple):
    """What one option says of several fields of its section."""

    values: Mapping[str, object]


def concurrency(text: str) -> Fields:
    """A number of requests, or ``auto``: as many as serve best, within the default bound."""
    if text.strip().lower() == "auto":
        return Fields({"auto": True, "concurrency": Tuning().concurrency})
    try:
        return Fields({"auto": False, "concurrency": count(text)})
    except UsageError as error:
        raise UsageError(f"{text!r} is no number of requests", hint="write a whole number, or auto") from error


def depth(text: str) -> int | None:
    """How many levels; -1 for all of them, which is None."""
    return None if text.strip() == "-1" else count(text)


def seconds(text: str) -> float:
    """A time in seconds. Its bounds are checked where it is used."""
    try:
        value = float(text.strip().removesuffix("s"))
    except ValueError:
        raise UsageError(f"{text!r} is no number of seconds", hint="write a number such as 30 or 0.5") from None
    return value


def rate(text: str) -> float:
    """So many a second; 0 or ``off`` for no limit. Its bounds are checked where it is used."""
    try:
        value = 0.0 if text.strip().lower() == OFF else float(text)
    except ValueError:
        raise UsageError(f"{text!r} is no number", hint="write a number such as 200 or 0.5, or off") from None
    return value


def amount(text: str) -> float:
    """An amount of money, nothing or more."""
    try:
        value = float(text.strip().removeprefix("$"))
    except ValueError:
        value = -1.0
    if not 0 <= value < math.inf:
        raise UsageError(f"{text!r} is no amount of money", hint="write a number such as 23 or 0.005")
    return value


def choice(*words: str) -> Callable[[str], str]:
    """A reader for one of these words."""

    def reader(text: str) -> str:
        if text not in words:
            raise UsageError(f"{text!r} is not known", hint=_alternatives(words))
        return text

    return reader


def _alternatives(words: tuple[str, ...]) -> str:
    *others, last = words
    return f"write {', '.join(others)} or {last}" if others else f"write {last}"


def algorithm(text: str) -> Algorithm:
    """A checksum's name, in whatever case."""
    words = {member.value: member for member in Algorithm}
    if text.upper() not in words:
        raise UsageError(f"{text!r} is no checksum that S3 takes", hint=_alternatives(tuple(word.lower() for word in words)))
    return words[text.upper()]


def symlinks(text: str) -> Symlinks:
    """What becomes of symbolic links."""
    return Symlinks(choice(*(member.value for member in Symlinks))(text))


def stubs(text: str) -> Stubs:
    """What becomes of files without blocks on disk."""
    return Stubs(choice(*(member.value for member in Stubs))(text))


def secrets(text: str) -> Secrets:
    """What becomes of files that look like secrets."""
    return Secrets(choice(*(member.value for member in Secrets))(text))


def notify(text: str) -> tuple[str, ...]:
    """A command that can be run, or a URL. What is wrong with it is said without repeating it: it may hold a secret."""
    if text.startswith(("https://", "http://")):
        try:
            url = urlsplit(text)
            good = bool(url.hostname) and (url.port or 1) > 0 and text.isascii() and text.isprintable() and " " not in text
        except ValueError:
            good = False
        if not good:
            raise UsageError("it is no URL", hint="write https://HOST/PATH, or a command")
        return (text,)
    import shlex  # noqa: PLC0415  these two take as long to import as all of this room, and few ask for them
    import shutil  # noqa: PLC0415

    try:
        words = shlex.split(text)
    except ValueError as error:
        raise UsageError(f"it is no command: {error}", hint="quote it as for a shell") from None
    if not words or "\0" in text or not text.isprintable() or shutil.which(words[0]) is None:
        raise UsageError("there is no such command", hint="write a program with its arguments, or https://HOST/PATH")
    return (text,)


def metadata(text: str) -> Mapping[str, str]:
    """``key=value`` pairs with commas between them. Keys become lower case, as S3 keeps them."""
    pairs: dict[str, str] = {}
    for pair in text.split(","):
        key, equals, value = pair.partition("=")
        key = key.strip().lower()
        if not equals or not _TOKEN.fullmatch(key):
            raise UsageError(f"{pair!r} is no metadata", hint="write key=value, several with commas between them")
        if key in pairs:
            raise UsageError(f"the key {key!r} is given twice")
        if not (value.isascii() and value.isprintable()):
            raise UsageError(f"the value of {key!r} must be printable ASCII text")
        pairs[key] = value.strip()
    if sum(len(key) + len(value) for key, value in pairs.items()) > _METADATA_LIMIT:
        raise UsageError(f"metadata must not exceed {_METADATA_LIMIT} bytes")
    return MappingProxyType(pairs)
