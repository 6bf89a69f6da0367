"""Pairs: the implementation and its baseline, back to back, in balanced random order.

A shared machine drifts: it is faster for a while, then slower. Two runs back to back meet the same machine, so
their ratio keeps what belongs to the code. Which of the two goes first is shuffled, each exactly as often, so
that neither profits from its place. Each side is a worker, or what behaves like one: while one trains the other rests.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from math import inf
from random import Random
from time import perf_counter, time
from typing import Any, NamedTuple, Protocol

from benchmarks.measure.slices import Task
from benchmarks.measure.stopwatch import Time


class Turn(NamedTuple):
    """One timed run of one side. answer: the reference.equivalence.Answer that came of it."""

    time: Time
    answer: Any


class Pair(NamedTuple):
    """One turn of each side. task: what both were given.  begun: when, in seconds since 1970."""

    task: Task
    begun: float
    baseline_first: bool
    own: Turn
    baseline: Turn


class Side(Protocol):
    """What a race needs of a side."""

    def train(self, task: Task) -> Turn:
        """One timed run."""

    def rest(self) -> None:
        """Returns when it computes no more. Raises if it does not stop."""

    def check_rested(self, seconds: float) -> None:
        """Raises if it has computed since it came to rest, while the other side trained for so many seconds."""


class Enough(Exception):
    """Ends a race between two pairs."""


class Stopwatch:
    """pytest-benchmark's clock: it stands still, but for what workers have measured by clocks of their own."""

    __name__ = "worker_seconds"

    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


STOPWATCH = Stopwatch()


def balanced_order(pairs: int, random: Random) -> list[bool]:
    """For each pair whether the baseline goes first: of every two, drawn by lot, in one. `pairs` is even."""
    firsts = [random.random() < 0.5 for _ in range(pairs // 2)]
    return [first for one in firsts for first in (one, not one)]


def until(seconds: float, least: int, most: float = inf) -> Callable[[int], bool]:
    """What says whether so many pairs are enough: the least when the seconds from now are over, the most before."""
    end = perf_counter() + seconds
    return lambda count: count >= least and (count >= most or perf_counter() >= end)


def turn(side: Side, other: Side, task: Task) -> Turn:
    """One run of a side, while the other rests."""
    other.rest()
    begun = perf_counter()
    taken = side.train(task)
    other.check_rested(perf_counter() - begun)
    STOPWATCH.seconds += taken.time.seconds
    return taken


def pair(own: Side, baseline: Side, task: Task, baseline_first: bool) -> Pair:
    """The Pair of one run each, in the order given."""
    begun = time()
    before = turn(baseline, own, task) if baseline_first else None
    mine = turn(own, baseline, task)
    return Pair(task, begun, baseline_first, mine, before or turn(baseline, own, task))


def pairs(
    own: Side, baseline: Side, tasks: Iterator[Task], order: Sequence[bool], enough: Callable[[int], bool]
) -> list[Pair]:
    """The Pairs in this order, until there are enough: `enough(count)` is asked after every two, which are balanced."""
    found: list[Pair] = []
    for baseline_first in order:
        if found and len(found) % 2 == 0 and enough(len(found)):
            break
        found.append(pair(own, baseline, next(tasks), baseline_first))
    return found


def race(
    benchmark: Any,
    own: Side,
    baseline: Side,
    tasks: Iterator[Task],
    order: Sequence[bool],
    enough: Callable[[int], bool],
) -> list[Pair]:
    """The same as `pairs`; pytest-benchmark's fixture counts the rounds and keeps the times of `own`.

    The fixture must have been given STOPWATCH as its timer, by its marker.
    """
    found: list[Pair] = []
    task: Task
    begun: float
    before: Turn | None
    mine: Turn

    def set_up() -> None:
        nonlocal task, begun, before
        if found and len(found) % 2 == 0 and enough(len(found)):
            raise Enough
        task, begun = next(tasks), time()
        before = turn(baseline, own, task) if order[len(found)] else None

    def run() -> None:
        nonlocal mine
        mine = turn(own, baseline, task)

    def tear_down() -> None:
        found.append(Pair(task, begun, order[len(found)], mine, before or turn(baseline, own, task)))

    with suppress(Enough):
        benchmark.pedantic(run, setup=set_up, teardown=tear_down, rounds=len(order))
    return found
