"""Runs that are killed with SIGKILL at random moments. scripts/kills does the same at length."""

import random
import secrets
from pathlib import Path

import pytest

from tests.acceptance.command import Site
from tests.acceptance.kills import Kills, Shape, make_tree
from tests.acceptance.servers import serve

MIB = 1 << 20


@pytest.mark.slow
def test_nothing_confirmed_is_sent_again_however_often_it_is_killed(tmp_path: Path) -> None:
    seed = secrets.randbits(32)
    chance = random.Random(seed)
    make_tree(tmp_path / "tree", Shape(small=200, small_size=8 << 10, large=6, large_size=24 * MIB), chance)
    (tmp_path / "work").mkdir()
    with serve("asyncmirror.testing.moto", "--bucket", "box") as server:
        site = Site(server.url, "box")
        options = ("--part-size", "5MiB", "--multipart-threshold", "8MiB", "--concurrency", "8")
        kills = Kills(tmp_path / "work", server, site, tmp_path / "tree", chance, *options)
        counts = kills.run(kills=10, growth=25)
    assert counts.good, f"seed {seed}: {counts}"
    assert counts.kills >= 10
    assert counts.objects >= 206
