"""What is in the bucket, in the tree and in the journal, read with other means than the product's.

Owns the comparison, byte for byte, and the reading of a journal's copy. Only the keys that paths get are the product's word.
"""

import contextlib
import os
import shutil
import sqlite3
import stat
from collections.abc import Collection, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import boto3
from botocore.client import Config

from asyncmirror.plan import keys
from tests.acceptance.command import Site

Piece = tuple[str, int]
"""A key and a part number; 0 for a whole object."""
_PIECE = 1 << 20
_THREADS = 4


@contextlib.contextmanager
def client(site: Site) -> Iterator[Any]:
    """A boto3 client for a site."""
    made = boto3.client(
        "s3",
        endpoint_url=site.url,
        region_name="us-east-1",
        aws_access_key_id=site.access_key,
        aws_secret_access_key=site.secret_key,
        config=Config(max_pool_connections=_THREADS, s3={"addressing_style": "path"}),
    )
    with contextlib.closing(made):
        yield made


def stored_keys(s3: Any, bucket: str, prefix: str = "") -> set[str]:
    """The keys in a bucket."""
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
    return {item["Key"] for page in pages for item in page.get("Contents", ())}


def wrong(
    site: Site, files: Mapping[str, tuple[Path, int]], prefix: str = "", former: Collection[str] = frozenset()
) -> list[str]:
    """The keys that differ from their file, that are missing, or that are nobody's, among those that begin with `prefix`.

    `former` are keys that files had before.
    """
    with client(site) as s3, ThreadPoolExecutor(_THREADS) as threads:

        def same(key: str) -> bool:
            with (
                contextlib.closing(s3.get_object(Bucket=site.bucket, Key=key)["Body"]) as body,
                files[key][0].open("rb") as file,
            ):
                while piece := file.read(_PIECE):
                    if body.read(len(piece)) != piece:
                        return False
                return not body.read(1)

        stored = stored_keys(s3, site.bucket, prefix)
        present = sorted(files.keys() & stored)
        different = [key for key, equal in zip(present, threads.map(same, present), strict=True) if not equal]
    return sorted([*different, *(files.keys() - stored), *(stored - files.keys() - set(former))])


def regular_files(root: Path, prefix: str = "") -> dict[str, tuple[Path, int]]:
    """The regular files below a directory with their sizes, by the key each must get."""
    found = {}
    for directory, _, names in os.walk(os.fsencode(root)):
        for name in names:
            path = os.path.join(directory, name)
            state = os.lstat(path)
            if stat.S_ISREG(state.st_mode):
                key = keys.encode(os.path.relpath(path, os.fsencode(root)))
                found[f"{prefix}/{key}" if prefix else key] = (Path(os.fsdecode(path)), state.st_size)
    return found


def confirmed(journal: Path, copy: Path, prefix: str = "") -> set[Piece]:
    """What a journal calls confirmed, complete objects and parts with receipts; read from a copy, which `copy` is made for.

    The next run finds the journal exactly as the last one left it.
    """
    copy.mkdir()
    for name in (journal.name, f"{journal.name}-wal"):
        if journal.with_name(name).exists():
            shutil.copy(journal.with_name(name), copy)
    with contextlib.closing(sqlite3.connect(copy / journal.name)) as connection:
        if not connection.execute("SELECT * FROM sqlite_schema WHERE name = 'receipt'").fetchone():
            return set()  # killed before there was one
        rows = connection.execute(
            "SELECT d.path, o.name, 0 FROM object o JOIN directory d ON d.id = o.directory"
            " UNION SELECT d.path, r.name, r.number FROM receipt r JOIN directory d ON d.id = r.directory"
        )
        return {(keys.directory_prefix(prefix, directory) + keys.encode(name), number) for directory, name, number in rows}
