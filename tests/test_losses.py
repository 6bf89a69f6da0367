"""Each hand-written loss against F.cross_entropy: its value and its gradient. What people look at beside it."""

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

import implementations
from reference import naive

WRITTEN = [name for name in implementations.names() if "def log_softmax" in implementations.source(name)]
STABLE = [name for name in WRITTEN if "EXPECTED_TO_FAIL" not in implementations.source(name)]
NAIVE = [name for name in WRITTEN if name not in STABLE]
TIMES_ZERO = {"autograd_onehot"}  # where the others are infinite it is NaN, as it says
SHAPES = [(1, 1), (1, 2), (2, 1), (1, 10), (64, 10), (16, 10), (63, 7), (5, 1000), (1000, 3)]
# Units in the last place that sums of up to 1000 terms may lose, in the loss and in one entry of the gradient.
TOLERANCE = {torch.float32: 2e-6, torch.float64: 4e-15}


def value_and_gradient(loss, logits, target):
    """The loss and its gradient for the logits."""
    logits = logits.clone().requires_grad_()
    value = loss(logits, target)
    (gradient,) = torch.autograd.grad(value, logits)
    return value.detach(), gradient


def written(name):
    """The loss of an implementation as one function of logits and target."""
    module = implementations.load(name)
    return lambda logits, target: module.nll(module.log_softmax(logits), target)


def assert_agrees(name, logits, target):
    value, gradient = value_and_gradient(written(name), logits, target)
    expected_value, expected_gradient = value_and_gradient(F.cross_entropy, logits, target)
    tolerance = TOLERANCE[logits.dtype]
    torch.testing.assert_close(value, expected_value, rtol=tolerance, atol=tolerance)
    torch.testing.assert_close(gradient, expected_gradient, rtol=tolerance * 10, atol=tolerance / len(logits))


@pytest.mark.parametrize("dtype", TOLERANCE, ids=str)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("name", WRITTEN)
def test_the_loss_is_cross_entropy(name, shape, dtype):
    generator = torch.Generator().manual_seed(sum(shape))
    logits = 3 * torch.randn(shape, generator=generator, dtype=dtype)
    assert_agrees(name, logits, torch.randint(shape[1], shape[:1], generator=generator))


@pytest.mark.parametrize("dtype", TOLERANCE, ids=str)
@pytest.mark.parametrize("size", [80.0, -80.0, 100.0, -110.0, 1000.0, -1000.0, 1e30])
@pytest.mark.parametrize("name", STABLE)
def test_a_stable_loss_is_cross_entropy_for_large_logits_too(name, size, dtype):
    logits = size + torch.randn(8, 10, generator=torch.Generator().manual_seed(0), dtype=dtype)
    assert_agrees(name, logits, torch.arange(8))


@pytest.mark.parametrize(("size", "wrong"), [(89.0, torch.inf), (-110.0, -torch.inf)])
@pytest.mark.parametrize("name", NAIVE)
def test_the_tutorials_loss_overflows_where_its_docstring_says_and_cross_entropy_does_not(name, size, wrong):
    logits = torch.full((4, 10), size)
    value = written(name)(logits, torch.arange(4))
    assert value.isnan() if name in TIMES_ZERO else value == wrong
    assert F.cross_entropy(logits, torch.arange(4)).isfinite()


@pytest.mark.parametrize("name", NAIVE)
def test_the_tutorials_loss_is_cross_entropy_up_to_there(name):
    assert_agrees(name, torch.full((4, 10), 88.0) - 5, torch.arange(4))


def test_these_are_what_a_reader_selects_by_the_name_of_the_loss(request):
    """`pytest tests -k cross_entropy`, as README has it. Of other files only those that were asked for can be seen."""
    for item in request.session.items:
        here = item.path == Path(__file__) and "loss_" in item.name
        assert ("cross_entropy" in item.name) == here, item.nodeid


def test_accuracy_is_the_share_of_right_rows():
    logits = torch.tensor([[0.0, 1.0], [2.0, 1.0], [0.0, 3.0], [1.0, 0.0]])
    scores = naive.scores(logits, torch.tensor([1, 1, 1, 0]), torch.eye(2), torch.zeros(2))
    assert scores.accuracy == 0.75
