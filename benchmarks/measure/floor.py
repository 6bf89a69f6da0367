"""The floor: the least time in which this machine could train on a problem in dense float32.

However it is written, an epoch reads every pixel and takes part in two matrix products, the one for the logits and
the one for the gradient of the weights. On a GPU each step must also wait for the one before, wherever that ran. How
fast the machine reads, multiplies and hands over is measured beside the rows.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch

from benchmarks.measure import stopwatch
from reference.problem import Problem

MATRIX = {"cpu": 1024, "cuda": 4096, "mps": 4096, "xpu": 4096}  # rows and columns: enough for full speed
SECONDS = 0.5  # for each of the speeds
FLOAT_BYTES = 4
LONG_CALLS, SHORT_CALLS = 10, 1000  # in one CUDA graph: of what fills the GPU, of what is over at once


class Floor(NamedTuple):
    """bytes_per_second: of reading x.  flops_per_second: float32, a multiplication and an addition count as two.

    hand_off_seconds: from one kernel to the next that depends on it; None but on CUDA.  seconds: of the whole training.
    """

    bytes_per_second: float
    flops_per_second: float
    hand_off_seconds: float | None
    seconds: float


def floor(problem: Problem) -> Floor:
    """The Floor of a problem on the device where its tensors are, with torch's number of threads.

    An epoch reads 4 * rows * features bytes and takes 2 * rows * features * classes operations for each of the two
    products. The time of the slower of the two is the floor, as in the roofline model (Williams, Waterman &
    Patterson, 2009): both could overlap entirely, and all else could cost nothing. Steps cannot overlap: on a GPU each
    adds a hand-off, as it costs between two kernels of a CUDA graph. A row that stays within one block or cluster
    hands over in a shorter way; and an x that fits a cache is read faster than memory is.
    """
    device = problem.x.device.type
    matrix = torch.ones(MATRIX[device], MATRIX[device], device=device)
    product, number = torch.empty_like(matrix), torch.zeros((), device=device)
    bytes_per_second = FLOAT_BYTES * problem.x.numel() / seconds_of(problem.x.sum, device, LONG_CALLS)
    multiply = lambda: torch.mm(matrix, matrix, out=product)  # noqa: E731
    flops_per_second = 2 * len(matrix) ** 3 / seconds_of(multiply, device, LONG_CALLS)
    hand_off = seconds_of(lambda: number.add_(1), device, SHORT_CALLS) if device == "cuda" else None
    reading = FLOAT_BYTES * problem.x.numel() / bytes_per_second
    computing = 4 * problem.x.numel() * len(problem.bias) / flops_per_second
    seconds = problem.epochs * max(reading, computing) + problem.steps * (hand_off or 0)
    return Floor(bytes_per_second, flops_per_second, hand_off, seconds)


def seconds_of(function: Callable[[], object], device: str, calls: int) -> float:
    """The least time of a call; on CUDA one of so many in a graph, so that launching them does not count."""
    if device != "cuda":
        return best_seconds(function, device)
    function()  # libraries set themselves up on their first use, which a graph cannot hold
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        for _ in range(calls):
            function()
    return best_seconds(graph.replay, device) / calls


def best_seconds(function: Callable[[], object], device: str) -> float:
    """The least time of a call, of as many as half a second holds. The first finds threads asleep, later ones ready."""
    stopwatch.comes_to_rest(stopwatch.computing_threads)
    clock = stopwatch.clock(device)
    best, now = float("inf"), clock()
    end = now + SECONDS
    while now < end:
        before = now
        function()
        now = clock()
        best = min(best, now - before)
    return best
