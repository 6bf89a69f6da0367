"""One row: two trainers side by side, and what was measured of them. Needs neither torch nor numpy.

A Row checks itself when it is made, so there is none that could not be saved and read back. It may be a part of one,
with fewer pairs than an interval needs; a Run holds only whole ones.
"""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from operator import attrgetter
from statistics import median
from types import UnionType
from typing import Any, get_args, get_origin, get_type_hints

from benchmarks.runs.statistics import Sample

LONGEST = 1000  # of any text in a run
LARGEST = 1e18  # of any number in a run; NaN and infinity are not below it
# Fields of a Side by the bytes that travel: two numbers, the logits of 64 rows, the gradients, and ten times as much.
ALL_REDUCES = {size: f"all_reduce_{size}_seconds" for size in (8, 2560, 31400, 314000)}
NAME = re.compile(r"[A-Za-z0-9_]{1,100}")  # of an implementation, a baseline or a device


class RowError(Exception):
    """Values that make no row; the message is one line."""


@dataclass(frozen=True, kw_only=True)
class Setting:
    """What was asked, of which machine: the same for all rows of one problem on one device.

    rows, steps: per epoch and per run.  hand_off_seconds: from one step to the next, None on a CPU.  floor_seconds:
    the least time for a run.  Versions of packages that are not there are "none".
    """

    dataset: str
    dataset_origin: str
    dataset_sha256: str
    rows: int
    features: int
    classes: int
    batch_size: int
    epochs: int
    learning_rate: float
    steps: int
    dtype: str
    device: str
    device_name: str
    threads: int
    system: str
    python: str
    torch: str
    numpy: str
    numba: str
    jax: str
    triton: str
    checker_sha256: str
    bytes_per_second: float
    flops_per_second: float
    hand_off_seconds: float | None
    floor_seconds: float


@dataclass(frozen=True, kw_only=True)
class Side:
    """One of the two trainers of a row. error: the largest that was measured, in float32 noise; of its other runs it is
    known that they agree with the baseline's within the limit.

    seconds, cpu_seconds: of a run, one of each for each pair.  call_seconds: what of a run a call pays once, by
    slices; None where there were none.  What is counted is None outside torch, kernels also on a CPU.
    exchange_seconds: of a step, which waits so long for other ranks.  all_reduce_...: of one alone, of so many bytes.
    processes, hosts, threads_per_process, backend: in how many ranks it trained, on how many machines, each rank with
    how many threads, and by what they spoke with each other; None in one process, which has the setting's threads.
    """

    name: str
    first_call_seconds: float
    error: float
    lines: int
    source_sha256: str
    seconds: tuple[float, ...]
    cpu_seconds: tuple[float, ...]
    call_seconds: float | None = None
    operations_per_step: float | None = None
    bytes_per_step: float | None = None
    calls_per_step: float | None = None
    kernels_per_epoch: float | None = None
    exchange_seconds: float | None = None
    all_reduce_8_seconds: float | None = None
    all_reduce_2560_seconds: float | None = None
    all_reduce_31400_seconds: float | None = None
    all_reduce_314000_seconds: float | None = None
    processes: int | None = None
    hosts: int | None = None
    threads_per_process: int | None = None
    backend: str | None = None


