"""How time grows with the batch size, as the page shows it: a chart, and a table that has the loss beside the time.

Needs numpy, and SciPy where there is something to draw; no torch.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from benchmarks.runs.museum import Museum
from benchmarks.runs.row import Row, Setting
from benchmarks.runs.saved import Run
from benchmarks.show import cells, charts, ladder, table
from benchmarks.show.charts import Axes
from benchmarks.show.ladder import Runs

if TYPE_CHECKING:
    from benchmarks.show.growth import Panel

MARGIN = 1.3  # above the slowest and below the fastest: a factor
LABEL_HEIGHT = 6  # of the height of a chart in percent: names are at least as far apart
TICKS = [digit * 10**power for power in range(-4, 8) for digit in (1, 2, 5)]


@dataclass(frozen=True)
class Line:
    """One batch size: milliseconds an epoch of the baseline and of the fastest, and the loss after one; as text."""

    batch_size: int
    steps: int
    beside: str
    fastest: str
    own: str
    loss: str


@dataclass(frozen=True)
class Curve:
    """The fastest of a family over the batch sizes. end, label: how far down its last point is, and its name."""

    family: str
    points: str
    end: float
    label: float


@dataclass(frozen=True)
class Chart:
    """Milliseconds an epoch over the batch size. ticks: of them.  floor, label: how far from the top, and its name."""

    axes: Axes
    ticks: Sequence[float]
    curves: Sequence[Curve]
    floor: float
    label: float


@dataclass(frozen=True)
class Growth:
    """What a run over several problems says of one device. chart: None where there is nothing to draw.

    setting: of the rows an epoch that chart and lines are of.
    """

    setting: Setting
    baseline: str
    chart: Chart | None
    lines: Sequence[Line]

    @property
    def has_losses(self) -> bool:
        """Whether the loss is known at some batch size."""
        return any(line.loss for line in self.lines)


def growths(runs: Runs, museum: Museum | None) -> list[Growth]:
    """A Growth for each device of each run over several problems; the museum knows losses.

    None of a run with rows of several processes: when these pay is another question, with a table of its own.
    """
    return [
        growth(run, device, museum)
        for run in runs.values()
        if table.varying(run.rows) and ladder.shares_baseline(run) and not any(row.own.processes for row in run.rows)
        for device in sorted({row.setting.device for row in run.rows})
    ]


def growth(run: Run, device: str, museum: Museum | None) -> Growth:
    """The Growth of one device."""
    from benchmarks.show import growth as times  # and with it SciPy, only where there is something to draw

    panel = next((panel for panel in times.panels(run) if panel.device == device), None)
    own = [row for row in run.rows if row.setting.device == device]
    count = panel.rows if panel else max(row.setting.rows for row in own)
    own = [row for row in own if row.setting.rows == count]
    points = ((name, point) for name, found in times.points(run, device).items() for point in found)
    seconds = {(name, point.batch_size): point.seconds for name, point in points if point.rows == count}
    return Growth(
        setting=own[0].setting,
        baseline=own[0].baseline.name,
        chart=chart(panel) if panel else None,
        lines=[line(run, own, seconds, size, museum) for size in sorted({row.setting.batch_size for row in own})],
    )


def chart(panel: "Panel") -> Chart:
    """The Chart of a device."""
    times = {family: [point.seconds * 1e3 for point in own] for family, own in panel.families.items()}
    floor = panel.floor * 1e3
    every = [floor, *(time for own in times.values() for time in own)]
    sizes = [point.batch_size for point in next(iter(panel.families.values()))]
    axes = Axes(sizes, min(every) / MARGIN, max(every) * MARGIN, is_log=True)
    ends = [axes.y(floor), *(axes.y(own[-1]) for own in times.values())]
    label, *labels = (round(place, 2) for place in charts.spread(ends, LABEL_HEIGHT))
    return Chart(
        axes=axes,
        ticks=[tick for tick in TICKS if axes.low < tick < axes.high],
        curves=[
            Curve(family, axes.points(own), end, place)
            for (family, own), end, place in zip(times.items(), ends[1:], labels, strict=True)
        ],
        floor=ends[0],
        label=label,
    )


def line(
    run: Run, rows: Sequence[Row], seconds: Mapping[tuple[str, int], float], size: int, museum: Museum | None
) -> Line:
    """The Line of a batch size. seconds: an epoch of a name in batches of a size, the same as in the chart."""
    fastest = max((row for row in rows if row.setting.batch_size == size), key=lambda row: run.ratio(row).value)
    setting = fastest.setting
    loss = loss_after_an_epoch(setting, museum)
    return Line(
        batch_size=size,
        steps=setting.steps // setting.epochs,
        beside=cells.milliseconds(seconds[fastest.baseline.name, size]),
        fastest=fastest.own.name,
        own=cells.milliseconds(seconds[fastest.own.name, size]),
        loss="" if loss is None else f"{loss:.4f}",
    )


def loss_after_an_epoch(setting: Setting, museum: Museum | None) -> float | None:
    """What the museum knows of the same rows in batches of the same size. Its largest batch is of all its rows."""
    if not museum or museum.dataset_sha256 != setting.dataset_sha256:
        return None
    if setting.rows != max(map(int, museum.epoch_losses), default=0):
        return None
    return museum.epoch_losses.get(str(setting.batch_size))
