"""Every flag, once: its name, its environment variable, how its text is read and which field it sets.

Owns the table. Bounds and defaults are `settings`' business, how a text becomes a value is `cli.read`'s, what wins over
what is `cli.gather`'s. Knows no parser, no screen and no engine.
"""

from collections.abc import Callable, Mapping
from typing import NamedTuple

from asyncmirror.cli import read
from asyncmirror.settings import Tuning

_VARIABLE_PREFIX = "ASYNCMIRROR_"


class Option(NamedTuple):
    """One flag. `field` is where its value goes, ``section.name``; `metavar` is empty for a switch; `joined`: it may repeat."""

    flags: tuple[str, ...]
    field: str
    read: Callable[[str], object]
    metavar: str
    help: str
    joined: bool = False

    @property
    def name(self) -> str:
        """The first long flag, without its dashes."""
        return next(flag for flag in self.flags if flag.startswith("--")).removeprefix("--")

    @property
    def variable(self) -> str:
        """The environment variable that stands for the flag."""
        return _VARIABLE_PREFIX + self.name.replace("-", "_").upper()

    @property
    def opposite(self) -> str:
        """The flag that takes a switch back, for when the environment has set it."""
        return f"--{self.name.removeprefix('no-')}" if self.name.startswith("no-") else f"--no-{self.name}"


_TUNING = Tuning()

