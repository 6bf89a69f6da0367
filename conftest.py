"""Command-line options, the suite's fixture, and the table at the end."""

import argparse
import json
import os
import tempfile
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

import pytest
import pytest_benchmark

import implementations
from benchmarks.measure import processes
from benchmarks.runs import saved, statistics
from benchmarks.runs.row import Row
from benchmarks.show import table

os.environ.setdefault("KINETO_LOG_LEVEL", "99")  # or torch's profiler prints lines of its own

FULL_SECONDS = 180
QUICK_SECONDS = 20
QUICK_ROWS = 5_000
LEAST_PYTEST_BENCHMARK = (5, 3)  # older ones fail with pytest 9 in every row


class Settings(NamedTuple):
    """The options of a run, checked.

    batch_sizes, rows: every combination is a timed problem; None stands for all rows.
    pairs: None stands for as many as are needed.  budget: seconds for all timed pairs together.
    processes: how many times the run is repeated in a fresh process.  part: which of them this one is, or None.
    margin: the least ratio that counts, less 1.  columns: of the table; none stands for those that fit.
    """

    dataset: str
    devices: tuple
    batch_sizes: tuple
    rows: tuple
    epochs: int
    pairs: int | None
    baseline: str
    threads: int | None
    budget: float
    processes: int
    part: int | None
    margin: float
    columns: tuple


def pytest_addoption(parser):
    group = parser.getgroup("one trainer, many writings")
    group.addoption("--dataset", default="auto", help="auto (mnist, else digits), mnist, digits or FILE.npz")
    group.addoption("--device", default="auto", help="auto (all there are), cpu or cuda")
    group.addoption("--batch-size", default="64", help="rows a step (64); several as 16,64,256: a row each")
    group.addoption("--rows", help=f"rows an epoch (all; {QUICK_ROWS} with --quick); also several")
    group.addoption("--epochs", default="1", help="epochs a run (1)")
    group.addoption("--pairs", default="auto", help="timed pairs a row: even, at least 8, or auto")
    group.addoption("--budget", help=f"seconds for all pairs together ({FULL_SECONDS}; {QUICK_SECONDS} with --quick)")
    group.addoption("--processes", default="1", help="repeat in so many fresh processes and judge by these (1)")
    group.addoption("--part", help=argparse.SUPPRESS)  # which of several processes this is
    margin = f"{statistics.MARGIN * 100:g}"
    group.addoption("--margin", default=margin, help=f"differences below so many percent are none ({margin})")
    group.addoption("--baseline", default="torch_nn", help="torch_nn, parent, or the name of an implementation")
    group.addoption("--torch-threads", help="threads for torch and NumPy (their own choice)")
    group.addoption("--columns", help=f"of the table, some of: {', '.join(table.CHOICES)} (what fits)")
    group.addoption("--quick", action="store_true", help="a first look: fewer rows and pairs, wider intervals")


def pytest_configure(config):
    check_pytest_benchmark(pytest_benchmark.__version__)
    config.settings = checked_settings(config.option)
    config.infos, config.untimed, config.aa_checks, config.conditions = [], [], (), saved.Conditions()
    config.option.benchmark_quiet = True  # one table, ours
    if config.option.benchmark_only and not config.option.collectonly and config.option.benchmark_json is None:
        now = datetime.now().strftime("%Y%m%d-%H%M%S")
        config.option.benchmark_json = str(saved.RESULTS / f"run-{now}-{os.getpid()}.json")
    if config.option.benchmark_json:
        check_writable(Path(config.option.benchmark_json))


def check_pytest_benchmark(version):
    """Raises pytest.UsageError if this version does not fit; pip may have kept an old one beside a new pytest."""
    if tuple(map(int, version.split(".")[:2])) < LEAST_PYTEST_BENCHMARK:
        least = ".".join(map(str, LEAST_PYTEST_BENCHMARK))
        raise pytest.UsageError(
            f"pytest-benchmark {version}: expected {least} or newer; python -m pip install 'pytest-benchmark>={least}'"
        )


def checked_settings(option):
    """The Settings of the command line. Raises pytest.UsageError, one line."""

    def integer(name, least=1):
        value = getattr(option, name)
        return None if value is None else checked_integer(f"--{name.replace('_', '-')}", value, least)

    def integers(name):
        value = getattr(option, name)
        return None if value is None else checked_integers(f"--{name.replace('_', '-')}", value)

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
    runs_on = implementations.devices(option.baseline) if option.baseline in baselines[2:] else devices
    if not set(devices) & set(runs_on):
        raise pytest.UsageError(f"--baseline {option.baseline}: it runs on {', '.join(runs_on)} only, the rows do not")
    return Settings(
        dataset=option.dataset,
        devices=devices,
        batch_sizes=integers("batch_size"),
        rows=integers("rows") or (QUICK_ROWS if option.quick else None,),
        epochs=integer("epochs"),
        pairs=pairs,
        baseline=option.baseline,
        threads=integer("torch_threads"),
        budget=(integer("budget") or (QUICK_SECONDS if option.quick else FULL_SECONDS)) / count,
        processes=count,
        part=part,
        margin=checked_margin(option.margin),
        columns=checked_columns(option.columns),
    )


