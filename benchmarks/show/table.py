"""A run as one table, for the terminal and for Markdown. Needs neither torch nor numpy."""

import math
import textwrap
from statistics import median

import tabulate

from benchmarks.runs import statistics, verdicts

WIDTH = 120
NOT_MEASURED = "none measured"
MORE_THAN_EXPLAINED = 1.05  # cores busy over threads: the CPU clock is not exact
# Left out, in this order, until the table fits.
DISPENSABLE = ("first call", "x floor", "lines", "us/step more")
COUNTS = {"ops/step": "operations_per_step", "KB/step": "bytes_per_step", "calls/step": "calls_per_step"}
CHOICES = (
    *("ms/epoch", "us/step", "x floor", "baseline", "x baseline", "99 % interval", "verdict", "us/step more"),
    *("first call", "error", "lines", *COUNTS, "kernels/epoch"),
)
tabulate.MIN_PADDING = 0  # no blanks around a header that is wider than its column


def facts(run):
    """What was measured and where, as pairs of a word and a line: dataset, problem, machine, versions, trust."""
    rows = run.rows
    row = max(rows, key=lambda row: row["rows"])
    pairs = sorted({other["pairs"] for other in rows})
    count = f"{pairs[0]} to {pairs[-1]}" if len(pairs) > 1 else f"{pairs[0]}"
    processes = len(set(row["process"]))
    fresh = f" in {processes} fresh processes" if processes > 1 else ""
    devices = "; ".join(sorted({other["device_name"] for other in rows}))
    several = varying(rows)
    steps = "" if several else f": {row['steps']} steps"
    return [
        ("dataset", f"{row['dataset']} ({row['dataset_origin']}), sha256 {row['dataset_sha256'][:12]}"),
        (
            "problem",
            f"{values(rows, 'rows')} rows of {row['features']}, {row['classes']} classes, batch "
            f"{values(rows, 'batch_size')}, learning rate {row['learning_rate']:g}, epochs {row['epochs']}{steps} in "
            f"{row['dtype']}",
        ),
        ("machine", f"{devices}; {row['threads']} threads; {row['system']}"),
        ("floor", "; ".join(floors(rows))),
        ("versions", f"python {row['python']}, torch {row['torch']}, numpy {row['numpy']}"),
        ("pairs", f"{count} a row{fresh}; the interval holds the true median in 99 % of runs"),
        ("null lane", "; ".join(null_lanes(run))),
        ("verdicts", meaning_of_words(run)),
    ]


def null_lanes(run):
    """For each device what the reference beside its own copy measured."""
    for lane in run.null_lanes:
        ratio = verdicts.interval_text(verdicts.ratio(lane))
        yield f"the reference is {ratio} times as fast as its copy on {lane['device']}, {lane['pairs']} pairs"


def meaning_of_words(run):
    """What the words mean and how sure they are, or why there are none."""
    reason = verdicts.cannot_judge(run)
    if reason:
        return f"none, this machine cannot judge now: {reason}"
    return meaning(run.margin, len(run.rows))


def meaning(margin, count):
    """What the words of so many rows mean and how sure they are."""
    return (
        f"faster or slower by more than {margin * 100:.3g} %, same, or unclear; all {count} together hold a wrong word "
        f"in at most {statistics.LEVEL * 100:g} % of runs (Holm)"
    )


def floors(rows):
    """For each device what was measured of it on the largest problem, and the floor that follows."""
    for device in sorted({row["device"] for row in rows}):
        row = max((row for row in rows if row["device"] == device), key=lambda row: row["rows"])
        hand_off = row.get("hand_off_seconds")
        dependent = f" and hands a step to the next in {hand_off * 1e6:.3g} us" if hand_off else ""
        yield (
            f"{device} reads {row['bytes_per_second'] / 1e9:.3g} GB/s and computes "
            f"{row['flops_per_second'] / 1e9:.3g} GFLOP/s{dependent}, so {row['rows']} rows take at least "
            f"{row['floor_seconds'] / row['epochs'] * 1e3:.3g} ms/epoch in dense float32"
        )


def varying(rows):
    """Which of batch_size and rows differ between the rows: these get a column."""
    return [field for field in ("batch_size", "rows") if len({row[field] for row in rows}) > 1]


def values(rows, field):
    """All values of a field, as text."""
    return ", ".join(str(value) for value in sorted({row[field] for row in rows}))


