"""The Triton kernels in Triton's interpreter, on the CPU: run by test_triton.py, with TRITON_INTERPRET=1.

Not collected by itself: the interpreter is switched on before triton is imported, and for the whole process.
"""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
import triton.language as tl
from triton.runtime import interpreter

import implementations
from reference import equivalence
from reference.problem import Problem, initial_parameters

NAMES = ["triton_step", "triton_epoch"]


def made_up(rows, features, classes, seed=0):
    """Sparse pixels k / 256 as MNIST has them, and labels."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.randint(1, 256, (rows, features), generator=generator) / 256
    x *= torch.rand(rows, features, generator=generator) < 0.2
    return x, torch.randint(classes, (rows,), generator=generator)


def problem(rows=150, features=40, classes=10, batch_size=64, epochs=1):
    parameters = initial_parameters(features, classes)
    return Problem(*made_up(rows, features, classes), *parameters, batch_size=batch_size, epochs=epochs)


CASES = equivalence.cases(*made_up(2000, 784, 10))


@pytest.fixture(params=NAMES)
def module(request):
    return implementations.load(request.param)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_problems_of_the_checker(module, case):
    finding = equivalence.judged(module, case)
    assert finding.complaint is None
    assert finding.error < 4  # here float32 is added as everywhere


SHAPES = {
    "a row of a feature": (1, 1, 2, 1, 1),
    "a feature": (30, 1, 10, 7, 2),
    "two classes, three epochs": (33, 20, 2, 64, 3),
    "batches of one row": (33, 20, 3, 1, 1),
    "17 classes, a batch larger than the data": (10, 784, 17, 1000, 3),
    "as many features, classes and rows as tiles have": (128, 127, 16, 64, 2),
    "one feature more, one row more": (65, 128, 10, 65, 1),
    "32 classes": (70, 30, 32, 32, 1),
    "batches of several tiles, the last of one row": (401, 300, 10, 200, 1),
    "a batch beyond all memory": (70, 30, 10, 2**31 - 1, 2),
}


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_other_shapes(module, shape):
    given = problem(*shape)
    if module.__name__.endswith("epoch"):
        given = equivalence.standardised(given)  # the step is the same in both files: here its x has three parts
    assert equivalence.judged(module, equivalence.solved("another shape", given)).complaint is None


def test_tensors_that_are_not_contiguous(module):
    given = problem()
    x, weight = (matrix.T.contiguous().T for matrix in (given.x, given.weight))
    y, bias = (vector.repeat_interleave(2)[::2] for vector in (given.y, given.bias))
    results = [equivalence.run(module, p) for p in (given, given._replace(x=x, y=y, weight=weight, bias=bias))]
    assert all(map(torch.equal, *results))


def test_a_learning_rate_that_is_an_integer(module):
    case = equivalence.solved("lr 1", problem()._replace(lr=1))
    assert equivalence.judged(module, case).complaint is None


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("where", ["x", "weight", "bias"])
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_what_is_not_finite_stays_so(module, where, value):
    given = problem(rows=70, features=20)
    tensor = getattr(given, where).clone()
    tensor.view(-1)[3] = value
    weight, bias = equivalence.run(module, given._replace(**{where: tensor}))
    assert weight.isnan().any()
    assert bias.isnan().any()


def test_how_many_parts_x_has(module):
    given = problem().x
    for x, parts in ((given, 1), (given * (1 + 2**-9), 2), (given / 0.7, 3)):
        prepared, _ = module.prepare(x, problem().y, 64)
        assert prepared.shape == (150, parts, 128)
        assert torch.equal(prepared, prepared.bfloat16().float())
        assert torch.equal(prepared.double().sum(1)[:, :41], torch.nn.functional.pad(x, (0, 1), value=1).double())


def test_float64_is_refused(module):
    name = module.__name__.rpartition(".")[2]
    with pytest.raises(TypeError, match=f"^{name} computes in float32, and x is torch.float64$"):
        equivalence.run(module, problem().to(dtype=torch.float64))


@pytest.mark.parametrize(
    ("rows", "features", "classes", "words"),
    [
        (2**24 + 1, 3, 2, "batch_size=16777217, features=3, classes=2"),
        (1, 2**23, 2, "batch_size=1, features=8388608, classes=2"),
        (70, 3, 33, "batch_size=70, features=3, classes=33"),
    ],
)
def test_what_is_too_large_is_refused(module, rows, features, classes, words):
    name = module.__name__.rpartition(".")[2]
    x = torch.zeros(1).expand(rows, 1, -(-(features + 1) // 128) * 128)  # no memory is behind it
    weight, bias = torch.zeros(1).expand(features, classes), torch.zeros(classes)
    with pytest.raises(ValueError, match=f"^{name}: {words}; at most 16777216, 8388607 and 32$"):
        module.train(x, torch.zeros(1).expand(rows), weight, bias, 2**31 - 1, 0.5, 1)


# --- as a tensor core might compute ---------------------------------------------------------------------------


def as_float(handle):
    """The values of an operand; the interpreter keeps bf16 as the upper half of a float32."""
    if handle.dtype.scalar != tl.bfloat16:
        return handle.data
    return (handle.data.astype(np.uint32) << 16).view(np.float32)


def truncated(value, exponent, bits):
    """value, cut off toward 0 at so many bits below 2 ** exponent."""
    unit = np.ldexp(1.0, exponent - bits)
    return np.trunc(value / unit) * unit


def coarse_dot(bits):
    """A dot of bf16 that adds 16 products at a time to the sum so far, each cut off where the largest has `bits`."""

    def create_dot(self, a, b, d, *_):
        assert a.dtype.scalar == b.dtype.scalar == tl.bfloat16
        a, b, total = as_float(a).astype(float), as_float(b).astype(float), d.data.astype(float)
        for k in range(0, a.shape[1], 16):
            terms = np.concatenate([a[:, k : k + 16, None] * b[None, k : k + 16], total[:, None]], 1)
            exponent = np.frexp(np.abs(terms).max(1, keepdims=True))[1]
            total = truncated(terms, exponent, bits).sum(1)
            total = truncated(total, np.frexp(total)[1], min(bits, 24))
        return interpreter.TensorHandle(total.astype(np.float32), d.dtype.scalar)

    return create_dot


def rounded_to_bf16(value, *_):
    """float32 as bf16, to the nearest even: the interpreter's own conversion loses a carry (seen up to 3.9)."""
    return ((value.view(np.uint32) + 0x7FFF + (value.view(np.uint32) >> 16 & 1)) >> 16).astype(np.uint16)


