"""The price list: what each idea costs or saves against its parent, from a run with `--baseline parent`."""

from collections.abc import Sequence

import implementations
from benchmarks.runs.row import Row
from benchmarks.runs.saved import Run
from benchmarks.show import cells, table

COLUMNS = ("idea", "against", "what it does", "x parent", "us/step more", "interval", *cells.COUNTS, "lines")


def markdown(run: Run) -> str:
    """The section on what each layer costs; "" where no row of the run was paired with its parent."""
    rows = [row for row in run.rows if row.baseline.name == row.parent and row.idea]
    if not rows:
        return ""
    devices = sorted({row.setting.device for row in rows})
    ordered = sorted(rows, key=lambda row: (row.setting.device, ancestry(row, rows)))
    return "\n\n".join(
        [
            f"\n### What each layer costs on {', '.join(devices)}",
            "What a step of each implementation takes more than one of its parent: microseconds with their 99 % "
            "interval, torch operations, kilobytes allocated, function calls and lines of code. "
            f'"same": a difference, if there is one, does not count. "{cells.NOT_MEASURED}": the interval of the ratio '
            "contains 1 and the word is unclear. Microseconds follow from the ratio. Blank: not torch, or fewer than "
            "nine full batches to count in. What worker processes do is not counted.",
            table.tabulated([line(run, row, len(devices) > 1) for row in ordered], COLUMNS, left=3),
        ]
    )


def ancestry(row: Row, rows: Sequence[Row]) -> list[str]:
    """The names from the eldest ancestor that these rows know down to this one: sorted by it, they form a tree."""
    parents = {other.own.name: other.baseline.name for other in rows}
    line = [row.own.name]
    while line[0] in parents and parents[line[0]] not in line:
        line.insert(0, parents[line[0]])
    return line


def line(run: Run, row: Row, several_devices: bool) -> list[str]:
    """The price of one idea as text."""
    low, high = (seconds / row.setting.steps * 1e6 for seconds in run.difference(row)[1:])
    price = cells.price(run, row)
    return [
        cells.row_id(row.own.name, row.setting.device) if several_devices else row.own.name,
        row.baseline.name,
        idea(row).replace("|", r"\|"),  # in Markdown it would begin a cell
        "" if price == cells.NOT_MEASURED else f"{run.ratio(row).value:.2f}",
        price,
        f"{low:+.1f} to {high:+.1f}",
        *(more(row, field) for field in cells.COUNTS.values()),
        f"{row.own.lines - row.baseline.lines:+d}",
    ]


def idea(row: Row) -> str:
    """What the row's file does, in its own words of today; where it is gone, in those of then."""
    name = row.own.name
    return implementations.first_line(name) if name in implementations.names() else row.idea or ""


def more(row: Row, field: str) -> str:
    """How many more per step than the baseline; blank where one of them is outside torch."""
    own, baseline = getattr(row.own, field), getattr(row.baseline, field)
    if own is None or baseline is None:
        return ""
    return f"{(own - baseline) / 1e3:+.1f}" if field == "bytes_per_step" else f"{own - baseline:+.0f}"
