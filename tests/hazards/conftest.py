from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from asyncmirror.testing import S3Server, ServerConfig
from tests.acceptance.conftest import _strict, home, runner, site, strict, tree  # noqa: F401  fixtures, found here by their names
from tests.engine.conftest import house  # noqa: F401  a fixture, found here by its name
from tests.hazards.collected import WHOLE, rows_of
from tests.hazards.strict import Strict
from tests.store.conftest import chain  # noqa: F401  the same


@pytest.hookimpl(tryfirst=True)  # before any is left out
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if not config.option.file_or_dir:
        config.stash[WHOLE] = rows_of(items)


@pytest.fixture
async def place(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Strict]:
    request.getfixturevalue("chain")
    async with S3Server(ServerConfig()) as server:
        yield Strict(tmp_path, server)
