"""Slices: a run is timed by short parts of it, so that there are many, and most of them undisturbed.

A training that pays `call` seconds once and `step` seconds for each step takes call + steps * step. Slices of two
lengths tell both, so what a call pays once weighs in a run's time as much as it would in the whole run. Of the slices
of a turn the lower quartile counts: what is slower has been disturbed by something else on the machine.
"""

import math
from collections.abc import Iterable, Sequence
from random import Random
from typing import NamedTuple

import numpy as np

from benchmarks.measure.stopwatch import Time

STEPS = 10  # of a long slice, about a millisecond of the tutorial's loop: what disturbs seldom comes so soon
LONG, SHORT = 8, 3  # slices of a turn, or as many as there are: so many of STEPS steps, so many of one
FEWEST_STEPS = 50  # of a run that is cut
MOST_PLACES = 100  # of long slices: each is prepared for itself
MOST_PAID_ONCE = 1.5  # times a long slice's steps: beyond, the difference of two slices tells too little of a step
SHORT_RUNS = 0.015  # seconds of both sides together: nothing is won by cutting them


class Slice(NamedTuple):
    """Full batches, one after the other: so many steps from row `first` on."""

    first: int
    steps: int


class Task(NamedTuple):
    """What both sides of a pair are given: they train on the slices one after the other, going on from what came out.

    start: weight (features, classes) and bias (classes,), float32 arrays.  slices: none stands for all rows at once.
    """

    start: tuple[np.ndarray, np.ndarray]
    slices: tuple[Slice, ...] = ()


def places(rows: int, batch_size: int, epochs: int) -> tuple[Slice, ...]:
    """Where slices of a run may lie, long and short ones; none if it is too short to be cut, or of several epochs.

    The first rows are left out: workers wake on them.
    """
    if rows < FEWEST_STEPS * batch_size or epochs > 1:
        return ()
    firsts = range(STEPS * batch_size, rows - STEPS * batch_size + 1, STEPS * batch_size)
    spread = firsts[:: math.ceil(len(firsts) / MOST_PLACES)]
    return tuple(Slice(first, length) for first in spread for length in (STEPS, 1))


def drawn(places: Sequence[Slice], random: Random) -> tuple[Slice, ...]:
    """The slices of a turn, shuffled, none twice; none if there are none to draw from."""
    found: list[Slice] = []
    for steps, count in ((STEPS, LONG), (1, SHORT)):
        alike = [place for place in places if place.steps == steps]
        found += random.sample(alike, min(count, len(alike)))
    random.shuffle(found)
    return tuple(found)


def time_of_run(long: Sequence[Time], short: Sequence[Time], steps: int) -> Time:
    """The Time of a run of so many steps from those of its slices."""
    seconds_of_long, seconds_of_short = (undisturbed(time.seconds for time in times) for times in (long, short))
    step = max(0.0, (seconds_of_long - seconds_of_short) / (STEPS - 1))
    call = max(0.0, seconds_of_short - step)
    seconds = call + steps * step
    laps = [*long, *short]
    cores = sum(time.cpu_seconds for time in laps) / sum(time.seconds for time in laps)
    return Time(seconds, seconds * cores, call)


def undisturbed(values: Iterable[float]) -> float:
    """The lower quartile: of eight the second, of four the least."""
    ordered = sorted(values)
    return ordered[(len(ordered) - 1) // 4]


def fit(own: Time, baseline: Time, steps: int) -> bool:
    """Whether runs of so many steps, which took these Times by their slices, are better timed so than as a whole."""
    tells = all(
        call <= MOST_PAID_ONCE * STEPS * (seconds - call) / steps
        for seconds, call in ((time.seconds, time.call_seconds or 0.0) for time in (own, baseline))
    )
    return tells and own.seconds + baseline.seconds > SHORT_RUNS
