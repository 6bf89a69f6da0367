"""A run as one table, for the terminal and for Markdown. Needs no torch, numpy only for several processes."""

import math
import textwrap
from collections.abc import Iterator, Sequence
from statistics import median

import tabulate

from benchmarks.runs import statistics
from benchmarks.runs.row import MIXED, Row, Side
from benchmarks.runs.saved import Run
from benchmarks.show import cells
from benchmarks.show.cells import Cells, row_id

WIDTH = 120  # of a terminal
TERMINAL = "simple"  # tabulate's style for it
MORE_THAN_EXPLAINED = 1.05  # cores busy over threads: the CPU clock is not exact
# Left out, in this order, until the table fits.
DISPENSABLE = ("first call", "x floor", "lines", "us/step more", "error", "judged by")
CHOICES = (
    *("ms/epoch", "us/step", "x floor", "baseline", "x baseline", "99 % interval", "judged by", "verdict"),
    *("us/step more", "first call", "error", "lines", *cells.COUNTS, "kernels/epoch", "exchange"),
)
tabulate.MIN_PADDING = 0  # no blanks around a header that is wider than its column


def facts(run: Run) -> list[tuple[str, str]]:
    """What was measured and where, as pairs of a label and a line: margin, dataset, problem, machine, trust."""
    rows = run.rows
    largest = max(rows, key=lambda row: row.setting.rows)
    setting = largest.setting
    pairs = sorted({row.pairs for row in rows})
    count = f"{pairs[0]} to {pairs[-1]}" if len(pairs) > 1 else f"{pairs[0]}"
    processes = len(set(largest.process))
    fresh = f" in {processes} fresh processes" if processes > 1 else ""
    devices = "; ".join(sorted({row.setting.device_name for row in rows}))
    steps = "" if varying(rows) else f": {setting.steps} steps"
    return [
        ("margin", what_counts(run)),
        ("dataset", f"{setting.dataset} ({setting.dataset_origin}), sha256 {setting.dataset_sha256[:12]}"),
        (
            "problem",
            f"{values(rows, 'rows')} rows of {setting.features}, {setting.classes} classes, batch "
            f"{values(rows, 'batch_size')}, learning rate {setting.learning_rate:g}, epochs {setting.epochs}{steps} in "
            f"{setting.dtype}",
        ),
        ("machine", f"{devices}; {counted(setting.threads, 'thread')}; {setting.system}"),
        *ranks(rows),
        ("floor", "; ".join(floors(rows))),
        ("versions", f"python {setting.python}, torch {setting.torch}, numpy {setting.numpy}"),
        ("pairs", f"{count} a row{fresh}{slices(rows)}; the 99 % interval holds the true ratio in 99 % of runs"),
        ("precision", precision(run)),
        ("A/A check", "; ".join(aa_checks(run))),
        ("verdicts", meaning_of_words(run)),
    ]


def ranks(rows: Sequence[Row]) -> list[tuple[str, str]]:
    """In how many processes those rows train that train in several, if there are any."""
    sides = (side for row in rows for side in (row.own, row.baseline) if side.processes)
    return [("ranks", words) for words in sorted(set(map(in_processes, sides)))]


def in_processes(side: Side) -> str:
    """In how many processes a side trains that trains in several."""
    threads = counted(side.threads_per_process or 1, "thread")
    apart = f" on {side.hosts} machines" if (side.hosts or 1) > 1 else ""
    return f"{side.processes} processes of {threads} each{apart}, by {side.backend}"


def counted(count: int, what: str) -> str:
    """So many of something that has an s where there are several."""
    return f"{count} {what}" if count == 1 else f"{count} {what}s"


def slices(rows: Sequence[Row]) -> str:
    """By which parts of a run its time was taken, and for how many rows."""
    lengths = sorted({row.slice_rows for row in rows if row.slice_rows})
    if not lengths:
        return ""
    whole = sum(row.slice_rows is None for row in rows)
    in_some = " in some processes at least" if any(row.manner == MIXED for row in rows) else ""
    but = f", {whole} of {len(rows)} lines of the table by whole runs{in_some}" if whole else ""
    return f", timed by slices of {', '.join(map(str, lengths))} rows{but}"


