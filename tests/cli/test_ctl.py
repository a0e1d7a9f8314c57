"""What is told to a running process: how words are understood, knobs read, changes told; and which process is meant."""

import os
from dataclasses import replace
from pathlib import Path

import pytest

from asyncmirror.cli import ctl, knobs, running
from asyncmirror.cli.ctl import understand
from asyncmirror.cli.gather import Invocation, Output, gather
from asyncmirror.cli.options import OPTIONS
from asyncmirror.engine.steering import KNOBS
from asyncmirror.errors import ProcessError, UsageError
from asyncmirror.http.address import Address
from asyncmirror.journal.lock import Lock
from asyncmirror.plan.schedule import Every
from asyncmirror.settings import Destination, MaxDelete, Rule, Settings, Tuning
from asyncmirror.sizes import GIB, MIB

NOTHING = gather((), ())


@pytest.mark.parametrize(
    ("words", "request_", "where"),
    [
        ("status", {"do": "status"}, (None, None)),
        ("pause edr", {"do": "pause"}, ("edr", None)),
        ("set concurrency=5 max-memory=1GiB", {"do": "set", "knobs": {"concurrency": "5", "max-memory": "1GiB"}}, (None, None)),
        ("set bwlimit=08:00,1MiB ./a=b s3://c", {"do": "set", "knobs": {"bwlimit": "08:00,1MiB"}}, ("./a=b", "s3://c")),
        ("log-level debug /src s3://b", {"do": "log-level", "level": "debug"}, ("/src", "s3://b")),
    ],
)
def test_words_are_understood(words: str, request_: dict[str, object], where: tuple[str | None, str | None]) -> None:
    order = understand(words.split(" "))
    assert (order.request, (order.source, order.destination)) == (request_, where)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ("fly", "'fly' is nothing that can be told to a process (what can: status, set, "),
        ("set", "nothing is to be set"),
        ("set edr", "nothing is to be set"),
        ("set concurrency=1 concurrency=2", "'concurrency' is given twice"),
        ("log-level", "no level is given"),
        ("pause a b c", "'c' is too much"),
    ],
)
def test_words_that_make_no_sense_are_told_so(words: str, says: str) -> None:
    with pytest.raises(UsageError) as caught:
        understand(words.split(" "))
    assert str(caught.value).startswith(says)


def test_answers_are_told_to_people() -> None:
    answer = {"concurrency": {"before": "1", "after": "2"}, "paused": {"before": "no", "after": "no"}, "reload": "done"}
    assert ctl.lines(answer) == ["concurrency: 1 → 2", "paused: no, as before", "done"]


def test_knobs_are_read_as_their_flags_are() -> None:
    now = Tuning()
    assert knobs.read(now, {"max-memory": "1GiB", "concurrency": "7"}).max_memory == GIB
    assert knobs.read(now, {"concurrency": "7"}).concurrency == 7
    for texts, says in (
        ({"concurrency": "many"}, "--concurrency: 'many' "),
        ({"concurrency": "0"}, "--concurrency is 0; it must be from 1 to 4096"),
        ({"max-memory": "5"}, "--max-memory: '5' is no size"),
        ({"max-memory": "5MiB"}, "--part-size 16 MiB does not fit into --max-memory 5 MiB"),
        ({"loops": "2"}, "'loops' can't be turned (what can: concurrency, "),
        ({"concurrency": "7", "": ""}, "'' can't be turned"),
    ):
        with pytest.raises(UsageError) as caught:
            knobs.read(now, texts)
        assert str(caught.value).startswith(says)


def test_each_knob_shows_what_its_flag_takes() -> None:
    now = Tuning(max_memory=65 * MIB)
    for knob in KNOBS:
        assert knobs.read(now, {knob.name: knob.show(now)}) == now
    assert {knob.name for knob in KNOBS} <= {option.name for option in OPTIONS["tuning"]}


def test_only_what_became_another_in_the_file_is_followed() -> None:
    before = Tuning(concurrency=4)
    told = replace(before, concurrency=9, max_memory=GIB)
    assert knobs.follow(told, before, replace(before, part_size=8 * MIB)) == told
    assert knobs.follow(told, before, replace(before, concurrency=5)) == replace(told, concurrency=5)


def test_what_can_not_be_turned_is_named_once() -> None:
    before = Invocation(Settings(Path("/a"), Destination("b")), Output())
    settings = replace(
        before.settings,
        source=Path("/c"),
        destination=Destination("d"),
        within=("e",),
        rules=(Rule(include=False, pattern="x"),),
        tuning=Tuning(concurrency=1, loops=2),
        connection=replace(before.settings.connection, region="r"),
        max_delete=MaxDelete(1, 0),
    )
    after = Invocation(settings, Output(http=Address("h", 1), notify=("true",)), Every(60))
    assert knobs.fixed(before, before) == ()
    named = knobs.fixed(before, after)
    service = ["http", "notify", "watch"]
    assert sorted(named) == sorted(
        ["bucket and prefix", "include", "loops", "region", "releases", "root", "max-delete", *service]
    )


def test_the_only_process_is_meant_where_none_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    home = tmp_path / "asyncmirror"
    with pytest.raises(ProcessError, match="no process is running"):
        running.find(NOTHING, None, None)
    first, second = Lock(home / "a.sqlite"), Lock(home / "b c.sqlite")
    with pytest.raises(
        ProcessError, match=r"2 processes are running \(name one: --journal .*a.sqlite \(process \d+\); --journal '"
    ):
        running.find(NOTHING, None, None)
    first.release()
    found = running.find(NOTHING, None, None)
    assert (found.journal, found.process.pid) == (home / "b c.sqlite", os.getpid())
    second.release()
    named = gather((), ())._replace(sections={"settings": {"journal": home / "a.sqlite"}})
    with pytest.raises(ProcessError, match="no process has this journal"):
        running.find(named, None, None)
    with pytest.raises(UsageError, match="must be given"):
        running.find(NOTHING, "edr", None)
