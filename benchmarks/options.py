"""The options of `pytest benchmarks`: what they mean, and what is refused at once. Torch is asked for a GPU only."""

import argparse
import ctypes
import os
import shlex
import tempfile
from collections.abc import Iterable
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

import pytest

import implementations
from benchmarks.measure import machines
from benchmarks.runs import saved, statistics
from benchmarks.runs.row import NAME
from benchmarks.show import table
from reference import shell

FULL_SECONDS = 120
QUICK_SECONDS = 20
QUICK_ROWS = 3_500  # 55 steps, a run of some milliseconds
TIMEOUT_SECONDS = 900
MOST_THREADS = 256  # with many thousands OpenMP ends the process
LEAST_PYTEST_BENCHMARK = (5, 3)  # older ones fail with pytest 9 in every row

COMPARES = "python -m benchmarks.compare A B compares two saved runs, and its status tells whether something is slower"
SAVES = "with --benchmark-only a run saves itself in results/, or where --benchmark-json FILE says"
REPEATS = "--pairs and --budget say how often a row is timed"
PROFILES = "rows train in workers, unseen by it; use python -m cProfile -m implementations NAME"
STOPWATCH = "one stopwatch, time.perf_counter, times both sides of a pair"
WARMS_UP = "each side trains right before every timed run, untimed"
SHOWS = "the table is this suite's own; --columns chooses what it shows"
# What pytest-benchmark has options for and this suite does in another way, or leaves to a command.
ELSEWHERE = {
    "--benchmark-compare": COMPARES,
    "--benchmark-compare-fail": COMPARES,
    "--benchmark-save": SAVES,
    "--benchmark-autosave": SAVES,
    "--benchmark-save-data": SAVES,
    "--benchmark-storage": SAVES,
    "--benchmark-netrc": SAVES,
    "--benchmark-histogram": "python -m benchmarks.report draws a run of several --batch-size or --rows",
    "--benchmark-cprofile": PROFILES,
    "--benchmark-cprofile-loops": PROFILES,
    "--benchmark-cprofile-top": PROFILES,
    "--benchmark-cprofile-dump": PROFILES,
    "--benchmark-min-rounds": REPEATS,
    "--benchmark-min-time": REPEATS,
    "--benchmark-max-time": REPEATS,
    "--benchmark-precision": REPEATS,
    "--benchmark-confidence": "the table's intervals are of 99 %",
    "--benchmark-timer": STOPWATCH,
    "--benchmark-calibration-precision": STOPWATCH,
    "--benchmark-disable-gc": "Python's collector is off in every timed run",
    "--benchmark-warmup": WARMS_UP,
    "--benchmark-warmup-iterations": WARMS_UP,
    "--benchmark-columns": "--columns chooses those of the table",
    "--benchmark-name": SHOWS,
    "--benchmark-time-unit": SHOWS,
    "--benchmark-sort": "rows are sorted by their ratio to the baseline",
    "--benchmark-group-by": "rows of one problem on one device stand together",
}


class Settings(NamedTuple):
    """The options of a run, checked.

    batch_sizes, rows: every combination is a timed problem; None stands for all rows, or for `most_rows` of them.
    pairs: None stands for as many as the time allows.  budget: seconds for all timed pairs together.
    ranks: of each implementation that trains in several, 1 if these are left out.
    timeout: seconds for a row, after which it has none.  spawn: whether workers are fresh processes, not forks.
    processes: how many times the run is repeated in a fresh process.  part: which of them this one is, or None.
    whole: the ids of the rows that the first of these has timed by whole runs; None where that is not known.
    margin: the least ratio that counts, less 1; None leaves it to the A/A check.
    columns: of the table; none stands for those that fit.
    """

    dataset: str
    devices: tuple[str, ...]
    batch_sizes: tuple[int, ...]
    rows: tuple[int | None, ...]
    most_rows: int | None
    epochs: int
    pairs: int | None
    baseline: str
    threads: int | None
    budget: float
    processes: int
    part: int | None
    whole: frozenset[str] | None
    margin: float | None
    columns: tuple[str, ...]
    timeout: float
    spawn: bool
    ranks: int


