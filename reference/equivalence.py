"""The checker: does a trainer compute what the reference computes?

What is compared is the update, the trained parameters minus the initial ones, with the update of the oracle,
the reference run in float64. The unit is float32 noise: how far the reference's own float32 update lies from
the oracle on the same problem. Right trainers measure 0.5 to 3, the classic mistakes thousands; LIMIT is the
only threshold, for everybody.
"""

import gc
import math
import os
import pickle
import random
import time
import traceback
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from reference import torch_nn
from reference.problem import LEARNING_RATE, Problem, initial_parameters

LIMIT = 10.0
TOO_NOISY = 1e-3
NOT_COMPUTED = math.nan
DEVICES = ("cpu", "cuda")
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


def update(problem, result):
    """Trained minus initial parameters, weight and bias in one flat float64 tensor on the CPU."""
    weight, bias = (parameter.detach().cpu().double() for parameter in result)
    return torch.cat([(weight - problem.weight.cpu().double()).flatten(), bias - problem.bias.cpu().double()])


def solved(name, problem):
    """The Case of a float32 problem on the CPU: runs the reference in float64 and in float32.

    Raises Unjudgeable.
    """
    truth = torch_nn.train(*problem.to(dtype=torch.float64))
    oracle_update = update(problem, truth)
    noise = (update(problem, torch_nn.train(*problem)) - oracle_update).norm().item()
    size = oracle_update.norm().item()
    if not noise <= TOO_NOISY * size:
        raise Unjudgeable(
            f"{name}: float32 noise is {noise:.2g} where the whole update is {size:.2g}, too much to judge by; "
            "scale the pixels to 0..1, or lower the number of epochs"
        )
    # On a tiny problem the reference can be right by luck; rounding the parameters is always allowed.
    rounding = torch.finfo(torch.float32).eps / 4 * torch.cat([p.flatten() for p in truth]).norm().item()
    return Case(name, problem, oracle_update, max(noise, rounding))


def error(case, result):
    """|update - oracle's update| in float32 noise; NaN or infinite where the result is not finite."""
    return (update(case.problem, result) - case.update).norm().item() / unit(case, result[0].dtype)


def unit(case, dtype):
    """float32 noise, or in float64 the same rounding 29 bits further down."""
    return case.noise * torch.finfo(dtype).eps / torch.finfo(torch.float32).eps


def cases(x, y, classes=10, seed=1):
    """The checker's problems, from the simplest on, with rows from x (rows, features) and y (rows,), on the CPU.

    seed: of the initial weights.
    """

    def problem(rows, batch_size=64, epochs=1, seed=seed, scale=1, lr=LEARNING_RATE):
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
        other,
        solved("pixels of any size and sign", standardised(problem(rows=100))),
        # Large weights round what is added to them more coarsely: 2000 small additions are seen beside one.
        solved("2000 rows at once, large weights", problem(rows=2000, batch_size=2000, scale=10)),
        solved(LARGE_LOGITS, large_logits(problem(rows=80, seed=seed + 1))),
        ragged._replace(name="called again", previous=elsewhere),
        ragged._replace(name="new values in the same tensors", previous=other),
    ]


def generated(like):
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


def standardised(problem):
    """The same problem on pixels ~ N(0, 1 / 4): below 0, above 1, and no multiples of anything."""
    generator = torch.Generator().manual_seed(5)
    return problem._replace(x=torch.randn(problem.x.shape, generator=generator) / 2)


def large_logits(problem):
    """The same problem with its parameters scaled until the largest logit is 1000: too much for exp, in float64 too.

    Then all are lowered, which softmax does not see, until in one row all are too small for exp: -200 at most.
    """
    logits = problem.x @ problem.weight + problem.bias
    scale = 1000 / logits.flatten()[logits.abs().argmax()]
    lowered = (scale * logits).amax(1).min() + 200
    return problem._replace(weight=problem.weight * scale, bias=problem.bias * scale - lowered)


# --- is this one right? -------------------------------------------------------------------------------------


def prepared(implementation, problem):
    """What `train` takes in place of x and y."""
    prepare = getattr(implementation, "prepare", None)
    return prepare(problem.x, problem.y, problem.batch_size) if prepare else (problem.x, problem.y)


def run(implementation, problem):
    """Prepares and trains: the trained weight and bias."""
    return implementation.train(*prepared(implementation, problem), *problem[2:])


def complaint(implementation, cases, device="cpu", dtype=torch.float32):
    """The first complaint as one line, or None: the implementation is right."""
    for finding in findings(implementation, cases, device, dtype):
        if finding.complaint:
            return f"{finding.case}: {finding.complaint}"
    return None


