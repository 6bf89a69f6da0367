"""From pairs of times to a ratio and its interval."""

import math
from statistics import median
from typing import NamedTuple

CONFIDENCE = 0.99
FEWEST_PAIRS = 8  # with 7 the widest interval there is, least to greatest, holds the median in 98.4 %


class Estimate(NamedTuple):
    """A median, and the interval that holds the true median."""

    median: float
    low: float
    high: float


def ratio(seconds, baseline_seconds):
    """How many times as fast as the baseline: the median of baseline / own over the pairs, and its 99 % interval.

    The interval runs between two order statistics and assumes nothing of the noise but that pairs are
    independent: the median lies between the k-th least and the k-th greatest value unless fewer than k of n
    fall to one side, which has a binomial probability (David & Nagaraja, Order Statistics, section 7.1).
    Raises ValueError with fewer than 8 pairs.
    """
    logs = sorted(math.log(theirs / own) for own, theirs in zip(seconds, baseline_seconds, strict=True))
    k = order_statistic(len(logs))
    return Estimate(*(math.exp(log) for log in (median(logs), logs[k - 1], logs[-k])))


def difference(seconds, baseline_seconds):
    """How many seconds more than the baseline: the median of own - baseline over the pairs, and its 99 % interval."""
    differences = sorted(own - theirs for own, theirs in zip(seconds, baseline_seconds, strict=True))
    k = order_statistic(len(differences))
    return Estimate(median(differences), differences[k - 1], differences[-k])


def order_statistic(pairs):
    """The largest k for which [k-th least, k-th greatest] of `pairs` values holds the median in 99 %."""
    k, missed = 0, 1  # missed: of 2 ** pairs outcomes, those with fewer than k + 1 values below the median
    while 2 * missed <= (1 - CONFIDENCE) * 2**pairs:
        k += 1
        missed += math.comb(pairs, k)
    if k == 0:
        raise ValueError(f"{pairs} pairs: a {CONFIDENCE:.0%} interval needs at least {FEWEST_PAIRS}")
    return k


def quotient(a, b):
    """a / b of two independent Estimates. If each interval holds its median in 99 %, this one does in at least 98 %."""
    return Estimate(a.median / b.median, a.low / b.high, a.high / b.low)
