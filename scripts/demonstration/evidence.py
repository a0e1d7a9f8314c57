"""What the demonstration proves, and from what: the server's request log, a copy of the journal, the objects themselves.

Owns the comparisons and gives values; says nothing. It never asks asyncmirror what became of anything.
"""

import os
import shutil
import sqlite3
import stat
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import boto3
from botocore.client import Config

from asyncmirror.plan import keys
from asyncmirror.testing.moto import Request

PIECE = 1 << 20
THREADS = 4


class Journal(NamedTuple):
    """What the journal held at the kill: keys of complete objects, and (key, part number) of confirmed parts."""

    complete: frozenset[str]
    parts: frozenset[tuple[str, int]]
    uploads: int


class Resent(NamedTuple):
    """What a resumed run sent again: what had been confirmed (a defect), and what was in flight at the kill (a need).

    Each a sorted list of (key, part number); the number is 0 for a whole object. `size` is of the latter, in bytes.
    """

    confirmed: list[tuple[str, int]]
    in_flight: list[tuple[str, int]]
    size: int


class Difference(NamedTuple):
    """Keys whose bytes differ, that are missing in the bucket, that are in the bucket only; and how many were equal."""

    different: list[str]
    missing: list[str]
    strange: list[str]
    equal: int


def regular_files(root: Path, prefix: str) -> dict[str, tuple[Path, int]]:
    """The regular files below a directory with their sizes, by the key each must get."""
    found = {}
    for directory, _, names in os.walk(os.fsencode(root)):
        below = os.path.relpath(directory, os.fsencode(root))
        for name in names:
            path = os.path.join(directory, name)
            state = os.lstat(path)
            if stat.S_ISREG(state.st_mode):
                key = f"{prefix}/" + keys.encode(os.path.normpath(os.path.join(below, name)))
                found[key] = (Path(os.fsdecode(path)), state.st_size)
    return found


def read_journal(path: Path, copy: Path, prefix: str) -> Journal:
    """Read a copy, so that the next run finds the journal exactly as the kill left it."""
    copy.mkdir()
    for name in (path.name, path.name + "-wal"):  # SQLite's two files; the second holds what was committed last
        shutil.copy(path.with_name(name), copy)
    connection = sqlite3.connect(copy / path.name)
    connection.execute("PRAGMA locking_mode = EXCLUSIVE")

    def select(columns: str, table: str) -> Iterator[tuple[Any, ...]]:
        rows = connection.execute(f"SELECT d.path, t.name{columns} FROM {table} t JOIN directory d ON d.id = t.directory")
        for directory, name, *rest in rows:
            yield keys.directory_prefix(prefix, directory) + keys.encode(name), *rest

    complete = frozenset(key for (key,) in select("", "object"))
    parts = frozenset((key, number) for key, number in select(", t.number", "receipt"))
    uploads = len(list(select("", "upload")))
    connection.close()
    return Journal(complete, parts, uploads)


def sent_again(before: Sequence[Request], after: Sequence[Request], journal: Journal) -> Resent:
    """Hold the requests of two runs and what the journal held between them against each other."""
    bodies = [request for request in after if request.method == "PUT"]
    sent = {(_key(request), request.part) for request in bodies}
    begun = {_key(request) for request in after if request.method == "POST" and not request.upload_id}
    # An object that is confirmed needs nothing any more; an upload with confirmed parts is neither begun anew nor put whole.
    confirmed = {(key, part) for key, part in sent | {(key, 0) for key in begun} if key in journal.complete}
    confirmed |= sent & journal.parts
    with_parts = {key for key, _ in journal.parts}
    confirmed |= {(key, 0) for key in with_parts if key in begun or (key, 0) in sent}

    earlier = {(_key(request), request.part) for request in before if request.method == "PUT"}
    size = sum(request.length for request in bodies if (_key(request), request.part) in earlier)
    return Resent(sorted(confirmed), sorted(sent & earlier - confirmed), size)


def _key(request: Request) -> str:
    return request.path.removeprefix("/").partition("/")[2]


def compare(url: str, bucket: str, files: dict[str, tuple[Path, int]]) -> Difference:
    """Read every object back and hold it against its file."""
    config = Config(max_pool_connections=THREADS, s3={"addressing_style": "path"})
    client = boto3.client(
        "s3", endpoint_url=url, region_name="us-east-1", aws_access_key_id="demo", aws_secret_access_key="demo", config=config
    )
    pages = client.get_paginator("list_objects_v2").paginate(Bucket=bucket)
    stored = {item["Key"] for page in pages for item in page.get("Contents", ())}

    def same(key: str) -> bool:
        body = client.get_object(Bucket=bucket, Key=key)["Body"]
        with files[key][0].open("rb") as file:
            while piece := file.read(PIECE):
                if body.read(len(piece)) != piece:
                    return False
            return not body.read(1)

    present = sorted(files.keys() & stored)
    with ThreadPoolExecutor(THREADS) as threads:
        different = [key for key, equal in zip(present, threads.map(same, present), strict=True) if not equal]
    return Difference(different, sorted(files.keys() - stored), sorted(stored - files.keys()), len(present) - len(different))
