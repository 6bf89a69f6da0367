"""The floor: what follows from the speeds that were measured."""

import pytest
import torch

from benchmarks import floor, pairing
from reference.problem import Problem, initial_parameters


def planted(monkeypatch, reading, multiplying):
    """The seconds that a call of each kind takes, in place of measured ones."""
    monkeypatch.setattr(floor, "best_seconds", lambda call, device: reading if call.__name__ == "sum" else multiplying)


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
    monkeypatch.setattr(pairing, "clock", lambda device: lambda: next(times))
    called = []
    assert floor.best_seconds(lambda: called.append(1), "cpu") == pytest.approx(0.1)
    assert len(called) == 4


def test_a_measured_floor_is_finite_and_positive():
    found = floor.floor(problem())
    assert all(0 < value < float("inf") for value in found)
