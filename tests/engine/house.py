"""A tree, a store and a journal to run a `Mirror` on."""

import asyncio
import os
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from asyncmirror.engine.mirror import Mirror
from asyncmirror.events import Event, Settled, Summary, Unchanged
from asyncmirror.model import Algorithm, Body, Checksum, Outcome, Properties, Receipt, RemoteObject, RemoteUpload, Stored
from asyncmirror.settings import Destination, Settings, Tuning
from asyncmirror.sizes import MIB
from asyncmirror.store.memory import MemoryStore

PART = 5 * MIB
TUNING = Tuning(
    concurrency=8,
    auto=False,
    part_size=PART,
    multipart_threshold=2 * PART,
    max_memory=64 * MIB,
    max_attempts=2,
    retry_window=1.0,
)


class Ran:
    """What a run told."""

    def __init__(self, events: list[Event]) -> None:
        self.events = events
        last = events[-1]
        assert isinstance(last, Summary)
        self.summary = last
        self.settled = {event.path: event for event in events if isinstance(event, Settled)}
        self.unchanged = {
            (event.directory + b"/" + name) if event.directory else name
            for event in events
            if isinstance(event, Unchanged)
            for name, _ in event.files
        }

    def outcome(self, path: bytes) -> Outcome:
        if path in self.unchanged:
            return Outcome.UNCHANGED
        return self.settled[path].outcome

    def count(self, outcome: Outcome) -> int:
        return self.summary.counts.get(outcome, 0)


class Sent(NamedTuple):
    """A request that the store was asked to carry out."""

    op: str
    key: str
    part: int


class Watched(MemoryStore):
    """A memory store that notes every change asked of it, and does something first where it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.sent: list[Sent] = []
        self.before: Callable[[Sent], None] = lambda _: None
        self.after: Callable[[Sent], None] = lambda _: None

    @contextmanager
    def _noted(self, op: str, key: str, part: int = 0) -> Iterator[None]:
        sent = Sent(op, key, part)
        self.sent.append(sent)
        self.before(sent)
        yield
        self.after(sent)

    async def put_object(self, key: str, body: Body, checksum: Checksum, properties: Properties) -> Stored:
        await asyncio.sleep(0)
        with self._noted("PutObject", key):
            return await super().put_object(key, body, checksum, properties)

    async def upload_part(self, key: str, upload_id: str, number: int, body: Body, checksum: Checksum) -> str:
        await asyncio.sleep(0)
        with self._noted("UploadPart", key, number):
            return await super().upload_part(key, upload_id, number, body, checksum)

    async def create_multipart_upload(self, key: str, algorithm: Algorithm, properties: Properties) -> str:
        with self._noted("CreateMultipartUpload", key):
            return await super().create_multipart_upload(key, algorithm, properties)

    async def complete_multipart_upload(
        self, key: str, upload_id: str, receipts: Sequence[Receipt], size: int, checksum: Checksum
    ) -> Stored:
        with self._noted("CompleteMultipartUpload", key):
            return await super().complete_multipart_upload(key, upload_id, receipts, size, checksum)

    async def abort_multipart_upload(self, key: str, upload_id: str) -> None:
        with self._noted("AbortMultipartUpload", key):
            await super().abort_multipart_upload(key, upload_id)

    async def list_multipart_uploads(self, prefix: str) -> AsyncIterator[RemoteUpload]:
        with self._noted("ListMultipartUploads", prefix):
            async for upload in super().list_multipart_uploads(prefix):
                yield upload

    async def head_object(self, key: str) -> RemoteObject | None:
        with self._noted("HeadObject", key):
            return await super().head_object(key)

    @property
    def uploads(self) -> int:
        """Uploads in progress."""
        return len(self._uploads)

    def parts_sent(self, key: str) -> list[int]:
        return [sent.part for sent in self.sent if sent.op == "UploadPart" and sent.key == key]

    def ops(self) -> Counter[str]:
        return Counter(sent.op for sent in self.sent)


class House:
    """One source, one store, one journal."""

    def __init__(self, path: Path) -> None:
        self.root = path / "tree"
        self.root.mkdir()
        self.store = Watched()
        self.settings = Settings(self.root, Destination("bucket", "pre"), tuning=TUNING, journal=path / "journal.sqlite")

    def write(self, name: str, data: bytes) -> Path:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        return path

    def options(self, **changes: object) -> Settings:
        return replace(self.settings, **changes)  # type: ignore[arg-type]  # the names are the settings' own

    async def run(self, settings: Settings | None = None, *, watch: Callable[[Mirror, Event], None] | None = None) -> Ran:
        self.store.sent.clear()
        events: list[Event] = []
        async with Mirror(settings or self.settings, self.store) as mirror:
            async for event in mirror.run():
                events.append(event)
                if watch is not None:
                    watch(mirror, event)
        return Ran(events)

    def bucket(self) -> dict[str, bytes]:
        return {key: self.store.data(key) for key in self.store.objects}

    def tree(self) -> dict[str, bytes]:
        return {
            "pre/" + os.path.relpath(os.path.join(where, name), self.root): (Path(where) / name).read_bytes()
            for where, _, names in os.walk(self.root)
            for name in names
        }
