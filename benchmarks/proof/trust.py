"""Why to believe the tables: how often their words are wrong, simulated and measured on this machine.

    python -m benchmarks.trust

About an hour on 2 cores; Ctrl-C stops it, the same command continues. What was found is kept in
results/trust/trust.json, the table made of it in results/trust/trust.md. While rows are timed nothing else should run.
"""

import json
import math
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, replace
from pathlib import Path
from statistics import median
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, NamedTuple, TypedDict

from tqdm import tqdm

from benchmarks.measure import race
from benchmarks.measure.conditions import Watch
from benchmarks.measure.race import Pair
from benchmarks.measure.refusals import Refusal
from benchmarks.measure.slices import Task
from benchmarks.proof import noise, simulation
from benchmarks.proof.noise import Model
from benchmarks.proof.simulation import Judge
from benchmarks.runs import saved, statistics
from benchmarks.runs.row import FINGERPRINT, Row
from benchmarks.runs.statistics import Sample

if TYPE_CHECKING:  # what simulates tables needs no torch
    from benchmarks.measure.contest import Contest
    from benchmarks.measure.suite import Suite

State = dict[str, Any]  # what was found so far, as in the file
FOLDER = saved.RESULTS / "trust"
FORMAT = 2  # of the file; 1 had no such number, and no A/A checks
# Who judges, and a difference between two of the margins from which they choose.
JUDGES: dict[Judge, float] = {simulation.by_pairs: 0.07, simulation.by_processes: 0.04}
TABLES = 10_000  # of each judge for each kind of noise and truth
TABLES_AT_ONCE = 250
DATA_ROWS = 25_000  # of an epoch, so many that it is timed by slices
MOST_PAIRS = 10_000  # of a row
OLDER = "unknown: an older version, which noted none and cut its slices otherwise"  # the commit of its rows
SAME_CODE = ("numba_dense", "numba_sparse", "numpy_loop", "jax_scan", "native_dense", "manual_transposed")
ON_ONE_CORE = ("numba_dense", "numba_sparse", "native_single")  # the other core is busy
WITH_ONE_BASELINE = 10  # rows of the same name: its worker stays, that of the row is a new one each time
SLOWED = "numba_dense"
NEIGHBOUR = "import os; parent = os.getppid()\nwhile os.getppid() == parent: pass"  # ends with this process, too


class AnotherProof(Exception):
    """What was found so far is no part of this proof; the message is one line."""


class SavedRow(TypedDict):
    """A measured row, as in the file."""

    name: str
    log_ratios: list[float]


class Found(TypedDict):
    """What was measured of a Part, as in the file. aa_checks: of each table the log ratios of its A/A check."""

    rows: list[SavedRow]
    aa_checks: list[list[float]]
    conditions: list[dict[str, float | None]]


class Part(NamedTuple):
    """Rows to time. slowdown: planted, 0 for identical code.  busy: whether another process keeps a core busy.

    row_count: of them.  seconds: for the pairs of each row.  least: percent that are to be "same", or to be found.
    """

    slowdown: float
    busy: bool
    row_count: int
    seconds: float
    least: int

    @property
    def name(self) -> str:
        """How it is called in the file and in the table."""
        what = f"slowed by {self.slowdown:.0%}" if self.slowdown else "identical code"
        return f"{what}, {'a core busy' if self.busy else 'idle'}"


PARTS = (
    Part(0.0, False, 300, 1.5, least=90),
    Part(0.01, False, 15, 20, least=80),
    Part(0.02, False, 15, 20, least=98),
    Part(0.05, False, 10, 20, least=100),
    Part(0.05, True, 10, 20, least=80),
    Part(0.0, True, 300, 1.5, least=90),
)


# --- simulated ----------------------------------------------------------------------------------------------


def simulated(judge: Judge, model: Model, truth: float, seed: int, tables: int) -> dict[str, int]:
    """Counts over so many tables, drawn from this seed."""
    found: Counter[str] = Counter()
    for outcome in judge(model, truth, seed, tables):
        found.update(outcome.words)
        found.update(tables=1, judged=bool(outcome.words), covered=outcome.covered, wrong_tables=outcome.wrong)
    return dict(found)


