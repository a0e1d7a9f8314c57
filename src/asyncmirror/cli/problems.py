"""`asyncmirror problems`: every entry that is not in the bucket, with its reason, a line each.

Owns both forms; of a release only its own are told. Which journal is meant, and how it is asked while a run has it, is as
with `status`.
"""

import os

from asyncmirror.cli import stdout
from asyncmirror.cli.gather import Gathered
from asyncmirror.cli.json_lines import dump
from asyncmirror.cli.report import problem
from asyncmirror.cli.status import locate
from asyncmirror.engine.status import Trouble, read_status
from asyncmirror.events import Settled
from asyncmirror.text import decode


def run(gathered: Gathered, source: str | None, destination: str | None) -> int:
    """Write what is known; gives the exit code.

    Raises:
        UsageError: It is not told which journal is meant, or there is none.
        JournalError: It can't be read.
    """
    form = _json if gathered.output().json else _text
    found = read_status(locate(gathered, source, destination)).troubles
    below = tuple(os.fsencode(subdir) + b"/" for subdir in gathered.sections.get("settings", {}).get("subdirs", ()))
    meant = (each for each in found if not below or (each.path + b"/").startswith(below))
    return 0 if stdout.write(b"".join(map(form, meant))) else stdout.LOST


def _json(trouble: Trouble) -> bytes:
    told = {"path": decode(trouble.path), "outcome": trouble.outcome.name.lower(), "reason": trouble.reason}
    return dump({"event": "problem", **told})


def _text(trouble: Trouble) -> bytes:
    return problem(Settled(trouble.path, "", trouble.outcome, 0, trouble.reason)).encode("utf-8") + b"\n"
