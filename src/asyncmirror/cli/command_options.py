"""The flags that single commands have beside `sync`'s, each table named after its command.

Owns those tables. What `sync` has, and what an option is, stands in `cli.options`. They have no environment variables unless
`sync` has them too.
"""

from asyncmirror.cli import paths, read
from asyncmirror.cli.options import OPTIONS, Option

NO_WRITE = Option(("--no-write",), "doctor.write", read.negated, "", "write nothing, not even to see what the store verifies")
"""Only `doctor` knows it."""

CONFIG = Option(
    ("--config",), "mirror.file", paths.path, "FILE", "the mirror file (default: asyncmirror.toml in the working directory)"
)
"""Of every command that can do with a mirror file."""

MIRROR: tuple[Option, ...] = (
    CONFIG,
    Option(("--root",), "mirror.root", paths.path, "DIR", "which of its roots (default: the first that is there)"),
)
"""Of those that look at its tree."""

BATCHES: tuple[Option, ...] = (
    Option(
        ("--batches",), "batches.file", paths.file, "FILE", "mirror what is queued in this batch.json, and keep it up to date"
    ),
    Option(("--max-batches",), "batches.most", read.count, "N", "end after so many of them (default: 1000)"),
)
"""Only `sync` knows them."""

WATCH: tuple[Option, ...] = (
    Option(
        ("--watch",),
        "watch.schedule",
        read.schedule,
        "WHEN|off",
        'mirror again and again: every so often (15m, 1h30m), or "at 02:00" ("at 02:00, 14:30")',
    ),
)
"""Only `sync` knows it."""

DELETE: tuple[Option, ...] = (
    Option(
        ("--delete",), "settings.delete", read.switch, "", "delete objects whose file is gone, after a whole scan without error"
    ),
    Option(
        ("--max-delete",),
        "settings.max_delete",
        read.max_delete,
        "N|P%",
        "delete nothing if it would be more, or a greater part of what is on record (default: a tenth, or 100)",
    ),
    Option(
        ("--delete-unknown",),
        "settings.delete_unknown",
        read.switch,
        "",
        "and objects below the prefix that neither the journal nor the source knows",
    ),
)
"""Only `sync` knows them."""

HISTORY: tuple[Option, ...] = (
    Option(("-n", "--runs"), "history.most", read.count, "N", "only the last so many (default: 20; with --json all)"),
)
"""Only `history` knows it. It has no variable."""

VERIFY: tuple[Option, ...] = (
    Option(("--deep",), "verify.deep", read.switch, "", "read the source again and compare it with the checksums on record"),
    Option(("--download",), "verify.download", read.switch, "", "read the objects too and compare them in the same way"),
    Option(("--sidecars",), "verify.sidecars", read.switch, "", "check the source against its *.sha256sum files, read anew"),
    Option(("--repair",), "verify.repair", read.switch, "", "have the next sync send what is missing or different"),
    Option(("--restart",), "verify.restart", read.switch, "", "read all again, where such a look was stopped before its end"),
    Option(("--ignore-extra",), "verify.ignore_extra", read.switch, "", "pass over objects that the journal does not know"),
)
"""Only `verify` knows them."""

RULES = tuple(option for option in OPTIONS["selection"] if option.name in ("include", "exclude", "exclude-from"))
"""Of `find` and `batch`, as of `sync`."""
_SYMLINKS = next(option for option in OPTIONS["selection"] if option.name == "symlinks")
_TOLD = tuple(option for option in OPTIONS["output"] if option.name in ("quiet", "no-progress"))
_WORKERS = Option(("--max-workers",), "crawl.workers", read.count, "N", "threads that list (default: 1; over a network 8)")

FIND: tuple[Option, ...] = (
    Option(("-o", "--output"), "find.output", paths.path, "FILE", "instead of stdout; it is replaced when all is written"),
    Option(("--depth",), "find.depth", read.depth, "N", "levels below ROOT that are written; all are counted (default: all)"),
    _WORKERS,
    Option(("--format",), "find.format", read.choice("find", "ncdu"), "find|ncdu", "what is written (default: find)"),
    Option(("--summary",), "find.summary", read.switch, "", "show the largest directories, on stdout"),
    _SYMLINKS,
    *_TOLD,
)
"""Of `find`. Those that `sync` does not know have no variable."""

BATCH: tuple[Option, ...] = (
    Option(("-o", "--output"), "batch.output", paths.path, "FILE", "instead of stdout; it is replaced when all is written"),
    Option(("--max-size",), "batch.most", read.size, "SIZE", "of a batch, unless it is a single file (default: 1TB)"),
    Option(("--min-size",), "batch.least", read.size, "SIZE", "small neighbours are put together up to it (default: 10GB)"),
    Option(("--subdir",), "batch.subdir", str, "PATH", "only what is in this directory of the tree"),
    Option(("--root",), "batch.root", paths.path, "DIR", "where the tree of a find.json stands"),
    Option(("--plain",), "batch.plain", read.switch, "", "only the lists that the old tools know"),
    _WORKERS,
    _SYMLINKS,
    *_TOLD,
)
"""Of `batch`. Those that `sync` does not know have no variable."""

TRUST_SIZE = Option(
    ("--trust-size",), "settings.trust_size", read.switch, "", "adopt what has the same size, and compare nothing"
)
"""Only `adopt` knows it."""

ABORT = Option(("--abort",), "collection.abort", read.switch, "", "end the orphans: uploads of ours that are of no use")
"""Only `gc` knows it."""

EXPORT: tuple[Option, ...] = (
    Option(
        ("--format",),
        "export.format",
        read.choice("inventory", "sha256sum", "csv", "parquet"),
        "inventory|sha256sum|csv|parquet",
        "what is written (default: inventory, a path a line)",
    ),
    Option(("-o", "--output"), "export.output", paths.path, "FILE", "instead of stdout; it is replaced when all is written"),
    Option(("--subdir",), "export.subdir", str, "PATH", "only what is below this directory of SOURCE; paths begin there"),
    Option(
        ("--per-directory",), "export.per_directory", read.switch, "", "a checksum file for each directory, below the one of -o"
    ),
    Option(("--read",), "export.read", read.switch, "", "read the files whose SHA-256 is not on record"),
)
"""Of `export`. They have no variables."""

SILENT = frozenset((*BATCH, *FIND, *EXPORT)) - {option for group in OPTIONS.values() for option in group}
"""Of these commands, the options that `sync` does not know: those have no variable."""

PRICES: tuple[Option, ...] = (
    Option(("--storage-price",), "plan.storage", read.amount, "USD", "of a TB (10^12 bytes) for a month (default: Amazon's)"),
    Option(("--request-price",), "plan.requests", read.amount, "USD", "of 1,000 PUT requests (default: Amazon's)"),
)
"""Of `plan` and of a dry run. A mirror file may tell them."""

PLAN: tuple[Option, ...] = (
    Option(("--bandwidth",), "plan.bandwidth", read.size, "SIZE", "sent per second, to tell how long it takes: 500MiB"),
    *PRICES,
)
"""Only `plan` knows them."""
