"""What is counted of a step: operations, bytes, calls."""

import sys
from contextlib import contextmanager
from types import SimpleNamespace

import pytest
import torch
from torch.autograd import DeviceType
from torch.profiler import ProfilerActivity

import implementations
from benchmarks.measure import counts
from reference import torch_nn
from reference.problem import Problem, initial_parameters

CPU, CUDA = DeviceType.CPU, DeviceType.CUDA


def problem(rows=9 * 8, features=5, batch_size=8, epochs=1):
    generator = torch.Generator().manual_seed(0)
    x, y = torch.rand(rows, features, generator=generator), torch.randint(10, (rows,), generator=generator)
    return Problem(x, y, *initial_parameters(features, 10), batch_size=batch_size, epochs=epochs)


def trainer(step, once=lambda: None):
    """A module whose training calls `once`, and `step` with each batch."""

    def train(x, y, weight, bias, batch_size, lr, epochs):
        once()
        for _ in range(epochs):
            for start in range(0, len(x), batch_size):
                step(x, start, batch_size)
        return weight, bias

    return SimpleNamespace(train=train)


@pytest.mark.parametrize("epochs", [1, 3])
def test_a_step_is_counted_and_what_surrounds_the_loop_is_not(epochs):
    def step(x, start, batch_size):
        x[start : start + batch_size].exp().neg_()  # a view, a new tensor given back at once, a change in place

    found = counts.counts(trainer(step, once=lambda: torch.zeros(1000).exp()), problem(epochs=epochs))
    assert found.operations == 3
    assert found.bytes == 8 * 5 * 4  # the new tensor's
    assert found.calls == 3  # step, exp and neg_: an operator is no call


def test_an_operation_inside_another_is_not_counted():
    weight, bias = torch.zeros(10, 5), torch.zeros(10)
    step = lambda x, *_: torch.nn.functional.linear(x[:8], weight, bias)  # noqa: E731
    assert counts.counts(trainer(step), problem()).operations == 2  # the slice and linear, not addmm within it


def test_outside_torch_nothing_is_said():
    assert counts.counts(trainer(lambda *_: sum([1, 2])), problem()) is None
    assert counts.counts(implementations.load("numpy_loop"), problem()) is None


def test_a_trainer_that_does_more_for_one_batch_than_for_nine_says_nothing():
    def step(x, start, batch_size):
        x[start : start + batch_size].exp()
        if len(x) == batch_size:
            [len("") for _ in range(1000)]

    assert counts.counts(trainer(step), problem()) is None


def test_too_few_batches_say_nothing():
    assert counts.counts(torch_nn, problem(rows=9 * 8 - 1)) is None


def test_out_of_place_updates_allocate_the_parameters_once_more():
    inplace, outofplace = (
        counts.counts(implementations.load(name), problem()) for name in ("manual_inplace", "manual_outofplace")
    )
    assert inplace.operations == outofplace.operations
    assert outofplace.bytes - inplace.bytes == (5 * 10 + 10) * 4


def test_an_earlier_profile_function_is_set_back():
    before = sys.getprofile()
    seen = []
    sys.setprofile(lambda frame, event, argument: seen.append(event))
    try:
        mine = sys.getprofile()
        counts.calls(lambda: None)
        assert sys.getprofile() is mine
    finally:
        sys.setprofile(before)


def test_a_call_that_raises_leaves_no_profile_function():
    before = sys.getprofile()
    with pytest.raises(ZeroDivisionError):
        counts.calls(lambda: 1 / 0)
    assert sys.getprofile() is before


def test_a_cpu_runs_no_kernels():
    assert counts.kernels(torch_nn, problem()) is None


@pytest.fixture
def gpu(monkeypatch):
    """A fake GPU, which runs what was launched when somebody waits for it, and a profiler that sees what it runs.

    Yields what is launched: a list to append to.
    """
    launched, watching = [], []

    @contextmanager
    def watched(activities, acc_events):
        assert activities == [ProfilerActivity.CUDA]
        seen = []
        watching.append(seen)
        yield SimpleNamespace(profiler=SimpleNamespace(kineto_results=SimpleNamespace(events=lambda: seen)))
        watching.remove(seen)

    def wait():
        for seen in watching:
            seen.extend(launched)
        launched.clear()

    monkeypatch.setattr(counts, "profile", watched)
    monkeypatch.setattr(counts, "device", lambda problem: "cuda")
    monkeypatch.setattr(torch.accelerator, "synchronize", wait)
    return launched


def events(kernels, others=0):
    return [SimpleNamespace(device_type=lambda kind=kind: kind) for kind in kernels * [CUDA] + others * [CPU]]


@pytest.mark.parametrize("epochs", [1, 3])
@pytest.mark.parametrize("batches", [1, 2, 9, 50])
def test_what_a_gpu_runs_is_counted_an_epoch_from_an_idle_gpu_until_it_is_idle_again(gpu, batches, epochs):
    trained = []

    def once():
        gpu.extend(events(5))

    def step(x, start, batch_size):
        trained.append(start)
        gpu.extend(events(6, others=4))

    found = counts.kernels(trainer(step, once), problem(rows=batches * 8, epochs=epochs))
    assert found == 5 + 6 * batches
    assert len(trained) <= 3 * (1 + 9)  # a whole epoch of MNIST, watched, takes seconds


def test_a_kernel_of_the_whole_epoch_is_one(gpu):
    trains = SimpleNamespace(train=lambda x, y, weight, bias, *_: gpu.extend(events(1)))
    assert counts.kernels(trains, problem(rows=50 * 8)) == 1


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_a_gpu_is_watched_only_for_what_runs_on_it(device, monkeypatch):
    watched = []

    @contextmanager
    def profile(activities, **_):
        watched.extend(activities)
        results = SimpleNamespace(events=lambda: [])
        yield SimpleNamespace(events=lambda: [], profiler=SimpleNamespace(kineto_results=results))

    monkeypatch.setattr(counts, "profile", profile)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    counts.operations_and_bytes(lambda: None, device)
    assert watched == [ProfilerActivity.CPU] + [ProfilerActivity.CUDA] * (device == "cuda")
