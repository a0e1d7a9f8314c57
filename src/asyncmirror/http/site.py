"""The life of the page: a thread with a loop of its own, from ``--http`` to the end of the process.

Owns the socket, the thread, and the way from the run to what is told: the run's thread posts events and readings, this one
keeps them. A loop of its own because it outlives each run's (a queue of batches is a run each), because a page must not hold
up a request to the store, and because only somebody else can tell that the run's loop has stopped turning. Nothing that goes
wrong here ends a run.
"""

import asyncio
import contextlib
import logging
import secrets
import socket
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from types import TracebackType
from typing import Protocol, Self, TypeVar

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from asyncmirror.errors import JournalError, UsageError
from asyncmirror.events import Deletion, DeletionBegun, Event, Progress, Settled, Started, Summary, Unchanged
from asyncmirror.http import api, door, health, picture
from asyncmirror.http.access import Access, is_loopback
from asyncmirror.http.address import Address
from asyncmirror.http.api import Instance
from asyncmirror.http.application import application
from asyncmirror.http.history import History
from asyncmirror.http.picture import PROBLEMS_KEPT, Batches, Phase, Picture
from asyncmirror.http.stream import Streams
from asyncmirror.model import PROBLEMS

T = TypeVar("T")
_TICK = 1.0
"""Seconds between two messages to a browser while a run goes on."""
_QUIET = 15
"""Ticks between two messages where nothing changes, so that a lost connection is noticed."""
_ANSWERED = 60.0
"""Seconds to wait for the journal."""
_TAIL = 5
"""Seconds of history in each message: a browser may have missed some."""
_LEAVING = 2.0
"""Seconds for browsers to read the last message."""
_log = logging.getLogger(__name__)
_requests = logging.getLogger(f"{__name__}.requests")
# Whoever reaches the port could fill a log with requests that are none.
_requests.addFilter(lambda record: not (record.exc_info and isinstance(record.exc_info[1], HttpProcessingError)))


class Asking(Protocol):
    """What answers questions about the journal, from any thread, while it is open."""

    def __call__(self, question: Callable[[sqlite3.Connection], T], /) -> "Future[T]":
        """Have it answered; the future fails with `JournalError`."""
        ...


class Site:
    """Serves the page. `with Site(address, token) as site:`; its methods are for the run's thread.

    Args:
        address: Where.
        token: What must be shown; None: nothing, which is for loopback only.

    Raises:
        UsageError: The address can't be had, or needs a token.
    """

    def __init__(self, address: Address, token: str | None) -> None:
        self._socket = _listen(address, token)
        host, port = self._socket.getsockname()[:2]
        self.address = Address(host, port)
        self._access = Access(token, port)
        self._keeper = _Keeper()
        self._recent: deque[Settled] = deque(maxlen=PROBLEMS_KEPT)
        self._thread = threading.Thread(target=self._serve, name="http", daemon=True)
        self._ready: Future[None] = Future()

    @property
    def url(self) -> str:
        """Where the page is, as a browser on this machine finds it."""
        return f"http://{self.address}/"

    @property
    def needs_token(self) -> bool:
        """Whether a token must be shown."""
        return self._access.needs_token

    def __enter__(self) -> Self:
        self._thread.start()
        self._ready.result()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._flush()
        self._post(self._keeper.close, "" if error is None else str(error) or type(error).__name__)
        self._thread.join()

    def attach(self, ask: Asking) -> None:
        """A mirror is open: its journal may be asked."""
        self._post(self._keeper.attach, ask)

    def detach(self) -> None:
        """The journal may no longer be asked."""
        self._post(self._keeper.attach, None)

    def tell(self, event: Event) -> None:
        """Something happened."""
        # Of what comes by the thousand, only problems are kept, and handed over together.
        if isinstance(event, Settled):
            if event.outcome in PROBLEMS:
                self._recent.append(event)
        elif not isinstance(event, Unchanged | DeletionBegun | Deletion):
            self._flush()
            self._post(self._keeper.tell, event, time.time())

    def look(self, progress: Progress) -> None:
        """The gauges at this moment."""
        self._flush()
        self._post(self._keeper.look, progress, time.time())

    def work_off(self, batches: Batches) -> None:
        """A batch of a queue begins, or the last one has ended."""
        self._post(self._keeper.work_off, batches)

    def _flush(self) -> None:
        while self._recent:
            self._post(self._keeper.tell, self._recent.popleft(), 0.0)

    def _post(self, function: Callable[..., None], *arguments: object) -> None:
        _post(self._keeper.loop, function, *arguments)

    def _serve(self) -> None:
        try:
            asyncio.run(self._keeper.serve(self._socket, self._access, self._ready))
        except Exception as error:  # noqa: BLE001  a page that can't be served is no reason to end a run
            if self._ready.done():
                _log.warning("the page is gone: %r", error)
            else:
                self._ready.set_exception(error)