@dataclass(frozen=True, kw_only=True)
class Row:
    """An implementation beside its baseline. Raises RowError when it is made of what makes no row.

    parent, idea: of the implementation; None if it has none.  slice_rows: of the longer of the slices by which runs
    were timed; None where whole runs were, be it in some of several processes.
    process, start_seconds, baseline_first: of each pair the process it ran in, when it began, in seconds since 1970,
    and whether the baseline ran first.
    """

    setting: Setting
    own: Side
    baseline: Side
    parent: str | None
    idea: str | None
    slice_rows: int | None
    process: tuple[int, ...]
    start_seconds: tuple[float, ...]
    baseline_first: tuple[bool, ...]

    def __post_init__(self) -> None:
        check_values(self)
        check_pairs(self)

    @property
    def pairs(self) -> int:
        """How many there are."""
        return len(self.own.seconds)

    @property
    def manner(self) -> str:
        """By what its runs were timed."""
        if self.slice_rows:
            return f"slices of {self.slice_rows} rows"
        return "whole runs" if self.own.call_seconds is None else MIXED

    @property
    def place(self) -> tuple[str, int, int]:
        """The device and the problem: rows of one place stand together."""
        return self.setting.device, self.setting.rows, self.setting.batch_size

    @property
    def key(self) -> tuple[str, str, int, int]:
        """What tells the rows of one run apart."""
        return self.own.name, *self.place

    @property
    def threads(self) -> int:
        """Of the implementation, in all its processes together."""
        return (self.own.processes or 1) * (self.own.threads_per_process or self.setting.threads)

    @cached_property
    def log_ratios(self) -> Sample:
        """The Sample of log(baseline / own) of each pair, by process: above 0 is faster than the baseline."""
        found: dict[int, list[float]] = {}
        for process, own, baseline in zip(self.process, self.own.seconds, self.baseline.seconds, strict=True):
            found.setdefault(process, []).append(math.log(baseline / own))
        return Sample([sorted(values) for values in found.values()])  # sorted once: every interval does it again

    @property
    def fingerprint(self) -> dict[str, str | float | None]:
        """What must be the same in rows that are compared, by its key in a saved row."""
        return {key: attrgetter(LAYOUT[key])(self) for key in FINGERPRINT}

    def to_dict(self) -> dict[str, Any]:
        """The row as it is saved: pytest-benchmark keeps one dictionary for each."""
        values = {key: attrgetter(path)(self) for key, path in LAYOUT.items()}
        return {key: list(value) if isinstance(value, tuple) else value for key, value in values.items()}

    @classmethod
    def from_dict(cls, info: Any) -> "Row":
        """The Row of what to_dict gave; what may be None may also be missing. Raises RowError."""
        parts: dict[str, dict[str, Any]] = {"": {}, "setting": {}, "own": {}, "baseline": {}}
        for key, path in LAYOUT.items():
            part, _, field = path.rpartition(".")
            value = info.get(key) if isinstance(info, dict) else None
            parts[part][field] = tuple(value) if isinstance(value, list) else value
        declared = parts[""].pop("pairs")
        own, baseline = Side(**parts["own"]), Side(**parts["baseline"])
        row = cls(setting=Setting(**parts["setting"]), own=own, baseline=baseline, **parts[""])
        if row.pairs != declared:
            raise RowError(
                f"row {own.name} has {row.pairs} pairs and declares {clean(str(declared))[:20]}; was it cut?"
            )
        return row


def layout() -> dict[str, str]:
    """The keys of a saved row in their order, each with the path to its value in a Row."""
    hints = get_type_hints(Side)
    lists = [field for field, kind in hints.items() if get_origin(kind) is tuple]
    counts = [field for field, kind in hints.items() if isinstance(kind, UnionType)]
    facts = [field for field in hints if field not in ("name", *lists, *counts)]
    own_and_baseline = (("own", ""), ("baseline", "baseline_"))
    return {
        **{field: f"setting.{field}" for field in get_type_hints(Setting)},
        **{field: field for field in ("pairs", "process", "start_seconds", "baseline_first")},
        **{f"{side}_{field}": f"{side}.{field}" for field in lists for side, _ in own_and_baseline},
        **{f"{prefix}{field}": f"{side}.{field}" for side, prefix in own_and_baseline for field in facts},
        **{"name": "own.name", "parent": "parent", "idea": "idea", "baseline": "baseline.name"},
        "slice_rows": "slice_rows",
        **{f"{prefix}{field}": f"{side}.{field}" for side, prefix in own_and_baseline for field in counts},
    }


def kinds() -> dict[str, Any]:
    """The type of each value of a saved row by its key, names first: complaints about the others need them."""
    parts = {"": get_type_hints(Row), "setting": get_type_hints(Setting)}
    parts["own"] = parts["baseline"] = get_type_hints(Side)
    paths = {key: LAYOUT[key].rpartition(".") for key in ("name", *LAYOUT) if key != "pairs"}
    return {key: parts[part][field] for key, (part, _, field) in paths.items()}


LAYOUT = layout()
KINDS = kinds()

MIXED = "slices and whole runs"  # in some processes by the former, in others by the latter, as older runs have it
# Rows that differ in one of these answer different questions, or answer them in different places.
FINGERPRINT = (
    *("dataset_sha256", "rows", "features", "classes", "batch_size", "epochs", "learning_rate", "dtype"),
    *("device_name", "threads", "system", "python", "torch", "numpy", "numba", "jax", "triton"),
    *("checker_sha256", "baseline_source_sha256"),
    *(f"{side}{field}" for side in ("", "baseline_") for field in ("processes", "hosts", "threads_per_process")),
)


