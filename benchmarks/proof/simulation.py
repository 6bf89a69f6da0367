"""Whole tables whose truth is known, from simulated noise, judged by the code that judges real ones."""

import random
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from benchmarks.measure import race
from benchmarks.proof.noise import Model
from benchmarks.runs import statistics
from benchmarks.runs.statistics import Sample

TABLE_ROWS = 30
LOOKS = 3  # the third at four times as many pairs as the first
PROCESSES = 5
PAIRS_IN_PROCESS = 6
PROCESS_EFFECT = 0.02  # standard deviation of what a process adds to a row's log ratio
BY_LOOK = statistics.pairs_by_look(TABLE_ROWS, LOOKS)
FIRST = BY_LOOK[0]


class Outcome(NamedTuple):
    """Of one table. words: of its rows.  covered: how many of the intervals hold the truth."""

    words: list[str]
    covered: int


Judge = Callable[[Model, float, int], Outcome]  # of a table: its noise, the truth, and the seed


def table(model: Model, truth: float, seed: int) -> Outcome:
    """The Outcome of a table of rows whose true log ratio is `truth`, each measured until it has a word."""
    pairs = sum(BY_LOOK)
    ratios = log_ratios(model, truth, seed, BY_LOOK)
    samples = {}
    for row, logs in enumerate(ratios.reshape(TABLE_ROWS, pairs).tolist()):
        count = FIRST
        while count < pairs and not statistics.is_clear(logs[:count], FIRST, TABLE_ROWS, statistics.MARGIN):
            count *= 2
        samples[row] = Sample([logs[:count]], statistics.share_of_look(FIRST, count))
    return outcome(samples, truth)


def table_of_processes(model: Model, truth: float, seed: int) -> Outcome:
    """The same, judged by several processes, each of which adds something of its own to every row."""
    ratios = log_ratios(model, truth, seed, [PAIRS_IN_PROCESS] * PROCESSES)
    ratios = ratios.reshape(TABLE_ROWS, PROCESSES, PAIRS_IN_PROCESS)
    effects = np.random.default_rng([seed, 1]).normal(0, PROCESS_EFFECT, (TABLE_ROWS, PROCESSES, 1))
    return outcome(dict(enumerate(map(Sample, (ratios + effects).tolist()))), truth)


def log_ratios(model: Model, truth: float, seed: int, looks: Sequence[int]) -> np.ndarray:
    """log(baseline / own) of all pairs of a table in the order in which they run, (rows * pairs,)."""
    shuffle = random.Random(seed)
    order = [first for _ in range(TABLE_ROWS) for count in looks for first in race.balanced_order(count, shuffle)]
    noise = model(np.random.default_rng([seed, 0]), 2 * len(order))
    first, second = noise[0::2], noise[1::2]
    return truth + np.where(order, first - second, second - first)


def outcome(samples: Mapping[int, Sample], truth: float) -> Outcome:
    """The Outcome of these samples."""
    intervals = [sample.interval(statistics.LEVEL) for sample in samples.values()]
    return Outcome(
        words=list(statistics.words(samples, statistics.MARGIN).values()),
        covered=sum(interval.low <= truth <= interval.high for interval in intervals),
    )
