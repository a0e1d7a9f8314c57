"""The command: which sub-command, and how every error becomes one line and an exit code.

Owns the parser and the last line of defence. What a sub-command does is `cli.start`'s to begin.
"""

import argparse
import os
import sys
from collections.abc import Mapping, Sequence
from typing import NoReturn

import asyncmirror
from asyncmirror.cli import stderr
from asyncmirror.cli.commands import COMMANDS
from asyncmirror.cli.gather import add_options
from asyncmirror.cli.start import RUNS, Run
from asyncmirror.cli.stderr import complain
from asyncmirror.errors import AsyncmirrorError, UsageError

_DESCRIPTION = "Mirrors a file tree into S3-compatible storage, resumes exactly, and proves that all is there."
_BUG = 4
_INTERRUPTED = 130


class _Parser(argparse.ArgumentParser):
    """A parser whose errors are ours."""

    def error(self, message: str) -> NoReturn:
        """Raise it: one line says what is wrong, not the whole usage."""
        raise UsageError(message, hint="--help lists what there is")


def _parsers() -> tuple[_Parser, dict[str, _Parser]]:
    """The parser of the whole command line, and those of the sub-commands."""
    top = _Parser(prog="asyncmirror", description=_DESCRIPTION, allow_abbrev=False)
    top.add_argument("--version", action="version", version=f"asyncmirror {asyncmirror.__version__}")
    commands = top.add_subparsers(dest="command", metavar="COMMAND", required=True)
    made: dict[str, _Parser] = {}
    for name, words, usage, places, options, epilog in COMMANDS:
        made[name] = each = commands.add_parser(
            name, help=words, usage=f"asyncmirror {name} {usage}", epilog=epilog, allow_abbrev=False
        )
        for place in places:
            each.add_argument(place.name, metavar=place.metavar, help=place.help, nargs=place.nargs)
        add_options(each, options)
        each.set_defaults(command=name, run=RUNS[name], options=options)
    return top, made


def parse(argv: Sequence[str]) -> argparse.Namespace:
    """Read a command line. Flags may stand anywhere behind the command, between two arguments too, unless there is a ``--``.

    Raises:
        UsageError: It is none.
        SystemExit: It asked for the version or for help, and that was printed.
    """
    top, commands = _parsers()
    # Behind a -- all are arguments, even with a dash in front: argparse knows that only where it does not look twice.
    if argv and argv[0] in commands and "--" not in argv:
        return commands[argv[0]].parse_intermixed_args(argv[1:])
    return top.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command line (`sys.argv` if None) and give its exit code; docs/exit-codes.md lists them."""
    stderr.occupy()
    try:
        arguments = parse(sys.argv[1:] if argv is None else argv)
        command: Run = arguments.run
        return command(arguments, os.environ)
    except AsyncmirrorError as error:
        complain(str(error))
        return error.exit_code
    except KeyboardInterrupt:
        return _INTERRUPTED
    except SystemExit as end:  # argparse ends so after --help and --version
        return end.code if isinstance(end.code, int) else 0
    except Exception as error:  # noqa: BLE001  the last line of defence: nobody should meet a traceback unasked
        _bug(error, os.environ)
        return _BUG
    finally:
        stderr.settle()


def _bug(error: Exception, environ: Mapping[str, str]) -> None:
    import logging  # noqa: PLC0415  lazily: see above

    from asyncmirror.cli import crash, logs  # noqa: PLC0415  lazily: see above

    logging.getLogger(__name__).debug("an error that should not be", exc_info=error)
    logging.getLogger(logs.STORY).critical("an error that should not be", exc_info=error, extra={"fields": {"event": "crash"}})
    report = crash.write(error, environ)
    cause: BaseException = error
    while isinstance(cause, BaseExceptionGroup):  # a task's: the first of them says more than that there were some
        cause = cause.exceptions[0]
    what = f"with {report}" if report else "with what --log-level debug says"
    complain(f"internal error: {type(cause).__name__}: {cause} (please report it, {what})")