def joined(rows: Sequence[Row], process: Sequence[int] | None = None) -> Row:
    """One row of the pairs of all, one after the other, with the median of their first calls and their largest errors.

    process: the number of the process that each of them ran in; without it they keep those that they have.
    """

    def side(parts: Sequence[Side]) -> Side:
        calls = [part.call_seconds for part in parts if part.call_seconds is not None]
        return replace(
            parts[0],
            first_call_seconds=median(part.first_call_seconds for part in parts),
            error=max(part.error for part in parts),
            seconds=sum((part.seconds for part in parts), ()),
            cpu_seconds=sum((part.cpu_seconds for part in parts), ()),
            call_seconds=median(calls) if calls else None,
        )

    numbered = [row.process for row in rows]
    if process is not None:
        numbered = [(number,) * row.pairs for number, row in zip(process, rows, strict=True)]
    return replace(
        rows[0],
        own=side([row.own for row in rows]),
        baseline=side([row.baseline for row in rows]),
        slice_rows=rows[0].slice_rows if len({row.slice_rows for row in rows}) == 1 else None,
        process=sum(numbered, ()),
        start_seconds=sum((row.start_seconds for row in rows), ()),
        baseline_first=sum((row.baseline_first for row in rows), ()),
    )


def clean(text: str) -> str:
    """A text from a file as one that a row may hold: one line of printable letters, cut where it is too long."""
    words = "".join(letter if letter.isprintable() else " " for letter in text).split()
    return " ".join(words)[:LONGEST].rstrip()


def is_line(text: str) -> bool:
    """Whether a run may hold this text."""
    return text.isprintable() and len(text) <= LONGEST


def check_values(row: Row) -> None:
    """Raises RowError unless the row holds what the tables show."""
    for key, kind in KINDS.items():
        value = attrgetter(LAYOUT[key])(row)
        if not is_a(value, kind):
            raise RowError(f"a row without a usable {key!r}; was it saved by another version of this suite?")
        if key in ("name", "baseline", "device") and not NAME.fullmatch(value):
            raise RowError(f"a row's {key} is {value[:40]!a}; expected letters, digits and _")
        if isinstance(value, str) and not is_line(value):
            raise RowError(f"a row's {key} is {value[:40]!a}; expected one line of at most {LONGEST} letters")
        if isinstance(value, int | float) and not abs(value) < LARGEST:
            raise RowError(f"row {row.own.name} has {str(value)[:20]} as its {key}; expected a finite number")
        if isinstance(value, int | float) and value < 0:
            raise RowError(f"row {row.own.name} has {value} as its {key}; expected at least 0")
    name, setting = row.own.name, row.setting
    if min(setting.epochs, setting.steps, setting.rows, setting.batch_size) < 1:
        raise RowError(f"row {name} has no epochs, steps, rows or batches")
    if row.slice_rows == 0:
        raise RowError(f"row {name} has slices of 0 rows; expected at least 1, or none")
    if not setting.floor_seconds > 1 / LARGEST:
        raise RowError(f"row {name} has a floor of {setting.floor_seconds} seconds, expected more than 0")
    if (setting.hand_off_seconds or 0) * setting.steps > setting.floor_seconds:
        raise RowError(f"row {name} has a floor below the hand-offs of its steps")


def check_pairs(row: Row) -> None:
    """Raises RowError unless the row's lists are those of pairs in a balanced order."""
    name, count = row.own.name, row.pairs
    for key, kind in KINDS.items():
        if get_origin(kind) is not tuple:
            continue
        values, (one, _) = attrgetter(LAYOUT[key])(row), get_args(kind)
        if len(values) != count:
            raise RowError(f"row {name} has {len(values)} {key} but {count} own_seconds")
        bad = [value for value in values if not (is_a(value, one) and (one is bool or 0 <= value < LARGEST))]
        if bad:
            numbers = {bool: "true or false", int: "a whole number of at least 0"}
            expected = numbers.get(one, "a finite number of at least 0")
            raise RowError(f"row {name} has {str(bad[0])[:20]!a} in {key}; expected {expected}")
    if not min(row.own.seconds + row.baseline.seconds, default=0) > 1 / LARGEST:
        raise RowError(f"row {name} has no pairs, or times of 0 seconds")
    for process in set(row.process):
        places = [place for place, own in zip(row.baseline_first, row.process, strict=True) if own == process]
        if 2 * sum(places) != len(places):
            raise RowError(f"row {name} has its baseline first in {sum(places)} of {len(places)} pairs; expected half")


def is_a(value: object, kind: Any) -> bool:
    """Whether the value is of this type. A whole number is a number, True and False are none; of a tuple no more."""
    if isinstance(kind, UnionType):
        return any(is_a(value, one) for one in get_args(kind))
    if get_origin(kind) is tuple:
        return isinstance(value, tuple)
    if isinstance(value, bool):
        return kind is bool
    return isinstance(value, (int, float) if kind is float else kind)
