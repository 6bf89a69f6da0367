"""Pairs: the implementation and its baseline, back to back, in balanced random order.

A shared machine drifts: it is faster for a while, then slower. Two runs back to back meet the same machine, so
their ratio keeps what belongs to the code. Which of the two goes first is shuffled, each exactly as often, so
that neither profits from its place. Each side is a worker, or what behaves like one: while one trains the other rests.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from random import Random
from time import time
from typing import Any, NamedTuple, Protocol

from benchmarks.measure.stopwatch import Time


class Turn(NamedTuple):
    """One run of one side. answer: the reference.equivalence.Answer that came of it."""

    time: Time
    answer: Any


class Pair(NamedTuple):
    """One run of each side. start: what both trained from.  begun: when, in seconds since 1970."""

    start: Any
    begun: float
    baseline_first: bool
    own: Turn
    baseline: Turn


class Side(Protocol):
    """What a race needs of a side."""

    def train(self, start: Any) -> Turn:
        """One timed run from these parameters."""

    def rest(self) -> None:
        """Returns when it computes no more. Raises if it does not stop."""

    def check_rested(self, seconds: float) -> None:
        """Raises if it has computed since it came to rest, while the other side trained for so many seconds."""


class Enough(Exception):
    """Ends a race between two rounds."""


class Stopwatch:
    """pytest-benchmark's clock: it stands still, but for what workers have measured by clocks of their own."""

    __name__ = "worker_seconds"

    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


STOPWATCH = Stopwatch()


def balanced_order(pairs: int, random: Random) -> list[bool]:
    """For each pair whether the baseline goes first: shuffled, half of them exactly. `pairs` is even."""
    order = [True, False] * (pairs // 2)
    random.shuffle(order)
    return order


def turn(side: Side, other: Side, start: Any) -> Turn:
    """One run of a side, while the other rests."""
    other.rest()
    taken = side.train(start)
    other.check_rested(taken.time.seconds)
    STOPWATCH.seconds += taken.time.seconds
    return taken


def pair(own: Side, baseline: Side, start: Any, baseline_first: bool) -> Pair:
    """The Pair of one run each, in the order given."""
    begun = time()
    before = turn(baseline, own, start) if baseline_first else None
    mine = turn(own, baseline, start)
    return Pair(start, begun, baseline_first, mine, before or turn(baseline, own, start))


def race(
    benchmark: Any,
    own: Side,
    baseline: Side,
    starts: Iterator[Any],
    looks: Sequence[Sequence[bool]],
    enough: Callable[[list[Pair]], bool],
) -> list[Pair]:
    """The Pairs of a race; pytest-benchmark's fixture counts the rounds and keeps the times of `own`.

    looks: lists of orders, as of `balanced_order`. After each, `enough(pairs)` decides whether the race ends.
    The fixture must have been given STOPWATCH as its timer, by its marker.
    """
    order = [place for look in looks for place in look]
    ends = {sum(map(len, looks[: count + 1])) for count in range(len(looks))}
    pairs: list[Pair] = []
    start: Any
    begun: float
    before: Turn | None
    mine: Turn

    def set_up() -> None:
        nonlocal start, begun, before
        if len(pairs) in ends and enough(pairs):
            raise Enough
        start, begun = next(starts), time()
        before = turn(baseline, own, start) if order[len(pairs)] else None

    def run() -> None:
        nonlocal mine
        mine = turn(own, baseline, start)

    def tear_down() -> None:
        pairs.append(Pair(start, begun, order[len(pairs)], mine, before or turn(baseline, own, start)))

    with suppress(Enough):
        benchmark.pedantic(run, setup=set_up, teardown=tear_down, rounds=len(order))
    return pairs
