"""Saved runs: pytest-benchmark's JSON, read with care. Needs neither torch nor numpy."""

import json
import re
from pathlib import Path
from typing import NamedTuple

from benchmarks.runs import statistics, verdicts

COPY = "torch_nn_copy"  # of a null lane: the reference, loaded once more as a module of its own
RESULTS = Path(__file__).parents[2] / "results"

TEXT = str
COUNT = int
FLAG = bool
NUMBER = (int, float)
LONGEST = 1000  # of any text in a run
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
    "numba": TEXT,
    "jax": TEXT,
    "triton": TEXT,
    "checker_sha256": TEXT,
    "bytes_per_second": NUMBER,
    "flops_per_second": NUMBER,
    "floor_seconds": NUMBER,
    "pairs": COUNT,
    "first_look": COUNT,
    "first_call_seconds": NUMBER,
    "error": NUMBER,
    "lines": COUNT,
    "source_sha256": TEXT,
    "baseline_first_call_seconds": NUMBER,
    "baseline_error": NUMBER,
    "baseline_lines": COUNT,
    "baseline_source_sha256": TEXT,
}

# Lists with one entry per pair, and the type of an entry.
PER_PAIR = {
    "process": COUNT,
    "start_seconds": NUMBER,
    "baseline_first": FLAG,
    "own_seconds": NUMBER,
    "baseline_seconds": NUMBER,
    "own_cpu_seconds": NUMBER,
    "baseline_cpu_seconds": NUMBER,
}

# Runs that differ in one of these answer different questions, or answer them in different places.
FINGERPRINT = (
    *("dataset_sha256", "rows", "features", "classes", "batch_size", "epochs", "learning_rate", "dtype"),
    *("device_name", "threads", "system", "python", "torch", "numpy", "numba", "jax", "triton"),
    *("checker_sha256", "baseline_source_sha256"),
)

CONDITIONS = ("other_cores", "stolen_cores", "switches_per_second", "lowest_megahertz", "highest_megahertz")

# What a row may lack, or hold as None: counts per step outside torch, kernels on a CPU, the parent of the root.
OPTIONAL = {
    "parent": TEXT,
    "idea": TEXT,
    "operations_per_step": NUMBER,
    "bytes_per_step": NUMBER,
    "calls_per_step": NUMBER,
    "kernels_per_epoch": NUMBER,
    "baseline_operations_per_step": NUMBER,
    "baseline_bytes_per_step": NUMBER,
    "baseline_calls_per_step": NUMBER,
    "baseline_kernels_per_epoch": NUMBER,
    "hand_off_seconds": NUMBER,
}


class RunError(Exception):
    """A saved run that cannot be used; the message is one line that names the file."""


class Run(NamedTuple):
    """rows: a dict per row that has a time.  untimed: pairs of a row's id and why it has none.

    null_lanes: a row of the reference beside its copy for each device.  conditions: what else the machine did.
    margin: the least ratio that counts, less 1.
    """

    rows: list
    untimed: list
    null_lanes: list
    conditions: dict
    margin: float = statistics.MARGIN


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
        run, saved_verdicts = run_of(content), content["verdicts"] | {}
    except (KeyError, TypeError, ValueError, OverflowError):
        raise RunError(f"{path}: not a run of this suite; expected what `pytest benchmarks` saves") from None
    check_run(path, run, saved_verdicts)
    return run


def run_of(content):
    """The Run of what is saved, unchecked. Raises KeyError, TypeError and ValueError if it is something else."""
    return Run(
        rows=[benchmark["extra_info"] for benchmark in content["benchmarks"]],
        untimed=[(row + "", reason + "") for row, reason in content["untimed"]],
        null_lanes=content["null_lanes"] + [],
        conditions={field: content["conditions"][field] for field in CONDITIONS},
        margin=content["margin"],
    )


def joined(parts):
    """One row from parts of it, measured one after the other: the pairs of all, and their largest errors."""
    per_pair = {field: [value for part in parts for value in part[field]] for field in PER_PAIR}
    errors = {field: max(part[field] for part in parts) for field in ("error", "baseline_error")}
    return parts[0] | per_pair | errors | {"pairs": len(per_pair["process"])}


def beside_the_rows(run):
    """What is saved of a run beside its rows."""
    return {
        "untimed": run.untimed,
        "null_lanes": run.null_lanes,
        "conditions": run.conditions,
        "margin": run.margin,
        "verdicts": words_by_row(run),
    }


def words_by_row(run):
    """What is saved of the words: they can always be made again from the pairs."""
    return {" ".join(map(str, key)): word for key, word in verdicts.words(run).items()}


