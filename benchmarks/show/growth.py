"""How time grows with the batch size and with the number of rows, from a run that has several of them.

A time here is the baseline's median on a problem over the row's ratio to it: rows of one problem are then as far
apart as their ratios say, whatever the machine did between them.
"""

import itertools
import math
from collections.abc import Mapping, Sequence
from statistics import median
from typing import Literal, NamedTuple

import numpy as np
from scipy.optimize import nnls

from benchmarks.runs.saved import REFERENCE, Run
from benchmarks.runs.statistics import Estimate
from benchmarks.show import cells, table

MOST_CROSSINGS = 6


class Point(NamedTuple):
    """The time of one row. rows: per epoch.  seconds: per epoch, with the interval from low to high."""

    rows: int
    batch_size: int
    seconds: float
    low: float
    high: float

    @property
    def steps(self) -> int:
        """Per epoch."""
        return math.ceil(self.rows / self.batch_size)


Points = Sequence[Point]  # of one implementation or family, on several problems
Field = Literal["rows", "batch_size"]


class Fit(NamedTuple):
    """Seconds an epoch = dispatch * steps + arithmetic.  within: the largest relative deviation of a point."""

    dispatch: float
    arithmetic: float
    within: float


class Panel(NamedTuple):
    """What one picture shows. by_name: Points by batch size.  families: the fastest of each.  floor: in seconds."""

    device: str
    rows: int
    by_name: dict[str, Points]
    families: dict[str, Points]
    floor: float


# --- times --------------------------------------------------------------------------------------------------


def points(run: Run, device: str) -> dict[str, Points]:
    """The Points of each implementation on a device, and of the baseline, by name."""
    found: dict[str, list[Point]] = {}
    for place in sorted({row.place for row in run.rows if row.setting.device == device}):
        beside = [row for row in run.rows if row.place == place]
        setting = beside[0].setting
        baseline = median(second for row in beside for second in row.baseline.seconds) / setting.epochs
        baseline_itself = {beside[0].baseline.name: Estimate(1, 1, 1)}
        ratios = baseline_itself | {row.own.name: run.ratio(row) for row in beside}
        for name, ratio in ratios.items():
            seconds = baseline / ratio.value, baseline / ratio.high, baseline / ratio.low
            found.setdefault(name, []).append(Point(setting.rows, setting.batch_size, *seconds))
    return dict(found)


def line(own: Points, fixed: Field, free: Field) -> Points:
    """The Points that share the value of field `fixed` that most have, sorted by `free`.

    If several have as many: the most rows or the smallest batch, where there is most to do and most steps to do it in.
    """
    values = sorted((getattr(point, fixed) for point in own), reverse=fixed == "rows")
    value = max(values, key=values.count)
    return sorted((point for point in own if getattr(point, fixed) == value), key=lambda point: getattr(point, free))


def lines(run: Run, device: str, fixed: Field, free: Field) -> dict[str, Points]:
    """By name the `line` of each implementation that has all values of `free` that the longest of them has."""
    found = {name: line(own, fixed, free) for name, own in points(run, device).items()}
    longest = max(found.values(), key=len)
    sizes = [point[:2] for point in longest]
    return {name: own for name, own in found.items() if [point[:2] for point in own] == sizes and len(own) > 1}


def families(by_name: Mapping[str, Points]) -> dict[str, Points]:
    """The fastest Point of each family at each batch size; a family is what stands before the first _ of a name.

    The reference is a family of its own.
    """
    found: dict[str, list[Points]] = {}
    for name, own in by_name.items():
        found.setdefault(name if name == REFERENCE else name.partition("_")[0], []).append(own)
    return {
        family: [min(same, key=lambda point: point.seconds) for same in zip(*members, strict=True)]
        for family, members in found.items()
    }


# --- what follows from them ---------------------------------------------------------------------------------


def fitted(own: Points) -> Fit:
    """The Fit of some Points: the least squares of relative errors in which neither part is negative."""
    steps, seconds = np.array([(point.steps, point.seconds) for point in own]).T
    parts = np.stack([steps, np.ones_like(steps)], axis=1) / seconds[:, None]
    (dispatch, arithmetic), _ = nnls(parts, np.ones_like(seconds))
    return Fit(dispatch, arithmetic, abs(parts @ (dispatch, arithmetic) - 1).max())


def exponent(own: Points) -> tuple[float, float, float]:
    """The slope of log seconds over log rows, by least squares, and its least and greatest within the intervals."""
    logs = np.log([point.rows for point in own])
    weights = (logs - logs.mean()) / ((logs - logs.mean()) ** 2).sum()
    seconds, low, high = np.log([(point.seconds, point.low, point.high) for point in own]).T
    return weights @ seconds, weights @ np.where(weights > 0, low, high), weights @ np.where(weights > 0, high, low)


def crossings(families: Mapping[str, Points]) -> list[str]:
    """The sentences on families that change places between the least and the largest batch size.

    Those that the fits explain come first, then the clearest. Only where the intervals at both ends are apart: a
    difference that is not there is never reported.
    """
    found = []
    for late, early in itertools.permutations(families, 2):
        (slow, *_, fast), (fast_first, *_, slow_last) = families[late], families[early]
        clear = min(slow.low / fast_first.high, slow_last.low / fast.high)
        if clear > 1:
            cause = explained(families[late], families[early])
            said = f"{crossing(late, early, families)}: {cause or ends(families[late], families[early])}"
            found.append((bool(cause), clear, said))
    return [sentence for *_, sentence in sorted(found, reverse=True)[:MOST_CROSSINGS]]


