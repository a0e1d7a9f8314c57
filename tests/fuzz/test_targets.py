"""Every target, with as many inputs as a test run has time for. `scripts/fuzz` goes on for as long as it is told.

Where Hypothesis is told to repeat itself (it is on CI, of its own accord), the inputs are the same each time.
"""

import random
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from tests.fuzz.every import TARGETS
from tests.fuzz.target import Target


@pytest.mark.parametrize("target", TARGETS, ids=[target.name for target in TARGETS])
def test_nothing_is_found(target: Target[Any], tmp_path: Path) -> None:
    assert target.hunt(tmp_path, 0 if settings().derandomize else random.getrandbits(32)) > 1
