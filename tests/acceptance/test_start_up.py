"""What a run loads before its first request: the SDK only if something asks for it."""

from pathlib import Path

import pytest

from tests.acceptance.command import Runner, Site


@pytest.mark.parametrize(("size", "loaded"), [(10, 0), (33 << 20, 1)])
def test_the_sdk_is_loaded_where_a_request_needs_it(runner: Runner, site: Site, tmp_path: Path, size: int, loaded: int) -> None:
    tree = tmp_path / "one"
    tree.mkdir()
    (tree / "file").write_bytes(bytes(size))
    run = runner.run("sync", tree, f"s3://{site.bucket}", environment={"PYTHONPROFILEIMPORTTIME": "1"})
    assert run.code == 0, run.error
    names = [line.rpartition("|")[2].strip() for line in run.error.splitlines() if line.startswith("import time:")]
    assert "asyncmirror.store.wire.store" in names
    assert names.count("botocore") == loaded
    assert not {"aiohttp.web", "prometheus_client", "asyncmirror.http.site"} & set(names)  # nobody asked for a page
