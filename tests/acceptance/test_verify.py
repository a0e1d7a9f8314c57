"""`asyncmirror verify`: objects are damaged in every way that was ever reported, found, mended; nothing else is touched."""

import json
import os
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from asyncmirror.cli.main import main
from asyncmirror.testing.moto import MotoServer
from tests.acceptance.command import Run, Runner, Site
from tests.acceptance.evidence import client, regular_files, wrong
from tests.acceptance.servers import serve

FILES = 120
PREFIX = "dr1"
Damage = Callable[[Any, str, str, bytes], object]


def put(change: Callable[[bytes], bytes]) -> Damage:
    """Something else is stored in an object's place."""
    return lambda s3, bucket, key, data: s3.put_object(Bucket=bucket, Key=key, Body=change(data))


DAMAGE: dict[str, Damage] = {
    "truncated": put(lambda data: data[:-1]),
    "zero-filled": put(lambda data: bytes(len(data))),
    "flipped": put(lambda data: bytes([data[0] ^ 1]) + data[1:]),
    "stale": put(lambda data: data[::-1]),
    "deleted": lambda s3, bucket, key, _: s3.delete_object(Bucket=bucket, Key=key),
}


@pytest.fixture
def release(tmp_path: Path) -> Path:
    """A tree whose directories and files sort differently by path than by directory."""
    root = tmp_path / "tree"
    for number in range(FILES):
        path = root / ("exposures", "exposures-old", "exposures/0001", "é")[number % 4] / f"file-{number}.fits"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(os.urandom(100 + number % 7))
    return root


def lines_of(run: Run) -> dict[str, str]:
    """The verdicts by path."""
    found = [line for line in run.lines if line["event"] == "finding"]
    by_path = {line["path"] or line["key"]: line["verdict"] for line in found}
    assert len(by_path) == len(found)
    return by_path


def stamps(s3: Any, bucket: str) -> dict[str, tuple[str, object]]:
    """What tells when each object was stored."""
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=PREFIX + "/")
    return {item["Key"]: (item["ETag"], item["LastModified"]) for page in pages for item in page.get("Contents", ())}


class Inside:
    """Runs the command in this process, where the SDK is loaded once."""

    def __init__(self, site: Site, home: Path, patch: pytest.MonkeyPatch, capture: pytest.CaptureFixture[bytes]) -> None:
        self._capture = capture
        for name in list(os.environ):
            if name.startswith(("AWS_", "ASYNCMIRROR_")):
                patch.delenv(name)
        for name, value in site.environment(home).items():
            patch.setenv(name, value)

    def run(self, *arguments: str | Path) -> Run:
        self._capture.readouterr()
        code = main([os.fspath(argument) for argument in arguments])
        out, err = self._capture.readouterr()
        return Run(code, [json.loads(line) for line in out.splitlines()], err.decode(), 0.0)


def damage_find_mend(release: Path, site: Site, runner: Inside) -> None:
    destination = f"s3://{site.bucket}/{PREFIX}"
    assert runner.run("sync", release, destination, "--quiet").code == 0
    clean = runner.run("verify", destination, "--json", "--no-progress")
    assert (clean.code, clean.error) == (0, "")
    assert clean.summary["equal"] == FILES

    files = regular_files(release, PREFIX)
    chosen = sorted(files)[3 :: FILES // 20][:20]
    with client(site) as s3:
        for number, key in enumerate(chosen):
            list(DAMAGE.values())[number % len(DAMAGE)](s3, site.bucket, key, files[key][0].read_bytes())
        s3.put_object(Bucket=site.bucket, Key=f"{PREFIX}/nobody's", Body=b"")
        s3.put_object(Bucket=site.bucket, Key=f"{PREFIX}-other/object", Body=b"")
        before = stamps(s3, site.bucket)

        found = runner.run("verify", destination, release, "--json", "--repair")
        assert found.code == 3
        kinds = list(DAMAGE)
        assert lines_of(found) == {f"{PREFIX}/nobody's": "extra"} | {
            key.removeprefix(PREFIX + "/"): "missing" if kinds[number % len(kinds)] == "deleted" else "different"
            for number, key in enumerate(chosen)
        }
        assert (found.summary["equal"], found.summary["repaired"]) == (FILES - 20, 20)
        assert stamps(s3, site.bucket) == before, "the bucket was only read"

        mended = runner.run("sync", release, destination, "--json", "--quiet")
        assert (mended.code, mended.summary["complete"], mended.summary["unchanged"]) == (0, 20, FILES - 20)
        after = stamps(s3, site.bucket)
    assert {key for key in before if before[key] != after[key]} <= set(chosen), "nothing else was touched"
    assert runner.run("verify", destination, "--ignore-extra", "--download", "--deep", "--json").code == 0
    assert wrong(site, files, PREFIX + "/") == [f"{PREFIX}/nobody's"]


@pytest.fixture
def inside(home: Path, monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes]) -> Callable[[Site], Inside]:
    return lambda site: Inside(site, home, monkeypatch, capfdbinary)


