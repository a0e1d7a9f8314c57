"""A body on its way out: what has no room is told apart from what waits for the bandwidth."""

import time

from asyncmirror.sizes import KIB, MIB
from asyncmirror.store.meter import Meter
from asyncmirror.store.wire.outflow import SLICE, Outflow


class Narrow:
    """Takes one piece, and then has no room until told."""

    def __init__(self) -> None:
        self.full = False
        self.took: list[int] = []

    def take(self, data: bytes | memoryview) -> None:
        self.took.append(len(data))
        self.full = True

    def moved(self) -> None:
        pass


async def test_what_has_no_room_is_said_until_it_has_left_or_is_given_up() -> None:
    for limited in (True, False):
        meter, sink = Meter(KIB, SLICE), Narrow()
        meter.limit((lambda: 1 << 40) if limited else None)
        outflow = Outflow(sink, meter, time.monotonic, b"", bytes(MIB), 60.0)
        stuck = []
        while outflow.left:
            sink.full = False
            outflow.go_on()
            stuck.append(meter.stuck)
        assert stuck == [MIB - SLICE, MIB - 2 * SLICE, SLICE, 0]
        assert sum(sink.took) == MIB
        again = Outflow(sink, meter, time.monotonic, b"", bytes(MIB), 60.0)
        again.go_on()
        assert meter.stuck == MIB
        again.give_up()
        assert meter.stuck == 0


async def test_what_waits_for_the_bandwidth_is_not_stuck() -> None:
    meter, sink = Meter(KIB, SLICE), Narrow()
    meter.limit(lambda: 1.0)
    outflow = Outflow(sink, meter, time.monotonic, b"", bytes(MIB), 60.0)
    outflow.go_on()
    sink.full = False
    outflow.go_on()
    assert outflow.waits
    assert (meter.stuck, meter.queued) == (0, outflow.left)
