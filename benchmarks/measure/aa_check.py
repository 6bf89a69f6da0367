"""The A/A check: the reference raced against itself, a few pairs before each row, so that it meets the whole run."""

from random import Random
from time import perf_counter

from benchmarks.measure import race
from benchmarks.measure.contest import MOST_PAIRS, Contest, blamed
from benchmarks.measure.race import Pair
from benchmarks.runs import statistics
from benchmarks.runs.row import Row
from benchmarks.runs.saved import COPY, REFERENCE


class AACheck:
    """Two workers of the reference on one problem. What is found between them is none: it might be found in any row.

    Where runs may be cut it is timed by slices, as most rows are.
    """

    def __init__(self, contest: Contest, seconds: float, random: Random) -> None:
        """seconds: for the pairs before each row."""
        self.contest, self.seconds, self.random = contest, seconds, random
        self.due = 0.0  # seconds that it may still take
        blamed(contest.known, "the A/A check")(bool(contest.places))  # takes its time once, which is not that of pairs
        self.copy = blamed(contest.admitted, "the A/A check")(COPY)
        self.baseline = contest.baseline(REFERENCE)
        self.pairs: list[Pair] = []

    def go_on(self) -> None:
        """Races a few pairs if it is time; before the first row so many that there is an interval.

        Raises NotComparable.
        """
        self.due += self.seconds
        if self.pairs and self.due <= 0:
            return
        begun = perf_counter()
        least = 0 if self.pairs else statistics.FEWEST_PAIRS
        asked_for = self.contest.suite.settings.pairs
        most = asked_for / self.contest.suite.row_count if asked_for else MOST_PAIRS
        order, enough = race.balanced_order(MOST_PAIRS, self.random), race.until(self.due, least, most)
        self.baseline = baseline = self.contest.baseline(REFERENCE)
        if self.copy.worker.status is not None:  # it was ended, by whatever: another takes its place
            self.copy = blamed(self.contest.admitted, "the A/A check")(COPY)
        self.copy.worker.give(self.contest.suite.settings.timeout)
        self.pairs += blamed(self.contest.raced, "the A/A check")(
            self.copy,
            baseline,
            f"{COPY} {len(self.pairs)}",
            self.contest.places,
            lambda own, baseline, tasks: race.pairs(own, baseline, tasks, order, enough),
        )
        self.due -= perf_counter() - begun

    def row(self) -> Row:
        """What it has found so far: a row as any other."""
        return self.contest.row(self.copy, self.baseline, self.pairs)
