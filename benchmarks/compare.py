"""Compares two saved runs, A before and B after.

    python -m benchmarks.compare A B [--force]

Each row is compared with itself through its ratio to the baseline that ran beside it, never through the times of
two different moments. Runs that answer different questions, or were made where nothing could be judged, are refused.

Exit status: 0 nothing is slower, 1 something is slower, 2 a file cannot be used, 3 not comparable, be it one row, or a
row that had a time in A has none in B.
"""

import argparse
import math
import re
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from statistics import median

from tabulate import tabulate

from benchmarks.runs import saved, statistics
from benchmarks.runs.row import MIXED, Row
from benchmarks.runs.saved import Run
from benchmarks.runs.statistics import Change, Verdict
from benchmarks.show import table
from benchmarks.show.cells import row_id
from reference import shell

SLOWER, UNUSABLE, NOT_COMPARABLE = 1, 2, 3
UNLIKE = "not comparable"  # in place of a word
ROW_ID = re.compile(r"(\w+)-(\w+)(?:-batch(\d+))?(?:-rows(\d+))?", re.ASCII)  # as `row_id` makes it
NOTEWORTHY = 1.1  # how many times as long a baseline took in one of two runs: where it varies, ratios to it may, too
COLUMNS = ("name", "x baseline in A (99 %)", "in B (99 %)", "B / A", "judged by", "verdict", "")


def unlike(a: Run, b: Run) -> list[str]:
    """Why the runs cannot be compared, in lines; none if they can."""
    rows_a, rows_b = by_id(a, b)
    common = sorted(rows_a.keys() & rows_b.keys())
    if not common:
        return [f"device or rows: A has {listed(rows_a)}; B has {listed(rows_b)}; no row is in both"]
    found: dict[tuple[str, str, str], list[str]] = {}  # by what differs, the rows in which it does
    for name in common:
        of_a, of_b = (row.fingerprint | {"baseline": row.baseline.name} for row in (rows_a[name], rows_b[name]))
        for field in of_a:
            if of_a[field] != of_b[field]:
                found.setdefault((field, shown(of_a[field]), shown(of_b[field])), []).append(name)
    return [
        f"{field} is {in_a} in A, {in_b} in B" + ("" if len(names) == len(common) else f" for {listed(names)}")
        for (field, in_a, in_b), names in found.items()
    ] + [f"{side} has no verdicts: {run.cannot_judge}" for side, run in (("A", a), ("B", b)) if run.cannot_judge]


def listed(names: Iterable[str]) -> str:
    """The first of some names."""
    names = list(names)
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")


def shown(value: str | float | None) -> str:
    """The value of a field, hashes by their beginning."""
    if value is None:
        return "none"
    return str(value)[:60] if len(str(value)) != 64 else str(value)[:12]


def by_id(*runs: Run) -> list[dict[str, Row]]:
    """The rows of each run by their ids, with batch size and number of rows where these vary in any run."""
    several = varying_in_any(runs)

    def name(row: Row) -> str:
        return row_id(row.own.name, row.setting.device, **{field: getattr(row.setting, field) for field in several})

    return [{name(row): row for row in run.rows} for run in runs]


def varying_in_any(runs: Iterable[Run]) -> set[str]:
    """Which of batch size and number of rows vary in one of the runs at least."""
    return {field for run in runs for field in table.varying(run.rows)}


def changes(a: Run, b: Run) -> dict[str, Change]:
    """The Change of each row that is in both runs and was timed in the same manner, by its id."""
    rows_a, rows_b = by_id(a, b)
    common = [name for name in sorted(rows_a.keys() & rows_b.keys()) if timed_alike(rows_a[name], rows_b[name])]
    return {name: Change(a.samples[rows_a[name].key], b.samples[rows_b[name].key]) for name in common}


def margin(a: Run, b: Run) -> float:
    """The least ratio that counts, less 1: the wider margin of both runs.

    Where an A/A check has chosen that of a run of one process, it is the root of the sum of both squares (of their
    logarithms): the luck of that process is in no interval, and each of the two runs has its own.
    """
    logs = [math.log1p(run.judging_margin or 0) for run in (a, b)]
    lucky = any(run.margin is None and run.processes == 1 for run in (a, b))
    return math.expm1(math.hypot(*logs) if lucky else max(logs))


def timed_alike(a: Row, b: Row) -> bool:
    """Whether all processes timed both by slices of one length, or by whole runs: a slice is less often disturbed."""
    return a.manner == b.manner != MIXED


def verdicts(a: Run, b: Run, changes: Mapping[str, Change]) -> dict[str, Verdict]:
    """The Verdict of each row that is in both runs, by its id; of (b, a) the same, with faster and slower swapped."""
    return statistics.verdicts(changes, margin(a, b))


def lines(a: Run, b: Run, verdicts: Mapping[str, Verdict]) -> list[list[str]]:
    """The cells of the comparison, one line for each row of either run."""
    rows_a, rows_b = by_id(a, b)
    reasons = reasons_by_id(a, b)
    found = []
    for name in sorted(rows_a.keys() | rows_b.keys()):
        row_a, row_b = rows_a.get(name), rows_b.get(name)
        ratios = [run.ratio(row).text(digits=2) if row else "" for run, row in ((a, row_a), (b, row_b))]
        reason = next((reasons_of[name] for reasons_of in reasons if name in reasons_of), "")
        found.append([name, *ratios, *cells(row_a, row_b, verdicts.get(name), reason)])
    return found


