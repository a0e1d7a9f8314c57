"""Answering whoever asks this process something, or tells it to do something, over its socket.

Owns the protocol and its bounds: one request a connection, a line of JSON ``{"do": COMMAND, …}``; for an answer one line of
JSON (a line now and then, for who looks on), ``{"error": …}`` where it can't be. Only this process's user, or root, is listened
to. No request disturbs the run, whatever it is. What the commands are, who serves them says; `engine.asking` is the other end.
"""

import asyncio
import contextlib
import json
import logging
import os
import socket
import struct
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping
from typing import NamedTuple, TypeAlias

from asyncmirror.engine.endpoint import Endpoint
from asyncmirror.errors import AsyncmirrorError, UsageError

LONGEST = 64 << 10
"""Bytes of a request."""
PATIENCE = 5.0
"""Seconds in which a request must be there."""
_READ = 30.0
"""Seconds in which a piece of an answer must be taken."""
_PIECE = 256 << 10
_MOST = 32
"""Connections at once: more are turned away, for who holds them up must not hold up everybody."""
_LAST_WORD = 1.0
"""Seconds for what is on its way when the process is done."""
_CREDENTIALS = struct.Struct("3i")
"""pid, uid, gid: ``struct ucred`` of Linux, unix(7)."""
_EXHAUSTED = 1.0
"""Seconds until the next try where no connection can be accepted: too many files are open."""


class Peer(NamedTuple):
    """Who asks."""

    pid: int
    uid: int

    def __str__(self) -> str:
        return f"process {self.pid} (uid {self.uid})"


Request: TypeAlias = Mapping[str, object]
Command: TypeAlias = Callable[[Request, Peer], Awaitable[object]]
"""Gives what can be written as JSON, or an asynchronous generator of such: then each is told when it is there.

It may raise any `AsyncmirrorError`, which is told.
"""


class Control:
    """The commands, and the connections. Belongs to one event loop.

    Attributes:
        closing: Set when the process is done: who looks on gets a last line and is let go.
    """

    def __init__(self) -> None:
        self.closing = asyncio.Event()
        self._commands: dict[str, Command] = {}
        self._talks: set[asyncio.Task[None]] = set()
        self._told: set[asyncio.Task[None]] = set()

    def serve(self, name: str, command: Command) -> None:
        """Have a command."""
        self._commands[name] = command

    @contextlib.asynccontextmanager
    async def listening(self, endpoint: Endpoint | None) -> AsyncIterator[None]:
        """Answer until the block ends; at None there is nobody to answer."""
        accepting = [] if endpoint is None else [asyncio.create_task(self._accept(endpoint.socket))]
        try:
            yield
        finally:
            self.closing.set()
            for task in accepting:
                task.cancel()
            if self._told:
                await asyncio.wait(self._told, timeout=_LAST_WORD)
            for task in (*accepting, *self._talks):
                task.cancel()  # whoever connects and asks nothing must not hold up the run's end
            if left := {*accepting, *self._talks}:
                await asyncio.wait(left)

    async def _accept(self, listener: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                connection, _ = await loop.sock_accept(listener)
            except OSError:
                await asyncio.sleep(_EXHAUSTED)
                continue
            talk = loop.create_task(self._talk(connection, crowded=len(self._talks) >= _MOST))
            self._talks.add(talk)
            talk.add_done_callback(self._talks.discard)
            talk.add_done_callback(self._told.discard)

    async def _talk(self, connection: socket.socket, *, crowded: bool) -> None:
        """One connection, from its request to its end."""
        writer: asyncio.StreamWriter | None = None
        try:
            peer = _peer(connection)
            reader, writer = await asyncio.open_connection(sock=connection, limit=LONGEST)
            try:
                async with asyncio.timeout(PATIENCE):
                    line = await reader.readline()
                if peer.uid not in (os.geteuid(), 0):
                    raise UsageError("this process belongs to another user")
                if crowded:
                    raise UsageError(f"{_MOST} others are talking to this process", hint="try again")
                await self._answer(read_request(line), writer, peer)
            except ValueError:
                await _write(writer, _error(UsageError(f"the request is longer than {LONGEST:,} bytes")))
                await _discard(reader)
            except AsyncmirrorError as error:
                await _write(writer, _error(error))
        except (OSError, TimeoutError):
            pass  # whoever asked has gone, or does not listen
        finally:
            if writer is None:
                connection.close()
            else:
                writer.close()

    async def _answer(self, request: Request, writer: asyncio.StreamWriter, peer: Peer) -> None:
        command, task = self._command(request), asyncio.current_task()
        assert task is not None
        self._told.add(task)
        try:
            answer = await command(request, peer)
            if isinstance(answer, AsyncGenerator):
                async with contextlib.aclosing(answer):
                    async for each in answer:
                        await _write(writer, each)
            else:
                await _write(writer, answer)
        except (AsyncmirrorError, OSError, TimeoutError):
            raise
        except Exception as error:
            logging.getLogger(__name__).exception("an error that should not be")
            raise AsyncmirrorError(f"internal error: {type(error).__name__}: {error}") from error

    def _command(self, request: Request) -> Command:
        name = request["do"]
        found = self._commands.get(name) if isinstance(name, str) else None
        if found is None:
            raise UsageError(
                f"{str(name)[:40]!r} is nothing that this process does", hint=f"it does: {', '.join(self._commands)}"
            )
        return found


def read_request(line: bytes) -> Request:
    """A request.

    Raises:
        UsageError: It is none.
    """
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        raise UsageError("the request is no line of JSON") from None
    if not isinstance(found, dict) or "do" not in found:
        raise UsageError("the request does not say what to do")
    return found


async def _discard(reader: asyncio.StreamReader) -> None:
    """Take what is still coming: closed with something unread, the answer would be lost."""
    async with asyncio.timeout(_LAST_WORD):
        while await reader.read(LONGEST):
            pass


def _peer(connection: socket.socket) -> Peer:
    """Who is at the other end, by the kernel's word."""
    pid, uid, _ = _CREDENTIALS.unpack(connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size))
    return Peer(pid, uid)


def _error(error: AsyncmirrorError) -> object:
    return {"error": error.message, "op": error.op, "path": error.path, "hint": error.hint, "exit_code": error.exit_code}


async def _write(writer: asyncio.StreamWriter, value: object) -> None:
    """Write a line, in pieces that must each be taken in time."""
    line = json.dumps(value).encode("ascii") + b"\n"
    for start in range(0, len(line), _PIECE):
        if writer.is_closing():  # uvloop calls it an error of ours to write then
            raise ConnectionResetError
        writer.write(line[start : start + _PIECE])
        async with asyncio.timeout(_READ):
            await writer.drain()
