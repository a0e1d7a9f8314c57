"""`asyncmirror sync --batches FILE`: a release batch by batch, as the queue of a `batch.json` has it.

Owns the loop, what becomes of a batch, and when the file is written: whole, after each batch, so that whatever ends the loop,
the next one goes on from there, the old tools' too. A batch whose entries are all in the bucket is completed; one with
something left is failed and queued again at the end; what ends a run ends the loop and leaves its batch where it was. Each
batch is a run of its own; what is in the file is `formats.batch_json`'s. A path that no run of this source can begin with (it
is gone, or behind a link that is not followed) is named and left, and the rest of its batch is mirrored.
"""

import contextlib
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from asyncmirror.cli import stderr
from asyncmirror.cli.fold import PROBLEMS_KEPT
from asyncmirror.cli.gather import Gathered, Invocation
from asyncmirror.engine.starts import starts
from asyncmirror.errors import SourceGoneError, UsageError
from asyncmirror.formats import batch_json
from asyncmirror.formats.output import replacing
from asyncmirror.http.picture import Batches
from asyncmirror.plan.batches import Batch
from asyncmirror.settings import Settings
from asyncmirror.sizes import format_size
from asyncmirror.source.beneath import Beneath
from asyncmirror.text import counted, show_line, show_name

if TYPE_CHECKING:
    from asyncmirror.http.site import Site

_LEFT = (1, 3)
"""Exit codes of a run that went through to its end and left something, the worse first: see docs/exit-codes.md."""
_MOST = 1000
"""Batches in one go, unless told otherwise: those of a night."""


def run(gathered: Gathered, invocation: Invocation, sync: Callable[[Invocation], int], site: "Site | None" = None) -> int:
    """Mirror batches until there are no more, or so many are done; gives the exit code.

    Args:
        gathered: What was given: the queue, and where the source stands too.
        invocation: The run of which each batch is a part.
        sync: Runs one, and gives its exit code.
        site: Shows which batch is worked on; None: nobody looks.

    Raises:
        UsageError: The file is no such file, or a path in it is not of the source.
        OutputError: The file can't be written.
        SourceGoneError: Nothing of a batch is there, nor anything else.
        AsyncmirrorError: A run could not begin, or could not go on.
    """
    asked = _asked(gathered, invocation)
    queue = _Queue(asked["file"])
    source = invocation.settings.source
    roots = (source, Path(os.path.realpath(source)), *gathered.sections.get("mirror", {}).get("roots", ()))
    place = _Place(asked["file"], roots, invocation.settings.subdirs)
    parts = [(batch, [place.below(path) for path in batch.paths]) for batch in queue.pending]

    def say(text: str) -> None:
        if not invocation.output.quiet:
            stderr.write([f"asyncmirror: {show_line(text)}"])

    worst = completed = 0
    of = min(len(parts), asked.get("most", _MOST))
    for number, (batch, below) in enumerate(parts[:of], 1):
        say(f"batch {number:,} of {len(parts):,}: {_told(batch, below)}")
        if site is not None:
            site.work_off(Batches(number, of, show_name(below[0] or b"."), batch.size, completed, number - 1 - completed))
        there, lost = _look(invocation.settings, below)
        stderr.write([f"asyncmirror: {show_line(reason)}" for reason in lost[:PROBLEMS_KEPT]])
        if len(lost) > PROBLEMS_KEPT:
            stderr.write([f"asyncmirror: and {len(lost) - PROBLEMS_KEPT:,} more of its paths"])
        code = sync(_part(invocation, there)) if there else 0
        if code and code not in _LEFT:
            return code
        code = code or (_LEFT[-1] if lost else 0)
        worst = min((each for each in (worst, code) if each), default=0)
        completed += not code
        if not invocation.settings.dry_run:
            queue.settle(batch, done=not code)
    if site is not None:
        site.work_off(Batches(of, of, "", None, completed, of - completed))
    say(f"{counted(len(queue.pending), 'batch is', 'batches are')} queued")
    return worst


def _asked(gathered: Gathered, invocation: Invocation) -> Mapping[str, Any]:
    """What was given of batches."""
    asked = gathered.sections["batches"]
    if "file" not in asked:
        raise UsageError("--max-batches belongs to --batches FILE")
    if invocation.settings.delete:
        raise UsageError("--delete needs a look at the whole source, and a batch is a part of it", hint="leave one of them out")
    return asked


def _look(settings: Settings, below: Sequence[bytes]) -> tuple[list[bytes], list[str]]:
    """The paths that a run can begin with, and why it can't with the others.

    Raises:
        SourceGoneError: The source is not there any more.
    """
    there: list[bytes] = []
    lost: list[str] = []
    try:
        beneath = Beneath(settings.source)
    except UsageError as error:  # it was there when the command began
        raise SourceGoneError(error.message, hint=error.hint) from error
    with contextlib.closing(beneath):
        for path in below:
            try:
                starts(beneath, [os.fsdecode(path)] if path else [], settings.symlinks)
            except UsageError as error:
                lost.append(error.message)
            else:
                there.append(path)
        if not there and beneath.is_empty():
            raise SourceGoneError("the source is empty", path=os.fspath(settings.source), hint="is it mounted?")
    return there, lost


def _part(invocation: Invocation, below: Sequence[bytes]) -> Invocation:
    """The run of a batch. A path that is the root itself is a run over all of it."""
    subdirs = () if b"" in below else tuple(map(os.fsdecode, below))
    return replace(invocation, settings=replace(invocation.settings, subdirs=subdirs), goes_on=True)


def _told(batch: Batch, below: Sequence[bytes]) -> str:
    """A batch for people."""
    first = show_name(below[0] or b".")
    more = f" and {len(below) - 1:,} more" if len(below) > 1 else ""
    return f"{first}{more}" + ("" if batch.size is None else f", {format_size(batch.size)}")


class _Place:
    """Where the paths of a queue lie: they are absolute, and may be another mount's."""

    def __init__(self, file: Path, roots: Iterable[Path], subdirs: Iterable[str]) -> None:
        self._file = file
        self._roots = [os.fsencode(root).rstrip(b"/") + b"/" for root in roots]
        self._subdirs = [os.fsencode(subdir) + b"/" for subdir in subdirs]

    def below(self, path: bytes) -> bytes:
        """The path below the source.

        Raises:
            UsageError: It is not of the source, or not of the part of it that is asked for.
        """
        for root in self._roots:
            if (path + b"/").startswith(root):
                below = (path + b"/")[len(root) :].rstrip(b"/")
                if self._subdirs and not any((below + b"/").startswith(subdir) for subdir in self._subdirs):
                    break
                return below
        shown = os.fsdecode(path)
        raise UsageError(
            f"{shown!r} is not in what is mirrored", path=os.fspath(self._file), hint="make the batches of this tree"
        )


class _Queue:
    """The file, and what it says by now."""

    def __init__(self, path: Path) -> None:
        self._path = path
        read = batch_json.read(path)
        self._plain = not read.batches
        self.pending = list(read.pending())
        self._completed = dict.fromkeys(read.completed)
        self._failed = dict.fromkeys(read.failed)

    def settle(self, batch: Batch, *, done: bool) -> None:
        """Say what became of a batch, and write that."""
        self.pending.remove(batch)
        for path in batch.paths:
            self._failed.pop(path, None)
        if done:
            self._completed.update(dict.fromkeys(batch.paths))
        else:
            self._failed.update(dict.fromkeys(batch.paths))
            self.pending.append(batch)
        with replacing(self._path) as file:
            batch_json.write(file, self.pending, self._completed, self._failed, plain=self._plain)
