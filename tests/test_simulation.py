"""Simulated tables: how often words are wrong and intervals miss, and that other ways to measure do worse."""

import math

import numpy as np
import pytest

from benchmarks.proof import noise, simulation, trust
from benchmarks.runs import statistics

TABLES = 120
MOST_FALSE = 6  # of 120 tables; with a chance of 1 % each, more would happen once in 1700 times


@pytest.fixture(scope="module")
def counts():
    """By judge, model and truth what 120 tables gave."""
    return {
        (judge, model, truth): trust.simulated(judge, model, truth, seed=0, tables=TABLES)
        for judge in trust.JUDGES
        for model in noise.MODELS
        for truth in trust.truths(judge)
    }


@pytest.mark.parametrize("judge", trust.JUDGES)
@pytest.mark.parametrize("model", noise.MODELS)
def test_identical_code_is_not_told_apart(judge, model, counts):
    assert counts[judge, model, 0.0]["wrong_tables"] <= MOST_FALSE


@pytest.mark.parametrize("judge", trust.JUDGES)
@pytest.mark.parametrize("model", noise.MODELS)
def test_intervals_hold_the_truth(judge, model, counts):
    for truth in trust.truths(judge):
        assert counts[judge, model, truth]["covered"] / (TABLES * simulation.TABLE_ROWS) >= 0.985


@pytest.mark.parametrize("judge", trust.JUDGES)
@pytest.mark.parametrize("model", noise.MODELS)
def test_what_lies_between_two_margins_has_no_wrong_word(judge, model, counts):
    assert counts[judge, model, math.log1p(trust.JUDGES[judge])]["wrong_tables"] <= MOST_FALSE


@pytest.mark.parametrize("judge", trust.JUDGES)
def test_large_differences_are_found_and_equal_rows_called_the_same(judge, monkeypatch):
    def quiet(random, shape):
        return random.normal(0, 0.002, shape)

    monkeypatch.setattr(simulation, "PROCESS_EFFECT", 0.001)
    for truth, word in ((0.2, "faster"), (-0.2, "slower"), (0.0, "same")):
        assert judge(quiet, truth, seed=0, tables=1) == [
            ([word] * simulation.TABLE_ROWS, False, pytest.approx(30, abs=2))
        ]


def test_what_does_not_fit_any_margin_has_no_word_but_intervals():
    def loud(random, shape):
        return random.normal(0, 1, shape)

    (outcome,) = simulation.by_pairs(loud, 0.0, seed=0, tables=1)
    assert (outcome.words, outcome.wrong) == ([], False)
    assert outcome.covered > 25


@pytest.mark.parametrize(
    ("truth", "margin", "right"),
    [
        (0.0, 0.01, {"same"}),
        (0.04, 0.03, {"faster"}),
        (0.04, 0.05, {"same"}),
        (-0.04, 0.03, {"slower"}),
        (math.log1p(0.03), 0.03, {"same"}),
    ],
)
def test_a_word_is_wrong_unless_it_is_that_of_the_truth(truth, margin, right):
    words = {"faster", "slower", "same", "unclear"}
    assert {word for word in words if not simulation.is_wrong(word, truth, margin)} == right | {"unclear"}


def test_rows_lend_each_other_their_variance(monkeypatch):
    def widths():
        given.clear()
        simulation.by_processes(noise.independent, 0.0, seed=0, tables=4)
        return sum(found.high - found.low for found in given)

    given, interval = [], statistics.Sample.interval
    monkeypatch.setattr(statistics.Sample, "interval", lambda *what: given.append(interval(*what)) or given[-1])
    lent = widths()
    monkeypatch.setattr(statistics, "prior_of", lambda samples: None)
    assert lent < 0.85 * widths()


def test_one_process_has_the_layout_that_it_has_and_several_have_both():
    shape = simulation.PROCESSES, 30, 100
    shifts = noise.of_processes(noise.layouts, np.random.default_rng(0), shape, spread=0.5)
    assert set(shifts.flat) == {-0.01, 0.01}
    assert abs(shifts.mean()) < 0.001
    assert not noise.of_processes(noise.drift, np.random.default_rng(0), shape, spread=0).any()


