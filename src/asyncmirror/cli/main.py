"""The command: which sub-command, and how every error becomes one line and an exit code.

Owns the parser and the last line of defence. Imports nothing heavy: what a sub-command needs is imported when it runs, so that
``--version`` and ``--help`` answer at once.
"""

import argparse
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import NoReturn

import asyncmirror
from asyncmirror.cli import stdout
from asyncmirror.cli.gather import Invocation, add_options, from_environment, gather
from asyncmirror.cli.options import ABORT, BATCH, FIND, NO_WRITE, OPTIONS, TRUST_SIZE, VERIFY
from asyncmirror.cli.stderr import complain
from asyncmirror.errors import AsyncmirrorError, UsageError

_DESCRIPTION = "Mirrors a file tree into S3-compatible storage, resumes exactly, and proves that all is there."
_EPILOG = """\
Every flag has an environment variable: --part-size is ASYNCMIRROR_PART_SIZE. The flag wins. A switch is set there by yes and
taken back by --no-SWITCH. Sizes have units: 64MiB, 5GB. Rules of --include and --exclude hold in their order; the first that
matches decides. Credentials are found as aws-cli finds them.
"""
_STATUS_OPTIONS = tuple(
    option
    for group in OPTIONS.values()
    for option in group
    if option.name in ("journal", "endpoint-url", "profile", "json", "log-level")
)
_STATUS_OUTPUT = tuple(option for option in OPTIONS["output"] if option.name in ("json", "log-level"))
_DOCTOR_OPTIONS = {
    title: tuple(option for option in group if option.field.partition(".")[0] in ("connection", "objects", "tuning", "output"))
    for title, group in OPTIONS.items()
} | {"behaviour": (NO_WRITE, *(option for option in OPTIONS["behaviour"] if option.name == "journal"))}
_VERIFY_TUNING = ("concurrency", "readers", "request-timeout", "max-attempts", "retry-window")
_VERIFY_OPTIONS = {
    "connection": (*OPTIONS["connection"], *(option for option in OPTIONS["objects"] if option.name == "request-payer")),
    "tuning": tuple(option for option in OPTIONS["tuning"] if option.name in _VERIFY_TUNING),
    "behaviour": (*VERIFY, *(option for option in OPTIONS["behaviour"] if option.name == "journal")),
    "output": OPTIONS["output"],
}
_SYNC_OPTIONS = frozenset(option for group in OPTIONS.values() for option in group)
_GC_OPTIONS = _VERIFY_OPTIONS | {
    "behaviour": (ABORT, *(option for option in OPTIONS["behaviour"] if option.name == "journal")),
    "output": _STATUS_OUTPUT,
}
_ADOPT_NAMES = ("checksum-algorithm", "request-payer", "concurrency", "scanners", "readers", "journal", "drop-cache")
_ADOPT_TUNING = ("max-memory", "request-timeout", "max-attempts", "retry-window")
_ADOPT_OPTIONS = {
    title: group
    if title in ("connection", "selection", "output")
    else tuple(option for option in group if option.name in (*_ADOPT_NAMES, *_ADOPT_TUNING))
    for title, group in OPTIONS.items()
} | {"adoption": (TRUST_SIZE,)}
_BUG = 4
_INTERRUPTED = 130


class _Parser(argparse.ArgumentParser):
    """A parser whose errors are ours."""

    def error(self, message: str) -> NoReturn:
        """Raise it: one line says what is wrong, not the whole usage."""
        raise UsageError(message, hint="--help lists what there is")


