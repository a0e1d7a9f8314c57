"""What a probe finds out about stores of known behaviour, and that it leaves nothing behind."""

import os
import ssl
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest
import trustme

from asyncmirror.model import Algorithm
from asyncmirror.settings import ObjectOptions
from asyncmirror.store import guarantees as names
from asyncmirror.store.guarantees import TABLE, Answer, Guarantees, Verdict, shortfalls, unguarded
from asyncmirror.store.probe import judge
from asyncmirror.store.probe.probe import Probe, Probed
from asyncmirror.store.session import Credentials, Endpoint
from asyncmirror.store.wire.answer import Answer as Said
from asyncmirror.store.wire.plane import Wire
from asyncmirror.store.wire.request import Request
from asyncmirror.testing import Fault, FaultPlan, Kind, S3Server, ServerConfig
from asyncmirror.testing.moto import MotoServer
from asyncmirror.testing.profiles import AWS, HETZNER, MINIO, RGW, STORAGEGRID, STRICT, AwsChunked, Profile

CRC = Algorithm.CRC64NVME
OBJECTS = ObjectOptions()
CHECKSUMS = {name(each) for each in Algorithm for name in (names.verifies, names.tells)} | {names.OBJECT_CHECKSUM}
SIZE, FRAMES = names.OBJECT_SIZE, names.DECODES_FRAMES
CONDITIONS = {names.CONDITIONAL_PUT, names.CONDITIONAL_COMPLETE}
FRAMING = replace(STRICT, name="framing", frames_bodies=True)


@asynccontextmanager
async def wired(url: str, bucket: str = "bucket", ca_bundle: str | None = None, *, signed: bool = True) -> AsyncIterator[Wire]:
    async def keys() -> Credentials | None:
        access = os.environ.get("ASYNCMIRROR_TEST_ACCESS_KEY", "testkey")
        return Credentials(access, os.environ.get("ASYNCMIRROR_TEST_SECRET_KEY", "testsecret"), None) if signed else None

    endpoint = Endpoint(bucket, f"{url}/{bucket}", "us-east-1", False, ca_bundle, False)  # noqa: FBT003  its fields in order
    async with Wire(endpoint, keys, timeout=5.0) as wire:
        yield wire


def missing(probed: Probed) -> set[str]:
    return {name for name in TABLE if not probed.guarantees.gives(name)}


@pytest.mark.parametrize(
    ("profile", "lacks"),
    [
        (STRICT, set()),
        (AWS, set()),
        (MINIO, {SIZE}),
        (RGW, CHECKSUMS | {SIZE, names.CONDITIONAL_COMPLETE}),
        (HETZNER, CHECKSUMS | {SIZE, names.CONDITIONAL_COMPLETE}),
        (STORAGEGRID, CHECKSUMS | {SIZE} | CONDITIONS),
        (replace(STRICT, verifies_content_md5=False), {names.CONTENT_MD5}),
        (replace(STRICT, aws_chunked=AwsChunked.STORE), {FRAMES}),
    ],
    ids=lambda value: value.name if isinstance(value, Profile) else "",
)
async def test_what_a_store_verifies_is_found_out_and_nothing_is_left(profile: Profile, lacks: set[str]) -> None:
    async with S3Server(ServerConfig(profile=profile)) as server, wired(server.url) as wire:
        probed = await Probe(wire, "pre", "nonce", OBJECTS).whole(CRC)
        assert {name for name in TABLE if probed.guarantees.lacks(name)} == lacks
        assert missing(probed) == lacks
        assert (probed.left, probed.unable) == ((), "")
        assert not server.objects("bucket")
        uploads = await wire.ask(Request("GET", "", (("uploads", ""),)))
        assert b"<Upload>" not in uploads.body
        keys = {request.key for request in server.requests if request.key}
        assert all(key.startswith("pre/.asyncmirror-probe/nonce/") for key in keys)


async def test_a_sync_asks_seven_questions_and_touches_nothing_but_its_own_place() -> None:
    async with S3Server() as server, wired(server.url) as wire:
        probe = Probe(wire, "", "nonce", OBJECTS)
        probed = await probe.brief(CRC)
        asked = {
            names.WRITES,
            names.KEEPS_BYTES,
            names.SIGNED_PAYLOAD,
            names.verifies(CRC),
            names.tells(CRC),
            names.LISTS_UPLOADS,
        }
        assert {name for name in TABLE if probed.guarantees.gives(name)} == asked
        assert probe.requests == server.count == 7
        assert {request.key.rpartition("/")[0] for request in server.requests if request.key} == {".asyncmirror-probe/nonce"}
        assert not server.objects("bucket")


@pytest.mark.hazard(21)
async def test_whether_it_can_be_told_not_to_overwrite_is_asked_when_it_matters() -> None:
    for profile, answer in ((STRICT, Answer.YES), (STORAGEGRID, Answer.NO)):
        async with S3Server(ServerConfig(profile=profile)) as server, wired(server.url) as wire:
            probed = await Probe(wire, "", "nonce", OBJECTS).brief(CRC, conditional=True)
            assert {probed.guarantees.of(name).answer for name in CONDITIONS} == {answer}
            assert not server.objects("bucket")


