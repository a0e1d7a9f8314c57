"""Every sub-command, once: its name, its words, what stands without a flag, and which options it has.

Owns the table. What a command does is `cli.main`'s to start; the options themselves are `cli.options`' and
`cli.command_options`'.
"""

from collections.abc import Mapping
from typing import NamedTuple, TypeAlias

from asyncmirror.cli.command_options import (
    ABORT,
    BATCH,
    BATCHES,
    CONFIG,
    DELETE,
    EXPORT,
    FIND,
    HISTORY,
    MIRROR,
    NO_WRITE,
    PLAN,
    PRICES,
    RULES,
    TRUST_SIZE,
    VERIFY,
    WATCH,
)
from asyncmirror.cli.options import OPTIONS, Option

Options: TypeAlias = Mapping[str, tuple[Option, ...]]


class Place(NamedTuple):
    """An argument without a flag. `nargs` is argparse's: ``?`` where it may be left out."""

    name: str
    metavar: str
    help: str
    nargs: str | None = None


class Command(NamedTuple):
    """A sub-command; `usage` is what follows its name."""

    name: str
    help: str
    usage: str
    places: tuple[Place, ...]
    options: Options
    epilog: str


def _named(group: str, *names: str) -> tuple[Option, ...]:
    return tuple(option for option in OPTIONS[group] if option.name in names)


_EVERY_FLAG = """\
Every flag has an environment variable: --part-size is ASYNCMIRROR_PART_SIZE. The flag wins. A switch is set there by yes and
taken back by --no-SWITCH. Sizes have units: 64MiB, 5GB. Rules of --include and --exclude hold in their order; the first that
matches decides. Credentials are found as aws-cli finds them.
"""
_WHICH_JOURNAL = "SOURCE, destination and connection only tell which journal is meant; nothing is sent."
_URL, _AS_GIVEN = "s3://BUCKET[/PREFIX]", "as it was given to sync"
_RELEASE = "as it was given to sync; or a release of the mirror file"
_MAYBE = (Place("source", "SOURCE", _RELEASE, "?"), Place("destination", _URL, _AS_GIVEN, "?"))
_URL_MAYBE_SOURCE = (Place("destination", _URL, _AS_GIVEN, "?"), Place("source", "SOURCE", _AS_GIVEN, "?"))
_FILE: Options = {"mirror file": MIRROR}

_JOURNAL = _named("behaviour", "journal")
_ANSWER = _named("output", "json", "log-level")
_TOLD = _named("output", "quiet", "log-level")
_ASK_JOURNAL: Options = {
    "options": (*_named("connection", "endpoint-url", "profile"), *_JOURNAL, *_ANSWER),
    **_FILE,
}
_RETRIES = ("request-timeout", "max-attempts", "retry-window")
_ASK_STORE: Options = {
    **_FILE,
    "connection": (*OPTIONS["connection"], *_named("objects", "request-payer")),
    "tuning": _named("tuning", "concurrency", "readers", "max-requests-per-second", *_RETRIES),
}
_ADOPT: Options = {
    **_ASK_STORE,
    "objects": _named("objects", "checksum-algorithm"),
    "tuning": _named(
        "tuning", "concurrency", "scanners", "readers", "max-memory", "max-requests-per-second", "max-open-files", *_RETRIES
    ),
    "selection": OPTIONS["selection"],
    "behaviour": (TRUST_SIZE, *_JOURNAL, *_named("behaviour", "drop-cache")),
    "output": OPTIONS["output"],
}
_DOCTOR: Options = {
    **{title: OPTIONS[title] for title in ("connection", "objects", "tuning")},
    "behaviour": (NO_WRITE, *_JOURNAL),
    "output": OPTIONS["output"],
}

_PLAN: Options = {
    "estimate": (*_named("objects", "storage-class"), *PLAN),
    "connection": _named("connection", "endpoint-url", "profile"),
    "tuning": _named("tuning", "scanners", "part-size", "multipart-threshold", "max-memory", "bwlimit"),
    "selection": OPTIONS["selection"],
    "behaviour": (*_named("behaviour", "trust-mtime", "retry-failed", "secrets", "allow-secrets", "public"), *_JOURNAL),
    "output": OPTIONS["output"],
}