def findings(implementation, cases, device="cpu", dtype=torch.float32):
    """Yields one Finding per case; it trains only as far as it is asked.

    `implementation` is a module with `train`, maybe `prepare`, maybe EXPECTED_TO_FAIL = ("large logits",): the
    one case that a writing may give up, and then must fail, so that the mark cannot outlive its reason.
    """
    gives_up = LARGE_LOGITS in getattr(implementation, "EXPECTED_TO_FAIL", ())
    for case in cases:
        finding = judged(implementation, case, device, dtype)
        if gives_up and case.name == LARGE_LOGITS:
            unexpected = None if finding.complaint else "passes, so take it out of EXPECTED_TO_FAIL"
            finding = finding._replace(complaint=unexpected)
        yield finding


def judged(implementation, case, device="cpu", dtype=torch.float32):
    """The Finding of one case; where the answer is wrong, its complaint says from which batch on."""
    finding = attempt(implementation, case, device, dtype)
    if finding.complaint is None or finding.error is NOT_COMPUTED:
        return finding
    try:
        where, suspicion = first_wrong(implementation, case.problem, device, dtype)
    except Exception as raised:  # it was wrong before it raised
        where, suspicion = f"and raised {described(raised)} when called again", ""
    hint = f": {suspicion}" if suspicion else ""
    return finding._replace(complaint=f"{finding.complaint}; {where}{hint}")


def attempt(implementation, case, device, dtype):
    """The Finding of one case, without the search for where it went wrong."""
    given = (case.previous or case).problem.to(device, dtype)
    if not case.previous:
        return trained(implementation, case, given)[0]
    finding, result, inputs = trained(implementation, case.previous, given)
    if finding.complaint:
        return finding._replace(case=case.name)
    kept = [parameter.clone() for parameter in result]
    for tensor, value in zip(given[:4], case.problem[:4], strict=True):
        tensor.copy_(value)
    same_rows = case.previous.problem.x is case.problem.x
    finding, *_ = trained(implementation, case, given, inputs if same_rows else None)
    if not all(map(torch.equal, kept, result)):
        complaint = "the second call changed what the first had returned: return tensors that stay as they are"
        return Finding(case.name, NOT_COMPUTED, complaint)
    return finding


def trained(implementation, case, given, inputs=None):
    """The Finding of one training on `given`, tensors with the values of the case's problem; its result; its inputs.

    inputs: what was prepared of the same rows before.
    """
    with unchanged_process_state() as changed:
        try:
            inputs = inputs or prepared(implementation, given)
            result = implementation.train(*inputs, *given[2:])
        except (Exception, SystemExit) as raised:
            return Finding(case.name, NOT_COMPUTED, f"raised {described(raised)}"), None, None
    complaint, measured = answer(case, result, given, changed)
    return Finding(case.name, measured, complaint), result, inputs


def answer(case, result, given, changed):
    """The complaint about a result, or None, and its error in float32 noise.

    `given` is what the trainer was given, after training; `changed` names what it changed in the process.
    """
    complaint = misfit(result, given) or modified(given, case.problem)
    if changed:
        complaint = f"changed {', '.join(changed)}: leave the process as it was"
    if complaint:
        return complaint, NOT_COMPUTED
    measured = error(case, result)
    return verdict(measured), measured


def verdict(error):
    """The complaint about an error in float32 noise, or None: it is allowed."""
    if error <= LIMIT:  # never true of NaN
        return None
    if not math.isfinite(error):
        return "the trained parameters are not finite"
    return f"the update is off by {error:.3g} in float32 noise, allowed {LIMIT:g}"


def first_wrong(implementation, problem, device, dtype):
    """Where training first goes wrong, and what that suggests, "" if nothing: two texts.

    Trains on the first batch, the first two, ..., then on more epochs.
    """
    batches = math.ceil(len(problem.x) / problem.batch_size)
    for batch in range(1, batches + 1):
        part = solved("", problem.first_rows(batch * problem.batch_size)._replace(epochs=1))
        finding = attempt(implementation, part, device, dtype)
        if finding.complaint:
            rows = f"rows {(batch - 1) * problem.batch_size} to {len(part.problem.x) - 1}"
            suspect = suspicion if batch == 1 else later_suspicion
            hint = "" if finding.error is NOT_COMPUTED else suspect(implementation, part, device, dtype)
            return f"first wrong at batch {batch} of {batches} ({rows})", hint
    for epoch in range(2, problem.epochs + 1):
        if attempt(implementation, solved("", problem._replace(epochs=epoch)), device, dtype).complaint:
            return f"first wrong in epoch {epoch}", "is anything shuffled, decayed, begun anew or used up by the first?"
    return "right when called alone", "does it remember an earlier call?"


