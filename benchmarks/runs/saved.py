"""A run, and its file: pytest-benchmark's JSON, read with care. Needs neither torch nor numpy."""

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import Any

from benchmarks.runs import statistics
from benchmarks.runs.row import LARGEST, Row, RowError, is_a

REFERENCE = "torch_nn"
COPY = "torch_nn_copy"  # of an A/A check: the reference in another process
MUCH_OTHER_LOAD = 0.3  # cores
RESULTS = Path(__file__).parents[2] / "results"


class RunError(Exception):
    """Values that make no run, or a file that holds none, which it names; the message is one line."""


@dataclass(frozen=True)
class Conditions:
    """What else the machine did during a run; None where that is unknown.

    other_cores: cores that other processes kept busy, on average.  stolen_cores: cores that the hypervisor gave to
    others.  switches_per_second: how often the process had to leave a core that it still wanted.
    """

    other_cores: float | None = None
    stolen_cores: float | None = None
    switches_per_second: float | None = None
    lowest_megahertz: float | None = None
    highest_megahertz: float | None = None

    def __post_init__(self) -> None:
        for field, value in asdict(self).items():
            if value is not None and not (is_a(value, float) and 0 <= value < LARGEST):
                raise RunError(f"conditions with {str(value)[:20]!r} as {field}; expected a number of at least 0")

    def text(self) -> str:
        """For people."""
        words = {
            "other_cores": "other processes kept {:.2f} cores busy",
            "stolen_cores": "the hypervisor took {:.2f}",
            "switches_per_second": "{:.0f} involuntary switches a second",
            "lowest_megahertz": "frequencies from {:.0f} MHz",
            "highest_megahertz": "up to {:.0f} MHz",
        }
        known = {field: value for field, value in asdict(self).items() if value is not None}
        return ", ".join(words[field].format(value) for field, value in known.items()) or "unknown"

    def advice(self, threads: int) -> str | None:
        """What to do where something else needs a core that one of several threads needs, too; None if nothing is."""
        if threads == 1 or (self.other_cores or 0) < MUCH_OTHER_LOAD:
            return None
        return (
            f"something else keeps {self.other_cores:.2f} cores busy, and {threads} threads that wait for each other "
            f"then take many times as long: stop it, or measure with --torch-threads {threads - 1}"
        )


@dataclass(frozen=True)
class Run:
    """Rows that were measured together. Raises RunError when it is made of what cannot be shown and judged.

    untimed: the ids of rows that have no time, each with the reason.  aa_checks: for each device the reference beside
    its copy.  margin: the least ratio that counts, less 1.
    """

    rows: tuple[Row, ...]
    untimed: tuple[tuple[str, str], ...]
    aa_checks: tuple[Row, ...]
    conditions: Conditions
    margin: float = statistics.MARGIN

    def __post_init__(self) -> None:
        if not (is_a(self.margin, float) and 0 < self.margin <= 1):
            raise RunError(f"a margin of {str(self.margin)[:20]!r}; expected a number above 0, at most 1")
        check_rows(self)
        check_aa_checks(self)

    @cached_property
    def words(self) -> dict[tuple[str, str, int, int], str]:
        """The word of each row by its key; empty where the machine could not judge."""
        if self.cannot_judge:
            return {}
        return statistics.words({row.key: row.log_ratios for row in self.rows}, self.margin)

    @cached_property
    def cannot_judge(self) -> str | None:
        """Why the run has no words, from its A/A checks and conditions; None if it has."""
        for check in self.aa_checks:
            word = statistics.word(check.log_ratio, self.margin)
            if word != "same":
                trouble = "seem to differ" if word != "unclear" else "cannot be told to be the same"
                return (
                    f"the reference and its copy on {check.setting.device} {trouble}, {check.ratio.text()} with a "
                    f"margin of {self.margin:.3g}; meanwhile {self.conditions.text()}. Try a quieter moment, more "
                    "--budget, or a wider --margin"
                )
        return None


