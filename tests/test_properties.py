"""Right trainers on problems that nobody chose: never rejected. Mistakes where they are visible: never accepted."""

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import implementations
from reference import equivalence
from reference.problem import Problem

SLOW = ("compile_step", "jax_scan", "nn_dataloader_workers")  # compile for each shape, or start a process
# Adds products to the parameters in one call of a library, which for two or three classes does so row by row: up to 21
# was seen with 34 rows, where with ten classes it adds rows by the hundred.
COARSE_IF_FEW_CLASSES = ("manual_fused_update",)
RIGHT = [name for name in implementations.runnable("cpu") if name not in SLOW + COARSE_IF_FEW_CLASSES]
OVERFLOWING = [name for name in RIGHT if "EXPECTED_TO_FAIL" in implementations.source(name)]

MISTAKES = [
    *("sign_reversed", "learning_rate_halved", "mean_over_all_entries", "bias_never_updated", "epoch_short"),
    *("labels_of_the_next_row", "loss_summed", "bias_gradient_averaged", "short_batch_dropped", "zero_grad_forgotten"),
    *("short_batch_divided_by_batch_size", "gradient_one_batch_late", "momentum_left_in", "weight_decay_left_in"),
]


@st.composite
def cases(draw):
    """A Case of any shape, scale and mix of labels on which float32 can be judged."""
    rows, features = draw(st.integers(1, 60)), draw(st.integers(1, 12))
    classes, batch_size = draw(st.sampled_from([2, 10])), draw(st.integers(1, 70))
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


@given(case=cases(), name=st.sampled_from(RIGHT))
def test_a_right_trainer_is_never_rejected(case, name):
    assume(name not in OVERFLOWING or largest_logit(case.problem) < 80)
    assert equivalence.judged(implementations.load(name), case).complaint is None


def is_visible(mistake, case):
    """Whether a mistake, computed in float64, is further from the truth on this problem than twice what is allowed."""
    result = equivalence.run(mistake, case.problem.to(dtype=torch.float64))
    return not (equivalence.update(case.problem, result) - case.update).norm() <= 2 * equivalence.LIMIT * case.noise


@pytest.mark.parametrize("name", MISTAKES)
@settings(max_examples=settings.default.max_examples // len(MISTAKES))
@given(case=cases())
def test_a_visible_mistake_is_never_accepted(name, case):
    mistake = implementations.load(f"mistakes.{name}")
    assume(is_visible(mistake, case))
    assert equivalence.attempt(equivalence.Trainer(mistake), case).complaint


# --- data of any shape and scale -------------------------------------------------------------------------------------

# One of each way to sum, and the mistakes that are nearest to a right writing.
WAYS = ["manual_inplace", "manual_fused_update", "numpy_loop", "autograd_cross_entropy", "numba_dense"]
SMALLEST = ["rows_added_one_by_one", "tf32_product", "weight_decay_left_in", "half_precision_product"]


@st.composite
def checkers_problems(draw):
    """The checker's Cases from 1 to 2000 rows of 1 to 2000 features, on a scale of 1e-2 to 1e3."""
    rows, features = (round(2000 ** draw(st.floats(0, 1))) for _ in range(2))
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**32 - 1)))
    make = draw(st.sampled_from([torch.rand, torch.randn]))
    x = make(rows, features, generator=generator) * 10 ** draw(st.floats(-2, 3))
    try:
        return equivalence.cases(x, torch.randint(10, (rows,), generator=generator))
    except equivalence.Unjudgeable:
        assume(False)


@settings(max_examples=settings.default.max_examples // 60)
@given(cases=checkers_problems())
def test_on_any_data_right_writings_stay_below_the_limit_and_the_smallest_mistakes_above(cases):
    for name in WAYS:
        assert equivalence.complaint(implementations.load(name), cases) is None, name
    for name in SMALLEST:
        trainer = equivalence.Trainer(implementations.load(f"mistakes.{name}"))
        assert any(equivalence.attempt(trainer, case).complaint for case in cases), name
