"""Who follows a `sync` beside the screen and the JSON lines, by what was asked for and by what the environment offers.

Owns the choice; each follower is a `Tap` in a room of its own, imported when it is wanted. Knows no engine.
"""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from asyncmirror.cli.circumstances import Circumstances
from asyncmirror.cli.gather import Invocation
from asyncmirror.cli.log_file import LogFile
from asyncmirror.cli.tap import Tap

if TYPE_CHECKING:
    from asyncmirror.http.site import Site


def choose(
    invocation: Invocation, environ: Mapping[str, str], log: LogFile | None, site: "Site | None" = None
) -> Iterator[Tap]:
    """The taps for these wishes, in the order in which they are told. `log` and `site` are the file and the page asked for."""
    yield Circumstances(invocation)
    if "NOTIFY_SOCKET" in environ:
        from asyncmirror.cli.sd_notify import Supervisor  # noqa: PLC0415  few have one
        from asyncmirror.cli.supervised import Supervised  # noqa: PLC0415

        if supervisor := Supervisor(environ):
            yield Supervised(supervisor)
    if log is not None:
        from asyncmirror.cli.story import Story  # noqa: PLC0415  few ask for it

        yield Story(log.form)
    if wanted := invocation.output.notify:
        from asyncmirror.cli.deliver import target  # noqa: PLC0415  few ask for it
        from asyncmirror.cli.notify import Notify  # noqa: PLC0415

        yield Notify([target(each, invocation.settings.connection.ca_bundle, environ) for each in wanted])
    if site is not None:
        from asyncmirror.cli.page import Told  # noqa: PLC0415  an HTTP server takes a tenth of a second to import

        yield Told(site)
