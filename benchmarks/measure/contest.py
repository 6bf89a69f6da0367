"""One timed problem on one device: who has passed the checks on it, and how a row of it is measured."""

import functools
import hashlib
import importlib.metadata
import inspect
import itertools
import platform
from collections.abc import Callable, Iterator, Sequence
from random import Random
from statistics import median
from time import perf_counter
from typing import Any

import cpuinfo
import numpy as np
import torch

import implementations
from benchmarks.measure import cores, machines, race, slices, stopwatch
from benchmarks.measure.race import Pair, Turn
from benchmarks.measure.refusals import Lacking, NotComparable, Refusal, Wrong
from benchmarks.measure.slices import Slice, Task
from benchmarks.measure.stopwatch import Time
from benchmarks.measure.work import TimedProblem
from benchmarks.measure.workers import Worker
from benchmarks.runs import sources, statistics
from benchmarks.runs.row import FINGERPRINT, Row, Setting, Side, clean
from benchmarks.runs.saved import COPY, REFERENCE
from reference import equivalence
from reference.equivalence import Answer, Case
from reference.problem import Problem, arrays, random_parameters
from reference.ranks import BACKENDS

MOST_PAIRS = 1000
LEAST_IN_PART = 4  # pairs of a row in each of several processes
TRIES = 5  # of slices beside whole runs, where the first is off
KNOWN_AMONG = 4  # the first pairs, one of which has an answer that the oracle knows


class Entrant:
    """An implementation in a worker of its own, which has passed its checks: one side of a race.

    hardware: what its worker says of device and threads.  first_call_seconds: paid before the first result.  error: the
    largest so far, in float32 noise.  slowdown: what the proof plants, as a share of each timed run.  source_sha256: of
    its source when its worker was started, even if somebody changes it later.
    """

    def __init__(
        self, name: str, worker: Worker, hardware: dict[str, Any], first_call_seconds: float, source_sha256: str
    ) -> None:
        self.name, self.worker, self.hardware, self.first_call_seconds = name, worker, hardware, first_call_seconds
        self.source_sha256 = source_sha256
        self.error = self.slowdown = 0.0

    # What it is asked as a trainer by the checker, see equivalence.Trainer.
    dtype = torch.float32

    @property
    def gives_up(self) -> tuple[str, ...]:
        """The names of the checker's problems in which it says that it fails."""
        return self.worker.do("gives_up")

    def answers(self, problem: Problem, previous: Problem | None = None, seed: int | None = None) -> list[Answer]:
        """What its worker answers to one of the checker's problems."""
        given, first = arrays(problem), previous and arrays(previous)
        if previous and first and previous.x is problem.x:
            given = (first[0], *given[1:])  # stays one array on its way
        return self.worker.do("answers", given, first, seed, what="one of the checker's problems")

    # What a race needs of a side.
    def train(self, task: Task) -> Turn:
        """One timed run."""
        time, answer = self.worker.do("train", task, self.slowdown, what="a timed run")
        if answer.complaint:
            raise Wrong(of_timed_problem(answer.complaint))
        return Turn(time, answer)

    def rest(self) -> None:
        """Returns when its worker computes no more."""
        self.worker.rest()

    def check_rested(self, seconds: float) -> None:
        """Raises Wrong if its worker has computed since."""
        self.worker.check_rested(seconds)

    @property
    def placement(self) -> dict[str, Any]:
        """Its ranks, as a row says it; each None for one process."""
        return {field: self.hardware.get(field) for field in ("processes", "hosts", "threads_per_process", "backend")}

    def side(self, turns: Sequence[Turn], counts: dict[str, Any] | None) -> Side:
        """What a row says of it."""
        source, c_source = sources.sources(self.name)
        call_seconds = [turn.time.call_seconds for turn in turns if turn.time.call_seconds is not None]
        return Side(
            name=self.name,
            first_call_seconds=self.first_call_seconds,
            error=self.error,
            lines=implementations.lines_of_code(source) + implementations.c_lines_of_code(c_source),
            source_sha256=self.source_sha256,
            **self.placement,
            seconds=tuple(turn.time.seconds for turn in turns),
            cpu_seconds=tuple(turn.time.cpu_seconds for turn in turns),
            call_seconds=median(call_seconds) if call_seconds else None,
            **(counts or {}),
        )


