from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from asyncmirror.testing import S3Server
from tests.engine.house import House
from tests.hazards.strict import Strict
from tests.store.conftest import chain  # noqa: F401  a fixture, found here by its name


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path)


@pytest.fixture
async def place(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Strict]:
    request.getfixturevalue("chain")
    async with S3Server() as server:
        yield Strict(tmp_path, server)
