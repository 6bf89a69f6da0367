"""The checker: does a trainer compute what the reference computes?

What is compared is the update, the trained parameters minus the initial ones, with the update of the oracle,
the reference run in float64. The unit is float32 noise: how far the reference's own float32 update may lie from
the oracle on the same problem, as it is free to take its sums in any order. Right trainers measure 0.5 to 5, the
classic mistakes thousands; LIMIT is the only threshold, for everybody.
"""

import gc
import math
import os
import pickle
import random
import sys
import time
import traceback
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from reference import torch_nn
from reference.problem import LEARNING_RATE, Parameters, Problem, initial_parameters

Arrays = tuple[np.ndarray, np.ndarray]  # weight and bias

LIMIT = 10.0
TOO_NOISY = 1e-3
SHUFFLES = 3  # orders of summation that are tried beside the given one and row after row
NOT_COMPUTED = math.nan
COARSE = 10.0  # times what is allowed: as wrong as 2000 roundings in place of one may be
DEVICES = ("cpu", "cuda")
DRAWS = "a layer draws parameters: nn.utils.skip_init; a DataLoader draws a seed: generator=torch.Generator()"
OVERFLOW = "does exp overflow, as it does above 88? Subtract the maximum of each row first"
LARGE_LOGITS = "large logits"  # the name of the case where a log-softmax without max shift overflows


class Case(NamedTuple):
    """One problem of the checker with its answer.

    update: the oracle's, flat, float64, CPU.  noise: the size of float32's error on this problem.
    previous: the case that the trainer solves first, in the same tensors, and of the same rows with what it prepared.
    """

    name: str
    problem: Problem
    update: Tensor
    noise: float
    previous: "Case | None" = None


class Finding(NamedTuple):
    """What one case found: the error in float32 noise, NaN where none could be computed, and a complaint or None."""

    case: str
    error: float
    complaint: str | None


class Unjudgeable(Exception):
    """A problem on which float32 itself is too far off to tell a right trainer from a wrong one."""


# --- what is right ------------------------------------------------------------------------------------------


def update(problem: Problem, result: Parameters | Arrays) -> Tensor:
    """Trained minus initial parameters, tensors or arrays, weight and bias in one flat float64 tensor on the CPU."""
    weight, bias = (torch.as_tensor(parameter).detach().cpu().double() for parameter in result)
    return torch.cat([(weight - problem.weight.cpu().double()).flatten(), bias - problem.bias.cpu().double()])


@contextmanager
def one_thread() -> Iterator[None]:
    """Sums in the block do not depend on how many threads torch has."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


@one_thread()
def solved(name: str, problem: Problem) -> Case:
    """The Case of a float32 problem on the CPU: runs the reference in float64, and in float32 in several orders.

    Raises Unjudgeable.
    """
    truth = torch_nn.train(*problem.to(dtype=torch.float64))
    oracle_update = update(problem, truth)
    errors = [(update(problem, result) - oracle_update).norm() for result in in_several_orders(problem)]
    noise = torch.stack(errors).max().item()  # NaN if one is
    size = oracle_update.norm().item()
    if not noise <= TOO_NOISY * size:
        raise Unjudgeable(
            f"{name}: float32 noise is {noise:.2g} where the whole update is {size:.2g}, too much to judge by; "
            "scale the pixels to 0..1, or lower the number of epochs"
        )
    # On a tiny problem the reference can be right by luck; rounding the parameters is always allowed.
    rounding = torch.finfo(torch.float32).eps / 4 * torch.cat([p.flatten() for p in truth]).norm().item()
    return Case(name, problem, oracle_update, max(noise, rounding))


def in_several_orders(problem: Problem) -> Iterator[Parameters]:
    """What right trainers find in float32: the reference, one that sums row after row, the reference in other orders.

    For these the features, the classes and the rows of each batch are shuffled, and the result is put back in order.
    """
    yield torch_nn.train(*problem)
    yield row_after_row(*problem)
    generator = torch.Generator().manual_seed(0)
    for _ in range(SHUFFLES):
        features, classes = (torch.randperm(size, generator=generator) for size in problem.weight.shape)
        batches = torch.arange(len(problem.x)).split(problem.batch_size)
        rows = torch.cat([batch[torch.randperm(len(batch), generator=generator)] for batch in batches])
        shuffled = problem._replace(
            x=problem.x[rows][:, features],
            y=classes.argsort()[problem.y[rows]],
            weight=problem.weight[features][:, classes],
            bias=problem.bias[classes],
        )
        weight, bias = torch_nn.train(*shuffled)
        yield weight[features.argsort()][:, classes.argsort()], bias[classes.argsort()]


def row_after_row(
    x: Tensor, y: Tensor, weight: Tensor, bias: Tensor, batch_size: int, lr: float, epochs: int
) -> Parameters:
    """A right trainer whose sums over a batch grow by one row at a time: the worst order where many rows are alike."""
    parameters = torch.cat([weight, bias[None]])
    x = F.pad(x, (0, 1), value=1)  # the bias is the weight of a feature that is always one
    for _ in range(epochs):
        for xb, yb in zip(x.split(batch_size), y.split(batch_size), strict=True):
            grad = torch.softmax(xb @ parameters, dim=1)
            grad[range(len(yb)), yb] -= 1
            total = torch.zeros_like(parameters)
            for row, row_grad in zip(xb, grad, strict=True):
                total.addr_(row, row_grad)
            parameters -= total * (lr / len(yb))
    return parameters[:-1], parameters[-1]


def error(case: Case, result: Parameters | Arrays, dtype: torch.dtype = torch.float32) -> float:
    """|update - oracle's update| in float32 noise; NaN or infinite where the result is not finite."""
    return (update(case.problem, result) - case.update).norm().item() / unit(case, dtype)


