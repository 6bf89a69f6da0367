"""A run, and its file: pytest-benchmark's JSON, read with care. Needs no torch, numpy only for several processes."""

import json
import math
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from functools import cached_property
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.runs import statistics
from benchmarks.runs.row import LARGEST, LONGEST, Row, RowError, is_a, is_line
from benchmarks.runs.statistics import Estimate, Sample, Verdict

REFERENCE = "torch_nn"
COPY = "torch_nn_copy"  # of an A/A check: the reference in another process
MUCH_OTHER_LOAD = 0.3  # cores
RESULTS = Path(__file__).parents[2] / "results"
# Of a file. 1 had no such number, rows that were looked at while they were measured, and a margin always; 2 had hashes
# of docstrings, too.
FORMAT = 3
Key = tuple[str, str, int, int]  # of a row


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
            f"something else keeps {self.other_cores:.2f} cores busy; {threads} threads wait for each other, so all "
            f"take many times as long where one shares its core: stop it, or measure with --torch-threads {threads - 1}"
        )


@dataclass(frozen=True)
class Run:
    """Rows that were measured together. Raises RunError when it is made of what cannot be shown and judged.

    untimed: the ids of rows that have no time, each with the reason.  aa_checks: for each device the reference beside
    its copy.  margin: the least ratio that counts, less 1, as it was asked for; None where the A/A checks choose it.
    """

    rows: tuple[Row, ...]
    untimed: tuple[tuple[str, str], ...]
    aa_checks: tuple[Row, ...]
    conditions: Conditions
    margin: float | None = None

    def __post_init__(self) -> None:
        if self.margin is not None and not (is_a(self.margin, float) and 0 < self.margin <= 1):
            raise RunError(f"a margin of {str(self.margin)[:20]!r}; expected a number above 0, at most 1")
        check_rows(self)
        check_untimed(self)
        check_aa_checks(self)

    @cached_property
    def samples(self) -> dict[Key, Sample]:
        """The Sample of each row and A/A check by its key.

        The rows of a device lend each other their variances. An A/A check, which has other numbers of pairs, neither
        lends nor borrows.
        """
        found = {check.key: check.log_ratios for check in self.aa_checks}
        for device in {row.setting.device for row in self.rows}:
            rows = {row.key: row.log_ratios for row in self.rows if row.setting.device == device}
            prior = statistics.prior_of(rows.values())
            found |= {key: sample._replace(prior=prior) for key, sample in rows.items()}
        return found

    @cached_property
    def log_ratios(self) -> dict[Key, Estimate]:
        """Of each row and A/A check by its key the Estimate of the logarithm of its ratio, with a 99 % interval."""
        return {key: sample.interval(statistics.LEVEL) for key, sample in self.samples.items()}

    @cached_property
    def ratios(self) -> dict[Key, Estimate]:
        """Of each row and A/A check by its key how many times as fast as the baseline it is."""
        return {key: statistics.exponential(log_ratio) for key, log_ratio in self.log_ratios.items()}

    def ratio(self, row: Row) -> Estimate:
        """How many times as fast as its baseline a row is, with its 99 % interval."""
        return self.ratios[row.key]

    def difference(self, row: Row) -> Estimate:
        """How many seconds more than its baseline's median a row takes, with its 99 % interval; from its ratio."""
        value, low, high = self.log_ratios[row.key]
        times = statistics.exponential(Estimate(-value, -high, -low))
        return Estimate(*(median(row.baseline.seconds) * (time - 1) for time in times))

    @cached_property
    def judging_margin(self) -> float | None:
        """The least ratio that counts, less 1: as asked for, or as A/A checks allow; None if nothing can be judged."""
        if self.cannot_judge:
            return None
        if self.margin is not None:
            return self.margin
        return statistics.least_margin((self.log_ratios[check.key] for check in self.aa_checks), self.processes)

    @property
    def processes(self) -> int:
        """In how many it was measured, on each device at least."""
        return min((len(set(check.process)) for check in self.aa_checks), default=1)

    @cached_property
    def verdicts(self) -> dict[Key, Verdict]:
        """The Verdict of each row by its key; empty where the machine could not judge."""
        if self.judging_margin is None:
            return {}
        return statistics.verdicts({row.key: self.samples[row.key] for row in self.rows}, self.judging_margin)

    @cached_property
    def words(self) -> dict[Key, str]:
        """The word of each row by its key; empty where the machine could not judge."""
        return {key: verdict.word for key, verdict in self.verdicts.items()}

    @cached_property
    def judged_ratios(self) -> dict[Key, Estimate]:
        """Of each row by its key the ratio with the interval that its word is judged by."""
        return {key: statistics.exponential(verdict.interval) for key, verdict in self.verdicts.items()}

    def judged(self, row: Row) -> Estimate | None:
        """The ratio of a row with the interval that its word is judged by; None where it has no word."""
        return self.judged_ratios.get(row.key)

    @cached_property
    def cannot_judge(self) -> str | None:
        """Why the run has no words, from its A/A checks and conditions; None if it has."""
        for check in self.aa_checks:
            trouble = self.trouble(check)
            if trouble:
                return (
                    f"the reference and its copy on {check.setting.device} {trouble}; meanwhile "
                    f"{self.conditions.text()}. Try a quieter moment, more --budget, or a wider --margin"
                )
        return None

    def trouble(self, check: Row) -> str:
        """What an A/A check has found that it should not; "" if it has not."""
        found, ratio = self.log_ratios[check.key], self.ratio(check).text()
        margin = self.margin or statistics.MARGINS[-1]
        if statistics.word(found, margin) in ("faster", "slower"):
            return f"seem to differ, {ratio} with a margin of {margin * 100:.3g} %"
        if self.margin is None and statistics.least_margin([found], self.processes) is None:
            return f"cannot be told to be the same, {ratio}, not even within half of {margin * 100:g} %"
        if self.margin is not None and not statistics.is_within(found, margin):
            return f"cannot be told to be the same, {ratio} with a margin of {margin * 100:.3g} %"
        return ""


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


