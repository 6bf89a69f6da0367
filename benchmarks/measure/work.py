"""What a worker can be told to do: train, be checked, be timed. It runs in the process of one implementation."""

import os
import sys
from collections.abc import Sequence
from contextlib import AbstractContextManager
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np
import torch
from threadpoolctl import threadpool_limits
from torch import Tensor

import implementations
from benchmarks.measure import cores, counts, floor, slices
from benchmarks.measure.lacking import lacking
from benchmarks.measure.refusals import Refusal
from benchmarks.measure.slices import Slice, Task
from benchmarks.measure.stopwatch import Time, clock, timed
from benchmarks.runs.saved import COPY, REFERENCE
from reference import accelerator, equivalence, torch_nn
from reference.equivalence import Answer
from reference.problem import Problem

WAKING_STEPS = 10  # of a part of the rows, untimed, right before the clock starts
WAKING_SHARE = 8  # they are at most one in so many of the rows

Start = tuple[np.ndarray, np.ndarray]  # weight (features, classes) and bias (classes,), float32
Part = tuple[Problem, tuple[Any, ...]]  # some of the timed rows, and what was prepared of them


class TimedProblem(NamedTuple):
    """A problem whose rows lie in files that all workers map: .npy of x (n, features) float32 and y (n,) int64.

    rows: how many of them count.  start: weight (features, classes) and bias (classes,), float32 arrays.
    """

    x_file: str
    y_file: str
    rows: int
    start: Start
    batch_size: int
    lr: float
    epochs: int

    def problem(self, device: str) -> Problem:
        """The Problem on a device. On a CPU its rows are the files' own pages, as long as nobody writes to them."""
        x, y = (torch.from_numpy(np.load(file, mmap_mode="c")[: self.rows]) for file in (self.x_file, self.y_file))
        weight, bias = tensors(self.start, device)
        return Problem(x.to(device), y.to(device), weight, bias, self.batch_size, self.lr, self.epochs)


class FirstCall(NamedTuple):
    """What an implementation did when it was called first. seconds: with its import and its `prepare`.

    lacks: what it needs and did not find, in words, or None.
    """

    seconds: float
    answer: Answer
    lacks: str | None


Reply = tuple[str, Any]  # how it went, and what came of it: "done" and the answer, "raised" or "wrong" and the words


