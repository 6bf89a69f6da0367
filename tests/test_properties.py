"""Right trainers on problems that nobody chose: never rejected. Mistakes where they are visible: never accepted."""

import pytest
import torch
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

import implementations
from reference import equivalence
from reference.problem import Problem

COMPILED_FOR_EACH_SHAPE = ("compile_step", "jax_scan", "nn_dataloader_workers")  # the last starts a process each time
RIGHT = [
    name
    for name in implementations.names()
    if name not in COMPILED_FOR_EACH_SHAPE and not implementations.missing(name)
]
OVERFLOWING = [name for name in RIGHT if "EXPECTED_TO_FAIL" in implementations.source(name)]

# When a mistake changes anything.
VISIBLE = {
    "sign_reversed": lambda problem: True,
    "learning_rate_halved": lambda problem: True,
    "mean_over_all_entries": lambda problem: True,
    "bias_never_updated": lambda problem: True,
    "epoch_short": lambda problem: True,
    "labels_of_the_next_row": lambda problem: not torch.equal(problem.y, problem.y.roll(-1)),
    "loss_summed": lambda problem: min(len(problem.x), problem.batch_size) > 1,
    "bias_gradient_averaged": lambda problem: min(len(problem.x), problem.batch_size) > 1,
    "short_batch_dropped": lambda problem: len(problem.x) % problem.batch_size,
    "short_batch_divided_by_batch_size": lambda problem: len(problem.x) % problem.batch_size,
    "zero_grad_forgotten": lambda problem: problem.steps > 1,
    "gradient_one_batch_late": lambda problem: problem.steps > 1,
    "momentum_left_in": lambda problem: problem.steps > 1,
}


@st.composite
def cases(draw):
    """A Case of any shape, scale and mix of labels on which float32 can be judged."""
    rows, features = draw(st.integers(1, 60)), draw(st.integers(1, 12))
    classes, batch_size = draw(st.sampled_from([2, 3, 10])), draw(st.integers(1, 70))
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**32 - 1)))
    scale = draw(st.sampled_from([0.01, 0.1, 1.0, 4.0]))
    x = torch.randint(256, (rows, features), generator=generator) / 256 * scale
    x *= torch.rand(rows, features, generator=generator) < draw(st.sampled_from([0.2, 1.0]))
    labels = draw(st.integers(1, classes))  # how many classes occur
    y = torch.randint(labels, (rows,), generator=generator)
    weight = torch.randn(features, classes, generator=generator) * draw(st.sampled_from([0.0, 0.1, 1.0]))
    bias = torch.randn(classes, generator=generator)
    epochs, lr = draw(st.integers(1, 3)), draw(st.sampled_from([0.01, 0.5, 1.0]))
    try:
        return equivalence.solved("any", Problem(x, y, weight, bias, batch_size=batch_size, lr=lr, epochs=epochs))
    except equivalence.Unjudgeable:
        assume(False)


def largest_logit(problem):
    weight, bias = (parameter.abs().max() for parameter in (problem.weight, problem.bias))
    return problem.x.sum(1).max() * (weight + problem.steps * problem.lr * problem.x.abs().max()) + bias + problem.steps


def any_number(examples):
    return settings(
        max_examples=examples, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck), database=None
    )


@any_number(2000)
@given(case=cases(), name=st.sampled_from(RIGHT))
def test_a_right_trainer_is_never_rejected(case, name):
    assume(name not in OVERFLOWING or largest_logit(case.problem) < 80)
    assert equivalence.judged(implementations.load(name), case).complaint is None


@pytest.mark.parametrize("name", VISIBLE)
@any_number(150)
@given(case=cases())
def test_a_visible_mistake_is_never_accepted(name, case):
    assume(VISIBLE[name](case.problem))
    assume(name not in ("learning_rate_halved", "zero_grad_forgotten") or largest_logit(case.problem) < 80)
    assert equivalence.attempt(implementations.load(f"mistakes.{name}"), case, "cpu", torch.float32).complaint
