"""Why to believe the tables: how often their words are wrong, simulated and measured on this machine.

    python -m benchmarks.trust

About an hour and a half on 2 cores; Ctrl-C stops it, the same command continues. What was found is kept in
results/trust/trust.json, the table made of it in results/trust/trust.md. While rows are timed nothing else should run.
"""

import json
import math
import os
import subprocess
import sys
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, replace
from statistics import median
from time import perf_counter
from types import SimpleNamespace
from typing import NamedTuple

from tqdm import tqdm

from benchmarks.measure.conditions import Watch
from benchmarks.proof import noise, simulation
from benchmarks.runs import saved, statistics
from benchmarks.runs.row import FINGERPRINT, Row

FOLDER = saved.RESULTS / "trust"
TABLES_AT_ONCE = 250
TRUTHS = (0.0, math.log(1.03))
TABLES = {simulation.table: 10_000, simulation.table_of_processes: 2_500}  # for each kind of noise and truth
ROWS_TIMED = 10_000
SAME_CODE = ("numba_dense", "numpy_loop", "native_dense", "manual_transposed")
ON_ONE_CORE = ("numba_dense", "numba_sparse", "native_single")  # the other core is busy
SLOWED = "numba_dense"
NEIGHBOUR = "import os; parent = os.getppid()\nwhile os.getppid() == parent: pass"  # ends with this process, too


class Part(NamedTuple):
    """Rows to time. slowdown: planted, 0 for identical code.  busy: whether another process keeps a core busy.

    seconds: for the pairs of each row.
    """

    slowdown: float
    busy: bool
    rows: int
    seconds: float

    @property
    def name(self):
        """How it is called in the file and in the table."""
        what = f"slowed by {self.slowdown:.0%}" if self.slowdown else "identical code"
        return f"{what}, {'a core busy' if self.busy else 'idle'}"


PARTS = (
    Part(0.0, False, 300, 1.5),
    Part(0.10, False, 100, 20),
    Part(0.05, False, 100, 20),
    Part(0.02, False, 50, 20),
    Part(0.0, True, 300, 1.5),
    Part(0.10, True, 12, 20),
    Part(0.05, True, 12, 20),
)


# --- simulated ----------------------------------------------------------------------------------------------


def simulated(judge, model, truth, seeds):
    """Counts over the tables with these seeds."""
    found = Counter()
    wrong = {"faster", "slower"} if truth == 0 else {"slower", "same"}
    for seed in seeds:
        outcome = judge(model, truth, seed)
        words = Counter(outcome.words)
        found.update(words)
        found.update(tables=1, covered=outcome.covered, wrong_tables=any(word in words for word in wrong))
    return dict(found)


def series(judge, model, truth):
    """What the counts over these tables are called in the file."""
    return f"{judge.__name__}, {model.__name__}, {truth:.4f}"


def simulate(state, save):
    """Fills in what is missing of the simulated tables."""
    found = state.setdefault("simulated", {})
    todo = [
        (series(judge, model, truth), judge, model, truth)
        for judge in TABLES
        for model in noise.MODELS
        for truth in TRUTHS
    ]
    left = sum(TABLES[judge] - found.get(name, {}).get("tables", 0) for name, judge, *_ in todo)
    with ProcessPoolExecutor() as pool, tqdm(total=left, desc="simulated tables", unit="table") as bar:
        for name, *what in todo:
            done = found.get(name, {}).get("tables", 0)
            starts = range(done, TABLES[what[0]], TABLES_AT_ONCE)
            jobs = [pool.submit(simulated, *what, range(start, start + TABLES_AT_ONCE)) for start in starts]
            for job in jobs:
                found[name] = dict(Counter(found.get(name, {})) + Counter(job.result()))
                bar.update(TABLES_AT_ONCE)
                save()


# --- measured -----------------------------------------------------------------------------------------------


def contest():
    """Where the rows are timed: the suite's own, on the bundled digits, with tables of as many rows as simulated."""
    from benchmarks.measure.suite import Suite
    from reference import datasets

    settings = SimpleNamespace(
        threads=None, budget=0, epochs=1, pairs=None, part=None, baseline="torch_nn", margin=statistics.MARGIN
    )
    suite = Suite(settings, datasets.load("digits"), [(ROWS_TIMED, 64)], simulation.ROWS)
    return suite.on("cpu", ROWS_TIMED, 64)


