"""Thousands of names of any bytes, up and back down; others each time. ``ASYNCMIRROR_TEST_NAMES=10000`` takes so many."""

import os
import random
import uuid
from pathlib import Path

import boto3
import pytest

from asyncmirror.events import Settled, Summary
from asyncmirror.model import Outcome
from asyncmirror.plan import keys
from asyncmirror.settings import Connection, Destination, Settings
from tests.fuzz.names import BUCKET, PREFIX, a_bucket, grow, mirrored, stored, told, walked

COUNT = int(os.environ.get("ASYNCMIRROR_TEST_NAMES", "2000"))


def plant(root: Path, seed: int) -> tuple[set[bytes], set[bytes]]:
    """The tree; gives the paths that can be mirrored, and those whose key is too long. One key is of exactly 1,024 bytes."""
    top = os.fsencode(root)
    os.mkdir(top)
    deep = b"/".join([b"d" * 250] * 4)
    os.makedirs(os.path.join(top, deep))
    room = 1024 - len(PREFIX) - 1 - len(deep) - 1
    for name in (b"f" * room, b"f" * (room + 1)):
        with open(os.path.join(top, deep, name), "xb"):
            pass
    grow(top, COUNT, random.Random(seed))
    paths = walked(top)
    long = {path for path in paths if len(f"{PREFIX}/{keys.encode(path)}".encode()) > 1024}
    assert deep + b"/" + b"f" * (room + 1) in long
    assert deep + b"/" + b"f" * room not in long
    assert len(paths - long) >= COUNT
    return paths - long, long


async def up_and_back_down(tree: Path, journal: Path, connection: Connection, bucket: str, seed: int) -> None:
    fitting, long = plant(tree, seed)
    settings = Settings(tree, Destination(bucket, PREFIX), connection, journal=journal)
    events = await mirrored(settings)
    outcomes = {event.path: event for event in events if isinstance(event, Settled)}
    assert {path for path, event in outcomes.items() if event.outcome is Outcome.COMPLETE} == fitting
    assert {path for path, event in outcomes.items() if event.outcome is Outcome.REFUSED} == long
    assert all("bytes long; S3 allows 1,024" in outcomes[path].reason for path in long)
    assert isinstance(events[-1], Summary)
    assert events[-1].exit_code == 3
    found = await stored(connection, PREFIX, bucket)
    assert found.keys() == fitting
    top = os.fsencode(tree)
    assert all(size == os.lstat(os.path.join(top, path)).st_size for path, size in found.items())
    told(events, journal)
    again = await mirrored(settings)
    assert isinstance(again[-1], Summary)
    assert again[-1].counts[Outcome.UNCHANGED] == len(fitting)
    assert again[-1].bytes_sent == 0


@pytest.mark.slow
@pytest.mark.usefixtures("chain")
async def test_random_names_come_back_exactly(tmp_path: Path) -> None:
    async with a_bucket() as connection:
        await up_and_back_down(tmp_path / "tree", tmp_path / "journal", connection, BUCKET, random.getrandbits(32))


@pytest.mark.real
async def test_random_names_come_back_exactly_from_a_real_store(tmp_path: Path, chain: pytest.MonkeyPatch) -> None:
    url, access_key, secret_key = (os.environ[f"ASYNCMIRROR_TEST_{name}"] for name in ("ENDPOINT", "ACCESS_KEY", "SECRET_KEY"))
    chain.setenv("AWS_ACCESS_KEY_ID", access_key)
    chain.setenv("AWS_SECRET_ACCESS_KEY", secret_key)
    bucket = f"names-{uuid.uuid4().hex[:12]}"
    client = boto3.client("s3", endpoint_url=url, region_name="us-east-1")
    client.create_bucket(Bucket=bucket)
    client.close()
    await up_and_back_down(
        tmp_path / "tree", tmp_path / "journal", Connection(endpoint_url=url), bucket, random.getrandbits(32)
    )
