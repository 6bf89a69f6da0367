"""Slices: a run is timed by short parts of it, so that there are many, and most of them undisturbed.

A training that pays `call` seconds once and `step` seconds for each step takes call + steps * step. Slices of two
lengths tell both, so what a call pays once weighs in a run's time as much as it would in the whole run. Of the slices
of a turn the lower quartile counts: what is slower has been disturbed by something else on the machine.
"""

from collections.abc import Iterable, Sequence
from random import Random
from typing import NamedTuple

import numpy as np

from benchmarks.measure.stopwatch import Time

STEPS = 10  # of a long slice, about a millisecond of the tutorial's loop: what disturbs seldom comes so soon
LONG, SHORT = 8, 3  # slices of a turn: so many of STEPS steps, so many of one
FEWEST_STEPS = 50  # of a run that is cut
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


def places(rows: int, batch_size: int, steps: int) -> tuple[Slice, ...]:
    """All slices of a run with so many steps, long and short ones; none if it is too short to be cut."""
    if steps < FEWEST_STEPS:
        return ()
    firsts = range(0, rows - STEPS * batch_size + 1, STEPS * batch_size)
    return tuple(Slice(first, length) for first in firsts for length in (STEPS, 1))


def drawn(places: Sequence[Slice], random: Random) -> tuple[Slice, ...]:
    """The slices of a turn, shuffled; none if there are none to draw from."""
    if not places:
        return ()
    long, short = ([place for place in places if place.steps == steps] for steps in (STEPS, 1))
    found = [*random.choices(long, k=LONG), *random.choices(short, k=SHORT)]
    random.shuffle(found)
    return tuple(found)


def time_of_run(long: Sequence[Time], short: Sequence[Time], steps: int) -> Time:
    """The Time of a run of so many steps from those of its slices."""
    seconds_of_long, seconds_of_short = (undisturbed(time.seconds for time in times) for times in (long, short))
    step = (seconds_of_long - seconds_of_short) / (STEPS - 1)
    if step <= 0:  # not one of the short ones was left alone
        step = seconds_of_long / STEPS
    call = max(0.0, seconds_of_short - step)
    seconds = call + steps * step
    laps = [*long, *short]
    cores = sum(time.cpu_seconds for time in laps) / sum(time.seconds for time in laps)
    return Time(seconds, seconds * cores, call)


def undisturbed(values: Iterable[float]) -> float:
    """The lower quartile: of eight the second, of three the least."""
    ordered = sorted(values)
    return ordered[(len(ordered) - 1) // 4]


def fit(own: Time, baseline: Time, steps: int) -> bool:
    """Whether runs of so many steps, which took these Times by their slices, are better timed so than as a whole."""
    call = own.call_seconds or 0.0
    step = (own.seconds - call) / steps
    return call <= MOST_PAID_ONCE * STEPS * step and own.seconds + baseline.seconds > SHORT_RUNS