def precision(run: Run) -> str:
    """How narrow the intervals are, and how many rows have a word of those that need one."""
    ratios = [run.ratio(row) for row in run.rows]
    half = median((ratio.high - ratio.low) / 2 / ratio.value for ratio in ratios)
    narrow = f"half of all 99 % intervals reach at most {half * 100:.3g} % to either side"
    if run.judging_margin is None:
        return narrow
    edge = math.log1p(run.judging_margin)
    off = [row.key for row in run.rows if abs(run.log_ratios[row.key].value) > edge]
    if not off:
        return narrow
    told = sum(run.words[key] in ("faster", "slower") for key in off)
    differ = f"{len(off)} rows that seem to differ by more than {run.judging_margin * 100:.3g} %"
    return f"{narrow}; {told} of the {differ} called faster or slower"


def what_counts(run: Run) -> str:
    """The least difference that counts in this run, and who says so."""
    if run.judging_margin is None:
        return "none: this machine cannot judge now"
    percent = f"{run.judging_margin * 100:.3g} %"
    if run.margin is None:
        return f"here and now differences above {percent} count"
    return f"differences above {percent} count, as asked for"


def aa_checks(run: Run) -> Iterator[str]:
    """For each device what the reference beside its own copy measured."""
    for check in run.aa_checks:
        device = check.setting.device
        yield f"the reference is {run.ratio(check).text()} times as fast as its copy on {device}, {check.pairs} pairs"


def meaning_of_words(run: Run) -> str:
    """What the words mean and how sure they are, or why there are none."""
    if run.judging_margin is None:
        return f"none, this machine cannot judge now: {run.cannot_judge}"
    return meaning(run.judging_margin, len(run.rows)) + of_these(run)


def of_these(*runs: Run) -> str:
    """That words are of these processes, where a run has a single one."""
    return "" if all(run.processes > 1 for run in runs) else "; of these processes: fresh ones may differ, --processes"


def meaning(margin: float, count: int) -> str:
    """What the words of so many rows mean and how sure they are."""
    return (
        f"faster or slower by more than {margin * 100:.3g} %, same, or unclear; all {count} together hold a wrong word "
        f"in at most {statistics.LEVEL * 100:g} % of runs (Holm)"
    )


def floors(rows: Sequence[Row]) -> Iterator[str]:
    """For each device what was measured of it on the largest problem, and the lowest floor that follows."""
    settings = [row.setting for row in rows]
    for device in sorted({setting.device for setting in settings}):
        own = (setting for setting in settings if setting.device == device)
        largest = max(own, key=lambda setting: (setting.rows, -setting.floor_seconds / setting.epochs))
        hand_off = largest.hand_off_seconds
        dependent = f" and hands a step to the next in {hand_off * 1e6:.3g} us" if hand_off else ""
        yield (
            f"{device} reads {largest.bytes_per_second / 1e9:.3g} GB/s and computes "
            f"{largest.flops_per_second / 1e9:.3g} GFLOP/s{dependent}, so {largest.rows} rows take at least "
            f"{largest.floor_seconds / largest.epochs * 1e3:.3g} ms/epoch in dense float32"
        )


def varying(rows: Sequence[Row]) -> list[str]:
    """Which of batch_size and rows differ between the rows: these get a column."""
    return [field for field in ("batch_size", "rows") if len({getattr(row.setting, field) for row in rows}) > 1]


def values(rows: Sequence[Row], field: str) -> str:
    """All values of a field of the settings, as text."""
    return ", ".join(str(value) for value in sorted({getattr(row.setting, field) for row in rows}))


def header(run: Run, chosen: Sequence[str] = ()) -> list[str]:
    """The columns' names: those chosen, of CHOICES, or all. With one baseline for all, it is in the header.

    Where rows are of several problems, columns that belong to a file, not to a problem, make place for these.
    """
    baselines = {row.baseline.name for row in run.rows}
    several = varying(run.rows)
    one = [f"x {baselines.pop()}"] if len(baselines) == 1 else []
    fixed = ["name", *("batch" if field == "batch_size" else field for field in several)]
    if chosen:
        return fixed + [one[0] if one and column == "x baseline" else column for column in chosen]
    return [
        *fixed,
        "ms/epoch",
        *(["us/step"] if one else []),
        "x floor",
        *(one or ["baseline", "x baseline"]),
        "99 % interval",
        *(["judged by", "verdict"] if run.words else []),
        *([] if one else ["us/step more"]),
        *([] if several else ["first call"]),
        "error",
        *([] if several else ["lines"]),
    ]


def fitting(columns: Sequence[str], shown: Sequence[Cells]) -> list[str]:
    """The columns without those that do not fit beside the others, if these are the lines."""
    widths = {column: max(map(len, [column, *(line.get(column, "") for line in shown)])) for column in columns}
    for column in DISPENSABLE:
        if sum(widths.values()) + 2 * (len(widths) - 1) > WIDTH:
            widths.pop(column, None)
    return list(widths)