def add(parser: pytest.Parser) -> None:
    """Adds them to pytest's own."""
    group = parser.getgroup("one trainer, written many times")
    group.addoption("--dataset", default="auto", help="auto (mnist, else digits), mnist, digits or FILE.npz")
    group.addoption("--device", default="auto", help="auto (cpu, and cuda where there is one), cpu, cuda, mps or xpu")
    group.addoption("--batch-size", default="64", help="rows a step (64); several as 16,64,256: a row each")
    group.addoption("--rows", help=f"rows an epoch (all; {QUICK_ROWS} with --quick); also several")
    group.addoption("--epochs", default="1", help="epochs a run (1)")
    group.addoption("--pairs", default="auto", help="timed pairs a row: even, at least 8, or auto")
    group.addoption("--budget", help=f"seconds for all pairs together ({FULL_SECONDS}; {QUICK_SECONDS} with --quick)")
    group.addoption("--processes", default="1", help="repeat in so many fresh processes and judge by these (1)")
    group.addoption("--part", help=argparse.SUPPRESS)  # which of several processes this is
    group.addoption("--whole", help=argparse.SUPPRESS)  # which rows the first of them has timed by whole runs
    group.addoption(
        "--margin", default="auto", help="differences below so many percent are none (auto: by the A/A check)"
    )
    group.addoption("--baseline", default="torch_nn", help="torch_nn, parent, or the name of an implementation")
    group.addoption("--torch-threads", help="threads for torch and NumPy (their own choice)")
    group.addoption("--ranks", help="run what trains in several processes in so many, by torchrun (it is left out)")
    columns = ", ".join(table.CHOICES).replace("%", "%%")
    group.addoption("--columns", help=f"of the table, some of: {columns} (what fits)")
    group.addoption("--quick", action="store_true", help="a first look: fewer rows and pairs, wider intervals")
    group.addoption("--spawn", action="store_true", help="a new interpreter for each worker, not a fork of one")
    with suppress(ValueError):  # pytest-timeout has the same option with the same meaning: seconds for one test, a row
        limit = f"seconds for a row, after which it is given up ({TIMEOUT_SECONDS})"
        group.addoption("--timeout", default=None, help=limit)


def check_pytest_benchmark(version: str) -> None:
    """Raises pytest.UsageError if this version does not fit; pip may have kept an old one beside a new pytest."""
    if tuple(map(int, version.split(".")[:2])) < LEAST_PYTEST_BENCHMARK:
        least = ".".join(map(str, LEAST_PYTEST_BENCHMARK))
        raise pytest.UsageError(
            f"pytest-benchmark {version}: expected {least} or newer; python -m pip install 'pytest-benchmark>={least}'"
        )


def check_elsewhere(arguments: Iterable[str]) -> None:
    """Raises pytest.UsageError if pytest-benchmark is asked for what is done here in another way.

    It may be asked in these arguments of the command line, or in PYTEST_ADDOPTS.
    """
    added = shlex.split(os.environ.get("PYTEST_ADDOPTS", ""))
    for name in (argument.partition("=")[0] for argument in (*added, *arguments)):
        if name in ELSEWHERE:
            raise pytest.UsageError(f"{name} does nothing here: {ELSEWHERE[name]}")


