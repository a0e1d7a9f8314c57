"""Which entries ``--include`` and ``--exclude`` leave out.

Owns the pattern language, which is rclone's: ``*`` and ``?`` stop at a slash, ``**`` does not, ``[…]`` and ``{a,b}`` as in a
shell, a leading slash ties the pattern to the source, otherwise it matches at the end of the path from a slash on; a trailing
slash means a directory and all that is in it. Rules are tried in order and the first that matches decides. What no rule
matches is kept, unless there are includes: then it is left out. docs/filters.md tells users.
"""

import os
import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from asyncmirror.errors import UsageError
from asyncmirror.settings import Rule

_TOKEN = re.compile(rb"\*\*|[*?{},]|\\.|\[(?:\\.|[^\]\\])+\]|\[|[^*?{},\\\[]+|\\", re.DOTALL)
_IN_CLASS = re.compile(rb"\\.|.", re.DOTALL)
_STARS = {b"**": b".", b"*": b"[^/]"}


class _Piece(NamedTuple):
    """A piece of a pattern: a star with what it repeats, else an expression; `fixed`: of one length, and can be sought once."""

    expression: bytes
    fixed: bool = False
    star: bool = False


def _class(token: bytes) -> _Piece:
    negated = token[1:2] in (b"!", b"^")
    parts: list[bytes] = []
    for item in _IN_CLASS.findall(token[2 if negated else 1 : -1]):
        is_range = item == b"-" and parts and parts[-1] != b"-"
        parts.append(b"-" if is_range else re.escape(item[-1:]))
    expression = (b"[^/" if negated else b"[") + b"".join(parts) + b"]"
    return _Piece(expression, fixed=not re.match(expression, b"/"))


def _pieces(pattern: bytes, shown: str) -> Iterator[_Piece]:
    depth = 0
    for token in _TOKEN.findall(pattern):
        if token in _STARS:
            yield _Piece(_STARS[token], star=True)
        elif token == b"?":
            yield _Piece(b"[^/]", fixed=True)
        elif token == b"{":
            depth += 1
            yield _Piece(b"(?:")
        elif token == b"}" and depth:
            depth -= 1
            yield _Piece(b")")
        elif token == b"," and depth:
            yield _Piece(b"|")
        elif token in (b"[", b"\\"):
            raise UsageError(f"the pattern {shown!r} ends within a [class] or after a backslash")
        elif token.startswith(b"["):
            yield _class(token)
        else:
            yield _Piece(re.escape(token[1:] if token.startswith(b"\\") else token), fixed=True)
    if depth:
        raise UsageError(f"the pattern {shown!r} has a {{ without its }}")


def _translate(pattern: bytes, shown: str) -> bytes:
    """The regular expression.

    What follows a star is sought once, at its first place, where the next star can make up for that: a name full of what
    the pattern looks for must not cost the run minutes.
    """
    pieces = list(_pieces(pattern, shown))
    parts: list[bytes] = []
    at = 0
    while at < len(pieces):
        piece = pieces[at]
        at += 1
        if not piece.star:
            parts.append(piece.expression)
            continue
        end = next((index for index in range(at, len(pieces)) if not pieces[index].fixed), len(pieces))
        if end < len(pieces) and pieces[end].star and pieces[end].expression in (piece.expression, _STARS[b"**"]):
            between = b"".join(fixed.expression for fixed in pieces[at:end])
            parts.append(b"(?>" + piece.expression + b"*?" + between + b")")
            at = end
        else:
            parts.append(piece.expression + b"*")
    return b"".join(parts)


class _Compiled(NamedTuple):
    include: bool
    text: str
    path: re.Pattern[bytes]
    directory: re.Pattern[bytes] | None  # matches a directory all of whose contents the pattern matches


def _compile(rule: Rule) -> _Compiled:
    pattern = os.fsencode(rule.pattern)
    if not pattern.strip(b"/"):
        raise UsageError(f"the pattern {rule.pattern!r} is empty", hint="write ** for everything")
    if pattern.endswith(b"/"):
        pattern += b"**"
    start = b"" if pattern.startswith(b"/") else rb"(?:.*/)?"
    body = pattern.removeprefix(b"/")
    try:
        path = re.compile(start + _translate(body, rule.pattern), re.DOTALL)
        whole = body.removesuffix(b"/**")
        directory = re.compile(start + _translate(whole, rule.pattern), re.DOTALL) if whole != body else None
    except re.error as error:
        raise UsageError(f"the pattern {rule.pattern!r} is malformed: {error}") from None
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
