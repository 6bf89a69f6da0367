"""Models of what a machine adds to the logarithm of every run's time, for simulations.

A model is a function (random, runs) of a NumPy generator and the number of runs of a whole table, in the order in
which they happen; it returns an array (runs,). Runs 2 i and 2 i + 1 are the first and the second of pair i.
"""

from collections.abc import Callable

import numpy as np
from numpy.random import Generator

Model = Callable[[Generator, int], np.ndarray]


def independent(random: Generator, runs: int) -> np.ndarray:
    """Every run for itself: 5 %."""
    return random.normal(0, 0.05, runs)


def heavy_tailed(random: Generator, runs: int) -> np.ndarray:
    """Every run for itself, some of them far off: Student's t with 2 degrees of freedom."""
    return random.standard_t(2, runs) * 0.02


def drift(random: Generator, runs: int) -> np.ndarray:
    """A random walk, 1 % a run, and 2 % for every run itself."""
    return np.cumsum(random.normal(0, 0.01, runs)) + random.normal(0, 0.02, runs)


def steps(random: Generator, runs: int) -> np.ndarray:
    """Every fifty runs or so the machine gets another speed, 15 % off, and keeps it; 2 % for every run itself."""
    jumps = random.random(runs) < 1 / 50
    return (random.normal(0, 0.15, runs)[np.cumsum(jumps)]) + random.normal(0, 0.02, runs)


def bursts(random: Generator, runs: int) -> np.ndarray:
    """Now and then something else runs for about five runs and slows them down by half; 2 % for every run itself."""
    starts = random.random(runs) < 0.02
    lengths = random.geometric(0.2, runs)
    ends = np.where(starts, np.arange(runs) + lengths, 0)
    busy = np.arange(runs) < np.maximum.accumulate(ends)
    return busy * random.exponential(0.5, runs) + random.normal(0, 0.02, runs)


def two_humped(random: Generator, runs: int) -> np.ndarray:
    """Every run is fast or, as often, a quarter slower; 1 % beside that."""
    return 0.25 * random.integers(0, 2, runs) + random.normal(0, 0.01, runs)


def second_slower(random: Generator, runs: int) -> np.ndarray:
    """The second of a pair takes 2 % longer; 1 % for every run itself."""
    return 0.02 * (np.arange(runs) % 2) + random.normal(0, 0.01, runs)


def frequency_ramp(random: Generator, runs: int) -> np.ndarray:
    """The machine gets warm and loses 20 % of its frequency, most of it early; 2 % for every run itself."""
    return 0.2 * (1 - np.exp(-5 * np.arange(runs) / runs)) + random.normal(0, 0.02, runs)


MODELS: tuple[Model, ...] = (independent, heavy_tailed, drift, steps, bursts, two_humped, second_slower, frequency_ramp)
