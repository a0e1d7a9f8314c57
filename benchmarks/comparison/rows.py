"""The rows of the matrix: which work, to which server, and how much of it each client gets.

Owns the table. A client that would take minutes gets a part of the files; the report says so, beside every such figure.
"""

from collections.abc import Iterator
from typing import NamedTuple

from comparison.trees import GIB, KIB, MIB, Shape


class Row(NamedTuple):
    """One row: so many turns in which each entrant has its go. `shapes` are by share of the files."""

    name: str
    title: str
    server: str
    entrants: tuple[tuple[str, Shape], ...]
    unit: str = "objects"
    cap: float = 180.0

    @property
    def shape(self) -> Shape:
        """The whole work."""
        return self.entrants[0][1]


_FAST = ("asyncmirror", "s5cmd, 64", "s5cmd, 256", "rclone")
_SLOW = ("aws-cli", "boto3")
NOTHING_TO_DO = {True: 100_000, False: 1_000_000}
"""Files of the row that measures a run without work, by `quick`."""
LISTED = {
    True: {"asyncmirror": 20_000, "s5cmd, 64": 20_000, "aws-cli": 2_000},
    False: {"asyncmirror": 200_000, "s5cmd, 64": 200_000, "s5cmd, 256": 200_000, "aws-cli": 20_000, "rclone": 200_000},
}
"""Files of the same against clients that list the bucket, by `quick`."""
_SERVERS = {"plain": "plain HTTP", "latency": "answers 50 ms late", "tls": "TLS", "moto": "moto"}


def rows(*, quick: bool) -> list[Row]:
    """All rows that are one command on one tree, in the order in which they are run."""
    return list(_quick() if quick else _full())


def _quick() -> Iterator[Row]:
    for row in (
        _one("aws-cli"),
        _small("plain", 10_000, ("aws-cli",)),
        _small("tls", 5_000, ("aws-cli",)),
        _small("latency", 3_000, ()),
        _mix("plain", 500, ()),
        _large("plain", 4, ()),
        _large("tls", 4, ()),
    ):
        yield row._replace(entrants=tuple(entrant for entrant in row.entrants if entrant[0] != "rclone"))


def _full() -> Iterator[Row]:
    yield _one(*_SLOW)
    yield from (_small(server, 40_000, _SLOW) for server in ("plain", "tls"))
    yield _small("latency", 20_000, _SLOW)
    yield _small("moto", 2_000, _SLOW)
    yield from (_mix(server, 5_000, _SLOW) for server in ("plain", "latency", "tls"))
    yield from (_large(server, 16, _SLOW) for server in ("plain", "latency", "tls"))
    yield from (_huge(server) for server in ("plain", "latency", "tls"))


def _one(*more: str) -> Row:
    entrants = tuple((name, Shape(1, 4 * KIB)) for name in (*_FAST, *more))
    return Row("one-plain", "One file of 4 KiB, start-up and all", "plain", entrants)


def _small(server: str, files: int, slow: tuple[str, ...]) -> Row:
    """`slow` are the clients that get a part."""
    whole, part = Shape(files, 4 * KIB), Shape(files // (1 if server == "moto" else 10), 4 * KIB)
    names = list(_FAST)
    limits = [] if server == "moto" else ["limit", "limit, signed"]
    if server == "latency":
        names.insert(1, "asyncmirror, 256")
        limits = ["limit", "limit, 256"]
    entrants = [(name, whole) for name in [*names, *limits]] + [(name, part) for name in slow]
    return Row(f"small-{server}", f"{files:,} files of 4 KiB, {_SERVERS[server]}", server, tuple(entrants))


def _mix(server: str, files: int, slow: tuple[str, ...]) -> Row:
    whole, part = Shape(files, 0), Shape(files // 5, 0)
    entrants = _whole(server, whole) + [(name, part) for name in slow]
    title = f"{files:,} files, log-normal from 1 KiB to 64 MiB, {_SERVERS[server]}"
    return Row(f"mix-{server}", title, server, tuple(entrants), "bytes")


def _large(server: str, files: int, slow: tuple[str, ...]) -> Row:
    whole, part = Shape(files, 256 * MIB), Shape(max(1, files // 4), 256 * MIB)
    entrants = _whole(server, whole) + [(name, part) for name in slow]
    return Row(f"large-{server}", f"{files} files of 256 MiB, {_SERVERS[server]}", server, tuple(entrants), "bytes")


def _whole(server: str, shape: Shape) -> list[tuple[str, Shape]]:
    """Who gets all of a tree in which bytes count."""
    names = [*_FAST, "limit", "limit, signed"]
    if server == "tls":
        names.insert(1, "asyncmirror, unsigned")
    return [(name, shape) for name in names]


def _huge(server: str) -> Row:
    shape = Shape(1, 4 * GIB)
    entrants = [(name, shape) for name in (*_FAST, "limit", *_SLOW)]
    return Row(f"huge-{server}", f"One file of 4 GiB, {_SERVERS[server]}", server, tuple(entrants), "bytes")
