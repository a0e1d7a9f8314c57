"""A few runs of `sync --watch`; scripts/watch-soak has an hour of them."""

import secrets
from pathlib import Path

from tests.soak.strict import strict
from tests.soak.watching import Plan, report, soak


def test_every_run_of_a_mirror_that_is_watched_tells_the_truth(tmp_path: Path) -> None:
    seed = secrets.randbits(32)
    plan = Plan(0, interval=1, small=150, large=1, pause=0.01, quiet_every=2, outage_every=100, sample=1.0, rests=2, settle=0)
    with strict() as store:
        truth, table = soak(tmp_path, store, plan, seed, print)
    assert not report(truth, table, flat=False), f"seed {seed}"
    assert truth.outcomes["complete"] > 150