def distance(case: Case, one: "Answer", other: "Answer") -> float:
    """How far two Answers from one start are apart, in the case's float32 noise; NaN or infinite if one is."""
    parts = zip(one.result, other.result, strict=True)
    return math.hypot(*(float(np.linalg.norm(a.astype(float) - b)) for a, b in parts)) / case.noise


def unit(case: Case, dtype: torch.dtype) -> float:
    """float32 noise, or in float64 the same rounding 29 bits further down."""
    return case.noise * torch.finfo(dtype).eps / torch.finfo(torch.float32).eps


def cases(x: Tensor, y: Tensor, classes: int = 10, seed: int = 1) -> list[Case]:
    """The checker's problems, from the simplest on, with rows from x (rows, features) and y (rows,), on the CPU.

    Pixels beyond 1 are divided by a power of two, which rounds none: on large ones single roundings decide a class,
    and a small mistake cannot be told from them.  seed: of the initial weights.
    """
    x = x / 2 ** max(0, math.ceil(math.log2(x.abs().max().clamp(min=1))))

    def problem(
        rows: int, batch_size: int = 64, epochs: int = 1, seed: int = seed, scale: int = 1, lr: float = LEARNING_RATE
    ) -> Problem:
        index = torch.arange(rows) % len(x)
        weight = scale * initial_parameters(x.shape[1], classes, seed)[0]
        bias = torch.linspace(-0.3, 0.3, classes)
        return Problem(x[index], y[index], weight, bias, batch_size=batch_size, epochs=epochs, lr=lr)

    ragged = solved("five batches and a short one", problem(rows=5 * 64 + classes))
    other = solved("other rows and parameters", generated(like=ragged.problem))
    elsewhere = solved("from other parameters", ragged.problem._replace(weight=other.problem.weight))
    return [
        solved("one step", problem(rows=64)),
        solved("one row", problem(rows=1)),
        solved("fewer rows than a batch", problem(rows=23)),
        solved("one row more than a batch", problem(rows=65)),
        ragged,
        solved("as many rows in a batch as classes", problem(rows=7 * classes + 3, batch_size=classes, lr=0.1)),
        solved("three epochs", problem(rows=200, epochs=3)),
        solved("two full batches", problem(rows=128)),
        solved("parameters beyond 1", beyond_one(problem(rows=128 + classes))),
        other,
        solved("pixels of any size and sign", standardised(problem(rows=100))),
        # Large weights round what is added to them more coarsely: 2000 small additions are seen beside one.
        solved("2000 rows at once, large weights", problem(rows=2000, batch_size=2000, scale=10)),
        solved(LARGE_LOGITS, large_logits(problem(rows=80, seed=seed + 1))),
        ragged._replace(name="called again", previous=elsewhere),
        ragged._replace(name="new values in the same tensors", previous=other),
    ]


