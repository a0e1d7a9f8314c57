"""What was asked: one frozen value, validated once, handed down whole.

Owns the meaning, the bounds and the defaults of every option. Knows no command line and no environment: `cli.options`
turns flags and ``ASYNCMIRROR_*`` into a `Settings`. Sizes are bytes, times seconds.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from types import MappingProxyType

from asyncmirror.errors import UsageError
from asyncmirror.model import Algorithm
from asyncmirror.sizes import GIB, MIB, format_size
from asyncmirror.timetable import UNLIMITED, Timetable

MIN_PART_SIZE = 5 * MIB
"""S3's least size of a part that is not the last."""
MAX_PART_SIZE = 5 * GIB
"""S3's largest part, and its largest single PUT."""

_ROUNDING = 1e-6
"""29% of 100 are 29, which no binary fraction says."""
_SIZES = frozenset({"part_size", "multipart_threshold", "max_memory"})
_OWN_METADATA = frozenset({"mtime", "asyncmirror-nonce", "symlink-target"})
# AWS, "Bucket naming rules", and what compatible stores allow beyond them (upper case, underscores: Ceph RGW).
_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,254}")


class Symlinks(Enum):
    """What is done with a symbolic link."""

    SKIP = "skip"
    FOLLOW = "follow"
    RECORD = "record"


class Stubs(Enum):
    """What is done with a file that has a size but no blocks on disk: on an archive file system, reading recalls tape."""

    SKIP = "skip"
    READ = "read"


class Secrets(Enum):
    """What is done with a file that looks like a secret, where the bucket is not known to be private."""

    REFUSE = "refuse"
    STOP = "stop"
    OFF = "off"


@dataclass(frozen=True, slots=True)
class Destination:
    """A bucket and a prefix within it, without slashes at its ends; empty for the bucket itself."""

    bucket: str
    prefix: str = ""

    @classmethod
    def parse(cls, text: str) -> "Destination":
        """Read ``s3://BUCKET[/PREFIX]``.

        Raises:
            UsageError: It is no such thing, or the prefix would not survive as it is (``..``, ``//``).
        """
        hint = "write it as s3://BUCKET or s3://BUCKET/PREFIX"
        if not text.startswith("s3://"):
            raise UsageError(f"the destination {text!r} is no S3 URL", hint=hint)
        bucket, _, prefix = text.removeprefix("s3://").partition("/")
        if not _BUCKET.fullmatch(bucket):
            raise UsageError(f"{bucket!r} is no bucket name", hint=hint)
        prefix = prefix.removesuffix("/")
        if prefix and any(part in ("", ".", "..") for part in prefix.split("/")):
            raise UsageError(f"the prefix {prefix!r} has an empty, '.' or '..' component", hint=hint)
        if not prefix.isprintable():
            raise UsageError(f"the prefix {prefix!r} has unprintable characters", hint=hint)
        return cls(bucket, prefix)

    def __str__(self) -> str:
        return f"s3://{self.bucket}/{self.prefix}" if self.prefix else f"s3://{self.bucket}"


@dataclass(frozen=True, slots=True)
class Rule:
    """One ``--include`` or ``--exclude``, in the order given."""

    include: bool
    pattern: str


@dataclass(frozen=True, slots=True)
class Remap:
    """One ``--remap``: what is in a directory of the source goes elsewhere below the destination. Both are relative paths."""

    source: str
    target: str


@dataclass(frozen=True, slots=True)
class Connection:
    """Which store, as whom. What is None is found as aws-cli finds it (environment, config files, instance role)."""

    endpoint_url: str | None = None
    region: str | None = None
    profile: str | None = None
    sign_request: bool = True
    ca_bundle: Path | None = None
    addressing_style: str = "auto"
    unsigned_payload: bool = False  # over TLS only; Amazon's stores verify checksums, so that there it is so anyway


@dataclass(frozen=True, slots=True)
class ObjectOptions:
    """What is asked of the store for every object."""

    storage_class: str | None = None
    sse: str | None = None
    sse_kms_key_id: str | None = None
    acl: str | None = None
    request_payer: str | None = None
    content_type: str | None = None
    metadata: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    algorithm: Algorithm = Algorithm.CRC64NVME
    overwrite: bool = True  # False: an object that is there already is left as it is

    def __post_init__(self) -> None:
        own = sorted(set(map(str.lower, self.metadata)) & _OWN_METADATA)
        if own:
            raise UsageError(f"--metadata {own[0]} is written by asyncmirror itself", hint="choose another name")


