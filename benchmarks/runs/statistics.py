"""From pairs of times to a ratio, its interval and a word. All the statistics of the suite are here.

Everything is in logarithms of ratios, so that swapping the two sides changes signs and nothing else.
"""

import functools
import math
from collections.abc import Iterable, Mapping, Sequence
from fractions import Fraction
from statistics import fmean, median
from typing import NamedTuple, TypeVar

LEVEL = 0.01  # how often an interval may miss, and how often a whole table may hold a wrong word
# The least that counts, less 1: the A/A check chooses one of these.
MARGINS = 0.01, 0.02, 0.03, 0.05, 0.10, 0.20, 0.50
OF_ONE_PROCESS = 0.05  # the least of these for a single process: where its memory lies may make 4.7 %
WIDEST_SAME = 0.10  # of these margins: what may differ by more is not called the same
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


class Prior(NamedTuple):
    """What all rows of a table say of the variance of the medians of a row's processes, before the row says anything.

    freedom: how many degrees of freedom that is worth: 0 nothing, as many as all other rows have where all are alike.
    """

    variance: float
    freedom: float


class Sample(NamedTuple):
    """What was measured of one row. processes: of each process a list of values, one a pair.

    How many pairs there are was settled by time, not by what they say. prior: what the table's rows lend to this one,
    if it has several processes; without it the row's own variance is all there is.
    """

    processes: Sequence[Sequence[float]]
    prior: Prior | None = None

    @property
    def medians(self) -> list[float]:
        """Of each process."""
        return [median(values) for values in self.processes]

    def interval(self, chance: float) -> Estimate:
        """The Estimate that misses the true median with this chance, two-sided; without bounds if too few values."""
        if len(self.processes) == 1:
            return interval_of_median(self.processes[0], chance)
        return interval_of_mean(self.medians, chance, self.prior)


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


def interval_of_mean(medians: Sequence[float], chance: float, prior: Prior | None = None) -> Estimate:
    """The mean of the processes' medians and Student's interval, with a moderated variance if there is a prior.

    Runs of one process share its memory layout and its hash seed, so only processes are independent of each other.
    They are few: their medians are taken to be normally distributed, which a median of several pairs nearly is. The
    moderated variance is the mean of the prior's and the row's own, each weighted with its degrees of freedom, and
    has the degrees of freedom of both (Smyth 2004, Stat. Appl. Genet. Mol. Biol. 3(1), article 3, section 3).
    """
    from scipy.special import stdtrit  # here: SciPy is slow to import, and one process needs none

    n, mean = len(medians), fmean(medians)
    lent, own = prior or Prior(0, 0), n - 1
    freedom = lent.freedom + own
    variance = (lent.freedom * lent.variance + own * variance_of(medians)) / freedom
    half = float(stdtrit(freedom, 1 - chance / 2)) * math.sqrt(variance / n)
    return Estimate(mean, mean - half, mean + half)


def variance_of(values: Sequence[float]) -> float:
    """The sample variance, without the fractions of the standard library's."""
    mean = fmean(values)
    return math.fsum((value - mean) ** 2 for value in values) / (len(values) - 1)


def prior_of(samples: Iterable[Sample]) -> Prior | None:
    """The Prior of rows, by their variances; None if fewer than two of them have one.

    The logarithm of a sample variance with d degrees of freedom scatters by trigamma(d / 2) around that of the true
    one, less log(d / 2) - digamma(d / 2). What the logarithms scatter more, the true variances do: so much that they
    are as if estimated with `freedom` degrees of freedom (Smyth 2004, section 6.2, as limma's fitFDist). If they
    scatter no more than chance has it all rows are alike and their mean is the variance. The other rows lend no
    more degrees of freedom than they have, by which limma's eBayes is bounded, too.
    """
    medians = [sample.medians for sample in samples if len(sample.processes) > 1]
    known = [(len(row) - 1, variance) for row in medians if (variance := variance_of(row)) > 0]
    if len(known) < 2:
        return None
    from scipy.special import digamma, polygamma

    halves = [freedom / 2 for freedom, _ in known]
    expected = [float(log) - math.log(half) for log, half in zip(digamma(halves), halves, strict=True)]
    logs = [math.log(variance) - log for (_, variance), log in zip(known, expected, strict=True)]
    scatter = variance_of(logs) - fmean(polygamma(1, halves))
    most = sum(freedom for freedom, _ in known) - max(freedom for freedom, _ in known)
    if scatter <= 0:
        return Prior(fmean(variance for _, variance in known), most)
    half = inverse_of_trigamma(scatter)
    return Prior(math.exp(fmean(logs) + digamma(half) - math.log(half)), min(2 * half, most))