def test_one_block_after_the_other_raises_false_alarms():
    """As common tools do it: all runs of one side, then all of the other."""
    false = 0
    for seed in range(TABLES):
        (times,) = noise.drift(np.random.default_rng(seed), (1, 56))
        own, baseline = times[:28], times[28:]
        differences = [b - a for a, b in zip(own.tolist(), baseline.tolist(), strict=True)]
        false += statistics.word(statistics.Sample([differences]).interval(statistics.LEVEL), margin=0.01) != "unclear"
    assert false > TABLES / 4  # where one table in a hundred would do


def test_an_order_that_is_not_balanced_raises_false_alarms(monkeypatch):
    def one_place_slower(random, shape):
        return 10 * noise.second_slower(random, shape)

    monkeypatch.setattr(simulation.race, "balanced_order", lambda pairs, random: [True] * pairs)
    counts = trust.simulated(simulation.by_pairs, one_place_slower, 0.0, seed=0, tables=10)
    assert counts["judged"] == 0  # the A/A check sees it, too
    monkeypatch.setattr(statistics, "least_margin", lambda checks, processes: 0.02)
    counts = trust.simulated(simulation.by_pairs, one_place_slower, 0.0, seed=0, tables=10)
    assert counts["wrong_tables"] == 10


def test_models_make_noise_of_every_run():
    def runs_of(model):
        return model(np.random.default_rng(0), (3, 1000))

    for model in noise.MODELS:
        runs = runs_of(model)
        assert runs.shape == (3, 1000)
        assert (np.std(np.diff(runs), axis=1) > 0.005).all()
        assert np.std(np.diff(runs)) < 1
        assert not np.array_equal(runs[0], runs[1])
    assert 1400 < (runs_of(noise.two_humped) > 0.125).sum() < 1600
    assert np.median(runs_of(noise.second_slower)[:, 1::2]) == pytest.approx(0.02, abs=0.003)
    ramp = runs_of(noise.frequency_ramp)
    assert ramp[:, :20].mean() + 0.1 < ramp[:, -20:].mean()


def test_correlated_noise_is_as_it_was_fitted():
    """Half the squared difference of two runs some seconds apart, in tables that are long enough to show it."""
    runs = noise.correlated(np.random.default_rng(0), (200, 2000))
    for apart in (1, 10, 100):
        found = np.mean((runs[:, apart:] - runs[:, :-apart]) ** 2) / 2
        seconds = apart * noise.RUN_SECONDS
        assert found == pytest.approx(0.044**2 + 0.147**2 * (1 - math.exp(-seconds / 7.4)), rel=0.05)
    assert np.std(runs[:, 0]) == pytest.approx(math.hypot(0.044, 0.147), rel=0.15)  # from the first run on


def a_table(*log_ratios, aa_check=(0.0, 0.001) * 20):
    rows = [{"name": "a", "log_ratios": logs} for logs in log_ratios]
    return {"rows": rows, "aa_checks": [list(aa_check)], "conditions": []}


def test_rows_of_the_proof_are_judged_with_the_margin_of_their_own_table():
    off = [[-0.06] * 14] * 30
    assert trust.words_of_tables(a_table(*off)) == {"slower": 30}
    assert trust.words_of_tables(a_table(*off, aa_check=(0.0, 0.04) * 20)) == {"same": 30}
    assert trust.words_of_tables(a_table(*off, aa_check=(0.0, 0.5) * 20)) == {"no word": 30}
    first, second = a_table(*off), a_table(*off[:4], aa_check=(0.0, 0.04) * 20)
    both = {"rows": first["rows"] + second["rows"], "aa_checks": first["aa_checks"] + second["aa_checks"]}
    assert trust.words_of_tables(both) == {"slower": 30, "same": 4}


def test_a_planted_difference_is_found_whatever_counts_and_never_the_other_way():
    rows = a_table([-0.001] * 14, [0.001] * 14, [-0.1, 0.1] * 7, [-0.1] * 13 + [0.1], [-0.1] * 8)["rows"]
    assert trust.planted(rows) == {"found": 1, "wrong": 1, "unclear": 3}
