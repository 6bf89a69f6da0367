"""Estimates, their intervals, and words."""

import math
import random
from statistics import median

import pytest

from benchmarks.runs import statistics
from benchmarks.runs.statistics import Change, Estimate, Sample


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


def test_all_looks_together_spend_no_more_than_there_is():
    shares = [statistics.share_of_look(14, 14 << look) for look in range(20)]
    assert shares[:3] == [0.5, 0.25, 0.125]
    assert sum(shares) < 1


def test_a_later_look_has_a_wider_interval_of_the_same_pairs():
    values = [float(value) for value in range(56)]
    fixed, third = Sample([values]), Sample([values], statistics.share_of_look(14, 56))
    assert third.interval(0.01).low < fixed.interval(0.01).low


def peeking(looks, share):
    """How often a word that says there is a difference is found at any of these looks, where there is none."""
    generator = random.Random(2)
    false = 0
    for _ in range(1000):
        logs = [generator.gauss(0, 0.1) for _ in range(looks[-1])]
        samples = [Sample([logs[:count]], share(count)) for count in looks]
        false += any(statistics.word(sample.interval(0.1), 1e-9) in ("faster", "slower") for sample in samples)
    return false / 1000


def test_looking_often_does_not_add_up_to_more_false_words():
    looks = [16 << look for look in range(6)]
    assert peeking(looks, lambda count: statistics.share_of_look(16, count)) < 0.1
    assert peeking(looks, lambda count: 1) > 0.15  # that is what the shares are for


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


def test_a_word_is_clear_only_if_it_holds_among_all_rows():
    logs = [0.5] * 14
    assert statistics.is_clear(logs, first=14, row_count=30, margin=0.01)
    assert not statistics.is_clear(logs, first=14, row_count=3000, margin=0.01)
    assert not statistics.is_clear([0.5] * 13 + [0.0], first=14, row_count=30, margin=0.01)


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
