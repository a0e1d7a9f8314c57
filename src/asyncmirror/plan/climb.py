"""How many requests in flight serve best: found out by trying.

Owns the decision, as a value and what a look at the gauges makes of it. Pure: the moment is in the reading, in seconds of any
clock that never goes back. Knows no slots, no store and no machine but by the gauges. What a trial says, `plan.trial` knows.
Refusals are `plan.pace`'s: while it narrows the flight this room waits, and `retreated` tells it that a limit was too much.

A limit is tried beside the one that stands, in turns, a window each, until the verdict stands out of the noise; in doubt all
stays as it is.

* Up: doubling at first, so that a far store has what it needs after a few round trips. A verdict against it takes the square
  root of the step and doubles the pause before the next trial; where it is clear that there is a way to go, the step is
  squared, and the next trial begins at once. Nothing is tried while the loop has no CPU to spare: more requests would only wait
  for it.
* Below a limit that was refused: half of the way up to it, again and again, and every step has to stand for a while.
* Down: where it loses next to nothing, for such requests only waited in the store. It is tried ever more rarely, because where
  they did not wait trying costs.
* While memory is short: down by a third every second, and no trial.
"""

import math
from typing import NamedTuple, Self

from asyncmirror.plan.trial import SHORT, SHORTEST, Rate, Reading, Trial, Window

START = 64
"""Requests in flight to begin with: what was the fixed default, so that a run of seconds loses nothing."""

GAIN = 0.06
"""The elasticity (change of throughput by change of the limit, both in logarithms) from which on more is worth it."""
LOSS = 0.04
"""And below which fewer are enough."""
CLEAR = 0.5
"""An elasticity that tells of a way to go yet: the next step is larger."""
WORSE = -0.1
"""And one that tells that a change was the wrong way."""
CHANGED = 0.15
"""A rise of what the limit that stands gives, a logarithm, that tells of a change elsewhere."""

DOUBLE, COARSE = 2.0, 1.15
"""Steps: the largest, and the smallest whose gain stands out of the noise."""
FINE_UP, FINE_DOWN = 1.05, 1.08
"""Steps where one that is coarse was clearly too much, or was refused."""
TOLERATED = -0.2
"""What a trial below a limit that was refused may lose, a logarithm: there, what is not refused is good."""
PATIENCE = 15.0
"""Seconds after which a doubt is a verdict against the change."""
CALM, BOLD = 5.0, 1.5
"""Seconds without a refusal after which the limit that was refused is forgotten, and the step that is tried then: the store may
admit far more by now, and what is a little too much costs next to nothing, for there is a sound limit to go back to."""
BACKED_OFF = 0.95
"""What a refusal at the limit that stands leaves of it, at most."""
SOUND = 2.0
"""Seconds for which a limit stands without a refusal until it counts as one that the store admits: what it admits at once
after a quiet time, a tenth of a second's worth or more, hides for so long that a limit is a little too much."""
PRESSED, EASING = 0.7, 1.0
"""What memory pressure leaves of it, each time, and seconds from one such time to the next."""
EASED = 8
"""And no lower: what is held in memory is bounded by other means, and a run must go on."""
FIRST_UP, FIRST_DOWN = 1.0, 2.0
"""Seconds after a verdict against more, or fewer, until that is tried again; then twice that, and so on."""
LONGEST_UP, LONGEST_DOWN, LONGEST_REFUSED = 30.0, 300.0, 10.0
"""A refused trial costs little, and whoever else made the store refuse may have gone."""
BUSY = 0.95
"""The share of the time for which the loop had, or waited for, a CPU."""


