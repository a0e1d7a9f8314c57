"""The source as one run has it: its root, opened, and where the scan begins.

Owns what is checked of a source before a run. It is opened anew for each: a mount may have changed in between.
"""

import asyncio
import os
from collections.abc import Sequence
from typing import NamedTuple

from asyncmirror.engine.starts import starts
from asyncmirror.errors import UsageError
from asyncmirror.plan.remap import Remaps
from asyncmirror.settings import Settings
from asyncmirror.source.beneath import Beneath
from asyncmirror.source.walk import Directory


class Root(NamedTuple):
    """An open source; whoever has it closes `beneath`."""

    beneath: Beneath
    starts: Sequence[Directory]


async def open_root(settings: Settings) -> Root:
    """Open the source.

    Raises:
        UsageError: It is missing or no directory, or what was named in it is not there.
    """
    beneath = Beneath(settings.source)
    try:
        _check_remaps(settings)
        found = await asyncio.to_thread(starts, beneath, settings.subdirs or settings.within, settings.symlinks)
        return Root(beneath, found)
    except BaseException:
        beneath.close()
        raise


def _check_remaps(settings: Settings) -> None:
    """See that the remaps go together, and are of directories."""
    Remaps(settings.remaps)
    for remap in settings.remaps:
        if os.path.isfile(settings.source / remap.source):
            raise UsageError(f"{remap.source!r} is a file", hint="--remap moves what is in a directory")