def lost(a: Run, b: Run) -> list[str]:
    """The rows that have a time in A and none in B, though B has tried, by their ids."""
    rows_a, rows_b = by_id(a, b)
    return sorted((rows_a.keys() - rows_b.keys()) & reasons_by_id(a, b)[1].keys())


def timed_otherwise(a: Run, b: Run, changes: Mapping[str, Change]) -> set[str]:
    """The rows that have a time in both and no Change, by their ids."""
    rows_a, rows_b = by_id(a, b)
    return (rows_a.keys() & rows_b.keys()) - changes.keys()


def reasons_by_id(*runs: Run) -> list[dict[str, str]]:
    """Of each run why rows have no time, by ids as `by_id` makes them: the run's own name only what varies in it."""
    several = varying_in_any(runs)
    found = []
    for run in runs:
        # What does not vary in it all its rows have; one of these is in every run that is compared.
        fixed = {field: getattr(run.rows[0].setting, field) for field in several - {*table.varying(run.rows)}}
        found.append({completed(own_id, fixed): reason for own_id, reason in run.untimed})
    return found


def completed(own_id: str, fixed: Mapping[str, int]) -> str:
    """The id of a row with these numbers, too; what is no id stays as it is."""
    if not (parts := ROW_ID.fullmatch(own_id)):
        return own_id
    name, device, *numbers = parts.groups()
    batch_size, rows = (int(number or 0) for number in numbers)
    return row_id(name, device, batch_size or fixed.get("batch_size"), rows or fixed.get("rows"))


def cells(row_a: Row | None, row_b: Row | None, verdict: Verdict | None, reason: str) -> list[str]:
    """What one row of either run is beside the other: B's ratio over A's, and the word for it."""
    if not (row_a and row_b):
        why = reason.partition(":")[0]
        return ["", "", UNLIKE, f"only in {'A' if row_a else 'B'}" + (f": {why}" if why else "")]
    notes = [] if row_a.own.source_sha256 == row_b.own.source_sha256 else ["source changed"]
    if abs(math.log(slowed := baseline_seconds(row_b) / baseline_seconds(row_a))) > math.log(NOTEWORTHY):
        notes.append(f"{row_a.baseline.name} took {slowed:.2f} times as long in B")
    if not verdict:
        return ["", "", UNLIKE, "; ".join([f"A by {row_a.manner}, B by {row_b.manner}", *notes])]
    quotient = statistics.exponential(verdict.interval)
    return [f"{quotient.value:.3f}", f"{quotient.low:.3f} to {quotient.high:.3f}", verdict.word, "; ".join(notes)]


def baseline_seconds(row: Row) -> float:
    """How long its baseline took, the median."""
    return median(row.baseline.seconds)


def loaded(path_a: str, path_b: str) -> tuple[Run, Run]:
    """Both runs. Raises saved.RunError."""
    runs = saved.load(path_a), saved.load(path_b)
    for path, run in zip((path_a, path_b), runs, strict=True):
        if not run.rows:
            raise saved.RunError(f"{path}: no row has a time")
    if Path(path_a).samefile(path_b):
        raise saved.RunError(f"{path_b}: the same run as {path_a}; name two different ones")
    starts = [{row.start_seconds for row in run.rows} for run in runs]
    if starts[0] & starts[1]:
        raise saved.RunError(f"{path_b}: holds pairs of the same moments as {path_a}; name two different runs")
    return runs


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.compare", description="Compares two saved runs.")
    parser.add_argument("a", metavar="A", help="a saved run, before")
    parser.add_argument("b", metavar="B", help="another, after")
    parser.add_argument("--force", action="store_true", help="show runs that are not comparable, without verdicts")
    arguments = parser.parse_args()
    try:
        a, b = loaded(arguments.a, arguments.b)
    except saved.RunError as error:
        print(f"error: {error}", file=sys.stderr)
        return UNUSABLE
    reasons = unlike(a, b)
    if reasons and not arguments.force:
        print(f"not comparable: {'; '.join(reasons)}; --force shows them without verdicts", file=sys.stderr)
        return NOT_COMPARABLE
    for reason in reasons:
        print(table.wrapped(f"not comparable: {reason}"))
    measured = changes(a, b)
    found = verdicts(a, b, measured)
    if reasons:
        found = {name: verdict._replace(word=UNLIKE) for name, verdict in found.items()}
    print(f"\nA {arguments.a}\nB {arguments.b}\n")
    align = ["left", "right", "right", "right", "right", "left", "left"]
    print(tabulate(lines(a, b, found), COLUMNS, disable_numparse=True, colalign=align))
    if reasons:
        return NOT_COMPARABLE
    if found:
        print(
            table.wrapped(f"\nB against A: {table.meaning(margin(a, b), len(found))}{table.of_these(a, b)}", indent=0)
        )
    if "slower" in {verdict.word for verdict in found.values()}:
        return SLOWER
    return NOT_COMPARABLE if timed_otherwise(a, b, measured) or lost(a, b) else 0


if __name__ == "__main__":
    shell.run(main)