COMMANDS: tuple[Command, ...] = (
    Command(
        "sync",
        "mirror a tree into a bucket; run again, it goes on where it was",
        f"[OPTIONS] (SOURCE {_URL} | [RELEASE])",
        (
            Place("source", "SOURCE", "the directory to mirror; it is only read. Or a release of the mirror file", "?"),
            Place("destination", _URL, "where to", "?"),
        ),
        {**OPTIONS, "deletion": DELETE, "estimate": PRICES, **_FILE, "batches": BATCHES, "watch": WATCH},
        _EVERY_FLAG,
    ),
    Command(
        "plan",
        "say what a sync would send, in how many requests, and what that costs",
        f"[OPTIONS] (SOURCE {_URL} | [RELEASE])",
        _MAYBE,
        {**_PLAN, **_FILE},
        "The store is not asked. The other options are those of sync.",
    ),
    Command(
        "status",
        "say what the journal of a mirror knows",
        f"[OPTIONS] [SOURCE {_URL} | --journal FILE]",
        _MAYBE,
        _ASK_JOURNAL,
        _WHICH_JOURNAL,
    ),
    Command(
        "doctor",
        "say what a sync would meet: machine, credentials, store, file systems",
        f"[OPTIONS] [{_URL}] [SOURCE]",
        (Place("places", f"{_URL} SOURCE", "as they would be given to sync", "*"),),
        {**_DOCTOR, **_FILE},
        "Without arguments and a mirror file only machine and credentials are looked at. The options are those of sync.",
    ),
    Command(
        "verify",
        "say whether all that was mirrored is in the bucket",
        f"[OPTIONS] [{_URL} [SOURCE]]",
        _URL_MAYBE_SOURCE,
        {**_ASK_STORE, "behaviour": (*VERIFY, *_JOURNAL), "output": OPTIONS["output"]},
        "SOURCE or --journal is needed where several journals are of one destination. Nothing is written to the bucket.",
    ),
    Command(
        "adopt",
        "take over what another program has uploaded, without sending it again",
        f"[OPTIONS] (SOURCE {_URL} | [RELEASE])",
        (
            Place("source", "SOURCE", "the directory that was uploaded; it is only read. Or a release of the mirror file", "?"),
            Place("destination", _URL, "where to", "?"),
        ),
        _ADOPT,
        "Sends nothing. What is not proven equal is listed, and the next sync sends it.",
    ),
    Command(
        "ctl",
        "tell a running process: status, set KNOB=VALUE, pause, resume, drain, stop, reload, log-level LEVEL",
        f"[OPTIONS] ACTION [KNOB=VALUE …] [SOURCE {_URL} | RELEASE | --journal FILE]",
        (
            Place("action", "ACTION", "status, set, pause, resume, drain, stop, reload or log-level"),
            Place("words", "WORD", "what the action needs, then which mirror is meant, as it was given to sync", "*"),
        ),
        _ASK_JOURNAL,
        "What can be set are concurrency, bwlimit, max-requests-per-second and max-memory, to what their flags take:"
        " concurrency=128 bwlimit=200MiB. Where no mirror is named, it is the only one that runs. drain ends a run as the first"
        " Ctrl-C does, stop as the second.",
    ),
    Command(
        "top",
        "look on while a running process works; Ctrl-C leaves it alone",
        f"[OPTIONS] [SOURCE {_URL} | RELEASE | --journal FILE]",
        _MAYBE,
        {"options": (*_named("connection", "endpoint-url", "profile"), *_JOURNAL, *_TOLD), **_FILE},
        "Where no mirror is named, it is the only one that runs.",
    ),
    Command(
        "history",
        "list the runs of a mirror: when, how long, how much, and how they ended",
        f"[OPTIONS] [SOURCE {_URL} | --journal FILE]",
        _MAYBE,
        {"runs": HISTORY, **_ASK_JOURNAL},
        _WHICH_JOURNAL,
    ),
    Command(
        "problems",
        "list every entry that is not in the bucket, with its reason",
        f"[OPTIONS] [SOURCE {_URL} | --journal FILE]",
        _MAYBE,
        _ASK_JOURNAL,
        _WHICH_JOURNAL,
    ),
    Command(
        "retry-failed",
        "mirror again what is not settled, and nothing else",
        f"[OPTIONS] (SOURCE {_URL} | [RELEASE])",
        _MAYBE,
        {**OPTIONS, **_FILE},
        "The options are those of sync. What is new in the tree is left to sync.",
    ),
    Command(
        "gc",
        "list unfinished uploads in the bucket, and end those that are ours and of no use",
        f"[OPTIONS] [{_URL} [SOURCE]]",
        _URL_MAYBE_SOURCE,
        {**_ASK_STORE, "behaviour": (ABORT, *_JOURNAL), "output": _ANSWER},
        "Without --abort nothing is changed. What the journal does not know is never touched.",
    ),
    Command(
        "export",
        "write what is in the bucket by the journal: inventory, checksum files, CSV, Parquet",
        f"[OPTIONS] (SOURCE {_URL} | [RELEASE] | --journal FILE)",
        _MAYBE,
        {"options": (*EXPORT, *_named("connection", "endpoint-url", "profile"), *_JOURNAL, *_TOLD), **_FILE},
        _WHICH_JOURNAL,
    ),
    Command(
        "find",
        "write the outline of a tree: every entry with its size",
        "[OPTIONS] (ROOT | RELEASE)",
        (Place("root", "ROOT", "the directory to crawl, or a release of the mirror file"),),
        {"options": (*FIND, CONFIG), "selection": RULES},
        "The tree is only read. What can't be looked at is told, marked and passed over; the exit code is 3 then.",
    ),
    Command(
        "batch",
        "divide a tree into batches of a handy size",
        "[OPTIONS] (SOURCE | --root DIR find.json | RELEASE)",
        (Place("tree", "SOURCE|find.json", "a directory, or what find has written of one, or a release of the mirror file"),),
        {"options": (*BATCH, CONFIG), "selection": RULES},
        "A find.json may be of any layout; it does not say where its tree stands, so that --root has to.",
    ),
    Command(
        "init",
        "write an asyncmirror.toml, the description of a mirror, to be filled in",
        "[FILE]",
        (Place("file", "FILE", "the file to write (default: asyncmirror.toml)", "?"),),
        {},
        "With it, sync RELEASE mirrors a part of the tree that it names, and sync all of it.",
    ),
)
"""In the order of ``--help``."""
