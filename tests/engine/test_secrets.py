"""Hazard 42: what looks like a secret, headed to a public bucket, is refused in the stream; the others go on."""

import contextlib
import os
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import boto3
import pytest

from asyncmirror.engine.mirror import Mirror
from asyncmirror.engine.status import read_status
from asyncmirror.events import Event, Notice
from asyncmirror.model import Outcome, Visibility
from asyncmirror.settings import Connection, Destination, Secrets, Settings, Symlinks, Tuning
from asyncmirror.sizes import MIB
from asyncmirror.testing import Access, S3Server, ServerConfig
from tests.engine.house import PART, House, Ran

SECRET = b"MIIEpAIBAAKCAQEA1c7+9z5Pad7OejecsQ0bu3aozN3tihPmljnnudb9G3HECdnH"
KEY = b"-----BEGIN RSA PRIVATE KEY-----\n" + SECRET + b"\n"
BY_PATH = {
    b".aws/credentials": "aws-credentials",
    b"home/.ssh/config": "ssh",
    b"ca.pem": "private-key",
    b".env": "dotenv",
    b"credentials.csv": "aws-credentials",
}
BY_CONTENT = {b"notes.txt": "private-key", b"deploy.key": "private-key"}
CAUGHT = BY_PATH | BY_CONTENT
GOOD = (b"a.fits", b"binary.key", b"home/readme.txt", b"large")


