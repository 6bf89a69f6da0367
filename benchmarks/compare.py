"""Puts two saved runs side by side.

    python -m benchmarks.compare A B [--force]

Compares each row with itself through its ratio to the baseline that ran beside it, never the times of two
different moments. Runs that answer different questions are refused, naming the field.

Exit status: 0 shown, 2 a file cannot be used, 3 not comparable.
"""

import argparse
import sys

from tabulate import tabulate

from benchmarks import saved, table, verdict

# Runs that differ in one of these answer different questions.
MUST_AGREE = (
    "dataset_sha256",
    "rows",
    "features",
    "classes",
    "batch_size",
    "epochs",
    "learning_rate",
    "dtype",
    "device_name",
    "threads",
)
VERSIONS = ("system", "python", "torch", "numpy")


def differences(a, b, fields):
    """How two runs differ in these fields, on the device types they share: one line a field."""
    shared = {row["device"] for row in a.rows} & {row["device"] for row in b.rows}
    found = []
    for field in fields:
        in_a, in_b = (sorted({str(row[field]) for row in run.rows if row["device"] in shared}) for run in (a, b))
        if in_a != in_b:
            found.append(f"{field} is {', '.join(in_a)} in A, {', '.join(in_b)} in B")
    return found


def unlike(a, b):
    """Why the runs cannot be compared: a list of lines, empty if they can."""
    rows_a, rows_b = by_id(a, b)
    common = sorted(rows_a.keys() & rows_b.keys())
    if not common:
        return [f"device or rows: A has {', '.join(rows_a)}; B has {', '.join(rows_b)}; no row is in both"]
    in_id = table.varying(a.rows) + table.varying(b.rows)
    return differences(a, b, [field for field in MUST_AGREE if field not in in_id]) + [
        f"baseline of {name} is {rows_a[name]['baseline']} in A, {rows_b[name]['baseline']} in B"
        for name in common
        if rows_a[name]["baseline"] != rows_b[name]["baseline"]
    ]


def by_id(*runs):
    """The rows of each run by their ids, with batch size and number of rows where these vary in any run."""
    several = {field for run in runs for field in table.varying(run.rows)}
    return [
        {table.row_id(row["name"], row["device"], **{field: row[field] for field in several}): row for row in run.rows}
        for run in runs
    ]


def lines(a, b):
    """The cells of the comparison, one line for each row of either run."""
    rows_a, rows_b = by_id(a, b)
    return [cells(name, rows_a.get(name), rows_b.get(name)) for name in sorted(rows_a.keys() | rows_b.keys())]


def cells(name, row_a, row_b):
    """One row as text: its ratio in each run, and B's over A's."""
    ratios = [row and verdict.ratio(row["own_seconds"], row["baseline_seconds"]) for row in (row_a, row_b)]
    shown = [f"{ratio.median:.2f} ({ratio.low:.2f} to {ratio.high:.2f})" if ratio else "" for ratio in ratios]
    if not (row_a and row_b):
        return [name, *shown, "", "", f"only in {'A' if row_a else 'B'}"]
    change = verdict.quotient(ratios[1], ratios[0])
    note = "" if row_a["source_sha256"] == row_b["source_sha256"] else "source changed"
    return [name, *shown, f"{change.median:.2f}", f"{change.low:.2f} to {change.high:.2f}", note]


def main():
    parser = argparse.ArgumentParser(prog="python -m benchmarks.compare", description="Two saved runs side by side.")
    parser.add_argument("a", metavar="A", help="a saved run")
    parser.add_argument("b", metavar="B", help="another")
    parser.add_argument("--force", action="store_true", help="show runs that are not comparable, marked as such")
    arguments = parser.parse_args()
    try:
        a, b = saved.load(arguments.a), saved.load(arguments.b)
        for path, run in ((arguments.a, a), (arguments.b, b)):
            if not run.rows:
                raise saved.RunError(f"{path}: no row has a time")
    except saved.RunError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    reasons = unlike(a, b)
    if reasons and not arguments.force:
        print(f"not comparable: {'; '.join(reasons)}; --force shows them anyway", file=sys.stderr)
        return 3
    for reason in reasons:
        print(f"not comparable: {reason}")
    for line in differences(a, b, VERSIONS):
        print(f"note: {line}")
    columns = ["name", "x baseline in A (99 %)", "in B (99 %)", "B / A", "98 % interval", ""]
    align = ["left", "right", "right", "right", "right", "left"]
    mark = "NOT COMPARABLE " if reasons else ""
    print(f"\n{mark}A {arguments.a}\n{mark}B {arguments.b}\n")
    print(tabulate(lines(a, b), columns, disable_numparse=True, colalign=align))
    return 0


if __name__ == "__main__":
    sys.exit(main())
