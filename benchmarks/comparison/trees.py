"""The trees that are mirrored: made once, of real random bytes, the same for everybody who makes them.

Owns sizes, names and contents. Sparse files would be quicker to make, but asyncmirror takes a file without blocks for one that
was archived to tape.
"""

import json
import os
import random
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

KIB, MIB, GIB = 1 << 10, 1 << 20, 1 << 30
SEED = 20260101
_POOL = 4 * MIB
_MIX_MEDIAN, _MIX_SIGMA = 128 * KIB, 1.85
"""A log-normal with a mean of 0.7 MiB: most files are small, most bytes are in large ones, as in a DESI reduction."""


class Tree(NamedTuple):
    """A tree on disk; `size` is the sum of its files' sizes in bytes."""

    path: Path
    files: int
    size: int
    sizes: Path


class Shape(NamedTuple):
    """What a tree is made of: so many files of so many bytes, or (`size` 0) of log-normal sizes from 1 KiB to 64 MiB."""

    files: int
    size: int
    per_directory: int = 1000

    @property
    def name(self) -> str:
        """A directory's name for it."""
        return f"{self.files}x{self.size or 'mix'}"

    def sizes(self) -> Iterator[int]:
        """Each file's size in bytes."""
        if self.size:
            yield from (self.size for _ in range(self.files))
            return
        chance = random.Random(SEED)
        for _ in range(self.files):
            yield int(min(max(chance.lognormvariate(0, _MIX_SIGMA) * _MIX_MEDIAN, KIB), 64 * MIB))


def make(home: Path, shape: Shape) -> Tree:
    """The tree of a shape below `home`; made unless it is there, whole, already."""
    path, stamp, listed = home / shape.name, home / f"{shape.name}.json", home / f"{shape.name}.sizes"
    tree = Tree(path, shape.files, sum(shape.sizes()), listed)
    wanted = json.dumps([SEED, *shape, tree.size])
    if stamp.exists() and stamp.read_text() == wanted:
        return tree
    if shutil.disk_usage(home).free < tree.size + shape.files * 4 * KIB + 2 * GIB:
        raise SystemExit(f"not enough space in {home} for {shape.name}")
    shutil.rmtree(path, ignore_errors=True)
    pool = memoryview(random.Random(SEED).randbytes(_POOL))
    for number, size in enumerate(shape.sizes()):
        directory = path / f"main/dark/{number // shape.per_directory:04}"
        if number % shape.per_directory == 0:
            directory.mkdir(parents=True)
        _write(f"{directory}/coadd-main-dark-{number:07}.fits", number, size, pool)
    listed.write_text(json.dumps(list(shape.sizes())) if shape.files <= 100_000 else "[]")
    os.sync()  # what is written later would be charged to whoever is measured then
    stamp.write_text(wanted)
    return tree


def _write(path: str, number: int, size: int, pool: memoryview) -> None:
    """Write a file that is like no other: its number, then random bytes from a place of its own."""
    with open(path, "wb", buffering=0) as file:
        left = size - file.write(number.to_bytes(8, "big")[:size])
        begin = number * 8191 % (_POOL // 2)
        while left > 0:
            left -= file.write(pool[begin : begin + min(left, _POOL - begin)])
            begin = 0


def warm(tree: Tree) -> None:
    """Read everything once: into the page cache as far as it goes."""
    buffer = bytearray(MIB)
    for path in _paths(tree):
        with open(path, "rb", buffering=0) as file:
            while file.readinto(buffer):
                pass


def look(tree: Tree) -> None:
    """Look at every name and its status once, so that these are in the kernel's caches."""
    for path in _paths(tree):
        os.stat(path)


def cool(tree: Tree) -> None:
    """Take all files out of the page cache (their directories stay)."""
    for path in _paths(tree):
        with open(path, "rb", buffering=0) as file:
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def _paths(tree: Tree) -> Iterator[str]:
    for directory, _, names in os.walk(tree.path):
        for name in names:
            yield f"{directory}/{name}"
