"""Which entries ``--include`` and ``--exclude`` leave out.

Owns the pattern language, which is rclone's: ``*`` and ``?`` stop at a slash, ``**`` does not, ``[…]`` and ``{a,b}`` as in a
shell, a leading slash ties the pattern to the source, otherwise it matches at the end of the path from a slash on; a trailing
slash means a directory and all that is in it. Rules are tried in order and the first that matches decides. What no rule
matches is kept, unless there are includes: then it is left out. docs/filters.md tells users. RE2 matches, in time that grows
with the length of the name and no faster, whatever the pattern (ADR 19).
"""

import os
import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple, Protocol

import re2

from asyncmirror.errors import UsageError
from asyncmirror.settings import Rule

_TOKEN = re.compile(rb"\*\*|[*?{},]|\\.|\[(?:\\.|[^\]\\])+\]|\[|[^*?{},\\\[]+|\\", re.DOTALL)
_IN_CLASS = re.compile(rb"\\.|.", re.DOTALL)
_WILD = {b"**": b".*", b"*": b"[^/]*", b"?": b"[^/]"}
# A name is bytes: one is one character. RE2 tells on the standard error what it can't compile, unless it is told not to.
_OPTIONS = re2.Options()
_OPTIONS.encoding = re2.Options.Encoding.LATIN1
_OPTIONS.dot_nl = True
_OPTIONS.never_capture = True
_OPTIONS.log_errors = False


class _Matcher(Protocol):
    """What is used of a compiled expression of RE2, which has no types of its own."""

    def fullmatch(self, text: bytes, /) -> object | None: ...


def _class(token: bytes) -> bytes:
    negated = token[1:2] in (b"!", b"^")
    parts: list[bytes] = []
    for item in _IN_CLASS.findall(token[2 if negated else 1 : -1]):
        is_range = item == b"-" and parts and parts[-1] != b"-"
        parts.append(b"-" if is_range else re2.escape(item[-1:]))
    return (b"[^/" if negated else b"[") + b"".join(parts) + b"]"


def _pieces(pattern: bytes, shown: str) -> Iterator[bytes]:
    depth = 0
    for token in _TOKEN.findall(pattern):
        if token in _WILD:
            yield _WILD[token]
        elif token == b"{":
            depth += 1
            yield b"(?:"
        elif token == b"}" and depth:
            depth -= 1
            yield b")"
        elif token == b"," and depth:
            yield b"|"
        elif token in (b"[", b"\\"):
            raise UsageError(f"the pattern {shown!r} ends within a [class] or after a backslash")
        elif token.startswith(b"["):
            yield _class(token)
        else:
            yield re2.escape(token[1:] if token.startswith(b"\\") else token)
    if depth:
        raise UsageError(f"the pattern {shown!r} has a {{ without its }}")


class _Compiled(NamedTuple):
    include: bool
    text: str
    path: _Matcher
    directory: _Matcher | None  # matches a directory all of whose contents the pattern matches


def _matcher(start: bytes, pattern: bytes, shown: str) -> _Matcher:
    compiled: _Matcher = re2.compile(start + b"".join(_pieces(pattern, shown)), _OPTIONS)
    return compiled


def _compile(rule: Rule) -> _Compiled:
    pattern = os.fsencode(rule.pattern)
    if not pattern.strip(b"/"):
        raise UsageError(f"the pattern {rule.pattern!r} is empty", hint="write ** for everything")
    if pattern.endswith(b"/"):
        pattern += b"**"
    start = b"" if pattern.startswith(b"/") else rb"(?:.*/)?"
    body = pattern.removeprefix(b"/")
    whole = body.removesuffix(b"/**")
    try:
        path = _matcher(start, body, rule.pattern)
        directory = _matcher(start, whole, rule.pattern) if whole != body else None
    except re2.error as error:
        raise UsageError(f"the pattern {rule.pattern!r} is malformed: {os.fsdecode(error.args[0])}") from None
    return _Compiled(rule.include, rule.pattern, path, directory)


class Filters:
    """The rules of one run, compiled."""

    def __init__(self, rules: Sequence[Rule], below: bytes = b"") -> None:
        """Compile them.

        Args:
            rules: The rules, in their order.
            below: The directory of the source that the paths asked about are in; empty: the source itself.

        Raises:
            UsageError: A pattern is malformed.
        """
        self._below = below + b"/" if below else b""
        self._rules = [_compile(rule) for rule in rules]
        self._unmatched = "no --include matches" if any(rule.include for rule in rules) else ""

    def __bool__(self) -> bool:
        """Whether there are any: without, nothing need be asked."""
        return bool(self._rules)

    def excludes(self, path: bytes) -> str:
        """Why the entry at this path below the source is left out; empty where it is not."""
        path = self._below + path
        for rule in self._rules:
            if rule.path.fullmatch(path):
                return "" if rule.include else f"--exclude {rule.text}"
        return self._unmatched

    def prunes(self, directory: bytes) -> str:
        """Why nothing in this directory can be kept, so that it need not be listed; empty where something may be."""
        directory = self._below + directory
        for rule in self._rules:
            if rule.include:
                return ""
            if rule.directory is not None and rule.directory.fullmatch(directory):
                return f"--exclude {rule.text}"
        return ""


NO_RULES = Filters(())
"""Everything is kept."""