def suspicion(implementation, case, device, dtype):
    """What a wrong first step suggests, as a question that a learner understands, or ""."""
    got, again, other = (updated(implementation, case, device, dtype, seed) for seed in (1, 1, 2))
    if not got.isfinite().all():
        return "does exp overflow, as it does above 88? Subtract the maximum of each row first"
    if not torch.equal(got, again):
        return "two runs differ: does it keep something from one call to the next?"
    if not torch.equal(got, other):
        return "two runs differ: does it depend on a random state?"
    if not got.any():
        return "nothing was trained: is the loop entered, and does the update reach the parameters that are returned?"
    wrong = got - case.update
    allowed = LIMIT * unit(case, dtype)
    classes = len(case.problem.bias)
    if wrong[:-classes].norm() <= allowed:
        return "only the bias is wrong: is its gradient the sum over the rows, and is it subtracted?"
    if wrong[-classes:].norm() <= allowed:
        return "only the weight is wrong: is it laid out as it was given, decayed, or trained with other labels?"
    factor = (got @ case.update / (case.update @ case.update)).item()
    if (got - factor * case.update).norm() <= allowed * max(1, abs(factor)):
        return f"the update is {factor:.4g} times the right one: sum or mean, learning rate, sign?"
    return ""


def later_suspicion(implementation, case, device, dtype):
    """What it suggests that all steps but the last are right."""
    problem = case.problem
    if len(problem.x) % problem.batch_size:
        filled = torch.arange(math.ceil(len(problem.x) / problem.batch_size) * problem.batch_size) % len(problem.x)
        full = solved("", problem._replace(x=problem.x[filled], y=problem.y[filled]))
        if not attempt(implementation, full, device, dtype).complaint:
            return "full batches are right, the short one is not: is it left out, or divided by the full batch size?"
    return "the batches before are right: is a gradient carried over, or the step changed?"


def updated(implementation, case, device, dtype, seed):
    """The `update` that a trainer makes of a case when all random states have been seeded so."""
    with unchanged_process_state():
        torch.manual_seed(seed)
        np.random.seed(seed)
        random.seed(seed)
        return update(case.problem, run(implementation, case.problem.to(device, dtype)))


def misfit(result, given):
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


def form(value):
    """Shape, dtype and device of a tensor; the types of anything else."""
    if isinstance(value, tuple):
        return f"({', '.join(type(v).__name__ for v in value)})"
    if not isinstance(value, Tensor):
        return type(value).__name__
    return f"{tuple(value.shape)} {value.dtype} on {value.device}"


def modified(given, original):
    """The complaint about the first of the caller's tensors that was modified, or None."""
    for name in ("x", "y", "weight", "bias"):
        now = getattr(given, name)
        if now.requires_grad or not torch.equal(now, getattr(original, name).to(now.device, now.dtype)):
            return f"modified the caller's {name}: work on a clone"
    return None


def described(raised):
    """An exception in one line: its type, its message, and the line that raised it."""
    frame = traceback.extract_tb(raised.__traceback__)[-1]
    message = " ".join(str(raised).split())[:200]
    return f"{type(raised).__name__}: {message} ({Path(frame.filename).name}:{frame.lineno})"


# --- the process --------------------------------------------------------------------------------------------

# torch's older setting, by what it makes of products on a CPU; torch complains where the two do not fit together.
OLDER_PRECISION = {"ieee": "highest", "tf32": "high", "bf16": "medium"}


def matmul_precision():
    """How exactly torch multiplies float32: in general, on CUDA, and on a CPU. "ieee" is exact, "tf32" is not."""
    general = torch.backends.fp32_precision
    inherited = "ieee" if general == "none" else general
    own = (backend.matmul.fp32_precision for backend in (torch.backends.cuda, torch.backends.mkldnn))
    return general, *(inherited if precision == "none" else precision for precision in own)


def set_matmul_precision(precision):
    """Sets what `matmul_precision` returns, by torch's older setting as well as by its newer ones."""
    general, on_cuda, on_cpu = precision
    torch.set_float32_matmul_precision(OLDER_PRECISION[on_cpu])
    torch.backends.fp32_precision = general
    torch.backends.cuda.matmul.fp32_precision = on_cuda
    torch.backends.mkldnn.matmul.fp32_precision = on_cpu


def cores():
    """The numbers of the cores that this process may use; None where the system does not tell."""
    return os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else None


def cuda_random_states():
    """The random state of each GPU; None where CUDA is not in use, which asking must not change."""
    if not torch.cuda.is_initialized():
        return None
    return [state.tolist() for state in torch.cuda.get_rng_state_all()]


def set_cuda_random_states(states):
    """Sets what `cuda_random_states` returns; GPUs that came into use since then keep theirs."""
    if states is not None:
        torch.cuda.set_rng_state_all([torch.tensor(state, dtype=torch.uint8) for state in states])


# What trainers share with everybody else in the process: how to read it and how to set it.
SHARED = {
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
    "the cores that this process may use": (cores, lambda allowed: allowed and os.sched_setaffinity(0, allowed)),
    "the clock": (lambda: time.perf_counter, lambda clock: setattr(time, "perf_counter", clock)),
}


@contextmanager
def unchanged_process_state():
    """Yields a list that holds, after the block, the names of what the block changed; and sets that back."""
    before = {name: read() for name, (read, _) in SHARED.items()}
    changed = []
    try:
        yield changed
    finally:
        for name, (read, write) in SHARED.items():
            if read() != before[name]:
                changed.append(name)
                write(before[name])