def coarse_exp(self, arg):
    """exp with the relative error 2 ** -22 of the GPU's, up and down by turns."""
    error = 2.0**-22 * (-1.0) ** np.arange(arg.data.size).reshape(arg.data.shape)
    return interpreter.TensorHandle((np.exp(arg.data) * (1 + error)).astype(np.float32), arg.dtype)


@pytest.fixture
def on_tensor_cores(monkeypatch):
    """triton_epoch as on a GPU: x as bf16, and the arithmetic of a tensor core, which keeps 22 bits at the worst."""
    converted = interpreter._convert_float

    def convert_float(value, source, target, mode):
        convert = rounded_to_bf16 if (source, target) == (tl.float32, tl.bfloat16) else converted
        return convert(value, source, target, mode)

    monkeypatch.setattr(interpreter, "_convert_float", convert_float)
    monkeypatch.setattr(interpreter.InterpreterBuilder, "create_dot", coarse_dot(bits=22))
    monkeypatch.setattr(interpreter.InterpreterBuilder, "create_exp", coarse_exp)
    module = implementations.load("triton_epoch")

    def prepare(x, y, batch_size):
        x, y = module.prepare(x, y, batch_size)
        return x.bfloat16(), y

    return SimpleNamespace(prepare=prepare, train=module.train)


# What was solved before is nothing to arithmetic: the interpreter's own, which is quicker, finds what is kept from it.
ARITHMETIC = [case for case in CASES if case.problem.steps <= 6 and not case.previous]


@pytest.mark.parametrize("case", ARITHMETIC, ids=lambda case: case.name)
def test_tensor_cores_are_exact_enough(on_tensor_cores, case):
    finding = equivalence.attempt(equivalence.Trainer(on_tensor_cores), case)
    assert finding.complaint is None


def test_the_model_of_tensor_cores_is_worth_something():
    """Products are exact, small ones are cut off beside large ones, and nothing is lost when there is one bit."""
    ones = interpreter.TensorHandle(rounded_to_bf16(np.float32([[1] + [2**-12] * 15])), tl.bfloat16)
    column = interpreter.TensorHandle(rounded_to_bf16(np.ones((16, 1), np.float32)), tl.bfloat16)
    zero = interpreter.TensorHandle(np.zeros((1, 1), np.float32), tl.float32)
    assert coarse_dot(24)(None, ones, column, zero).data == 1 + 15 * 2**-12
    assert coarse_dot(12)(None, ones, column, zero).data == 1
