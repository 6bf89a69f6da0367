"""The ladder: the rows of a run, fastest first, as bars on a logarithmic scale; and the price of each idea."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from benchmarks.runs import sources
from benchmarks.runs.row import Row, Setting, Side
from benchmarks.runs.saved import Run, RunError
from benchmarks.runs.statistics import Estimate
from benchmarks.show import cells, layers, table
from benchmarks.show.cells import Cells

Runs = Mapping[str, Run]  # by the names of their files
Problem = tuple[object, ...]  # with the machine that it was given
FAMILIES = {  # each with its colour
    **{"autograd": "#d55e00", "nn": "#0072b2", "manual": "#009e73", "numpy": "#e69f00", "numba": "#c98500"},
    **{"jax": "#cc79a7", "compile": "#8b5fbf", "native": "#56b4e9", "graph": "#76b900", "triton": "#b5651d"},
    **{"allreduce": "#a23b5e", "ddp": "#5c6bc0"},
}
OTHER_FAMILY = "#888888"
TICKS = (0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 100, 300, 1000, 3000)


@dataclass(frozen=True)
class Scale:
    """From ratios to places on a line: 0 is its left end, 100 its right."""

    low: float
    high: float

    def at(self, ratio: float) -> float:
        """Where a ratio stands; what lies beyond an end stands there."""
        inside = min(max(ratio, self.low), self.high)
        return round(100 * math.log(inside / self.low) / math.log(self.high / self.low), 2)

    @property
    def ticks(self) -> list[float]:
        """Which ratios the axis names: none too close to an end to be read."""
        return [tick for tick in TICKS if 4 < self.at(tick) < 96]


@dataclass(frozen=True)
class Rung:
    """One row. judged: with the interval that its word is judged by; None where it has no word, or is the reference."""

    name: str
    cells: Cells
    ratio: Estimate
    judged: Estimate | None
    word: str
    is_reference: bool
    is_gone: bool
    has_changed: bool

    @property
    def family(self) -> str:
        """What stands before the first _ of the name."""
        return self.name.partition("_")[0]


@dataclass(frozen=True)
class Ladder:
    """The rows of one device of a run in which all share a baseline, fastest first.

    floor: as a ratio, of the baseline's time; that and its text.  untimed: ids of rows and the reasons.
    """

    run: Run
    baseline: str
    setting: Setting
    rungs: Sequence[Rung]
    floor: float
    untimed: Sequence[tuple[str, str]]

    @property
    def fastest(self) -> Rung | None:
        """The first that is not the reference."""
        return next((rung for rung in self.rungs if not rung.is_reference), None)

    @property
    def reference(self) -> Rung:
        """The baseline's own row."""
        return next(rung for rung in self.rungs if rung.is_reference)

    @property
    def floor_text(self) -> str:
        """As the table has it."""
        return self.reference.cells["x floor"]

    @property
    def scale(self) -> Scale:
        """What all intervals, 1 and the floor fit on."""
        bounds = [bound for rung in self.rungs for bound in (*rung.ratio, *(rung.judged or ()))]
        finite = [bound for bound in (*bounds, self.floor) if 1e-4 < bound < 1e6]
        return Scale(min(finite) / 1.1, max(finite) * 1.1)


@dataclass(frozen=True)
class Price:
    """What an idea costs or saves in one run. cells: of the row.  layer: of the price list, by its columns."""

    setting: Setting
    against: str
    word: str
    cells: Cells
    layer: Mapping[str, str]
    has_changed: bool


def problem(setting: Setting) -> Problem:
    """What must be the same where the price of one run explains what another one shows."""
    machine = setting.device_name, setting.device, setting.threads
    return *machine, setting.dataset_sha256, setting.rows, setting.batch_size, setting.epochs