def generated(like: Problem) -> Problem:
    """A problem of the same shape on made-up rows, whatever the dataset: sparse pixels k / 256, a batch of none."""
    generator = torch.Generator().manual_seed(3)
    rows, features = like.x.shape
    classes = len(like.bias)
    x = torch.randint(1, 256, (rows, features), generator=generator) / 256
    x *= torch.rand(rows, features, generator=generator) < 0.2
    x[like.batch_size : 2 * like.batch_size] = 0
    y = torch.randint(classes - 1, (rows,), generator=generator)  # the last class does not occur
    weight, _ = initial_parameters(features, classes, seed=4)
    return like._replace(x=x, y=y, weight=weight, bias=torch.linspace(0.2, -0.2, classes))


def standardised(problem: Problem) -> Problem:
    """The same problem on pixels ~ N(0, 1 / 4): below 0, above 1, and no multiples of anything."""
    generator = torch.Generator().manual_seed(5)
    return problem._replace(x=torch.randn(problem.x.shape, generator=generator) / 2)


def beyond_one(problem: Problem) -> Problem:
    """The same problem with a weight of 3 or -3 in every 97th place and biases up to 2 to either side.

    Logits stay far below the 88 where exp overflows.
    """
    weight = problem.weight.flatten().clone()
    weight[::97] = 3 * weight[::97].sign()
    return problem._replace(
        weight=weight.view_as(problem.weight), bias=torch.linspace(2, -2, len(problem.bias), dtype=weight.dtype)
    )


def large_logits(problem: Problem) -> Problem:
    """The same problem with its parameters scaled until the largest logit is 1000: too much for exp, in float64 too.

    Then all are lowered, which softmax does not see, until in one row all are too small for exp: -200 at most.
    """
    logits = problem.x @ problem.weight + problem.bias
    scale = 1000 / logits.flatten()[logits.abs().argmax()]
    lowered = (scale * logits).amax(1).min() + 200
    return problem._replace(weight=problem.weight * scale, bias=problem.bias * scale - lowered)


# --- is this one right? -------------------------------------------------------------------------------------


class Implementation(Protocol):
    """A module with `train`, maybe `prepare`, maybe EXPECTED_TO_FAIL = ("large logits",): the one case that a writing
    may give up, and then must fail, so that the mark cannot outlive its reason.
    """

    @property
    def train(self) -> Callable[..., Parameters]:
        """From what is prepared of x and y, weight, bias, batch_size, lr and epochs to the trained parameters."""


class Answer(NamedTuple):
    """What came of one training.

    parameters: weight and bias, trained, as arrays; None where there are none, or none of the right form.
    complaint: what is wrong beside their values, or None.
    """

    parameters: Arrays | None
    complaint: str | None

    @property
    def result(self) -> Arrays:
        """The parameters of a training that has some. Raises ValueError, which holds the complaint."""
        if self.parameters is None:
            raise ValueError(self.complaint)
        return self.parameters


class Answering(Protocol):
    """What the checker asks: a Trainer, or what stands for one in another process."""

    @property
    def dtype(self) -> torch.dtype:
        """What it computes in."""

    @property
    def gives_up(self) -> tuple[str, ...]:
        """The names of the cases in which it is expected to fail."""

    def answers(self, problem: Problem, previous: Problem | None = None, seed: int | None = None) -> list[Answer]:
        """The Answers to a problem, and before it to what it is to solve first, if anything."""


class Trainer(NamedTuple):
    """An implementation, ready to be asked for Answers on one device in one dtype."""

    implementation: Implementation
    device: str = "cpu"
    dtype: torch.dtype = torch.float32

    @property
    def gives_up(self) -> tuple[str, ...]:
        """The names of the cases in which it is expected to fail."""
        declared = getattr(self.implementation, "EXPECTED_TO_FAIL", ())
        if isinstance(declared, str):  # the comma that makes a tuple of it is easily forgotten
            return (declared,)
        return tuple(declared) if isinstance(declared, tuple | list | set) else ()

    def answers(self, problem: Problem, previous: Problem | None = None, seed: int | None = None) -> list[Answer]:
        """The Answers to a problem, and before it to what it is to solve first, if anything; none after a complaint.

        seed: of all random states, where these shall not be as they are.
        """
        given = (previous or problem).to(self.device, self.dtype)
        if not previous:
            return [trained(self.implementation, problem, given, seed=seed)[0]]
        first, result, inputs = trained(self.implementation, previous, given)
        if first.complaint:
            return [first]
        for tensor, value in zip(given[:4], problem[:4], strict=True):
            tensor.copy_(value)
        same_rows = previous.x is problem.x
        second, *_ = trained(self.implementation, problem, given, inputs if same_rows else None)
        if not all(map(np.array_equal, first.result, arrays_of(*result))):
            complaint = "the second call changed what the first had returned: return tensors that stay as they are"
            second = Answer(None, complaint)
        return [first, second]