def checked_settings(option: Any) -> Settings:
    """The Settings of the command line. Raises pytest.UsageError, one line."""

    def integer(name: str, least: int = 1) -> Any:
        value = getattr(option, name)
        return None if value is None else checked_integer(f"--{name.replace('_', '-')}", value, least)

    def integers(name: str) -> Any:
        value = getattr(option, name)
        return None if value is None else checked_integers(f"--{name.replace('_', '-')}", value)

    for name in implementations.names():
        check_name(name)
    count = integer("processes")
    part = integer("part", least=0)
    least = statistics.FEWEST_PAIRS if count == 1 else 2
    pairs = None if option.pairs == "auto" else integer("pairs", least)
    if pairs and pairs % 2:
        raise pytest.UsageError(f"--pairs {pairs}: expected an even number, so that each side goes first equally often")
    baselines = ["torch_nn", "parent", *implementations.names()]
    if option.baseline not in baselines:
        raise pytest.UsageError(f"--baseline {option.baseline}: expected one of {', '.join(baselines)}")
    devices = checked_devices(option.device)
    ranks = checked_ranks(integer("ranks", least=2), option)
    if machines.started_by_torchrun() and count > 1:
        raise pytest.UsageError(f"--processes {count}: torchrun has started this one; leave it out under torchrun")
    needed = implementations.processes(option.baseline) if option.baseline in baselines[2:] else 1
    if ranks < needed:
        raise pytest.UsageError(f"--baseline {option.baseline}: it trains in several processes; add --ranks {needed}")
    runs_on = implementations.devices(option.baseline) if option.baseline in baselines[2:] else devices
    if not set(devices) & set(runs_on):
        raise pytest.UsageError(f"--baseline {option.baseline}: it runs on {', '.join(runs_on)} only, the rows do not")
    return Settings(
        dataset=option.dataset,
        devices=devices,
        batch_sizes=integers("batch_size"),
        rows=integers("rows") or (None,),
        most_rows=QUICK_ROWS if option.quick else None,
        epochs=integer("epochs"),
        pairs=pairs,
        baseline=option.baseline,
        threads=checked_threads(integer("torch_threads")),
        budget=(integer("budget") or (QUICK_SECONDS if option.quick else FULL_SECONDS)) / count,
        processes=count,
        part=part,
        whole=None if option.whole is None else frozenset(option.whole.split(",")),
        margin=checked_margin(option.margin),
        columns=checked_columns(option.columns),
        timeout=checked_timeout(option.timeout),
        spawn=option.spawn,
        ranks=ranks,
    )


def checked_threads(threads: int | None) -> int | None:
    """How many threads each row gets; None leaves it to the libraries. Raises pytest.UsageError."""
    if threads and threads > MOST_THREADS:
        raise pytest.UsageError(f"--torch-threads {threads}: expected at most {MOST_THREADS}")
    return threads


def checked_ranks(ranks: int | None, option: Any) -> int:
    """How many ranks the rows of several get, 1 if there are to be none. Raises pytest.UsageError."""
    available, hosts = machines.cores(), machines.count()
    if machines.count_here() > 1:
        raise pytest.UsageError(
            f"torchrun --nproc-per-node {machines.count_here()}: expected 1 on each machine; --ranks starts the ranks"
        )
    if (ranks or 1) % hosts:
        raise pytest.UsageError(f"--ranks {ranks or 1}: expected as many on each of {hosts} machines")
    if ranks and ranks // hosts > available and not option.benchmark_disable:
        raise pytest.UsageError(
            f"--ranks {ranks}: this machine has {available} cores, and ranks that wait for a core tell nothing; "
            "--benchmark-disable checks them and times none"
        )
    return ranks or 1


def check_name(name: str) -> None:
    """Raises pytest.UsageError where no row of a file of this name could be saved, or told from the reference's."""
    if name in (saved.REFERENCE, saved.COPY):
        raise pytest.UsageError(f"implementations/{name}.py: this name is the reference's; choose another")
    if not NAME.fullmatch(name):
        raise pytest.UsageError(
            f"implementations/{name}.py: expected a name of letters, digits and _, at most 100; rename it"
        )


def checked_columns(value: str | None) -> tuple[str, ...]:
    """The columns that an option names. Raises pytest.UsageError."""
    try:
        return table.columns(value)
    except ValueError as error:
        raise pytest.UsageError(str(error)) from None