def test_damage_is_found_and_mended(release: Path, site: Site, inside: Callable[[Site], Inside]) -> None:
    damage_find_mend(release, site, inside(site))


def test_damage_is_found_and_mended_on_moto(release: Path, inside: Callable[[Site], Inside]) -> None:
    with MotoServer("box") as server:
        site = Site(server.url, "box")
        damage_find_mend(release, site, inside(site))


@pytest.mark.real
def test_damage_is_found_and_mended_on_a_real_store(release: Path, inside: Callable[[Site], Inside]) -> None:
    keys = os.environ["ASYNCMIRROR_TEST_ACCESS_KEY"], os.environ["ASYNCMIRROR_TEST_SECRET_KEY"]
    site = Site(os.environ["ASYNCMIRROR_TEST_ENDPOINT"], f"verify-{uuid.uuid4().hex[:12]}", *keys)
    with client(site) as s3:
        s3.create_bucket(Bucket=site.bucket)
    damage_find_mend(release, site, inside(site))


def test_what_people_read(tree: Path, site: Site, runner: Runner) -> None:
    destination = f"s3://{site.bucket}"
    assert runner.run("sync", tree, destination, "--quiet").code == 0
    with client(site) as s3:
        s3.delete_object(Bucket=site.bucket, Key="a/file-0")
        s3.put_object(Bucket=site.bucket, Key="\u202eevil\x1b", Body=b"")
    with runner.start("verify", destination) as running:
        assert running.process.wait(60) == 3
        told = running.printed().splitlines()
    assert set(told[:2]) == {
        "missing: a/file-0: it is not in the bucket",
        r"extra: \u202eevil\x1b: the journal does not know it",
    }
    assert told[2].startswith("20 objects on record (19.7 KiB): 19 equal, 1 missing, 1 extra")
    assert told[3].startswith("not all is there (")


@pytest.fixture
def failing() -> Iterator[Site]:
    """A bucket whose listing fails in the middle, then goes on, and is denied for good from the eighth request on."""
    faults = [
        {"op": "ListObjectsV2", "kind": "reset-after", "at": [3]},
        {"op": "ListObjectsV2", "kind": "status", "status": 500, "at": [4]},
        {"op": "ListObjectsV2", "kind": "truncated", "at": [5]},
        {"op": "ListObjectsV2", "kind": "status", "status": 403, "code": "AccessDenied", "first": 8},
    ]
    with serve("asyncmirror.testing", "--bucket", "box", "--faults", json.dumps({"faults": faults})) as server:
        yield Site(server.url, "box")


def test_a_listing_that_fails_goes_on_and_one_that_is_denied_ends_the_look(release: Path, failing: Site, home: Path) -> None:
    runner = Runner(home, failing.environment(home))
    assert runner.run("sync", release, "s3://box", "--quiet").code == 0
    run = runner.run("verify", "s3://box", "--json")
    assert (run.code, run.summary["equal"]) == (0, FILES), run.error
    run = runner.run("verify", "s3://box", "--json")
    assert (run.code, run.lines) == (4, [])
    assert run.error.count("\n") == 1
    assert "could not be looked at" in run.error


def test_which_journal_is_meant(tree: Path, site: Site, inside: Callable[[Site], Inside], home: Path) -> None:
    runner = inside(site)
    destination = f"s3://{site.bucket}/many"
    none = runner.run("verify", destination)
    assert (none.code, none.lines) == (2, [])
    assert f"there is no journal of {destination}" in none.error
    assert runner.run("sync", tree, destination, "--quiet").code == 0
    assert runner.run("sync", tree / "a", destination, "--quiet").code == 0
    assert "there are 2 journals" in runner.run("verify", destination).error
    assert runner.run("verify", destination, tree, "--json").code == 3  # those of the other journal are extra
    assert runner.run("verify", destination, "--journal", home / "absent").code == 2
