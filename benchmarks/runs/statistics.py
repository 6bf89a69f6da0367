"""From pairs of times to a ratio, its interval and a word. All the statistics of the suite are here.

Everything is in logarithms of ratios, so that swapping the two sides changes signs and nothing else.
"""

import functools
import math
from collections.abc import Mapping, Sequence
from fractions import Fraction
from statistics import fmean, median
from typing import NamedTuple, TypeVar

LEVEL = 0.01  # how often an interval may miss, and how often a whole table may hold a wrong word
MARGIN = 0.01  # a difference below it is none
FEWEST_PAIRS = 8  # with 7 the widest interval there is, least to greatest, holds the median in 98.4 %
Key = TypeVar("Key")


class Estimate(NamedTuple):
    """A value, and the interval that holds the true one."""

    value: float
    low: float
    high: float

    def text(self, digits: int = 3) -> str:
        """For people, with so many digits after the point."""
        value, low, high = (f"{bound:.{digits}f}" for bound in self)
        return f"{value} ({low} to {high})"


class Sample(NamedTuple):
    """What was measured of one row. processes: of each process a list of values, one a pair.

    share: what of the chance to miss belongs to this interval; less than 1 if the pairs of one process were looked at
    before and found too few, as each look has a chance to miss of its own.
    """

    processes: Sequence[Sequence[float]]
    share: float = 1.0

    def interval(self, chance: float) -> Estimate:
        """The Estimate that misses the true median with this chance, two-sided; without bounds if too few values."""
        if len(self.processes) == 1:
            return interval_of_median(self.processes[0], chance * self.share)
        return interval_of_mean([median(values) for values in self.processes], chance)


class Change(NamedTuple):
    """What lies between two Samples of different runs: after minus before."""

    before: Sample
    after: Sample

    def interval(self, chance: float) -> Estimate:
        """The Estimate of the difference. Each side may miss with half the chance, so both together with all of it."""
        before, after = self.before.interval(chance / 2), self.after.interval(chance / 2)
        return Estimate(after.value - before.value, after.low - before.high, after.high - before.low)


def interval_of_median(values: Sequence[float], chance: float) -> Estimate:
    """The median and its exact interval, between two order statistics.

    Assumes nothing of the noise but that values are independent: the median lies between the k-th least and the
    k-th greatest unless fewer than k of n fall to one side, which has a binomial probability (David & Nagaraja,
    Order Statistics, section 7.1).
    """
    k = order_statistic(len(values), chance)
    if k == 0:
        return Estimate(median(values), -math.inf, math.inf)
    ordered = sorted(values)
    return Estimate(median(ordered), ordered[k - 1], ordered[-k])


def interval_of_mean(medians: Sequence[float], chance: float) -> Estimate:
    """The mean of the processes' medians and Student's interval.

    Runs of one process share its memory layout and its hash seed, so only processes are independent of each other.
    They are few: their medians are taken to be normally distributed, which a median of several pairs nearly is.
    """
    from scipy.special import stdtrit  # here: SciPy is slow to import, and one process needs none

    n, mean = len(medians), fmean(medians)
    variance = math.fsum((value - mean) ** 2 for value in medians) / (n - 1)
    half = float(stdtrit(n - 1, 1 - chance / 2)) * math.sqrt(variance / n)
    return Estimate(mean, mean - half, mean + half)


@functools.cache
def order_statistic(n: int, chance: float = LEVEL) -> int:
    """The largest k for which [k-th least, k-th greatest] of n values misses the median with at most this chance."""
    k, missed = 0, 1  # missed: of 2 ** n outcomes, those with fewer than k + 1 values below the median
    allowed = Fraction(chance) * 2**n
    while 2 * missed <= allowed:
        k += 1
        missed += math.comb(n, k)
    return k


def fewest_pairs(chance: float) -> int:
    """The least even number of pairs, of at least 8, whose interval misses with at most this chance."""
    pairs = FEWEST_PAIRS
    while order_statistic(pairs, chance) == 0:
        pairs += 2
    return pairs


def pairs_by_look(row_count: int, looks: int) -> list[int]:
    """How many pairs each look adds: first as many as a word needs among so many rows, then as many again each time."""
    first = fewest_pairs(LEVEL / row_count / 2)
    return [first, *(first << look for look in range(looks - 1))]


def share_of_look(first: int, pairs: int) -> float:
    """The share of the look at so many pairs, where the first look is at `first` and each later one at twice as many.

    The first look may spend half of the chance to miss and each later one half of what is left, so however many
    looks there are, and whatever decides that one is the last, all of them together miss no more often than one may.
    """
    return first / (2 * pairs)


def is_clear(logs: Sequence[float], first: int, row_count: int, margin: float) -> bool:
    """Whether the log ratios of one process give a row its word, however many of the other rows have none yet."""
    sample = Sample([logs], share_of_look(first, len(logs)))
    return word(sample.interval(LEVEL / row_count), margin) != "unclear"


def word(interval: Estimate, margin: float) -> str:
    """faster, slower or same, if the whole interval says so, else unclear. The interval is of log ratios."""
    edge = math.log1p(margin)
    if interval.low > edge:
        return "faster"
    if interval.high < -edge:
        return "slower"
    if -edge <= interval.low and interval.high <= edge:
        return "same"
    return "unclear"


def words(samples: Mapping[Key, Sample | Change], margin: float, level: float = LEVEL) -> dict[Key, str]:
    """The word of each Sample or Change by its key; all of them are right except with a chance of `level`.

    Holm's method: each of n rows is judged at level / n; once some have a word, the others share the level among
    fewer. A word is wrong only if its interval misses. Rows are timed apart from each other, so they are independent
    and the method holds for words with a direction, too (Shaffer 1980, Annals of Statistics 8, 1342).
    """
    found: dict[Key, str] = {}
    left = dict(samples)
    while left:
        judged = {key: word(sample.interval(level / len(left)), margin) for key, sample in left.items()}
        clear = {key for key, given in judged.items() if given != "unclear"}
        if not clear:
            break
        found |= {key: judged[key] for key in clear}
        left = {key: sample for key, sample in left.items() if key not in clear}
    return {key: found.get(key, "unclear") for key in samples}


def exponential(estimate: Estimate) -> Estimate:
    """The Estimate of a ratio from that of its logarithm."""
    return Estimate(*(math.exp(log) if log < 700 else math.inf for log in estimate))