@pytest.mark.hazard(12)
async def test_a_store_that_stores_framing_as_data_is_found() -> None:
    async with S3Server(ServerConfig(profile=FRAMING)) as server, wired(server.url) as wire:
        probed = await Probe(wire, "", "nonce", OBJECTS).brief(CRC)
        verdict = probed.guarantees.of(names.KEEPS_BYTES)
        assert verdict.answer is Answer.NO
        assert r"\r\n" in verdict.why


async def test_over_tls(tmp_path: Path) -> None:
    authority = trustme.CA()
    bundle = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(bundle))
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    async with S3Server(ServerConfig(tls=context)) as server, wired(server.url, ca_bundle=str(bundle)) as wire:
        assert missing(await Probe(wire, "", "nonce", OBJECTS).whole(CRC)) == set()


@pytest.mark.parametrize("denied", ["DeleteObject", "PutObject", "GetObject", "CreateMultipartUpload", "UploadPart"])
async def test_where_something_is_denied_what_hangs_on_it_is_unknown(denied: str) -> None:
    async with S3Server(ServerConfig(denied=frozenset({denied}))) as server, wired(server.url) as wire:
        probed = await Probe(wire, "", "nonce", OBJECTS).whole(CRC)
        lacking = {name for name in TABLE if probed.guarantees.lacks(name)}
        assert lacking == ({names.WRITES} if denied == "PutObject" else set())
        assert not server.objects("bucket")
        if denied == "DeleteObject":
            assert "403 AccessDenied" in probed.unable
            assert server.count == 1, "something was written that can't be removed"


async def test_what_can_not_be_removed_is_named() -> None:
    faults = FaultPlan((Fault("DeleteObject", Kind.STATUS, first=2, status=500, code="InternalError"),))
    async with S3Server(ServerConfig(faults=faults)) as server, wired(server.url) as wire:
        probed = await Probe(wire, "pre", "nonce", OBJECTS).brief(CRC)
        assert probed.left == tuple(server.objects("bucket")) == ("pre/.asyncmirror-probe/nonce/crc64nvme",)


async def test_a_store_that_does_not_answer_is_not_known_and_what_was_made_is_removed() -> None:
    faults = FaultPlan((Fault("GetObject", Kind.STALL),))
    async with S3Server(ServerConfig(faults=faults)) as server, wired(server.url) as wire:
        probed = await Probe(wire, "", "nonce", OBJECTS, seconds=0.3).brief(CRC)
        assert "within 0.3 s" in probed.unable
        assert names.KEEPS_BYTES in missing(probed)
        assert not server.objects("bucket")


async def test_an_answer_that_is_lost_leaves_nothing() -> None:
    faults = FaultPlan((Fault("PutObject", Kind.LOST_ANSWER), Fault("CompleteMultipartUpload", Kind.LOST_ANSWER)))
    async with S3Server(ServerConfig(faults=faults)) as server, wired(server.url) as wire:
        probed = await Probe(wire, "", "nonce", OBJECTS).whole(CRC)
        assert not [name for name in TABLE if probed.guarantees.lacks(name)]
        assert not server.objects("bucket")


async def test_unsigned_requests_say_nothing_of_signed_payloads() -> None:
    async with S3Server(ServerConfig()) as server, wired(server.url, signed=False) as wire:
        probed = await Probe(wire, "", "nonce", OBJECTS, signed=False).brief(CRC)
        assert probed.guarantees.of(names.SIGNED_PAYLOAD).answer is Answer.UNKNOWN
        assert "403" in probed.unable


async def test_headers_that_a_policy_may_demand_are_sent_and_the_storage_class_is_not() -> None:
    objects = ObjectOptions(storage_class="GLACIER", sse="AES256", acl="bucket-owner-full-control")
    async with S3Server(ServerConfig(log_headers=True)) as server, wired(server.url) as wire:
        await Probe(wire, "", "nonce", objects).brief(CRC)
        puts = [request.headers for request in server.requests if request.op == "PutObject"]
        assert {headers["x-amz-server-side-encryption"] for headers in puts} == {"AES256"}
        assert not [headers for headers in puts if "x-amz-storage-class" in headers]


async def versions(wire: Wire) -> bytes:
    return (await wire.ask(Request("GET", "", (("versions", ""),)))).body


async def test_moto_verifies_nothing_and_no_version_is_left() -> None:
    with MotoServer("bucket") as server:
        async with wired(server.url) as wire:
            status = b"<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>"
            assert (await wire.ask(Request("PUT", "", (("versioning", ""),), {}, status))).success
            probed = await Probe(wire, "", "nonce", OBJECTS).whole(CRC)
            assert unguarded(probed.guarantees, CRC)
            assert probed.guarantees.gives(names.KEEPS_BYTES)
            assert (probed.left, probed.unable) == ((), "")
            left = await versions(wire)
            assert b"<Version>" not in left
            assert b"<DeleteMarker>" not in left


