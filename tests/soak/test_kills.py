"""Hazard row 23: SIGKILL at random moments, on a tree that keeps changing. scripts/soak does the same at length."""

import random
import secrets
from pathlib import Path

import pytest

from asyncmirror.sizes import MIB
from tests.acceptance.command import Site
from tests.acceptance.servers import serve
from tests.soak.account import Account
from tests.soak.kills import Kills, plant
from tests.soak.tree import Tree


@pytest.mark.hazard(23)
@pytest.mark.slow
def test_nothing_confirmed_is_sent_again_however_often_it_is_killed(tmp_path: Path) -> None:
    seed = secrets.randbits(32)
    chance = random.Random(seed)
    account, tree = Account(), Tree(tmp_path / "tree", chance, large=8 * MIB)
    plant(tree, chance, small=200, large=4)
    (tmp_path / "work").mkdir()
    with serve("asyncmirror.testing", "--bucket", "box") as server:
        kills = Kills(tmp_path / "work", server, Site(server.url, "box"), tree, account, chance)
        for _ in kills.run(10, changes=20):
            pass
    assert account.good, f"seed {seed}: {list(account.failures())}"
    assert account.kills == 10
    assert account.objects >= 200
