"""One row as text, by the columns of the table. Needs neither torch nor numpy."""

import math
from collections.abc import Sequence
from statistics import median

from benchmarks.runs.row import Row, Setting, Side
from benchmarks.runs.saved import Run
from benchmarks.runs.statistics import Estimate

Cells = dict[str, str]  # by column

NOT_MEASURED = "none measured"
COUNTS = {"ops/step": "operations_per_step", "KB/step": "bytes_per_step", "calls/step": "calls_per_step"}


def of_row(run: Run, row: Row) -> Cells:
    """The cells of a row of a run."""
    ratio = f"{run.ratio(row).value:.2f}"
    return {
        "name": row_id(row.own.name, row.setting.device),
        **of_problem(row.setting),
        **of_time(median(row.own.seconds), row.setting),
        "baseline": row.baseline.name,
        f"x {row.baseline.name}": ratio,
        "x baseline": ratio,
        "99 % interval": bounds(run.ratio(row)),
        "judged by": bounds(run.judged(row)),
        "verdict": run.words.get(row.key, ""),
        "us/step more": price(run, row),
        **of_trainer(row.own, row.own.error),
    }


def of_reference(beside: Sequence[Row]) -> Cells:
    """The cells of the reference, from its runs beside all these rows."""
    setting, reference = beside[0].setting, beside[0].baseline
    return {
        "name": f"{row_id(reference.name, setting.device)} (reference)",
        **of_problem(setting),
        **of_time(median(second for row in beside for second in row.baseline.seconds), setting),
        f"x {reference.name}": "1",
        **of_trainer(reference, max(row.baseline.error for row in beside)),
    }


def of_problem(setting: Setting) -> Cells:
    """What may vary between the problems of a run."""
    return {"batch": str(setting.batch_size), "rows": str(setting.rows)}


def of_time(seconds: float, setting: Setting) -> Cells:
    """Milliseconds an epoch, microseconds a step, and multiples of the floor, of a run that took so many seconds."""
    return {
        "ms/epoch": milliseconds(seconds / setting.epochs),
        "us/step": f"{seconds / setting.steps * 1e6:.1f}",
        "x floor": three_digits(seconds / setting.floor_seconds),
    }


def milliseconds(seconds: float) -> str:
    """Seconds as milliseconds with one digit behind the point, or with two below 10."""
    return f"{seconds * 1e3:.{1 if seconds >= 0.01 else 2}f}"


def of_trainer(side: Side, error: float) -> Cells:
    """What is no matter of pairs. Counts are blank outside torch, kernels on a CPU."""
    size = side.bytes_per_step
    return {
        "first call": f"{side.first_call_seconds:.2f} s",
        "error": f"{error:.2f}",
        "lines": str(side.lines),
        "ops/step": whole(side.operations_per_step),
        "KB/step": "" if size is None else f"{size / 1e3:.1f}",
        "calls/step": whole(side.calls_per_step),
        "kernels/epoch": whole(side.kernels_per_epoch),
        "exchange": "" if side.exchange_seconds is None else f"{side.exchange_seconds * 1e6:.1f}",
    }


def bounds(ratio: Estimate | None) -> str:
    """From where to where the interval of a ratio reaches; blank if there is none."""
    return f"{ratio.low:.2f} to {ratio.high:.2f}" if ratio else ""


def price(run: Run, row: Row) -> str:
    """What a step takes more than one of the baseline, in microseconds, or "same", or that none was measured."""
    if run.words.get(row.key) == "same":
        return f"same within {(run.judging_margin or 0) * 100:.3g} %"
    if run.ratio(row).low <= 1 <= run.ratio(row).high:
        return NOT_MEASURED
    return f"{run.difference(row).value / row.setting.steps * 1e6:+.1f}"


def whole(count: float | None) -> str:
    """A count without what is behind its point."""
    return "" if count is None else f"{count:.0f}"


def three_digits(value: float) -> str:
    """A positive number with three significant digits or, from 1000 on, all before the point."""
    rounded = float(f"{value:.2e}")
    return f"{value:.{max(0, 2 - math.floor(math.log10(rounded)))}f}"


def row_id(name: str, device: str, batch_size: int | None = None, rows: int | None = None) -> str:
    """The id of a row; batch size and number of rows are part of it where they vary."""
    batch = f"-batch{batch_size}" if batch_size else ""
    return f"{name}-{device}{batch}" + (f"-rows{rows}" if rows else "")
