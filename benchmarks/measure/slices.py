"""Slices: a run is timed by parts of it, so that there are many, and some of them undisturbed.

A training that pays `call` seconds once and `step` seconds for each step takes call + steps * step. Slices of two
lengths tell both, so what a call pays once weighs in a run's time as much as it would in the whole run. Even the short
ones have some steps: the first few after a call are slower than those of an epoch. Of the slices of a turn the fastest
counts: what is slower has been disturbed by something else on the machine.
"""

import math
from collections.abc import Sequence
from random import Random
from statistics import median
from typing import NamedTuple

import numpy as np

from benchmarks.measure.stopwatch import Time

LONG, SHORT = 50, 10  # steps of a slice
COUNTS = {LONG: 4, SHORT: 2}  # slices of a turn
FEWEST_STEPS = (sum(COUNTS.values()) + 1) * LONG  # of a run that is cut: each slice of a turn has a place of its own
MOST_PLACES = 100  # of long slices: each is prepared for itself
MOST_PAID_ONCE = 15  # steps: beyond, the difference of two slices tells too little of a step
SHORT_RUNS = 0.015  # seconds of both sides together: nothing is won by cutting them
MOST_APART = 1.1  # a ratio by slices from that by whole runs; in peace one try of twenty is farther off by chance


class Slice(NamedTuple):
    """Full batches, one after the other: so many steps from row `first` on."""

    first: int
    steps: int


class Task(NamedTuple):
    """What both sides of a pair are given: they train on the slices one after the other, going on from what came out.

    start: weight (features, classes) and bias (classes,), float32 arrays.  slices: none stands for all rows at once.
    core: the number of the one they begin on; None: wherever the system puts them.
    """

    start: tuple[np.ndarray, np.ndarray]
    slices: tuple[Slice, ...] = ()
    core: int | None = None


def places(rows: int, batch_size: int, epochs: int) -> tuple[Slice, ...]:
    """Where slices of a run may lie, long and short ones; none if it is too short to be cut, or of several epochs.

    The first rows are left out: workers wake on them.
    """
    if rows < FEWEST_STEPS * batch_size or epochs > 1:
        return ()
    firsts = range(LONG * batch_size, rows - LONG * batch_size + 1, LONG * batch_size)
    spread = firsts[:: math.ceil(len(firsts) / MOST_PLACES)]
    return tuple(Slice(first, steps) for first in spread for steps in COUNTS)


def drawn(places: Sequence[Slice], random: Random) -> tuple[Slice, ...]:
    """The slices of a turn, each from another place and both lengths shuffled; none if there are no places."""
    if not places:
        return ()
    lengths = [steps for steps, count in COUNTS.items() for _ in range(count)]
    random.shuffle(lengths)
    firsts = random.sample(sorted({place.first for place in places}), len(lengths))
    return tuple(map(Slice, firsts, lengths))


def time_of_run(long: Sequence[Time], short: Sequence[Time], steps: int) -> Time:
    """The Time of a run of so many steps from those of its slices."""
    seconds_of_long, seconds_of_short = (min(time.seconds for time in times) for times in (long, short))
    step = max(0.0, (seconds_of_long - seconds_of_short) / (LONG - SHORT))
    call = max(0.0, seconds_of_short - SHORT * step)
    seconds = call + steps * step
    laps = [*long, *short]
    cores = sum(time.cpu_seconds for time in laps) / sum(time.seconds for time in laps)
    return Time(seconds, seconds * cores, call)


def fit(own: Time, baseline: Time, steps: int) -> bool:
    """Whether runs of so many steps, which took these Times by their slices, are better timed so than as a whole."""
    tells = all(
        call <= MOST_PAID_ONCE * (seconds - call) / steps
        for seconds, call in ((time.seconds, time.call_seconds or 0.0) for time in (own, baseline))
    )
    return tells and own.seconds + baseline.seconds > SHORT_RUNS


def quotient(sliced: tuple[Time, Time], whole: tuple[Time, Time]) -> float:
    """The ratio of two sides by their slices over that by whole runs: 1 where slices tell the truth."""
    by_slices, by_whole_runs = (own.seconds / baseline.seconds for own, baseline in (sliced, whole))
    return by_slices / by_whole_runs


def agree(quotients: Sequence[float]) -> bool:
    """Whether slices and whole runs say the same, by the median of these tries."""
    return 1 / MOST_APART <= median(quotients) <= MOST_APART
