"""What becomes of an object on record whose file a whole scan did not find, and when nothing may be deleted at all.

| in the source, at the path on record                    | decision                                             |
| ------------------------------------------------------- | ---------------------------------------------------- |
| a file: it may be excluded, refused, unreadable, changed | keep                                                 |
| a symbolic link, whatever `--symlinks` says             | keep: what it stood for may have moved elsewhere     |
| a FIFO, a socket, a device                              | keep: somebody should look                           |
| a symbolic link in place of a directory above it        | keep: as above                                       |
| a directory                                             | delete: no file has this path                        |
| nothing; its directory is gone; a file in its place     | delete                                               |

and of what would be deleted by that

| the path …                                              | decision                                             |
| ------------------------------------------------------- | ---------------------------------------------------- |
| is left out by a rule (`--exclude`, no `--include`)     | keep: what is left out is left alone, on either side |
| has the key of another file on record (`--remap`)       | keep: the object is that one's                       |

The same rows stand in tests/plan/test_deletion.py. What can't be looked at is no row: then nothing is deleted. Pure: knows no
journal, no store and no file system, only what they said. docs/deletion.md tells users.
"""

from collections.abc import Mapping
from enum import Enum

from asyncmirror.model import Outcome
from asyncmirror.settings import MaxDelete


class Sight(Enum):
    """What is at a path, as `lstat` tells."""

    FILE = "a file"
    LINK = "a symbolic link is there"
    LINK_ABOVE = "a symbolic link is in place of its directory"
    SPECIAL = "something is there that is no file"
    DIRECTORY = "a directory"
    NOTHING = "nothing"


_KEPT = frozenset({Sight.FILE, Sight.LINK, Sight.LINK_ABOVE, Sight.SPECIAL})
_ERRORS = (Outcome.UNREADABLE, Outcome.CHANGED, Outcome.FAILED)
"""After these a scan is not without error: what was not read or not stored may be the new place of what is gone."""


def keeps(sight: Sight, *, excluded: str = "", shared: bool = False) -> str:
    """Why an object stays; empty where it goes.

    Args:
        sight: What is at its path.
        excluded: The rule that leaves its path out; empty: none.
        shared: Whether another file on record has its key.
    """
    if sight in _KEPT:
        return sight.value
    return excluded or ("its key is another file's" if shared else "")


def hindered(outcomes: Mapping[Outcome, int]) -> str:
    """Why nothing may be deleted after a run whose entries ended so; empty where it may.

    Entries that were excluded, refused or of no use to S3 do not hinder: that was decided, and nothing about them is unknown.
    """
    told = [f"{outcomes[outcome]:,} {outcome.name.lower()}" for outcome in _ERRORS if outcomes.get(outcome)]
    if not told:
        return ""
    return f"the run had errors: {', '.join(told)} (mend or --exclude them, and run the same command again)"


def refuses(gone: int, objects: int, there: int, most: MaxDelete) -> str:
    """Why so many may not be deleted; empty where they may.

    Args:
        gone: Objects that would be deleted.
        objects: Objects on record of what was looked at.
        there: Those of them that have something at their path.
        most: How many are allowed.
    """
    if gone and not there:
        return f"none of the files of {objects:,} objects on record is in the source (is it mounted?)"
    allowed = most.allows(objects)
    if gone > allowed:
        return (
            f"{gone:,} of {objects:,} objects would go, and --max-delete {most} allows {allowed:,}"
            " (look at them with --dry-run; if all is well, raise --max-delete)"
        )
    return ""
