"""The door of the page: how many connections there may be, and how long one may stay that asks nothing.

Owns both bounds. They hold before a token was shown: whoever reaches the port, any user of the machine for one, could take the
descriptors that the run needs otherwise. Knows nothing of what is asked.
"""

import asyncio
import socket
from typing import cast

from aiohttp import web

from asyncmirror.http import stream

MOST = stream.MOST + 32
"""Connections at once; whoever comes later is hung up on."""
PATIENCE = 20.0
"""Seconds in which a request must be there, from the connection's beginning or from the last answer."""
_AT_ONCE = 16
"""Connections that wait to be let in. They are taken together, so that there may be as many too many."""


async def listen(server: web.Server, listening: socket.socket) -> asyncio.Server:
    """Let connections in."""

    def visitor() -> asyncio.Protocol:
        return server() if len(server.connections) < MOST else _TurnedAway()

    return await asyncio.get_running_loop().create_server(visitor, sock=listening, backlog=_AT_ONCE)


class _TurnedAway(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        cast("asyncio.Transport", transport).abort()
