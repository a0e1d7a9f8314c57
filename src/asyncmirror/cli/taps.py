"""Who follows a `sync` beside the screen and the JSON lines, by what was asked for and by what the environment offers.

Owns the choice; each follower is a `Tap` in a room of its own, imported when it is wanted. Knows no engine.
"""

from collections.abc import Iterator, Mapping

from asyncmirror.cli.log_file import LogFile
from asyncmirror.cli.tap import Tap


def choose(environ: Mapping[str, str], log: LogFile | None) -> Iterator[Tap]:
    """The taps for these wishes, in the order in which they are told. `log` is the file that was asked for."""
    if "NOTIFY_SOCKET" in environ:
        from asyncmirror.cli.sd_notify import Supervisor  # noqa: PLC0415  few have one
        from asyncmirror.cli.supervised import Supervised  # noqa: PLC0415

        if supervisor := Supervisor(environ):
            yield Supervised(supervisor)
    if log is not None:
        from asyncmirror.cli.story import Story  # noqa: PLC0415  few ask for it

        yield Story(log.form)
