"""Estimates, their intervals, and words."""

import math
import random
from statistics import median

import numpy as np
import pytest
from scipy.special import digamma, polygamma, stdtrit

from benchmarks.runs import statistics
from benchmarks.runs.statistics import Change, Estimate, Prior, Sample


def interval(values, chance=0.01):
    return Sample([values]).interval(chance)


def test_with_eight_pairs_the_interval_is_the_whole_range():
    assert interval([1.0, 2, 3, 4, 5, 6, 7, 8]) == (4.5, 1, 8)


def test_fewer_pairs_have_no_interval():
    assert interval([1.0] * 7) == (1, -math.inf, math.inf)


def coverage(pairs, k):
    """The probability that the median lies between the k-th least and the k-th greatest of independent pairs."""
    return 1 - 2 * sum(math.comb(pairs, below) for below in range(k)) / 2**pairs


@pytest.mark.parametrize("chance", [0.05, 0.01, 0.01 / 33])
@pytest.mark.parametrize("pairs", [16, 20, 51, 100, 200])
def test_the_interval_is_the_narrowest_that_misses_the_median_as_rarely_as_asked(pairs, chance):
    k = statistics.order_statistic(pairs, chance)
    assert coverage(pairs, k) >= 1 - chance > coverage(pairs, k + 1)


def test_thousands_of_pairs_have_an_interval():
    assert 1400 < statistics.order_statistic(3000) < 1500


@pytest.mark.parametrize(("chance", "pairs"), [(0.01, 8), (0.005, 10), (0.01 / 30 / 2, 14), (1e-6, 22)])
def test_the_fewest_pairs_that_can_give_an_interval(chance, pairs):
    assert statistics.fewest_pairs(chance) == pairs
    assert statistics.order_statistic(pairs, chance) >= 1
    assert pairs == statistics.FEWEST_PAIRS or statistics.order_statistic(pairs - 2, chance) == 0


def test_the_interval_holds_the_true_median_as_often_as_it_says():
    generator = random.Random(1)
    held = 0
    for _ in range(2000):
        found = interval([generator.expovariate(1) - math.log(2) for _ in range(20)])  # skewed; its median is 0
        held += found.low <= 0 <= found.high
    expected = coverage(20, statistics.order_statistic(20))
    assert abs(held / 2000 - expected) < 4 * math.sqrt(expected * (1 - expected) / 2000)


# --- processes ----------------------------------------------------------------------------------------------


def test_processes_are_judged_by_their_medians():
    processes = [[center - 1, center, center + 100] for center in (1.0, 2, 3, 4, 5)]
    half = 4.604095 * math.sqrt(2.5) / math.sqrt(5)  # Student's t of 4 degrees of freedom at 99.5 %, from a table
    assert Sample(processes).interval(0.01) == pytest.approx((3, 3 - half, 3 + half))


def test_many_pairs_in_few_processes_do_not_make_them_sure():
    processes = [[center] * 1000 for center in (0.0, 0.1, 0.2)]
    together = [value for process in processes for value in process]
    assert Sample(processes).interval(0.01).low < -0.1 < interval(together).low


def test_the_interval_of_processes_holds_the_truth_as_often_as_it_says():
    generator = random.Random(3)
    held = 0
    for _ in range(2000):
        effects = [generator.gauss(0, 0.02) for _ in range(5)]
        found = Sample([[effect + generator.gauss(0, 0.02) for _ in range(7)] for effect in effects]).interval(0.01)
        held += found.low <= 0 <= found.high
    assert abs(held / 2000 - 0.99) < 4 * math.sqrt(0.99 * 0.01 / 2000)


# --- rows lend each other their variance --------------------------------------------------------------------


def row_of(generator, scale, processes=8):
    """A row whose medians have this standard deviation around 0, one pair a process."""
    return Sample([[generator.gauss(0, scale)] for _ in range(processes)])


def width(estimate):
    return estimate.high - estimate.low


def test_a_prior_that_is_worth_nothing_changes_nothing():
    sample = row_of(random.Random(4), 0.02)
    assert sample._replace(prior=Prior(1.0, 0.0)).interval(0.01) == sample.interval(0.01)


def test_a_moderated_interval_weighs_both_variances_by_their_degrees_of_freedom():
    processes = [[center] for center in (1.0, 2, 3, 4, 5)]  # variance 2.5
    half = 3.355387 * math.sqrt((4 * 0.5 + 4 * 2.5) / 8 / 5)  # Student's t of 8 degrees at 99.5 %, from a table
    assert Sample(processes, Prior(0.5, 4.0)).interval(0.01) == pytest.approx((3, 3 - half, 3 + half))