class Work:
    """What a worker can be told to do. Everything that goes in or out can be pickled without torch's own ways."""

    def hardware(self, device: str, threads: int | None) -> dict[str, Any]:
        """Takes so many threads, or as many as libraries choose. Returns what rows say of the process and device."""
        if threads:
            limit_threads(threads)
        torch.set_float32_matmul_precision("highest")  # no TF32, whatever the environment asks for
        if device != "cpu":
            torch.ones(2, 2, device=device) @ torch.ones(2, 2, device=device)  # sets it up: nobody's first call
        return {
            "threads": torch.get_num_threads(),
            "device_name": accelerator.name(device) if device != "cpu" else None,
            "capability": torch.cuda.get_device_capability() if device == "cuda" else None,
        }

    def first_call(self, name: str, device: str, timed_problem: TimedProblem) -> FirstCall:
        """Imports, prepares and trains once: the FirstCall."""
        self.device, self.clock, self.timed_problem = device, clock(device), timed_problem
        self.parts: dict[Slice | None, Part] = {}
        self.problem = given = timed_problem.problem(device)
        self.inputs: Any = None
        start = self.clock()
        try:
            with equivalence.unchanged_process_state():  # what an import changes is not the trainer's doing
                self.module = module(name)
            self.trainer = equivalence.Trainer(self.module, device)
            modules = len(sys.modules)
            with equivalence.unchanged_process_state() as changed:
                self.inputs = equivalence.prepared(self.module, given)
                result = self.module.train(*self.inputs, *given[2:])
            changed = [] if len(sys.modules) > modules else changed
            seconds = self.clock() - start
        except (Exception, SystemExit) as raised:
            if lacks := lacking(raised):
                return FirstCall(0.0, Answer(None, None), lacks)
            return FirstCall(0.0, Answer(None, equivalence.failure(raised, self.inputs)), None)
        return FirstCall(seconds, equivalence.answered(result, given, given, changed), None)

    def gives_up(self) -> tuple[str, ...]:
        """The names of the checker's problems in which it says that it fails."""
        return self.trainer.gives_up

    def answers(self, problem: tuple, previous: tuple | None, seed: int | None) -> list[Answer]:
        """The Answers to a problem and to what is to be solved before it; given as of `reference.problem.arrays`."""
        given = unpacked(problem)
        if not previous:
            return self.trainer.answers(given, seed=seed)
        first = unpacked(previous)
        if previous[0] is problem[0]:
            given = given._replace(x=first.x)
        return self.trainer.answers(given, first, seed)

    state: AbstractContextManager[list[str]] | None = None

    def begin(self, places: Sequence[Slice]) -> None:
        """Makes ready for timed runs on slices from these places, unless that has been done; none: on all rows."""
        if not self.parts:
            rows = min(WAKING_STEPS * self.problem.batch_size, max(len(self.problem.x) // WAKING_SHARE, 1))
            self.waking = self.part(0, rows)
            self.parts[None] = self.problem, self.inputs
        for place in places:
            if place not in self.parts:
                self.parts[place] = self.part(place.first, place.steps * self.problem.batch_size)
        if not self.state:
            self.wake()
            self.state = equivalence.unchanged_process_state()
            self.changed = self.state.__enter__()

    def part(self, first: int, count: int) -> Part:
        """The Part of so many rows, for one epoch."""
        rows = slice(first, first + count)
        problem = self.problem._replace(x=self.problem.x[rows], y=self.problem.y[rows], epochs=1)
        return problem, equivalence.prepared(self.module, problem)

    def wake(self) -> None:
        """Trains on the first rows: caches and threads are as they are in the middle of a training."""
        problem, inputs = self.waking
        self.module.train(*inputs, *problem[2:])

    busy_cores = 0.0  # the most in a timed run so far, 0 before the first

    def wake_on(self, core: int | None) -> None:
        """The same, begun on this core, where the timed run goes on; only its first thread if several work at once."""
        with cores.begun_on(core, with_all_threads=0 < self.busy_cores <= cores.ONE):
            self.wake()

    def train(self, task: Task, slowdown: float = 0.0) -> tuple[Time, Answer]:
        """A timed run: its Time and its Answer.

        slowdown: compute on to no purpose for this share of the time it took. The proof plants it.
        """
        answer = Answer(task.start, None)
        times: dict[int | None, list[Time]] = {}  # by steps
        try:
            self.wake_on(task.core)
        except (Exception, SystemExit) as raised:
            return Time(0.0, 0.0), Answer(None, f"raised {equivalence.described(raised)}")
        for place in task.slices or (None,):
            time, answer = self.lap(*self.parts[place], answer.result, slowdown)
            if answer.complaint or not all(np.isfinite(array).all() for array in answer.result):  # no start for others
                return time, answer
            times.setdefault(place and place.steps, []).append(time)
        time = self.time_of_run(times)
        self.busy_cores = max(self.busy_cores, time.cpu_seconds / time.seconds)
        return time, answer

    def time_of_run(self, times: dict[int | None, list[Time]]) -> Time:
        """The Time of a run from those of its laps, by their steps; None stands for all rows at once."""
        if None in times:
            return times[None][0]
        return slices.time_of_run(times[slices.LONG], times[slices.SHORT], self.problem.steps)

    def lap(self, problem: Problem, inputs: tuple, start: Start, slowdown: float) -> tuple[Time, Answer]:
        """One timed call from these parameters: its Time and its Answer."""
        weight, bias = tensors(start, self.device)
        given = problem._replace(weight=weight, bias=bias)
        try:
            time, result = timed(lambda: self.module.train(*inputs, *given[2:]), self.clock, slowdown)
        except (Exception, SystemExit) as raised:
            return Time(0.0, 0.0), Answer(None, f"raised {equivalence.described(raised)}")
        original = given._replace(weight=tensors(start)[0], bias=tensors(start)[1])  # x and y: when all have ended
        return time, equivalence.answered(result, given, original)

    def end(self) -> str | None:
        """What is wrong with the process or the caller's rows after all timed runs, or None."""
        if self.state:
            self.state.__exit__(None, None, None)
            self.state = None
        original = self.timed_problem.problem("cpu")
        if complaint := equivalence.modified(self.problem, original):
            return complaint
        return equivalence.changed_complaint(self.changed)

    def counts(self) -> dict[str, float | None]:
        """What a step consists of, as saved."""
        return counts.counted(self.module, self.problem)

    def floor(self) -> floor.Floor:
        """The Floor of the timed problem on this device."""
        return floor.floor(self.problem)


def carried_out(work: Work, order: str, arguments: Sequence[Any]) -> Reply:
    """The Reply to an order. A child that a trainer forked and that came back here ends."""
    process = os.getpid()
    reply: Reply
    try:
        reply = "done", getattr(work, order)(*arguments)
    except Refusal as refusal:
        reply = "wrong", str(refusal)
    except BaseException as raised:  # a trainer may even interrupt its own process
        reply = "raised", equivalence.described(raised)
    if os.getpid() != process:
        os._exit(0)
    return reply


def tensors(arrays: Sequence[Any], device: str = "cpu") -> tuple[Tensor, ...]:
    """New tensors of arrays."""
    return tuple(torch.tensor(array, device=device) for array in arrays)


def unpacked(problem: tuple) -> Problem:
    """The Problem of what `reference.problem.arrays` makes of it."""
    x, y, weight, bias = map(torch.from_numpy, problem[:4])
    return Problem(x, y, weight, bias, *problem[4:])


def module(name: str) -> ModuleType:
    """The module of an implementation, or of the reference: its copy is the same module in another process."""
    return torch_nn if name in (REFERENCE, COPY) else implementations.load(name)


def limit_threads(threads: int) -> None:
    """Gives torch's pool, NumPy's BLAS and what is loaded later as many threads, for the rest of the process."""
    torch.set_num_threads(threads)
    threadpool_limits(threads)
    for variable in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS", "NPROC"):
        os.environ[variable] = str(threads)  # NPROC: JAX
