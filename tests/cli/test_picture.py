import io
from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console

from asyncmirror.cli.fold import State
from asyncmirror.cli.picture import fit, picture
from asyncmirror.cli.report import periodic
from asyncmirror.events import Allowance, Erasing, Flight, Narrow, Progress, Started, Transfer
from asyncmirror.model import Outcome
from asyncmirror.rates import Pace

STARTED = Started("/global/cfs/cdirs/desi/public/dr1/spectro/redux/iron", "s3://desidata/dr1", "/j.db", resumed=False)


def progress(*, scanning: bool, slowest: tuple[Transfer, ...] = (), count: int = 1_234_567) -> Progress:
    settled = {Outcome.COMPLETE: count, Outcome.UNCHANGED: 5, Outcome.FAILED: 3, Outcome.UNREADABLE: 4}
    settled_bytes = {Outcome.COMPLETE: 3 << 40}
    return Progress(scanning, 2 * count, 6 << 40, 1000, 5 << 30, settled, settled_bytes, 3 << 40, 9, 7265.0, slowest)


def drawn(gauges: Progress, width: int, height: int, state: State | None = None) -> list[str]:
    console = Console(
        file=io.StringIO(), width=width, height=height, force_terminal=True, color_system=None, legacy_windows=False
    )
    with console.capture() as capture:
        console.print(picture(State(STARTED) if state is None else state, gauges, Pace().observe(gauges), width, height))
    return capture.get().splitlines()


@pytest.mark.parametrize(("width", "height"), [(80, 24), (60, 20), (40, 15), (120, 50)])
@pytest.mark.parametrize("scanning", [True, False])
def test_the_picture_fits(width: int, height: int, *, scanning: bool) -> None:
    slowest = tuple(Transfer(b"spectro/" * 20 + b"%d" % number, 1 << 30, 3 << 30, 75.0) for number in range(9))
    gauges = progress(scanning=scanning, slowest=slowest)._replace(flight=Flight(12, 64, throttled=True))
    lines = drawn(gauges, width, height)
    assert len(lines) < height
    assert max(cell_len(line) for line in lines) <= width


def test_the_picture_tells_what_counts() -> None:
    lines = drawn(progress(scanning=True, slowest=(Transfer(b"a/b.fits", 1 << 20, 4 << 20, 75.0),)), 80, 24)
    assert lines[0] == "/global/cfs/cdirs/desi/public/dr1/spectro/redux/iron → s3://desidata/dr1"
    words = [line.split() for line in lines[1:]]
    assert words == [
        ["scanned", "2,469,134", "6", "TiB"],
        ["queued", "1,000", "5", "GiB"],
        ["uploaded", "1,234,567", "3", "TiB"],
        ["unchanged", "5", "0", "B"],
        ["problems", "7"],
        ["now", "433", "MiB/s", "170", "objects/s"],
        ["average", "433", "MiB/s", "170", "objects/s"],
        ["elapsed", "2:01:05", "scanning"],
        ["slowest"],
        ["a/b.fits", "1", "MiB", "of", "4", "MiB", "25%", "1:15"],
    ]


def test_a_deletion_has_a_bar_of_its_own() -> None:
    gauges = progress(scanning=False)
    assert drawn(gauges._replace(erasing=Erasing(12_000)), 80, 24)[8:] == [
        "elapsed          2:01:05  looking for what is gone",
        "looked at 12,000 on record",
    ]
    way, told = drawn(gauges._replace(erasing=Erasing(12_000, 4000, 1000, 5.0)), 80, 24)[8:]
    assert way.split() == ["elapsed", "2:01:05", "left", "0:15", "━" * 5, "25%"]
    assert told == "deleting 1,000 of 4,000"
    assert "left unknown" in drawn(gauges._replace(erasing=Erasing(12_000, 4000, 0, 5.0)), 80, 24)[8]
    assert "; deleting 1,000 of 4,000; left 0:15" in periodic(gauges._replace(erasing=Erasing(9, 4000, 1000, 5.0)), Pace())


def test_a_store_that_asks_for_fewer_requests_is_seen() -> None:
    gauges = progress(scanning=True)
    assert drawn(gauges._replace(flight=Flight(12, 64, 99, throttled=True)), 80, 24)[-1] == "throttled: 12 of 64 in flight"
    assert "throttled" not in "".join(drawn(gauges._replace(flight=Flight(12, 64, 99)), 80, 24))
    narrow = Flight(64, 64, 99, narrow=(Narrow("bad\x1b[2J/", 5),))
    assert drawn(gauges._replace(flight=narrow), 80, 24)[-1] == "throttled under bad\\x1b[2J/: 5 in flight"


def test_a_pause_is_seen_in_place_of_what_the_store_asks_for() -> None:
    gauges = progress(scanning=True)._replace(paused=True, flight=Flight(12, 64, 99, throttled=True))
    assert drawn(gauges, 80, 24)[-1] == "paused: no request begins until asyncmirror ctl resume"
    assert periodic(gauges, Pace()).endswith("; paused")


def test_what_limits_the_run_is_seen() -> None:
    evening = datetime(2026, 11, 22, 19, 0).timestamp()  # noqa: DTZ001  the clock on the wall
    gauges = progress(scanning=True)._replace(allowance=Allowance(200 << 20, 0.5, evening))
    assert drawn(gauges, 80, 24)[-1] == "limit 200 MiB/s until Sun 19:00, limit 0.5 requests/s"
    both = drawn(gauges._replace(flight=Flight(12, 64, 99, throttled=True), allowance=Allowance(1 << 20)), 80, 24)[-1]
    assert both == "throttled: 12 of 64 in flight; limit 1 MiB/s"
    assert drawn(gauges._replace(allowance=Allowance(until=evening)), 80, 24)[-1] == "limit none until Sun 19:00"
    assert "limit" not in "".join(drawn(gauges._replace(allowance=Allowance()), 80, 24))


def test_the_end_is_foretold_once_the_scan_is_over() -> None:
    way = drawn(progress(scanning=False), 80, 24)[8]
    assert "left 2:01:05" in way
    assert "━" in way
    assert way.rstrip().endswith("50%")


def test_before_anything_is_known_it_says_so() -> None:
    assert drawn(progress(scanning=True), 80, 24, State())[0] == "asyncmirror: opening the journal and the store"


@given(st.binary(min_size=1, max_size=60), st.sampled_from([40, 60, 80]))
def test_no_name_can_break_the_picture(name: bytes, width: int) -> None:
    state = State(Started(name.decode("utf-8", "surrogateescape"), "s3://b", "/j", resumed=False))
    lines = drawn(progress(scanning=True, slowest=(Transfer(name, 1, 2, 3.0),)), width, 24, state)
    assert len(lines) == 11
    assert all(line.isprintable() and cell_len(line) <= width for line in lines)


def test_markup_in_a_name_is_no_markup() -> None:
    assert (
        "[red]a[/red] :smile:"
        in drawn(progress(scanning=True, slowest=(Transfer(b"[red]a[/red] :smile:", 1, 2, 3.0),)), 80, 24)[-1]
    )


@given(st.text(st.characters(codec="utf-8").filter(str.isprintable)), st.integers(0, 30))
def test_what_is_fitted_keeps_its_end(text: str, width: int) -> None:
    fitted = fit(text, width)
    assert cell_len(fitted) <= width
    assert text.endswith(fitted.removeprefix("…"))