def furnish(root: Path) -> None:
    for path in BY_PATH:
        write(root, path, b"some words\n")
    for path in BY_CONTENT:
        write(root, path, b"to be kept\n" + KEY)
    write(root, b"a.fits", b"SIMPLE  =" + b" " * 2871 + bytes(100))
    write(root, b"binary.key", b"\0" + KEY)
    write(root, b"home/readme.txt", b"-----BEGIN RSA PRIVATE KEY----- is how a key begins\n")
    write(root, b"large", KEY * (2 * MIB // len(KEY)))


def write(root: Path, path: bytes, data: bytes) -> None:
    file = root / os.fsdecode(path)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(data)


def journal(house: House) -> bytes:
    assert house.settings.journal is not None
    return house.settings.journal.read_bytes()


def bodies(server: S3Server) -> set[bytes]:
    return {request.key.encode() for request in server.requests if request.op in ("PutObject", "UploadPart")}


@pytest.fixture
def house(tmp_path: Path) -> House:
    house = House(tmp_path)
    house.store.seen = Visibility.PUBLIC
    furnish(house.root)
    return house


@pytest.mark.hazard(42)
async def test_secrets_are_refused_and_the_others_go_on(house: House) -> None:
    ran = await house.run()
    assert ran.summary.exit_code == 3
    assert {path for path, event in ran.settled.items() if event.outcome is Outcome.REFUSED} == set(CAUGHT)
    for path, rule in CAUGHT.items():
        assert f"(rule {rule})" in ran.settled[path].reason
        assert "the bucket is public" in ran.settled[path].reason
    assert set(house.bucket()) == {f"pre/{path.decode()}" for path in GOOD}
    assert all(not sent.key.endswith(tuple(os.fsdecode(path) for path in CAUGHT)) for sent in house.store.sent)
    assert SECRET not in journal(house) + repr(ran.events).encode()
    assert house.settings.journal is not None
    assert {trouble.path for trouble in read_status(house.settings.journal).troubles} == set(CAUGHT)


@pytest.mark.hazard(42)
async def test_what_was_refused_goes_up_once_it_is_allowed(house: House) -> None:
    await house.run()
    allowed = await house.run(house.options(allow_secrets=("notes.txt", ".aws/")))
    assert allowed.summary.exit_code == 3
    assert allowed.outcome(b"notes.txt") is allowed.outcome(b".aws/credentials") is Outcome.COMPLETE
    assert allowed.outcome(b"deploy.key") is Outcome.REFUSED
    everything = await house.run(house.options(secrets=Secrets.OFF))
    assert everything.summary.exit_code == 0
    assert house.bucket() == house.tree()
    # What is in the bucket already is no more a matter of the guard, and nobody is asked.
    house.store.requests.clear()
    again = await house.run()
    assert again.summary.exit_code == 0
    assert "GetBucketPolicyStatus" not in {request.op for request in house.store.requests}


async def test_a_private_bucket_takes_everything(house: House) -> None:
    house.store.seen = Visibility.PRIVATE
    ran = await house.run()
    assert ran.summary.exit_code == 0
    assert house.bucket() == house.tree()
    assert [request.op for request in house.store.requests].count("GetBucketPolicyStatus") == 1


async def test_a_tree_without_secrets_asks_nothing(house: House) -> None:
    for path in CAUGHT:
        (house.root / os.fsdecode(path)).unlink()
    ran = await house.run()
    assert ran.count(Outcome.COMPLETE) == len(GOOD)
    assert "GetBucketPolicyStatus" not in {request.op for request in house.store.requests}


async def test_not_to_be_told_is_said_once_and_refuses(house: House) -> None:
    house.store.seen = Visibility.UNKNOWN
    ran = await house.run()
    assert ran.count(Outcome.REFUSED) == len(CAUGHT)
    notices = [event.text for event in ran.events if isinstance(event, Notice)]
    assert len(notices) == 1
    assert "does not tell whether the bucket is public" in notices[0]


async def test_the_user_may_know_better_than_the_store(house: House) -> None:
    house.store.seen = Visibility.PRIVATE
    ran = await house.run(house.options(public=True))
    assert ran.count(Outcome.REFUSED) == len(CAUGHT)


async def test_stop_ends_the_run_at_the_first(house: House) -> None:
    for number in range(800):
        house.write(f"z/{number}", b"%d" % number)
    ran = await house.run(house.options(secrets=Secrets.STOP))
    assert ran.summary.exit_code == 3
    assert ran.summary.stopped
    assert "looks like a secret" in ran.summary.error
    assert 1 <= ran.count(Outcome.REFUSED) <= 8  # those in flight together
    assert ran.count(Outcome.COMPLETE) < 800
    assert house.store.uploads == 0
    # The same command without it goes on from there.
    rest = await house.run()
    assert rest.count(Outcome.REFUSED) == len(CAUGHT)
    assert rest.count(Outcome.COMPLETE) + rest.count(Outcome.UNCHANGED) == 800 + len(GOOD)


async def test_a_dry_run_names_what_the_path_gives_away(house: House) -> None:
    ran = await house.run(house.options(dry_run=True))
    assert ran.summary.exit_code == 3
    refused = {path: event.reason for path, event in ran.settled.items() if event.outcome is Outcome.REFUSED}
    assert set(refused) == set(BY_PATH)
    assert refused[b".env"].startswith("dry run: looks like a secret")
    assert not house.store.sent


async def test_a_large_file_is_judged_by_its_path(house: House) -> None:
    house.write("id_rsa", b"x" * (2 * PART))
    house.write("big.txt", KEY + b"x" * (2 * PART))
    ran = await house.run()
    assert ran.outcome(b"id_rsa") is Outcome.REFUSED
    assert ran.outcome(b"big.txt") is Outcome.COMPLETE
    assert not [sent for sent in house.store.sent if sent.key == "pre/id_rsa"]


async def test_a_file_that_becomes_a_secret_is_refused_and_the_old_object_stays(house: House) -> None:
    house.write("settings.txt", b"harmless")
    await house.run()
    house.write("settings.txt", KEY)
    ran = await house.run()
    assert ran.outcome(b"settings.txt") is Outcome.REFUSED
    assert house.bucket()["pre/settings.txt"] == b"harmless"


async def test_a_link_does_not_hide_a_secret(house: House) -> None:
    (house.root / "link.txt").symlink_to("home/.ssh/config")
    followed = await house.run(house.options(symlinks=Symlinks.FOLLOW))
    assert followed.outcome(b"link.txt") is Outcome.REFUSED
    (house.root / "id_rsa").symlink_to("a.fits")
    recorded = await house.run(house.options(symlinks=Symlinks.RECORD))
    assert recorded.outcome(b"id_rsa") is Outcome.COMPLETE  # it says where it leads, and nothing of what is there


@pytest.fixture
async def server(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[S3Server]:
    config = ServerConfig(buckets=("box", "open"), public=frozenset({"open"}), access={"box": Access()})
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", config.credentials[0].access_key)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", config.credentials[0].secret_key)
    async with S3Server(config) as server:
        yield server


async def run(settings: Settings) -> Ran:
    events: list[Event] = []
    async with Mirror(settings) as mirror:
        events.extend([event async for event in mirror.run()])
    return Ran(events)


@pytest.mark.hazard(42)
@pytest.mark.parametrize("loops", [1, 2])
async def test_on_a_server_and_in_other_processes(server: S3Server, tmp_path: Path, loops: int) -> None:
    root = tmp_path / "tree"
    furnish(root)
    connection = Connection(endpoint_url=server.url, region="us-east-1")
    tuning = Tuning(loops=loops, concurrency=4, part_size=PART, max_memory=64 * MIB)
    settings = Settings(root, Destination("open"), connection, tuning=tuning, journal=tmp_path / "journal.sqlite", probe=False)
    ran = await run(settings)
    assert ran.summary.exit_code == 3
    assert {path for path, event in ran.settled.items() if event.outcome is Outcome.REFUSED} == set(CAUGHT)
    assert bodies(server) == {key.encode() for key in server.objects("open")} == set(GOOD)
    stopped = await run(replace(settings, secrets=Secrets.STOP))
    assert stopped.summary.exit_code == 3
    assert stopped.summary.stopped
    assert "looks like a secret" in stopped.summary.error
    if loops == 1:  # it makes no difference to this
        allowed = await run(replace(settings, allow_secrets=("**",)))
        assert allowed.summary.exit_code == 0
        assert {key.encode() for key in server.objects("open")} == {*GOOD, *CAUGHT}
    server.reconfigure(denied=frozenset({"GetBucketPolicyStatus", "GetBucketAcl", "GetPublicAccessBlock"}))
    untold = await run(replace(settings, destination=Destination("box"), journal=tmp_path / "other.sqlite"))
    assert untold.count(Outcome.REFUSED) == len(CAUGHT)
    notices = [event.text for event in untold.events if isinstance(event, Notice)]
    assert len(notices) == 1, notices
    assert "does not tell whether the bucket is public" in notices[0]


@pytest.mark.real
async def test_on_a_real_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    url = os.environ["ASYNCMIRROR_TEST_ENDPOINT"]
    keys = (os.environ["ASYNCMIRROR_TEST_ACCESS_KEY"], os.environ["ASYNCMIRROR_TEST_SECRET_KEY"])
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", keys[0])
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", keys[1])
    root = tmp_path / "tree"
    furnish(root)
    made = boto3.client(
        "s3", endpoint_url=url, region_name="us-east-1", aws_access_key_id=keys[0], aws_secret_access_key=keys[1]
    )
    with contextlib.closing(made) as client:
        for bucket, acl, refused in (("guarded-open", "public-read", set(CAUGHT)), ("guarded-closed", "private", set())):
            client.create_bucket(Bucket=bucket, ACL=acl)
            connection, journal = Connection(endpoint_url=url, region="us-east-1"), tmp_path / f"{bucket}.sqlite"
            ran = await run(Settings(root, Destination(bucket), connection, journal=journal))
            assert {path for path, event in ran.settled.items() if event.outcome is Outcome.REFUSED} == refused
            stored = {found["Key"].encode() for found in client.list_objects_v2(Bucket=bucket)["Contents"]}
            assert stored == {*GOOD, *CAUGHT} - refused