def test_the_prior_of_two_rows_is_that_of_the_formulas():
    """By hand: digamma(1) = -g and trigamma(1) = pi^2 / 6 for the rows' three processes, and of the result's half.

    The rows' variances are 1 and e^4, so their logarithms scatter by 8; trigamma(d0 / 2) = 8 - pi^2 / 6 has its
    solution at 0.4253.
    """
    rows = [Sample([[-scale], [0.0], [scale]]) for scale in (1, math.exp(2))]
    half = statistics.inverse_of_trigamma(8 - math.pi**2 / 6)
    assert float(polygamma(1, half)) == pytest.approx(8 - math.pi**2 / 6)
    found = statistics.prior_of(rows)
    assert found.freedom == pytest.approx(2 * half)
    assert math.log(found.variance) == pytest.approx(2 + np.euler_gamma + float(digamma(half)) - math.log(half))


def test_the_prior_is_that_of_limma():
    """What limma's squeezeVar gives for variances of 0.5, 1.3 and 7.8 with 3 degrees of freedom."""
    unit = (-1, 0, 0, 1)  # variance 2 / 3
    rows = [Sample([[math.sqrt(variance * 1.5) * value] for value in unit]) for variance in (0.5, 1.3, 7.8)]
    found = statistics.prior_of(rows)
    assert found == pytest.approx((1.676927, 2.830777), abs=1e-6)
    half = float(stdtrit(5.830777, 0.995)) * math.sqrt((2.830777 * 1.676927 + 3 * 7.8) / 5.830777 / 4)
    assert rows[2]._replace(prior=found).interval(0.01) == pytest.approx((0, -half, half), abs=1e-6)


@pytest.mark.parametrize("value", [1e-9, 1e-3, 0.1, 1, 1.6449, 10, 1e6])
def test_trigamma_is_inverted(value):
    assert float(polygamma(1, statistics.inverse_of_trigamma(value))) == pytest.approx(value)


def test_a_prior_is_what_variances_were_drawn_from():
    """Variances drawn as Smyth's model has them: d0 s0^2 over a chi-square with d0 degrees of freedom."""
    generator = random.Random(5)
    scales = [math.sqrt(6 * 0.02**2 / generator.gammavariate(6 / 2, 2)) for _ in range(3000)]
    found = statistics.prior_of(row_of(generator, scale) for scale in scales)
    assert found.freedom == pytest.approx(6, rel=0.1)
    assert math.sqrt(found.variance) == pytest.approx(0.02, rel=0.03)


def test_rows_that_are_alike_lend_all_degrees_of_freedom_that_the_others_have():
    rows = [Sample([[-1.0], [0.0], [1.0]])] * 30
    assert statistics.prior_of(rows) == pytest.approx((1, 2 * 29))
    assert statistics.prior_of(rows[:1]) is None
    assert statistics.prior_of([Sample([[1.0, 2.0]])] * 30) is None
    assert statistics.prior_of([Sample([[1.0], [1.0]])] * 30) is None  # a clock that never moved


def test_rows_that_share_their_noise_have_narrower_intervals():
    """At the level of the first of 33 rows Student's quantile is 5.9 with 8 processes, the normal one 3.6."""
    generator = random.Random(6)
    rows = [row_of(generator, 0.02) for _ in range(33)]
    prior = statistics.prior_of(rows)
    alone = [width(row.interval(0.01 / 33)) for row in rows]
    lent = [width(row._replace(prior=prior).interval(0.01 / 33)) for row in rows]
    assert 0.55 < median(lent) / median(alone) < 0.75
    assert max(lent) < max(alone)


@pytest.mark.parametrize("spread", [0.0, 0.5, 1.0])
def test_moderated_intervals_hold_the_truth_as_often_as_they_say(spread):
    """Rows with the same noise, and rows whose noise differs by factors of e^0.5 and e^1 either way, often more."""
    generator = random.Random(7)
    held = 0
    for _ in range(100):
        rows = [row_of(generator, 0.02 * math.exp(generator.gauss(0, spread))) for _ in range(30)]
        prior = statistics.prior_of(rows)
        found = [row._replace(prior=prior).interval(0.01) for row in rows]
        held += sum(estimate.low <= 0 <= estimate.high for estimate in found)
    assert abs(held / 3000 - 0.99) < 4 * math.sqrt(0.99 * 0.01 / 3000)


