"""What `doctor` is asked: one value, handed to every check."""

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

from asyncmirror.settings import Connection, Destination, ObjectOptions, Tuning


class Question(NamedTuple):
    """What is to be looked at. `flags` tells how options were given: ``region`` by ``--region`` or by its variable."""

    destination: Destination | None = None
    source: Path | None = None
    connection: Connection = Connection()
    objects: ObjectOptions = ObjectOptions()
    tuning: Tuning = Tuning()
    journal: Path | None = None
    write: bool = True
    flags: Mapping[str, str] = MappingProxyType({})
