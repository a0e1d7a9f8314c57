"""Objects read back through the product's own store, from a server that misbehaves: what it has is told, and nothing else."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from asyncmirror.audit.merge import Finding, Verdict
from asyncmirror.audit.verify import Report, Verifier
from asyncmirror.errors import BucketError
from asyncmirror.journal.belongs import Belongs
from asyncmirror.settings import Verification
from asyncmirror.testing import Fault, Kind, S3Server, ServerConfig
from tests.hazards.strict import TUNING, Strict

LARGE = bytes(range(251)) * 1600
"""400 KB: it is handed over while it comes."""
FAULTS = (
    Kind.RESET_BEFORE, Kind.CLOSE_BEFORE, Kind.EARLY_ANSWER, Kind.STATUS, Kind.SLOW_DOWN, Kind.RESET_AFTER,
    Kind.STALL, Kind.ERROR_IN_200, Kind.LOST_ANSWER, Kind.TRUNCATED, Kind.STALL_IN_ANSWER, Kind.GARBAGE,
    Kind.MISSING_ETAG, Kind.CLOSE_SILENT, Kind.CLOSE_TOLD, Kind.INFORMATIONAL, Kind.CHUNKED, Kind.EXTRA_ANSWER,
)  # fmt: skip
"""All that can befall an answer to GetObject."""


@pytest.fixture
async def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Strict]:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testkey")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testsecret")
    async with S3Server(ServerConfig(log_headers=True)) as server:
        yield Strict(tmp_path, server)


async def verify(place: Strict, *, timeout: float = 0.5, attempts: int = 6) -> tuple[dict[str, Verdict], Report]:
    tuning = replace(TUNING, request_timeout=timeout, max_attempts=attempts)
    settings = place.settings
    asked = Verification(settings.destination, place.journal, connection=settings.connection, tuning=tuning, download=True)
    *findings, report = [found async for found in Verifier(asked, Belongs("", "s3://bucket/pre", place.server.url)).run()]
    assert isinstance(report, Report)
    return {found.key: found.verdict for found in findings if isinstance(found, Finding)}, report


@pytest.mark.hazard(1)
@pytest.mark.hazard(4)
@pytest.mark.hazard(9)
@pytest.mark.hazard(14)
async def test_an_answer_that_goes_wrong_once_is_asked_for_again_and_nothing_is_told_of_it(place: Strict) -> None:
    for kind in FAULTS:
        place.write(f"small-{kind.value}", kind.value.encode() * 100)
        place.write(f"large-{kind.value}", LARGE + kind.value.encode())
    await place.run()
    mark = place.count
    place.inject(*(Fault("GetObject", kind, f"pre/*-{kind.value}", at=(1, 2), seconds=0.1, status=500) for kind in FAULTS))
    verdicts, report = await verify(place)
    assert (verdicts, report.exit_code) == ({}, 0)
    read = [each for each in place.since(mark) if each.op == "GetObject"]
    assert {each.fault for each in read} == {"", *(kind.value for kind in FAULTS)}
    assert all("if-match" in each.headers for each in read)


async def test_what_broke_off_goes_on_at_the_byte_where_it_did(place: Strict) -> None:
    place.write("file", LARGE)
    await place.run()
    mark = place.count
    place.fault("GetObject", Kind.TRUNCATED, times=3)
    assert (await verify(place))[1].exit_code == 0
    size, starts = len(LARGE), [0]
    for _ in range(3):
        starts.append(starts[-1] + (size - starts[-1]) // 2)
    asked = [each.headers.get("range", "") for each in place.since(mark) if each.op == "GetObject"]
    assert asked == ["", *(f"bytes={start}-" for start in starts[1:])]


@pytest.mark.hazard(11)
async def test_what_the_bucket_has_is_told_whatever_its_answers_say(place: Strict) -> None:
    names = ("flipped", "other", "whole")
    for name in names:
        place.write(f"small-{name}", name.encode() * 100)
        place.write(f"large-{name}", LARGE + name.encode())
    await place.run()
    objects = place.server.objects("bucket")
    for key, found in list(objects.items()):
        body = bytearray(found.body)
        body[-1] ^= key.endswith("flipped")
        place.server.put("bucket", key, replace(found, body=bytes(body)))
    place.fault("GetObject", Kind.GARBAGE_BODY, key="pre/*-other")
    expected = {key: Verdict.DIFFERENT for key in objects if not key.endswith("whole")}
    verdicts, report = await verify(place)
    assert (verdicts, report.exit_code) == (expected, 3)


@pytest.mark.hazard(14)
async def test_a_server_that_drips_for_ever_ends_the_look_and_condemns_nothing(place: Strict) -> None:
    place.write("file", b"some bytes")
    await place.run()
    place.fault("GetObject", Kind.DRIP, seconds=1e6)
    with pytest.raises(BucketError, match="could not be looked at"):
        await verify(place, timeout=0.1, attempts=1)


async def test_an_object_that_is_replaced_meanwhile_is_different(place: Strict) -> None:
    place.write("file", LARGE)
    await place.run()
    listed = place.server.objects("bucket")["pre/file"]
    mark = place.count
    place.fault("GetObject", Kind.STALL_IN_ANSWER, times=1)
    looking = asyncio.ensure_future(verify(place))
    await place.server.reached(mark + 3)  # whether the bucket is there, the listing, the object
    place.server.put("bucket", "pre/file", replace(listed, etag="another"))
    verdicts, _ = await looking
    assert verdicts == {"pre/file": Verdict.DIFFERENT}
    assert [each.status for each in place.since(mark) if each.op == "GetObject"] == [200, 412]