def parser() -> argparse.ArgumentParser:
    """The whole command line."""
    top = _Parser(prog="asyncmirror", description=_DESCRIPTION, allow_abbrev=False)
    top.add_argument("--version", action="version", version=f"asyncmirror {asyncmirror.__version__}")
    commands = top.add_subparsers(dest="command", metavar="COMMAND", required=True)
    sync = commands.add_parser(
        "sync",
        help="mirror a tree into a bucket; run again, it goes on where it was",
        usage="asyncmirror sync [OPTIONS] SOURCE s3://BUCKET[/PREFIX]",
        epilog=_EPILOG,
        allow_abbrev=False,
    )
    sync.add_argument("source", metavar="SOURCE", help="the directory to mirror; it is only read")
    sync.add_argument("destination", metavar="s3://BUCKET[/PREFIX]", help="where to")
    add_options(sync, OPTIONS)
    sync.set_defaults(run=_sync)
    status = commands.add_parser(
        "status",
        help="say what the journal of a mirror knows",
        usage="asyncmirror status [OPTIONS] (SOURCE s3://BUCKET[/PREFIX] | --journal FILE)",
        epilog="SOURCE, destination and connection only tell which journal is meant; nothing is sent.",
        allow_abbrev=False,
    )
    status.add_argument("source", metavar="SOURCE", nargs="?", help="as it was given to sync")
    status.add_argument("destination", metavar="s3://BUCKET[/PREFIX]", nargs="?", help="as it was given to sync")
    add_options(status, {"options": _STATUS_OPTIONS})
    status.set_defaults(run=_status)
    doctor = commands.add_parser(
        "doctor",
        help="say what a sync would meet: machine, credentials, store, file systems",
        usage="asyncmirror doctor [OPTIONS] [s3://BUCKET[/PREFIX]] [SOURCE]",
        epilog="Without arguments only machine and credentials are looked at. The options are those of sync.",
        allow_abbrev=False,
    )
    doctor.add_argument("places", metavar="s3://BUCKET[/PREFIX] SOURCE", nargs="*", help="as they would be given to sync")
    add_options(doctor, _DOCTOR_OPTIONS)
    doctor.set_defaults(run=_doctor)
    verify = commands.add_parser(
        "verify",
        help="say whether all that was mirrored is in the bucket",
        usage="asyncmirror verify [OPTIONS] s3://BUCKET[/PREFIX] [SOURCE]",
        epilog="SOURCE or --journal is needed where several journals are of one destination. Nothing is written to the bucket.",
        allow_abbrev=False,
    )
    verify.add_argument("destination", metavar="s3://BUCKET[/PREFIX]", help="as it was given to sync")
    verify.add_argument("source", metavar="SOURCE", nargs="?", help="as it was given to sync")
    add_options(verify, _VERIFY_OPTIONS)
    verify.set_defaults(run=_verify)
    find = commands.add_parser(
        "find",
        help="write the outline of a tree: every entry with its size",
        usage="asyncmirror find [OPTIONS] ROOT",
        epilog="The tree is only read. What can't be looked at is told, marked and passed over; the exit code is 3 then.",
        allow_abbrev=False,
    )
    find.add_argument("root", metavar="ROOT", help="the directory to crawl")
    add_options(find, {"options": FIND})
    find.set_defaults(run=_find)
    batch = commands.add_parser(
        "batch",
        help="divide a tree into batches of a handy size",
        usage="asyncmirror batch [OPTIONS] (SOURCE | --root DIR find.json)",
        epilog="A find.json may be of any layout; it does not say where its tree stands, so that --root has to.",
        allow_abbrev=False,
    )
    batch.add_argument("tree", metavar="SOURCE|find.json", help="a directory, or what find has written of one")
    add_options(batch, {"options": BATCH})
    batch.set_defaults(run=_batch)
    adopt = commands.add_parser(
        "adopt",
        help="take over what another program has uploaded, without sending it again",
        usage="asyncmirror adopt [OPTIONS] SOURCE s3://BUCKET[/PREFIX]",
        epilog="Sends nothing. What is not proven equal is listed, and the next sync sends it.",
        allow_abbrev=False,
    )
    adopt.add_argument("source", metavar="SOURCE", help="the directory that was uploaded; it is only read")
    adopt.add_argument("destination", metavar="s3://BUCKET[/PREFIX]", help="where to")
    add_options(adopt, _ADOPT_OPTIONS)
    adopt.set_defaults(run=_adopt)
    problems = commands.add_parser(
        "problems",
        help="list every entry that is not in the bucket, with its reason",
        usage="asyncmirror problems [OPTIONS] (SOURCE s3://BUCKET[/PREFIX] | --journal FILE)",
        epilog="SOURCE, destination and connection only tell which journal is meant; nothing is sent.",
        allow_abbrev=False,
    )
    problems.add_argument("source", metavar="SOURCE", nargs="?", help="as it was given to sync")
    problems.add_argument("destination", metavar="s3://BUCKET[/PREFIX]", nargs="?", help="as it was given to sync")
    add_options(problems, {"options": _STATUS_OPTIONS})
    problems.set_defaults(run=_problems)
    collect = commands.add_parser(
        "gc",
        help="list unfinished uploads in the bucket, and end those that are ours and of no use",
        usage="asyncmirror gc [OPTIONS] s3://BUCKET[/PREFIX] [SOURCE]",
        epilog="Without --abort nothing is changed. What the journal does not know is never touched.",
        allow_abbrev=False,
    )
    collect.add_argument("destination", metavar="s3://BUCKET[/PREFIX]", help="as it was given to sync")
    collect.add_argument("source", metavar="SOURCE", nargs="?", help="as it was given to sync")
    add_options(collect, _GC_OPTIONS)
    collect.set_defaults(run=_gc)
    return top


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command line (`sys.argv` if None) and give its exit code; docs/exit-codes.md lists them."""
    try:
        arguments = parser().parse_args(argv)
        command: Callable[[argparse.Namespace, Mapping[str, str]], int] = arguments.run
        return command(arguments, os.environ)
    except AsyncmirrorError as error:
        complain(str(error))
        return error.exit_code
    except KeyboardInterrupt:
        return _INTERRUPTED
    except SystemExit as end:  # argparse ends so after --help and --version
        return end.code if isinstance(end.code, int) else 0
    except Exception as error:  # noqa: BLE001  the last line of defence: nobody should meet a traceback unasked
        _bug(error)
        return _BUG


def _sync(arguments: argparse.Namespace, environ: Mapping[str, str]) -> int:
    gathered = gather(arguments.given, from_environment((option for group in OPTIONS.values() for option in group), environ))
    return _mirror(Invocation(gathered.settings(arguments.source, arguments.destination), gathered.output()), environ)


def _adopt(arguments: argparse.Namespace, environ: Mapping[str, str]) -> int:
    gathered = gather(
        arguments.given, from_environment((option for group in _ADOPT_OPTIONS.values() for option in group), environ)
    )
    asked = gathered.settings(arguments.source, arguments.destination)
    return _mirror(Invocation(replace(asked, adopt=True, send=False, probe=False), gathered.output()), environ)


def _mirror(invocation: Invocation, environ: Mapping[str, str]) -> int:
    if invocation.output.json:
        stdout.need()

    from asyncmirror.cli import logs, screen, sync  # noqa: PLC0415  lazily: see above
    from asyncmirror.engine.mirror import Mirror  # noqa: PLC0415

    logs.configure(invocation.output.log_level, logs.Redactor(environ))
    return sync.run(invocation, screen.choose(invocation.output, environ), Mirror)


def _status(arguments: argparse.Namespace, environ: Mapping[str, str]) -> int:
    gathered = gather(arguments.given, from_environment(_STATUS_OPTIONS, environ))
    stdout.need()

    from asyncmirror.cli import logs, status  # noqa: PLC0415  lazily: see above

    logs.configure(gathered.output().log_level, logs.Redactor(environ))
    return status.run(gathered, arguments.source, arguments.destination)


def _doctor(arguments: argparse.Namespace, environ: Mapping[str, str]) -> int:
    gathered = gather(
        arguments.given, from_environment((option for group in _DOCTOR_OPTIONS.values() for option in group), environ)
    )
    stdout.need()

    from asyncmirror.cli import doctor, logs  # noqa: PLC0415  lazily: see above

    redact = logs.Redactor(environ)
    logs.configure(gathered.output().log_level, redact)
    return doctor.run(gathered, arguments.places, redact)


def _verify(arguments: argparse.Namespace, environ: Mapping[str, str]) -> int:
    gathered = gather(
        arguments.given, from_environment((option for group in _VERIFY_OPTIONS.values() for option in group), environ)
    )
    stdout.need()

    from asyncmirror.cli import logs, meter, verify  # noqa: PLC0415  lazily: see above

    output = gathered.output()
    logs.configure(output.log_level, logs.Redactor(environ))
    return verify.run(verify.asked(gathered, arguments.destination, arguments.source), output, meter.choose(output, environ))


def _find(arguments: argparse.Namespace, environ: Mapping[str, str]) -> int:
    gathered = gather(arguments.given, from_environment((option for option in FIND if option in _SYNC_OPTIONS), environ))

    from asyncmirror.cli import release  # noqa: PLC0415  lazily: see above

    return release.find(gathered, arguments.root)


def _batch(arguments: argparse.Namespace, environ: Mapping[str, str]) -> int:
    gathered = gather(arguments.given, from_environment((option for option in BATCH if option in _SYNC_OPTIONS), environ))

    from asyncmirror.cli import release  # noqa: PLC0415  lazily: see above

    return release.batch(gathered, arguments.tree)


def _problems(arguments: argparse.Namespace, environ: Mapping[str, str]) -> int:
    gathered = gather(arguments.given, from_environment(_STATUS_OPTIONS, environ))
    stdout.need()

    from asyncmirror.cli import logs, problems  # noqa: PLC0415  lazily: see above

    logs.configure(gathered.output().log_level, logs.Redactor(environ))
    return problems.run(gathered, arguments.source, arguments.destination)


def _gc(arguments: argparse.Namespace, environ: Mapping[str, str]) -> int:
    gathered = gather(
        arguments.given, from_environment((option for group in _GC_OPTIONS.values() for option in group), environ)
    )
    stdout.need()

    from asyncmirror.cli import collect, logs  # noqa: PLC0415  lazily: see above

    output = gathered.output()
    logs.configure(output.log_level, logs.Redactor(environ))
    return collect.run(collect.asked(gathered, arguments.destination, arguments.source), output)


def _bug(error: Exception) -> None:
    import logging  # noqa: PLC0415  lazily: see above

    logging.getLogger(__name__).debug("an error that should not be", exc_info=error)
    cause: BaseException = error
    while isinstance(cause, BaseExceptionGroup):  # a task's: the first of them says more than that there were some
        cause = cause.exceptions[0]
    complain(f"internal error: {type(cause).__name__}: {cause} (please report it, with what --log-level debug says)")