def prepared(implementation: Implementation, problem: Problem) -> tuple[Any, ...]:
    """What `train` takes in place of x and y, as a tuple; what `prepare` returns may be one thing alone."""
    prepare = getattr(implementation, "prepare", None)
    inputs = prepare(problem.x, problem.y, problem.batch_size) if prepare else (problem.x, problem.y)
    return inputs if isinstance(inputs, tuple) else (inputs,)


def run(implementation: Implementation, problem: Problem) -> Parameters:
    """Prepares and trains: the trained weight and bias."""
    return implementation.train(*prepared(implementation, problem), *problem[2:])


def trained(
    implementation: Implementation,
    original: Problem,
    given: Problem,
    inputs: tuple[Any, ...] | None = None,
    seed: int | None = None,
    again: bool = False,
) -> tuple[Answer, Any, tuple[Any, ...] | None]:
    """The Answer to one training on `given`, tensors with the values of `original`; the result itself; its inputs.

    inputs: what was prepared of the same rows before.  again: whether it has just imported what it needs.
    """
    modules = len(sys.modules)
    with unchanged_process_state() as changed:
        if seed is not None:
            seed_everything(seed)
        try:
            inputs = inputs or prepared(implementation, given)
            result = implementation.train(*inputs, *given[2:])
        except (Exception, SystemExit) as raised:
            return Answer(None, failure(raised, inputs)), None, None
    if changed and seed is None and not again and len(sys.modules) > modules:
        return trained(implementation, original, given, inputs, again=True)  # an import's changes are not the trainer's
    return answered(result, given, original, [] if seed is not None else changed), result, inputs


def seed_everything(seed: int) -> None:
    """Seeds the random states of torch, NumPy and Python."""
    torch.manual_seed(seed)
    np.random.seed(seed)
    random.seed(seed)


def answered(result: Any, given: Problem, original: Problem, changed: Sequence[str] = ()) -> Answer:
    """The Answer that a result is.

    `given` is what the trainer was given, after training, `original` what it was before; `changed` names what it
    changed in the process.
    """
    complaint = misfit(result, given)
    parameters = None if complaint else arrays_of(*result)
    complaint = complaint or modified(given, original)
    return Answer(parameters, changed_complaint(changed) or complaint)


def arrays_of(weight: Tensor, bias: Tensor) -> Arrays:
    """Their values now, whatever is written into the tensors later."""
    return weight.detach().cpu().numpy().copy(), bias.detach().cpu().numpy().copy()


def changed_complaint(changed: Sequence[str]) -> str | None:
    """The complaint about what was changed in the process, by name, or None."""
    if not changed:
        return None
    cure = f" ({DRAWS})" if "torch's random state" in changed else ""
    return f"changed {', '.join(changed)}: leave the process as it was{cure}"


def complaint(
    implementation: Implementation, cases: Iterable[Case], device: str = "cpu", dtype: torch.dtype = torch.float32
) -> str | None:
    """The first complaint as one line, or None: the implementation is right."""
    return first_complaint(findings(implementation, cases, device, dtype))


def findings(
    implementation: Implementation, cases: Iterable[Case], device: str = "cpu", dtype: torch.dtype = torch.float32
) -> Iterator[Finding]:
    """Yields one Finding per case; it trains only as far as it is asked."""
    return findings_of(Trainer(implementation, device, dtype), cases)


def first_complaint(findings: Iterable[Finding]) -> str | None:
    """The first complaint among Findings as one line, or None."""
    for finding in findings:
        if finding.complaint:
            return f"{finding.case}: {finding.complaint}"
    return None


