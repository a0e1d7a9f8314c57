"""The account of a show: what was done and seen, a line each, as it happens, and whether all of it was as it must be.

Owns how it looks and what it comes to. `held` is where a promise is checked; what is merely told is `said`.
"""

import sys
import time
from collections.abc import Callable


def _print(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


_SHOWN = 1000
"""Characters of what is wrong."""


class Account:
    """Tells, and remembers what was wrong. `write` takes a line."""

    def __init__(self, write: Callable[[str], object] = _print) -> None:
        self._write = write
        self._began = time.monotonic()
        self.wrong: list[str] = []

    def head(self, text: str) -> None:
        """What comes next."""
        self._write(f"\n{text}")

    def said(self, label: str, text: object) -> None:
        """Something seen."""
        self._write(f"   {label:<50}{f'{text:,}' if isinstance(text, int) else text}")

    def held(self, label: str, text: object, good: bool) -> None:  # noqa: FBT001  it stands last, and is the point
        """Something that must be so."""
        told = f"{text:,}" if isinstance(text, int) else str(text)
        self.said(label, told if good else f"{told[:_SHOWN]}   <-- WRONG")
        if not good:
            self.wrong.append(label)

    def end(self) -> int:
        """What it comes to; gives the exit code."""
        told = f"{len(self.wrong)} WRONG: {'; '.join(self.wrong)}" if self.wrong else "all as it must be"
        self._write(f"\n{told} ({time.monotonic() - self._began:.0f} s)")
        return 1 if self.wrong else 0