def check(runs: Runs) -> None:
    """Raises RunError where two runs of a kind hold the same row: nothing says which to show."""
    seen: dict[tuple[object, ...], str] = {}
    for file, run in runs.items():
        kind = bool(table.varying(run.rows)), shares_baseline(run)
        for row in run.rows:
            machine = row.setting.device_name
            other = seen.setdefault((*kind, *row.key, row.baseline.name, machine, row.setting.threads), file)
            if other != file:
                raise RunError(
                    f"{other} and {file} both hold {cells.row_id(row.own.name, row.setting.device)} against "
                    f"{row.baseline.name} on {machine}: give one of them"
                )


def shares_baseline(run: Run) -> bool:
    """Whether there are rows, and all are beside the same."""
    return len({row.baseline.name for row in run.rows}) == 1


def ladders(runs: Runs) -> list[Ladder]:
    """A Ladder for each device of each run of one problem whose rows share a baseline."""
    return [found for run in runs.values() for found in of_run(run)]


def of_run(run: Run) -> Iterator[Ladder]:
    """Those of one run."""
    if table.varying(run.rows) or not shares_baseline(run):
        return
    for device in sorted({row.setting.device for row in run.rows}):
        rows = [row for row in run.rows if row.setting.device == device]
        setting = rows[0].setting
        beside = median(second for row in rows for second in row.baseline.seconds)
        rungs = [reference(rows), *(rung(run, row) for row in rows)]
        yield Ladder(
            run=run,
            baseline=rows[0].baseline.name,
            setting=setting,
            rungs=sorted(rungs, key=lambda rung: (-rung.ratio.value, rung.name)),
            floor=beside / setting.floor_seconds,
            untimed=[(name, reason) for name, reason in run.untimed if name.endswith(f"-{device}")],
        )


def rung(run: Run, row: Row) -> Rung:
    """The Rung of a row."""
    return Rung(
        name=row.own.name,
        cells=cells.of_row(run, row),
        ratio=run.ratio(row),
        judged=run.judged(row),
        word=run.words.get(row.key, ""),
        is_reference=False,
        is_gone=sha256(row.own.name) is None,
        has_changed=has_changed(row.own),
    )


def reference(rows: Sequence[Row]) -> Rung:
    """The Rung of what all these rows were timed beside."""
    beside = rows[0].baseline
    return Rung(
        name=beside.name,
        cells=cells.of_reference(rows),
        ratio=Estimate(1, 1, 1),
        judged=None,
        word="",
        is_reference=True,
        is_gone=sha256(beside.name) is None,
        has_changed=has_changed(beside),
    )


def sha256(name: str) -> str | None:
    """Of the source as it is now; None where the file is gone."""
    try:
        return sources.sha256(name)
    except OSError:
        return None


def has_changed(side: Side) -> bool:
    """Whether the source is there and another one than was timed."""
    return sha256(side.name) not in (None, side.source_sha256)


def untimed_elsewhere(runs: Runs, found: Sequence[Ladder]) -> list[tuple[str, str]]:
    """The rows of all runs that have no time and stand below none of these ladders, each with the reason, once."""
    below = {name for ladder in found for name, _ in ladder.untimed}
    reasons = {name: reason for run in runs.values() for name, reason in run.untimed if name not in below}
    return sorted(reasons.items())


def prices(runs: Runs) -> dict[str, list[Price]]:
    """By name what each idea costs or saves against its parent, in each run that says it."""
    found: dict[str, list[Price]] = {}
    for run in runs.values():
        for row in run.rows if not table.varying(run.rows) else ():
            if row.parent == row.baseline.name:
                found.setdefault(row.own.name, []).append(price(run, row))
    return found


def price(run: Run, row: Row) -> Price:
    """The Price that one row shows."""
    return Price(
        setting=row.setting,
        against=row.baseline.name,
        word=run.words.get(row.key, ""),
        cells=cells.of_row(run, row),
        layer=dict(zip(layers.COLUMNS, layers.line(run, row, several_devices=False), strict=True)),
        has_changed=has_changed(row.own) or has_changed(row.baseline),
    )


def reasons(runs: Runs) -> dict[str, str]:
    """By name why a row has no time, where no run has one."""
    return {name.partition("-")[0]: reason for run in runs.values() for name, reason in run.untimed}
