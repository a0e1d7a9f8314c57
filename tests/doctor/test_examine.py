"""Everything that is looked at, against servers on real sockets."""

import os
import ssl
import threading
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
import trustme

from asyncmirror.doctor import files
from asyncmirror.doctor.examine import examine
from asyncmirror.doctor.finding import Finding, Level, exit_code, ok, problem, warning
from asyncmirror.doctor.question import Question
from asyncmirror.settings import Connection, Destination
from asyncmirror.testing import Credentials, Fault, FaultPlan, Kind, S3Server, ServerConfig
from asyncmirror.testing.moto import MotoServer
from asyncmirror.testing.profiles import RGW, STORAGEGRID, STRICT

PLACE = Destination("bucket", "pre")
pytestmark = pytest.mark.usefixtures("alone")


@pytest.fixture
def alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> pytest.MonkeyPatch:
    for name in list(os.environ):
        if name.startswith("AWS_") or name.lower().endswith("_proxy") or name in ("REQUESTS_CA_BUNDLE", "SSL_CERT_FILE"):
            monkeypatch.delenv(name)
    for name, value in {
        "HOME": str(tmp_path),
        "XDG_STATE_HOME": str(tmp_path / "state"),
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_ACCESS_KEY_ID": "testkey",
        "AWS_SECRET_ACCESS_KEY": "testsecret",
        "AWS_ENDPOINT_URL": "http://127.0.0.1:9",
    }.items():
        monkeypatch.setenv(name, value)
    return monkeypatch


async def look(question: Question, patience: float = 5.0) -> Mapping[str, Finding]:
    found = await examine(question, patience)
    assert len({finding.topic for finding in found}) == len(found)
    return {finding.topic: finding for finding in found}


def asking(server: S3Server, **changes: object) -> Question:
    return Question(PLACE, connection=Connection(server.url))._replace(**changes)  # type: ignore[arg-type]  # the names are its own


def problems(found: Mapping[str, Finding]) -> set[str]:
    return {finding.topic for finding in found.values() if finding.level is Level.PROBLEM}


async def test_without_arguments_only_machine_and_credentials_are_looked_at() -> None:
    found = await look(Question())
    assert list(found) == ["open files", "cores", "memory", "journal", "journal's lock", "journal's room", "credentials"]
    assert found["credentials"].found == "test… from the environment (AWS_ACCESS_KEY_ID)"


async def test_a_store_without_fault_has_no_problem_and_keeps_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x")
    async with S3Server() as server:
        found = await look(asking(server, source=tmp_path))
        assert problems(found) == set()
        assert {topic for topic, finding in found.items() if finding.level is Level.WARNING} <= {
            "TLS",
            "memory",
            "journal's room",
        }
        assert exit_code(found.values()) == 0
        assert found["endpoint"].found == f"{server.url}, given by --endpoint-url"
        assert found["region"].found == "us-east-1, the default"
        assert found["writing"].found == "an object was written, read again and removed"
        assert not server.objects("bucket")


@pytest.mark.hazard(12)
async def test_what_a_store_does_not_verify_is_a_warning_and_nothing_at_all_a_problem() -> None:
    async with S3Server(ServerConfig(profile=RGW)) as server:
        found = await look(asking(server))
        assert problems(found) == set()
        assert found["CRC64NVME"].level is found["whole size"].level is Level.WARNING
        assert found["other checksums"].found == "CRC32C, CRC32, SHA256, SHA1 ignored; Content-MD5 verified"
    async with S3Server(ServerConfig(profile=replace(STRICT, frames_bodies=True))) as server:
        found = await look(asking(server))
        assert problems(found) == {"bytes", "multipart"}
        assert exit_code(found.values()) == 3


async def test_moto_verifies_nothing_and_that_is_one_problem() -> None:
    with MotoServer("bucket") as server:
        found = await look(Question(PLACE, connection=Connection(server.url)))
        assert problems(found) == {"bodies"}
        assert found["bodies"].found.startswith("neither a body's signed hash nor its CRC64NVME is verified")
        assert {"signed body", "CRC64NVME"}.isdisjoint(found)


@pytest.mark.hazard(21)
async def test_a_store_that_overwrites_whatever_it_is_told_is_a_warning() -> None:
    async with S3Server(ServerConfig(profile=STORAGEGRID)) as server:
        found = await look(asking(server))
        assert found["no overwriting"].level is found["… of parts"].level is Level.WARNING
        assert "If-None-Match is ignored by PutObject" in found["no overwriting"].found
        assert exit_code(found.values()) == 0


async def test_no_write_writes_nothing() -> None:
    async with S3Server() as server:
        found = await look(asking(server, write=False))
        assert found["writing"].level is Level.WARNING
        assert {request.op for request in server.requests} <= {
            "ListObjectsV2",
            "GetPublicAccessBlock",
            "GetBucketPolicyStatus",
            "GetBucketAcl",
            "HeadBucket",
        }


@pytest.mark.parametrize("denied", ["PutObject", "DeleteObject", "ListObjectsV2"])
async def test_what_is_denied_is_told(denied: str) -> None:
    topic, level = {
        "PutObject": ("writing", Level.PROBLEM),
        "DeleteObject": ("writing", Level.WARNING),
        "ListObjectsV2": ("bucket", Level.WARNING),
    }[denied]
    async with S3Server(ServerConfig(denied=frozenset({denied}))) as server:
        found = await look(asking(server))
        assert found[topic].level is level
        assert "403 AccessDenied" in found[topic].found
        assert problems(found) == ({topic} if level is Level.PROBLEM else set())


