"""The journal's complete objects as a table, CSV or Parquet, with the columns of S3 Inventory and two of our own.

Owns the columns. Names and meanings are those of AWS, "Amazon S3 Inventory list": in CSV as a manifest's ``fileSchema`` has
them, with the key URL-encoded as there, so that no name breaks a line; in Parquet in lower case. What the journal does not
know (storage class, encryption, the time at which the store stored it) is left out and not guessed. Our own are the checksum
as it stands in ``x-amz-checksum-*``, and the file's mtime as rclone writes it. Rows stream: a row group of Parquet is held.
"""

import csv
import io
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import BinaryIO, NamedTuple
from urllib.parse import quote

from asyncmirror.checksum import compute, to_header
from asyncmirror.errors import UsageError
from asyncmirror.journal.ordered import Kept
from asyncmirror.plan.properties import format_mtime

_CSV = ("Bucket", "Key", "Size", "ETag", "IsMultipartUploaded", "ChecksumAlgorithm", "Checksum", "SourceMtime")
_GROUP = 1 << 16
"""Rows of a row group: some 20 MB while they are Python's."""
_LONGEST_TARGET = 4095
"""Bytes of a symbolic link's target, which is what `lstat` says is its size (Linux, limits.h: PATH_MAX)."""


class Row(NamedTuple):
    """An object. `size` in bytes, as it is in the bucket; `checksum` is base64, it and `algorithm` are empty where unknown."""

    bucket: str
    key: str
    size: int
    etag: str
    is_multipart_uploaded: bool
    algorithm: str
    checksum: str
    mtime_ns: int


def is_link(kept: Kept) -> bool:
    """Whether it is a symbolic link on record: its object is empty, and what the journal has is the link's own size."""
    identity, checksum = kept.completed.identity, kept.completed.checksum
    return 0 < identity.size <= _LONGEST_TARGET and checksum == compute(checksum.algorithm, b"")


def row(bucket: str, kept: Kept) -> Row:
    """An object on record as a row."""
    identity, checksum, etag, part_size = kept.completed
    known = bool(checksum.digest)
    return Row(
        bucket,
        kept.key,
        0 if is_link(kept) else identity.size,
        etag,
        bool(part_size) or "-" in etag,  # adopted: the ETag of an upload in parts ends with their number
        checksum.algorithm.value if known else "",
        to_header(checksum) if known else "",
        identity.mtime_ns,
    )


def write_csv(file: BinaryIO, rows: Iterable[Row]) -> None:
    """Write them, after a line with the columns' names.

    Raises:
        OSError: It can't be written.
    """
    text = io.TextIOWrapper(file, encoding="utf-8", errors="surrogateescape", newline="")
    try:
        writer = csv.writer(text, quoting=csv.QUOTE_ALL, lineterminator="\n")
        writer.writerow(_CSV)
        writer.writerows(map(_spelled, rows))
    finally:
        text.detach()  # what is buffered is written; the file is its owner's to close


def _spelled(each: Row) -> tuple[object, ...]:
    bucket, key, size, etag, multipart, algorithm, checksum, mtime_ns = each
    return bucket, quote(key), size, etag, "true" if multipart else "false", algorithm, checksum, format_mtime(mtime_ns)


def need_parquet() -> None:
    """See that Parquet can be written.

    Raises:
        UsageError: pyarrow is not installed.
    """
    try:
        import pyarrow.parquet  # noqa: F401, PLC0415  an extra, and slow to import
    except ImportError:
        raise UsageError("Parquet needs pyarrow, which is not installed", hint="pip install 'asyncmirror[parquet]'") from None


def write_parquet(file: BinaryIO, rows: Iterable[Row]) -> None:
    """Write them, a row group for each 65,536.

    Raises:
        OSError: It can't be written.
        UsageError: pyarrow is not installed.
    """
    need_parquet()
    import pyarrow as pa  # noqa: PLC0415  see above
    from pyarrow import parquet  # noqa: PLC0415  see above

    schema = pa.schema(
        [
            ("bucket", pa.string()),
            ("key", pa.string()),
            ("size", pa.int64()),
            ("e_tag", pa.string()),
            ("is_multipart_uploaded", pa.bool_()),
            ("checksum_algorithm", pa.string()),
            ("checksum", pa.string()),
            ("source_mtime", pa.timestamp("ns", tz="UTC")),
        ]
    )
    with parquet.ParquetWriter(file, schema) as writer:
        for group in _groups(rows):
            columns = [pa.array(values, kind) for values, kind in zip(zip(*group, strict=True), schema.types, strict=True)]
            writer.write_batch(pa.RecordBatch.from_arrays(columns, schema=schema))


def _groups(rows: Iterable[Row]) -> Iterator[list[Row]]:
    rest = iter(rows)
    while group := list(islice(rest, _GROUP)):
        yield group
