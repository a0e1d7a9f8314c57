"""The addresses an endpoint's name stands for, and how well each of them does.

Owns resolving at intervals, and the choice of the address for the next connection: the least loaded of the healthy ones.
An address that refused or broke a connection is set aside for a time that doubles with each failure. Makes no connection.
"""

import asyncio
import socket
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeAlias, cast

from asyncmirror.errors import UnreachableError

SocketName: TypeAlias = tuple[str, int] | tuple[str, int, int, int]
SocketAddress: TypeAlias = tuple[int, SocketName]
"""An address family and what `socket.connect` takes for it."""
Resolver: TypeAlias = Callable[[str, int], Awaitable[Sequence[SocketAddress]]]

_FIRST_PAUSE = 0.5  # seconds set aside after the first failure
_LONGEST_PAUSE = 60.0
_SOONEST = 1.0  # seconds between two look-ups, however badly the addresses do


async def resolve(host: str, port: int) -> Sequence[SocketAddress]:
    """Ask the system's resolver for all addresses, in its order."""
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys((int(family), cast("SocketName", name)) for family, _, _, _, name in found))


class Address:
    """One address: how many connections it carries and until when (the loop's time) it is set aside."""

    __slots__ = ("aside_until", "failures", "family", "load", "name")

    def __init__(self, family: int, name: SocketName) -> None:
        self.family = family
        self.name = name
        self.load = 0
        self.failures = 0
        self.aside_until = 0.0

    def succeeded(self) -> None:
        """A request was answered."""
        self.failures = 0
        self.aside_until = 0.0

    def failed(self, now: float) -> None:
        """A connection was refused or broke. Failures at one moment, of connections made together, count as one."""
        if now < self.aside_until:
            return
        self.aside_until = now + min(_FIRST_PAUSE * 2.0**self.failures, _LONGEST_PAUSE)
        self.failures += 1


class Addresses:
    """All addresses of one name.

    Args:
        host: The name or the numeric address.
        port: The port.
        interval: Seconds after which the name is looked up again, when a connection is next made.
        resolver: Looks a name up; raises OSError where it can't.
    """

    def __init__(self, host: str, port: int, *, interval: float = 60.0, resolver: Resolver = resolve) -> None:
        self._host = host
        self._port = port
        self._interval = interval
        self._resolver = resolver
        self._known: dict[SocketAddress, Address] = {}
        self._fresh_until = 0.0
        self._lock = asyncio.Lock()

    async def current(self) -> list[Address]:
        """All addresses, at least one.

        Raises:
            UnreachableError: The name does not resolve, and never did.
        """
        loop = asyncio.get_running_loop()
        async with self._lock:
            if loop.time() >= self._fresh_until:
                await self._look_up()
                self._fresh_until = loop.time() + self._interval
        return list(self._known.values())

    async def _look_up(self) -> None:
        try:
            found = await self._resolver(self._host, self._port)
        except OSError as error:
            found, why = [], str(error)
        else:
            why = "it has no address"
        if found:
            self._known = {key: self._known.get(key) or Address(*key) for key in found}
        elif not self._known:  # a resolver that fails later does not take away what is known
            raise UnreachableError(f"{self._host} does not resolve: {why}", hint="check --endpoint-url and the network")

    def doubt(self) -> None:
        """An address failed: look the name up again soon."""
        soon = asyncio.get_running_loop().time() + _SOONEST
        self._fresh_until = min(self._fresh_until, soon)


def choose(addresses: Sequence[Address], now: float) -> Address:
    """The healthy address with the fewest connections; where none is healthy, the one that is so again first."""
    healthy = [address for address in addresses if address.aside_until <= now]
    if healthy:
        return min(healthy, key=lambda address: address.load)
    return min(addresses, key=lambda address: address.aside_until)