async def test_a_clock_that_is_off_is_a_problem() -> None:
    for ahead, level in ((0.0, Level.OK), (300.0, Level.WARNING), (1200.0, Level.PROBLEM)):
        async with S3Server() as server:
            server.clock.shift(ahead)
            assert (await look(asking(server)))["clock"].level is level


@pytest.mark.parametrize(
    ("bucket", "secret", "says"),
    [("absent", "testsecret", "NoSuchBucket"), ("bucket", "wrong", "SignatureDoesNotMatch")],
)
async def test_a_store_that_can_not_be_used_ends_with_4(alone: pytest.MonkeyPatch, bucket: str, secret: str, says: str) -> None:
    alone.setenv("AWS_SECRET_ACCESS_KEY", secret)
    async with S3Server() as server:
        found = await look(asking(server, destination=Destination(bucket)))
        assert says in found["bucket"].found
        assert exit_code(found.values()) == 4
        assert "writing" not in found


async def test_a_store_that_is_not_there_stops_no_other_check(tmp_path: Path) -> None:
    found = await look(Question(PLACE, tmp_path))
    assert found["bucket"].found.endswith("connection refused")
    assert found["source"].level is Level.WARNING
    assert exit_code(found.values()) == 4


async def test_a_store_that_does_not_answer_is_given_up() -> None:
    async with S3Server(ServerConfig(faults=FaultPlan((Fault("*", Kind.STALL),)))) as server:
        found = await look(asking(server), patience=0.3)
        assert exit_code(found.values()) == 4
        assert found["credentials"].level is Level.OK


async def test_credentials_that_are_missing_or_unknown_end_with_4(alone: pytest.MonkeyPatch) -> None:
    alone.delenv("AWS_ACCESS_KEY_ID")
    alone.delenv("AWS_SECRET_ACCESS_KEY")
    found = await look(Question())
    assert (found["credentials"].level, exit_code(found.values())) == (Level.PROBLEM, 4)
    found = await look(Question(connection=Connection(profile="absent")))
    assert "absent" in found["credentials"].found


async def test_a_profile_is_named_and_its_secret_is_not(alone: pytest.MonkeyPatch, tmp_path: Path) -> None:
    alone.delenv("AWS_ACCESS_KEY_ID")
    alone.delenv("AWS_SECRET_ACCESS_KEY")
    alone.delenv("AWS_ENDPOINT_URL")
    folder = tmp_path / ".aws"
    folder.mkdir()
    async with S3Server(ServerConfig(credentials=(Credentials("AKIDEXAMPLEKEYID", "planted-secret"),))) as server:
        (folder / "credentials").write_text("[far]\naws_access_key_id=AKIDEXAMPLEKEYID\naws_secret_access_key=planted-secret\n")
        (folder / "config").write_text(f"[profile far]\nregion=us-east-1\nendpoint_url={server.url}\n")
        found = await look(Question(PLACE, connection=Connection(profile="far")))
        assert found["credentials"].found == "AKID…EYID from the credentials file, profile far"
        assert found["endpoint"].found == f"{server.url}, from the profile"
        assert problems(found) == set()
        assert "planted" not in str(found)


async def test_a_public_bucket_is_a_warning() -> None:
    for public, level in ((frozenset[str](), Level.OK), (frozenset({"bucket"}), Level.WARNING)):
        async with S3Server(ServerConfig(public=public)) as server:
            assert (await look(asking(server, write=False)))["public"].level is level


async def test_unsigned_requests_need_no_credentials() -> None:
    async with S3Server(ServerConfig(public=frozenset({"bucket"}))) as server:
        found = await look(asking(server, connection=Connection(server.url, sign_request=False)))
        assert found["credentials"].found.startswith("none: requests are not signed")
        assert found["bucket"].level is Level.OK
        assert "403 AccessDenied" in found["writing"].found


async def test_the_certificate_is_shown_and_one_that_is_not_trusted_ends_with_4(tmp_path: Path) -> None:
    authority = trustme.CA(organization_name="Test Authority")
    bundle = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(bundle))
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    async with S3Server(ServerConfig(tls=context)) as server:
        found = await look(asking(server, connection=Connection(server.url, ca_bundle=bundle)))
        assert found["TLS"].found.startswith("TLSv1.3, verified; issued by Test Authority")
        assert problems(found) == set()
        other = tmp_path / "other.pem"
        trustme.CA().cert_pem.write_to_path(str(other))
        found = await look(asking(server, connection=Connection(server.url, ca_bundle=other)))
        assert "not trusted" in found["TLS"].found
        assert exit_code(found.values()) == 4


async def test_a_name_that_does_not_resolve_is_told() -> None:
    found = await look(Question(PLACE, connection=Connection("http://absent.invalid:9")))
    assert found["addresses"].found.startswith("absent.invalid does not resolve")


async def test_behind_a_proxy_the_store_is_not_looked_at(alone: pytest.MonkeyPatch) -> None:
    alone.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    found = await look(Question(PLACE))
    assert found["proxy"].level is Level.WARNING


async def test_a_file_system_that_hangs_holds_up_neither_the_others_nor_the_end(
    alone: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    release = threading.Event()
    alone.setattr(files, "kind", lambda _: str(release.wait()))
    try:
        found = await look(Question(source=tmp_path), patience=0.3)
    finally:
        release.set()
    assert found["source"].found == "could not be found out within 0.3 s"
    assert found["credentials"].level is Level.OK


def test_what_all_of_it_comes_to() -> None:
    fine, hint, bad, blind = ok("a", ""), warning("b", ""), problem("c", ""), problem("d", "", blind=True)
    assert [exit_code(found) for found in ([], [fine], [fine, hint], [hint, bad], [bad, blind])] == [0, 0, 0, 3, 4]
