"""The run."""

from collections.abc import AsyncIterator
from types import TracebackType
from typing import Self

from asyncmirror.events import Event, Progress
from asyncmirror.settings import Settings


class Mirror:
    """Mirrors one tree into one bucket: ``async with Mirror(settings) as mirror: async for event in mirror.run(): …``."""

    def __init__(self, settings: Settings) -> None:
        raise NotImplementedError

    async def __aenter__(self) -> Self:
        """Open the journal and the store, and check both."""
        raise NotImplementedError

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close both."""

    def run(self) -> AsyncIterator[Event]:
        """Do it; the last event is always a `Summary`."""
        raise NotImplementedError

    def drain(self) -> None:
        """Begin nothing new, finish the requests in flight, then end; resumable. From the loop's thread."""

    def stop(self) -> None:
        """End at once; resumable. From the loop's thread."""

    def progress(self) -> Progress:
        """The gauges now."""
        raise NotImplementedError
