"""The state machine, for some seconds. scripts/soak plays it for as long as one likes."""

import secrets
from pathlib import Path

import pytest

from tests.soak.account import Account
from tests.soak.machine import play
from tests.soak.strict import strict


@pytest.mark.hazard(18, 23)
def test_whatever_happens_in_whatever_order_the_promises_hold(tmp_path: Path) -> None:
    account, seed = Account(), secrets.randbits(32)
    with strict() as server:
        while account.runs < 5:  # some games are all changes and no run
            play(server, account, tmp_path, seed, games=5, steps=12)
            seed += 1
