"""What the acceptance tests stand on: a small tree, a strict server, and runs of the command against it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.command import Inside, Runner, Site
from tests.acceptance.servers import Server, serve
from tests.cli.conftest import handlers_as_before, logging_as_before  # noqa: F401  fixtures, found here by their names

BUCKETS = 100


@pytest.fixture(scope="session")
def _strict() -> Iterator[tuple[Server, Iterator[str]]]:
    buckets = [f"box-{number}" for number in range(BUCKETS)]
    with serve("asyncmirror.testing", *(f"--bucket={bucket}" for bucket in buckets)) as server:
        yield server, iter(buckets)


@pytest.fixture
def strict(_strict: tuple[Server, Iterator[str]]) -> Server:
    """A server that verifies signatures and checksums."""
    return _strict[0]


@pytest.fixture
def site(_strict: tuple[Server, Iterator[str]]) -> Site:
    """A bucket of the strict server that no other test uses."""
    server, buckets = _strict
    return Site(server.url, next(buckets))


@pytest.fixture
def home(tmp_path: Path) -> Path:
    path = tmp_path / "home"
    path.mkdir()
    return path


@pytest.fixture
def runner(home: Path, site: Site) -> Runner:
    return Runner(home, site.environment(home))


@pytest.fixture
def inside(home: Path, site: Site) -> Inside:
    return Inside(home, site.environment(home))


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Twenty small files in two directories."""
    for number in range(20):
        path = tmp_path / "tree" / "ab"[number % 2] / f"file-{number}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(bytes([number]) * (1000 + number))
    return tmp_path / "tree"
