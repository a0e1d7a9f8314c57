"""A journal that is damaged, cut short or something else: opened, asked, shown."""

import os
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from hypothesis import strategies as st

from asyncmirror import checksum
from asyncmirror.cli import status as shown
from asyncmirror.cli.json_lines import dump
from asyncmirror.engine.status import read_status
from asyncmirror.errors import AsyncmirrorError
from asyncmirror.journal.belongs import Belongs
from asyncmirror.journal.changes import Begin, Complete, Fail, Receive
from asyncmirror.journal.schema import connect
from asyncmirror.journal.writer import Journal
from asyncmirror.model import Algorithm, Completed, Identity, Outcome, Problem, Receipt, Upload
from asyncmirror.plan.parts import parts
from tests.fuzz.pure import one_line
from tests.fuzz.target import Target

PAGE = 4096
_OF = Belongs("/tree", "s3://bucket", "")
_SUM = checksum.compute(Algorithm.CRC64NVME, b"x")
_NAMES = [b"name %d \xff" % number for number in range(40)]


def make(path: Path, *, open_run: bool = False) -> None:
    """A journal with some rows of each kind; `open_run`: as a killed run leaves it, with the rows in the write-ahead log."""
    journal = Journal(path, _OF)
    journal.begin_run()
    directory = journal.known(b"dir\xff", None).directory
    identity = Identity(1, 2, 3, 4, 5)
    upload = Upload("id", "nonce", 5 << 20, Algorithm.CRC64NVME)
    journal.submit([Complete(directory, name, Completed(identity, _SUM, "etag", 0), clears=False) for name in _NAMES])
    journal.submit([Begin(directory, name, identity, upload) for name in _NAMES[:10]])
    journal.submit([Receive(directory, name, Receipt(1, 5 << 20, "etag", _SUM)) for name in _NAMES[:10]])
    journal.submit([Fail(directory, name, Problem(identity, Outcome.FAILED, "why", True)) for name in _NAMES[:20]]).result()  # noqa: FBT003
    if open_run:
        for suffix in ("", "-wal"):
            shutil.copy(f"{path}{suffix}", f"{path}.copy{suffix}")
    journal.end_run({"exit_code": 0, "stopped": False})
    journal.close()
    if open_run:
        for suffix in ("", "-wal"):
            os.replace(f"{path}.copy{suffix}", f"{path}{suffix}")


def use(path: Path) -> None:
    """All that a run and `status` do with a journal: it works, or it is one of our errors."""
    try:
        status = read_status(path)
        for line in shown.lines(status):
            one_line(line)
        dump(shown.to_json(status))
    except AsyncmirrorError as error:
        assert error.exit_code in (2, 4), error
    try:
        journal = Journal(path, _OF)
    except AsyncmirrorError as error:
        assert error.exit_code in (2, 4), error
        return
    try:
        journal.begin_run().result()
        journal.known(b"dir\xff", None)
        known = journal.known(b"dir\xff", _NAMES)
        for record in journal.records(known.directory, _NAMES).values():
            if record.uploading is not None:
                upload = record.uploading.upload
                assert next(parts(1 << 20, upload.part_size)).length
                checksum.of_parts(upload.algorithm, upload.receipts)
        journal.submit(
            [Complete(known.directory, b"new", Completed(Identity(1, 2, 3, 4, 5), _SUM, "e", 0), clears=True)]
        ).result()
        journal.end_run({"exit_code": 0}).result()
    except AsyncmirrorError as error:
        assert error.exit_code == 4, error
    finally:
        try:
            journal.close()
        except AsyncmirrorError as error:
            assert error.exit_code == 4, error


class Damage(NamedTuple):
    """What is done to a file: bytes written at places (told as parts of its size), then cut to a part of its length."""

    killed: bool
    log: bool
    writes: list[tuple[float, bytes]]
    length: float = 1.0


class Query(NamedTuple):
    """A row written by SQL: damage that SQLite can't see."""

    statement: str
    value: object


def damaged(data: bytes, damage: Damage) -> bytes:
    """The bytes of a file afterwards."""
    made = bytearray(data)
    for place, piece in damage.writes:
        at = int(place * len(made))
        made[at : at + len(piece)] = piece
    return bytes(made[: int(damage.length * len(made))])


_COLUMNS = (
    "UPDATE meta SET value = ? WHERE key = 'destination'",
    "UPDATE meta SET key = ? WHERE key = 'endpoint'",
    "UPDATE object SET algorithm = ?",
    "UPDATE object SET digest = ?",
    "UPDATE object SET etag = ?",
    "UPDATE object SET size = ?",
    "UPDATE upload SET algorithm = ?",
    "UPDATE upload SET part_size = ?",
    "UPDATE upload SET upload_id = ?",
    "UPDATE upload SET size = ?",
    "UPDATE receipt SET digest = ?",
    "UPDATE receipt SET size = ?",
    "UPDATE problem SET outcome = ?",
    "UPDATE problem SET reason = ?",
    "UPDATE problem SET size = ?",
    "UPDATE run SET started = ?",
    "UPDATE run SET ended = ?",
    "UPDATE run SET summary = ?",
    "UPDATE run SET host = ?",
    "UPDATE run SET pid = ?",
    "UPDATE directory SET path = ?",
)
_CELLS: st.SearchStrategy[object] = (
    st.integers(-(1 << 63), (1 << 63) - 1)
    | st.sampled_from([0, -1, 1 << 62])
    | st.floats(allow_nan=False)
    | st.text(st.characters(codec="utf-8"), max_size=8)
    | st.sampled_from(
        ["[" * 9000, "{}", "[]", '{"exit_code": "\x1b[2J", "stopped": 1}', '{"stopped": true}', "\x1b[2J\n", "SHA256"]
    )
    | st.binary(max_size=40)
)
_DAMAGES: st.SearchStrategy[Damage | Query] = st.builds(
    Damage,
    st.booleans(),
    st.booleans(),
    st.lists(
        st.tuples(st.floats(0, 1), st.binary(min_size=1, max_size=6) | st.sampled_from([b"\0" * PAGE, b"\xff" * 8])), max_size=4
    ),
    st.just(1.0) | st.floats(0, 1),
) | st.builds(Query, st.sampled_from(_COLUMNS), _CELLS)


@contextmanager
def _journals(work: Path) -> Iterator[Callable[[Damage | Query], None]]:
    kept = {}
    for killed in (False, True):
        made = work / f"made-{killed}"
        make(made, open_run=killed)
        kept[killed] = made.read_bytes(), Path(f"{made}-wal").read_bytes() if killed else b""
    path = work / "journal"

    def check(damage: Damage | Query) -> None:
        for old in work.glob("journal*"):
            old.unlink()
        if isinstance(damage, Query):
            path.write_bytes(kept[False][0])
            connection = connect(path)
            try:
                connection.execute(damage.statement, (damage.value,))
            except sqlite3.Error:
                return  # of another type than the column
            finally:
                connection.close()
        else:
            data, log = kept[damage.killed]
            path.write_bytes(data if damage.log else damaged(data, damage))
            if damage.killed:
                Path(f"{path}-wal").write_bytes(damaged(log, damage) if damage.log else log)
        use(path)

    yield check


TARGETS: tuple[Target[Any], ...] = (Target("journal", _DAMAGES, _journals, 60),)
