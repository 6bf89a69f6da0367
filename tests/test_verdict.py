"""Estimates and their intervals."""

import math
import random
from statistics import median

import pytest

from benchmarks import verdict


def test_the_ratio_is_the_median_over_the_pairs():
    own = [1.0, 2.0, 4.0, 1.0, 1.0, 3.0, 1.0, 1.0]
    ratio = verdict.ratio(own, [2 * seconds for seconds in own])
    assert ratio == pytest.approx((2, 2, 2))


def test_above_one_is_faster_than_the_baseline():
    assert verdict.ratio([1.0] * 8, [3.0] * 8).low == pytest.approx(3)


def test_swapping_the_sides_inverts_ratio_and_interval():
    generator = random.Random(0)
    own, baseline = ([generator.lognormvariate(0, 0.3) for _ in range(21)] for _ in range(2))
    ratio, inverse = verdict.ratio(own, baseline), verdict.ratio(baseline, own)
    assert (1 / inverse.median, 1 / inverse.high, 1 / inverse.low) == pytest.approx(ratio)


def test_with_eight_pairs_the_interval_is_the_whole_range():
    ratio = verdict.ratio([1.0] * 8, [1.0, 2, 3, 4, 5, 6, 7, 8])
    assert (ratio.low, ratio.high) == pytest.approx((1, 8))


def test_fewer_pairs_have_no_interval():
    with pytest.raises(ValueError, match="7 pairs: a 99% interval needs at least 8"):
        verdict.ratio([1.0] * 7, [1.0] * 7)


def coverage(pairs, k):
    """The probability that the median lies between the k-th least and the k-th greatest of independent pairs."""
    return 1 - 2 * sum(math.comb(pairs, below) for below in range(k)) / 2**pairs


@pytest.mark.parametrize("pairs", [8, 9, 10, 20, 51, 100, 200])
def test_the_interval_is_the_narrowest_that_holds_the_median_in_99_percent(pairs):
    k = verdict.order_statistic(pairs)
    assert coverage(pairs, k) >= 0.99 > coverage(pairs, k + 1)


def test_the_interval_holds_the_true_median_as_often_as_it_says():
    generator = random.Random(1)
    held = 0
    for _ in range(2000):
        own = [math.exp(generator.expovariate(1) - math.log(2)) for _ in range(20)]  # skewed; median of the log: 0
        ratio = verdict.ratio(own, [1.0] * 20)
        held += ratio.low <= 1 <= ratio.high
    expected = coverage(20, verdict.order_statistic(20))
    assert abs(held / 2000 - expected) < 4 * math.sqrt(expected * (1 - expected) / 2000)


def test_a_quotient_is_inverted_by_swapping():
    a, b = verdict.Estimate(2, 1.9, 2.2), verdict.Estimate(4, 3.8, 4.1)
    assert verdict.quotient(b, a) == pytest.approx((2, 3.8 / 2.2, 4.1 / 1.9))
    there, back = verdict.quotient(b, a), verdict.quotient(a, b)
    assert (1 / back.median, 1 / back.high, 1 / back.low) == pytest.approx(there)


def test_the_median_needs_no_float_luck():
    assert verdict.ratio([1.0] * 9, [2.0] * 9).median == pytest.approx(median([2.0] * 9))
