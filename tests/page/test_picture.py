"""What is known of the runs: folded from events and gauges, never going back, bounded."""

from functools import reduce

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncmirror.events import Event, Flight, Notice, Progress, Settled, Started, Summary, Unchanged, Waiting
from asyncmirror.http.health import Ages, examine
from asyncmirror.http.picture import NOTICES_KEPT, PROBLEMS_KEPT, Phase, Picture, Result, Totals, close, fold, observe
from asyncmirror.model import Outcome

STARTED = Started("/src", "s3://bucket", "/j.db", resumed=False)
FAILED = Settled(b"f", "f", Outcome.FAILED, 7, "why")


def summary(
    complete: int = 0, *, failed: int = 0, requests: int = 0, code: int = 0, stopped: bool = False, error: str = ""
) -> Summary:
    counts = {Outcome.COMPLETE: complete, Outcome.FAILED: failed}
    sizes = {Outcome.COMPLETE: 10 * complete}
    return Summary(counts, sizes, 10 * complete, 10 * complete, requests, 5.0, code, stopped, error)


def progress(complete: int, requests: int = 0, refused: int = 0) -> Progress:
    return Progress(
        scanned=complete,
        scanned_bytes=10 * complete,
        settled={Outcome.COMPLETE: complete},
        settled_bytes={Outcome.COMPLETE: 10 * complete},
        bytes_sent=10 * complete,
        requests=requests,
        flight=Flight(8, 8, refused),
        seconds=1.0,
    )


def test_a_run_from_its_start_to_its_end() -> None:
    picture = Picture()
    assert picture.phase is Phase.OPENING
    assert picture.ever == Totals()
    picture = fold(picture, STARTED, 100.0)
    assert (picture.phase, picture.run, picture.started, picture.source) == (Phase.RUNNING, 1, 100.0, "/src")
    picture = observe(picture, progress(3, requests=4, refused=2))
    assert picture.ever.entries == {Outcome.COMPLETE: 3}
    assert (picture.ever.requests, picture.ever.refused, picture.result, picture.ended) == (4, 2, None, None)
    picture = fold(picture, summary(5, requests=6), 160.0)
    assert (picture.phase, picture.result, picture.ended, picture.last_success) == (Phase.WAITING, Result.SUCCESS, 160.0, 160.0)
    assert picture.ever.entries == {Outcome.COMPLETE: 5, Outcome.FAILED: 0}
    assert (picture.ever.requests, picture.ever.refused, picture.ever.bytes_sent) == (6, 2, 50)
    assert picture.ever.runs == {Result.SUCCESS: 1}
    assert (picture.progress.scanned, picture.progress.settled, picture.progress.seconds) == (5, picture.ever.entries, 5.0)
    assert observe(picture, progress(9)) == picture  # between runs, the gauges tell nothing new
    assert close(picture).phase is Phase.ENDED
    assert close(picture, "gone").error == "gone"


def test_the_next_run_begins_anew_and_counters_go_on() -> None:
    picture = fold(fold(Picture(), STARTED, 1.0), summary(5, failed=1, requests=9, code=1), 2.0)
    assert (picture.result, picture.problem_count, picture.last_success) == (Result.INCOMPLETE, 1, None)
    picture = fold(fold(picture, FAILED, 2.0), STARTED, 3.0)
    assert (picture.run, picture.problem_count, picture.problems, picture.summary) == (2, 0, (), None)
    assert picture.ever.requests == 9
    assert observe(picture, progress(2, requests=1)).ever.entries[Outcome.COMPLETE] == 7


@pytest.mark.parametrize(
    ("told", "result"),
    [
        (summary(1), Result.SUCCESS),
        (summary(1, code=3), Result.INCOMPLETE),
        (summary(1, stopped=True, code=130), Result.STOPPED),
        (summary(1, stopped=True, code=4, error="no bucket"), Result.FAILED),
    ],
)
def test_the_result(told: Summary, result: Result) -> None:
    assert fold(Picture(), told, 0.0).result is result