def findings_of(trainer: Answering, cases: Iterable[Case]) -> Iterator[Finding]:
    """Yields the Finding of a Trainer, or of what answers like one, for each case."""
    for case in cases:
        finding = judged_of(trainer, case)
        if case.name == LARGE_LOGITS and LARGE_LOGITS in trainer.gives_up:
            finding = finding._replace(complaint=wrong_failure(finding))
        yield finding


def wrong_failure(finding: Finding) -> str | None:
    """The complaint about a Finding where the numbers are expected to be wrong, or None."""
    if finding.complaint is None:
        return "passes, so take it out of EXPECTED_TO_FAIL"
    return finding.complaint if finding.error is NOT_COMPUTED else None


def judged(
    implementation: Implementation, case: Case, device: str = "cpu", dtype: torch.dtype = torch.float32
) -> Finding:
    """The Finding of one case; where the answer is wrong, its complaint says from which batch on."""
    return judged_of(Trainer(implementation, device, dtype), case)


def judged_of(trainer: Answering, case: Case) -> Finding:
    """The same of a Trainer."""
    finding = attempt(trainer, case)
    if finding.complaint is None or finding.error is NOT_COMPUTED:
        return finding
    try:
        where, suspicion = first_wrong(trainer, case.problem)
    except Unjudgeable:  # a part of the problem, which says nothing of the trainer
        return finding
    except Exception as raised:  # it was wrong before it raised
        where, suspicion = f"and raised {described(raised)} when called again", ""
    hint = f": {suspicion}" if suspicion else ""
    return finding._replace(complaint=f"{finding.complaint}; {where}{hint}")


def attempt(trainer: Answering, case: Case) -> Finding:
    """The Finding of one case, without the search for where it went wrong."""
    solved_cases = [case.previous, case] if case.previous else [case]
    answers = trainer.answers(case.problem, case.previous and case.previous.problem)
    for each, answer in zip(solved_cases, answers, strict=False):
        finding = found(each, answer, trainer.dtype)
        if finding.complaint:
            break
    return finding._replace(case=case.name)


def found(case: Case, answer: Answer, dtype: torch.dtype = torch.float32) -> Finding:
    """The Finding that an Answer to a case is."""
    if answer.complaint:
        return Finding(case.name, NOT_COMPUTED, answer.complaint)
    measured = error(case, answer.result, dtype)
    return Finding(case.name, measured, verdict(measured))


def verdict(error: float) -> str | None:
    """The complaint about an error in float32 noise, or None: it is allowed."""
    if error <= LIMIT:  # never true of NaN
        return None
    if not math.isfinite(error):
        return f"the trained parameters are not finite: {OVERFLOW}"
    return f"the update is off by {error:.3g} in float32 noise, allowed {LIMIT:g}"


def first_wrong(trainer: Answering, problem: Problem) -> tuple[str, str]:
    """Where training first goes wrong, and what that suggests, "" if nothing: two texts.

    Trains on the first batch, the first two, ..., then on more epochs.
    """
    batches = math.ceil(len(problem.x) / problem.batch_size)
    for batch in range(1, batches + 1):
        part = solved("", problem.first_rows(batch * problem.batch_size)._replace(epochs=1))
        finding = attempt(trainer, part)
        if finding.complaint:
            first_row, last_row = (batch - 1) * problem.batch_size, len(part.problem.x) - 1
            suspect = suspicion if batch == 1 else later_suspicion
            hint = "" if not math.isfinite(finding.error) else suspect(trainer, part)
            return f"first wrong at batch {batch} of {batches} (rows {first_row} to {last_row})", hint
    for epoch in range(2, problem.epochs + 1):
        if attempt(trainer, solved("", problem._replace(epochs=epoch))).complaint:
            return f"first wrong in epoch {epoch}", "is anything shuffled, decayed, begun anew or used up by the first?"
    return "right when called alone", "does it remember an earlier call?"


