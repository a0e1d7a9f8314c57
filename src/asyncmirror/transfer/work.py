"""What a worker is handed, and whom it tells: the values and the one Protocol between plan, transfer and engine."""

from typing import NamedTuple, Protocol

from asyncmirror.errors import AsyncmirrorError
from asyncmirror.journal.changes import Change
from asyncmirror.model import Outcome, Record
from asyncmirror.plan.decide import Action
from asyncmirror.source.walk import File


class Work(NamedTuple):
    """A file and what was decided for it. `directory` is the journal's id; `attempt` counts from 1, anew when it changed."""

    directory: int
    path: bytes
    key: str
    file: File
    action: Action
    record: Record
    attempt: int = 1
    rule: str = ""  # of `plan.secrets`, that its path is caught by

    @property
    def size(self) -> int:
        """The file's size in bytes; 0 for the record of a symbolic link, whose object is empty."""
        return 0 if self.file.target else self.file.identity.size

    def is_plain(self, size: int) -> bool:
        """Whether it is the upload of a file of fewer than `size` bytes, with nothing to look at first."""
        return self.action is Action.UPLOAD and self.size < size and not self.file.target


class Ledger(Protocol):
    """Where outcomes go: to the journal first, and once they are committed, to whoever listens."""

    def settle(self, work: Work, outcome: Outcome, reason: str = "", change: Change | None = None) -> None:
        """An entry reached its outcome; `change` is what the journal is to keep of it."""
        ...

    async def commit(self, change: Change) -> None:
        """Have the journal keep something before going on.

        Raises:
            JournalError: It could not.
        """
        ...

    def notice(self, text: str) -> None:
        """Tell the user something that is no entry's outcome."""
        ...

    def halt(self, error: AsyncmirrorError) -> None:
        """End the run because of this error, but finish what is in flight."""
        ...
