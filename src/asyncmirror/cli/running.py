"""Which running process is meant: the one that has a journal, or the only one there is.

Owns the choice. Which journal a mirror has is `cli.status`'; who has it, its lock tells.
"""

import os
import shlex
from pathlib import Path
from typing import NamedTuple

from asyncmirror.cli.gather import Gathered
from asyncmirror.cli.status import locate
from asyncmirror.engine import journals
from asyncmirror.errors import ProcessError
from asyncmirror.journal.lock import Holder, holder


class Running(NamedTuple):
    """A process, and the journal that it has."""

    journal: Path
    process: Holder


def find(gathered: Gathered, source: str | None, destination: str | None) -> Running:
    """The process that is meant.

    Raises:
        UsageError: Only half of a mirror is named.
        ProcessError: None is running; or several are, and it is not said which.
    """
    if source is None and destination is None and "journal" not in gathered.sections.get("settings", {}):
        return _only()
    journal = locate(gathered, source, destination)
    process = holder(journal)
    if process is None:
        raise ProcessError(
            "no process has this journal", path=os.fspath(journal), hint="asyncmirror status tells of its last run"
        )
    return Running(journal, process)


def _only() -> Running:
    found = journals.running()
    if not found:
        hint = "name one that keeps its journal elsewhere by --journal FILE"
        raise ProcessError("no process is running of those that keep their journal where it is kept by default", hint=hint)
    if len(found) > 1:
        named = "; ".join(f"--journal {shlex.quote(os.fspath(journal))} (process {process.pid})" for journal, process in found)
        raise ProcessError(f"{len(found)} processes are running", hint=f"name one: {named}")
    return Running(*found[0])
