"""What a journal says, read from a copy with other means than the product's: the next run finds it as the last one left it.

Owns the reading. Only the keys that paths get are the product's word.
"""

import contextlib
import shutil
import sqlite3
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

from asyncmirror.plan import keys
from tests.acceptance.evidence import Piece

State = tuple[int, int, int, int]
"""Of a file: inode, size, mtime and ctime in ns; what the journal tells states of a file apart by."""


class Record(NamedTuple):
    """`objects`: each complete one's CRC-64/NVME, by key. `receipts`: the ETag of each confirmed part.

    `uploads`: which state of the file each unfinished upload is of, and its id, empty between intent and Create's answer.
    """

    objects: dict[str, bytes]
    receipts: dict[Piece, str]
    uploads: dict[str, tuple[State, str]]

    @property
    def confirmed(self) -> set[Piece]:
        """All that is never to be sent again while its file stays as it is."""
        return {(key, 0) for key in self.objects} | self.receipts.keys()


NOTHING = Record({}, {}, {})


def read(journal: Path) -> Record:
    """Read a journal that no process has open."""
    if not journal.exists():
        return NOTHING
    with tempfile.TemporaryDirectory(prefix="asyncmirror-journal-") as name:
        copy = Path(name)
        for path in (journal, journal.with_name(f"{journal.name}-wal")):
            if path.exists():
                shutil.copy(path, copy)
        with contextlib.closing(sqlite3.connect(copy / journal.name)) as connection:
            if not connection.execute("SELECT * FROM sqlite_schema WHERE name = 'receipt'").fetchone():
                return NOTHING  # killed before there was one

            def rows(table: str, columns: str) -> list[tuple[str, tuple[Any, ...]]]:
                found = connection.execute(
                    f"SELECT d.path, t.name, {columns} FROM {table} t JOIN directory d ON d.id = t.directory"
                )
                return [(keys.directory_prefix("", path) + keys.encode(name), rest) for path, name, *rest in found]

            return Record(
                {key: digest for key, (digest,) in rows("object", "digest")},
                {(key, number): etag for key, (number, etag) in rows("receipt", "number, etag")},
                {key: (tuple(state), upload_id) for key, (upload_id, *state) in rows("upload", _UPLOAD)},
            )


_UPLOAD = "upload_id, t.ino, t.size, t.mtime_ns, t.ctime_ns"