def header(rows, chosen=(), words=None):
    """The columns' names: those chosen, of CHOICES, or what fits. With one baseline for all, it is in the header.

    Where rows are of several problems, columns that belong to a file, not to a problem, make place for these.
    """
    baselines = {row["baseline"] for row in rows}
    several = varying(rows)
    one = [f"x {baselines.pop()}"] if len(baselines) == 1 else []
    fixed = ["name", *("batch" if field == "batch_size" else field for field in several)]
    if chosen:
        return fixed + [one[0] if one and column == "x baseline" else column for column in chosen]
    columns = [
        *fixed,
        "ms/epoch",
        *(["us/step"] if one else []),
        "x floor",
        *(one or ["baseline", "x baseline"]),
        "99 % interval",
        *(["verdict"] if words else []),
        *([] if one else ["us/step more"]),
        *([] if several else ["first call"]),
        "error",
        *([] if several else ["lines"]),
    ]
    shown = lines(rows, words)
    for column in DISPENSABLE:
        if width(columns, shown) > WIDTH and column in columns:
            columns.remove(column)
    return columns


def columns(option):
    """The columns that the value of --columns names, none if it is None. Raises ValueError."""
    chosen = tuple(part.strip() for part in option.split(",")) if option is not None else ()
    for column in chosen:
        if column not in CHOICES or chosen.count(column) > 1:
            raise ValueError(f"--columns {column}: expected some of {', '.join(CHOICES)}, each once")
    return chosen


def width(columns, shown):
    """How many characters wide the table of these columns of the shown lines is."""
    gaps = 2 * (len(columns) - 1)
    return gaps + sum(max(map(len, [column, *(line.get(column, "") for line in shown)])) for column in columns)


def lines(rows, words=None):
    """The cells of the table, as dicts by column, slowest first; the reference is a row too if all have it beside them.

    With one baseline for all, rows are ordered by their ratio to it: their times are of different moments.
    """
    baselines = {row["baseline"] for row in rows}
    many = len(baselines) > 1
    found = [(place(row) + (speed(row, many),), cells(row, words)) for row in rows]
    for where in sorted({place(row) for row in rows}):
        beside = [row for row in rows if place(row) == where]
        if baselines == {"torch_nn"}:
            found.append(((*where, 1), reference_cells(beside)))
    return [line for _, line in sorted(found, key=lambda pair: pair[0])]


def place(row):
    """The device and the problem: rows of one place stand together."""
    return row["device"], row["rows"], row["batch_size"]


def speed(row, many):
    """What rows of one place are sorted by: the ratio to the one baseline, or epochs a second if there are many."""
    if many:
        return row["epochs"] / median(row["own_seconds"])
    return verdicts.ratio(row).value


def cells(row, words=None):
    """One row of the table as text, by column. words: of all rows, by key."""
    ratio = verdicts.ratio(row)
    return {
        "name": row_id(row["name"], row["device"]),
        **problem_cells(row),
        **time_cells(median(row["own_seconds"]), row),
        "baseline": row["baseline"],
        f"x {row['baseline']}": f"{ratio.value:.2f}",
        "x baseline": f"{ratio.value:.2f}",
        "99 % interval": f"{ratio.low:.2f} to {ratio.high:.2f}",
        "verdict": (words or {}).get(verdicts.key(row), ""),
        "first call": f"{row['first_call_seconds']:.2f} s",
        "us/step more": price(row),
        "error": f"{row['error']:.2f}",
        "lines": str(row["lines"]),
        **count_cells(row),
    }


def price(row):
    """What a step takes more than one of the baseline, in microseconds, if a difference was measured."""
    ratio = verdicts.ratio(row)
    if ratio.low <= 1 <= ratio.high:
        return NOT_MEASURED
    return f"{verdicts.difference(row).value / row['steps'] * 1e6:+.1f}"


def count_cells(row, prefix=""):
    """The counts of a row, or of its baseline; blank outside torch, kernels on a CPU."""
    found = {column: row.get(prefix + field) for column, field in COUNTS.items()}
    shown = {column: "" if value is None else f"{value:.0f}" for column, value in found.items()}
    kernels = row.get(prefix + "kernels_per_epoch")
    shown["kernels/epoch"] = "" if kernels is None else f"{kernels:.0f}"
    return shown | ({"KB/step": f"{found['KB/step'] / 1e3:.1f}"} if shown["KB/step"] else {})