def suspicion(trainer: Answering, case: Case) -> str:
    """What a wrong first step suggests, as a question that a learner understands, or ""."""
    answers = (trainer.answers(case.problem, seed=seed)[0] for seed in (1, 1, 2))
    got, again, other = (update(case.problem, answer.result) for answer in answers)
    if not torch.equal(got, again):
        return "two runs differ: does it keep something from one call to the next?"
    if not torch.equal(got, other):
        return "two runs differ: does it depend on a random state?"
    if not got.any():
        return "nothing was trained: is the loop entered, and does the update reach the parameters that are returned?"
    blind = trainer.answers(case.problem._replace(x=torch.zeros_like(case.problem.x)))[0]
    if blind.parameters and torch.equal(got, update(case.problem, blind.parameters)):
        return "it does not see the rows it is given: are those of an earlier call kept, in a global of the module?"
    wrong = got - case.update
    allowed = LIMIT * unit(case, trainer.dtype)
    classes = len(case.problem.bias)
    if wrong[:-classes].norm() <= allowed:
        return "only the bias is wrong: is its gradient the sum over the rows, and is it subtracted?"
    if wrong[-classes:].norm() <= allowed:
        if wrong[:-classes].norm() <= COARSE * allowed:
            return "only the weight is a little wrong: is each row added to it by itself, not to a sum first?"
        return "only the weight is wrong: is it laid out as it was given, decayed, or trained with other labels?"
    factor = (got @ case.update / (case.update @ case.update)).item()
    if (got - factor * case.update).norm() <= allowed * max(1, abs(factor)):
        return f"the update is {factor:.4g} times the right one: sum or mean, learning rate, sign?"
    return ""


def later_suspicion(trainer: Answering, case: Case) -> str:
    """What it suggests that all steps but the last are right."""
    problem = case.problem
    if len(problem.x) % problem.batch_size:
        filled = torch.arange(math.ceil(len(problem.x) / problem.batch_size) * problem.batch_size) % len(problem.x)
        full = solved("", problem._replace(x=problem.x[filled], y=problem.y[filled]))
        if not attempt(trainer, full).complaint:
            return "full batches are right, the short one is not: is it left out, or divided by the full batch size?"
    return "the batches before are right: is a gradient carried over, or the step changed?"


def misfit(result: object, given: Problem) -> str | None:
    """What is wrong with the form of a result, or None."""
    if not isinstance(result, tuple) or [type(r) for r in result] != [Tensor, Tensor]:
        return f"returned {form(result)}; expected (weight, bias), a tuple of two tensors"
    for name, got, expected in zip(("weight", "bias"), result, (given.weight, given.bias), strict=True):
        if form(got) != form(expected):
            return f"returned {name} as {form(got)}; expected {form(expected)}"
        if got.layout != torch.strided or got.is_inference():
            return f"returned {name} as a sparse or an inference tensor; expected an ordinary one"
        if got.requires_grad:
            return f"returned a {name} that requires a gradient, and with it the graph: detach it"
    return None


def form(value: object) -> str:
    """Shape, dtype and device of a tensor; the types of anything else."""
    if isinstance(value, tuple):
        return f"({', '.join(type(v).__name__ for v in value)})"
    if not isinstance(value, Tensor):
        return type(value).__name__
    return f"{tuple(value.shape)} {value.dtype} on {value.device}"


def modified(given: Problem, original: Problem) -> str | None:
    """The complaint about the first of the caller's tensors that was modified, or None."""
    for name in ("x", "y", "weight", "bias"):
        now, before = getattr(given, name), getattr(original, name)
        same = now is before or torch.equal(now, before.to(now.device, now.dtype))
        if now.requires_grad or not same:
            return f"modified the caller's {name}: work on a clone"
    return None


def failure(raised: BaseException, inputs: tuple[Any, ...] | None) -> str:
    """The complaint about an exception of a training that was given these prepared inputs."""
    listed = isinstance(raised, TypeError) and inputs is not None and [type(i) for i in inputs] == [list]
    hint = "; prepare returned a list, which is one argument of train: return a tuple for several" if listed else ""
    return f"raised {described(raised)}{hint}"


def described(raised: BaseException) -> str:
    """An exception in one line: its type, its message, and the line that raised it."""
    frame = traceback.extract_tb(raised.__traceback__)[-1]
    message = " ".join(str(raised).split())
    if len(message) > 200:
        message = f"{message[:60]} ... {message[-135:]}"  # a compiler says the cause at the end
    return f"{type(raised).__name__}: {message} ({Path(frame.filename).name}:{frame.lineno})"


# --- the process --------------------------------------------------------------------------------------------

# torch's older setting, by what it makes of products on a CPU; torch complains where the two do not fit together.
OLDER_PRECISION = {"ieee": "highest", "tf32": "high", "bf16": "medium"}
BACKENDS: Any = torch.backends  # mypy does not see its settings


