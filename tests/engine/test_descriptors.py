import resource
from collections.abc import Iterator
from dataclasses import replace

import pytest

from asyncmirror.engine.descriptors import allow, fit, needed
from asyncmirror.errors import UsageError
from asyncmirror.settings import Tuning

WIDE = Tuning(concurrency=256, readers=32, scanners=8)


@pytest.mark.parametrize("loops", [1, 4])
@pytest.mark.parametrize("limit", [64, 100, 256, 1024, 4096])
def test_a_run_is_cut_to_what_is_allowed_and_no_further(limit: int, loops: int) -> None:
    tuning = replace(WIDE, loops=loops, max_memory=1 << 30)
    fitted = fit(tuning, limit)
    assert needed(fitted) <= limit
    assert 1 <= fitted.readers <= 32
    assert 1 <= fitted.scanners <= 8
    assert loops <= fitted.concurrency <= 256
    if needed(tuning) <= limit:
        assert fitted == tuning
    else:
        assert needed(replace(fitted, concurrency=fitted.concurrency + loops)) > limit, "one more of each would fit"


def test_too_few_for_one_of_each_are_refused() -> None:
    with pytest.raises(UsageError, match=r"only 30 files may be open at once \(allow at least \d+, better \d+: ulimit -n\)"):
        fit(WIDE, 30)


@pytest.fixture
def soft_limit() -> Iterator[int]:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, before[1]))
    yield before[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_the_limit_is_raised_as_far_as_the_system_allows_without_asking(soft_limit: int) -> None:
    if soft_limit != resource.RLIM_INFINITY and soft_limit < needed(WIDE):
        pytest.skip("the system allows no more")
    assert allow(WIDE) == (WIDE, "")
    assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] == needed(WIDE)


def test_less_may_be_asked_for_than_the_system_allows(soft_limit: int) -> None:
    if soft_limit != resource.RLIM_INFINITY and soft_limit < needed(WIDE):
        pytest.skip("the system allows no more")
    asked = replace(WIDE, max_open_files=128)
    fitted, told = allow(asked)
    assert fitted == fit(asked, 128)
    assert 128 - 3 <= needed(fitted) <= 128
    assert told.startswith("only 128 files may be open at once (--max-open-files; this run wants ")
    with pytest.raises(UsageError, match=r"at least \d+, better \d+: --max-open-files"):
        allow(replace(WIDE, max_open_files=30))
    assert allow(replace(WIDE, max_open_files=4096))[1] == ""


def test_what_was_cut_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: (64, 64))
    fitted, told = allow(WIDE)
    assert fitted.concurrency < 256
    assert told.startswith(f"only 64 files may be open at once (ulimit -n; this run wants {needed(WIDE)}): --concurrency is ")