@dataclass(frozen=True, slots=True)
class Tuning:
    """How much at once, and how patient. Sizes in bytes, times in seconds."""

    concurrency: int = 256  # requests in flight; with `auto` so many at most
    auto: bool = True  # as many of them as serve best, found out while it runs
    loops: int = 1  # event loops that upload; more than one are processes
    scanners: int = 0  # threads that list directories; 0: as the source's file system suggests
    readers: int = 0  # threads that read files; likewise
    part_size: int = 16 * MIB
    multipart_threshold: int = 32 * MIB  # a file of this size or more goes up in parts
    max_memory: int = 512 * MIB  # bodies in memory at once
    bwlimit: Timetable = UNLIMITED  # bytes of bodies a second, of the whole run
    max_requests_per_second: float = 0.0  # of the whole run, every attempt counted; 0: as many as can be
    max_open_files: int = 0  # in each of the run's processes, as with ulimit -n; 0: as many as the system allows
    request_timeout: float = 60.0  # per attempt, plus the time the body takes at 1 MiB/s
    max_attempts: int = 100  # per request, the first included: by default the window below decides
    retry_window: float = 300.0  # from the first failure, throttled time left out; no attempt begins later

    @property
    def largest_put(self) -> int:
        """From how many bytes on a file goes up in parts: the threshold, or less where so much is not allowed in memory."""
        return min(self.multipart_threshold, self.max_memory)

    def __post_init__(self) -> None:
        bounds = {
            "concurrency": (1, 4096),
            "loops": (1, 256),
            "scanners": (0, 1024),
            "readers": (0, 1024),
            "part_size": (MIN_PART_SIZE, MAX_PART_SIZE),
            "multipart_threshold": (1, MAX_PART_SIZE),
            "max_memory": (MIN_PART_SIZE, 1 << 50),
            "max_requests_per_second": (0, 1_000_000),
            "max_open_files": (0, 1 << 30),
            "request_timeout": (0.001, 86400),
            "max_attempts": (1, 1000),
            "retry_window": (0, 7 * 86400),
        }
        for name, (least, most) in bounds.items():
            value = getattr(self, name)
            if not least <= value <= most:
                flag = "--" + name.replace("_", "-")
                show = format_size if name in _SIZES else str
                raise UsageError(f"{flag} is {show(value)}; it must be from {show(least)} to {show(most)}")
        if self.loops > 1 and self.part_size > self.max_memory // self.loops:
            raise UsageError(
                f"--loops {self.loops} leaves each process {format_size(self.max_memory // self.loops)} of --max-memory,"
                f" less than a part of {format_size(self.part_size)}",
                hint="raise --max-memory, or lower --loops or --part-size",
            )
        if self.part_size > self.max_memory:
            raise UsageError(
                f"--part-size {format_size(self.part_size)} does not fit into --max-memory {format_size(self.max_memory)}",
                hint="a part is held in memory while it is sent: lower the one or raise the other",
            )


@dataclass(frozen=True, slots=True)
class MaxDelete:
    """How many objects a run may delete: so many, or so great a part (0 to 1) of those on record, whichever is more."""

    count: int = 100
    share: float = 0.1

    def allows(self, objects: int) -> int:
        """How many may go where so many are on record."""
        return max(self.count, int(objects * self.share + _ROUNDING))

    def __str__(self) -> str:
        """As the command line has it."""
        return " or ".join(
            [f"{self.share * 100:g}%"] * bool(self.share) + [f"{self.count:,}"] * bool(self.count or not self.share)
        )


@dataclass(frozen=True, slots=True)
class Settings:
    """One run of `sync`: what, where to, and how."""

    source: Path
    destination: Destination
    connection: Connection = Connection()
    objects: ObjectOptions = field(default_factory=ObjectOptions)
    tuning: Tuning = Tuning()
    rules: tuple[Rule, ...] = ()
    remaps: tuple[Remap, ...] = ()
    within: tuple[str, ...] = ()  # the directories of the source that the mirror is of; none: all of it
    subdirs: tuple[str, ...] = ()  # look only at these directories and files: a run of a part
    symlinks: Symlinks = Symlinks.SKIP
    stubs: Stubs = Stubs.SKIP
    journal: Path | None = None  # None: named after source and destination, under $XDG_STATE_HOME/asyncmirror
    dry_run: bool = False
    trust_mtime: bool = False
    retry_failed: bool = False
    only_failed: bool = False  # look only at what is not settled
    adopt: bool = False
    send: bool = True  # False: what is not adopted is left to the next run
    trust_size: bool = False  # an object of equal size is adopted without a look at its bytes
    probe: bool = True  # find out, once a week, what the store verifies
    secrets: Secrets = Secrets.REFUSE
    allow_secrets: tuple[str, ...] = ()  # patterns of `plan.filters`: files that somebody has looked at
    public: bool = False  # the bucket is public, whatever the store says
    drop_cache: bool = False  # let the kernel forget the pages of large files once they are read
    delete: bool = False  # objects whose file is gone are deleted
    delete_unknown: bool = False  # and those that the journal does not know and the source has no file for
    max_delete: MaxDelete = MaxDelete()

    def __post_init__(self) -> None:
        if self.delete_unknown and not self.delete:
            raise UsageError("--delete-unknown says more than --delete, and is nothing without it", hint="give both")
        if self.delete and (self.subdirs or self.only_failed or not self.send):
            raise UsageError(
                "--delete needs a look at the whole source, and this run is of a part of it",
                hint="leave --delete out, or --subdir, or the release that is named",
            )


@dataclass(frozen=True, slots=True)
class Collection:
    """One run of `gc`: where unfinished uploads are looked for, and whether our own orphans are ended."""

    destination: Destination
    journal: Path
    connection: Connection = Connection()
    objects: ObjectOptions = field(default_factory=ObjectOptions)
    tuning: Tuning = Tuning()
    abort: bool = False


@dataclass(frozen=True, slots=True)
class Verification:
    """One run of `verify`: which mirror, and how deep the look is."""

    destination: Destination
    journal: Path
    source: Path | None = None  # None: the one that the journal has on record
    within: tuple[str, ...] | None = None  # what it is of now: see `Settings`; None: as it was in the last run
    connection: Connection = Connection()
    objects: ObjectOptions = field(default_factory=ObjectOptions)
    tuning: Tuning = Tuning()
    deep: bool = False  # read the source again
    download: bool = False  # read the objects
    sidecars: bool = False  # hold the checksum files beside the data against it
    repair: bool = False  # have the next sync send what is missing or different
    restart: bool = False  # begin anew, where a look of this kind was stopped
    ignore_extra: bool = False  # what the journal does not know is nobody's fault