class _Keeper:
    """What is known, and who is told. All of it is the thread's, but for what says otherwise."""

    loop: asyncio.AbstractEventLoop

    def __init__(self) -> None:
        self.picture = Picture()
        self.history = History()
        self.streams = Streams()
        self._instance = Instance(secrets.token_hex(8), time.time())
        self._over = asyncio.Event()
        self._ask: Asking | None = None
        self._read_at = self._moved_at = time.monotonic()
        self._owed_since: float | None = None
        self._told: object = None

    async def serve(self, listening: socket.socket, access: Access, ready: "Future[None]") -> None:
        """Serve until `close`."""
        self.loop = asyncio.get_running_loop()
        runner = web.AppRunner(
            application(self, access),
            handle_signals=False,
            logger=_requests,
            access_log=None,
            shutdown_timeout=_LEAVING,
            handler_cancellation=True,  # a listener that goes away makes room at once
            keepalive_timeout=door.PATIENCE,
        )
        await runner.setup()
        assert runner.server is not None
        server = await door.listen(runner.server, listening)
        try:
            ready.set_result(None)
            quiet = 0
            while not self._over.is_set():
                quiet = 0 if self._broadcast(due=quiet >= _QUIET) else quiet + 1
                self._examine_journal()
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._over.wait(), _TICK)
            self._broadcast(due=True)
            self.streams.close()
        finally:
            server.close()
            await runner.cleanup()

    def attach(self, ask: Asking | None) -> None:
        self._ask, self._owed_since = ask, None
        self._read_at = self._moved_at = time.monotonic()

    def tell(self, event: Event, now: float) -> None:
        self.picture = picture.fold(self.picture, event, now)
        if isinstance(event, Summary):
            self.history.observe(now, self.picture.progress)  # what was done since the last reading
        elif isinstance(event, Started):
            self.history.begin()
            self._read_at = self._moved_at = time.monotonic()

    def look(self, progress: Progress, now: float) -> None:
        before, self.picture = self.picture.progress, picture.observe(self.picture, progress)
        if self.picture.phase is Phase.RUNNING:
            self.history.observe(now, progress)
        self._read_at = time.monotonic()
        if _moving(progress) != _moving(before):
            self._moved_at = self._read_at

    def work_off(self, batches: Batches) -> None:
        self.picture = self.picture._replace(batches=batches)

    def close(self, error: str) -> None:
        self.picture = picture.close(self.picture, error)
        self._ask = None
        self._over.set()

    def health(self) -> health.Health:
        now = time.monotonic()
        owed = 0.0 if self._owed_since is None else now - self._owed_since
        return health.examine(self.picture, health.Ages(now - self._read_at, owed, now - self._moved_at))

    def status(self) -> bytes:
        now = time.time()
        told = api.status(self.picture, self.health(), self._instance, now)
        # The second that is not over is left out: it would be told again with other figures.
        tail = self.history.series(now - _TAIL, now - _TICK, _TAIL)
        return api.dump({**told, "points": api.points(tail.points)})

    async def ask(self, question: Callable[[sqlite3.Connection], T]) -> T:
        if self._ask is None:
            raise JournalError("the journal is not open at this moment")
        return await asyncio.wait_for(asyncio.wrap_future(self._ask(question)), _ANSWERED)

    def _broadcast(self, *, due: bool) -> bool:
        """Tell everybody, if there is anything new; whether there was."""
        if not (due or self.picture.phase is Phase.RUNNING or self.picture is not self._told):
            return False
        self._told = self.picture
        if len(self.streams):
            self.streams.send("status", self.status())
        return True

    def _examine_journal(self) -> None:
        """See that the journal still answers: ask it something now and then, one question at a time."""
        if self._ask is None or self._owed_since is not None:
            return
        self._owed_since = time.monotonic()
        asked = self._ask(lambda _: None)
        asked.add_done_callback(lambda _: _post(self.loop, self._answered))

    def _answered(self) -> None:
        self._owed_since = None


def _post(loop: asyncio.AbstractEventLoop, function: Callable[..., None], *arguments: object) -> None:
    """Have a function called in the thread of a loop; not at all where that has ended."""
    with contextlib.suppress(RuntimeError):
        loop.call_soon_threadsafe(function, *arguments)


def _moving(progress: Progress) -> tuple[int, ...]:
    return progress.scanned, progress.requests, progress.bytes_sent, sum(progress.settled.values())


def _listen(address: Address, token: str | None) -> socket.socket:
    """A listening socket.

    Raises:
        UsageError: It can't be had, or whoever can reach it could look without a token.
    """
    try:
        family, kind, protocol, _, where = socket.getaddrinfo(
            address.host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except OSError as error:
        raise UsageError(f"--http {address}: {error.strerror or error}", hint="give an address of this machine") from None
    if token is None and not is_loopback(str(where[0])):
        raise UsageError(
            f"--http {address}: others can reach this address, so that a token is needed",
            hint="set ASYNCMIRROR_HTTP_TOKEN or --http-token-file, or listen on 127.0.0.1",
        )
    listening = socket.socket(family, kind, protocol)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(where)
        listening.listen(128)
    except OSError as error:
        listening.close()
        raise UsageError(
            f"--http {address}: {error.strerror or error}", hint="is this mirror run already? else choose another port"
        ) from None
    listening.setblocking(False)  # noqa: FBT003  its only argument, by position only
    return listening
