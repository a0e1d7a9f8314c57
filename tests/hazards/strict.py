"""A tree, the strict server, and runs of a `Mirror` between them through the product's own store: real sockets, real files."""

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from asyncmirror.engine.mirror import Mirror
from asyncmirror.events import Event
from asyncmirror.settings import Connection, Destination, Settings, Tuning
from asyncmirror.sizes import MIB
from asyncmirror.testing import Fault, FaultPlan, Kind, LoggedRequest, S3Server
from tests.engine.house import Ran

PART = 5 * MIB
TUNING = Tuning(
    concurrency=8, part_size=PART, multipart_threshold=PART, max_memory=64 * MIB, max_attempts=6, request_timeout=30.0
)
ONCE = replace(TUNING, max_attempts=1)
"""No second attempt: what one answer alone leads to."""
PARTS = bytes(range(256)) * (11 * MIB // 256)
"""A file of three parts."""


class Strict:
    """One source, one server, one journal."""

    def __init__(self, path: Path, server: S3Server) -> None:
        self.server = server
        self.root = path / "tree"
        self.root.mkdir()
        self.journal = path / "journal.sqlite"
        destination, connection = Destination("bucket", "pre"), Connection(endpoint_url=server.url)
        # Without the probe: what goes wrong is counted by request.
        self.settings = Settings(self.root, destination, connection, tuning=TUNING, journal=self.journal, probe=False)

    def write(self, name: str, data: bytes) -> Path:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        return path

    def inject(self, *faults: Fault) -> None:
        self.server.inject(FaultPlan(faults))

    def fault(self, op: str, kind: Kind, **rule: object) -> None:
        self.inject(Fault(op, kind, **rule))  # type: ignore[arg-type]  # the names are the fault's own

    async def run(self, *, watch: Callable[[Mirror, Event], None] | None = None, **changes: object) -> Ran:
        """A run to its end; `changes` are fields of the settings."""
        events: list[Event] = []
        async with Mirror(replace(self.settings, **changes)) as mirror:  # type: ignore[arg-type]  # the settings' own names
            async for event in mirror.run():
                events.append(event)
                if watch is not None:
                    watch(mirror, event)
        return Ran(events)

    @property
    def count(self) -> int:
        """How many requests have ended: what `since` begins at."""
        return len(self.server.requests)

    def since(self, start: int = 0) -> list[LoggedRequest]:
        return list(self.server.requests[start:])

    def ops(self, start: int = 0) -> Counter[str]:
        return Counter(request.op for request in self.since(start))

    def bodies(self, start: int = 0) -> list[LoggedRequest]:
        return [request for request in self.since(start) if request.op in ("PutObject", "UploadPart")]

    def stored(self) -> dict[str, bytes]:
        return {key: bytes(found.body) for key, found in self.server.objects("bucket").items()}

    def tree(self) -> dict[str, bytes]:
        """What must be stored: every file by the key it gets."""
        files = (path for path in self.root.rglob("*") if path.is_file() and not path.is_symlink())
        return {f"pre/{path.relative_to(self.root)}": path.read_bytes() for path in files}
