"""``--http``: the page of a run, as one of its followers.

Owns when the page begins and ends, and what it is told: it lives as long as the command, which may be many runs. What it looks
like, and who may look, is `asyncmirror.http`'s. The only room that imports that, but for the form of an address.
"""

import contextlib
from collections.abc import Iterator, Mapping
from types import TracebackType
from typing import ClassVar

from asyncmirror.cli import stderr
from asyncmirror.cli.gather import Output
from asyncmirror.cli.tap import Mirroring, Tap
from asyncmirror.events import Event, Progress
from asyncmirror.http.access import find_token
from asyncmirror.http.address import Address
from asyncmirror.http.site import Site
from asyncmirror.text import show_line


@contextlib.contextmanager
def serving(address: Address, output: Output, environ: Mapping[str, str]) -> Iterator[Site]:
    """Serve the page until the block ends, and say where.

    Raises:
        UsageError: The address can't be had, or the token is none.
    """
    with Site(address, find_token(environ, output.http_token_file)) as site:
        if not output.quiet:
            how = " (it asks for the token)" if site.needs_token else ""
            stderr.write([f"asyncmirror: {show_line(site.url)} shows how far it is{how}"])
        yield site


class Told(Tap):
    """Tells the page of one mirror's runs."""

    interval: ClassVar[float | None] = 0.5

    def __init__(self, site: Site) -> None:
        self._site = site

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Ask the journal no more."""
        self._site.detach()

    async def opened(self, mirror: Mirroring) -> None:
        """Have the page ask this mirror's journal."""
        self._site.attach(mirror.ask)

    def tell(self, event: Event) -> None:
        """Pass it on."""
        self._site.tell(event)

    async def look(self, progress: Progress) -> None:
        """Pass it on."""
        self._site.look(progress)