class Climb(NamedTuple):
    """The limit that stands, what is tried beside it, and what has to be remembered. Made by `begin`."""

    most: int
    stands: int
    trial: Trial | None = None
    trying: bool = False  # the trial has its turn
    window: Window | None = None
    rate: Rate | None = None  # of the limit that stands, when it last had its turn
    up_at: float = 0.0  # when more is tried next
    up_pause: float = FIRST_UP
    up_step: float = DOUBLE
    down_at: float = math.inf
    down_pause: float = FIRST_DOWN
    down_step: float = COARSE
    halved: int = 0  # the limit before it was halved without having been measured
    refused: int = 0  # the limit that was last refused
    refused_at: float = 0.0
    sound: int = 0  # the limit that last stood for a while without a refusal; 0: none since that was refused, too
    since: float = 0.0  # from when on the limit stands
    eased_at: float = 0.0  # when memory pressure may lower it again

    @classmethod
    def begin(cls, most: int, start: int = START) -> Self:
        """As many as `start`, and at any time at most `most`."""
        return cls(most, max(1, min(start, most)))

    @property
    def limit(self) -> int:
        """How many may be in flight now."""
        return self.trial.limit if self.trial is not None and self.trying else self.stands

    def look(self, reading: Reading) -> "Climb":
        """Take in the gauges."""
        if self.window is None or reading.narrowed:
            return _settle(self._replace(down_at=min(self.down_at, reading.at + self.down_pause)), reading)
        if reading.pressed:
            return _ease(self, reading)
        window = self.window.seen(reading)
        doubling = self.up_step == DOUBLE and self.stands < self.most
        if not window.is_over(reading, self.limit, SHORT if doubling else SHORTEST):
            return self._replace(window=window)
        if not window.is_full(reading, self.limit):
            # An empty slot in a trial's turn is no verdict: the limit that stands has its turn again.
            return self._replace(trying=False, window=Window(reading, settled=not self.trying))
        if not window.settled:
            return self._replace(window=Window(reading, settled=True))
        rate = window.rate(reading)
        return _tried(self, rate, reading) if self.trying else _stood(self, rate, reading)

    def retreated(self, at: float, level: int) -> "Climb":
        """The store refused requests, at a moment in seconds. `level`: how many were in flight.

        Back to what was sound; else a little lower; or to the half of what has not even been measured, for that may be far too
        much.
        """
        over = self._replace(trial=None, trying=False, window=None, since=at)
        if self.limit > self.stands:
            return _put_off(over._replace(refused=self.limit, refused_at=at), at, COARSE, LONGEST_REFUSED)
        if self.rate is None and not self.refused:
            return over._replace(stands=max(1, min(self.stands, level // 2)), halved=self.halved or self.stands)
        lower = max(1, min(self.stands, int(level * BACKED_OFF + 0.5)))
        if self.sound:
            lower = min(lower, max(self.sound, lower // 2))
        over = over._replace(stands=lower, rate=None, sound=0)
        return _put_off(over._replace(refused=self.limit, refused_at=at), at, COARSE, LONGEST_REFUSED)

    def begun_anew(self) -> "Climb":
        """The same without what is being tried and measured, and without what was refused: more is tried at once."""
        return self._replace(
            trial=None, trying=False, window=None, refused=0, up_step=DOUBLE, up_at=self.refused_at, up_pause=FIRST_UP
        )

    def restored(self) -> "Climb":
        """The same as before a limit was halved that had not been measured, if it was the last that happened."""
        return self._replace(stands=self.halved, halved=0) if self.halved else self

    def within(self, most: int) -> "Climb":
        """The same below another bound."""
        return self._replace(
            most=most, stands=min(self.stands, most), halved=0, trial=None, trying=False, window=None, rate=None
        )


def _settle(climb: Climb, reading: Reading) -> Climb:
    """The limit has changed, or what it is measured by: let a turn pass."""
    return climb._replace(window=Window(reading))


def _ease(climb: Climb, reading: Reading) -> Climb:
    """Memory is short: go down, whatever that costs."""
    if reading.at >= climb.eased_at:
        lower = min(climb.stands, max(EASED, int(climb.stands * PRESSED)))
        climb = climb._replace(
            stands=lower, trial=None, trying=False, eased_at=reading.at + EASING, up_at=reading.at, up_step=DOUBLE
        )
    return _settle(climb, reading)


def _stood(climb: Climb, rate: Rate, reading: Reading) -> Climb:
    """The limit that stands had its turn: is it time for a trial?"""
    before, trial, stands = climb.rate, climb.trial, climb.stands
    climb = climb._replace(rate=rate, window=Window(reading, settled=True), halved=0)
    if reading.at - climb.since >= SOUND:
        climb = climb._replace(sound=stands)
    if climb.refused and reading.at - climb.refused_at >= CALM:
        climb = climb._replace(
            refused=0, up_step=max(BOLD, climb.up_step), up_at=min(climb.up_at, reading.at), up_pause=FIRST_UP
        )
    if trial is None:
        if before is not None and rate.gain(before) > CHANGED:
            return climb._replace(up_at=reading.at, up_pause=FIRST_UP)
        if reading.at >= climb.up_at and stands < climb.most and rate.busy < BUSY:
            # Below what was refused, half of the way up to it.
            step = max(FINE_UP, math.sqrt(climb.refused / stands)) if stands < climb.refused else climb.up_step
            trial = Trial(min(climb.most, max(stands + 1, round(stands * step))), stands, reading.at)
        elif reading.at >= climb.down_at and stands > 1:
            trial = Trial(max(1, min(stands - 1, round(stands / climb.down_step))), stands, reading.at)
        else:
            return climb
    return _settle(climb._replace(trial=trial, trying=True), reading)


def _tried(climb: Climb, rate: Rate, reading: Reading) -> Climb:
    """The trial had its turn: is there a verdict?"""
    assert climb.trial is not None
    assert climb.rate is not None
    trial = climb.trial.compared(rate.gain(climb.rate))
    if trial.step > 0 and trial.stands < climb.refused:
        verdict: bool | None = trial.mean > TOLERATED
    else:
        verdict = trial.is_worth(GAIN if trial.step > 0 else LOSS)
    if verdict is None and reading.at - trial.since > PATIENCE:
        verdict = False
    if verdict is None:
        return _settle(climb._replace(trial=trial, trying=False), reading)
    climb = climb._replace(trial=None, trying=False)
    if not verdict:
        return _settle(_against(climb, trial, reading.at), reading)
    # What it gave is known already, and the next trial can have its turn.
    return _stood(_in_favour(climb, trial, reading.at), rate, reading)


def _in_favour(climb: Climb, trial: Trial, at: float) -> Climb:
    climb = climb._replace(stands=trial.limit, rate=None, since=at)
    clear = trial.mean > CLEAR * abs(trial.step)
    if trial.step < 0:
        return climb._replace(down_at=at, down_step=min(DOUBLE, climb.down_step**2) if clear else COARSE)
    if trial.stands < climb.refused:
        return climb._replace(up_at=at + SOUND, down_at=at + climb.down_pause)
    if not clear:
        return climb._replace(up_at=at, up_pause=FIRST_UP, down_at=at + climb.down_pause)
    step = min(DOUBLE, climb.up_step**2)
    return climb._replace(up_at=at, up_pause=FIRST_UP, up_step=step, down_at=at + FIRST_DOWN, down_pause=FIRST_DOWN)


def _against(climb: Climb, trial: Trial, at: float) -> Climb:
    """Later, with a smaller step; where it was the wrong way at once the other one, and with an even smaller step."""
    worse = trial.mean < WORSE * abs(trial.step)
    if trial.step < 0:
        return climb._replace(
            down_at=at + climb.down_pause,
            down_pause=min(LONGEST_DOWN, 2 * climb.down_pause),
            down_step=max(FINE_DOWN if worse else COARSE, math.sqrt(climb.down_step)),
        )
    if worse:
        climb = climb._replace(down_at=at, down_step=max(climb.down_step, math.exp(trial.step) / COARSE))
    return _put_off(climb, at, FINE_UP if worse else COARSE)


def _put_off(climb: Climb, at: float, finest: float, longest: float = LONGEST_UP) -> Climb:
    """More is tried later."""
    step, pause = max(finest, math.sqrt(climb.up_step)), min(longest, climb.up_pause)
    return climb._replace(up_step=step, up_at=at + pause, up_pause=2 * pause)
