"""A strict server and clients for it."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

import pytest
import uvloop

from asyncmirror.testing import S3Server, ServerConfig
from tests.testing.s3_clients import Boto, Raw


@pytest.fixture
async def server() -> AsyncIterator[S3Server]:
    async with S3Server(ServerConfig(min_part_size=8)) as running:
        yield running


@pytest.fixture
async def raw(server: S3Server) -> Raw:
    return Raw(server)


@pytest.fixture
async def boto(server: S3Server) -> AsyncIterator[Boto]:
    client = Boto(server)
    yield client
    client.client.close()


@pytest.fixture
async def connect() -> AsyncIterator[Callable[..., Boto]]:
    """Makes clients that are closed after the test."""
    made: list[Boto] = []

    def make(server: S3Server, **options: Any) -> Boto:
        made.append(Boto(server, **options))
        return made[-1]

    yield make
    for client in made:
        client.client.close()


def pytest_asyncio_loop_factories(item: pytest.Item) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """The server's tests run on both loops: how a transport ends a connection is the loop's own business."""
    both = {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}
    return both if item.path.name.startswith("test_server") else {"asyncio": asyncio.new_event_loop}
