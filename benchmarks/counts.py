"""What a step of training consists of: torch operations, bytes allocated, calls made by Python.

Counted in a pass of its own, after all rows have been timed: a profiler slows what it watches, and on a GPU also what
comes later, as it stays attached. Training on few batches is subtracted from training on more, so that what is done
once, before the loop and after it, does not count. Nor does what other processes do.
"""

import sys
from typing import NamedTuple

import torch
from torch.autograd import DeviceType
from torch.profiler import ProfilerActivity, profile

from benchmarks.pairing import clock
from reference import equivalence

FEW, MORE = 1, 9  # batches


class Counts(NamedTuple):
    """Per step.

    operations: calls into torch by the code and by backward, views among them; not those that an operation makes
    itself.  bytes: asked of torch's allocator, given back or not.  calls: of functions, in Python or called by it.
    """

    operations: float
    bytes: float
    calls: float


def counted(trainer, problem):
    """What is saved of a trainer's counts; None where there is nothing to count, or where it raises: it is timed."""
    try:
        found = counts(trainer, problem) or (None, None, None), kernels(trainer, problem)
    except (Exception, SystemExit):
        found = (None, None, None), None
    (operations, size, calls), launched = found
    return {
        "operations_per_step": operations,
        "bytes_per_step": size,
        "calls_per_step": calls,
        "kernels_per_epoch": launched,
    }


def counts(trainer, problem):
    """The Counts of a trainer, a module with `train` and maybe `prepare`, that has run before.

    None of a trainer whose steps call nothing of torch, and of a problem with fewer than 9 full batches.
    """
    if len(problem.x) < MORE * problem.batch_size:
        return None
    few, more = (of_training(trainer, problem.first_rows(n * problem.batch_size)) for n in (FEW, MORE))
    per_step = Counts(*((b - a) / (MORE - FEW) / problem.epochs for a, b in zip(few, more, strict=True)))
    return per_step if per_step.operations > 0 else None


def of_training(trainer, problem):
    """Operations, bytes and calls of one whole training."""
    train = warmed_up(trainer, problem)
    return *operations_and_bytes(train), calls(train)


def warmed_up(trainer, problem):
    """A function that trains, called once: what is compiled or built on first use does not count."""
    inputs = equivalence.prepared(trainer, problem)

    def train():
        return trainer.train(*inputs, *problem[2:])

    train()
    return train


def kernels(trainer, problem):
    """How many kernels, copies and fills an epoch runs on a GPU, also out of a graph; None on a CPU.

    The higher of two counts: CUDA's profiler, from 12.6 to 13.0, may miss the first after a pause.
    """
    if problem.x.device.type == "cpu":
        return None
    train = warmed_up(trainer, problem)
    return max(events_on_gpu(train) for _ in range(2)) / problem.epochs


def events_on_gpu(function):
    """How many kernels, copies and fills a call runs on the GPU."""
    wait = clock("cuda")  # it is read only when the GPU is idle
    wait()
    with profile(activities=[ProfilerActivity.CUDA]) as profiled:
        function()
        wait()
    events = profiled.profiler.kineto_results.events()
    return sum(event.device_type() == DeviceType.CUDA for event in events)


def operations_and_bytes(function):
    """How many torch operations a call makes, and how many bytes they allocate on all devices."""
    activities = [ProfilerActivity.CPU] + [ProfilerActivity.CUDA] * torch.cuda.is_available()
    with profile(activities=activities, profile_memory=True) as profiled:
        function()
    operations = sum(is_operation(event) and not is_inside_operation(event) for event in profiled.events())
    # The tables of the profiler show what is left of each operation's memory; its raw events, what was asked for.
    changes = [event.nbytes() for event in profiled.profiler.kineto_results.events() if event.name() == "[memory]"]
    return operations, sum(change for change in changes if change > 0)


def is_operation(event):
    return event.name.startswith("aten::")


def is_inside_operation(event):
    """Whether an operation of torch made this event: `linear`, for example, calls `addmm`."""
    above = event.cpu_parent
    while above is not None and not is_operation(above):
        above = above.cpu_parent
    return above is not None


def calls(function):
    """How many functions a call calls, written in Python or in C, itself among them."""
    found = 0

    def note(_frame, event, _argument):
        nonlocal found
        found += event in ("call", "c_call")

    before = sys.getprofile()
    sys.setprofile(note)
    try:
        function()
    finally:
        sys.setprofile(before)
    return found
