"""The floor: the least time in which this machine could train on a problem in dense float32.

Whatever the writing, an epoch reads every pixel and takes part in two matrix products, the one for the logits and
the one for the gradient of the weights. How fast the machine reads and multiplies is measured beside the rows.
"""

from typing import NamedTuple

import torch

from benchmarks import pairing

MATRIX = {"cpu": 1024, "cuda": 4096}  # rows and columns: large enough for full speed, small enough for a moment
SECONDS = 0.5  # for each of the two speeds
FLOAT_BYTES = 4


class Floor(NamedTuple):
    """bytes_per_second: of reading x.  flops_per_second: float32, a multiplication and an addition count as two.

    seconds: of the whole training.
    """

    bytes_per_second: float
    flops_per_second: float
    seconds: float


def floor(problem):
    """The Floor of a problem on the device where its tensors are, with torch's number of threads.

    An epoch reads 4 * rows * features bytes and takes 2 * rows * features * classes operations for each of the two
    products. The time of the slower of the two is the floor, as in the roofline model (Williams, Waterman &
    Patterson, 2009): both could overlap entirely, and all else could cost nothing.
    """
    device = problem.x.device.type
    matrix = torch.ones(MATRIX[device], MATRIX[device], device=device)
    product = torch.empty_like(matrix)
    bytes_per_second = FLOAT_BYTES * problem.x.numel() / best_seconds(problem.x.sum, device)
    flops_per_second = 2 * len(matrix) ** 3 / best_seconds(lambda: torch.mm(matrix, matrix, out=product), device)
    reading = FLOAT_BYTES * problem.x.numel() / bytes_per_second
    computing = 4 * problem.x.numel() * len(problem.bias) / flops_per_second
    return Floor(bytes_per_second, flops_per_second, problem.epochs * max(reading, computing))


def best_seconds(function, device):
    """The least time of a call, of as many as half a second holds. The first finds threads asleep, later ones ready."""
    pairing.wait_for_idle_threads()
    clock = pairing.clock(device)
    best, now = float("inf"), clock()
    end = now + SECONDS
    while now < end:
        start = now
        function()
        now = clock()
        best = min(best, now - start)
    return best
