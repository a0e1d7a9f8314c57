"""The command: which sub-command, and how every error becomes one line and an exit code.

Owns the parser and the last line of defence. Imports nothing heavy: what a sub-command needs is imported when it runs, so that
``--version`` and ``--help`` answer at once.
"""

import argparse
import os
import sys
from collections.abc import Mapping, Sequence
from typing import NoReturn

import asyncmirror
from asyncmirror.cli import gather
from asyncmirror.cli.options import OPTIONS
from asyncmirror.cli.stderr import complain
from asyncmirror.errors import AsyncmirrorError, UsageError

_DESCRIPTION = "Mirrors a file tree into S3-compatible storage, resumes exactly, and proves that all is there."
_EPILOG = """\
Every flag has an environment variable: --part-size is ASYNCMIRROR_PART_SIZE. The flag wins. A switch is set there by yes and
taken back by --no-SWITCH. Sizes have units: 64MiB, 5GB. Rules of --include and --exclude hold in their order; the first that
matches decides. Credentials are found as aws-cli finds them.
"""
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
    gather.add_options(sync, OPTIONS)
    return top


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command line (`sys.argv` if None) and give its exit code; docs/exit-codes.md lists them."""
    try:
        return _run(sys.argv[1:] if argv is None else argv, os.environ)
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


def _run(argv: Sequence[str], environ: Mapping[str, str]) -> int:
    arguments = parser().parse_args(argv)
    options = [option for group in OPTIONS.values() for option in group]
    gathered = gather.gather(arguments.given, gather.from_environment(options, environ))
    invocation = gather.Invocation(gathered.settings(arguments.source, arguments.destination), gathered.output())
    if invocation.output.json and sys.stdout is None:
        # A file that is opened later would get its descriptor, and the lines.
        raise UsageError("--json writes to stdout, which is closed", hint="give it a file or a pipe")

    from asyncmirror.cli import logs, screen, sync  # noqa: PLC0415  lazily: see above
    from asyncmirror.engine.mirror import Mirror  # noqa: PLC0415

    logs.configure(invocation.output.log_level, logs.Redactor(environ))
    return sync.run(invocation, screen.choose(invocation.output, environ), Mirror)


def _bug(error: Exception) -> None:
    import logging  # noqa: PLC0415  lazily: see above

    logging.getLogger(__name__).debug("an error that should not be", exc_info=error)
    complain(f"internal error: {type(error).__name__}: {error} (please report it, with what --log-level debug says)")