def crossing(late: str, early: str, families: Mapping[str, Points]) -> str:
    """The beginning of the sentence on a family that is slower than another until some batch size."""
    pairs = list(zip(families[late], families[early], strict=True))
    behind = max(i for i, (a, b) in enumerate(pairs) if a.seconds >= b.seconds)
    before, after = (pairs[i][0].batch_size for i in (behind, behind + 1))
    return f"{late} overtakes {early} between batches of {before} and {after}"


def explained(late: Points, early: Points) -> str:
    """Why the Points of one family overtake those of another, by their fits; "" where these do not say it."""
    a, b = fitted(late), fitted(early)
    if a.dispatch < b.dispatch or a.arithmetic > b.arithmetic:
        return ""
    return (
        f"a step costs it {figure((a.dispatch - b.dispatch) * 1e6)} us more, the arithmetic of an epoch "
        f"{figure((b.arithmetic - a.arithmetic) * 1e3)} ms less."
    )


def ends(late: Points, early: Points) -> str:
    """The times of two families in the least and in the largest batches."""
    return (
        ", ".join(
            f"{figure(a.seconds * 1e3)} ms against {figure(b.seconds * 1e3)} ms in batches of {a.batch_size}"
            for a, b in ((late[0], early[0]), (late[-1], early[-1]))
        )
        + "."
    )


def distance(panel: Panel, end: int) -> str:
    """How far the fastest family is from the floor at one end: 0 the least batch size, -1 the largest."""
    family, own = min(panel.families.items(), key=lambda pair: pair[1][end].seconds)
    times = cells.three_digits(own[end].seconds / panel.floor)
    return f"in batches of {own[end].batch_size} the fastest, {family}, takes {times} times as much"


def panels(run: Run) -> list[Panel]:
    """A Panel for each device with several batch sizes; none where the rows do not share one baseline."""
    found = []
    for device in devices(run):
        by_name = lines(run, device, fixed="rows", free="batch_size")
        if by_name:
            count = next(iter(by_name.values()))[0].rows
            settings = [row.setting for row in run.rows]
            same = [setting for setting in settings if (setting.device, setting.rows) == (device, count)]
            floor = min(setting.floor_seconds / setting.epochs for setting in same)
            found.append(Panel(device, count, by_name, families(by_name), floor))
    return found


def devices(run: Run) -> list[str]:
    """The devices of a run in which all rows share one baseline; none of any other run."""
    if len({row.baseline.name for row in run.rows}) != 1:
        return []
    return sorted({row.setting.device for row in run.rows})


# --- Markdown -----------------------------------------------------------------------------------------------


def markdown(run: Run, picture: str) -> str:
    """The sections on how time grows; "" where the run says nothing of it.  picture: of the panels, a file's name."""
    found = [batch_section(panel) for panel in panels(run)]
    if found:
        found.insert(0, f"![Time an epoch against batch size, a line for each family, and the floor]({picture})")
    for device in devices(run):
        by_name = lines(run, device, fixed="batch_size", free="rows")
        if by_name:
            found.append(rows_section(device, by_name))
    return "".join(f"\n{part}\n" for part in found)


def batch_section(panel: Panel) -> str:
    """What batch sizes do on one device: the fits, slowest first in small batches, and what is seen in the picture."""
    order = sorted(panel.by_name, key=lambda name: -panel.by_name[name][0].seconds)
    columns = ["name", "us each step", "ms for all rows", "equal at batch", "fit within"]
    said = crossings(panel.families) or ["No two families change places between the least and the largest batch."]
    said.append(f"The floor is {figure(panel.floor * 1e3)} ms: {distance(panel, 0)}; {distance(panel, -1)}.")
    return "\n\n".join(
        [
            f"### Batch size: {panel.rows} rows on {panel.device}",
            "Fitted to all batch sizes: an epoch takes some microseconds each step, however many rows that has, and "
            "some milliseconds for all rows, however they are cut. Below the batch size at which both are equal "
            "dispatch rules, above it arithmetic.",
            table.tabulated([[name, *fit_cells(panel.by_name[name])] for name in order], columns),
            "\n".join(f"* {sentence}" for sentence in said),
        ]
    )


def fit_cells(own: Points) -> list[str]:
    """The Fit of some Points as text; with two of them it fits anyway, so nothing is said of how well."""
    fit = fitted(own)
    both = fit.dispatch > 0 and fit.arithmetic > 0
    return [
        figure(fit.dispatch * 1e6),
        figure(fit.arithmetic * 1e3),
        f"{fit.dispatch * own[0].rows / fit.arithmetic:.0f}" if both else "",
        f"{fit.within:.0%}" if len(own) > 2 else "",
    ]


def rows_section(device: str, by_name: Mapping[str, Points]) -> str:
    """What the number of rows does on one device."""
    found = sorted((exponent(own), name) for name, own in by_name.items())
    own = next(iter(by_name.values()))
    counts = ", ".join(str(point.rows) for point in own)
    body = [[name, f"{slope:.2f}", f"{low:.2f} to {high:.2f}"] for (slope, low, high), name in found]
    return "\n\n".join(
        [
            f"### Rows: {counts} in batches of {own[0].batch_size} on {device}",
            "Time grows as rows to the power of the exponent: at 1 in proportion, below 1 where something is paid "
            "once however many rows there are. The interval follows from those of the ratios.",
            table.tabulated(body, ["name", "exponent", "interval"]),
        ]
    )


def figure(value: float) -> str:
    """A number that is not negative, with three significant digits."""
    return cells.three_digits(value) if value else "0"
