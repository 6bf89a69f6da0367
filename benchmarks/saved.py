"""Saved runs: pytest-benchmark's JSON, read with care. Needs neither torch nor numpy."""

import json
from pathlib import Path
from typing import NamedTuple

from benchmarks import verdict

RESULTS = Path(__file__).parent.parent / "results"

TEXT = str
COUNT = int
NUMBER = (int, float)
LARGEST = 1e18  # of any number in a run; NaN and infinity are not below it

# What a row must hold to be shown, with its type; lists hold one entry per pair.
FIELDS = {
    "name": TEXT,
    "baseline": TEXT,
    "dataset": TEXT,
    "dataset_origin": TEXT,
    "dataset_sha256": TEXT,
    "rows": COUNT,
    "features": COUNT,
    "classes": COUNT,
    "batch_size": COUNT,
    "epochs": COUNT,
    "learning_rate": NUMBER,
    "steps": COUNT,
    "dtype": TEXT,
    "device": TEXT,
    "device_name": TEXT,
    "threads": COUNT,
    "system": TEXT,
    "python": TEXT,
    "torch": TEXT,
    "numpy": TEXT,
    "bytes_per_second": NUMBER,
    "flops_per_second": NUMBER,
    "floor_seconds": NUMBER,
    "own_seconds": list,
    "baseline_seconds": list,
    "first_call_seconds": NUMBER,
    "error": NUMBER,
    "lines": COUNT,
    "source_sha256": TEXT,
    "baseline_first_call_seconds": NUMBER,
    "baseline_error": NUMBER,
    "baseline_lines": COUNT,
}

# What a row may lack, or hold as None: counts per step outside torch, the parent of the root.
OPTIONAL = {
    "parent": TEXT,
    "idea": TEXT,
    "operations_per_step": NUMBER,
    "bytes_per_step": NUMBER,
    "calls_per_step": NUMBER,
    "baseline_operations_per_step": NUMBER,
    "baseline_bytes_per_step": NUMBER,
    "baseline_calls_per_step": NUMBER,
}


class RunError(Exception):
    """A saved run that cannot be used; the message is one line that names the file."""


class Run(NamedTuple):
    """rows: a dict per row that has a time.  untimed: pairs of a row's id and why it has none."""

    rows: list
    untimed: list


def newest():
    """The path of the newest run that was saved by itself. Raises RunError."""
    runs = sorted(RESULTS.glob("run-*.json"))
    if not runs:
        raise RunError(f"no run-*.json in {RESULTS}: run `pytest benchmarks --benchmark-only` first, or name a file")
    return runs[-1]


def load(path):
    """The Run of a file. Raises RunError."""
    try:
        text = Path(path).read_text(encoding="utf-8")
    except OSError as error:
        raise RunError(f"{path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise RunError(f"{path}: not JSON, not even text") from None
    if not text.strip():
        raise RunError(f"{path}: empty; was the run interrupted?")
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise RunError(f"{path}: not JSON, or cut off: {error}") from None
    try:
        rows = [benchmark["extra_info"] for benchmark in content["benchmarks"]]
        untimed = [(row + "", reason + "") for row, reason in content["untimed"]]
    except (KeyError, TypeError, ValueError):
        raise RunError(f"{path}: not a run of this suite; expected what `pytest benchmarks` saves") from None
    for row in rows:
        check_row(path, row)
    return Run(rows, untimed)


def check_row(path, row):
    """Raises RunError unless the row holds what the tables show."""
    for field, kind in (FIELDS | OPTIONAL).items():
        value = row.get(field) if isinstance(row, dict) else None
        if not isinstance(value, kind) and (value is not None or field in FIELDS):
            raise RunError(f"{path}: a row without a usable {field!r}; was it saved by another version of this suite?")
        if isinstance(value, NUMBER) and not abs(value) < LARGEST:
            raise RunError(f"{path}: row {row['name']} has {str(value)[:20]} as its {field}; expected a finite number")
    times = row["own_seconds"] + row["baseline_seconds"]
    if not all(isinstance(second, NUMBER) and 0 < second < LARGEST for second in times):
        raise RunError(f"{path}: row {row['name']} has times that are not positive numbers")
    if len(row["own_seconds"]) != len(row["baseline_seconds"]):
        raise RunError(f"{path}: row {row['name']} has unequal numbers of its own and its baseline's times")
    if len(row["own_seconds"]) < verdict.FEWEST_PAIRS:
        pairs = len(row["own_seconds"])
        raise RunError(
            f"{path}: row {row['name']} has {pairs} pairs; an interval needs at least {verdict.FEWEST_PAIRS}"
        )
    if min(row["epochs"], row["steps"], row["rows"], row["batch_size"]) < 1:
        raise RunError(f"{path}: row {row['name']} has no epochs, steps, rows or batches")
    if not row["floor_seconds"] > 1 / LARGEST:
        raise RunError(f"{path}: row {row['name']} has a floor of {row['floor_seconds']} seconds, expected more than 0")