def check_run(path, run, saved_verdicts):
    """Raises RunError unless the run can be shown and judged, and says what its pairs say."""
    if not (is_a(run.margin, NUMBER) and 0 < run.margin <= 1):
        raise RunError(f"{path}: a margin of {str(run.margin)[:20]!r}; expected a number above 0, at most 1")
    for field, value in run.conditions.items():
        if value is not None and not (is_a(value, NUMBER) and 0 <= value < LARGEST):
            raise RunError(f"{path}: conditions with {str(value)[:20]!r} as {field}; expected a number of at least 0")
    for row in run.rows + run.null_lanes:
        check_row(path, row)
    for lane in run.null_lanes:
        if (lane["name"], lane["source_sha256"]) != (COPY, lane["baseline_source_sha256"]):
            raise RunError(f"{path}: a null lane of {lane['name']}; expected the reference and its copy, {COPY}")
        beside = [row for row in run.rows if row["device"] == lane["device"]]
        if any(set(row["process"]) != set(lane["process"]) for row in beside):
            raise RunError(f"{path}: the null lane on {lane['device']} has other processes than the rows")
    keys = set()
    for row in run.rows:
        if verdicts.key(row) in keys:
            raise RunError(f"{path}: two rows {row['name']} on one device and problem; expected one")
        keys.add(verdicts.key(row))
    for device in sorted({row["device"] for row in run.rows} - {lane["device"] for lane in run.null_lanes}):
        raise RunError(f"{path}: no null lane on {device}: nothing says whether that machine could judge")
    found = words_by_row(run)
    for key in sorted(found.keys() | saved_verdicts.keys()):
        if found.get(key) != saved_verdicts.get(key):
            raise RunError(
                f"{path}: the verdict of {key[:80]!r} is {str(saved_verdicts.get(key))[:20]!r}, but its pairs say "
                f"{found.get(key)!r}; was the file edited?"
            )


def check_row(path, row):
    """Raises RunError unless the row holds what the tables show."""
    for field, kind in (FIELDS | OPTIONAL | dict.fromkeys(PER_PAIR, list)).items():
        value = row.get(field) if isinstance(row, dict) else None
        if not is_a(value, kind) and (value is not None or field not in OPTIONAL):
            raise RunError(f"{path}: a row without a usable {field!r}; was it saved by another version of this suite?")
        if field in ("name", "baseline", "device") and not re.fullmatch(r"[A-Za-z0-9_]{1,100}", value):
            raise RunError(f"{path}: a row's {field} is {value[:40]!a}; expected letters, digits and _")
        if isinstance(value, str) and not (value.isprintable() and len(value) <= LONGEST):
            raise RunError(f"{path}: a row's {field} is {value[:40]!a}; expected one line of at most {LONGEST} letters")
        if isinstance(value, NUMBER) and not abs(value) < LARGEST:
            raise RunError(f"{path}: row {row['name']} has {str(value)[:20]} as its {field}; expected a finite number")
        if field in OPTIONAL and isinstance(value, NUMBER) and value < 0:
            raise RunError(f"{path}: row {row['name']} has {value} as its {field}; expected at least 0")
    if min(row["epochs"], row["steps"], row["rows"], row["batch_size"]) < 1:
        raise RunError(f"{path}: row {row['name']} has no epochs, steps, rows or batches")
    if not row["floor_seconds"] > 1 / LARGEST:
        raise RunError(f"{path}: row {row['name']} has a floor of {row['floor_seconds']} seconds, expected more than 0")
    if (row.get("hand_off_seconds") or 0) * row["steps"] > row["floor_seconds"]:
        raise RunError(f"{path}: row {row['name']} has a floor below the hand-offs of its steps")
    check_pairs(path, row)


def check_pairs(path, row):
    """Raises RunError unless the row's lists are those of pairs in a balanced order."""
    name, count = row["name"], len(row["own_seconds"])
    for field, kind in PER_PAIR.items():
        if len(row[field]) != count:
            raise RunError(f"{path}: row {name} has {len(row[field])} {field} but {count} own_seconds")
        if not all(is_a(value, kind) and (kind is FLAG or 0 <= value < LARGEST) for value in row[field]):
            raise RunError(f"{path}: row {name} has a value in {field} that is no {kind_name(kind)}")
    if count != row["pairs"]:
        raise RunError(f"{path}: row {name} has {count} pairs and declares {row['pairs']}; was it cut?")
    if not min(row["own_seconds"] + row["baseline_seconds"], default=0) > 1 / LARGEST:
        raise RunError(f"{path}: row {name} has no pairs, or times of 0 seconds")
    first, processes = row["first_look"], set(row["process"])
    if len(processes) < 2 and count < statistics.FEWEST_PAIRS:
        raise RunError(f"{path}: row {name} has {count} pairs; an interval needs at least {statistics.FEWEST_PAIRS}")
    if first and (len(processes) > 1 or count not in [first << look for look in range(64)] or first < 0):
        raise RunError(f"{path}: row {name} has {count} pairs; looks were at {first}, twice as many, and so on")
    for process in processes:
        places = [place for place, own in zip(row["baseline_first"], row["process"], strict=True) if own == process]
        if 2 * sum(places) != len(places):
            raise RunError(
                f"{path}: row {name} has its baseline first in {sum(places)} of {len(places)} pairs; expected half"
            )


def is_a(value, kind):
    """Whether the value is of this type; True and False are no numbers."""
    return isinstance(value, kind) and (kind is FLAG or not isinstance(value, bool))


def kind_name(kind):
    """What a list holds, for people."""
    return {FLAG: "true or false", COUNT: "whole number of at least 0"}.get(kind, "positive number")
