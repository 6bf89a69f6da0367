"""A saved run as one table, for the terminal and for Markdown. Needs neither torch nor numpy."""

from statistics import median

from tabulate import tabulate

from benchmarks import verdict

COLUMNS = ("name", "ms/epoch", "us/step", "x baseline", "99 % interval", "first call", "error", "lines")


def facts(run):
    """What was measured and where, as lines: dataset, problem, machine, versions."""
    row = run["benchmarks"][0]["extra_info"]
    cpu = run["machine_info"].get("cpu", {}).get("brand_raw") or run["machine_info"].get("processor") or "unknown CPU"
    return [
        f"dataset   {row['dataset']} ({row['dataset_origin']}), sha256 {row['dataset_sha256'][:12]}",
        f"problem   {row['rows']} rows of {row['features']}, {row['classes']} classes, batch {row['batch_size']}, "
        f"learning rate {row['learning_rate']:g}, epochs {row['epochs']}: {row['steps']} steps, {row['dtype']}",
        f"machine   {cpu}, {row['threads']} threads, {run['machine_info']['system']}",
        f"versions  python {row['python']}, torch {row['torch']}, numpy {row['numpy']}",
    ]


def rows(run):
    """The cells of the table, slowest first; the baseline of all rows, if it is one and the same, is a row too."""
    measured = [benchmark["extra_info"] for benchmark in run["benchmarks"]]
    lines = [(median(row["own_seconds"]), cells(row)) for row in measured]
    for device in sorted({row["device"] for row in measured}):
        beside = [row for row in measured if row["device"] == device]
        if len({row["baseline"] for row in beside}) == 1 and beside[0]["baseline"] == "torch_nn":
            lines.append(baseline_line(beside))
    return [line for _, line in sorted(lines, key=lambda pair: -pair[0])]


def cells(row):
    """One row of the table as text."""
    seconds = median(row["own_seconds"]) / row["epochs"]
    ratio = verdict.ratio(row["own_seconds"], row["baseline_seconds"])
    return [
        f"{row['name']}-{row['device']}",
        f"{seconds * 1e3:.1f}",
        f"{seconds * row['epochs'] / row['steps'] * 1e6:.1f}",
        f"{ratio.median:.2f}",
        f"{ratio.low:.2f} to {ratio.high:.2f}",
        f"{row['first_call_seconds']:.2f} s",
        f"{row['error']:.2f}",
        str(row["lines"]),
    ]


def baseline_line(beside):
    """The baseline of these rows as a row of its own: the median of all its runs."""
    row = beside[0]
    seconds = median(second for other in beside for second in other["baseline_seconds"])
    name = f"{row['baseline']}-{row['device']} (baseline)"
    step = seconds / row["steps"]
    return seconds, [
        name,
        f"{seconds / row['epochs'] * 1e3:.1f}",
        f"{step * 1e6:.1f}",
        "1",
        "",
        "",
        "1.00",
        str(row["baseline_lines"]),
    ]


def text(run, refused=()):
    """The table for a terminal, at most 120 columns; `refused` are pairs of a row's name and why it has no time."""
    body = ""
    if run["benchmarks"]:
        align = ("left",) + ("right",) * (len(COLUMNS) - 1)
        body = "\n".join(facts(run)) + "\n\n" + tabulate(rows(run), COLUMNS, disable_numparse=True, colalign=align)
    return "\n".join([body, *(f"{name}  no time: {reason}" for name, reason in refused)])
