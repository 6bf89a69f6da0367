"""The price list: what each idea costs or saves against its parent, from a run with `--baseline parent`."""

from benchmarks.runs import verdicts
from benchmarks.show import table

COLUMNS = ("idea", "against", "what it does", "x parent", "us/step more", "interval", *table.COUNTS, "lines")


def markdown(run):
    """The section on what each layer costs; "" where no row of the run was paired with its parent."""
    rows = [row for row in run.rows if row["baseline"] == row.get("parent") and row.get("idea")]
    if not rows:
        return ""
    devices = sorted({row["device"] for row in rows})
    cells = [line(row, len(devices) > 1) for row in sorted(rows, key=lambda row: (row["device"], ancestry(row, rows)))]
    return "\n\n".join(
        [
            f"\n### What each layer costs on {', '.join(devices)}",
            "What a step of each writing takes more than one of its parent: microseconds with their 99 % interval, "
            "torch operations, kilobytes allocated, function calls and lines of code. "
            f'"{table.NOT_MEASURED}": the interval of the ratio contains 1. Blank: not torch, or fewer than nine full '
            "batches to count in. What worker processes do is not counted.",
            table.markdown_grid(cells, COLUMNS, left=3),
        ]
    )


def ancestry(row, rows):
    """The names from the eldest ancestor that these rows know down to this one: sorted by it, they form a tree."""
    parents = {other["name"]: other["parent"] for other in rows}
    line = [row["name"]]
    while line[0] in parents and parents[line[0]] not in line:
        line.insert(0, parents[line[0]])
    return line


def line(row, several_devices):
    """The price of one idea as text."""
    ratio, more = verdicts.ratio(row), verdicts.difference(row)
    low, high = (seconds / row["steps"] * 1e6 for seconds in more[1:])
    price = table.price(row)
    return [
        table.row_id(row["name"], row["device"]) if several_devices else row["name"],
        row["parent"],
        row["idea"],
        "" if price == table.NOT_MEASURED else f"{ratio.value:.2f}",
        price,
        f"{low:+.1f} to {high:+.1f}",
        *(count(row, field) for field in table.COUNTS.values()),
        f"{row['lines'] - row['baseline_lines']:+d}",
    ]


def count(row, field):
    """How many more per step than the baseline; blank where one of them is outside torch."""
    own, theirs = row.get(field), row.get(f"baseline_{field}")
    if own is None or theirs is None:
        return ""
    return f"{(own - theirs) / 1e3:+.1f}" if field == "bytes_per_step" else f"{own - theirs:+.0f}"