def columns(option: str | None) -> tuple[str, ...]:
    """The columns that the value of --columns names, none if it is None. Raises ValueError."""
    chosen = tuple(part.strip() for part in option.split(",")) if option is not None else ()
    for column in chosen:
        if column not in CHOICES or chosen.count(column) > 1:
            raise ValueError(f"--columns {column}: expected some of {', '.join(CHOICES)}, each once")
    return chosen


def lines(run: Run) -> list[Cells]:
    """The lines of the table, slowest first; the reference is one of them if all rows have it beside them.

    With one baseline for all, rows are ordered by their ratio to it: their times are of different moments.
    """
    baselines = {row.baseline.name for row in run.rows}
    many = len(baselines) > 1
    found = [((*row.place, speed(run, row, many)), cells.of_row(run, row)) for row in run.rows]
    if baselines == {"torch_nn"}:
        for place in sorted({row.place for row in run.rows}):
            beside = [row for row in run.rows if row.place == place]
            found.append(((*place, 1), cells.of_reference(beside)))
    return [line for _, line in sorted(found, key=lambda pair: pair[0])]


def speed(run: Run, row: Row, many: bool) -> float:
    """What rows of one place are sorted by: the ratio to the one baseline, or epochs a second if there are many."""
    return row.setting.epochs / median(row.own.seconds) if many else run.ratio(row).value


def grid(run: Run, style: str, chosen: Sequence[str] = ()) -> str:
    """The table in one of tabulate's styles; rows without a time have a word in place of the first figure."""
    shown = lines(run)
    columns = header(run, chosen) if run.rows else ["name", "ms/epoch"]
    if not chosen and style == TERMINAL:
        columns = fitting(columns, shown)
    if not varying(run.rows):  # else their ids are too long for a column; they stand below the table
        shown += [{"name": name, columns[1]: reason.partition(":")[0]} for name, reason in run.untimed]
    return tabulated([[line.get(column, "") for column in columns] for line in shown], columns, style=style)


def tabulated(body: Sequence[Sequence[str]], columns: Sequence[str], left: int = 1, style: str = "github") -> str:
    """Lines of cells as a table: the first `left` columns are words, the others figures."""
    align = ["left"] * left + ["right"] * (len(columns) - left)
    return tabulate.tabulate(body, columns, tablefmt=style, disable_numparse=True, colalign=align)


def overworked(rows: Sequence[Row]) -> Iterator[str]:
    """A line for each row that kept more cores busy than its threads explain."""
    for row in rows:
        cores, threads = sum(row.own.cpu_seconds) / sum(row.own.seconds), row.threads
        if cores > threads * MORE_THAN_EXPLAINED:
            name = row_id(row.own.name, row.setting.device)
            yield f"{name} kept {cores:.2f} cores busy, with {threads} threads: something works beside it"


def troubles(run: Run) -> list[str]:
    """What may have spoiled times: something else on the machine, and rows that something works beside."""
    advice = run.conditions.advice(max((row.setting.threads for row in run.rows), default=1))
    return [*([advice] if advice else []), *overworked(run.rows)]


def text(run: Run, chosen: Sequence[str] = ()) -> str:
    """Facts, table and the reasons of rows without a time, for a terminal of 120 columns."""
    above = [wrapped(f"{label:<9} {line}", indent=10) for label, line in (facts(run) if run.rows else [])]
    below = [wrapped(line) for line in [*troubles(run), *(f"{name} {reason}" for name, reason in run.untimed)]]
    return "\n".join([*above, "", grid(run, TERMINAL, chosen), "", *below]).strip("\n")


def wrapped(line: str, indent: int = 4) -> str:
    """The line, broken at 120 columns."""
    return textwrap.fill(line, WIDTH, subsequent_indent=" " * indent, break_on_hyphens=False)


def markdown(run: Run, chosen: Sequence[str] = ()) -> str:
    """The same for a Markdown page."""
    above = [f"* {label}: {line}" for label, line in (facts(run) if run.rows else [])]
    below = [f"* {line}" for line in troubles(run)]
    below += [f"* `{name}` {reason}" for name, reason in run.untimed]
    parts = ["\n".join(above), grid(run, "github", chosen), "\n".join(below)]
    return "\n\n".join(part for part in parts if part) + "\n"
