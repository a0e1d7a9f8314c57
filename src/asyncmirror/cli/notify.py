"""``--notify``: what follows a run for a person who is not there.

Owns when alerts are made and that they are delivered one after the other, beside the run and, at its end, before the process
ends. That somebody could not be told is logged and changes nothing else. What is worth telling is `cli.worth`'s, how it gets
there `cli.deliver`'s.
"""

import asyncio
import contextlib
import logging
import os
import socket
import time
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import ClassVar, Self

import asyncmirror
from asyncmirror.cli.deliver import Target, environment
from asyncmirror.cli.json_lines import dump
from asyncmirror.cli.log_file import moment
from asyncmirror.cli.tap import Tap
from asyncmirror.cli.worth import Alert, Worth
from asyncmirror.errors import OutputError
from asyncmirror.events import Event, Progress, Started

_log = logging.getLogger(__name__)
_WAITING = 20
"""Alerts that wait at most: those after them are not told, because what they would tell is old by then."""
_FAREWELL = 90.0
"""Seconds that the end of the process waits for the last alert."""


class Notify(Tap):
    """Tells these targets."""

    interval: ClassVar[float | None] = 10.0

    def __init__(self, targets: Sequence[Target]) -> None:
        self._targets = targets
        self._worth = Worth()
        self._started: Started | None = None
        self._alerts: asyncio.Queue[Alert] = asyncio.Queue(_WAITING)
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        """Be ready to deliver."""
        self._task = asyncio.create_task(self._deliver())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Tell what ended the command, and see the last alert delivered."""
        assert self._task is not None
        self._tell(self._worth.last(error))
        delivered = asyncio.create_task(self._alerts.join())
        await asyncio.wait([delivered, self._task], timeout=_FAREWELL, return_when=asyncio.FIRST_COMPLETED)
        if not delivered.done():
            _log.warning("nobody could be told of all of it")
        for task in (delivered, self._task):
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    def tell(self, event: Event) -> None:
        """Tell it, if it is worth telling."""
        if isinstance(event, Started):
            self._started = event
        self._tell(self._worth.event(event, time.monotonic()))

    async def look(self, progress: Progress) -> None:  # noqa: ARG002  time is what counts
        """Tell what has become worth telling."""
        self._tell(self._worth.moment(time.monotonic()))

    def stopping(self, *, at_once: bool) -> None:
        """Give up what is on its way, if somebody is in such a hurry."""
        if at_once and self._task is not None:
            self._task.cancel()

    def _tell(self, alert: Alert | None) -> None:
        if alert is not None:
            try:
                self._alerts.put_nowait(alert)
            except asyncio.QueueFull:
                _log.warning("not told, because others wait: %s", alert.text)

    async def _deliver(self) -> None:
        while True:
            alert = await self._alerts.get()
            fields = self._fields(alert)
            body, variables = dump(fields), environment(fields)
            for target in self._targets:
                try:
                    await target.deliver(body, variables)
                except OutputError as error:
                    _log.warning("somebody could not be told: %s", error)
            self._alerts.task_done()

    def _fields(self, alert: Alert) -> Mapping[str, object]:
        told = {"kind": alert.kind, "level": alert.level, "text": alert.text, "time": moment(time.time())}
        process = {"host": socket.gethostname(), "pid": os.getpid(), "version": asyncmirror.__version__}
        started = self._started._asdict() if self._started else {}
        code = {} if alert.exit_code is None else {"exit_code": alert.exit_code}
        return {**told, **process, **started, **code, **alert.fields}
