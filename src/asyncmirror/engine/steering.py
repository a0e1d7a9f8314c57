"""What may be turned while a mirror goes on, and whether this process can follow.

Owns which fields of `settings.Tuning` those are. A tuning is swapped whole; how it reaches the stages is theirs.
"""

from dataclasses import fields, replace

from asyncmirror.engine.descriptors import allow
from asyncmirror.errors import UsageError
from asyncmirror.settings import Tuning

LIVE = ("concurrency", "max_memory")
"""Fields of `Tuning` that may be turned; all others are fixed when a mirror is opened."""


def flag(field: str) -> str:
    """The command-line flag of a field."""
    return "--" + field.replace("_", "-")


def turned(now: Tuning, asked: Tuning) -> tuple[str, ...]:
    """The fields that differ, in the order of `Tuning`.

    Raises:
        UsageError: One of them can't be turned. Nothing was.
    """
    names = tuple(each.name for each in fields(Tuning) if getattr(now, each.name) != getattr(asked, each.name))
    fixed = [name for name in names if name not in LIVE]
    if fixed:
        raise UsageError(f"{flag(fixed[0])} can't be turned while a run goes on", hint="it holds from the next start on")
    return names


def permit(now: Tuning, asked: Tuning) -> None:
    """See that all that differs may be turned, and raise this process's limit of open files where that needs it.

    Raises:
        UsageError: Something differs that can't be turned, or more files would have to be open than the system allows.
    """
    if not turned(now, asked):
        return
    most = replace(asked, concurrency=max(asked.concurrency, now.concurrency))
    fitted, _ = allow(most)
    if fitted.concurrency < asked.concurrency:
        raise UsageError(
            f"--concurrency {asked.concurrency} needs more open files than the system allows (ulimit -n)",
            hint=f"at most {fitted.concurrency}",
        )