# --- words --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("low", "high", "word"),
    [
        (0.0101, 0.5, "faster"),
        (0.0099, 0.5, "unclear"),
        (-0.5, -0.0101, "slower"),
        (-0.5, -0.0099, "unclear"),
        (-0.0099, 0.0099, "same"),
        (-0.0099, 0.0101, "unclear"),
        (0.001, 0.009, "same"),
        (-math.inf, math.inf, "unclear"),
    ],
)
def test_words(low, high, word):
    ratios = Estimate(0, math.log1p(low) if low > 0 else -math.log1p(-low), math.copysign(math.log1p(abs(high)), high))
    assert statistics.word(ratios, margin=0.01) == word


class ClearFrom:
    """A row that is faster, which its interval shows from this chance to miss on."""

    def __init__(self, chance):
        self.chance = chance

    def interval(self, chance):
        return Estimate(1.0, 0.9 if chance >= self.chance else -0.9, 1.1)


def test_a_row_shares_the_level_with_all_others_that_have_no_word():
    assert statistics.words({"a": ClearFrom(0.01)}, 0.01) == {"a": "faster"}
    assert statistics.words({"a": ClearFrom(0.01), "b": ClearFrom(1)}, 0.01) == dict.fromkeys("ab", "unclear")


def test_rows_that_have_a_word_leave_their_share_to_the_others():
    rows = {"a": ClearFrom(0.01), "b": ClearFrom(0.005), "c": ClearFrom(0.0033)}
    assert statistics.words(rows, 0.01) == dict.fromkeys("abc", "faster")


def test_a_verdict_has_the_interval_at_the_step_of_its_word_or_at_the_last():
    samples = {
        name: Sample([sorted([value] * 12 + [value - 0.1] * 2)]) for name, value in zip("ab", (0.5, 0.05), strict=True)
    }
    wide = samples["a"].interval(statistics.LEVEL / 2)
    found = statistics.verdicts(samples, 0.01)
    assert found == {"a": ("faster", wide), "b": ("unclear", samples["b"].interval(statistics.LEVEL))}
    assert statistics.words(samples, 0.01) == {"a": "faster", "b": "unclear"}


# --- the margin ---------------------------------------------------------------------------------------------


def symmetric(percent):
    """The interval of a ratio that may be so much above or below 1."""
    return Estimate(0, -math.log1p(percent / 100), math.log1p(percent / 100))


@pytest.mark.parametrize(
    ("percent", "margin"),
    [(0, 0.01), (0.49, 0.01), (0.51, 0.02), (1.4, 0.03), (1.6, 0.05), (4.8, 0.1), (5, 0.2), (22, 0.5), (23, None)],
)
def test_the_margin_is_the_least_that_holds_the_aa_check_twice(percent, margin):
    assert statistics.least_margin([symmetric(percent)], processes=8) == margin
    assert statistics.least_margin([symmetric(percent)], processes=1) == (margin and max(margin, 0.05))


def test_the_margin_holds_exactly_half_of_it_and_no_more():
    half = math.log1p(0.03) / 2
    assert statistics.least_margin([Estimate(0, -half, half)], 8) == 0.03
    assert statistics.least_margin([Estimate(0, -half, math.nextafter(half, 1))], 8) == 0.05
    assert statistics.least_margin([Estimate(0, math.nextafter(-half, -1), half)], 8) == 0.05


def test_an_aa_check_that_is_off_needs_a_margin_for_that_too():
    assert statistics.least_margin([Estimate(0.02, 0.019, 0.021)], 8) == 0.05


def test_the_margin_is_for_every_device():
    assert statistics.least_margin([symmetric(0.2), symmetric(2)], 8) == 0.05
    assert statistics.least_margin([symmetric(0.2), symmetric(50)], 8) is None
    assert statistics.least_margin([], 8) == 0.01


# --- changes ------------------------------------------------------------------------------------------------


def test_swapping_the_runs_inverts_a_change_exactly():
    generator = random.Random(0)
    a, b = (Sample([[generator.gauss(0, 0.3) for _ in range(21)]]) for _ in range(2))
    there, back = Change(a, b).interval(0.02), Change(b, a).interval(0.02)
    assert (-back.value, -back.high, -back.low) == there


def test_a_change_misses_only_if_one_side_does():
    a, b = Sample([[0.0] * 7 + [1.0]]), Sample([[2.0] * 7 + [4.0]])
    assert Change(a, b).interval(0.02) == (2, 1, 4)
    assert Change(a, b).interval(0.01).low == -math.inf  # eight pairs miss in 0.8 %, not in 0.5 %


def test_a_ratio_that_no_float_holds_is_infinite():
    assert statistics.exponential(Estimate(0, -1e6, 1e6)) == (1, 0, math.inf)


def test_the_value_is_the_median():
    values = [3.0, 1, 2, 9, 5, 4, 7, 8, 6]
    assert interval(values).value == median(values)