def check_rows(run: Run) -> None:
    """Raises RunError unless each row has an interval, and a key of its own."""
    keys = set()
    for row in run.rows:
        if row.key in keys:
            raise RunError(f"two rows {row.own.name} on one device and problem; expected one")
        keys.add(row.key)
    for row in run.rows + run.aa_checks:
        if len(set(row.process)) < 2 and row.pairs < statistics.FEWEST_PAIRS:
            least = statistics.FEWEST_PAIRS
            raise RunError(f"row {row.own.name} has {row.pairs} pairs; an interval needs at least {least}")


def check_aa_checks(run: Run) -> None:
    """Raises RunError unless there is an A/A check on each device, made in the same processes as the rows."""
    for check in run.aa_checks:
        if (check.own.name, check.own.source_sha256) != (COPY, check.baseline.source_sha256):
            raise RunError(f"an A/A check of {check.own.name}; expected the reference and its copy, {COPY}")
        beside = [row for row in run.rows if row.setting.device == check.setting.device]
        if any(set(row.process) != set(check.process) for row in beside):
            raise RunError(f"the A/A check on {check.setting.device} has other processes than the rows")
    checked = {check.setting.device for check in run.aa_checks}
    for device in sorted({row.setting.device for row in run.rows} - checked):
        raise RunError(f"no A/A check on {device}: nothing says whether that machine could judge")


# --- the file -----------------------------------------------------------------------------------------------


def newest() -> Path:
    """The path of the run that was saved last of those that were saved by themselves. Raises RunError."""
    runs = [path for path in RESULTS.glob("run-*.json") if path.is_file()]
    if not runs:
        raise RunError(f"no run-*.json in {RESULTS}: run `pytest benchmarks --benchmark-only` first, or name a file")
    return max(runs, key=lambda path: (path.stat().st_mtime_ns, path.name))  # names hold local time, and can be changed


def load(path: str | Path) -> Run:
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
        run = run_of(content)
        check_words(run, content["verdicts"] | {})
    except (RowError, RunError) as error:
        raise RunError(f"{path}: {error}") from None
    except (KeyError, TypeError, ValueError, OverflowError):
        raise RunError(f"{path}: not a run of this suite; expected what `pytest benchmarks` saves") from None
    return run


def run_of(content: Mapping[str, Any]) -> Run:
    """The Run of what is saved. Raises RowError, RunError, and KeyError, TypeError or ValueError if it is no run."""
    return Run(
        untimed=tuple((row + "", reason + "") for row, reason in content["untimed"]),
        conditions=Conditions(**{field.name: content["conditions"][field.name] for field in fields(Conditions)}),
        margin=content["margin"],
        aa_checks=tuple(map(Row.from_dict, content["null_lanes"])),
        rows=tuple(Row.from_dict(benchmark["extra_info"]) for benchmark in content["benchmarks"]),
    )


def beside_the_rows(run: Run) -> dict[str, Any]:
    """What is saved of a run beside its rows."""
    return {
        "untimed": run.untimed,
        "null_lanes": [check.to_dict() for check in run.aa_checks],
        "conditions": asdict(run.conditions),
        "margin": run.margin,
        "verdicts": saved_words(run),
    }


def saved_words(run: Run) -> dict[str, str]:
    """The words as they are saved: who reads the file need not judge the pairs again."""
    return {" ".join(map(str, key)): word for key, word in run.words.items()}


def check_words(run: Run, saved: Mapping[str, Any]) -> None:
    """Raises RunError unless the saved words are what the pairs say."""
    found = saved_words(run)
    for key in sorted(found.keys() | saved.keys()):
        if found.get(key) != saved.get(key):
            raise RunError(
                f"the verdict of {key[:80]!r} is {str(saved.get(key))[:20]!r}, but its pairs say {found.get(key)!r}; "
                "was the file edited?"
            )


def write(path: str | Path, content: Mapping[str, Any]) -> None:
    """Saves a run beside its place and puts it there: who reads meanwhile sees the old file or the new one, whole."""
    beside = Path(f"{path}.part")
    try:
        beside.write_text(json.dumps(content, indent=1), encoding="utf-8")
        os.replace(beside, path)
    finally:
        beside.unlink(missing_ok=True)