def inverse_of_trigamma(value: float) -> float:
    """The number whose trigamma is this, by Newton's method on its reciprocal (Smyth 2004, appendix)."""
    from scipy.special import polygamma

    found, step = 0.5 + 1 / value, math.inf
    while abs(step) > 1e-8 * found:
        trigamma = polygamma(1, found)
        step = float(trigamma * (1 - trigamma / value) / polygamma(2, found))
        found += step
    return found


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


def word(interval: Estimate, margin: float) -> str:
    """faster, slower or same, if the whole interval says so, else unclear. The interval is of log ratios.

    By margins above WIDEST_SAME nothing is the same.
    """
    edge = math.log1p(margin)
    if interval.low > edge:
        return "faster"
    if interval.high < -edge:
        return "slower"
    return "same" if margin <= WIDEST_SAME and is_within(interval, margin) else "unclear"


def is_within(interval: Estimate, margin: float) -> bool:
    """Whether all of the interval, of log ratios, lies within the margin."""
    edge = math.log1p(margin)
    return -edge <= interval.low and interval.high <= edge


class Verdict(NamedTuple):
    """The word of a row, and the Estimate of its log ratio that it is judged by."""

    word: str
    interval: Estimate


def verdicts(samples: Mapping[Key, Sample | Change], margin: float, level: float = LEVEL) -> dict[Key, Verdict]:
    """The Verdict of each Sample or Change by its key; all words are right except with a chance of `level`.

    Holm's method: each of n rows is judged at level / n; once some have a word, the others share the level among
    fewer. A word is wrong only if its interval misses. Rows are timed apart from each other and taken as independent;
    then the method holds for words with a direction, too (Shaffer 1980, Annals of Statistics 8, 1342). They are so
    nearly: rows of several processes share a prior, which the proof simulates, and the states of the machine, which it
    does not.
    """
    found: dict[Key, Verdict] = {}
    left = dict(samples)
    while left:
        intervals = {key: sample.interval(level / len(left)) for key, sample in left.items()}
        judged = {key: Verdict(word(interval, margin), interval) for key, interval in intervals.items()}
        left = {key: sample for key, sample in left.items() if judged[key].word == "unclear"}
        found |= judged
        if len(left) == len(judged):
            break
    return {key: found[key] for key in samples}


def words(samples: Mapping[Key, Sample | Change], margin: float) -> dict[Key, str]:
    """The words of the verdicts."""
    return {key: verdict.word for key, verdict in verdicts(samples, margin).items()}


def least_margin(aa_checks: Iterable[Estimate], processes: int) -> float | None:
    """The least of MARGINS into which the interval of every A/A check fits twice; None if there is none.

    Once would do for what it has measured; the other half is for what other rows may have and it has not. The intervals
    are of log ratios. processes: in which they were measured. An interval of a single one knows nothing of others, so
    from one it is at least OF_ONE_PROCESS: in results/trust rows of identical code are up to 4.7 % apart.
    """
    bounds = [bound for check in aa_checks for bound in (-check.low, check.high)]
    least = max(2 * max(bounds, default=0), math.log1p(OF_ONE_PROCESS) if processes == 1 else 0)
    return next((margin for margin in MARGINS if least <= math.log1p(margin)), None)


def exponential(estimate: Estimate) -> Estimate:
    """The Estimate of a ratio from that of its logarithm."""
    return Estimate(*(math.exp(log) if log < 700 else math.inf for log in estimate))
