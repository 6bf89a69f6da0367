"""What the rows of one run share, and how one of them is measured."""

import functools
import hashlib
import inspect
import os
import platform
from typing import NamedTuple

import cpuinfo
import numpy as np
import torch
from threadpoolctl import threadpool_limits

import implementations
from benchmarks import pairing, verdict
from reference import equivalence, torch_nn
from reference.datasets import CLASSES
from reference.problem import Problem, initial_parameters

REFERENCE = "torch_nn"
MOST_PAIRS = 200


class Refused(Exception):
    """An answer that gets no time; the message says why in one line."""


class Entrant(NamedTuple):
    """A trainer that has passed its checks: a function of weight and bias, and what a row says about it.

    train: trains on the timed rows.  source: its text.  first_call: seconds paid before the first result.
    error: in float32 noise.
    """

    train: callable
    source: str
    first_call: float
    error: float

    def facts(self, prefix=""):
        """What is saved of it beside its times."""
        return {
            f"{prefix}first_call_seconds": self.first_call,
            f"{prefix}error": self.error,
            f"{prefix}lines": implementations.lines_of_code(self.source),
            f"{prefix}source_sha256": hashlib.sha256(self.source.encode()).hexdigest(),
        }


class Suite:
    """One run: its problem, the answer to it, and the checker's problems.

    Raises ValueError where the settings do not fit the data, and equivalence.Unjudgeable.
    """

    def __init__(self, settings, data, row_count):
        rows = settings.rows or len(data.x_train)
        if rows > len(data.x_train):
            raise ValueError(f"--rows {rows}: {data.name} has {len(data.x_train)} rows to train on")
        if settings.threads:
            limit_threads(settings.threads)
        x, y = data.x_train[:rows], data.y_train[:rows]
        parameters = initial_parameters(x.shape[1], CLASSES)
        problem = Problem(x, y, *parameters, batch_size=settings.batch_size, epochs=settings.epochs)
        self.settings = settings
        self.data = data
        self.seconds_per_row = settings.budget / row_count
        self.timed_case = equivalence.solved("the timed problem", problem)
        self.cases = equivalence.cases(x, y, CLASSES)
        self.sha256 = data.sha256

    def measure(self, name, device, benchmark):
        """Fills the benchmark's times and its extra_info with one row. Raises Refused.

        With --benchmark-disable it checks and does not time.
        """
        own = self.entrant(name, device)
        if benchmark.disabled:
            return
        baseline_name = self.baseline_of(name)
        try:
            baseline = self.entrant(baseline_name, device)
        except Refused as refused:
            raise Refused(f"its baseline {baseline_name} has no time: {refused}") from None
        clock = pairing.clock(device)
        order = pairing.balanced_order(self.pairs(own, baseline, device), seed=0)
        starts = [self.start(device, shift) for shift in range(1, len(order) + 1)]
        own_starts, baseline_starts = iter(starts), iter(starts)
        results, baseline_results = [], []
        with equivalence.unchanged_process_state() as changed:
            own_seconds, baseline_seconds = pairing.race(
                benchmark,
                lambda: results.append(own.train(*next(own_starts))),
                lambda: baseline_results.append(baseline.train(*next(baseline_starts))),
                order,
                clock,
            )
        errors, baseline_errors = (
            [self.checked(result, device, changed, start) for result, start in zip(found, starts, strict=True)]
            for found in (results, baseline_results)
        )
        benchmark.group = self.group(device)
        benchmark.extra_info.update(
            self.facts(device),
            name=name,
            parent=implementations.parent(name),
            baseline=baseline_name,
            own_seconds=own_seconds,
            baseline_seconds=baseline_seconds,
            baseline_first=order,
            **own._replace(error=max(errors)).facts(),
            **baseline._replace(error=max(baseline_errors)).facts("baseline_"),
        )

    def baseline_of(self, name):
        """The name of what this implementation is paired with; the root's parent is the reference."""
        if self.settings.baseline == "parent":
            return implementations.parent(name) or REFERENCE
        return self.settings.baseline

    def start(self, device, shift=0):
        """Weight and bias to train from, with shift / 1024 added to every bias.

        Softmax does not see what all classes share, so the update is the same; but every timed run starts from
        other numbers, and an answer that was kept from an earlier run fits none of them.
        """
        problem = self.problem_on(device)
        return problem.weight, problem.bias + shift / 1024

    def pairs(self, own, baseline, device):
        """How many pairs: as asked for, or as many as the row's share of the time holds; always even."""
        clock = pairing.clock(device)
        warm_up = sum(pairing.seconds(lambda e=e: e.train(*self.start(device)), clock) for e in (own, baseline))
        affordable = int(self.seconds_per_row / warm_up) // 2 * 2
        return self.settings.pairs or min(max(affordable, verdict.FEWEST_PAIRS), MOST_PAIRS)

    @functools.cache  # noqa: B019 - a suite lives as long as the run
    def problem_on(self, device):
        """The timed problem on a device."""
        return self.timed_case.problem.to(device)

    @functools.cache  # noqa: B019
    def entrant(self, name, device):
        """Loads, prepares and trains once, the first call; then checks. Raises Refused."""
        missing = [] if name == REFERENCE else implementations.missing(name)
        if missing:
            raise Refused(f"{', '.join(missing)} not installed")
        if name != REFERENCE and device not in implementations.devices(name):
            raise Refused(f"does not run on {device}")
        x, y, weight, bias, batch_size, *rest = self.problem_on(device)
        clock = pairing.clock(device)
        with equivalence.unchanged_process_state() as changed:
            start = clock()
            try:
                module = torch_nn if name == REFERENCE else implementations.load(name)
                inputs = module.prepare(x, y, batch_size) if hasattr(module, "prepare") else (x, y)
                result = module.train(*inputs, weight, bias, batch_size, *rest)
            except (Exception, SystemExit) as raised:
                raise Refused(f"raised {equivalence.described(raised)}") from None
            first_call = clock() - start
        error = self.checked(result, device, changed, (weight, bias))
        complaint = equivalence.complaint(module, self.cases, device)
        if complaint:
            raise Refused(complaint)
        source = inspect.getsource(torch_nn) if name == REFERENCE else implementations.source(name)
        return Entrant(lambda *start: module.train(*inputs, *start, batch_size, *rest), source, first_call, error)

    def checked(self, result, device, changed, start):
        """The error of an answer to the timed problem from this start, in float32 noise. Raises Refused."""
        given = self.problem_on(device)._replace(weight=start[0], bias=start[1])
        case = self.timed_case._replace(problem=self.timed_case.problem._replace(bias=start[1].cpu()))
        complaint, error = equivalence.answer(case, result, given, changed)
        if complaint:
            raise Refused(f"the timed problem: {complaint}")
        return error

    def facts(self, device):
        """What every row carries, so that an unfair comparison can be refused: plain strings and numbers."""
        problem = self.timed_case.problem
        return {
            "dataset": self.data.name,
            "dataset_origin": self.data.origin,
            "dataset_sha256": self.sha256,
            "rows": len(problem.x),
            "features": problem.x.shape[1],
            "classes": CLASSES,
            "batch_size": problem.batch_size,
            "epochs": problem.epochs,
            "learning_rate": problem.lr,
            "steps": problem.steps,
            "dtype": "float32",
            "device": device,
            "device_name": device_name(device),
            "threads": torch.get_num_threads(),
            "system": platform.system(),
            "python": platform.python_version(),
            "torch": torch.__version__,
            "numpy": np.__version__,
        }

    def group(self, device):
        """The group of a row in pytest-benchmark's own tables: rows that answer one question in one place."""
        facts = self.facts(device)
        words = ("dataset_sha256", "rows", "batch_size", "epochs", "device_name", "threads")
        return ", ".join(f"{word} {str(facts[word])[:24]}" for word in words)


def device_name(device):
    """What the hardware calls itself."""
    if device == "cuda":
        return torch.cuda.get_device_name()
    return cpu_name()


@functools.cache
def cpu_name():
    """The processor's name, the number of cores this process may use, and torch's vector instructions."""
    name = cpuinfo.get_cpu_info().get("brand_raw") or platform.machine()
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return f"{name}, {cores} cores, {torch.backends.cpu.get_cpu_capability()}"


def limit_threads(threads):
    """Gives torch's pool, NumPy's BLAS and what is loaded later as many threads, for the rest of the process."""
    torch.set_num_threads(threads)
    threadpool_limits(threads)
    for variable in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS", "NPROC"):
        os.environ[variable] = str(threads)  # NPROC: JAX
