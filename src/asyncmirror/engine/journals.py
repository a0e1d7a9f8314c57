"""Which journal a run uses: the one that was named, or one named after source and destination.

Owns the default's place and name. The endpoint is part of the name: buckets of one name at two stores are two buckets.
"""

import hashlib
import os
import re
from pathlib import Path

from asyncmirror.journal.writer import Belongs
from asyncmirror.settings import Connection, Destination
from asyncmirror.store.configured import configured_endpoint

_UNFIT = re.compile(r"[^A-Za-z0-9.-]+")


def belongs(source: Path, destination: Destination, connection: Connection) -> Belongs:
    """What the journal of such a run is of."""
    real = os.path.realpath(source)
    return Belongs(os.fsencode(real).decode("utf-8", "backslashreplace"), str(destination), configured_endpoint(connection))


def default_journal(of: Belongs) -> Path:
    """Where the journal is kept when nobody said where: ``$XDG_STATE_HOME/asyncmirror/SOURCE--BUCKET-PREFIX-HASH.sqlite``."""
    state = os.environ.get("XDG_STATE_HOME", "")
    base = Path(state) if os.path.isabs(state) else Path("~/.local/state").expanduser()
    digest = hashlib.sha256("\0".join(of).encode()).hexdigest()[:12]
    source = _UNFIT.sub("-", os.path.basename(of.source)).strip("-.")[:40] or "root"
    destination = _UNFIT.sub("-", of.destination.removeprefix("s3://")).strip("-.")[:60]
    return base / "asyncmirror" / f"{source}--{destination}-{digest}.sqlite"
