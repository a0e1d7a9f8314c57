"""What each sub-command does, as far as the command line goes: what was given becomes what is asked, and its room is begun.

Owns that step, a function for each of `cli.commands`, and the table of them. Imports nothing heavy: what a sub-command needs is
imported when it runs, so that ``--version`` and ``--help`` answer at once.
"""

import argparse
import contextlib
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from asyncmirror.cli import stdout
from asyncmirror.cli.command_options import MIRROR, SILENT
from asyncmirror.cli.gather import Gathered, Invocation, from_environment, gather
from asyncmirror.errors import UsageError
from asyncmirror.plan.prices import quote
from asyncmirror.settings import Settings

if TYPE_CHECKING:
    from asyncmirror.cli.commands import Options
    from asyncmirror.http.site import Site

Run: TypeAlias = Callable[[argparse.Namespace, Mapping[str, str]], int]
"""Takes the arguments and the environment, and gives the exit code."""

_NO_FILE = "there is no asyncmirror.toml here"
_INIT = "asyncmirror init writes one"


def _given(arguments: argparse.Namespace, environ: Mapping[str, str]) -> Gathered:
    """What was given, by flags and by the environment."""
    options: Options = arguments.options
    named = (option for group in options.values() for option in group if option not in SILENT)
    return gather(arguments.given, from_environment(named, environ))


def _meant(arguments: argparse.Namespace, environ: Mapping[str, str]) -> "tuple[Gathered, str | None, str | None]":
    """What was given, with source and destination: those of the mirror file where the command line names no destination."""
    if arguments.destination is None:
        from asyncmirror.cli import mirror_file  # noqa: PLC0415  lazily: see above

        return mirror_file.meant(arguments, environ)
    if stray := [each.origin for each in arguments.given if each.option in MIRROR]:
        raise UsageError(f"{stray[0]} is for a mirror file, and a destination is given", hint="leave one of them out")
    return _given(arguments, environ), arguments.source, arguments.destination


def _places(arguments: argparse.Namespace, environ: Mapping[str, str]) -> "tuple[Gathered, str, str]":
    """As `_meant`, of a command that can't do without either."""
    gathered, source, destination = _meant(arguments, environ)
    if source is None or destination is None:
        raise UsageError(f"SOURCE and s3://BUCKET[/PREFIX] must be given: {_NO_FILE}", hint=_INIT)
    return gathered, source, destination


def _of_journal(arguments: argparse.Namespace, environ: Mapping[str, str]) -> "tuple[Gathered, str | None, str | None]":
    """As `_meant`, of a command that needs nothing but the journal: where one is named, a mirror file says nothing to it."""
    if arguments.source is None and any(each.option.name == "journal" for each in arguments.given):
        return _given(arguments, environ), None, None
    return _meant(arguments, environ)


def _asked(arguments: argparse.Namespace, environ: Mapping[str, str]) -> tuple[Invocation, Gathered]:
    """The settings of a command that mirrors, how it is told, and what was given."""
    gathered, source, destination = _places(arguments, environ)
    settings = gathered.settings(source, destination)
    asked = Invocation(
        settings,
        gathered.output(),
        watch=gathered.sections.get("watch", {}).get("schedule"),
        prices=quote(settings.objects.storage_class, **gathered.sections.get("plan", {})),
        reread=(lambda: _asked(arguments, environ)[0]) if arguments.destination is None else None,
        notices=gathered.sections.get("mirror", {}).get("unheeded", ()),
    )
    return asked, gathered


def _changed(asked: Invocation, change: Callable[[Settings], Settings]) -> Invocation:
    """The same with other settings, however often it is read again."""
    again = asked.reread
    reread = None if again is None else lambda: _changed(again(), change)
    return replace(asked, settings=change(asked.settings), reread=reread)


def _sync(arguments: argparse.Namespace, environ: Mapping[str, str]) -> int:
    asked, gathered = _asked(arguments, environ)
    if asked.watch and (asked.settings.dry_run or "batches" in gathered.sections):
        other = "--dry-run" if asked.settings.dry_run else "--batches"
        raise UsageError(f"--watch and {other} can't be had together", hint="leave one of them out")
    with _ready(asked, environ) as ready:
        if "batches" not in gathered.sections:
            return ready.mirror(asked)

        from asyncmirror.cli import batches  # noqa: PLC0415  lazily: see above

        return batches.run(gathered, asked, ready.mirror, ready.site)


