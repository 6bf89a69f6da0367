"""A run as one table, for the terminal and for Markdown. Needs neither torch nor numpy."""

import textwrap
from statistics import median

import tabulate

from benchmarks import verdict

WIDTH = 120
tabulate.MIN_PADDING = 0  # no blanks around a header that is wider than its column


def facts(rows):
    """What was measured and where, as pairs of a word and a line: dataset, problem, machine, versions, pairs."""
    row = rows[0]
    pairs = sorted({len(other["own_seconds"]) for other in rows})
    count = f"{pairs[0]} to {pairs[-1]}" if len(pairs) > 1 else f"{pairs[0]}"
    devices = "; ".join(sorted({other["device_name"] for other in rows}))
    return [
        ("dataset", f"{row['dataset']} ({row['dataset_origin']}), sha256 {row['dataset_sha256'][:12]}"),
        (
            "problem",
            f"{row['rows']} rows of {row['features']}, {row['classes']} classes, batch {row['batch_size']}, learning "
            f"rate {row['learning_rate']:g}, epochs {row['epochs']}: {row['steps']} steps in {row['dtype']}",
        ),
        ("machine", f"{devices}; {row['threads']} threads; {row['system']}"),
        ("versions", f"python {row['python']}, torch {row['torch']}, numpy {row['numpy']}"),
        ("pairs", f"{count} a row; the interval holds the true median in 99 % of runs"),
    ]


def header(rows):
    """The columns' names. With one baseline for all, it is in the header; else it has a column."""
    baselines = {row["baseline"] for row in rows}
    beside = [f"x {baselines.pop()}"] if len(baselines) == 1 else ["baseline", "x baseline"]
    return ["name", "ms/epoch", "us/step", *beside, "99 % interval", "first call", "error", "lines"]


def lines(rows):
    """The cells of the table, slowest first; where all rows have the reference beside them, it is a row too.

    With one baseline for all, rows are ordered by their ratio to it: their times are of different moments.
    """
    baselines = {row["baseline"] for row in rows}
    many = len(baselines) > 1
    found = [(speed(row, many), cells(row, many)) for row in rows]
    for device in sorted({row["device"] for row in rows}):
        beside = [row for row in rows if row["device"] == device]
        if baselines == {"torch_nn"}:
            found.append(((device, 1), reference_cells(beside)))
    return [line for _, line in sorted(found, key=lambda pair: pair[0])]


def speed(row, many):
    """What rows are sorted by: the device, then the ratio to the one baseline, or epochs a second if there are many."""
    if many:
        return row["device"], row["epochs"] / median(row["own_seconds"])
    return row["device"], verdict.ratio(row["own_seconds"], row["baseline_seconds"]).median


def cells(row, with_baseline):
    """One row of the table as text."""
    ratio = verdict.ratio(row["own_seconds"], row["baseline_seconds"])
    return [
        row_id(row),
        *times(median(row["own_seconds"]), row),
        *([row["baseline"]] if with_baseline else []),
        f"{ratio.median:.2f}",
        f"{ratio.low:.2f} to {ratio.high:.2f}",
        f"{row['first_call_seconds']:.2f} s",
        f"{row['error']:.2f}",
        str(row["lines"]),
    ]


def reference_cells(beside):
    """The reference as a row of its own, from its runs beside all these rows."""
    row = beside[0]
    return [
        f"{row['baseline']}-{row['device']} (reference)",
        *times(median(second for other in beside for second in other["baseline_seconds"]), row),
        "1",
        "",
        f"{row['baseline_first_call_seconds']:.2f} s",
        f"{max(other['baseline_error'] for other in beside):.2f}",
        str(row["baseline_lines"]),
    ]


def times(seconds, row):
    """Milliseconds an epoch and microseconds a step of a run that took so many seconds."""
    return [f"{seconds / row['epochs'] * 1e3:.1f}", f"{seconds / row['steps'] * 1e6:.1f}"]


def row_id(row):
    """The id of the row's test."""
    return f"{row['name']}-{row['device']}"


def untimed_lines(untimed, columns):
    """Rows without a time: the word in place of the first figure, the rest blank."""
    return [[name, reason.partition(":")[0]] + [""] * (columns - 2) for name, reason in untimed]


def grid(run, style):
    """The table itself in one of tabulate's styles."""
    columns = header(run.rows) if run.rows else ["name", "ms/epoch"]
    cells = lines(run.rows) + untimed_lines(run.untimed, len(columns))
    align = ["left"] + ["right"] * (len(columns) - 1)
    return tabulate.tabulate(cells, columns, tablefmt=style, disable_numparse=True, colalign=align)


def text(run):
    """Facts, table and the reasons of rows without a time, for a terminal of 120 columns."""
    above = [wrapped(f"{word:<9} {line}", indent=10) for word, line in (facts(run.rows) if run.rows else [])]
    below = [wrapped(f"{name} {reason}") for name, reason in run.untimed]
    return "\n".join([*above, "", grid(run, "simple"), "", *below]).strip("\n")


def wrapped(line, indent=4):
    """The line, broken at 120 columns."""
    return textwrap.fill(line, WIDTH, subsequent_indent=" " * indent, break_on_hyphens=False)


def markdown(run):
    """The same for a Markdown page."""
    above = [f"* {word}: {line}" for word, line in (facts(run.rows) if run.rows else [])]
    below = [f"* `{name}` {reason}" for name, reason in run.untimed]
    parts = ["\n".join(above), grid(run, "github"), "\n".join(below)]
    return "\n\n".join(part for part in parts if part) + "\n"
