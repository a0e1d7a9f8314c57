"""The run in numbers: a fold over its events.

Owns the counts per outcome, what exit code they come to, and the words of a summary. Pure but for its own sums.
"""

from collections import Counter
from collections.abc import Iterable, Sequence

from asyncmirror.events import Deletions, Event, Fate, Settled, Summary, Unchanged
from asyncmirror.model import Outcome

_SKIPPED = (Outcome.CHANGED, Outcome.UNREADABLE, Outcome.UNSUPPORTED, Outcome.REFUSED)


class Tally:
    """Entries and bytes per outcome."""

    def __init__(self) -> None:
        self.counts: Counter[Outcome] = Counter()
        self.bytes: Counter[Outcome] = Counter()

    def add(self, events: Iterable[Event]) -> None:
        """Take in events."""
        for event in events:
            if isinstance(event, Settled):
                self.counts[event.outcome] += 1
                self.bytes[event.outcome] += event.size
            elif isinstance(event, Unchanged):
                self.counts[Outcome.UNCHANGED] += len(event.files)
                self.bytes[Outcome.UNCHANGED] += sum(size for _, size in event.files)

    @property
    def exit_code(self) -> int:
        """0: all complete, unchanged or excluded; 1: some transfers failed; 3: entries skipped, changed or unreadable."""
        if self.counts[Outcome.FAILED]:
            return 1
        return 3 if any(self.counts[outcome] for outcome in _SKIPPED) else 0


def deletion_code(deletions: Deletions | None) -> int:
    """0: all that was to be deleted is; 1: the store did not delete some; 3: something was left, or all of it."""
    if deletions is None:
        return 0
    if deletions.counts.get(Fate.FAILED):
        return 1
    return 3 if deletions.refusal or deletions.counts.get(Fate.LEFT) else 0


def worst(*codes: int) -> int:
    """Of several exit codes the one that comes first: 1 before 3 before 0."""
    return min(filter(None, codes), default=0)


def summarize(summary: Summary, *, whole: bool = True, within: Sequence[str] = ()) -> dict[str, object]:
    """A summary as the journal keeps it: the words of ``--json``, whether it was of the whole source, or of all `within` it."""
    names = {outcome.name.lower(): summary.counts.get(outcome, 0) for outcome in Outcome}
    return {
        **names,
        "bytes_sent": summary.bytes_sent,
        "bytes_total": summary.bytes_total,
        "requests": summary.requests,
        "seconds": round(summary.seconds, 3),
        "exit_code": summary.exit_code,
        "stopped": summary.stopped,
        "whole": whole,
        "within": list(within),
        **({"error": summary.error} if summary.error else {}),
        **({} if summary.deletions is None else {"deleted": summary.deletions.counts.get(Fate.DELETED, 0)}),
    }
