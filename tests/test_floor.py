"""The floor: what follows from the speeds that were measured."""

import functools
from contextlib import contextmanager
from types import SimpleNamespace

import pytest
import torch

from benchmarks.measure import floor, stopwatch
from reference.problem import Problem, initial_parameters


def planted(monkeypatch, reading, multiplying):
    """The seconds that a call of each kind takes, in place of measured ones."""
    times = {"sum": reading}
    monkeypatch.setattr(floor, "seconds_of", lambda call, device, count: times.get(call.__name__, multiplying))


def on_cpu(make, *size, device=None):
    """A tensor on the CPU, whatever device is asked for."""
    return make(*size)


def problem(rows=100, features=50, epochs=1):
    return Problem(torch.ones(rows, features), torch.zeros(rows), *initial_parameters(features, 10), epochs=epochs)


def test_reading_is_the_floor_where_it_takes_longer(monkeypatch):
    planted(monkeypatch, reading=2.0, multiplying=1e-3)
    found = floor.floor(problem(epochs=3))
    assert found.bytes_per_second == 100 * 50 * 4 / 2.0
    assert found.flops_per_second == 2 * 1024**3 / 1e-3
    assert found.seconds == pytest.approx(3 * 2.0)


def test_arithmetic_is_the_floor_where_it_takes_longer(monkeypatch):
    planted(monkeypatch, reading=1e-9, multiplying=1.0)
    products = 2 * (2 * 100 * 50 * 10)  # x @ weight, x.T @ grad: a multiplication and an addition each
    assert floor.floor(problem()).seconds == pytest.approx(products / (2 * 1024**3))


def test_the_best_of_all_calls_in_the_time_is_taken(monkeypatch):
    times = iter([1.0, 1.2, 1.3, 1.49, 1.6])
    monkeypatch.setattr(stopwatch, "clock", lambda device: lambda: next(times))
    called = []
    assert floor.best_seconds(lambda: called.append(1), "cpu") == pytest.approx(0.1)
    assert len(called) == 4


def test_each_step_adds_a_hand_off_on_a_gpu(monkeypatch):
    monkeypatch.setattr(floor, "MATRIX", {"cuda": 8})
    times = {
        ("sum", floor.LONG_CALLS): 1.0,
        ("<lambda>", floor.LONG_CALLS): 1e-9,
        ("<lambda>", floor.SHORT_CALLS): 1e-3,
    }
    monkeypatch.setattr(floor, "seconds_of", lambda call, device, count: times[call.__name__, count])
    for name in ("ones", "zeros"):
        monkeypatch.setattr(torch, name, functools.partial(on_cpu, getattr(torch, name)))
    x = SimpleNamespace(device=torch.device("cuda"), numel=lambda: 100 * 50, sum=sum)
    found = floor.floor(SimpleNamespace(x=x, bias=torch.zeros(10), epochs=3, steps=6))
    assert found.hand_off_seconds == 1e-3
    assert found.seconds == pytest.approx(3 * 1.0 + 3 * 2 * 1e-3)


def test_on_a_gpu_calls_are_timed_within_one_graph(monkeypatch):
    called, inside = [], []

    @contextmanager
    def capture(graph):
        before = len(called)
        yield
        inside.append(len(called) - before)

    monkeypatch.setattr(torch.cuda, "CUDAGraph", lambda: SimpleNamespace(replay="replay"))
    monkeypatch.setattr(torch.cuda, "graph", capture)
    monkeypatch.setattr(floor, "best_seconds", lambda call, device: {"replay": 5.0}[call])
    assert floor.seconds_of(lambda: called.append(1), "cuda", 10) == 0.5
    assert inside == [10]
    assert len(called) == 11  # once before


def test_a_measured_floor_is_finite_and_positive_and_a_cpu_hands_nothing_over():
    found = floor.floor(problem())
    assert found.hand_off_seconds is None
    assert all(0 < value < float("inf") for value in found if value is not None)
