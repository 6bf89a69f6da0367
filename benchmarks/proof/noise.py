"""Models of what a machine adds to the logarithm of every run's time, for simulations.

A model is a function (random, shape) of a NumPy generator and a shape (tables, runs), the runs of a whole table in the
order in which they happen; it returns an array of it. Runs 2 i and 2 i + 1 are the first and the second of pair i.
"""

from collections.abc import Callable

import numpy as np
from numpy.random import Generator

Shape = tuple[int, int]
Model = Callable[[Generator, Shape], np.ndarray]
LAYOUT_EFFECT = 0.01
RUN_SECONDS, MEMORY_SECONDS = 0.33, 7.4  # of `correlated`


def independent(random: Generator, shape: Shape) -> np.ndarray:
    """Every run for itself: 5 %."""
    return random.normal(0, 0.05, shape)


def heavy_tailed(random: Generator, shape: Shape) -> np.ndarray:
    """Every run for itself, some of them far off: Student's t with 2 degrees of freedom."""
    return random.standard_t(2, shape) * 0.02


def drift(random: Generator, shape: Shape) -> np.ndarray:
    """A random walk, 1 % a run, and 2 % for every run itself."""
    return np.cumsum(random.normal(0, 0.01, shape), axis=1) + random.normal(0, 0.02, shape)


def steps(random: Generator, shape: Shape) -> np.ndarray:
    """Every fifty runs or so the machine gets another speed, 15 % off, and keeps it; 2 % for every run itself."""
    jumps = random.random(shape) < 1 / 50
    jumps[:, 0] = False
    speeds = np.take_along_axis(random.normal(0, 0.15, shape), np.cumsum(jumps, axis=1), axis=1)
    return speeds + random.normal(0, 0.02, shape)


def bursts(random: Generator, shape: Shape) -> np.ndarray:
    """Now and then something else runs for about five runs and slows them down by half; 2 % for every run itself."""
    starts, number = random.random(shape) < 0.02, np.arange(shape[1])
    ends = np.where(starts, number + random.geometric(0.2, shape), 0)
    busy = number < np.maximum.accumulate(ends, axis=1)
    return busy * random.exponential(0.5, shape) + random.normal(0, 0.02, shape)


def two_humped(random: Generator, shape: Shape) -> np.ndarray:
    """Every run is fast or, as often, a quarter slower; 1 % beside that."""
    return 0.25 * random.integers(0, 2, shape) + random.normal(0, 0.01, shape)


def second_slower(random: Generator, shape: Shape) -> np.ndarray:
    """The second of a pair takes 2 % longer; 1 % for every run itself."""
    return 0.02 * (np.arange(shape[1]) % 2) + random.normal(0, 0.01, shape)


def frequency_ramp(random: Generator, shape: Shape) -> np.ndarray:
    """The machine gets warm and loses 20 % of its frequency, most of it early; 2 % for every run itself."""
    return 0.2 * (1 - np.exp(-5 * np.arange(shape[1]) / shape[1])) + random.normal(0, 0.02, shape)


def correlated(random: Generator, shape: Shape) -> np.ndarray:
    """Slow for seconds, then fast: a first-order autoregression of 15 %, and 4.4 % for every run itself.

    Fitted to results/cpu.json as of commit 6a9aed9: 33 rows, 20 pairs each in 5 processes, and the A/A check's 360.
    Half the squared difference of the log seconds of two runs of one side in one process grows with the time between
    their `start_seconds`: medians over 15 classes of it follow 0.044^2 + 0.147^2 (1 - exp(-t / 7.4 s)) within 20 %. A
    run took 0.33 s there. The log ratios of pairs do not depend on the time between them: pairs cancel this noise.
    """
    from scipy.signal import lfilter

    kept = np.exp(-RUN_SECONDS / MEMORY_SECONDS)
    new = random.normal(0, 0.147, shape)
    new[:, 1:] *= np.sqrt(1 - kept**2)
    return lfilter([1], [1, -kept], new, axis=1) + random.normal(0, 0.044, shape)


def layouts(random: Generator, shape: Shape) -> np.ndarray:
    """1 % for every run itself. What makes this a kind of its own is `of_processes`."""
    return random.normal(0, 0.01, shape)


def of_processes(model: Model, random: Generator, shape: tuple[int, ...], spread: float) -> np.ndarray:
    """What each process adds to the log ratio of a row for as long as it lives.

    Of `layouts` one of two layouts of memory, as often the one as the other, which shift it by 1 % up or down; of any
    other model something normally distributed with this spread.
    """
    if model is layouts:
        return random.choice((-LAYOUT_EFFECT, LAYOUT_EFFECT), shape)
    return random.normal(0, spread, shape)


MODELS: tuple[Model, ...] = (
    *(independent, heavy_tailed, drift, steps, bursts, two_humped, second_slower, frequency_ramp),
    *(correlated, layouts),
)
