"""Timetables: read, written, and asked at any moment of the week."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncmirror.errors import UsageError
from asyncmirror.sizes import MIB
from asyncmirror.timetable import Change, Timetable

MONDAY = datetime(2026, 11, 23, tzinfo=ZoneInfo("Europe/Berlin"))
OFFICE = Timetable.parse("08:00,200MiB 19:00,off")


def at(day: int, hour: int, minute: int = 0) -> datetime:
    return MONDAY + timedelta(days=day, hours=hour, minutes=minute)


@pytest.mark.parametrize(
    ("text", "rate"), [("200MiB", 200 * MIB), (" 1.5 MiB/s ", 3 * MIB // 2), ("5MB", 5_000_000), ("off", None), ("0", None)]
)
def test_one_rate_holds_all_week(text: str, rate: int | None) -> None:
    table = Timetable.parse(text)
    assert bool(table) is (rate is not None)
    assert {table.at(at(day, hour)) for day in range(7) for hour in range(24)} == {rate}
    assert table.until(MONDAY) is None


def test_a_change_holds_from_its_minute_until_the_next_and_past_midnight() -> None:
    assert [OFFICE.at(at(0, 7, 59)), OFFICE.at(at(0, 8)), OFFICE.at(at(0, 18, 59))] == [None, 200 * MIB, 200 * MIB]
    assert [OFFICE.at(at(0, 19)), OFFICE.at(at(1, 0)), OFFICE.at(at(1, 8))] == [None, None, 200 * MIB]
    assert OFFICE.until(at(0, 12)) == at(0, 19)
    assert OFFICE.until(at(0, 23, 30)) == at(1, 8)
    assert OFFICE.until(at(6, 20)) == at(7, 8)


def test_what_is_said_of_a_day_stands_beside_what_is_said_of_every_day() -> None:
    table = Timetable.parse("12:00,2MiB mon-00:00,1MiB Sunday-12:00,off")
    assert [table.at(at(0, 11)), table.at(at(0, 12)), table.at(at(5, 23)), table.at(at(6, 12))] == [MIB, 2 * MIB, 2 * MIB, None]
    assert table.until(at(6, 13)) == at(7, 0)
    assert table.until(at(0, 12)) == at(6, 12)  # what changes nothing is no change


def test_a_week_begins_with_what_the_last_one_ended_with() -> None:
    table = Timetable.parse("Wed-09:30,5MiB Fri-17:00,off")
    assert [table.at(at(0, 0)), table.at(at(2, 9, 29)), table.at(at(2, 9, 30)), table.at(at(6, 0))] == [
        None,
        None,
        5 * MIB,
        None,
    ]


def test_what_never_limits_is_no_timetable() -> None:
    assert not Timetable.parse("08:00,off 19:00,0")
    assert Timetable.parse("Mon-08:00,1MiB").until(MONDAY) is None


def test_the_wall_clock_decides_where_it_jumps() -> None:
    """It goes from 02:00 to 03:00, and in autumn from 03:00 to 02:00."""
    table = Timetable.parse("02:30,1MiB 04:00,off")
    spring = datetime(2026, 3, 29, 1, 59, tzinfo=ZoneInfo("Europe/Berlin"))
    after = datetime.fromtimestamp(spring.timestamp() + 60, ZoneInfo("Europe/Berlin"))
    assert (after.hour, table.at(spring), table.at(after)) == (3, None, MIB)
    autumn = datetime(2026, 10, 25, 2, 59, tzinfo=ZoneInfo("Europe/Berlin"))
    back = datetime.fromtimestamp(autumn.timestamp() + 60, ZoneInfo("Europe/Berlin"))
    assert (back.hour, table.at(autumn), table.at(back)) == (2, MIB, None)


@pytest.mark.parametrize(
    ("text", "line", "mean"),
    [
        ("off", None, None),
        ("off", MIB, MIB),
        ("2MiB", None, 2 * MIB),
        ("2MiB", MIB, MIB),
        ("06:00,4MiB 18:00,2MiB", None, 3 * MIB),
        ("Mon-00:00,7MiB Tue-00:00,off", None, None),
        ("Mon-00:00,7MiB Tue-00:00,off", 14 * MIB, 13 * MIB),
    ],
)
def test_a_week_has_a_mean(text: str, line: int | None, mean: int | None) -> None:
    assert Timetable.parse(text).mean(line) == mean


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "is no rate"),
        ("200", "'200' is no rate"),
        ("fast", "write a rate such as 200MiB, or off"),
        ("1B", "too slow"),
        ("08:00", "is no rate"),
        ("8,1MiB", "no time with a rate"),
        ("24:00,1MiB", "24:00 is no time of the day"),
        ("08:60,1MiB", "08:60 is no time of the day"),
        ("Mo-08:00,1MiB", "'Mo' is no day of the week"),
        ("08:00,1MiB 08:00,2MiB", "second change of one minute"),
        ("Mon-08:00,1MiB Monday-08:00,2MiB", "second change of one minute"),
        ("08:00,1MiB,2MiB", "'1MiB,2MiB' is no rate"),
        ("08:00,1MiB 200MiB", "'200MiB' is no time with a rate"),
    ],
)
def test_what_is_no_timetable_is_refused_and_told_how_to_write_it(text: str, says: str) -> None:
    with pytest.raises(UsageError) as caught:
        Timetable.parse(text)
    assert says in str(caught.value)
    assert "write" in caught.value.hint


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("204800KiB", "200MiB"),
        ("off", "off"),
        ("19:00,0 8:00,200M", "08:00,200MiB 19:00,off"),
        ("Sat-0:00,5MB Mon-8:00,1025B", "Mon-08:00,1025B Sat-00:00,5000000B"),
        ("Mon-08:00,1GiB", "1GiB"),
    ],
)
def test_a_timetable_is_written_as_it_may_be_read(text: str, written: str) -> None:
    assert str(Timetable.parse(text)) == written


rates = st.none() | st.integers(1024, 1 << 50)
tables = st.dictionaries(st.integers(0, 7 * 24 * 60 - 1), rates, min_size=2).filter(lambda found: any(found.values()))


@given(tables, st.integers(0, 365 * 86400))
def test_what_is_written_reads_as_the_same_and_nothing_changes_before_it_is_due(
    found: dict[int, int | None], seconds: int
) -> None:
    table = Timetable(tuple(Change(minute, found[minute]) for minute in sorted(found)))
    assert Timetable.parse(str(table)) == table
    moment = MONDAY.replace(tzinfo=UTC) + timedelta(seconds=seconds)
    until = table.until(moment)
    if until is not None:
        assert table.at(until) != table.at(moment) == table.at(until - timedelta(seconds=1))
        assert timedelta(0) < until - moment <= timedelta(days=7)
