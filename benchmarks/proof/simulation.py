"""Whole tables whose truth is known, from simulated noise, judged by the code that judges real ones."""

import random
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from benchmarks.measure import race
from benchmarks.proof import noise
from benchmarks.proof.noise import Model
from benchmarks.runs import statistics
from benchmarks.runs.statistics import Estimate, Sample

TABLE_ROWS = 30
PAIRS = 60  # of a row in one process
PROCESSES = 8
PAIRS_IN_PROCESS = (4, 6, 8, 10)  # of one row, the next, and so on: the slow ones have few
PROCESS_EFFECT = 0.02  # standard deviation of what one of several processes adds to a row's log ratio
AA = TABLE_ROWS  # the number of the A/A check, beside those of the rows; it has twice as many pairs
Blocks = Sequence[tuple[int, int]]  # numbers of rows, each with how many pairs of it run one after the other

ONE_PROCESS: Blocks = [block for row in range(TABLE_ROWS) for block in ((AA, 4), (row, PAIRS))]
OF_SEVERAL: Blocks = [(AA, 2)] * 7 + [(row, PAIRS_IN_PROCESS[row % 4]) for row in range(TABLE_ROWS)]


class Outcome(NamedTuple):
    """Of one table. words: of its rows, none where it cannot judge.  wrong: whether one of them is.

    covered: how many of the rows' 99 % intervals hold the truth.
    """

    words: list[str]
    wrong: bool
    covered: int


Judge = Callable[[Model, float, int, int], list[Outcome]]  # of the noise, the truth, a seed, and how many tables


def by_pairs(model: Model, truth: float, seed: int, tables: int) -> list[Outcome]:
    """The Outcomes of tables of rows whose true log ratio is `truth`, each measured in one process.

    What that process adds is in each of its pairs, so it belongs to the truth that an interval has to hold. A word is
    about the code alone: the margin has to cover what the process adds.
    """
    added = noise.of_processes(model, np.random.default_rng([seed, 1]), (1, TABLE_ROWS + 1, tables), spread=0)
    measured = log_ratios(model, truth, seed, tables, ONE_PROCESS, added)
    return [
        outcome(samples, truth, truth + effects) for samples, effects in zip(measured, added[0, :AA].T, strict=True)
    ]


def by_processes(model: Model, truth: float, seed: int, tables: int) -> list[Outcome]:
    """The same, each row measured in several processes, each of which adds something of its own to every row."""
    shape = PROCESSES, TABLE_ROWS + 1, tables
    added = noise.of_processes(model, np.random.default_rng([seed, 1]), shape, spread=PROCESS_EFFECT)
    measured = log_ratios(model, truth, seed, tables, OF_SEVERAL, added)
    return [outcome(samples, truth, np.full(TABLE_ROWS, truth)) for samples in measured]


def log_ratios(
    model: Model, truth: float, seed: int, tables: int, blocks: Blocks, added: np.ndarray
) -> list[list[Sample]]:
    """Of each table the Samples of its rows and last of the A/A check, whose true log ratio is 0.

    blocks: in the order in which each process runs them.  added: by a process to a row of a table.
    """
    shuffle = random.Random(seed)
    in_order = list(blocks) * len(added)
    order = np.array([[f for _, pairs in in_order for f in race.balanced_order(pairs, shuffle)] for _ in range(tables)])
    runs = model(np.random.default_rng([seed, 0]), (tables, 2 * order.shape[1]))
    first, second = runs[:, 0::2], runs[:, 1::2]
    logs = np.where(order, first - second, second - first).reshape(tables, len(added), -1)
    row_of_pair = np.repeat([row for row, _ in blocks], [pairs for _, pairs in blocks])
    by_row = [
        np.sort(logs[:, :, row_of_pair == row] + added[:, row].T[:, :, None] + (0 if row == AA else truth), axis=2)
        for row in range(TABLE_ROWS + 1)
    ]
    return [[Sample(values[table].tolist()) for values in by_row] for table in range(tables)]


def outcome(samples: Sequence[Sample], truth: float, measured: np.ndarray) -> Outcome:
    """The Outcome of a table. truth: of the code.  measured: what the pairs of each row scatter around."""
    prior = statistics.prior_of(samples[:AA])
    rows, check = [sample._replace(prior=prior) for sample in samples[:AA]], samples[AA]
    intervals = [row.interval(statistics.LEVEL) for row in rows]
    margin = statistics.least_margin([check.interval(statistics.LEVEL)], len(check.processes))
    words = list(statistics.words(dict(enumerate(rows)), margin).values()) if margin else []
    return Outcome(
        words=words,
        wrong=any(is_wrong(word, truth, margin or 0) for word in words),
        covered=sum(
            interval.low <= center <= interval.high
            for interval, center in zip(intervals, measured.tolist(), strict=True)
        ),
    )


def is_wrong(word: str, truth: float, margin: float) -> bool:
    """Whether the word of a row is, whose true log ratio is `truth`."""
    return word not in ("unclear", statistics.word(Estimate(truth, truth, truth), margin))