def slowed(train, share):
    """The trainer, computing on to no purpose for this share of the time it took."""

    def slow(*start):
        begin = perf_counter()
        result = train(*start)
        end = perf_counter() + share * (perf_counter() - begin)
        while perf_counter() < end:
            pass
        return result

    return slow if share else train


def row(contest, part, number):
    """One row raced as the suite does it: its name, the number of pairs at its first look, and its log ratios."""
    names = (SLOWED,) if part.slowdown else ON_ONE_CORE if part.busy else SAME_CODE
    name = names[number % len(names)]
    entrant = contest.entrant(name)
    own = entrant._replace(train=slowed(entrant.train, part.slowdown))
    looks, enough = contest.plan(f"{name} {number}", own, entrant, part.seconds)

    def race(own, baseline, after):
        pairs = []
        for order in looks:
            pairs += [race.pair(own, baseline, first, contest.clock, after) for first in order]
            if enough(pairs):
                break
        return pairs

    facts = contest.raced(own, entrant, sum(map(len, looks)), race)
    times = zip(facts["own_seconds"], facts["baseline_seconds"], strict=True)
    logs = [round(math.log(baseline / own), 6) for own, baseline in times]
    return {"name": name, "first_look": len(looks[0]), "log_ratios": logs}


def measure(state, save):
    """Fills in what is missing of the measured rows."""
    found = state.setdefault("measured", {part.name: {"rows": [], "conditions": []} for part in PARTS})
    left = sum(part.rows - len(found[part.name]["rows"]) for part in PARTS)
    if not left:
        return
    where = contest()
    state["machine"] = where.facts()
    with tqdm(total=left, desc="timed rows", unit="row") as bar:
        for part in PARTS:
            bar.set_description(part.name)
            known = found[part.name]
            neighbour = subprocess.Popen([sys.executable, "-c", NEIGHBOUR]) if part.busy else None
            try:
                while len(known["rows"]) < part.rows:
                    watch = Watch()
                    known["rows"].append(row(where, part, len(known["rows"])))
                    known["conditions"].append({k: v and round(v, 3) for k, v in asdict(watch.conditions()).items()})
                    bar.update()
                    save()
            finally:
                if neighbour:
                    neighbour.kill()
                    neighbour.wait()


# --- the table ----------------------------------------------------------------------------------------------


def samples(rows):
    """Saved rows as Samples, by their number."""
    return {
        number: statistics.Sample(
            [row["log_ratios"]], statistics.share_of_look(row["first_look"], len(row["log_ratios"]))
        )
        for number, row in enumerate(rows)
    }


def false_verdicts(rows):
    """How many rows of identical code have a wrong word, in tables of as many rows as simulated."""
    found = samples(rows)
    words = []
    for start in range(0, len(found), simulation.ROWS):
        table = {key: found[key] for key in range(start, min(start + simulation.ROWS, len(found)))}
        words += statistics.words(table, statistics.MARGIN).values()
    return sum(word in ("faster", "slower") for word in words), Counter(words)


def planted(rows):
    """The words of slowed rows, each as the first row to be judged in a table."""
    level = statistics.LEVEL / simulation.ROWS
    return Counter(statistics.word(sample.interval(level), statistics.MARGIN) for sample in samples(rows).values())


def refused_fields(path):
    """Which fields of the fingerprint, changed alone in a saved run, are refused by name; and how many there are."""
    from benchmarks import compare

    run = saved.load(path)
    refused = []
    for field, value in run.rows[0].fingerprint.items():
        changed = f"other {value}" if isinstance(value, str) else value + 1
        rows = tuple(Row.from_dict(row.to_dict() | {field: changed}) for row in run.rows)
        reasons = compare.unlike(run, replace(run, rows=rows))
        if len(reasons) == 1 and reasons[0].startswith(f"{field} is "):
            refused.append(field)
    return refused, len(FINGERPRINT)


def simulated_lines(state):
    """Lines of the table on simulated tables, each with the worst kind of noise."""
    for judge, how in zip(TABLES, ("by pairs", f"by {simulation.PROCESSES} processes"), strict=True):
        same_code, faster = (
            {model.__name__: state["simulated"][series(judge, model, truth)] for model in noise.MODELS}
            for truth in TRUTHS
        )
        tables = min(counts["tables"] for counts in [*same_code.values(), *faster.values()])
        what = f"simulated, {tables} tables for each kind of noise, judged {how}"
        yield worst(f"{what}: tables with a false alarm", same_code, "wrong_tables", 1, "at most 1 %")
        yield worst(f"{what}: intervals that hold the truth", same_code, "covered", simulation.ROWS, "at least 98.5 %")
        yield worst(f'{what}: "same" when the truth is 3 %', faster, "same", simulation.ROWS, "at most 1 %")