OPTIONS: Mapping[str, tuple[Option, ...]] = {
    "connection": (
        Option(("--endpoint-url",), "connection.endpoint_url", read.endpoint, "URL", "the store, if it is not AWS"),
        Option(("--profile",), "connection.profile", read.plain, "NAME", "section of the AWS configuration to use"),
        Option(("--region",), "connection.region", read.plain, "NAME", "region of the bucket"),
        Option(("--no-sign-request",), "connection.sign_request", read.negated, "", "send requests anonymously"),
        Option(("--ca-bundle",), "connection.ca_bundle", read.file, "FILE", "certificates to trust, in PEM form"),
        Option(
            ("--addressing-style",),
            "connection.addressing_style",
            read.choice("auto", "path", "virtual"),
            "auto|path|virtual",
            "where the bucket's name stands in URLs (default: auto)",
        ),
        Option(
            ("--unsigned-payload",),
            "connection.unsigned_payload",
            read.switch,
            "",
            "over TLS, sign no hash of the bodies: for stores that verify checksums (doctor tells; Amazon's: always)",
        ),
    ),
    "objects": (
        Option(("--storage-class",), "objects.storage_class", read.header, "CLASS", "such as STANDARD_IA"),
        Option(
            ("--sse",),
            "objects.sse",
            read.choice("AES256", "aws:kms", "aws:kms:dsse"),
            "AES256|aws:kms|aws:kms:dsse",
            "encryption by the store",
        ),
        Option(("--sse-kms-key-id",), "objects.sse_kms_key_id", read.header, "ID", "the KMS key to encrypt with"),
        Option(("--acl",), "objects.acl", read.header, "ACL", "canned access list, such as bucket-owner-full-control"),
        Option(
            ("--request-payer",),
            "objects.request_payer",
            read.choice("requester"),
            "requester",
            "agree to pay for requests to a requester-pays bucket",
        ),
        Option(
            ("--metadata",),
            "objects.metadata",
            read.metadata,
            "K=V[,K=V]",
            "for every object; may repeat",
            joined=True,
        ),
        Option(("--content-type",), "objects.content_type", read.header, "TYPE", "instead of guessing it from the name"),
        Option(
            ("--checksum-algorithm",),
            "objects.algorithm",
            read.algorithm,
            "NAME",
            "crc64nvme (the default), crc32c, crc32, sha256 or sha1",
        ),
        Option(("--no-overwrite",), "objects.overwrite", read.negated, "", "refuse files whose key has an object already"),
    ),
    "tuning": (
        Option(("--concurrency",), "tuning.concurrency", read.count, "N", f"requests at once (default: {_TUNING.concurrency})"),
        Option(("--loops",), "tuning.loops", read.count, "N", f"processes that upload (default: {_TUNING.loops})"),
        Option(("--scanners",), "tuning.scanners", read.count, "N", "threads that list (default: 1; over a network 8)"),
        Option(("--readers",), "tuning.readers", read.count, "N", "threads that read (default: 4; over a network 32)"),
        Option(("--part-size",), "tuning.part_size", read.size, "SIZE", "of a multipart upload (default: 16MiB)"),
        Option(
            ("--multipart-threshold",),
            "tuning.multipart_threshold",
            read.size,
            "SIZE",
            "files of this size or more go up in parts (default: 32MiB)",
        ),
        Option(("--max-memory",), "tuning.max_memory", read.size, "SIZE", "for bodies in flight (default: 512MiB)"),
        Option(
            ("--request-timeout",),
            "tuning.request_timeout",
            read.seconds,
            "SECONDS",
            f"deadline of a request, its body's time not counted (default: {_TUNING.request_timeout:g})",
        ),
        Option(
            ("--max-attempts",),
            "tuning.max_attempts",
            read.count,
            "N",
            f"per request, the first included (default: {_TUNING.max_attempts})",
        ),
        Option(
            ("--retry-window",),
            "tuning.retry_window",
            read.seconds,
            "SECONDS",
            f"how long a request is tried again (default: {_TUNING.retry_window:g})",
        ),
    ),
    "selection": (
        Option(("--include",), "settings.rules", read.include, "PATTERN", "the first rule that matches decides", joined=True),
        Option(("--exclude",), "settings.rules", read.exclude, "PATTERN", "leave out what matches; may repeat", joined=True),
        Option(("--exclude-from",), "settings.rules", read.exclude_from, "FILE", "patterns, one per line", joined=True),
        Option(
            ("--subdir",),
            "settings.subdirs",
            read.subdir,
            "PATH",
            "only this directory or file of SOURCE; may repeat",
            joined=True,
        ),
        Option(
            ("--remap",), "settings.remaps", read.remap, "FROM=TO", "what is in FROM goes below TO; may repeat", joined=True
        ),
        Option(
            ("--symlinks",),
            "settings.symlinks",
            read.symlinks,
            "skip|follow|record",
            "what becomes of symbolic links (default: skip, and report)",
        ),
        Option(
            ("--stubs",),
            "settings.stubs",
            read.stubs,
            "skip|read",
            "files whose content is not on disk but on tape (default: skip, and report)",
        ),
    ),
    "behaviour": (
        Option(("-n", "--dry-run", "--dryrun"), "settings.dry_run", read.switch, "", "say what would be done, send nothing"),
        Option(
            ("--trust-mtime",),
            "settings.trust_mtime",
            read.switch,
            "",
            "take a file of equal size and mtime for unchanged, without reading it again",
        ),
        Option(("--retry-failed",), "settings.retry_failed", read.switch, "", "try again what failed for good before"),
        Option(("--adopt",), "settings.adopt", read.switch, "", "take over objects in the bucket that are proven equal"),
        Option(
            ("--secrets",),
            "settings.secrets",
            read.secrets,
            "refuse|stop|off",
            "files that look like secrets, unless the bucket is private (default: refuse)",
        ),
        Option(
            ("--allow-secrets",),
            "settings.allow_secrets",
            read.pattern,
            "PATTERN",
            "send what matches though it looks like a secret; may repeat",
            joined=True,
        ),
        Option(("--no-probe",), "settings.probe", read.negated, "", "do not try what the store verifies"),
        Option(("--public",), "settings.public", read.switch, "", "the bucket is public, even if the store does not say so"),
        Option(("--drop-cache",), "settings.drop_cache", read.switch, "", "keep large files out of the page cache once read"),
        Option(("--journal",), "settings.journal", read.path, "FILE", "where the journal is kept"),
    ),
    "output": (
        Option(("--json",), "output.json", read.switch, "", "JSON lines on stdout"),
        Option(("-q", "--quiet"), "output.quiet", read.switch, "", "only problems and errors"),
        Option(("--no-progress",), "output.progress", read.negated, "", "no progress, only the result"),
        Option(
            ("--log-level",),
            "output.log_level",
            read.choice("debug", "info", "warning", "error"),
            "debug|info|warning|error",
            "what is logged on stderr (default: warning)",
        ),
    ),
}