def _retry(arguments: argparse.Namespace, environ: Mapping[str, str]) -> int:
    asked = _changed(_asked(arguments, environ)[0], lambda settings: replace(settings, retry_failed=True, only_failed=True))
    with _ready(asked, environ) as ready:
        return ready.mirror(asked)


def _adopt(arguments: argparse.Namespace, environ: Mapping[str, str]) -> int:
    asked = _changed(_asked(arguments, environ)[0], lambda settings: replace(settings, adopt=True, send=False, probe=False))
    with _ready(asked, environ) as ready:
        return ready.mirror(asked)


def _init(arguments: argparse.Namespace, _environ: Mapping[str, str]) -> int:
    from asyncmirror.cli import mirror_file  # noqa: PLC0415  lazily: see above

    return mirror_file.init(arguments.file or "asyncmirror.toml")


class _Ready(NamedTuple):
    """What runs a sync, and the page that tells of it."""

    mirror: Callable[[Invocation], int]
    site: "Site | None"


@contextlib.contextmanager
def _ready(invocation: Invocation, environ: Mapping[str, str]) -> Iterator[_Ready]:
    """What runs such a sync, prepared for it; where a page is asked for, it is served until the block ends."""
    output = invocation.output
    if output.json:
        stdout.need()

    from asyncmirror.cli import log_file, logs, screen, sync, taps  # noqa: PLC0415  lazily: see above
    from asyncmirror.engine.mirror import Mirror  # noqa: PLC0415

    redact = logs.Redactor(environ, output.notify)
    file = log_file.choose(output, invocation.settings.source, redact)
    logs.configure(output.log_level, redact, file)
    with contextlib.ExitStack() as stack:
        site = None
        if output.http is not None:
            from asyncmirror.cli import page  # noqa: PLC0415  lazily: see above

            site = stack.enter_context(page.serving(output.http, output, environ))

        def mirror(each: Invocation) -> int:
            return sync.run(each, screen.choose(each.output, environ), Mirror, taps.choose(each, environ, file, site))

        yield _Ready(mirror, site)


def _told_of(arguments: argparse.Namespace, environ: Mapping[str, str]) -> tuple[Gathered, str | None, str | None]:
    """As `_of_journal`, of a command that answers on stdout; what is logged is as it should be from then on."""
    gathered, source, destination = _of_journal(arguments, environ)
    stdout.need()

    from asyncmirror.cli import logs  # noqa: PLC0415  lazily: see above

    logs.configure(gathered.output().log_level, logs.Redactor(environ))
    return gathered, source, destination


def _status(arguments: argparse.Namespace, environ: Mapping[str, str]) -> int:
    from asyncmirror.cli import status  # noqa: PLC0415  lazily: see above

    return status.run(*_told_of(arguments, environ))


def _history(arguments: argparse.Namespace, environ: Mapping[str, str]) -> int:
    from asyncmirror.cli import history  # noqa: PLC0415  lazily: see above

    return history.run(*_told_of(arguments, environ))


def _problems(arguments: argparse.Namespace, environ: Mapping[str, str]) -> int:
    from asyncmirror.cli import problems  # noqa: PLC0415  lazily: see above

    return problems.run(*_told_of(arguments, environ))


def _ctl(arguments: argparse.Namespace, environ: Mapping[str, str]) -> int:
    from asyncmirror.cli import ctl  # noqa: PLC0415  lazily: see above

    order = ctl.place(arguments)
    return ctl.run(order, *_told_of(arguments, environ))


def _top(arguments: argparse.Namespace, environ: Mapping[str, str]) -> int:
    gathered, source, destination = _of_journal(arguments, environ)

    from asyncmirror.cli import logs, running, screen, top  # noqa: PLC0415  lazily: see above

    output = gathered.output()
    logs.configure(output.log_level, logs.Redactor(environ))
    return top.run(running.find(gathered, source, destination), screen.choose(output, environ))


