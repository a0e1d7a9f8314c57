"""Every flag, once: its name, its environment variable, how its text is read and which field it sets.

Owns the table. Bounds and defaults are `settings`' business, how a text becomes a value is `cli.read`'s and `cli.paths`', what
wins over what is `cli.gather`'s. Knows no parser, no screen and no engine.
"""

from collections.abc import Callable, Mapping
from typing import NamedTuple

from asyncmirror.cli import paths, read
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
        Option(("--ca-bundle",), "connection.ca_bundle", paths.file, "FILE", "certificates to trust, in PEM form"),
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
        Option(
            ("--concurrency",),
            "tuning.concurrency",
            read.concurrency,
            "auto|N",
            f"requests at once (default: auto, as many as serve best, up to {_TUNING.concurrency})",
        ),
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
            ("--bwlimit",),
            "tuning.bwlimit",
            read.timetable,
            "RATE|TIMETABLE",
            'bytes sent per second: 200MiB, off, or "08:00,200MiB 19:00,off" (default: off)',
        ),
        Option(
            ("--max-requests-per-second",),
            "tuning.max_requests_per_second",
            read.rate,
            "N",
            "every attempt counted (default: no limit)",
        ),
        Option(
            ("--max-open-files",), "tuning.max_open_files", read.count, "N", "in one process (default: what ulimit -n allows)"
        ),
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
        Option(("--include",), "settings.rules", paths.include, "PATTERN", "the first rule that matches decides", joined=True),
        Option(("--exclude",), "settings.rules", paths.exclude, "PATTERN", "leave out what matches; may repeat", joined=True),
        Option(("--exclude-from",), "settings.rules", paths.exclude_from, "FILE", "patterns, one per line", joined=True),
        Option(
            ("--subdir",),
            "settings.subdirs",
            paths.subdir,
            "PATH",
            "only this directory or file of SOURCE; may repeat",
            joined=True,
        ),
        Option(
            ("--remap",), "settings.remaps", paths.remap, "FROM=TO", "what is in FROM goes below TO; may repeat", joined=True
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
            paths.pattern,
            "PATTERN",
            "send what matches though it looks like a secret; may repeat",
            joined=True,
        ),
        Option(("--no-probe",), "settings.probe", read.negated, "", "do not try what the store verifies"),
        Option(("--public",), "settings.public", read.switch, "", "the bucket is public, even if the store does not say so"),
        Option(("--drop-cache",), "settings.drop_cache", read.switch, "", "keep large files out of the page cache once read"),
        Option(("--journal",), "settings.journal", paths.path, "FILE", "where the journal is kept"),
    ),
    "page": (
        Option(("--http",), "output.http", read.address, "ADDRESS:PORT|off", "serve a page and metrics: 127.0.0.1:8642"),
        Option(
            ("--http-token-file",),
            "output.http_token_file",
            paths.path,
            "FILE",
            "private file with the token that whoever looks must show (or set ASYNCMIRROR_HTTP_TOKEN)",
        ),
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
    "service": (
        Option(("--log-file",), "output.log_file", paths.path, "FILE", "a log of what runs did: problems, results, notices"),
        Option(("--log-format",), "output.log_format", read.choice("text", "json"), "text|json", "of the file (default: json)"),
        Option(
            ("--log-max-size",),
            "output.log_max_size",
            read.size_or_off,
            "SIZE|off",
            "from which on it is put away as FILE.1; off: never, logrotate moves it (default: 100MiB)",
        ),
        Option(("--log-keep",), "output.log_keep", read.count, "N", "files put away that are kept (default: 5)"),
        Option(
            ("--notify",),
            "output.notify",
            read.notify,
            "COMMAND|URL",
            "tell somebody when a run ends or needs a person; may repeat",
            joined=True,
        ),
    ),
}
