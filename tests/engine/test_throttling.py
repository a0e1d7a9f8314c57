"""What the user is told of a store that asks for fewer requests."""

from asyncmirror.engine.throttling import _PREFIXES, Throttling
from asyncmirror.events import Flight, Narrow

FREE, FEW = Flight(64, 64), Flight(12, 64, throttled=True)


class Told:
    """Tellings, with a clock that the test moves."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.words: list[str] = []
        self.throttling = Throttling(self.words.append, lambda: self.now)

    def after(self, seconds: float, flight: Flight) -> list[str]:
        """What is said when the gauges are such after so long."""
        self.words.clear()
        self.now += seconds
        self.throttling.observe(flight)
        return self.words[:]


def test_its_begin_and_its_end_are_told_once() -> None:
    told = Told()
    assert told.after(1, FREE) == []
    (began,) = told.after(1, FEW._replace(refused=2))
    assert "asks for fewer requests" in began
    assert told.after(60, FEW._replace(refused=100)) == []
    (over,) = told.after(1, FREE._replace(refused=143))
    assert over == "the store admits 64 requests in flight again, after 61 s; it turned 143 away"
    assert told.after(1, FREE) == []


def test_what_comes_and_goes_is_told_every_five_minutes() -> None:
    told = Told()
    times = [(FEW._replace(refused=n), FREE._replace(refused=n)) for n in range(1, 101)]
    said = [words for few, free in times for words in (*told.after(5, few), *told.after(5, free))]
    assert len(said) == 8


def test_what_an_earlier_run_met_is_not_told_again() -> None:
    told = Told()
    assert told.after(1, FEW) == []
    assert told.after(60, FREE) == []
    assert len(told.after(1, FEW._replace(refused=1))) == 1


def test_what_lasts_is_told_less_and_less_often() -> None:
    told = Told()
    said = [told.now for _ in range(3 * 1440) if told.after(60, FEW._replace(refused=1))]
    assert [round((later - said[0]) / 60) for later in said] == [0, 5, 15, 35, 75, 155, 315, 635, 1275, 2555]
    assert told.after(90000, FEW._replace(limit=0, refused=1234)) == [
        "for 5819 min the store has asked for fewer requests: 0 of 64 in flight, 1,234 turned away; no file fails for that"
    ]


def test_a_narrow_prefix_is_told_of_once_and_not_too_many_are() -> None:
    told = Told()
    narrow = FREE._replace(narrow=(Narrow("a/", 7),))
    (said,) = told.after(1, narrow)
    assert "fewer requests under a/ than elsewhere (SlowDown): it gets 7 in flight" in said
    assert told.after(1, narrow) == told.after(1, FREE) == told.after(1000, narrow) == []
    many = FREE._replace(narrow=tuple(Narrow(f"{number}/", 1) for number in range(2 * _PREFIXES)))
    assert len(told.after(1, many)) == _PREFIXES - 1
