"""Which journal a run uses: the one that was named, or one named after source and destination.

Owns the default's place and name, and what is to be known of the place. The endpoint is part of the name: buckets of one name
at two stores are two buckets.
"""

import hashlib
import os
import re
from pathlib import Path
from typing import NamedTuple

from asyncmirror.errors import JournalDiskError
from asyncmirror.journal.belongs import Belongs
from asyncmirror.journal.lock import Holder, holder
from asyncmirror.settings import Connection, Destination
from asyncmirror.source.filesystem import is_local, kind
from asyncmirror.store.configured import configured_endpoint

_UNFIT = re.compile(r"[^A-Za-z0-9.-]+")


def belongs(source: Path, destination: Destination, connection: Connection) -> Belongs:
    """What the journal of such a run is of."""
    real = os.path.realpath(source)
    return Belongs(os.fsencode(real).decode("utf-8", "backslashreplace"), str(destination), configured_endpoint(connection))


def default_journal(of: Belongs) -> Path:
    """Where the journal is kept when nobody said where: ``$XDG_STATE_HOME/asyncmirror/SOURCE--BUCKET-PREFIX-HASH.sqlite``."""
    digest = hashlib.sha256("\0".join(of).encode()).hexdigest()[:12]
    source = _UNFIT.sub("-", os.path.basename(of.source)).strip("-.")[:40] or "root"
    return state_directory() / f"{source}--{_told(of.destination)}-{digest}.sqlite"


def journals_of(destination: Destination) -> list[Path]:
    """The journals kept where nobody said where that have the name of this destination; another store's may be among them."""
    return sorted(state_directory().glob(f"*--{_told(str(destination))}-{'[0-9a-f]' * 12}.sqlite"))


def running() -> list[tuple[Path, Holder]]:
    """The journals kept where nobody said where that a process has at this moment, and which."""
    found = ((lock.with_suffix(""), holder(lock.with_suffix(""))) for lock in sorted(state_directory().glob("*.sqlite.lock")))
    return [(journal, process) for journal, process in found if process is not None]


def is_within(path: Path, directory: Path) -> bool:
    """Whether a path, which need not exist, lies in a directory, whatever links lead there."""
    return Path(os.path.realpath(path)).is_relative_to(os.path.realpath(directory))


def state_directory() -> Path:
    """Where journals are kept when nobody said where, and whatever else belongs to this user's mirrors."""
    state = os.environ.get("XDG_STATE_HOME", "")
    return (Path(state) if os.path.isabs(state) else Path("~/.local/state").expanduser()) / "asyncmirror"


def _told(destination: str) -> str:
    """The part of a journal's name that tells the destination."""
    return _UNFIT.sub("-", destination.removeprefix("s3://")).strip("-.")[:60]


class Identity(NamedTuple):
    """Which file it is."""

    dev: int
    ino: int


def identify(journal: Path) -> Identity | None:
    """Which file a journal is; None where there is none."""
    try:
        found = journal.stat()
    except OSError:
        return None
    return Identity(found.st_dev, found.st_ino)


def see_in_place(journal: Path, opened: Identity | None) -> None:
    """See that what was opened still stands at its path: what is written to a file that was removed is gone with the process.

    Raises:
        JournalDiskError: It does not; or the disk does not tell.
    """
    if identify(journal) != opened:
        raise JournalDiskError(
            "the journal was moved, removed or replaced while it was in use",
            path=os.fspath(journal),
            hint="put it back; or end this process, and begin anew with --adopt",
        )


def on_network(journal: Path) -> str:
    """What the user should know of the file system that the journal lies on; empty where it is this machine's own."""
    found = kind(journal)
    if not found or is_local(found):
        return ""
    return f"the journal lies on {found}: it is locked for this run alone and used without shared memory, which is safe there"