class Blamed:
    """A side whose faults make a row not comparable, not wrong."""

    def __init__(self, side: Entrant) -> None:
        self.train, self.rest, self.check_rested = (
            blamed(method) for method in (side.train, side.rest, side.check_rested)
        )


def blamed(function: Callable, whom: str = "its baseline") -> Callable:
    """The function, but what is wrong in it makes a row not comparable, not wrong."""

    def call(*arguments: Any) -> Any:
        try:
            return function(*arguments)
        except Wrong as wrong:
            raise NotComparable(f"{whom}: {wrong}") from None

    return call


class Contest:
    """One timed problem on one device."""

    def __init__(self, suite: Any, case: Case, device: str) -> None:
        """suite: the Suite that it belongs to.  case: the timed problem with its answer."""
        self.suite, self.case, self.device = suite, case, device
        self.baselines: dict[str, Entrant] = {}
        self.refused: dict[str, NotComparable] = {}  # baselines that are not tried again

    def close(self) -> None:
        """Ends its workers."""
        for entrant in self.baselines.values():
            entrant.worker.stop()
        self.baselines.clear()

    def measure(self, name: str, benchmark: Any) -> Row | None:
        """One row; the benchmark keeps its times. None with --benchmark-disable: it checks and does not time.

        Raises a Refusal.
        """
        seconds = self.suite.seconds_left / self.suite.rows_left
        self.suite.rows_left -= 1
        self.suite.look_around()
        own = self.admitted(name)
        try:
            if benchmark.disabled:
                return None
            own.rest()  # or it would slow what is measured beside the rows
            baseline = self.baseline(self.suite.baseline_of(name))
            benchmark.group = self.group(own, baseline)  # before the race, which notes it
            self.suite.aa_check(self.device).go_on()
            whole = self.suite.settings.whole
            places = self.places_for(own, baseline, is_whole=None if whole is None else benchmark.param in whole)
            most, begun = self.suite.settings.pairs or MOST_PAIRS, perf_counter()
            seconds = min(seconds, own.worker.seconds_left / 2)  # or --timeout would end its pairs
            order = race.balanced_order(most, self.suite.random(name))

            def run(own: Any, baseline: Any, tasks: Iterator[Task]) -> list[Pair]:
                return race.race(benchmark, own, baseline, tasks, order, self.enough(seconds))

            pairs = self.raced(own, baseline, name, places, run)
            self.suite.seconds_left -= perf_counter() - begun
            return self.row(own, baseline, pairs)
        finally:
            own.worker.stop()

    def baseline(self, name: str) -> Entrant:
        """The Entrant that rows are put beside; the reference's stays, of the others the last. Raises NotComparable."""
        if name in self.refused:
            raise self.refused[name]
        if name not in self.baselines or self.baselines[name].worker.status is not None:
            for other in [other for other in self.baselines if other == name or REFERENCE not in (other, name)]:
                self.baselines.pop(other).worker.stop()
            try:
                self.baselines[name] = self.admitted(name, "baseline")
            except Refusal as refused:
                self.refused[name] = NotComparable(f"its baseline {name} has no time: {refused}")
                raise self.refused[name] from None
        self.baselines[name].worker.give(self.suite.settings.timeout)
        return self.baselines[name]

    def raced(
        self, own: Entrant, baseline: Entrant, name: str, places: Sequence[Slice], run: Callable[..., list[Pair]]
    ) -> list[Pair]:
        """The Pairs of run(own side, baseline's side, tasks) on slices from these places, every result checked.

        Raises Wrong if the own side is, NotComparable if its baseline is.
        """
        self.begin(own, baseline, places)
        stopwatch.comes_to_rest(stopwatch.computing_threads)  # this process, too
        pairs = run(own, Blamed(baseline), self.tasks(self.suite.random(f"{name} starts"), places))
        self.end(own)
        blamed(self.end)(baseline)
        for pair in pairs:
            self.check(own, baseline, pair)
        return pairs

    def begin(self, own: Entrant, baseline: Entrant, places: Sequence[Slice]) -> None:
        """Makes both ready for timed runs, if they are not."""
        own.worker.do("begin", places)
        blamed(baseline.worker.do)("begin", places)

    def end(self, entrant: Entrant) -> None:
        """Raises Wrong if an entrant has changed its process or its rows in the timed runs that are over."""
        if complaint := entrant.worker.do("end"):
            raise Wrong(of_timed_problem(complaint))

    def tasks(self, random: Random, places: Sequence[Slice]) -> Iterator[Task]:
        """Endlessly Tasks, each from random parameters of its own; of one of the first the oracle knows the answer."""
        known = random.randrange(min(KNOWN_AMONG, self.suite.settings.pairs or KNOWN_AMONG))
        for number in itertools.count():
            if number == known:
                yield self.known(bool(places))[0]
            else:
                yield self.task(random, places)

    def task(self, random: Random, places: Sequence[Slice]) -> Task:
        """One of them."""
        weight, bias = random_parameters(*self.shape, seed=random.getrandbits(32))
        return Task((weight.numpy(), bias.numpy()), slices.drawn(places, random), cores.own())

    @functools.cache  # noqa: B019 - a contest lives as long as the run
    def known(self, sliced: bool) -> tuple[Task, Case]:
        """A Task on slices, or on all rows, with its answer; found once. Raises NotComparable."""
        task = self.task(self.suite.random("the known task"), self.places if sliced else ())
        return task, solved("the timed problem", self.problem_of(task))

    def problem_of(self, task: Task) -> Problem:
        """The Problem that it is: slices one after the other are a training on the rows of all of them."""
        weight, bias = map(torch.from_numpy, task.start)
        problem = self.case.problem._replace(weight=weight, bias=bias)
        if not task.slices:
            return problem
        size = problem.batch_size
        index = torch.cat([torch.arange(each.first, each.first + each.steps * size) for each in task.slices])
        return problem._replace(x=problem.x[index], y=problem.y[index], epochs=1)

    def check(self, own: Entrant, baseline: Entrant, pair: Pair) -> None:
        """Raises Wrong or NotComparable if one of the pair's results is wrong.

        Results that agree within the limit pass, as both come from the same task; where they do not agree, and
        where its answer is known, the oracle decides which is wrong.
        """
        known, case = self.known(bool(pair.task.slices))
        if pair.task is not known:
            if equivalence.distance(case, pair.own.answer, pair.baseline.answer) <= equivalence.LIMIT:
                return
            case = solved("the timed problem", self.problem_of(pair.task))
        own.error = max(own.error, self.checked(pair.own.answer, case))
        baseline.error = max(baseline.error, blamed(self.checked)(pair.baseline.answer, case))

    def checked(self, answer: Answer, case: Case) -> float:
        """The error of an answer, in float32 noise. Raises Wrong."""
        finding = equivalence.found(case, answer)
        if finding.complaint:
            raise Wrong(of_timed_problem(finding.complaint))
        return finding.error

    def enough(self, seconds: float) -> Callable[[int], bool]:
        """What says whether so many pairs are enough: as many as asked for, or when these seconds are over."""
        settings = self.suite.settings
        if settings.pairs:
            return race.until(seconds, least=settings.pairs, most=settings.pairs)
        for_a_word = statistics.fewest_pairs(statistics.LEVEL / self.suite.row_count)
        return race.until(seconds, least=for_a_word if settings.part is None else LEAST_IN_PART)

    @functools.cached_property
    def places(self) -> tuple[Slice, ...]:
        """Where slices of the timed problem may lie; none on a GPU, where some train in one piece and all are fast."""
        problem = self.case.problem
        return slices.places(len(problem.x), problem.batch_size, problem.epochs) if self.device == "cpu" else ()

    def places_for(self, own: Entrant, baseline: Entrant, is_whole: bool | None = None) -> tuple[Slice, ...]:
        """The same, or none where these two are better timed by whole runs. A warm-up, too: no row has its times.

        is_whole: whether they are, where the first of several processes has found that out.
        """
        if is_whole is not None:
            places = () if is_whole else self.places
            self.times(own, baseline, places, 0)
            return places
        quotients: list[float] = []
        for number in range(TRIES):
            whole = self.times(own, baseline, (), number)
            sliced = self.places and self.times(own, baseline, self.places, number)
            if not (sliced and slices.fit(*sliced, self.case.problem.steps)):
                return ()
            quotients.append(slices.quotient(sliced, whole))
            if number == 0 and slices.agree(quotients):  # only where the first try is off are there others
                return self.places
        return self.places if slices.agree(quotients) else ()

    def times(self, own: Entrant, baseline: Entrant, places: Sequence[Slice], number: int) -> tuple[Time, Time]:
        """Of one run of each side, on the task of this number. Raises Wrong or NotComparable if a result is wrong."""
        self.begin(own, baseline, places)
        pair = race.pair(own, Blamed(baseline), self.task(Random(number), places), number % 2 == 0)
        self.check(own, baseline, pair)
        return pair.own.time, pair.baseline.time

    def lacks(self, name: str) -> str:
        """What an implementation needs and does not find on this device, in words; "" if it can run."""
        if (lacks := implementations.lacks(name, self.device)) or self.device != "cuda":
            return lacks
        return implementations.too_old(name, self.baseline(REFERENCE).hardware["capability"])

    def lacks_ranks(self, name: str) -> str:
        """What it needs more of for its ranks than there is, in words; "" if it can run."""
        least, ranks = implementations.processes(name), self.ranks_of(name)
        if ranks < least:
            return f"trains in at least {least} processes: --ranks {least}"
        if ranks > 1 and self.device not in BACKENDS:
            return f"trains in several processes, on {' or '.join(BACKENDS)}"
        if self.device == "cuda" and ranks // machines.count() > torch.cuda.device_count():
            return f"needs a GPU for each of its ranks; {torch.cuda.device_count()} of them are here"
        return ""

    def ranks_of(self, name: str) -> int:
        """How many ranks an implementation trains in."""
        several = name not in (REFERENCE, COPY) and implementations.processes(name) > 1
        return self.suite.settings.ranks if several else 1

    def admitted(self, name: str, side: str = "own") -> Entrant:
        """The Entrant of this name: starts a worker, trains once, the first call, and checks. Raises a Refusal.

        side: of a pair, "own" or "baseline"; the two do not read the same pages.
        """
        if name not in (REFERENCE, COPY):
            if complaint := implementations.misdeclared(name):
                raise Wrong(complaint)
            if self.device not in implementations.devices(name):
                raise NotComparable(f"does not run on {self.device}")
            if lacks := self.lacks(name) or self.lacks_ranks(name):
                raise Lacking(lacks)
        ranks = self.ranks_of(name)
        threads = self.suite.settings.threads
        source_sha256 = sources.sha256(name)
        worker = self.suite.workers.start(name, ranks)
        try:
            worker.give(self.suite.settings.timeout)
            if ranks > 1:  # those of one machine share what one process would have there
                threads = max(1, (threads or torch.get_num_threads()) * machines.count() // ranks)
            hardware = worker.do("hardware", self.device, threads, what="its start")
            first = worker.do("first_call", name, self.device, self.timed_problem(side), what="its first call")
            if first.lacks is not None:
                raise Lacking(first.lacks)
            entrant = Entrant(name, worker, hardware, first.seconds, source_sha256)
            entrant.error = self.checked(first.answer, self.case)
            if complaint := self.suite.complaint(entrant, self.device):
                raise Wrong(complaint)
            return entrant
        except BaseException:
            worker.stop()
            raise

    def counts(self, name: str) -> dict[str, float | None]:
        """What a step consists of, counted in a worker that does nothing else. Raises a Refusal."""
        entrant = self.admitted(name)
        try:
            return entrant.worker.do("counts", what="counting")
        finally:
            entrant.worker.stop()

    @property
    def shape(self) -> tuple[int, int]:
        """Features and classes."""
        features, classes = self.case.problem.weight.shape
        return features, classes

    def timed_problem(self, side: str) -> TimedProblem:
        """The timed problem as the workers of one side are given it."""
        files = self.suite.files
        x, _, weight, bias, batch_size, lr, epochs = arrays(self.case.problem)
        return TimedProblem(files[f"x of {side}"], files["y"], len(x), (weight, bias), batch_size, lr, epochs)

    @functools.cached_property
    def setting(self) -> Setting:
        """What every row carries, so that an unfair comparison can be refused."""
        problem, data, reference = self.case.problem, self.suite.data, self.baseline(REFERENCE)
        hardware, floor = reference.hardware, blamed(reference.worker.do, "the floor")("floor")
        return Setting(
            dataset=clean(data.name),
            dataset_origin=clean(data.origin),
            dataset_sha256=self.suite.sha256,
            rows=len(problem.x),
            features=problem.x.shape[1],
            classes=len(problem.bias),
            batch_size=problem.batch_size,
            epochs=problem.epochs,
            learning_rate=problem.lr,
            steps=problem.steps,
            dtype="float32",
            device=self.device,
            device_name=hardware["device_name"] or cpu_name(),
            threads=hardware["threads"],
            system=platform.system(),
            python=platform.python_version(),
            torch=torch.__version__,
            numpy=np.__version__,
            **{package: version(package) for package in ("numba", "jax", "triton")},
            checker_sha256=checker_sha256(),
            bytes_per_second=floor.bytes_per_second,
            flops_per_second=floor.flops_per_second,
            hand_off_seconds=floor.hand_off_seconds,
            floor_seconds=floor.seconds,
        )

    def row(self, own: Entrant, baseline: Entrant, pairs: list[Pair]) -> Row:
        """What was measured. Now that it has its times, steps are counted, but for an A/A check, and in one process."""
        is_counted = own.name != COPY and self.suite.settings.part in (None, 0)  # the others would count the same
        counts = self.suite.counts if is_counted else None
        return Row(
            setting=self.setting,
            own=own.side([pair.own for pair in pairs], counts and counts(own.name, self, own.worker)),
            baseline=baseline.side([pair.baseline for pair in pairs], counts and counts(baseline.name, self)),
            parent=None if own.name == COPY else implementations.parent(own.name),
            idea=None if own.name == COPY else clean(implementations.first_line(own.name)),
            slice_rows=slices.LONG * self.case.problem.batch_size if pairs[0].task.slices else None,
            process=(0,) * len(pairs),
            start_seconds=tuple(pair.begun for pair in pairs),
            baseline_first=tuple(pair.baseline_first for pair in pairs),
        )

    def group(self, own: Entrant, baseline: Entrant) -> str:
        """The group of a row in pytest-benchmark's own tables: rows that answer one question in one place."""
        facts = vars(self.setting) | {"baseline_source_sha256": baseline.source_sha256}
        for prefix, entrant in (("", own), ("baseline_", baseline)):
            facts |= {f"{prefix}{field}": value for field, value in entrant.placement.items()}
        words = [
            f"{word} {facts[word]}" for word in ("dataset", "rows", "batch_size", "epochs", "device_name", "threads")
        ]
        all_of_it = repr([facts[field] for field in FINGERPRINT])
        return ", ".join([*words, f"fingerprint {hashlib.sha256(all_of_it.encode()).hexdigest()[:12]}"])


def solved(name: str, problem: Problem) -> Case:
    """A timed problem from other parameters, with its answer. Raises NotComparable where float32 has none."""
    try:
        return equivalence.solved(name, problem)
    except equivalence.Unjudgeable as unjudgeable:
        raise NotComparable(f"from another start, {unjudgeable}") from None


def of_timed_problem(complaint: str) -> str:
    """The complaint with where it was found, unless it says so itself."""
    return complaint if complaint.startswith("raised ") else f"the timed problem: {complaint}"


@functools.cache
def checker_sha256() -> str:
    """Which checker it was: the hash of what it consists of."""
    text = inspect.getsource(equivalence) + inspect.getsource(Problem)
    return hashlib.sha256(text.encode()).hexdigest()


@functools.cache
def version(package: str) -> str:
    """The version of an installed package, or "none"."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "none"


@functools.cache
def cpu_name() -> str:
    """The processor's name, the number of cores this process may use, and torch's vector instructions."""
    name = clean(cpuinfo.get_cpu_info().get("brand_raw") or "") or platform.machine()  # some end in NUL
    return f"{name}, {machines.cores()} cores, {torch.backends.cpu.get_cpu_capability()}"