def matmul_precision() -> tuple[str, ...]:
    """How exactly torch multiplies float32: in general, on CUDA, and on a CPU. "ieee" is exact, "tf32" is not."""
    general = BACKENDS.fp32_precision
    inherited = "ieee" if general == "none" else general
    own = (backend.matmul.fp32_precision for backend in (BACKENDS.cuda, BACKENDS.mkldnn))
    return general, *(inherited if precision == "none" else precision for precision in own)


def set_matmul_precision(precision: tuple[str, ...]) -> None:
    """Sets what `matmul_precision` returns, by torch's older setting as well as by its newer ones."""
    general, on_cuda, on_cpu = precision
    torch.set_float32_matmul_precision(OLDER_PRECISION[on_cpu])
    BACKENDS.fp32_precision = general
    BACKENDS.cuda.matmul.fp32_precision = on_cuda
    BACKENDS.mkldnn.matmul.fp32_precision = on_cpu


def cores() -> set[int] | None:
    """The numbers of the cores that this process may use; None where the system does not tell."""
    return os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else None


def set_cores(allowed: set[int] | None) -> None:
    """Sets what `cores` returns."""
    if allowed is not None:
        os.sched_setaffinity(0, allowed)


def cuda_random_states() -> list[list[int]] | None:
    """The random state of each GPU; None where CUDA is not in use, which asking must not change."""
    if not torch.cuda.is_initialized():
        return None
    return [state.tolist() for state in torch.cuda.get_rng_state_all()]


def set_cuda_random_states(states: list[list[int]] | None) -> None:
    """Sets what `cuda_random_states` returns; GPUs that came into use since then keep theirs."""
    if states is not None:
        torch.cuda.set_rng_state_all([torch.tensor(state, dtype=torch.uint8) for state in states])


# What trainers share with everybody else in the process: how to read it and how to set it.
SHARED: dict[str, tuple[Callable[[], Any], Callable[[Any], object]]] = {
    "torch's number of threads": (torch.get_num_threads, torch.set_num_threads),
    "torch's default dtype": (torch.get_default_dtype, torch.set_default_dtype),
    "torch's default device": (torch.get_default_device, torch.set_default_device),
    "torch's gradient mode": (torch.is_grad_enabled, torch.set_grad_enabled),
    "torch's float32 matmul precision": (matmul_precision, set_matmul_precision),
    "torch's deterministic mode": (
        torch.are_deterministic_algorithms_enabled,
        torch.use_deterministic_algorithms,
    ),
    "torch's random state": (
        lambda: torch.get_rng_state().tolist(),
        lambda state: torch.set_rng_state(torch.tensor(state, dtype=torch.uint8)),
    ),
    "CUDA's random state": (cuda_random_states, set_cuda_random_states),
    "NumPy's random state": (
        lambda: pickle.dumps(np.random.get_state()),
        lambda state: np.random.set_state(pickle.loads(state)),
    ),
    "Python's random state": (random.getstate, random.setstate),
    "torch's autocast": (
        lambda: tuple(map(torch.is_autocast_enabled, DEVICES)),
        lambda enabled: list(map(torch.set_autocast_enabled, DEVICES, enabled)),
    ),
    "torch's anomaly mode": (torch.is_anomaly_enabled, torch.autograd.set_detect_anomaly),
    "what becomes of numbers too small for float32": (
        lambda: (torch.tensor(1e-40) * 1).item() == 0,
        torch.set_flush_denormal,
    ),
    "the garbage collector": (gc.isenabled, lambda enabled: (gc.enable if enabled else gc.disable)()),
    "NumPy's handling of errors": (np.geterr, lambda errors: np.seterr(**errors)),
    "the cores that this process may use": (cores, set_cores),
    "the clock": (lambda: time.perf_counter, lambda clock: setattr(time, "perf_counter", clock)),
}


@contextmanager
def unchanged_process_state() -> Iterator[list[str]]:
    """Yields a list that holds, after the block, the names of what the block changed; and sets that back."""
    before = {name: read() for name, (read, _) in SHARED.items()}
    changed: list[str] = []
    try:
        yield changed
    finally:
        for name, (read, write) in SHARED.items():
            if read() != before[name]:
                changed.append(name)
                write(before[name])