def checked_columns(value):
    """The columns that an option names. Raises pytest.UsageError."""
    try:
        return table.columns(value)
    except ValueError as error:
        raise pytest.UsageError(str(error)) from None


def checked_margin(value):
    """The margin of an option in percent, as a fraction. Raises pytest.UsageError."""
    try:
        margin = float(value) / 100
    except ValueError:
        margin = 0
    if not 0.0001 <= margin <= 1:
        raise pytest.UsageError(f"--margin {value}: expected a number of percent, 0.01 to 100")
    return margin


def checked_integer(name, value, least):
    """The value of an option as a number. Raises pytest.UsageError."""
    if not value.isascii() or not value.isdigit() or not least <= int(value) < 2**31:
        raise pytest.UsageError(f"{name} {value}: expected a whole number of at least {least}")
    return int(value)


def checked_integers(name, value):
    """The values of an option that takes several, with commas between them. Raises pytest.UsageError."""
    numbers = tuple(checked_integer(name, part, least=1) for part in value.split(","))
    for number in numbers:
        if numbers.count(number) > 1:
            raise pytest.UsageError(f"{name} {value}: {number} is there twice; name each number once")
    return numbers


def checked_devices(device):
    """The device types to run on. Raises pytest.UsageError."""
    if device == "cpu":
        return ("cpu",)
    if device not in ("auto", "cuda"):
        raise pytest.UsageError(f"--device {device}: expected auto, cpu or cuda")
    import torch

    if torch.cuda.is_available():
        return ("cpu", "cuda") if device == "auto" else ("cuda",)
    if device == "cuda":
        raise pytest.UsageError("--device cuda: torch sees no CUDA device here; use --device cpu")
    return ("cpu",)


def check_writable(path):
    """Raises pytest.UsageError where a run could not be saved, before it is measured."""
    if path.is_dir():
        raise pytest.UsageError(f"cannot save to {path}: it is a folder; name a file with --benchmark-json FILE")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path.parent):
            pass
    except OSError as error:
        raise pytest.UsageError(
            f"cannot save to {path.parent}: {error.strerror}; choose another place with --benchmark-json FILE"
        ) from None


def pytest_collection_finish(session):
    """Loads the data and solves the problem once there are rows to run, so that a bad option ends the run here."""
    rows = [item for item in session.items if "suite" in item.fixturenames]
    left_out = session.config.pluginmanager.get_plugin("terminalreporter").stats.get("deselected", [])
    if not session.items and any("suite" in item.fixturenames for item in left_out):
        say_devices(session.config)
    if rows and not session.config.option.collectonly and not is_split(session.config):
        session.config.suite = made_suite(session.config, [item.callspec.params for item in rows])


def made_suite(config, rows):
    """The Suite of this run; says which data it took, and what will not run. Raises pytest.UsageError."""
    from benchmarks.measure.suite import Suite
    from reference import datasets, equivalence

    settings = config.settings
    say = config.get_terminal_writer().line
    try:
        data = datasets.load(settings.dataset)
        say(table.wrapped(f"dataset {data.name}: {data.origin}"))
        say_devices(config)
        sizes = dict.fromkeys((row["rows"], row["batch_size"]) for row in rows)
        return Suite(settings, data, sizes, len(rows))
    except (datasets.DatasetError, equivalence.Unjudgeable, ValueError) as error:
        raise pytest.UsageError(str(error)) from None


def say_devices(config):
    """One line: which GPU it is, or what is not run without one, unless only the CPU was asked for."""
    say = config.get_terminal_writer().line
    if "cuda" in config.settings.devices:
        say(table.wrapped(gpu_in_words()))
    elif config.option.device == "auto":
        only = ", ".join(name for name in implementations.names() if implementations.devices(name) == ("cuda",))
        say(f"device cpu: torch sees no CUDA device here; not run: all rows on cuda, and with them {only}")


def gpu_in_words():
    """Which GPU runs the rows, if there are others, and if it is less than a whole one."""
    from torch import cuda

    name, count = cuda.get_device_name(), cuda.device_count()
    which = f", the first of {count}: CUDA_VISIBLE_DEVICES=1 takes the next" if count > 1 else ""
    part = ", a part of a GPU (MIG): not to be compared with a whole one" if " MIG " in f"{name} " else ""
    return f"device cuda: {name}{which}{part}"


def is_split(config):
    """Whether other processes do the work of this one."""
    settings, option = config.settings, config.option
    return settings.processes > 1 and settings.part is None and not (option.benchmark_disable or option.collectonly)


