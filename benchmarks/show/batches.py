"""How time grows with the batch size, as the page shows it: the picture, and a table that has the loss beside the time.

Needs numpy, and SciPy where there is something to draw; no torch.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from benchmarks.runs.row import Row, Setting
from benchmarks.runs.saved import Run
from benchmarks.show import cells, charts, ladder, table
from benchmarks.show.ladder import Runs


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
class Growth:
    """What a run over several problems says of one device. picture: an image, None where nothing can be drawn.

    setting: of most rows an epoch.  lines: at so many rows, for each batch size.
    """

    setting: Setting
    baseline: str
    picture: str | None
    lines: Sequence[Line]

    @property
    def has_losses(self) -> bool:
        """Whether the loss is known at some batch size."""
        return any(line.loss for line in self.lines)


def growths(runs: Runs, losses: Mapping[str, float]) -> list[Growth]:
    """A Growth for each device of each run over several problems. losses: after an epoch, by batch size."""
    return [
        growth(run, device, losses)
        for run in runs.values()
        if table.varying(run.rows) and ladder.shares_baseline(run)
        for device in sorted({row.setting.device for row in run.rows})
    ]


def growth(run: Run, device: str, losses: Mapping[str, float]) -> Growth:
    """The Growth of one device."""
    from benchmarks.show import picture  # and with it matplotlib and SciPy, only where there is something to draw

    own = [row for row in run.rows if row.setting.device == device]
    most = max(row.setting.rows for row in own)
    own = [row for row in own if row.setting.rows == most]
    drawn = picture.of_run(run)
    return Growth(
        setting=own[0].setting,
        baseline=own[0].baseline.name,
        picture=drawn and charts.svg(drawn),
        lines=[line(run, own, size, losses) for size in sorted({row.setting.batch_size for row in own})],
    )


def line(run: Run, rows: Sequence[Row], batch_size: int, losses: Mapping[str, float]) -> Line:
    """The Line of a batch size."""
    beside = [row for row in rows if row.setting.batch_size == batch_size]
    fastest = max(beside, key=lambda row: run.ratio(row).value)
    loss = losses.get(str(batch_size))
    return Line(
        batch_size=batch_size,
        steps=fastest.setting.steps // fastest.setting.epochs,
        beside=cells.of_reference(beside)["ms/epoch"],
        fastest=fastest.own.name,
        own=cells.of_row(run, fastest)["ms/epoch"],
        loss="" if loss is None else f"{loss:.4f}",
    )
