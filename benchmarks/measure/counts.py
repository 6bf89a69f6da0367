"""What a step of training consists of: torch operations, bytes allocated, calls made by Python.

Counted in a pass of its own, when its row has been timed: a profiler slows what it watches, and on a GPU also what
comes later, as it stays attached. Training on few batches is subtracted from training on more, so that what is done
once, before the loop and after it, does not count. Nor does what other processes do.
"""

import sys
from collections.abc import Callable
from types import FrameType
from typing import Any, NamedTuple

from torch.autograd import DeviceType
from torch.autograd.profiler_util import FunctionEvent
from torch.profiler import ProfilerActivity, profile

from benchmarks.measure.stopwatch import clock
from reference import equivalence
from reference.equivalence import Implementation
from reference.problem import Problem

FEW, MORE = 1, 9  # batches


class Counts(NamedTuple):
    """Per step.

    operations: calls into torch by the code and by backward, views among them; not those that an operation makes
    itself.  bytes: asked of torch's allocator, given back or not.  calls: of functions, in Python or called by it.
    """

    operations: float
    bytes: float
    calls: float


def counted(implementation: Implementation, problem: Problem) -> dict[str, float | None]:
    """What is saved of its counts; None where there is nothing to count, or where it raises: it is timed."""
    try:
        found, launched = counts(implementation, problem), kernels(implementation, problem)
    except (Exception, SystemExit):
        found, launched = None, None
    operations, size, calls = found or (None, None, None)
    return {
        "operations_per_step": operations,
        "bytes_per_step": size,
        "calls_per_step": calls,
        "kernels_per_epoch": launched,
    }


def counts(implementation: Implementation, problem: Problem) -> Counts | None:
    """The Counts of an implementation that has run before.

    None of one whose steps call nothing of torch, of one that does more for one batch than for nine, and of a problem
    with fewer than 9 full batches.
    """
    if len(problem.x) < MORE * problem.batch_size:
        return None
    few, more = (of_training(warmed_up(implementation, part), device(problem)) for part in few_and_more(problem))
    per_step = Counts(*((b - a) / (MORE - FEW) for a, b in zip(few, more, strict=True)))
    return per_step if per_step.operations > 0 and min(per_step) >= 0 else None


def few_and_more(problem: Problem) -> list[Problem]:
    """The problem's first batch and its first nine, one epoch of each."""
    return [problem.first_rows(n * problem.batch_size)._replace(epochs=1) for n in (FEW, MORE)]


def device(problem: Problem) -> str:
    """The device type of its tensors."""
    return problem.x.device.type


def of_training(train: Callable[[], object], device: str) -> tuple[int, int, int]:
    """Operations, bytes and calls of one whole training."""
    return *operations_and_bytes(train, device), calls(train)


def warmed_up(implementation: Implementation, problem: Problem) -> Callable[[], None]:
    """A function that trains, called once: what is compiled or built on first use does not count."""
    inputs = equivalence.prepared(implementation, problem)

    def train() -> None:
        implementation.train(*inputs, *problem[2:])

    train()
    return train


def kernels(implementation: Implementation, problem: Problem) -> float | None:
    """How many kernels, copies and fills an epoch runs on a GPU, also out of a graph; None but on CUDA.

    One batch, and what each of the next eight adds, tell it of all batches: watching a whole epoch takes seconds.
    """
    if device(problem) != "cuda":
        return None
    few, more = few_and_more(problem)
    once, found = (kernels_of(warmed_up(implementation, part)) for part in (few, more))
    per_step = (found - once) / max(more.steps - few.steps, 1)
    return once + per_step * (problem.steps / problem.epochs - few.steps)


def kernels_of(train: Callable[[], object]) -> int:
    """The higher of two counts of what a training runs on the GPU.

    CUDA's profiler, from 12.6 to 13.0, may miss the first after a pause.
    """
    return max(events_on_gpu(train) for _ in range(2))


def events_on_gpu(function: Callable[[], object]) -> int:
    """How many kernels, copies and fills a call runs on the GPU."""
    wait = clock("cuda")  # it is read only when the GPU is idle
    wait()
    with profile(activities=[ProfilerActivity.CUDA], acc_events=True) as profiled:
        function()
        wait()
    return sum(event.device_type() == DeviceType.CUDA for event in raw_events(profiled))


def operations_and_bytes(function: Callable[[], object], device: str) -> tuple[int, int]:
    """How many torch operations a call makes, and how many bytes they allocate on all devices.

    A GPU is watched only where the call uses it: on some machines watching one that rests leaves it unwatched later.
    """
    activities = [ProfilerActivity.CPU] + [ProfilerActivity.CUDA] * (device == "cuda")
    with profile(activities=activities, profile_memory=True, acc_events=True) as profiled:
        function()
    operations = sum(is_operation(event) and not is_inside_operation(event) for event in profiled.events())
    # The tables of the profiler show what is left of each operation's memory; its raw events, what was asked for.
    changes = [event.nbytes() for event in raw_events(profiled) if event.name() == "[memory]"]
    return operations, sum(change for change in changes if change > 0)


def raw_events(profiled: Any) -> list[Any]:
    """The events of a `profile` that has ended as the profiler notes them; torch declares no types for them."""
    return profiled.profiler.kineto_results.events()


def is_operation(event: FunctionEvent) -> bool:
    return event.name.startswith("aten::")


def is_inside_operation(event: FunctionEvent) -> bool:
    """Whether an operation of torch made this event: `linear`, for example, calls `addmm`."""
    above = event.cpu_parent
    while above is not None and not is_operation(above):
        above = above.cpu_parent
    return above is not None


def calls(function: Callable[[], object]) -> int:
    """How many functions a call calls, written in Python or in C, itself among them."""
    found = 0

    def note(_frame: FrameType, event: str, _argument: object) -> None:
        nonlocal found
        found += event in ("call", "c_call")

    before = sys.getprofile()
    sys.setprofile(note)
    try:
        function()
    finally:
        sys.setprofile(before)
    return found
