"""What the rows of one run share, and how one of them is measured."""

import functools
import hashlib
import importlib.metadata
import importlib.util
import inspect
import math
import os
import platform
import random
from time import perf_counter
from typing import NamedTuple

import cpuinfo
import numpy as np
import torch
from threadpoolctl import threadpool_limits

import implementations
from benchmarks.measure import race
from benchmarks.measure.conditions import Watch
from benchmarks.measure.counts import counted
from benchmarks.measure.floor import floor
from benchmarks.runs import saved, statistics
from benchmarks.runs.row import FINGERPRINT, Row, clean, joined
from reference import equivalence, torch_nn
from reference.datasets import CLASSES
from reference.problem import Problem, initial_parameters

REFERENCE = "torch_nn"
COPY = saved.COPY
MOST_LOOKS = 7  # the last is at 64 times as many pairs as the first
MOST_PAIRS = 200
LEAST_IN_PART = 4  # pairs of a row in each of several processes
AA_SHARE = 0.25  # of the time for pairs


class Wrong(Exception):
    """An answer that is wrong, or none, gets no time; the message says why in one line."""


class NotComparable(Exception):
    """A row that cannot be put beside its baseline; the message says why in one line."""


class Entrant(NamedTuple):
    """A trainer that has passed its checks: a function of weight and bias, and what a row says about it.

    train: trains on the timed rows.  source, c_source: its text.  first_call: seconds paid before the first result.
    error: in float32 noise.
    """

    train: callable
    source: str
    c_source: str
    first_call: float
    error: float

    def facts(self, prefix=""):
        """What is saved of it beside its times."""
        return {
            f"{prefix}first_call_seconds": self.first_call,
            f"{prefix}error": self.error,
            f"{prefix}lines": implementations.lines_of_code(self.source)
            + implementations.c_lines_of_code(self.c_source),
            f"{prefix}source_sha256": hashlib.sha256((self.source + self.c_source).encode()).hexdigest(),
        }