def worst(what, counts, field, per_table, asked):
    """One line: the kind of noise with the worst share of a count."""
    shares = {name: found.get(field, 0) / (found["tables"] * per_table) for name, found in counts.items()}
    name = (min if asked.startswith("at least") else max)(shares, key=shares.get)
    return [what, asked, f"{shares[name]:.2%} ({name})"]


def measured_lines(state):
    """Lines of the table on measured rows."""
    asked = {(0.02, False): 50, (0.05, False): 95, (0.10, False): 99, (0.05, True): 80, (0.10, True): 95}
    for part in PARTS:
        rows = state["measured"][part.name]["rows"]
        if not rows:
            continue
        count = len(rows)
        if not part.slowdown:
            false, words = false_verdicts(rows)
            also = ", ".join(f"{number} {word}" for word, number in sorted(words.items()))
            yield [f"measured, {part.name}, {count} rows", "no false verdict", f"{false} false ({also})"]
        else:
            words = planted(rows)
            wrong = words["faster"] + words["same"]
            yield [
                f"measured, {part.name}, {count} rows: found",
                f"at least {asked[part.slowdown, part.busy]} %, never the wrong sign",
                f"{words['slower'] / count:.0%}, {wrong} wrong (intervals {half_width(rows):.1%} to either side)",
            ]


def half_width(rows):
    """Half the width of a row's interval where it is the first of its table to be judged, the median of these rows."""
    level = statistics.LEVEL / simulation.ROWS
    intervals = [sample.interval(level) for sample in samples(rows).values()]
    return median((interval.high - interval.low) / 2 for interval in intervals)


def markdown(state, run_path):
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


def how(state):
    """What was done, in a paragraph."""
    pairs = sorted(len(row["log_ratios"]) for part in PARTS for row in state["measured"][part.name]["rows"])
    seconds = {part.slowdown > 0: part.seconds for part in PARTS}
    return (
        "Made by `python -m benchmarks.trust`. Simulated noise is in `benchmarks/proof/noise.py`; of its kinds the "
        "worst is shown. Measured rows are timed and judged by the code that times and judges every table: "
        f"{', '.join(SAME_CODE)} against themselves ({', '.join(ON_ONE_CORE)} where a core is busy), up to "
        f"{seconds[False]:g} s of pairs a row, and {SLOWED} against itself with busy work added, up to "
        f"{seconds[True]:g} s a row; {ROWS_TIMED} rows of digits an epoch, {pairs[0]} to {pairs[-1]} pairs, a margin "
        f"of {statistics.MARGIN:.0%}, tables of {simulation.ROWS} rows. A slowed row is judged as the first of its "
        "table. How small a difference can be found is a matter of how wide the intervals are, and that of how "
        "noisy the machine was in these minutes."
    )


def conditions_lines(state):
    """Which machine it was, and what else it did while rows were timed."""
    machine = state["machine"]
    found = [
        f"* machine: {machine['device_name']}; {machine['threads']} threads; {machine['system']}; "
        f"python {machine['python']}, torch {machine['torch']}"
    ]
    for part in PARTS:
        known = state["measured"][part.name]["conditions"]
        others = [facts["other_cores"] for facts in known if facts["other_cores"] is not None]
        if others:
            found.append(f"* {part.name}: other processes kept {median(others):.2f} cores busy (median of rows)")
    return "\n".join(found)


def main():
    path = FOLDER / "trust.json"
    FOLDER.mkdir(parents=True, exist_ok=True)

    def save():
        unfinished = path.with_suffix(".tmp")
        unfinished.write_text(json.dumps(state, separators=(",", ":")), encoding="utf-8")
        os.replace(unfinished, path)

    try:
        state = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
        measure(state, save)
        simulate(state, save)
        text = markdown(state, saved.RESULTS / "cpu.json")
    except KeyboardInterrupt:
        sys.exit("\nstopped; the same command continues")
    except saved.RunError as error:
        sys.exit(f"error: {error}")
    except ValueError as error:
        sys.exit(f"error: {path}: {error}; move it away to begin anew")
    path.with_suffix(".md").write_text(text, encoding="utf-8")
    print(text)
