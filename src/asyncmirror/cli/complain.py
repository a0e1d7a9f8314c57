"""How an error is told: one line on stderr, escaped, without credentials."""

import os
import sys

from asyncmirror.cli.text import show_line


def complain(text: str) -> None:
    """Write ``asyncmirror: text``."""
    from asyncmirror.cli.logs import Redactor  # noqa: PLC0415  logging is slow to import, and most commands end well

    sys.stderr.write(f"asyncmirror: {show_line(Redactor(os.environ)(text))}\n")
