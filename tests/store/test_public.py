"""Whether a bucket is public: the table of the judgement, and what real servers' answers come to."""

import itertools
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import boto3
import pytest

from asyncmirror.errors import CredentialsError, ThrottledError
from asyncmirror.model import Visibility
from asyncmirror.settings import Connection, ObjectOptions
from asyncmirror.store.public import Block, Signs, judge
from asyncmirror.store.wire.store import WireStore
from asyncmirror.testing import Access, Fault, FaultPlan, Kind, S3Server, ServerConfig
from tests.store.canned import Heard, http, serving, xml

PUBLIC, PRIVATE, UNKNOWN = Visibility.PUBLIC, Visibility.PRIVATE, Visibility.UNKNOWN
QUESTIONS = ("GetBucketPolicyStatus", "GetBucketAcl", "GetPublicAccessBlock")


@pytest.mark.parametrize(
    ("signs", "verdict"),
    [
        (Signs(None, policy=False, grants=False, listed=True), PUBLIC),
        (Signs(Block(), policy=True, grants=False, listed=False), PUBLIC),
        (Signs(Block(), policy=False, grants=True, listed=False), PUBLIC),
        (Signs(None, policy=None, grants=True, listed=False), PUBLIC),
        (Signs(Block(), policy=False, grants=False, listed=False), PRIVATE),
        (Signs(None, policy=False, grants=False, listed=False), PRIVATE),
        (Signs(Block(ignores_acls=True), policy=False, grants=True, listed=False), PRIVATE),
        (Signs(Block(restricts_policy=True), policy=True, grants=False, listed=False), PRIVATE),
        (Signs(Block(ignores_acls=True), policy=False, grants=None, listed=False), PRIVATE),
        (Signs(None, policy=None, grants=False, listed=False), UNKNOWN),
        (Signs(None, policy=False, grants=None, listed=False), UNKNOWN),
        (Signs(Block(ignores_acls=True), policy=None, grants=True, listed=False), UNKNOWN),
    ],
)
def test_what_the_signs_come_to(signs: Signs, verdict: Visibility) -> None:
    assert judge(signs) is verdict


def test_only_what_is_known_is_private() -> None:
    for ignores, restricts, policy, grants, listed in itertools.product(
        (False, True), (False, True), (None, False, True), (None, False, True), (False, True)
    ):
        if judge(Signs(Block(ignores, restricts), policy, grants, listed)) is PRIVATE:
            assert not listed
            assert policy is False or restricts
            assert grants is False or ignores


@asynccontextmanager
async def opened(url: str, bucket: str = "box", keys: tuple[str, str] = ("testkey", "testsecret")) -> AsyncIterator[WireStore]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ACCESS_KEY_ID", keys[0])
        patch.setenv("AWS_SECRET_ACCESS_KEY", keys[1])
        async with WireStore(bucket, Connection(endpoint_url=url), ObjectOptions(), 4) as store:
            yield store


@pytest.mark.parametrize(
    ("access", "denied", "verdict"),
    [
        (Access(block=True), frozenset(), PRIVATE),
        (Access(), frozenset(), PRIVATE),
        (Access(policy=True), frozenset(), PUBLIC),
        (Access(acl=True), frozenset(), PUBLIC),
        (Access(policy=True, acl=True, block=True), frozenset(), PRIVATE),
        (Access(policy=True), frozenset(QUESTIONS), PUBLIC),  # anybody may list it: that is told by trying
        (Access(), frozenset(QUESTIONS), UNKNOWN),
        (Access(), frozenset({"GetBucketAcl"}), UNKNOWN),
        (Access(), frozenset({"GetPublicAccessBlock"}), PRIVATE),
    ],
)
async def test_what_a_bucket_is(access: Access, denied: frozenset[str], verdict: Visibility) -> None:
    async with (
        S3Server(ServerConfig(buckets=("box",), access={"box": access}, denied=denied)) as server,
        opened(server.url) as store,
    ):
        assert await store.visibility() is verdict
        assert await store.visibility() is verdict
        # The unsigned request left no trace in the client: what comes behind is signed.
        await store.delete_object("key")


async def test_a_block_of_everything_needs_no_other_question() -> None:
    async with S3Server(ServerConfig(buckets=("box",))) as server, opened(server.url) as store:
        assert await store.visibility() is PRIVATE
        assert [request.op for request in server.requests] == ["GetPublicAccessBlock"]


async def test_a_question_that_the_store_does_not_know_is_no_failure() -> None:
    unknown = FaultPlan(tuple(Fault(op, Kind.STATUS, status=501, code="NotImplemented") for op in QUESTIONS))
    config = ServerConfig(buckets=("box",), access={"box": Access()}, faults=unknown)
    async with S3Server(config) as server, opened(server.url) as store:
        assert await store.visibility() is UNKNOWN


async def test_a_server_in_trouble_is_asked_again() -> None:
    broken = FaultPlan((Fault("GetBucketAcl", Kind.STATUS, status=503, code="ServiceUnavailable"),))
    config = ServerConfig(buckets=("box",), access={"box": Access()}, faults=broken)
    async with S3Server(config) as server, opened(server.url) as store:
        with pytest.raises(ThrottledError):
            await store.visibility()


async def test_wrong_credentials_are_no_answer() -> None:
    async with S3Server(ServerConfig(buckets=("box",))) as server, opened(server.url, keys=("testkey", "wrong")) as store:
        with pytest.raises(CredentialsError):
            await store.visibility()


async def test_an_answer_to_another_question_tells_nothing() -> None:
    def answer(_: int, request: Heard) -> bytes:
        if request.method == "HEAD":
            return http("403 Forbidden")
        return xml("<ListBucketResult><Name>box</Name><IsTruncated>false</IsTruncated></ListBucketResult>")

    async with serving(answer) as server, opened(server.url) as store:
        assert await store.visibility() is UNKNOWN
        unsigned = [request.method for request in server.heard if "authorization" not in request.headers]
        assert unsigned == ["HEAD"]


@pytest.mark.real
async def test_what_a_real_bucket_is() -> None:
    url = os.environ["ASYNCMIRROR_TEST_ENDPOINT"]
    keys = (os.environ["ASYNCMIRROR_TEST_ACCESS_KEY"], os.environ["ASYNCMIRROR_TEST_SECRET_KEY"])
    client = boto3.client(
        "s3", endpoint_url=url, region_name="us-east-1", aws_access_key_id=keys[0], aws_secret_access_key=keys[1]
    )
    for bucket, acl, verdict in (("guard-private", "private", PRIVATE), ("guard-public", "public-read", PUBLIC)):
        client.create_bucket(Bucket=bucket, ACL=acl)
        async with opened(url, bucket, keys) as store:
            assert await store.visibility() is verdict
    client.close()