def _located(arguments: argparse.Namespace, environ: Mapping[str, str]) -> tuple[Gathered, str | None, str]:
    """What was given, with source and destination, of a command that can do without the source."""
    named = arguments.destination
    if named is not None and arguments.source is None and ":" not in named:  # no URL at all: meant as it is with sync
        from asyncmirror.cli import mirror_file  # noqa: PLC0415  lazily: see above

        if not mirror_file.knows(arguments, environ, named):
            raise UsageError(f"s3://BUCKET[/PREFIX] must be given, not {named!r}: {_NO_FILE}", hint=_INIT)
        raise UsageError(f"{named!r} is a release, and {arguments.command} looks at the whole mirror", hint="leave it out")
    gathered, source, destination = _meant(arguments, environ)
    if destination is None:
        raise UsageError(f"s3://BUCKET[/PREFIX] must be given: {_NO_FILE}", hint=_INIT)
    if arguments.destination is None and source is not None and not os.path.isdir(source):
        source = None  # neither the root nor an alias is there: the journal tells what it was of
    return gathered, source, destination


def _plan(arguments: argparse.Namespace, environ: Mapping[str, str]) -> int:
    gathered, source, destination = _places(arguments, environ)
    stdout.need()

    from asyncmirror.cli import forecast, logs  # noqa: PLC0415  lazily: see above

    logs.configure(gathered.output().log_level, logs.Redactor(environ))
    return forecast.run(gathered, source, destination)


def _doctor(arguments: argparse.Namespace, environ: Mapping[str, str]) -> int:
    from asyncmirror.cli import doctor, logs, mirror_file  # noqa: PLC0415  lazily: see above

    gathered, places = mirror_file.places(arguments, environ)
    stdout.need()
    redact = logs.Redactor(environ)
    logs.configure(gathered.output().log_level, redact)
    return doctor.run(gathered, places, redact)


def _verify(arguments: argparse.Namespace, environ: Mapping[str, str]) -> int:
    gathered, source, destination = _located(arguments, environ)
    stdout.need()

    from asyncmirror.cli import logs, meter, verify  # noqa: PLC0415  lazily: see above

    output = gathered.output()
    logs.configure(output.log_level, logs.Redactor(environ))
    return verify.run(verify.asked(gathered, destination, source), output, meter.choose(output, environ))


def _find(arguments: argparse.Namespace, environ: Mapping[str, str]) -> int:
    from asyncmirror.cli import mirror_file, release  # noqa: PLC0415  lazily: see above

    gathered, tree = mirror_file.tree(arguments, environ, arguments.root)
    return release.find(gathered, tree)


def _batch(arguments: argparse.Namespace, environ: Mapping[str, str]) -> int:
    from asyncmirror.cli import mirror_file, release  # noqa: PLC0415  lazily: see above

    gathered, tree = mirror_file.tree(arguments, environ, arguments.tree)
    return release.batch(gathered, tree)


def _gc(arguments: argparse.Namespace, environ: Mapping[str, str]) -> int:
    gathered, source, destination = _located(arguments, environ)
    stdout.need()

    from asyncmirror.cli import collect, logs  # noqa: PLC0415  lazily: see above

    output = gathered.output()
    logs.configure(output.log_level, logs.Redactor(environ))
    return collect.run(collect.asked(gathered, destination, source), output)


def _export(arguments: argparse.Namespace, environ: Mapping[str, str]) -> int:
    gathered, source, destination = _of_journal(arguments, environ)

    from asyncmirror.cli import export, logs  # noqa: PLC0415  lazily: see above

    logs.configure(gathered.output().log_level, logs.Redactor(environ))
    return export.run(gathered, source, destination)


RUNS: Mapping[str, Run] = {
    "sync": _sync,
    "plan": _plan,
    "status": _status,
    "ctl": _ctl,
    "top": _top,
    "doctor": _doctor,
    "verify": _verify,
    "adopt": _adopt,
    "history": _history,
    "problems": _problems,
    "retry-failed": _retry,
    "gc": _gc,
    "export": _export,
    "find": _find,
    "batch": _batch,
    "init": _init,
}
"""What each of `COMMANDS` does."""
