"""Simulated tables: how often words are wrong and intervals miss, and that other ways to measure do worse."""

import math
from statistics import median

import numpy as np
import pytest

from benchmarks.proof import noise, simulation, trust
from benchmarks.runs import statistics

TABLES = 120
MOST_FALSE = 6  # of 120 tables; with a chance of 1 % each, more would happen once in 1700 times
JUDGES = list(trust.TABLES)


@pytest.fixture(scope="module")
def counts():
    """By judge, model and truth what 120 tables gave."""
    return {
        (judge, model, truth): trust.simulated(judge, model, truth, range(TABLES))
        for judge in JUDGES
        for model in noise.MODELS
        for truth in trust.TRUTHS
    }


@pytest.mark.parametrize("judge", JUDGES)
@pytest.mark.parametrize("model", noise.MODELS)
def test_identical_code_is_not_told_apart(judge, model, counts):
    assert counts[judge, model, 0.0]["wrong_tables"] <= MOST_FALSE


@pytest.mark.parametrize("judge", JUDGES)
@pytest.mark.parametrize("model", noise.MODELS)
def test_intervals_hold_the_truth(judge, model, counts):
    for truth in trust.TRUTHS:
        assert counts[judge, model, truth]["covered"] / (TABLES * simulation.TABLE_ROWS) >= 0.985


@pytest.mark.parametrize("judge", JUDGES)
@pytest.mark.parametrize("model", noise.MODELS)
def test_three_percent_are_not_called_the_same(judge, model, counts):
    assert counts[judge, model, math.log(1.03)].get("same", 0) <= 0.01 * TABLES * simulation.TABLE_ROWS


def test_large_differences_are_found_and_equal_rows_called_the_same():
    def quiet(random, runs):
        return random.normal(0, 0.002, runs)

    assert simulation.table(quiet, math.log(1.2), seed=0).words == ["faster"] * simulation.TABLE_ROWS
    assert simulation.table(quiet, -math.log(1.2), seed=0).words == ["slower"] * simulation.TABLE_ROWS
    assert simulation.table(quiet, 0.0, seed=0).words == ["same"] * simulation.TABLE_ROWS


def test_one_block_after_the_other_raises_false_alarms():
    """As common tools do it: all runs of one side, then all of the other."""
    false = 0
    for seed in range(TABLES):
        times = noise.drift(np.random.default_rng(seed), 56)
        own, baseline = times[:28], times[28:]
        differences = [b - a for a, b in zip(own.tolist(), baseline.tolist(), strict=True)]
        false += (
            statistics.word(statistics.Sample([differences]).interval(statistics.LEVEL), statistics.MARGIN) != "unclear"
        )
    assert false > TABLES / 4  # where one table in a hundred would do


def test_an_order_that_is_not_balanced_raises_false_alarms(monkeypatch):
    monkeypatch.setattr(simulation.race, "balanced_order", lambda pairs, random: [True] * pairs)
    counts = trust.simulated(simulation.table, noise.second_slower, 0.0, range(10))
    assert counts["wrong_tables"] == 10


def test_models_make_noise_of_every_run():
    for model in noise.MODELS:
        runs = model(np.random.default_rng(0), 1000)
        assert runs.shape == (1000,)
        assert 0.005 < np.std(np.diff(runs)) < 1
    humps = noise.two_humped(np.random.default_rng(0), 1000)
    assert 400 < sum(humps > 0.125) < 600
    assert median(noise.second_slower(np.random.default_rng(0), 1000)[1::2]) == pytest.approx(0.02, abs=0.003)
    ramp = noise.frequency_ramp(np.random.default_rng(0), 1000)
    assert ramp[:20].mean() + 0.1 < ramp[-20:].mean()


def test_a_row_of_the_proof_is_wrong_if_its_word_is():
    rows = [{"name": "a", "first_look": 14, "log_ratios": [-0.1] * 14} for _ in range(30)]
    assert trust.false_verdicts(rows)[0] == 30
    assert trust.planted(rows) == {"slower": 30}
    assert trust.false_verdicts([row | {"log_ratios": [-0.1, 0.1] * 7} for row in rows])[0] == 0
