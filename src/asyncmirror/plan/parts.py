"""How a file is cut into parts.

Owns S3's limits on multipart uploads (AWS, "Amazon S3 multipart upload limits"). The part size is chosen once, when an upload
begins, and journalled; a resumed upload keeps it whatever the settings say by then.
"""

from collections.abc import Iterator
from typing import NamedTuple

from asyncmirror.errors import RefusedError
from asyncmirror.settings import MAX_PART_SIZE
from asyncmirror.sizes import MIB, format_size

MAX_PARTS = 10_000
MAX_OBJECT = MAX_PARTS * MAX_PART_SIZE
"""48.8 TiB."""


class Part(NamedTuple):
    """One part: its number from 1, where it begins in the file and how long it is, in bytes."""

    number: int
    offset: int
    length: int


def part_size(size: int, preferred: int, max_memory: int) -> int:
    """The part size for a file of `size` bytes: the preferred one, or as many whole MiB as 10,000 parts need.

    Raises:
        RefusedError: The object would be larger than S3 allows, or a part larger than the memory allowed.
    """
    if size > MAX_OBJECT:
        raise RefusedError(f"{format_size(size)} is more than S3's largest object, {format_size(MAX_OBJECT)}")
    needed = -(-size // MAX_PARTS)
    chosen = preferred if needed <= preferred else min(-(-needed // MIB) * MIB, MAX_PART_SIZE)
    if chosen > max_memory:
        raise RefusedError(
            f"{MAX_PARTS:,} parts of a file of {format_size(size)} are {format_size(chosen)} each, more than --max-memory",
            hint=f"run again with --max-memory {-(-chosen // MIB)}MiB or more",
        )
    return chosen


def parts(size: int, part_size: int) -> Iterator[Part]:
    """The parts of a file, in order, made as they are asked for; none for an empty file."""
    for number, offset in enumerate(range(0, size, part_size), 1):
        yield Part(number, offset, min(part_size, size - offset))
