"""Every adapter on every store there is: the subjects of the contract."""

import os
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, replace
from functools import cache

import pytest
from botocore.session import get_session

from asyncmirror.errors import StoreError
from asyncmirror.settings import Connection, ObjectOptions
from asyncmirror.store.memory import MemoryStore
from asyncmirror.store.port import Store
from asyncmirror.store.s3 import S3Store
from asyncmirror.store.wire.store import WireStore
from asyncmirror.testing import S3Server, ServerConfig
from asyncmirror.testing.moto import MotoServer
from tests.store.contract import (
    BucketContract,
    Case,
    DeletionContract,
    ListingContract,
    MultipartContract,
    ObjectContract,
    Open,
    Subject,
    Traits,
)

BUCKET = "contract"
REAL = "ASYNCMIRROR_TEST_ENDPOINT"
STRICT = Traits(verifies_checksums=True, verifies_access_key=True, verifies_secret_key=True, tells_checksums=True)
LAX = Traits(verifies_checksums=False, verifies_access_key=False, verifies_secret_key=False, tells_checksums=False)


@dataclass(frozen=True)
class Site:
    """A store on a socket: where, with which keys, and what it guarantees."""

    url: str
    access_key: str
    secret_key: str
    traits: Traits


def sdk(site: Site, bucket: str) -> AbstractAsyncContextManager[Store]:
    return S3Store(bucket, Connection(endpoint_url=site.url), ObjectOptions(), 16)


def wire(site: Site, bucket: str) -> AbstractAsyncContextManager[Store]:
    return WireStore(bucket, Connection(endpoint_url=site.url), ObjectOptions(), 16)


@asynccontextmanager
async def moto() -> AsyncIterator[Site]:
    with MotoServer(BUCKET) as server:
        traits = LAX._replace(limits_keys=False, takes_newlines=False, knows_gone_uploads=False, creates_uploads_fast=False)
        yield Site(server.url, "any", "any", traits)


@asynccontextmanager
async def strict() -> AsyncIterator[Site]:
    async with S3Server(ServerConfig(buckets=(BUCKET,))) as server:
        yield Site(server.url, "testkey", "testsecret", STRICT)


@asynccontextmanager
async def real() -> AsyncIterator[Site]:
    if REAL not in os.environ:
        pytest.skip(f"{REAL} is not set")
    yield real_site(os.environ[REAL], os.environ["ASYNCMIRROR_TEST_ACCESS_KEY"], os.environ["ASYNCMIRROR_TEST_SECRET_KEY"])


@cache
def real_site(url: str, access_key: str, secret_key: str) -> Site:
    client = get_session().create_client(
        "s3",
        endpoint_url=url,
        region_name="us-east-1",
        aws_access_key_id=access_key,
        aws_secret_access_key=secret_key,
    )
    client.create_bucket(Bucket=BUCKET)  # again is fine for its owner
    client.close()
    # Ceph RGW answers Complete of an upload that is gone with "already in progress".
    traits = LAX._replace(verifies_access_key=True, verifies_secret_key=True, completes_gone_uploads_as=StoreError)
    return Site(url, access_key, secret_key, traits)


def over(adapter: Callable[[Site, str], AbstractAsyncContextManager[Store]], site: Site) -> Subject:
    """A subject: an adapter on a site, finding its keys where users keep them."""

    @asynccontextmanager
    async def opened(
        *, bucket: str | None = None, access_key: str | None = None, secret_key: str | None = None
    ) -> AsyncIterator[Store]:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("AWS_ACCESS_KEY_ID", access_key or site.access_key)
            patch.setenv("AWS_SECRET_ACCESS_KEY", secret_key or site.secret_key)
            for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_CA_BUNDLE"):
                patch.delenv(name, raising=False)
            patch.setenv("AWS_CONFIG_FILE", os.devnull)
            async with adapter(site, bucket or BUCKET) as store:
                yield store

    return Subject(site.traits, opened)


def memory() -> Subject:
    @asynccontextmanager
    async def opened(
        *,
        bucket: str | None = None,  # noqa: ARG001  there is but one
        access_key: str | None = None,  # noqa: ARG001  there is none
        secret_key: str | None = None,  # noqa: ARG001  there is none
    ) -> AsyncIterator[Store]:
        yield MemoryStore()

    typed: Open = opened
    return Subject(STRICT, typed, remote=False)


ADAPTERS = {"sdk": sdk, "wire": wire}
SITES = {"moto": moto, "strict": strict, "real": real}
SUBJECTS = [
    pytest.param(("", "memory"), id="memory"),
    *(
        pytest.param((adapter, site), marks=[pytest.mark.real] if site == "real" else [], id=f"{adapter}-{site}")
        for site in SITES
        for adapter in ADAPTERS
    ),
]


@pytest.fixture(params=SUBJECTS)
async def subject(request: pytest.FixtureRequest) -> AsyncIterator[Subject]:
    adapter, site = request.param
    if site == "memory":
        yield memory()
        return
    async with SITES[site]() as running:
        yield over(ADAPTERS[adapter], replace(running, traits=running.traits._replace(fills_pages=adapter == "wire")))


@pytest.fixture
async def case(subject: Subject) -> AsyncIterator[Case]:
    async with subject.open() as store:
        yield Case(store, f"{uuid.uuid4().hex}/", subject.traits)


class TestObjects(ObjectContract):
    pass


class TestDeletion(DeletionContract):
    pass


class TestMultipart(MultipartContract):
    pass


class TestListings(ListingContract):
    pass


class TestBucket(BucketContract):
    pass