@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop(session):
    """With --processes the rows run in as many processes, one after the other, and come back as one run."""
    config = session.config
    if not is_split(config) or not session.items:
        return None
    given = config.invocation_params
    try:
        content = processes.merged(processes.contents(given.args, given.dir, config.settings.processes))
    except processes.Ended as ended:
        pytest.exit(f"a process ended with status {ended}; its last lines say why", returncode=ended.args[0] or 1)
    except processes.Unlike as unlike:
        pytest.exit(str(unlike), returncode=1)
    run = saved.run_of(content)
    config.infos, config.untimed = [row.to_dict() for row in run.rows], run.untimed
    config.aa_checks, config.conditions = run.aa_checks, run.conditions
    if config.option.benchmark_json:
        saved.write(config.option.benchmark_json, content | saved.beside_the_rows(run))
    session.testsfailed = sum(not reason.startswith("skipped") for _, reason in run.untimed)
    return True


@pytest.fixture(scope="session")
def suite(request):
    return request.config.suite


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    report = yield
    if "suite" in getattr(item, "fixturenames", ()):
        collect(item, call, report)
    return report


def collect(item, call, report):
    """Keeps the row of a test that has ended, or why it has no time."""
    config = item.config
    if report.skipped:
        config.untimed.append((item.callspec.id, f"skipped: {call.excinfo.value}"))
    elif report.failed:
        reason = " ".join(str(call.excinfo.value).split()) or call.excinfo.typename
        word = "not comparable" if call.excinfo.typename == "NotComparable" else "wrong"
        config.untimed.append((item.callspec.id, f"{word}: {reason}"))
        if call.excinfo.typename in ("NotComparable", "Wrong"):
            report.longrepr = reason
    elif call.when == "call" and item.funcargs["benchmark"].extra_info:
        config.infos.append(item.funcargs["benchmark"].extra_info)


def pytest_benchmark_update_machine_info(config, machine_info):
    machine_info.pop("node", None)  # a run is made to be shared; the computer's own name tells nobody anything


def pytest_benchmark_update_json(config, benchmarks, output_json):
    output_json.update(beside_the_rows(config))


def beside_the_rows(config):
    """What is saved beside the rows; one of several processes has no words, and may have too few pairs for a Run."""
    if config.settings.part is None:
        return saved.beside_the_rows(finished_run(config))
    finish(config)
    checks, conditions = [check.to_dict() for check in config.aa_checks], asdict(config.conditions)
    both = {"untimed": config.untimed, "null_lanes": checks}
    return both | {"conditions": conditions, "margin": config.settings.margin}


def finish(config):
    """Takes what the suite measured beside the rows, once: what is saved is what is shown."""
    suite, config.suite = getattr(config, "suite", None), None
    if suite is not None:
        config.aa_checks = tuple(check.row() for check in suite.aa_checks.values() if check.found)
        config.conditions = suite.watch.conditions()


def finished_run(config):
    """The Run of all rows."""
    finish(config)
    rows, untimed = tuple(map(Row.from_dict, config.infos)), tuple(config.untimed)
    return saved.Run(rows, untimed, config.aa_checks, config.conditions, config.settings.margin)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_sessionfinish(session, exitstatus):
    """When pytest-benchmark has saved the rows, counts what their steps consist of, and saves them once more.

    A count may take the whole process with it; the times are safe by then. Also saves one of several processes that
    has no row with a time: pytest-benchmark saves nothing of it.
    """
    config, suite = session.config, getattr(session.config, "suite", None)
    yield
    rows, path = config.infos, config.option.benchmark_json
    if config.settings.part is not None and not rows:
        saved.write(path, {"benchmarks": []} | beside_the_rows(config))
    if suite and rows and exitstatus != pytest.ExitCode.INTERRUPTED:
        count_steps(session, suite)
        if path and Path(path).exists():
            content = json.loads(Path(path).read_text(encoding="utf-8"))
            for benchmark, row in zip(content["benchmarks"], rows, strict=True):
                benchmark["extra_info"] = row
            saved.write(path, content)


def count_steps(session, suite):
    """Adds counts to the rows that are timed; whatever happens meanwhile, they are saved as they are by then."""
    try:
        suite.count(session.config.infos)
    except BaseException as raised:
        word = " ".join([type(raised).__name__, *str(raised).split()])
        session.config.get_terminal_writer().line(f"\nnot all steps were counted: {word}")
        if isinstance(raised, KeyboardInterrupt):
            session.exitstatus = pytest.ExitCode.INTERRUPTED


def pytest_terminal_summary(terminalreporter, config):
    if (config.infos or config.untimed) and config.settings.part is None:
        terminalreporter.section("one trainer, many writings")
        terminalreporter.write_line(table.text(finished_run(config), config.settings.columns))
        if config.infos and config.option.benchmark_json:
            terminalreporter.write_line(f"\nsaved: {config.option.benchmark_json}")