def test_only_problems_are_kept_and_only_so_many() -> None:
    picture = fold(Picture(), Settled(b"c", "c", Outcome.COMPLETE, 1), 0.0)
    picture = fold(picture, Unchanged(b"", "", ((b"u", 1),)), 0.0)
    assert picture.problems == ()
    events: list[Event] = [FAILED._replace(path=b"%d" % number) for number in range(PROBLEMS_KEPT + 5)]
    events += [Notice(str(number)) for number in range(NOTICES_KEPT + 5)]
    picture = reduce(lambda so_far, event: fold(so_far, event, 1.0), events, picture)
    assert [problem.path for problem in picture.problems] == [b"%d" % number for number in range(5, PROBLEMS_KEPT + 5)]
    assert [said.text for said in picture.notices] == [str(number) for number in range(5, NOTICES_KEPT + 5)]


def test_between_two_runs_it_is_told_until_when() -> None:
    picture = fold(fold(fold(Picture(), STARTED, 1.0), summary(5, requests=6), 2.0), Waiting(90.0), 3.0)
    assert (picture.phase, picture.waiting, picture.ended, picture.result) == (
        Phase.WAITING,
        Waiting(90.0),
        2.0,
        Result.SUCCESS,
    )
    assert fold(picture, STARTED, 90.0).waiting is None
    assert close(picture).waiting is None


def test_a_run_that_broke_off_without_a_summary_keeps_what_it_counted() -> None:
    picture = fold(observe(fold(Picture(), STARTED, 1.0), progress(3, requests=4)), Waiting(90.0, "the disk is full"), 3.0)
    assert (picture.phase, picture.ended, picture.error) == (Phase.WAITING, 3.0, "the disk is full")
    assert picture.ever.requests == 4
    assert fold(picture, STARTED, 90.0).ever.requests == 4


@given(st.lists(st.sampled_from(["start", "end"]) | st.integers(0, 5), max_size=40))
def test_no_counter_ever_goes_back(steps: list[str | int]) -> None:
    picture, count = Picture(), 0
    for step in steps:
        before = picture.ever
        if step == "start" and picture.phase is not Phase.RUNNING:
            picture, count = fold(picture, STARTED, 0.0), 0
        elif step == "end" and picture.phase is Phase.RUNNING:
            picture = fold(picture, summary(count, requests=count), 0.0)
        elif isinstance(step, int) and picture.phase is Phase.RUNNING:
            count += step
            picture = observe(picture, progress(count, requests=count, refused=count))
        after = picture.ever
        assert after[3:] >= before[3:]
        assert all(after.entries[outcome] >= number for outcome, number in before.entries.items())


RUNNING = fold(Picture(), STARTED, 0.0)


@pytest.mark.parametrize(
    ("picture", "ages", "says"),
    [
        (Picture(), Ages(1e6, 1e6, 1e6), ""),
        (RUNNING, Ages(1, 1, 60), ""),
        (RUNNING, Ages(reading=31), "the event loop has not turned for 31 s"),
        (RUNNING, Ages(journal=121), "the journal has not answered for 121 s"),
        (RUNNING, Ages(move=1860), "nothing has been scanned, sent or settled for 31 min"),
        (observe(RUNNING, progress(1)._replace(paused=True)), Ages(move=1e6), ""),
        (fold(RUNNING, summary(1, code=3), 0.0), Ages(1e6, 1e6, 1e6), ""),
        (fold(RUNNING, summary(code=4, error="no bucket\x1b"), 0.0), Ages(), "the last run ended by an error: no bucket\\x1b"),
        (fold(RUNNING, Waiting(90.0), 0.0), Ages(1e6, 1e6, 1e6), ""),
        (fold(RUNNING, Waiting(90.0, "no bucket"), 0.0), Ages(), "no run can go on: no bucket"),
        (close(RUNNING, "MemoryError"), Ages(), "the last run ended by an error: MemoryError"),
    ],
)
def test_health(picture: Picture, ages: Ages, says: str) -> None:
    assert examine(picture, ages).reason == says
    assert examine(picture, ages).good is (not says)
