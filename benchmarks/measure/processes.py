"""One run in several fresh processes, and their rows put together."""

import json
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import fields
from pathlib import Path
from statistics import fmean
from typing import Any, NoReturn

from benchmarks.runs import saved, statistics
from benchmarks.runs.row import FINGERPRINT, Row, joined

Content = dict[str, Any]  # of a file, or of a part of it
FINISHED = (0, 1)  # how pytest ends if it went through all rows: all timed, or some without a time
SECONDS_TO_END = 30  # for a process that is interrupted: it ends what it has started


class Ended(Exception):
    """A process that did not go through its rows; its exit status."""


class Unlike(Exception):
    """Processes that did not measure the same; the message says what differs in one line."""


def contents(arguments: Sequence[str], folder: Path, count: int) -> Iterator[Content]:
    """What `count` processes of pytest with these arguments saved, one after the other. Raises Ended.

    The first decides which rows are timed by whole runs, so that the others time them in the same manner.
    """
    whole: list[str] = []
    with tempfile.TemporaryDirectory() as place:
        for part in range(count):
            print(f"\nprocess {part + 1} of {count}", flush=True)
            path = Path(place, f"{part}.json")
            options = [f"--part={part}", f"--benchmark-json={path}", "--quiet", "--no-header", *whole]
            status = status_of([sys.executable, "-m", "pytest", *arguments, *options], folder)
            if status not in FINISHED or not path.exists():
                raise Ended(status)
            content = json.loads(path.read_text(encoding="utf-8"))
            if part == 0:
                rows = (row["param"] for row in content["benchmarks"] if row["extra_info"].get("slice_rows") is None)
                whole = [f"--whole={','.join(rows)}"]
            yield content


def status_of(command: Sequence[str], folder: Path) -> int:
    """How a command ends that is called in this folder. Where this process is interrupted, it is ended first."""
    with subprocess.Popen(command, cwd=folder) as process:
        try:
            return process.wait()
        except KeyboardInterrupt as interrupted:
            if interrupted.args:  # by a signal to this process alone; Ctrl-C has reached that one, too
                process.terminate()
            try:
                with suppress(subprocess.TimeoutExpired):
                    process.wait(SECONDS_TO_END)
            finally:
                process.kill()
            raise


def interrupt(number: int, _: object) -> NoReturn:
    """What to do on a signal with this number: what Ctrl-C does, once, so that nothing disturbs the end."""
    signal.signal(number, signal.SIG_IGN)
    raise KeyboardInterrupt(number)


def merged(contents: Sequence[Content]) -> Content:
    """One saved run from those of several processes: every row has the pairs of all of them. Raises Unlike.

    Those of a single process are an ordinary run, in which a row with too few pairs for an interval has no time.
    """
    first = contents[0]
    untimed = dict(pair for content in reversed(contents) for pair in content["untimed"])
    parts_by_row = [
        [other for content in contents for other in content["benchmarks"] if other["fullname"] == row["fullname"]]
        for row in first["benchmarks"]
    ]
    benchmarks = [joined_benchmark(parts) for parts in parts_by_row if len(parts) == len(contents)]
    few = [row for row in benchmarks if len(contents) == 1 and row["extra_info"]["pairs"] < statistics.FEWEST_PAIRS]
    for row in few:
        reason = f"{row['extra_info']['pairs']} pairs, in one process; an interval needs {statistics.FEWEST_PAIRS}"
        untimed[row["param"]] = f"not comparable: {reason}"
    parts_by_check = [
        [check for content in contents for check in content["null_lanes"] if check["device"] == own["device"]]
        for own in first["null_lanes"]
    ]
    return first | {
        "benchmarks": [row for row in benchmarks if row not in few],
        "untimed": sorted(untimed.items()),
        "null_lanes": [joined_row(parts) for parts in parts_by_check],
        "conditions": joined_conditions([content["conditions"] for content in contents]),
    }


def joined_benchmark(parts: Sequence[Content]) -> Content:
    """One of pytest-benchmark's entries from those of several processes, its statistics made anew."""
    from pytest_benchmark.stats import Stats

    row = joined_row([part["extra_info"] for part in parts])
    stats = Stats()
    for second in row["own_seconds"]:
        stats.update(second)
    return parts[0] | {"extra_info": row, "stats": parts[0]["stats"] | stats.as_dict() | {"data": row["own_seconds"]}}


def joined_row(parts: Sequence[Content]) -> Content:
    """One row from those of several processes. Raises Unlike."""
    for number, part in enumerate(parts):
        for field in (*FINGERPRINT, "source_sha256"):
            if part.get(field) != parts[0].get(field):
                raise Unlike(
                    f"{field} of {part['name']} is {part.get(field)} in process {number + 1}, {parts[0].get(field)} in "
                    "process 1; expected the same in all: change nothing while they run"
                )
    return joined([Row.from_dict(part) for part in parts], range(len(parts))).to_dict()


def joined_conditions(parts: Sequence[Content]) -> Content:
    """The conditions of several processes: means, and of frequencies the extremes."""
    names = [field.name for field in fields(saved.Conditions)]
    reduce = dict.fromkeys(names, fmean) | {"lowest_megahertz": min, "highest_megahertz": max}
    known = {field: [part[field] for part in parts if part[field] is not None] for field in names}
    return {field: reduce[field](values) if values else None for field, values in known.items()}