def checked_margin(value: str) -> float | None:
    """The margin of an option in percent, as a fraction; None if the A/A check chooses. Raises pytest.UsageError."""
    if value == "auto":
        return None
    try:
        margin = float(value) / 100
    except ValueError:
        margin = 0
    if not 0.0001 <= margin <= 1:
        raise pytest.UsageError(f"--margin {value}: expected auto or a number of percent, 0.01 to 100")
    return margin


def checked_integer(name: str, value: str, least: int) -> int:
    """The value of an option as a number. Raises pytest.UsageError."""
    if not value.isascii() or not value.isdigit() or not least <= int(value) < 2**31:
        raise pytest.UsageError(f"{name} {value}: expected a whole number of at least {least}")
    return int(value)


def checked_integers(name: str, value: str) -> tuple[int, ...]:
    """The values of an option that takes several, with commas between them. Raises pytest.UsageError."""
    numbers = tuple(checked_integer(name, part, least=1) for part in value.split(","))
    for number in numbers:
        if numbers.count(number) > 1:
            raise pytest.UsageError(f"{name} {value}: {number} is there twice; name each number once")
    return numbers


def checked_devices(device: str) -> tuple[str, ...]:
    """The device types to run on. Raises pytest.UsageError."""
    if device == "cpu":
        return ("cpu",)
    if device == "auto":
        return ("cpu", "cuda") if torch_sees_cuda() else ("cpu",)
    if device not in implementations.DEVICE_TYPES:
        raise pytest.UsageError(f"--device {device}: expected auto, cpu, cuda, mps or xpu")
    if not (torch_sees_cuda() if device == "cuda" else torch_sees(device)):
        raise pytest.UsageError(f"--device {device}: torch sees no {device.upper()} device here; use --device cpu")
    return (device,)


def torch_sees_cuda() -> bool:
    """Whether torch can use a GPU. Where there is no driver it cannot, and need not be imported to be asked."""
    if not any(map(loads, ("libcuda.so.1", "nvcuda.dll", "libamdhip64.so"))):
        return False
    import torch

    return torch.cuda.is_available()


def torch_sees(device: str) -> bool:
    """The same of an accelerator of another type."""
    from reference import accelerator

    return accelerator.sees(device)


def loads(library: str) -> bool:
    """Whether the system has such a shared library."""
    try:
        ctypes.CDLL(library)
    except OSError:
        return False
    return True


def checked_timeout(value: str | float | None) -> float:
    """The seconds for a row. pytest-timeout gives them as a number. Raises pytest.UsageError."""
    try:
        seconds = TIMEOUT_SECONDS if value is None else float(value)
    except ValueError:
        seconds = 0
    if not 1 <= seconds < 2**31:
        raise pytest.UsageError(f"--timeout {value}: expected a number of seconds, at least 1")
    return seconds


def default_path() -> Path:
    """Where a run is saved if nobody says otherwise."""
    return saved.RESULTS / f"run-{datetime.now():%Y%m%d-%H%M%S}-{os.getpid()}.json"


def expanded(path: Path) -> Path:
    """Where a run is to be saved, from the root on, with the home folder for ~. Raises pytest.UsageError."""
    try:
        return shell.expanded(path).absolute()  # whoever changes the folder
    except ValueError as error:
        raise pytest.UsageError(f"--benchmark-json {error}") from None


def check_writable(path: Path) -> None:
    """Raises pytest.UsageError where a run could not be saved, before it is measured."""
    try:
        if path.exists() and not path.is_file():  # a run is put in the place of what is there, be it /dev/null
            what = "a folder" if path.is_dir() else "no ordinary file"
            raise pytest.UsageError(f"cannot save to {path}: it is {what}; name a file with --benchmark-json FILE")
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path.parent):
            pass
    except OSError as error:
        raise pytest.UsageError(
            f"cannot save to {path.parent}: {error.strerror}; choose another place with --benchmark-json FILE"
        ) from None
