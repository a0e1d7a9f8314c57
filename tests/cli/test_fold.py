from functools import reduce

from hypothesis import given
from hypothesis import strategies as st

from asyncmirror.cli.fold import NOTICES_KEPT, PROBLEMS_KEPT, State, fold
from asyncmirror.events import Event, Notice, Progress, Settled, Started, Steered, Summary, Unchanged, Waiting
from asyncmirror.model import PROBLEMS, Outcome
from asyncmirror.rates import Pace, Rate, average, remaining

STARTED = Started("/src", "s3://bucket", "/j.db", resumed=False)
SUMMARY = Summary({}, {}, 0, 0, 0, 1.0, 0)


def progress(
    seconds: float = 0.0,
    *,
    scanning: bool = False,
    scanned: int = 0,
    scanned_bytes: int = 0,
    complete: int = 0,
    complete_bytes: int = 0,
    bytes_sent: int = 0,
) -> Progress:
    settled, settled_bytes = {Outcome.COMPLETE: complete}, {Outcome.COMPLETE: complete_bytes}
    return Progress(scanning, scanned, scanned_bytes, 0, 0, settled, settled_bytes, bytes_sent, 0, seconds)


@given(st.lists(st.sampled_from(Outcome), max_size=100))
def test_the_first_problems_are_kept_and_all_are_counted(outcomes: list[Outcome]) -> None:
    events = [Settled(b"%d" % number, "", outcome, 1) for number, outcome in enumerate(outcomes)]
    bad = [event for event in events if event.outcome in PROBLEMS]
    state = reduce(fold, events, State())
    assert state.problems == tuple(bad[:PROBLEMS_KEPT])
    assert state.problem_count == len(bad)


def test_no_more_than_the_first_problems_are_kept() -> None:
    events = [Settled(b"%d" % number, "", Outcome.FAILED, 1) for number in range(25)]
    state = reduce(fold, events, State())
    assert [event.path for event in state.problems] == [b"%d" % number for number in range(20)]
    assert state.problem_count == 25


def test_what_was_begun_said_and_summed_up_is_kept() -> None:
    events: list[Event] = [STARTED, Notice("a"), Unchanged(b"", "", ((b"x", 1),)), Notice("b"), SUMMARY]
    assert reduce(fold, events, State()) == State(STARTED, ("a", "b"), (), 0, SUMMARY)


def test_between_two_runs_the_last_is_known_and_the_next_begins_anew() -> None:
    bad = Settled(b"x", "", Outcome.FAILED, 1)
    waiting = Waiting(7.0, "why")
    events: list[Event] = [STARTED, Notice("a"), bad, SUMMARY, waiting]
    between = reduce(fold, events, State())
    assert between == State(STARTED, ("a",), (bad,), 1, SUMMARY, waiting)
    assert fold(between, STARTED) == State(STARTED, ("a",), (), 0, SUMMARY)


def test_the_last_notices_are_kept_and_none_is_said_twice() -> None:
    state = State()
    said: list[str] = []
    for number in range(NOTICES_KEPT * 2):
        before = state.notice_count
        state = fold(state, Notice(str(number)))
        said += state.notices_since(before)
    assert said == [str(number) for number in range(NOTICES_KEPT * 2)]
    assert state.notices == tuple(said[NOTICES_KEPT:])
    assert state.notices_since(0) == state.notices
    assert state.notices_since(state.notice_count) == ()


def test_another_run_has_a_pace_of_its_own() -> None:
    pace = Pace()
    for second in range(30):
        pace = pace.observe(progress(float(second), bytes_sent=second * 1000))
    pace = pace.observe(progress(1.0, bytes_sent=5))
    assert pace.now.bytes == 5


def test_now_is_measured_over_the_last_seconds_only() -> None:
    pace = Pace()
    for second in range(30):
        fast = max(0, second - 15)
        pace = pace.observe(progress(float(second), bytes_sent=fast * 1000, complete=fast * 10))
    assert pace.now == Rate(1000.0, 10.0)
    assert len(pace.samples) == 11


def test_a_first_moment_has_no_rate() -> None:
    assert Pace().now == Rate()
    assert Pace().observe(progress(0.1, bytes_sent=10**9)).now == Rate()
    assert average(0.0, 1, 1) == Rate()
    assert average(2.0, 10, 4) == Rate(5.0, 2.0)


def test_nothing_is_foretold_while_the_scan_goes_on() -> None:
    assert remaining(progress(scanning=True, scanned=10), Rate(1.0, 1.0)) is None


def test_the_slower_of_bytes_and_objects_decides() -> None:
    rest = remaining(progress(scanned=100, scanned_bytes=1000, complete=40, complete_bytes=600), Rate(100.0, 30.0))
    assert rest is not None
    assert rest == (60, 400, 0.6, 4.0)
    slow_objects = remaining(progress(scanned=100, scanned_bytes=1000, complete=40, complete_bytes=600), Rate(100.0, 2.0))
    assert slow_objects is not None
    assert slow_objects.seconds == 30.0


def test_what_is_in_flight_counts_as_far_as_it_is_sent() -> None:
    rest = remaining(progress(scanned=1, scanned_bytes=1000)._replace(under_way=250), Rate(50.0, 0.0))
    assert rest is not None
    assert rest == (1, 750, 0.25, 15.0)


def test_without_a_rate_the_end_is_unknown_and_with_nothing_left_it_is_now() -> None:
    stuck = remaining(progress(scanned=2, scanned_bytes=5), Rate())
    assert stuck is not None
    assert stuck.seconds is None
    done = remaining(progress(scanned=2, scanned_bytes=5, complete=2, complete_bytes=5), Rate())
    assert done is not None
    assert (done.share, done.seconds) == (1.0, 0.0)
    empty = remaining(progress(), Rate())
    assert empty is not None
    assert (empty.share, empty.seconds) == (1.0, 0.0)


def test_what_was_turned_stands_among_the_notices() -> None:
    state = fold(fold(State(), Notice("first")), Steered("bwlimit", "off", "5 MiB/s", "process 7"))
    assert state.notices == ("first", "bwlimit: off → 5 MiB/s, by process 7")