def reference_cells(beside):
    """The reference as a row of its own, from its runs beside all these rows."""
    row = beside[0]
    return {
        "name": f"{row_id(row['baseline'], row['device'])} (reference)",
        **problem_cells(row),
        **time_cells(median(second for other in beside for second in other["baseline_seconds"]), row),
        f"x {row['baseline']}": "1",
        "first call": f"{row['baseline_first_call_seconds']:.2f} s",
        "error": f"{max(other['baseline_error'] for other in beside):.2f}",
        "lines": str(row["baseline_lines"]),
        **count_cells(row, "baseline_"),
    }


def problem_cells(row):
    """What may vary between the problems of a run."""
    return {"batch": str(row["batch_size"]), "rows": str(row["rows"])}


def time_cells(seconds, row):
    """Milliseconds an epoch, microseconds a step, and multiples of the floor, of a run that took so many seconds."""
    milliseconds = seconds / row["epochs"] * 1e3
    return {
        "ms/epoch": f"{milliseconds:.{1 if milliseconds >= 10 else 2}f}",
        "us/step": f"{seconds / row['steps'] * 1e6:.1f}",
        "x floor": three_digits(seconds / row["floor_seconds"]),
    }


def three_digits(value):
    """A positive number with three significant digits or, from 1000 on, all before the point."""
    rounded = float(f"{value:.2e}")
    return f"{value:.{max(0, 2 - math.floor(math.log10(rounded)))}f}"


def row_id(name, device, batch_size=None, rows=None):
    """The id of a row; batch size and number of rows are part of it where they vary."""
    batch = f"-batch{batch_size}" if batch_size else ""
    return f"{name}-{device}{batch}" + (f"-rows{rows}" if rows else "")


def overworked(rows):
    """A line for each row that kept more cores busy than its threads explain."""
    for row in rows:
        cores = sum(row["own_cpu_seconds"]) / sum(row["own_seconds"])
        if cores > row["threads"] * MORE_THAN_EXPLAINED:
            name = row_id(row["name"], row["device"])
            yield f"{name} kept {cores:.2f} cores busy, with {row['threads']} threads: something works beside it"


def grid(run, style, chosen=()):
    """The table itself in one of tabulate's styles; rows without a time have a word in place of the first figure."""
    words = verdicts.words(run)
    columns = header(run.rows, chosen, words) if run.rows else ["name", "ms/epoch"]
    untimed = [{"name": name, columns[1]: reason.partition(":")[0]} for name, reason in run.untimed]
    if varying(run.rows):  # their ids are too long for a column; they stand below the table
        untimed = []
    found = [[line.get(column, "") for column in columns] for line in lines(run.rows, words) + untimed]
    align = ["left"] + ["right"] * (len(columns) - 1)
    return tabulate.tabulate(found, columns, tablefmt=style, disable_numparse=True, colalign=align)


def markdown_grid(cells, columns, left=1):
    """Cells as a Markdown table: the first `left` columns are words, the others figures."""
    align = ["left"] * left + ["right"] * (len(columns) - left)
    return tabulate.tabulate(cells, columns, tablefmt="github", disable_numparse=True, colalign=align)


def text(run, chosen=()):
    """Facts, table and the reasons of rows without a time, for a terminal of 120 columns."""
    above = [wrapped(f"{word:<9} {line}", indent=10) for word, line in (facts(run) if run.rows else [])]
    below = [wrapped(line) for line in [*overworked(run.rows), *(f"{name} {reason}" for name, reason in run.untimed)]]
    return "\n".join([*above, "", grid(run, "simple", chosen), "", *below]).strip("\n")


def wrapped(line, indent=4):
    """The line, broken at 120 columns."""
    return textwrap.fill(line, WIDTH, subsequent_indent=" " * indent, break_on_hyphens=False)


def markdown(run, chosen=()):
    """The same for a Markdown page."""
    above = [f"* {word}: {line}" for word, line in (facts(run) if run.rows else [])]
    below = [f"* {line}" for line in overworked(run.rows)]
    below += [f"* `{name}` {reason}" for name, reason in run.untimed]
    parts = ["\n".join(above), grid(run, "github", chosen), "\n".join(below)]
    return "\n\n".join(part for part in parts if part) + "\n"