def truths(judge: Judge) -> tuple[float, float]:
    """The log ratios of simulated rows: of identical code, and of its difference between two margins."""
    return 0.0, math.log1p(JUDGES[judge])


def series(judge: Judge, model: Model, truth: float) -> str:
    """What the counts over these tables are called in the file."""
    return f"{judge.__name__}, {model.__name__}, {truth:.4f}"


def simulate(state: State, save: Callable[[], None]) -> None:
    """Fills in what is missing of the simulated tables."""
    found = state.setdefault("simulated", {})
    todo = {
        series(judge, model, truth): (judge, model, truth)
        for judge in JUDGES
        for model in noise.MODELS
        for truth in truths(judge)
    }
    left = sum(TABLES - found.get(name, {}).get("tables", 0) for name in todo)
    with ProcessPoolExecutor() as pool, tqdm(total=left, desc="simulated tables", unit="table", disable=None) as bar:
        for name, what in todo.items():
            done = found.get(name, {}).get("tables", 0)
            jobs = [pool.submit(simulated, *what, seed, TABLES_AT_ONCE) for seed in range(done, TABLES, TABLES_AT_ONCE)]
            for job in jobs:
                found[name] = dict(Counter(found.get(name, {})) + Counter(job.result()))
                bar.update(TABLES_AT_ONCE)
                save()


# --- measured -----------------------------------------------------------------------------------------------


def suite(busy: bool) -> "Suite":
    """Where rows are timed: the benchmark's own, on the bundled digits, with tables of as many rows as simulated.

    Beside a busy core torch has the other ones: two threads on one core and a half would wait for each other.
    """
    from benchmarks.measure.suite import AA_SHARE, Suite
    from benchmarks.measure.workers import Workers
    from reference import datasets

    settings = SimpleNamespace(
        **{"epochs": 1, "pairs": None, "part": None, "baseline": "torch_nn", "margin": None, "timeout": 900},
        most_rows=None,
        threads=max((os.cpu_count() or 2) - 1, 1) if busy else None,
        budget=PARTS[0].seconds * simulation.TABLE_ROWS / (1 - AA_SHARE),
    )
    return Suite(settings, datasets.load("digits"), [(DATA_ROWS, 64)], simulation.TABLE_ROWS, Workers())


