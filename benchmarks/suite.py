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
from benchmarks.counts import Counts, counts
from benchmarks.floor import floor
from reference import equivalence, torch_nn
from reference.datasets import CLASSES
from reference.problem import Problem, initial_parameters

REFERENCE = "torch_nn"
MOST_PAIRS = 200


class Refused(Exception):
    """An answer that gets no time; the message says why in one line."""


class Entrant(NamedTuple):
    """A trainer that has passed its checks: a function of weight and bias, and what a row says about it.

    train: trains on the timed rows.  source, c_source: its text.  first_call: seconds paid before the first result.
    error: in float32 noise.  counts: per step; None outside torch.
    """

    train: callable
    source: str
    c_source: str
    first_call: float
    error: float
    counts: Counts | None

    def facts(self, prefix=""):
        """What is saved of it beside its times."""
        operations, size, calls = self.counts or (None, None, None)
        return {
            f"{prefix}first_call_seconds": self.first_call,
            f"{prefix}error": self.error,
            f"{prefix}lines": implementations.lines_of_code(self.source)
            + implementations.c_lines_of_code(self.c_source),
            f"{prefix}source_sha256": hashlib.sha256((self.source + self.c_source).encode()).hexdigest(),
            f"{prefix}operations_per_step": operations,
            f"{prefix}bytes_per_step": size,
            f"{prefix}calls_per_step": calls,
        }


class Suite:
    """One run: its data, the checker's problems and the timed ones, one for each number of rows and batch size.

    Raises ValueError where the settings do not fit the data, and equivalence.Unjudgeable.
    """

    def __init__(self, settings, data, sizes, row_count):
        """sizes: pairs of a number of rows, None for all, and a batch size.  row_count: of the table."""
        if settings.threads:
            limit_threads(settings.threads)
        self.settings = settings
        self.data = data
        self.sha256 = data.sha256
        self.seconds_per_row = settings.budget / row_count
        self.timed_cases = {size: self.timed_case(*size) for size in sizes}
        self.cases = equivalence.cases(data.x_train, data.y_train, CLASSES)

    def timed_case(self, rows, batch_size):
        """A timed problem with its answer. Raises ValueError and equivalence.Unjudgeable."""
        x, y = self.data.x_train[:rows], self.data.y_train[:rows]
        if rows and rows > len(x):
            raise ValueError(f"--rows {rows}: {self.data.name} has {len(x)} rows to train on")
        parameters = initial_parameters(x.shape[1], CLASSES)
        problem = Problem(x, y, *parameters, batch_size=batch_size, epochs=self.settings.epochs)
        return equivalence.solved(f"the timed problem ({len(x)} rows, batch {batch_size})", problem)

    @functools.lru_cache(maxsize=1)  # noqa: B019 - one at a time: what rows prepare from their problem is large
    def on(self, device, rows, batch_size):
        """The Contest on one of the timed problems."""
        return Contest(self, self.timed_cases[rows, batch_size], device)

    @functools.cache  # noqa: B019 - a suite lives as long as the run
    def complaint(self, name, device):
        """What the checker's problems find wrong with an implementation, or None."""
        return equivalence.complaint(module(name), self.cases, device)

    def baseline_of(self, name):
        """The name of what this implementation is paired with; the root's parent is the reference."""
        if self.settings.baseline == "parent":
            return implementations.parent(name) or REFERENCE
        return self.settings.baseline


