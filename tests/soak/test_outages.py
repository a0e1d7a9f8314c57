"""The outages of scripts/outages, each for a moment."""

from pathlib import Path

import pytest

from tests.soak.outages import OUTAGES, Outage, may_mount
from tests.soak.strict import strict


@pytest.mark.parametrize("outage", OUTAGES, ids=lambda outage: outage.play.__name__)
def test_a_mirror_that_is_watched_survives(outage: Outage, tmp_path: Path) -> None:
    if outage.root and not may_mount():
        pytest.skip("mounting is not allowed here")
    with strict() as store:
        assert outage.play(tmp_path, store, 1.2, print) == []
