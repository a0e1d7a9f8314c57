"""Crash points: the moments of a run at which a `kill -9` may leave something behind, numbered as they are passed.

Owns where they are: before and after every request (after: the store did it, nobody has seen the answer yet), before and after
every transaction of the journal, at every question to it, at each step of its making and opening, at its closing, and before
and after lines are told. To be installed in a process that is thrown away: it puts itself between the product's rooms.
"""

import functools
import os
import signal
import sqlite3
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import pytest

from asyncmirror.cli import json_lines
from asyncmirror.errors import StoreError
from asyncmirror.journal.belongs import Belongs
from asyncmirror.journal.changes import Change
from asyncmirror.journal.writer import Journal
from asyncmirror.model import (
    Algorithm,
    Body,
    Checksum,
    Properties,
    Receipt,
    RemoteObject,
    RemotePart,
    RemoteUpload,
    Stored,
    Visibility,
)
from asyncmirror.settings import Settings
from asyncmirror.store import assemble
from asyncmirror.store.awake import Awake
from asyncmirror.store.limits import Limits
from asyncmirror.store.port import Store

if TYPE_CHECKING:
    from concurrent.futures import Future

T = TypeVar("T")
_STEPS = ("COMMIT", "PRAGMA", "CREATE")


class Points:
    """Counts the points of this process, and kills it at one of them."""

    def __init__(self, at: int, note: Path) -> None:
        """Set the point.

        Args:
            at: Its number, from 1; 0: none.
            note: The file that says which point it was.
        """
        self._at = at
        self._note = note
        self._passed = 0
        self._turn = threading.Lock()

    def reach(self, name: str) -> None:
        """Pass a point, or end there."""
        with self._turn:
            self._passed += 1
            if self._passed == self._at:
                self._note.write_text(name, encoding="utf-8")
                os.kill(os.getpid(), signal.SIGKILL)

    def install(self) -> None:
        """Put the points between the rooms of the product, for all that this process does from now on."""
        decorate, write = assemble._decorate, json_lines._write

        def decorated(
            adapter: Store,
            settings: Settings,
            limits: Limits,
            clock: Awake,
            *,
            keeps_time: bool = False,
            keeps_pace: bool = False,
        ) -> assemble.Assembled:
            return decorate(_Store(adapter, self), settings, limits, clock, keeps_time=keeps_time, keeps_pace=keeps_pace)

        def written(descriptor: int, piece: bytearray) -> None:
            self.reach("before lines are told")
            write(descriptor, piece)
            self.reach("after lines are told")

        replace = os.replace

        def replaced(old: str, new: str) -> None:
            self.reach("before the journal is there")
            replace(old, new)
            self.reach("after the journal is there")

        class Opened(_Journal):
            points = self

        class Connected(_Connection):
            points = self

        patch = pytest.MonkeyPatch()
        patch.setattr("asyncmirror.store.assemble._decorate", decorated)
        patch.setattr("sqlite3.connect", functools.partial(sqlite3.connect, factory=Connected))
        patch.setattr("asyncmirror.cli.json_lines._write", written)
        patch.setattr("asyncmirror.journal.schema.os.replace", replaced)
        patch.setattr("asyncmirror.engine.mirror.Journal", Opened)


class _Journal(Journal):
    """A journal with a point at every call."""

    points: Points

    def __init__(self, path: Path, belongs: Belongs, *, read_only: bool = False) -> None:
        self.points.reach("before the journal is opened")
        super().__init__(path, belongs, read_only=read_only)
        self.points.reach("after the journal was opened")

    def ask(self, function: Callable[[sqlite3.Connection], T]) -> "Future[T]":
        self.points.reach("before a question to the journal")
        return super().ask(function)

    def submit(self, changes: Sequence[Change]) -> "Future[None]":
        self.points.reach(f"before the journal is given {' '.join(sorted({type(change).__name__ for change in changes}))}")
        return super().submit(changes)

    def begin_run(self) -> "Future[None]":
        self.points.reach("before the journal is told that a run begins")
        return super().begin_run()

    def end_run(self, summary: Mapping[str, object] | None) -> "Future[None]":
        self.points.reach("before the journal is told that the run has ended")
        return super().end_run(summary)

    def close(self) -> None:
        self.points.reach("before the journal is closed")
        super().close()
        self.points.reach("after the journal was closed")