NO_WRITE = Option(("--no-write",), "doctor.write", read.negated, "", "write nothing, not even to see what the store verifies")
"""Only `doctor` knows it."""

CONFIG = Option(
    ("--config",), "mirror.file", read.path, "FILE", "the mirror file (default: asyncmirror.toml in the working directory)"
)
"""Of every command that can do with a mirror file."""

MIRROR: tuple[Option, ...] = (
    CONFIG,
    Option(("--root",), "mirror.root", read.path, "DIR", "which of its roots (default: the first that is there)"),
)
"""Of those that look at its tree."""

BATCHES: tuple[Option, ...] = (
    Option(
        ("--batches",), "batches.file", read.file, "FILE", "mirror what is queued in this batch.json, and keep it up to date"
    ),
    Option(("--max-batches",), "batches.most", read.count, "N", "end after so many of them (default: 1000)"),
)
"""Only `sync` knows them."""

VERIFY: tuple[Option, ...] = (
    Option(("--deep",), "verify.deep", read.switch, "", "read the source again and compare it with the checksums on record"),
    Option(("--download",), "verify.download", read.switch, "", "read the objects too and compare them in the same way"),
    Option(("--sidecars",), "verify.sidecars", read.switch, "", "check the source against its *.sha256sum files, read anew"),
    Option(("--repair",), "verify.repair", read.switch, "", "have the next sync send what is missing or different"),
    Option(("--ignore-extra",), "verify.ignore_extra", read.switch, "", "pass over objects that the journal does not know"),
)
"""Only `verify` knows them."""

_SYMLINKS = next(option for option in OPTIONS["selection"] if option.name == "symlinks")
_TOLD = tuple(option for option in OPTIONS["output"] if option.name in ("quiet", "no-progress"))
_WORKERS = Option(("--max-workers",), "crawl.workers", read.count, "N", "threads that list (default: 1; over a network 8)")

FIND: tuple[Option, ...] = (
    Option(("-o", "--output"), "find.output", read.path, "FILE", "instead of stdout; it is replaced when all is written"),
    Option(("--depth",), "find.depth", read.depth, "N", "levels below ROOT that are written; all are counted (default: all)"),
    _WORKERS,
    Option(("--format",), "find.format", read.choice("find", "ncdu"), "find|ncdu", "what is written (default: find)"),
    Option(("--summary",), "find.summary", read.switch, "", "show the largest directories, on stdout"),
    _SYMLINKS,
    *_TOLD,
)
"""Of `find`. Those that `sync` does not know have no variable."""

BATCH: tuple[Option, ...] = (
    Option(("-o", "--output"), "batch.output", read.path, "FILE", "instead of stdout; it is replaced when all is written"),
    Option(("--max-size",), "batch.most", read.size, "SIZE", "of a batch, unless it is a single file (default: 1TB)"),
    Option(("--min-size",), "batch.least", read.size, "SIZE", "small neighbours are put together up to it (default: 10GB)"),
    Option(("--subdir",), "batch.subdir", str, "PATH", "only what is in this directory of the tree"),
    Option(("--root",), "batch.root", read.path, "DIR", "where the tree of a find.json stands"),
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
    Option(("-o", "--output"), "export.output", read.path, "FILE", "instead of stdout; it is replaced when all is written"),
    Option(("--subdir",), "export.subdir", str, "PATH", "only what is below this directory of SOURCE; paths begin there"),
    Option(
        ("--per-directory",), "export.per_directory", read.switch, "", "a checksum file for each directory, below the one of -o"
    ),
    Option(("--read",), "export.read", read.switch, "", "read the files whose SHA-256 is not on record"),
)
"""Of `export`. They have no variables."""

PLAN: tuple[Option, ...] = (
    Option(("--bandwidth",), "plan.bandwidth", read.size, "SIZE", "sent per second, to tell how long it takes: 500MiB"),
    Option(("--storage-price",), "plan.storage", read.amount, "USD", "of a TB (10^12 bytes) for a month (default: 23)"),
    Option(("--request-price",), "plan.requests", read.amount, "USD", "of 1,000 PUT requests (default: 0.005)"),
)
"""Only `plan` knows them."""
