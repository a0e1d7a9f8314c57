"""`asyncmirror ctl`: tells a running process to do something, and says what came of it.

Owns how the words of the command line are understood, and how an answer is written. What a process can do it says itself; whom
it listens to is `engine.control`'s.
"""

import argparse
import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from asyncmirror.cli import running, status, stdout
from asyncmirror.cli.gather import Gathered
from asyncmirror.cli.json_lines import dump
from asyncmirror.engine.asking import ask
from asyncmirror.errors import JournalError, UsageError
from asyncmirror.text import show_line

ACTIONS = ("status", "set", "pause", "resume", "drain", "stop", "reload", "log-level")
_KNOB = re.compile(r"([a-z][a-z-]*)=(.*)", re.DOTALL)
_MOST = 2


class Order(NamedTuple):
    """What is to be done, and where: what stands for SOURCE and destination, None where it is not told."""

    request: Mapping[str, object]
    source: str | None
    destination: str | None


def understand(words: Sequence[str]) -> Order:
    """The words behind ``ctl``.

    Raises:
        UsageError: They make no sense.
    """
    action, *rest = words
    if action not in ACTIONS:
        raise UsageError(f"{action!r} is nothing that can be told to a process", hint=f"what can: {', '.join(ACTIONS)}")
    request: dict[str, object] = {"do": action}
    if action == "set":
        knobs: dict[str, str] = {}
        while rest and (match := _KNOB.fullmatch(rest[0])):
            if match[1] in knobs:
                raise UsageError(f"{match[1]!r} is given twice")
            knobs[match[1]] = match[2]
            rest.pop(0)
        if not knobs:
            raise UsageError("nothing is to be set", hint="write KNOB=VALUE, such as concurrency=128")
        request["knobs"] = knobs
    elif action == "log-level":
        if not rest:
            raise UsageError("no level is given", hint="write debug, info, warning or error")
        request["level"] = rest.pop(0)
    if len(rest) > _MOST:
        raise UsageError(
            f"{rest[_MOST]!r} is too much", hint="what may follow is SOURCE and s3://BUCKET[/PREFIX], or a release"
        )
    source, destination = (*rest, None, None)[:_MOST]
    return Order(request, source, destination)


def place(arguments: argparse.Namespace) -> Order:
    """The order that a command line gives; its SOURCE and destination are put where other commands have theirs."""
    order = understand((arguments.action, *arguments.words))
    arguments.source, arguments.destination = order.source, order.destination
    return order


def run(order: Order, gathered: Gathered, source: str | None, destination: str | None) -> int:
    """Do it; gives the exit code.

    Raises:
        UsageError: The process can't do that; it goes on as before.
        ProcessError: There is no such process.
        JournalError: It does not answer.
    """
    journal, process = running.find(gathered, source, destination)
    if order.request["do"] == "status":
        return status.show(journal, json=gathered.output().json)
    answer = ask(process, journal, order.request)
    if not isinstance(answer, Mapping):
        raise JournalError(f"process {process.pid} gave an answer that is not understood", hint="is it another version?")
    text = dump(answer) if gathered.output().json else "".join(show_line(line) + "\n" for line in lines(answer)).encode()
    return 0 if stdout.write(text) else stdout.LOST


def lines(answer: Mapping[str, object]) -> list[str]:
    """An answer for people: what it was and is, a line each."""
    told = []
    for name, value in answer.items():
        if isinstance(value, Mapping):
            before, after = value.get("before"), value.get("after")
            told.append(f"{name}: {before} → {after}" if before != after else f"{name}: {after}, as before")
        else:
            told.append(str(value))
    return told