class _Connection(sqlite3.Connection):
    """A connection with a point on either side of each COMMIT (after it, nobody was told yet) and each step of opening."""

    points: Points

    def execute(self, sql: str, parameters: Any = (), /) -> sqlite3.Cursor:
        if not sql.lstrip().startswith(_STEPS):
            return super().execute(sql, parameters)
        self.points.reach(f"before {sql.strip()}")
        cursor = super().execute(sql, parameters)
        self.points.reach(f"after {sql.strip()}")
        return cursor


class _Store:
    """A store with a point on either side of every request. Implements `port.Store`."""

    def __init__(self, store: Store, points: Points) -> None:
        self._store = store
        self._points = points

    async def _asked(self, op: str, answer: Awaitable[T]) -> T:
        self._points.reach(f"before {op}")
        given = await answer
        self._points.reach(f"after {op}")
        return given

    async def _listed(self, op: str, items: AsyncIterator[T]) -> AsyncIterator[T]:
        self._points.reach(f"before {op}")
        async for item in items:
            yield item
        self._points.reach(f"after {op}")

    async def put_object(self, key: str, body: Body, checksum: Checksum, properties: Properties) -> Stored:
        return await self._asked("PutObject", self._store.put_object(key, body, checksum, properties))

    async def upload_part(self, key: str, upload_id: str, number: int, body: Body, checksum: Checksum) -> str:
        return await self._asked("UploadPart", self._store.upload_part(key, upload_id, number, body, checksum))

    async def create_multipart_upload(self, key: str, algorithm: Algorithm, properties: Properties) -> str:
        return await self._asked("CreateMultipartUpload", self._store.create_multipart_upload(key, algorithm, properties))

    async def complete_multipart_upload(
        self, key: str, upload_id: str, receipts: Sequence[Receipt], size: int, checksum: Checksum
    ) -> Stored:
        answer = self._store.complete_multipart_upload(key, upload_id, receipts, size, checksum)
        return await self._asked("CompleteMultipartUpload", answer)

    async def abort_multipart_upload(self, key: str, upload_id: str) -> None:
        await self._asked("AbortMultipartUpload", self._store.abort_multipart_upload(key, upload_id))

    def list_parts(self, key: str, upload_id: str) -> AsyncIterator[RemotePart]:
        return self._listed("ListParts", self._store.list_parts(key, upload_id))

    async def head_object(self, key: str) -> RemoteObject | None:
        return await self._asked("HeadObject", self._store.head_object(key))

    def get_object(self, key: str, start: int = 0, etag: str = "") -> AsyncIterator[bytes]:
        return self._listed("GetObject", self._store.get_object(key, start, etag))

    def list_objects(self, prefix: str, after: str = "") -> AsyncIterator[RemoteObject]:
        return self._listed("ListObjectsV2", self._store.list_objects(prefix, after))

    def list_multipart_uploads(self, prefix: str) -> AsyncIterator[RemoteUpload]:
        return self._listed("ListMultipartUploads", self._store.list_multipart_uploads(prefix))

    async def delete_object(self, key: str) -> None:
        await self._asked("DeleteObject", self._store.delete_object(key))

    async def delete_objects(self, keys: Sequence[str]) -> Mapping[str, StoreError]:
        return await self._asked("DeleteObjects", self._store.delete_objects(keys))

    async def check_bucket(self, prefix: str) -> None:
        await self._asked("the first request", self._store.check_bucket(prefix))

    async def visibility(self) -> Visibility:
        return await self._asked("GetBucketPolicyStatus", self._store.visibility())
