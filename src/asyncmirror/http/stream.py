"""Telling browsers what happens as it happens: server-sent events (WHATWG HTML, "Server-sent events").

Owns who listens and how a message reaches them. A listener that is slow misses messages, and gets the newest: each tells all
that there is to know. Knows nothing of what is told.
"""

import asyncio
import contextlib

from aiohttp import web

MOST = 64
"""Listeners at once: each is a browser's window."""
_PATIENCE = 30.0
"""Seconds that a listener may take to read a message."""
_AGAIN = b"retry: 1000\n\n"
"""Milliseconds after which a browser connects again."""


class _Listener:
    """A place for one message."""

    def __init__(self) -> None:
        self.message = b""
        self.ready = asyncio.Event()


class Streams:
    """All who listen. Methods belong to one loop."""

    def __init__(self) -> None:
        self._listeners: set[_Listener] = set()
        self._over = False

    def __len__(self) -> int:
        return len(self._listeners)

    def send(self, kind: str, data: bytes) -> None:
        """Tell all who listen. The data is in one line."""
        message = b"event: %s\ndata: %s\n\n" % (kind.encode(), data)
        for listener in self._listeners:
            listener.message = message
            listener.ready.set()

    def close(self) -> None:
        """Let everybody go once they have read the last message; whoever comes now is let go at once."""
        self._over = True
        for listener in self._listeners:
            listener.ready.set()

    async def serve(self, request: web.Request, first: bytes) -> web.StreamResponse:
        """Tell one browser, beginning with a message, until it goes away or all is over."""
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream", "X-Accel-Buffering": "no"})
        listener = _Listener()
        self._listeners.add(listener)
        try:
            await response.prepare(request)
            await response.write(_AGAIN + first)
            while not self._over:
                await listener.ready.wait()
                listener.ready.clear()
                message, listener.message = listener.message, b""
                if message:
                    async with asyncio.timeout(_PATIENCE):
                        await response.write(message)
        except (TimeoutError, ConnectionError):
            pass  # it has gone away
        finally:
            self._listeners.discard(listener)
        with contextlib.suppress(ConnectionError):
            await response.write_eof()
        return response
