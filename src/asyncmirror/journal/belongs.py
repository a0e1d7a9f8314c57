"""What a journal is of, and the refusal to take it for another's.

Owns the three facts that a journal has on record of itself. Knows no thread and no connection: who opens a journal, to write
or to read, asks here before anything else is believed of it.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from asyncmirror.errors import UsageError
from asyncmirror.journal.schema import check_header, translate_damage


class Belongs(NamedTuple):
    """What a journal is of. A journal used for another bucket would call files complete that are not there."""

    source: str
    destination: str
    endpoint: str


def need(path: Path) -> None:
    """See that there is a journal, for whoever must not make one.

    Raises:
        UsageError: There is none.
        JournalError: What is there is no journal, or a newer one.
    """
    if not check_header(path):
        hint = "nothing was mirrored yet, or --journal names another place, or --endpoint-url another store"
        raise UsageError(f"there is no journal at {os.fspath(path)!r}", hint=hint)


def refuse_other(on_record: Mapping[str, str], belongs: Belongs, path: Path) -> None:
    """See that a journal is of the destination that is meant; its source may be another mount's.

    Raises:
        UsageError: It is not.
        JournalError: It does not say what it is of.
    """
    if not on_record.keys() >= set(Belongs._fields):
        raise translate_damage(path, "it does not say what it is of")
    if any(on_record[key] != getattr(belongs, key) for key in ("destination", "endpoint")):
        raise UsageError(
            f"the journal {os.fspath(path)!r} belongs to {on_record['destination']}"
            f" at {on_record['endpoint'] or 'AWS'}, not to {belongs.destination} at {belongs.endpoint or 'AWS'}",
            hint="give this destination a --journal of its own",
        )