def check_untimed(run: Run) -> None:
    """Raises RunError unless each row without a time has a name and a reason that can be shown."""
    for text in sum(run.untimed, ()):
        if not is_line(text):
            raise RunError(
                f"a row without a time with {text[:40]!a} as its name or reason; expected one line of at most "
                f"{LONGEST} letters"
            )


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


def content(path: str | Path) -> Any:
    """What a JSON file holds. Raises RunError."""
    try:
        text = Path(path).read_text(encoding="utf-8-sig")  # some editors begin with a mark of the order of bytes
    except OSError as error:
        raise RunError(f"{path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise RunError(f"{path}: not JSON, not even text") from None
    if not text.strip():
        raise RunError(f"{path}: empty; was the run interrupted?")
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise RunError(f"{path}: not JSON, or cut off: {error}") from None


def load(path: str | Path) -> Run:
    """The Run of a file. Raises RunError."""
    found = content(path)
    try:
        words = found["verdicts"] | {}
        check_format(found)
        run = run_of(found)
        check_judged(saved_words(run), words, "verdict")
        check_judged(saved_intervals(run), found["intervals"] | {}, "interval")
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


def check_format(content: Mapping[str, Any]) -> None:
    """Raises RunError unless what is saved was judged as this version of the suite judges."""
    if "format" not in content:
        raise RunError("saved by an older version of this suite, which judged otherwise: measure it again")
    if content["format"] == 2:
        raise RunError("saved by an older version of this suite, which named code by other hashes: measure it again")
    if content["format"] != FORMAT:
        raise RunError(f"saved in format {str(content['format'])[:20]!r}, this suite reads {FORMAT}: use the newer one")


def beside_the_rows(run: Run) -> dict[str, Any]:
    """What is saved of a run beside its rows."""
    return {
        "format": FORMAT,
        "untimed": run.untimed,
        "null_lanes": [check.to_dict() for check in run.aa_checks],
        "conditions": asdict(run.conditions),
        "margin": run.margin,
        "verdicts": saved_words(run),
        "intervals": saved_intervals(run),
    }


def saved_words(run: Run) -> dict[str, str]:
    """The words as they are saved: who reads the file need not judge the pairs again."""
    return {" ".join(map(str, key)): word for key, word in run.words.items()}


def saved_intervals(run: Run) -> dict[str, list[float | None]]:
    """The interval of the ratio that each word is judged by, to six digits; a bound that is none is None."""
    intervals = {" ".join(map(str, key)): ratio[1:] for key, ratio in run.judged_ratios.items()}
    return {
        key: [float(f"{bound:.6g}") if 0 < bound < math.inf else None for bound in interval]
        for key, interval in intervals.items()
    }


def check_judged(found: Mapping[str, Any], saved: Mapping[str, Any], what: str) -> None:
    """Raises RunError unless the saved words, or their intervals, are what the pairs say."""
    for key in sorted(found.keys() | saved.keys()):
        if not agree(found.get(key), saved.get(key)):
            raise RunError(
                f"the {what} of {key[:80]!r} is {str(saved.get(key))[:20]!r}, but its pairs say {found.get(key)!r}; "
                "was the file edited, or saved by an older version?"
            )


def agree(found: Any, saved: Any) -> bool:
    """Whether a saved value is what was found; numbers in lists, in all digits that another SciPy finds, too."""
    if isinstance(found, list) and isinstance(saved, list) and len(found) == len(saved):
        return all(map(agree, found, saved))
    if is_a(found, float) and is_a(saved, float):
        return math.isclose(found, saved, rel_tol=1e-5)
    return type(found) is type(saved) and found == saved


def write(path: str | Path, content: Mapping[str, Any]) -> None:
    """Saves a run, as `replace` does. Raises OSError."""
    replace(path, json.dumps(content, indent=1))


def replace(path: str | Path, text: str) -> None:
    """Writes a text beside its place and puts it there: who reads meanwhile sees the old file or the new one, whole.

    Raises OSError, which names the place.
    """
    beside = Path(f"{path}.{os.getpid()}.part")  # two processes may write the same at once
    try:
        beside.write_text(text, encoding="utf-8")
        os.replace(beside, path)
    except OSError as error:
        raise OSError(error.errno, error.strerror or str(error), str(path)) from None
    finally:
        beside.unlink(missing_ok=True)
