"""What must be in the bucket, found out with nothing of the product's: a walk, the remaps, and how keys read back.

Owns the rules once more, in their shortest form: links are followed within the root, a directory of `COMMON` goes elsewhere, a
key is its path but for bytes that are escaped. And the comparison with a listing and with every byte.
"""

import contextlib
import http.client
import os
import re
import stat
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus
from pathlib import Path
from queue import SimpleQueue
from typing import Any, NamedTuple
from urllib.parse import quote, urlsplit

from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from tests.acceptance.command import Site
from tests.acceptance.evidence import client
from tests.acceptance.servers import PATIENCE
from tests.release.tree import COMMON, RELEASES

_REMAPS = {f"{release}/{source}/".encode(): f"{target}/".encode() for release in RELEASES for source, target in COMMON}
_PIECE = 1 << 20
_THREADS = 32
"""A gateway whose answers leave in two segments makes each wait 40 ms for the first one's acknowledgement."""


class Found(NamedTuple):
    """A walk: files by their path below the root, entries that can't be objects, lines of checksum files."""

    files: Mapping[bytes, tuple[Path, int]]
    odd: frozenset[str]
    sums: int

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(size for _, size in self.files.values())

    def but(self, directory: str) -> "Found":
        """Without the files below a directory."""
        below = directory.encode() + b"/"
        return self._replace(files={path: file for path, file in self.files.items() if not path.startswith(below)})


def place(path: bytes) -> bytes:
    """Where a path below the root belongs in the bucket."""
    for source, target in _REMAPS.items():
        if path.startswith(source):
            return target + path.removeprefix(source)
    return path


def path_of(key: str) -> bytes:
    """What a key is the name of, escapes undone."""
    parts = re.split("␛([0-9A-F]{2})", key)
    return b"".join(bytes.fromhex(part) if number % 2 else part.encode() for number, part in enumerate(parts))


def walk(root: Path, releases: Sequence[str] = RELEASES, within: str = "") -> Found:
    """Walk releases of a tree, with all permissions. Links that leave the directory `within` of it are not followed."""
    top = os.path.realpath(os.fsencode(root))
    files: dict[bytes, tuple[Path, int]] = {}
    odd: set[str] = set()
    sums = 0
    real = os.path.join(top, within.encode()) if within else top
    for release in releases:
        for path, whole in _entries(real, release.encode(), (real, os.path.join(top, release.encode())), odd):
            files[path] = (Path(os.fsdecode(whole)), os.stat(whole).st_size)
            if path.endswith(b".sha256sum"):
                sums += Path(os.fsdecode(whole)).read_bytes().count(b"\n")
    return Found(files, frozenset(odd), sums)


def _entries(real: bytes, below: bytes, above: tuple[bytes, ...], odd: set[str]) -> Iterator[tuple[bytes, bytes]]:
    """Files below a directory: the path that decides the key, and where the file stands."""
    with os.scandir(above[-1]) as entries:
        for entry in entries:
            path, whole = below + b"/" + entry.name, os.path.realpath(entry.path)
            if not os.path.exists(entry.path) or not whole.startswith(real + b"/") or whole in above:
                odd.add(os.fsdecode(path))
            elif stat.S_ISDIR(os.stat(whole).st_mode):
                yield from _entries(real, path, (*above, whole), odd)
            else:
                yield path, whole


class Difference(NamedTuple):
    """What a bucket has otherwise than a tree: places that are missing, that are nobody's, and that have other bytes."""

    missing: list[bytes]
    extra: list[bytes]
    different: list[bytes]

    def __bool__(self) -> bool:
        return any(self)


def compare(site: Site, found: Found) -> Difference:
    """Hold a bucket against a walk: every key of its listing, and every byte."""
    files = {place(path): file for path, file in found.files.items()}
    assert len(files) == len(found.files), "two files of the tree belong to one place"
    with client(site) as s3:
        listed = listing(s3, site.bucket)
    stored = {path_of(key): key for key in listed}
    assert len(stored) == len(listed), "two keys read back to one path"
    present = sorted(files.keys() & stored.keys())
    with contextlib.closing(_Reader(site)) as reader, ThreadPoolExecutor(_THREADS) as threads:
        equal = threads.map(lambda path: reader.same(stored[path], *files[path]), present)
        different = [path for path, same in zip(present, equal, strict=True) if not same]
    return Difference(sorted(files.keys() - stored.keys()), sorted(stored.keys() - files.keys()), different)


def listing(s3: Any, bucket: str) -> dict[str, tuple[str, object]]:
    """What a bucket holds: the ETag of each key, and when it was stored."""
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket)
    return {item["Key"]: (item["ETag"], item["LastModified"]) for page in pages for item in page.get("Contents", ())}


class _Reader:
    """Reads objects as Python's http.client does, signed by botocore: a client of boto3 takes five times the time for each."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._signer = S3SigV4Auth(Credentials(site.access_key, site.secret_key), "s3", "us-east-1")
        self._idle: SimpleQueue[http.client.HTTPConnection] = SimpleQueue()
        for _ in range(_THREADS):
            self._idle.put(http.client.HTTPConnection(urlsplit(site.url).netloc, timeout=PATIENCE))

    def same(self, key: str, path: Path, size: int) -> bool:
        """Whether an object has a file's bytes."""
        target = f"/{self._site.bucket}/{quote(key, safe='/~')}"
        request = AWSRequest("GET", self._site.url + target)
        self._signer.add_auth(request)
        connection = self._idle.get()
        try:
            connection.request("GET", target, headers=dict(request.headers.items()))
            answer = connection.getresponse()
            with path.open("rb") as file:
                equal = answer.status == HTTPStatus.OK and answer.length == size
                while piece := file.read(_PIECE):
                    equal = answer.read(len(piece)) == piece and equal
            return not answer.read() and equal
        finally:
            self._idle.put(connection)

    def close(self) -> None:
        """Close the connections."""
        while not self._idle.empty():
            self._idle.get().close()
