"""Hazard rows 23 and 24: `kill -9` at every crash point."""

import random
import secrets
from pathlib import Path

import pytest

from tests.acceptance.command import sync
from tests.soak.account import Account
from tests.soak.steps import Steps
from tests.soak.strict import strict
from tests.soak.warm import Warm

STRIDE = 10
"""Every tenth point: which, is drawn anew each time. scripts/soak kills at each."""


@pytest.mark.hazard(23, 24)
@pytest.mark.timeout(400)  # some thirty processes: on a busy machine a second or more each
def test_a_kill_at_any_step_loses_nothing_and_sends_nothing_confirmed_again(tmp_path: Path) -> None:
    account = Account()
    start = random.SystemRandom().randint(1, STRIDE)
    with strict() as server:
        killed = list(Steps(tmp_path, server, account).each(start, STRIDE))
    assert account.good, list(account.failures())
    assert killed[-1] > 40, "a run passes more points than that"


@pytest.mark.hazard(23)
def test_a_kill_of_the_first_run_while_it_makes_its_journal(tmp_path: Path) -> None:
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree" / "file").write_bytes(b"x")
    with strict() as server:
        warm = Warm(tmp_path, server.site, ASYNCMIRROR_NO_PROBE="")
        points: list[str] = []
        number = 1
        while warm.run(*sync(tmp_path / "tree", server.site, tmp_path / f"{number}.sqlite"), at=number).code == -9:
            points.append(warm.point())
            resumed = warm.run(*sync(tmp_path / "tree", server.site, tmp_path / f"{number}.sqlite"))
            assert resumed.code == 0, f"killed {points[-1]}: {resumed.error}"
            assert server.objects().keys() == {"file"}, f"killed {points[-1]}: something of the probe is left"
            assert not server.uploads()
            number += 1 if "before the first request" not in points else 6
        assert any(".asyncmirror-probe" in request.key for request in server.settled())
    assert {"before the journal is there", "after the journal is there", "after COMMIT"} <= set(points)


@pytest.mark.hazard(23)
def test_a_kill_of_the_run_that_resumes(tmp_path: Path) -> None:
    account = Account()
    seed = secrets.randbits(32)
    chance = random.Random(seed)
    with strict() as server:
        steps = Steps(tmp_path, server, account)
        for _ in range(4):
            steps.kill_at(chance.randint(1, 50), chance.randint(1, 30))
    assert account.good, f"seed {seed}: {list(account.failures())}"
    assert account.kills == 8