def row(contest: "Contest", part: Part, number: int) -> SavedRow:
    """One row raced as the benchmark does it: its name and its log ratios."""
    names = (SLOWED,) if part.slowdown else ON_ONE_CORE if part.busy else SAME_CODE
    name = names[number // WITH_ONE_BASELINE % len(names)]
    own, baseline = contest.admitted(name), contest.baseline(name)
    own.slowdown = part.slowdown
    places = contest.places_for(own, baseline)
    order = race.balanced_order(MOST_PAIRS, contest.suite.random(f"{name} {number}"))
    enough = contest.enough(part.seconds)

    def run(own: Any, baseline: Any, tasks: Iterator[Task]) -> list[Pair]:
        return race.pairs(own, baseline, tasks, order, enough)

    raced = contest.raced(own, baseline, f"{name} {number}", places, run)
    own.worker.stop()
    return {"name": name, "log_ratios": log_ratios(raced)}


def log_ratios(pairs: Sequence[Pair]) -> list[float]:
    """As they are saved."""
    return [round(math.log(pair.baseline.time.seconds / pair.own.time.seconds), 6) for pair in pairs]


def more_of_aa_check(where: "Suite") -> list[float]:
    """The log ratios of the A/A check's pairs before a row."""
    check = where.aa_check("cpu")
    known = len(check.pairs)
    check.go_on()
    return log_ratios(check.pairs[known:])


def measure(state: State, save: Callable[[], None]) -> None:
    """Fills in what is missing of the measured rows."""
    nothing: dict[str, Found] = {part.name: {"rows": [], "aa_checks": [], "conditions": []} for part in PARTS}
    found = state.setdefault("measured", nothing)
    left = sum(part.row_count - len(found[part.name]["rows"]) for part in PARTS)
    if not left:
        return
    note_commit(state)
    with tqdm(total=left, desc="timed rows", unit="row", disable=None) as bar:

        def after_each() -> None:
            bar.update()
            save()

        for part in PARTS:
            if len(found[part.name]["rows"]) < part.row_count:
                bar.set_description(part.name)
                complete(part, found[part.name], state, after_each)


def note_commit(state: State) -> None:
    """Notes of which commit the code is that times rows from now on."""
    has_rows = any(found["rows"] for found in state["measured"].values())
    if (now := commit()) not in state.setdefault("commits", [OLDER] if has_rows else []):
        state["commits"].append(now)


def commit() -> str:
    """Which one the code is of. What is in results/ is no code, and the proof changes its own file there."""
    git = ["git", "-C", str(FOLDER.parents[1])]
    changes = [*git, "status", "--porcelain", "--untracked-files=no", "--", ".", ":!results"]
    try:
        found, changed = (
            subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
            for command in ([*git, "rev-parse", "HEAD"], changes)
        )
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return found + (", with changes" if changed else "")


def complete(part: Part, known: Found, state: State, after_each: Callable[[], None]) -> None:
    """Adds rows to those that are known of a part, and what belongs to them, until there are all."""
    neighbour = subprocess.Popen([sys.executable, "-c", NEIGHBOUR]) if part.busy else None
    try:
        with suite(part.busy) as where:
            contest = where.on("cpu", DATA_ROWS, 64)
            check_machine(state, vars(contest.setting))
            while len(known["rows"]) < part.row_count:
                watch, number = Watch(where.workers.usage), len(known["rows"])
                aa_check = [] if part.slowdown else more_of_aa_check(where)
                known["rows"].append(row(contest, part, number))
                if number % simulation.TABLE_ROWS == 0:
                    known["aa_checks"].append([])
                known["aa_checks"][-1] += aa_check
                known["conditions"].append({k: v and round(v, 3) for k, v in asdict(watch.conditions()).items()})
                after_each()
    finally:
        if neighbour:
            neighbour.kill()
            neighbour.wait()


def check_machine(state: State, machine: dict[str, Any]) -> None:
    """Notes which machine it is, and how many rows. Raises AnotherProof where it has begun with others."""
    known = state.setdefault("machine", machine | {})
    for field in ("device_name", "system", "python", "torch", "rows", "checker_sha256"):
        if known[field] != machine[field]:
            raise AnotherProof(f"begun with {field} {known[field]}, here it is {machine[field]}")


# --- the table ----------------------------------------------------------------------------------------------


def samples(rows: Sequence[SavedRow]) -> dict[int, Sample]:
    """Saved rows as Samples, by their number."""
    return {number: Sample([row["log_ratios"]]) for number, row in enumerate(rows)}


def words_of_tables(found: Found) -> Counter[str]:
    """The words of rows of identical code, in tables with a margin that their own A/A check has chosen.

    "no word" is that of the rows of a table that could not be judged.
    """
    words: Counter[str] = Counter()
    for table, margin in enumerate(margins_of_tables(found)):
        first = table * simulation.TABLE_ROWS
        rows = samples(found["rows"][first : first + simulation.TABLE_ROWS])
        words.update(statistics.words(rows, margin).values() if margin else ["no word"] * len(rows))
    return words


def margins_of_tables(found: Found) -> list[float | None]:
    """What the A/A check of each table has chosen, None where it could not."""
    intervals = (Sample([aa_check]).interval(statistics.LEVEL) for aa_check in found["aa_checks"])
    return [statistics.least_margin([interval], processes=1) for interval in intervals]


def planted(rows: Sequence[SavedRow]) -> Counter[str]:
    """What the intervals say of slowed rows, each as the first row of a table to be judged: found, wrong or unclear.

    Whether there is a difference is asked here, not whether it counts, so there is no margin.
    """
    intervals = [sample.interval(statistics.LEVEL / simulation.TABLE_ROWS) for sample in samples(rows).values()]
    return Counter("found" if high < 0 else "wrong" if low > 0 else "unclear" for _, low, high in intervals)


def refused_fields(path: Path) -> tuple[list[str], int]:
    """Which fields of the fingerprint, changed alone in a saved run, are refused by name; and how many there are."""
    from benchmarks import compare

    run = saved.load(path)
    refused = []
    for field, value in run.rows[0].fingerprint.items():
        changed = f"other {value}" if isinstance(value, str) else (value or 0) + 1
        rows = tuple(Row.from_dict(row.to_dict() | {field: changed}) for row in run.rows)
        reasons = compare.unlike(run, replace(run, rows=rows))
        if len(reasons) == 1 and reasons[0].startswith(f"{field} is "):
            refused.append(field)
    return refused, len(FINGERPRINT)


def simulated_lines(state: State) -> Iterator[list[str]]:
    """Lines of the table on simulated tables, each with the worst kind of noise."""
    for judge, how in zip(JUDGES, ("by pairs", f"by {simulation.PROCESSES} processes"), strict=True):
        same_code, slower = (
            {model.__name__: state["simulated"][series(judge, model, truth)] for model in noise.MODELS}
            for truth in truths(judge)
        )
        tables = min(counts["tables"] for counts in [*same_code.values(), *slower.values()])
        what = f"simulated, {tables} tables for each kind of noise, judged {how}"
        covered = f"{what}: intervals that hold the truth"
        yield worst(f"{what}: tables with a false alarm", same_code, "wrong_tables", 1, "at most 1 %")
        wrong_word = f"tables with a wrong word where the truth is {JUDGES[judge] * 100:g} %"
        yield worst(f"{what}: {wrong_word}", slower, "wrong_tables", 1, "at most 1 %")
        yield worst(covered, same_code, "covered", simulation.TABLE_ROWS, "at least 98.5 %")
        yield worst(f"{what}: tables with a margin", same_code, "judged", 1, "")


def worst(what: str, counts: dict[str, dict[str, int]], field: str, per_table: int, asked: str) -> list[str]:
    """One line: the kind of noise with the worst share of a count."""
    shares = {name: found.get(field, 0) / (found["tables"] * per_table) for name, found in counts.items()}
    name = (max if asked.startswith("at most") else min)(shares, key=lambda model: shares[model])
    return [what, asked, f"{shares[name]:.2%} ({name})"]


def measured_lines(state: State) -> Iterator[list[str]]:
    """Lines of the table on measured rows."""
    for part in PARTS:
        found: Found = state["measured"][part.name]
        count = len(found["rows"])
        if not count:
            yield [f"measured, {part.name}", "", "not yet"]
        elif not part.slowdown:
            words = words_of_tables(found)
            false = words["faster"] + words["slower"]
            also = ", ".join(f"{number} {word}" for word, number in sorted(words.items()))
            least = count * part.least // 100
            widest = max((margin for margin in margins_of_tables(found) if margin), default=None)
            by_margins = f", by margins of at most {widest * 100:g} %" if widest else ""
            what = f"measured, {part.name}, {count} rows"
            yield [what, f'no false verdict, at least {least} "same"', f"{false} false ({also}){by_margins}"]
        else:
            signs = planted(found["rows"])
            yield [
                f"measured, {part.name}, {count} rows: found",
                f"at least {part.least} %, never the wrong sign",
                f"{signs['found'] / count:.0%}, {signs['wrong']} wrong (intervals {half_width(found['rows']):.1%} to "
                "either side)",
            ]


def half_width(rows: Sequence[SavedRow]) -> float:
    """Half the width of a row's interval where it is the first of its table to be judged, the median of these rows."""
    level = statistics.LEVEL / simulation.TABLE_ROWS
    intervals = [sample.interval(level) for sample in samples(rows).values()]
    return median((interval.high - interval.low) / 2 for interval in intervals)


def markdown(state: State, run_path: Path) -> str:
    """The page."""
    from benchmarks.show import table

    refused, fields = refused_fields(run_path)
    lines = [
        *simulated_lines(state),
        *measured_lines(state),
        ["fields of the fingerprint, each changed alone: refused and named", "all", f"{len(refused)} of {fields}"],
    ]
    parts = ["# Why to believe the tables", how(state), conditions_lines(state)]
    return "\n\n".join([*parts, table.tabulated(lines, ("what", "asked", "found"), left=3)]) + "\n"


def how(state: State) -> str:
    """What was done, in a paragraph."""
    pairs = sorted(len(row["log_ratios"]) for part in PARTS for row in state["measured"][part.name]["rows"])
    seconds = {part.slowdown > 0: part.seconds for part in PARTS}
    return (
        "Made by `python -m benchmarks.trust`. Simulated noise is in `benchmarks/proof/noise.py`; of its kinds the "
        "worst is shown. Measured rows are timed by workers, as those of every table, and judged by the same code: "
        f"{', '.join(SAME_CODE)} against themselves ({', '.join(ON_ONE_CORE)} where a core is busy), "
        f"{seconds[False]:g} s of pairs a row, and {SLOWED} against itself with busy work added, "
        f"{seconds[True]:g} s a row; {state['machine']['rows']} rows of digits an epoch, {pairs[0]} to {pairs[-1]} "
        "pairs, torch with one thread less than cores where a core is busy. Tables are of "
        f"{simulation.TABLE_ROWS} rows, each with a margin that its own A/A check has chosen. A slowed row is found "
        "where its interval excludes 1 as the first of a table to be judged. How small a difference can be found is a "
        "matter of how wide the intervals are, and that of how noisy the machine was in these minutes."
    )


def conditions_lines(state: State) -> str:
    """Which machine it was, and what else it did while rows were timed."""
    machine = state["machine"]
    found = [
        f"* machine: {machine['device_name']}; {machine['system']}; "
        f"python {machine['python']}, torch {machine['torch']}",
        f"* rows timed by the code of commit {'; '.join(state.get('commits', [OLDER]))}",
    ]
    for part in PARTS:
        cores = [conditions["other_cores"] for conditions in state["measured"][part.name]["conditions"]]
        others = [busy for busy in cores if busy is not None]
        if others:
            found.append(f"* {part.name}: other processes kept {median(others):.2f} cores busy (median of rows)")
    return "\n".join(found)


def found_so_far(path: Path) -> State:
    """What is in the file. Raises AnotherProof where this suite cannot go on with it."""
    try:
        state = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {"format": FORMAT}
    except (ValueError, OSError) as error:
        raise AnotherProof(error) from None
    if not isinstance(state, dict) or state.get("format") != FORMAT:
        raise AnotherProof("made by an older version of this suite")
    return state


def main() -> None:
    path = FOLDER / "trust.json"
    FOLDER.mkdir(parents=True, exist_ok=True)

    def save() -> None:
        saved.replace(path, json.dumps(state, separators=(",", ":")))

    try:
        state = found_so_far(path)
        before = json.dumps(state)
        measure(state, save)
        simulate(state, save)
        text = markdown(state, saved.RESULTS / "cpu.json")
    except KeyboardInterrupt:
        sys.exit("\nstopped; the same command continues")
    except AnotherProof as error:
        sys.exit(f"error: {path}: {error}; move it away to begin anew")
    except (Refusal, saved.RunError, OSError, ValueError) as error:
        sys.exit(f"error: {error}; what was found so far is kept, and the same command continues")
    path.with_suffix(".md").write_text(text, encoding="utf-8")
    print(text)
    if before == json.dumps(state):
        print(f"{path} was complete, and nothing is measured anew; move it away to begin anew")
