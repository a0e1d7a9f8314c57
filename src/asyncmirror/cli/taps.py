"""Who follows a `sync` beside the screen and the JSON lines, by what was asked for and by what the environment offers.

Owns the choice; each follower is a `Tap` in a room of its own, imported when it is wanted. Knows no engine.
"""

from collections.abc import Iterator, Mapping

from asyncmirror.cli.gather import Invocation
from asyncmirror.cli.tap import Tap


def choose(invocation: Invocation, environ: Mapping[str, str]) -> Iterator[Tap]:  # noqa: ARG001  nobody asks for one yet
    """The taps for these wishes and this environment, in the order in which they are told."""
    yield from ()
