"""What the rows of one run share: the data, the checker's problems, the timed ones, the workers."""

from collections.abc import Iterable
from random import Random
from typing import Any

import numpy as np
import torch

import implementations
from benchmarks.measure.aa_check import AACheck
from benchmarks.measure.conditions import Watch
from benchmarks.measure.contest import Contest, Entrant
from benchmarks.measure.refusals import Refusal
from benchmarks.measure.work import limit_threads
from benchmarks.measure.workers import Worker, Workers
from benchmarks.runs.row import Row
from benchmarks.runs.saved import COPY, REFERENCE, Conditions
from reference import equivalence
from reference.datasets import CLASSES, Dataset
from reference.equivalence import Case
from reference.problem import Problem, initial_parameters

AA_SHARE = 0.12  # of the time for pairs, as much as some four rows: it decides what counts in all of them
Counts = dict[str, float | None]
NOT_COUNTED: Counts = {}


class Suite:
    """One run. Use it as a context: at its end its workers are gone.

    Raises ValueError where the settings do not fit the data, and equivalence.Unjudgeable.
    """

    def __init__(self, settings: Any, data: Dataset, sizes: Iterable[tuple], row_count: int, workers: Workers) -> None:
        """sizes: pairs of a number of rows, None for all, and a batch size.  row_count: of the table."""
        if settings.threads:
            limit_threads(settings.threads)  # here the oracle computes
        torch.set_float32_matmul_precision("highest")
        self.settings, self.data, self.sha256 = settings, data, data.sha256
        self.row_count = self.rows_left = row_count
        self.seconds_left = settings.budget * (1 - AA_SHARE)
        self.rows: list[Row] = []  # that have a time
        self.advised = False
        self.contests: dict[tuple, Contest] = {}
        self.aa_checks: dict[str, AACheck] = {}
        self.complaints: dict[tuple, str | None] = {}
        self.counted: dict[tuple, Counts] = {}
        self.workers = workers
        self.timed_cases = {size: self.timed_case(*size) for size in sizes}
        self.cases = equivalence.cases(data.x_train, data.y_train, CLASSES)
        self.files = self.written()
        self.watch = Watch(self.workers.usage)

    def __enter__(self) -> "Suite":
        return self

    def __exit__(self, *_: object) -> None:
        self.workers.__exit__()

    def written(self) -> dict[str, str]:
        """The files of the rows to train on, which all workers map: their pages are in memory once.

        But x twice: what one side of a pair has just read would be in the caches when the other side reads it.
        Raises ValueError where there is no room for them.
        """
        files = {name: self.workers.folder / f"{name}.npy" for name in ("x of own", "x of baseline", "y")}
        for name, path in files.items():
            try:
                np.save(path, (self.data.y_train if name == "y" else self.data.x_train).numpy())
            except OSError as error:
                raise ValueError(
                    f"cannot write to {path.parent.parent}: {error.strerror or error}; make room, or name another "
                    "folder in TMPDIR"
                ) from None
            if self.workers.others:
                self.workers.others.tell("put", path, path.read_bytes())
        return {name: str(path) for name, path in files.items()}

    def timed_case(self, rows: int | None, batch_size: int) -> Case:
        """A timed problem with its answer. Raises ValueError and equivalence.Unjudgeable."""
        taken = rows or self.settings.most_rows
        x, y = self.data.x_train[:taken], self.data.y_train[:taken]
        if rows and rows > len(x):
            raise ValueError(f"--rows {rows}: {self.data.name} has {len(x)} rows to train on")
        weight, bias = initial_parameters(x.shape[1], CLASSES)
        problem = Problem(x, y, weight, bias, batch_size, epochs=self.settings.epochs)
        return equivalence.solved(f"the timed problem ({len(x)} rows, batch {batch_size})", problem)

    def look_around(self) -> None:
        """Says, once, what to do where something else keeps a core busy."""
        advice = Conditions(self.watch.look()).advice(self.settings.threads or torch.get_num_threads())
        if advice and not self.advised:
            self.advised = True
            self.workers.say(advice)

    def on(self, device: str, rows: int | None, batch_size: int) -> Contest:
        """The Contest on one of the timed problems. Only that one, and those of the A/A checks, keep their workers."""
        key = device, rows, batch_size
        if key not in self.contests:
            in_use = [check.contest for check in self.aa_checks.values()]
            for other in [*self.contests]:
                if self.contests[other] not in in_use:
                    self.contests.pop(other).close()
            self.contests[key] = Contest(self, self.timed_cases[rows, batch_size], device)
        return self.contests[key]

    def aa_check(self, device: str) -> AACheck:
        """The A/A check of a device, on the first of the timed problems."""
        if device not in self.aa_checks:
            size, case = next(iter(self.timed_cases.items()))
            contest = self.contests.setdefault((device, *size), Contest(self, case, device))  # closes no other
            seconds = self.settings.budget * AA_SHARE / self.row_count
            self.aa_checks[device] = AACheck(contest, seconds, self.random(COPY))
        return self.aa_checks[device]

    def random(self, name: str) -> Random:
        """What draws lots for this row: the same in every run, another one in each process of a run."""
        return Random(f"{name} {self.settings.part}")

    def complaint(self, entrant: Entrant, device: str) -> str | None:
        """What the checker's problems find wrong with an implementation, or None; they are solved once."""
        key = entrant.name, entrant.source_sha256, device
        if key not in self.complaints:
            self.complaints[key] = equivalence.first_complaint(equivalence.findings_of(entrant, self.cases))
        return self.complaints[key]

    def counts(self, name: str, contest: Contest, worker: Worker | None = None) -> Counts:
        """What a step of an implementation consists of, counted once; nothing where that fails, as it is timed by now.

        worker: that may be spoiled by it, as a profiler slows what comes later; without one, a new one.
        """
        key = name, contest
        if key not in self.counted:
            try:
                self.counted[key] = worker.do("counts", what="counting") if worker else contest.counts(name)
            except Refusal:
                self.counted[key] = NOT_COUNTED
        return self.counted[key]

    def baseline_of(self, name: str) -> str:
        """The name of what this implementation is paired with; the root's parent is the reference."""
        if self.settings.baseline == "parent":
            return implementations.parent(name) or REFERENCE
        return self.settings.baseline