class Suite:
    """One run: its data, the checker's problems and the timed ones, one for each number of rows and batch size.

    Raises ValueError where the settings do not fit the data, and equivalence.Unjudgeable.
    """

    def __init__(self, settings, data, sizes, row_count):
        """sizes: pairs of a number of rows, None for all, and a batch size.  row_count: of the table."""
        if settings.threads:
            limit_threads(settings.threads)
        torch.set_float32_matmul_precision("highest")  # no TF32, whatever the environment asks for
        self.settings = settings
        self.data = data
        self.sha256 = data.sha256
        self.row_count = self.rows_left = row_count
        self.seconds_left = settings.budget * (1 - AA_SHARE)
        self.watch = Watch()
        self.aa_checks = {}
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

    def aa_check(self, device):
        """The AACheck of a device, on the first of the timed problems."""
        if device not in self.aa_checks:
            contest = Contest(self, next(iter(self.timed_cases.values())), device)
            seconds = self.settings.budget * AA_SHARE / self.row_count
            self.aa_checks[device] = AACheck(contest, seconds, self.random(COPY))
        return self.aa_checks[device]

    def count(self, rows):
        """Adds to timed rows what their steps consist of, and those of their baselines."""
        problems = {(len(case.problem.x), case.problem.batch_size): case.problem for case in self.timed_cases.values()}

        @functools.lru_cache(maxsize=1)
        def problem_on(device, *size):
            return problems[size].to(device)

        @functools.cache
        def counts(name, *place):
            return counted(module(name), problem_on(*place))

        for row in rows:
            place = row["device"], row["rows"], row["batch_size"]
            row.update(counts(row["name"], *place))
            row.update({f"baseline_{field}": value for field, value in counts(row["baseline"], *place).items()})

    def random(self, name):
        """What shuffles the order of this row's pairs: the same in every run, another one in each process of a run."""
        return random.Random(f"{name} {self.settings.part}")

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
        self.timed_case = timed_case._replace(problem=timed_case.problem.to(device))  # every result is compared with it
        self.device = device
        self.problem = timed_case.problem.to(device)
        self.clock = race.clock(device)
        self.entrants = {}
        if device == "cuda":
            self.floor  # noqa: B018 - measured now, so that what CUDA sets up once is nobody's first call

    def measure(self, name, benchmark):
        """Fills the benchmark's times and its extra_info with one row. Raises Wrong and NotComparable.

        With --benchmark-disable it checks and does not time.
        """
        seconds = self.suite.seconds_left / self.suite.rows_left
        self.suite.rows_left -= 1
        own = self.entrant(name)
        if benchmark.disabled:
            return
        baseline_name = self.suite.baseline_of(name)
        try:
            baseline = self.entrant(baseline_name)
        except (Wrong, NotComparable) as refused:
            raise NotComparable(f"its baseline {baseline_name} has no time: {refused}") from None
        benchmark.group = self.group()  # before the race, which notes it
        blamed(lambda: self.suite.aa_check(self.device).go_on(), "the A/A check")()
        looks, enough = self.plan(name, own, baseline, seconds)
        start = perf_counter()
        facts = self.raced(
            own,
            baseline,
            sum(map(len, looks)),
            lambda own, baseline, after: race.race(benchmark, own, baseline, looks, enough, self.clock, after),
        )
        self.suite.seconds_left -= perf_counter() - start
        names = {"name": name, "parent": implementations.parent(name), "baseline": baseline_name}
        names |= {"idea": clean(implementations.first_line(name)), "first_look": len(looks[0]) if looks[1:] else 0}
        benchmark.extra_info.update(Row.from_dict(self.facts() | facts | names).to_dict())

    def raced(self, own, baseline, most_pairs, race):
        """What race(own side, baseline's side, after) measures: the facts of both.

        Every result is checked as it was when its clock stopped, and again when all have ended: it may neither come
        later nor be overwritten. Raises Wrong if the own side is, NotComparable if its baseline is.
        """
        starts = [self.start(shift) for shift in range(1, most_pairs + 1)]
        results, baseline_results = [], []
        latest = None

        def side(entrant, kept):
            unused = iter(starts)

            def run():
                nonlocal latest
                latest = kept, entrant.train(*next(unused))

            return run

        def keep():
            kept, result = latest
            kept.append((copied(result), result))

        with equivalence.unchanged_process_state() as changed:
            pairs = race(side(own, results), blamed(side(baseline, baseline_results)), keep)

        def error(found):
            checked = [
                self.checked(result, changed, start)
                for both, start in zip(found, starts, strict=False)
                for result in both
            ]
            return max(checked)

        return {
            **pair_facts(pairs),
            **own._replace(error=error(results)).facts(),
            **baseline._replace(error=blamed(error)(baseline_results)).facts("baseline_"),
        }

    def start(self, shift=0):
        """Weight and bias to train from, with shift / 1024 added to every bias, and a part of that to every weight.

        Softmax does not see what all classes share, so the update is the same; but every timed run starts from
        other numbers, and an answer that was kept from an earlier run fits none of them.
        """
        return self.problem.weight + shift / 2**14, self.problem.bias + shift / 2**10

    def seconds_of_a_pair(self, own, baseline):
        """How long a pair takes with all that is around it; a warm-up, too, as nobody sees its times."""
        start = perf_counter()
        race.pair(*(lambda side=side: side.train(*self.start()) for side in (own, baseline)), True, self.clock)
        return perf_counter() - start

    def plan(self, name, own, baseline, seconds):
        """The looks of a row's race, for which there are so many seconds, and what decides whether it needs the next.

        As many pairs as asked for; else, in one of several processes, as many as the row's share of the time holds,
        as only all processes together give a word; else twice as many at each look, until the interval gives a
        word that holds however many other rows have none, or until the next look would exceed the row's share.
        """
        suite, settings, shuffle = self.suite, self.suite.settings, self.suite.random(name)
        per_pair = self.seconds_of_a_pair(own, baseline)
        if settings.pairs or settings.part is not None:
            affordable = min(max(int(seconds / per_pair) // 2 * 2, LEAST_IN_PART), MOST_PAIRS)
            return [race.balanced_order(settings.pairs or affordable, shuffle)], None
        looks = statistics.pairs_by_look(suite.row_count, MOST_LOOKS)

        def enough(pairs):
            if 2 * len(pairs) * per_pair > seconds:
                return True
            logs = [math.log(pair.baseline.seconds / pair.own.seconds) for pair in pairs]
            return statistics.is_clear(logs, looks[0], suite.row_count, settings.margin)

        return [race.balanced_order(count, shuffle) for count in looks], enough

    def lacks(self, name):
        """What an implementation needs and does not find on this device, in words; "" if it can run."""
        missing = implementations.missing(name, self.device)
        if missing:
            return f"{', '.join(missing)} not installed"
        return implementations.too_old(name, torch.cuda.get_device_capability()) if self.device == "cuda" else ""

    def entrant(self, name):
        """The Entrant of this name. Raises Wrong and NotComparable."""
        if name not in self.entrants:
            self.entrants[name] = self.admitted(name)
        return self.entrants[name]

    def admitted(self, name):
        """Loads, prepares and trains once, the first call; then checks. Raises Wrong and NotComparable."""
        if name not in (REFERENCE, COPY):
            if self.device not in implementations.devices(name):
                raise NotComparable(f"does not run on {self.device}")
            if lacks := self.lacks(name):
                raise NotComparable(lacks)
        _, _, weight, bias, batch_size, *rest = self.problem
        start = self.clock()
        try:
            with equivalence.unchanged_process_state():  # JAX draws a random number when it is imported
                trainer = module(name)
            with equivalence.unchanged_process_state() as changed:
                inputs = equivalence.prepared(trainer, self.problem)
                result = trainer.train(*inputs, weight, bias, batch_size, *rest)
        except (Exception, SystemExit) as raised:
            raise Wrong(f"raised {equivalence.described(raised)}") from None
        first_call = self.clock() - start
        error = self.checked(result, changed, (weight, bias))
        complaint = self.suite.complaint(name, self.device)
        if complaint:
            raise Wrong(complaint)
        source = inspect.getsource(torch_nn) if name in (REFERENCE, COPY) else implementations.source(name)

        def train(*start):
            try:
                return trainer.train(*inputs, *start, batch_size, *rest)
            except (Exception, SystemExit) as raised:
                raise Wrong(f"raised {equivalence.described(raised)}") from None

        return Entrant(
            train=train,
            source=source,
            c_source=implementations.c_source(name),
            first_call=first_call,
            error=error,
        )

    def checked(self, result, changed, start):
        """The error of an answer to the timed problem from this start, in float32 noise. Raises Wrong."""
        given = self.problem._replace(weight=start[0], bias=start[1])
        case = self.timed_case._replace(problem=self.timed_case.problem._replace(weight=start[0], bias=start[1]))
        complaint, error = equivalence.answer(case, result, given, changed)
        if complaint:
            raise Wrong(f"the timed problem: {complaint}")
        return error

    @functools.cached_property
    def floor(self):
        """The Floor of the timed problem."""
        return floor(self.problem)

    def facts(self):
        """What every row carries, so that an unfair comparison can be refused: plain strings and numbers."""
        return {
            "dataset": clean(self.suite.data.name),
            "dataset_origin": clean(self.suite.data.origin),
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
            **{package: version(package) for package in ("numba", "jax", "triton")},
            "checker_sha256": checker_sha256(),
            "bytes_per_second": self.floor.bytes_per_second,
            "flops_per_second": self.floor.flops_per_second,
            "hand_off_seconds": self.floor.hand_off_seconds,
            "floor_seconds": self.floor.seconds,
        }

    def group(self):
        """The group of a row in pytest-benchmark's own tables: rows that answer one question in one place."""
        facts = self.facts() | {"baseline_source_sha256": self.entrant(REFERENCE).facts()["source_sha256"]}
        shown = ("dataset", "rows", "batch_size", "epochs", "device_name", "threads")
        words = [f"{word} {facts[word]}" for word in shown]
        all_of_it = repr([facts[field] for field in FINGERPRINT])
        return ", ".join([*words, f"fingerprint {hashlib.sha256(all_of_it.encode()).hexdigest()[:12]}"])


class AACheck:
    """The reference raced against a copy of itself, a few pairs before each row, so that it meets the whole run.

    What it finds is none: if it finds a difference, so might every row.
    """

    def __init__(self, contest, seconds, random):
        """seconds: for the pairs before each row."""
        self.contest = contest
        self.random = random
        self.sides = contest.entrant(COPY), contest.entrant(REFERENCE)
        most = (contest.suite.settings.pairs or MOST_PAIRS) / contest.suite.row_count
        self.pairs_each = max(int(min(seconds / contest.seconds_of_a_pair(*self.sides), most)) // 2 * 2, 2)
        self.found = []

    def go_on(self):
        """Races a few pairs; before the first row so many that there is an interval. Raises Wrong."""
        self.contest.suite.watch.look()
        least = 0 if self.found else statistics.FEWEST_PAIRS
        order = race.balanced_order(max(self.pairs_each, least), self.random)
        clock = self.contest.clock
        self.found.append(
            self.contest.raced(
                *self.sides,
                len(order),
                lambda own, baseline, after: [race.pair(own, baseline, first, clock, after) for first in order],
            )
        )

    def row(self):
        """What is saved of it: a Row as any other."""
        facts = self.contest.facts() | {"name": COPY, "baseline": REFERENCE, "first_look": 0}
        return joined([Row.from_dict(facts | found) for found in self.found])


def blamed(function, whom="its baseline"):
    """The function, but what is wrong in it makes a row not comparable, not wrong."""

    def call(*arguments):
        try:
            return function(*arguments)
        except Wrong as wrong:
            raise NotComparable(f"{whom}: {wrong}") from None

    return call


def copied(result):
    """A result as it is now; what is no tensor is left to the checks."""
    if not isinstance(result, tuple):
        return result
    return tuple(part.detach().clone() if isinstance(part, torch.Tensor) else part for part in result)


def pair_facts(pairs):
    """What is saved of pairs: a list for each fact, in their order."""
    return {
        "pairs": len(pairs),
        "process": [0] * len(pairs),
        "start_seconds": [pair.start for pair in pairs],
        "baseline_first": [pair.baseline_first for pair in pairs],
        "own_seconds": [pair.own.seconds for pair in pairs],
        "baseline_seconds": [pair.baseline.seconds for pair in pairs],
        "own_cpu_seconds": [pair.own.cpu_seconds for pair in pairs],
        "baseline_cpu_seconds": [pair.baseline.cpu_seconds for pair in pairs],
    }


@functools.cache
def checker_sha256():
    """Which checker it was: the hash of what it consists of."""
    text = inspect.getsource(equivalence) + inspect.getsource(Problem)
    return hashlib.sha256(text.encode()).hexdigest()


@functools.cache
def version(package):
    """The version of an installed package, or "none"."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "none"


@functools.cache
def copy_of_reference():
    """The reference loaded once more, as a module that shares nothing with it."""
    spec = importlib.util.spec_from_file_location(COPY, torch_nn.__file__)
    copy = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(copy)
    return copy


def module(name):
    """The module of an implementation, of the reference or of its copy."""
    if name == COPY:
        return copy_of_reference()
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
