"""File names of any bytes, through the whole product: scan, key, store, journal, JSON lines, screen."""

import json
import os
import random
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

from hypothesis import strategies as st

from asyncmirror.cli import json_lines, report
from asyncmirror.cli import status as shown
from asyncmirror.cli.fold import State, fold
from asyncmirror.engine.mirror import Mirror
from asyncmirror.engine.status import read_status
from asyncmirror.events import Event, Settled
from asyncmirror.model import Outcome
from asyncmirror.plan import keys
from asyncmirror.settings import Connection, Destination, ObjectOptions, Settings
from asyncmirror.store.s3 import S3Store
from asyncmirror.store.wire.store import WireStore
from asyncmirror.testing import S3Server, ServerConfig
from tests.fuzz.pure import one_line
from tests.fuzz.target import Target, looping

BUCKET = "bucket"
PREFIX = "pre"
# Bytes that mean something to somebody: an escape's, a terminal's, XML's, a URL's, a shell's, UTF-8's.
_MEANING = b"\x01\x07\n\r\t\x1b[2J\x7f\x80\x9b\xc2\xe2\x90\x9b\xff\xed\xa0\x80%/+&<>\"'\\ .~*?[]{}$`;|#=0F"
ENVIRONMENT = {"AWS_ACCESS_KEY_ID": "testkey", "AWS_SECRET_ACCESS_KEY": "testsecret", "AWS_EC2_METADATA_DISABLED": "true"}


def is_name(name: bytes) -> bool:
    """Whether a file system takes it."""
    return 0 < len(name) <= 255 and b"/" not in name and b"\0" not in name and name not in (b".", b"..")


def random_name(chance: random.Random) -> bytes:
    """A name of 1 to 255 bytes: of any bytes, of those that mean something, or of any characters."""
    while True:
        length = chance.choice((1, 2, 3, 5, 8, 8, 12, 20, 30)) if chance.random() < 0.95 else chance.randint(1, 255)
        kind = chance.randrange(3)
        if kind == 0:
            name = chance.randbytes(length)
        elif kind == 1:
            name = bytes(chance.choices(_MEANING, k=length))
        else:
            name = "".join(map(chr, chance.choices(range(1, 0xD800), k=length))).encode()[:length]
        name = name.translate(None, b"/\0")
        if is_name(name):
            return name


def grow(root: bytes, count: int, chance: random.Random) -> None:
    """Make a tree of files in nested directories, all of random names, until so many have keys of at most 1,000 bytes."""
    directories = [root]
    while count:
        path = os.path.join(chance.choice(directories), random_name(chance))
        try:
            if chance.random() < 0.02 and len(path) - len(root) < chance.choice((100, 100, 100, 900)):
                os.mkdir(path)
                directories.append(path)
            else:
                with open(path, "xb") as file:
                    file.write(path[-40:])
                count -= len(keys.encode(path[len(root) + 1 :]).encode()) <= 1000
        except FileExistsError:
            continue


def walked(root: bytes) -> set[bytes]:
    """The paths of the files below a directory, as the operating system tells them."""
    return {os.path.relpath(os.path.join(directory, name), root) for directory, _, names in os.walk(root) for name in names}


@asynccontextmanager
async def a_bucket() -> AsyncIterator[Connection]:
    """A bucket of a strict server."""
    async with S3Server(ServerConfig(buckets=(BUCKET,))) as server:
        yield Connection(endpoint_url=server.url)


async def mirrored(settings: Settings, store: S3Store | None = None) -> list[Event]:
    """One run."""
    async with Mirror(settings, store) as mirror:
        return [event async for event in mirror.run()]


async def stored(connection: Connection, prefix: str = PREFIX, bucket: str = BUCKET) -> dict[bytes, int]:
    """What is in the bucket: paths, made of the keys, and sizes."""
    async with S3Store(bucket, connection, ObjectOptions(), 4) as store:
        found = [remote async for remote in store.list_objects(f"{prefix}/")]
    paths = {keys.decode(remote.key.removeprefix(f"{prefix}/")): remote.size for remote in found}
    assert len(paths) == len(found), "two keys stand for one path"
    return paths


def told(events: list[Event], journal: Path) -> None:
    """No name reaches a screen as it is, and programs are told each exactly."""
    state = State()
    for event in events:
        state = fold(state, event)
        for line in json_lines.lines(event):
            assert line.count(b"\n") == 1
            if isinstance(event, Settled):
                assert os.fsencode(json.loads(line)["path"]) == event.path
                one_line(report.problem(event))
    for shown_line in report.result(state):
        one_line(shown_line.text)
    for text in shown.lines(read_status(journal)):
        one_line(text)


_CHARACTERS = st.sampled_from([bytes([byte]) for byte in _MEANING])
_PIECES = st.binary(min_size=1, max_size=20) | st.lists(_CHARACTERS, min_size=1, max_size=12).map(b"".join)
_NAMES = _PIECES.map(lambda name: name.replace(b"/", b"").replace(b"\0", b"")).filter(is_name)
_PATHS = st.lists(_NAMES, min_size=1, max_size=3).map(b"/".join)


@contextmanager
def _names(work: Path) -> Iterator[Callable[[list[bytes]], None]]:
    number = 0

    async def attempt(root: Path) -> None:
        journal = work / f"{number}.journal"
        settings = Settings(root, Destination(BUCKET, str(number)), journal=journal)
        events = await mirrored(settings, store)
        tree = walked(os.fsencode(root))
        assert {event.path for event in events if isinstance(event, Settled) and event.outcome is Outcome.COMPLETE} == tree
        told(events, journal)
        found = {keys.decode(remote.key.removeprefix(f"{number}/")) async for remote in store.list_objects(f"{number}/")}
        assert found == tree

    def check(paths: list[bytes]) -> None:
        nonlocal number
        number += 1
        root = work / str(number)
        root.mkdir()
        for path in paths:
            whole = os.path.join(os.fsencode(root), path)
            try:
                os.makedirs(os.path.dirname(whole), exist_ok=True)
                with open(whole, "xb") as file:
                    file.write(path)
            except (FileExistsError, NotADirectoryError):
                continue  # a name that is a directory in another path
        run(attempt(root))

    async def opened(stack: AsyncExitStack) -> S3Store:
        connection = await stack.enter_async_context(a_bucket())
        return await stack.enter_async_context(WireStore(BUCKET, connection, ObjectOptions(), 8))

    with patch.dict(os.environ, ENVIRONMENT), looping() as run:
        stack = AsyncExitStack()
        store = run(opened(stack))
        try:
            yield check
        finally:
            run(stack.aclose())


TARGETS: tuple[Target[Any], ...] = (Target("names", st.lists(_PATHS, min_size=1, max_size=12), _names, 10),)
