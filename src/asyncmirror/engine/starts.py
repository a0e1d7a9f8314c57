"""Where a scan begins, if not at the root: the directories and files of the source that were named.

Owns that each is there, and that nothing is listed twice. A name that leads nowhere is refused before anything is begun: it
would be mirrored as if it were empty.
"""

import os
import stat
from collections import defaultdict
from collections.abc import Sequence

from asyncmirror.errors import UsageError
from asyncmirror.source.beneath import Beneath
from asyncmirror.source.walk import Directory


def starts(beneath: Beneath, names: Sequence[str]) -> list[Directory]:
    """The directories to begin with: the root where nothing is named; for a file, its directory with that file alone.

    Raises:
        UsageError: There is no such directory or file.
    """
    if not names:
        return [Directory(b"", b"")]
    whole: set[bytes] = set()
    parts: defaultdict[bytes, set[bytes]] = defaultdict(set)
    for name in names:
        path = os.fsencode(name)
        parent, _, last = path.rpartition(b"/")
        try:
            if stat.S_ISDIR(beneath.status(parent, last).st_mode):
                os.close(beneath.open_directory(path))
                whole.add(path)
            else:
                parts[parent].add(last)
        except OSError as error:
            said = (error.strerror or str(error)).lower()
            raise UsageError(f"the source has no {name!r} that can be looked at: {said}", hint="check the path") from None
    found = [Directory(path, path) for path in sorted(whole) if not _in(path.rpartition(b"/")[0], whole)]
    found += [Directory(path, path, only=frozenset(some)) for path, some in sorted(parts.items()) if not _in(path, whole)]
    return found


def _in(path: bytes, directories: set[bytes]) -> bool:
    """Whether the path is one of the directories, or in one."""
    while path:
        if path in directories:
            return True
        path = path.rpartition(b"/")[0]
    return False