@pytest.mark.real
async def test_a_real_store() -> None:
    url = os.environ["ASYNCMIRROR_TEST_ENDPOINT"]
    async with wired(url, "probed") as wire:
        await wire.ask(Request("PUT"))
        probed = await Probe(wire, "pre", "nonce", OBJECTS).whole(CRC)
        assert (probed.left, probed.unable) == ((), "")
        # What Ceph RGW 16 does; a later one verifies more.
        assert probed.guarantees.gives(names.KEEPS_BYTES)
        assert probed.guarantees.gives(names.SIGNED_PAYLOAD)
        assert probed.guarantees.gives(names.CONDITIONAL_PUT)
        assert probed.guarantees.lacks(names.verifies(CRC))
        listed = await wire.ask(Request("GET", "", (("list-type", "2"), ("prefix", "pre/"))))
        assert listed.success
        assert b"<Key>" not in listed.body


def error(code: str, status: int = 400) -> Said:
    return Said(status, {}, f"<Error><Code>{code}</Code></Error>".encode())


@pytest.mark.parametrize(
    ("said", "answer"),
    [
        (None, Answer.UNKNOWN),
        (Said(200, {}, b""), Answer.NO),
        (error("BadDigest"), Answer.YES),
        (error("InvalidRequest"), Answer.YES),
        (error("SignatureDoesNotMatch", 403), Answer.YES),
        (error("AccessDenied", 403), Answer.UNKNOWN),
        (error("SlowDown", 503), Answer.UNKNOWN),
        (error("InternalError", 500), Answer.UNKNOWN),
        (error("NoSuchBucket", 404), Answer.UNKNOWN),
        (error("BadDigest", 200), Answer.YES),
    ],
)
def test_only_a_refusal_of_the_request_itself_counts(said: Said | None, answer: Answer) -> None:
    assert judge.refusal(said).answer is answer


@pytest.mark.parametrize(
    ("judged", "said", "answer"),
    [
        (judge.precondition, error("PreconditionFailed", 412), Answer.YES),
        (judge.precondition, Said(200, {}, b""), Answer.NO),
        (judge.precondition, error("NotImplemented", 501), Answer.NO),
        (judge.precondition, error("AccessDenied", 403), Answer.UNKNOWN),
        (judge.precondition, None, Answer.UNKNOWN),
        (judge.done, Said(200, {}, b""), Answer.YES),
        (judge.done, Said(405, {}, b""), Answer.NO),
        (judge.done, error("AccessDenied", 403), Answer.UNKNOWN),
        (judge.done, None, Answer.UNKNOWN),
    ],
)
def test_what_other_answers_mean(judged: Callable[[Said | None], Verdict], said: Said | None, answer: Answer) -> None:
    assert judged(said).answer is answer


def known(**lacking: str) -> Guarantees:
    given = dict.fromkeys(TABLE, Verdict(Answer.YES))
    return Guarantees({**given, **{name: Verdict(Answer.NO, why) for name, why in lacking.items()}}, 1.0)


def without(*missing: str) -> Guarantees:
    return known(**dict.fromkeys(missing, ""))


@pytest.mark.parametrize(
    ("guarantees", "begins"),
    [
        (Guarantees(), []),
        (Guarantees.documented(), []),
        (without(names.verifies(CRC)), ["x-amz-checksum-crc64nvme is not verified"]),
        (without(names.SIGNED_PAYLOAD), ["the signed SHA-256"]),
        (without(names.verifies(CRC), names.SIGNED_PAYLOAD), ["nothing of what it receives is verified"]),
        (without(names.verifies(Algorithm.SHA1), names.CONTENT_MD5, names.CONDITIONAL_PUT), []),
        (without(names.OBJECT_SIZE, names.LISTS_UPLOADS), ["unfinished uploads", "the size of an object of parts"]),
    ],
)
def test_what_a_sync_must_do_without_is_told(guarantees: Guarantees, begins: list[str]) -> None:
    told = shortfalls(guarantees, CRC)
    assert len(told) == len(begins)
    assert all(line.startswith(begin) for line, begin in zip(told, begins, strict=True))


def test_bodies_that_are_not_signed_hang_on_their_checksum_alone() -> None:
    lax = without(names.verifies(CRC), names.SIGNED_PAYLOAD)
    assert shortfalls(without(names.SIGNED_PAYLOAD), CRC, signed=False) == []
    assert shortfalls(without(names.verifies(CRC)), CRC, signed=False) == shortfalls(lax, CRC)


def test_what_was_found_is_kept_as_text() -> None:
    found = known(**{names.KEEPS_BYTES: "4 bytes"})
    assert Guarantees.from_text(found.to_text()) == found
    for other in ("", "[]", "{}", '{"verdicts": {"a": ["maybe", ""]}, "at": 1}', '{"verdicts": {}, "at": "x"}'):
        assert Guarantees.from_text(other) is None


def test_every_guarantee_has_its_words() -> None:
    table: Mapping[str, names.Guarantee] = TABLE
    assert all(guarantee.given and guarantee.missing for guarantee in table.values())