class Contest:
    """One timed problem on one device, and who has passed the checks on it."""

    def __init__(self, suite, timed_case, device):
        self.suite = suite
        self.timed_case = timed_case
        self.device = device
        self.problem = timed_case.problem.to(device)
        self.clock = pairing.clock(device)
        self.entrants = {}

    def measure(self, name, benchmark):
        """Fills the benchmark's times and its extra_info with one row. Raises Refused.

        With --benchmark-disable it checks and does not time.
        """
        own = self.entrant(name)
        if benchmark.disabled:
            return
        baseline_name = self.suite.baseline_of(name)
        try:
            baseline = self.entrant(baseline_name)
        except Refused as refused:
            raise Refused(f"its baseline {baseline_name} has no time: {refused}") from None
        order = pairing.balanced_order(self.pairs(own, baseline), seed=0)
        starts = [self.start(shift) for shift in range(1, len(order) + 1)]
        own_starts, baseline_starts = iter(starts), iter(starts)
        results, baseline_results = [], []
        with equivalence.unchanged_process_state() as changed:
            own_seconds, baseline_seconds = pairing.race(
                benchmark,
                lambda: results.append(own.train(*next(own_starts))),
                lambda: baseline_results.append(baseline.train(*next(baseline_starts))),
                order,
                self.clock,
            )
        errors, baseline_errors = (
            [self.checked(result, changed, start) for result, start in zip(found, starts, strict=True)]
            for found in (results, baseline_results)
        )
        benchmark.group = self.group()
        benchmark.extra_info.update(
            self.facts(),
            name=name,
            parent=implementations.parent(name),
            idea=implementations.first_line(name),
            baseline=baseline_name,
            own_seconds=own_seconds,
            baseline_seconds=baseline_seconds,
            baseline_first=order,
            **own._replace(error=max(errors)).facts(),
            **baseline._replace(error=max(baseline_errors)).facts("baseline_"),
        )

    def start(self, shift=0):
        """Weight and bias to train from, with shift / 1024 added to every bias.

        Softmax does not see what all classes share, so the update is the same; but every timed run starts from
        other numbers, and an answer that was kept from an earlier run fits none of them.
        """
        return self.problem.weight, self.problem.bias + shift / 1024

    def pairs(self, own, baseline):
        """How many pairs: as asked for, or as many as the row's share of the time holds; always even."""
        warm_up = sum(pairing.seconds(lambda e=e: e.train(*self.start()), self.clock) for e in (own, baseline))
        affordable = int(self.suite.seconds_per_row / warm_up) // 2 * 2
        return self.suite.settings.pairs or min(max(affordable, verdict.FEWEST_PAIRS), MOST_PAIRS)

    def entrant(self, name):
        """The Entrant of this name. Raises Refused."""
        if name not in self.entrants:
            self.entrants[name] = self.admitted(name)
        return self.entrants[name]

    def admitted(self, name):
        """Loads, prepares and trains once, the first call; then checks. Raises Refused."""
        missing = [] if name == REFERENCE else implementations.missing(name)
        if missing:
            raise Refused(f"{', '.join(missing)} not installed")
        if name != REFERENCE and self.device not in implementations.devices(name):
            raise Refused(f"does not run on {self.device}")
        x, y, weight, bias, batch_size, *rest = self.problem
        start = self.clock()
        try:
            with equivalence.unchanged_process_state():  # JAX draws a random number when it is imported
                trainer = module(name)
            with equivalence.unchanged_process_state() as changed:
                inputs = trainer.prepare(x, y, batch_size) if hasattr(trainer, "prepare") else (x, y)
                result = trainer.train(*inputs, weight, bias, batch_size, *rest)
        except (Exception, SystemExit) as raised:
            raise Refused(f"raised {equivalence.described(raised)}") from None
        first_call = self.clock() - start
        error = self.checked(result, changed, (weight, bias))
        complaint = self.suite.complaint(name, self.device)
        if complaint:
            raise Refused(complaint)
        source = inspect.getsource(torch_nn) if name == REFERENCE else implementations.source(name)
        return Entrant(
            train=lambda *start: trainer.train(*inputs, *start, batch_size, *rest),
            source=source,
            c_source=implementations.c_source(name),
            first_call=first_call,
            error=error,
            counts=counts(trainer, self.problem),
        )

    def checked(self, result, changed, start):
        """The error of an answer to the timed problem from this start, in float32 noise. Raises Refused."""
        given = self.problem._replace(weight=start[0], bias=start[1])
        case = self.timed_case._replace(problem=self.timed_case.problem._replace(bias=start[1].cpu()))
        complaint, error = equivalence.answer(case, result, given, changed)
        if complaint:
            raise Refused(f"the timed problem: {complaint}")
        return error

    @functools.cached_property
    def floor(self):
        """The Floor of the timed problem."""
        return floor(self.problem)

    def facts(self):
        """What every row carries, so that an unfair comparison can be refused: plain strings and numbers."""
        return {
            "dataset": self.suite.data.name,
            "dataset_origin": self.suite.data.origin,
            "dataset_sha256": self.suite.sha256,
            "rows": len(self.problem.x),
            "features": self.problem.x.shape[1],
            "classes": CLASSES,
            "batch_size": self.problem.batch_size,
            "epochs": self.problem.epochs,
            "learning_rate": self.problem.lr,
            "steps": self.problem.steps,
            "dtype": "float32",
            "device": self.device,
            "device_name": device_name(self.device),
            "threads": torch.get_num_threads(),
            "system": platform.system(),
            "python": platform.python_version(),
            "torch": torch.__version__,
            "numpy": np.__version__,
            "bytes_per_second": self.floor.bytes_per_second,
            "flops_per_second": self.floor.flops_per_second,
            "floor_seconds": self.floor.seconds,
        }

    def group(self):
        """The group of a row in pytest-benchmark's own tables: rows that answer one question in one place."""
        facts = self.facts()
        words = ("dataset_sha256", "rows", "batch_size", "epochs", "device_name", "threads")
        return ", ".join(f"{word} {str(facts[word])[:24]}" for word in words)


def module(name):
    """The module of an implementation or of the reference."""
    return torch_nn if name == REFERENCE else implementations.load(name)


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
