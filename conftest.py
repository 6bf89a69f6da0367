"""Command-line options, the suite's fixture, and the table at the end."""

from datetime import datetime
from pathlib import Path
from typing import NamedTuple

import pytest

import implementations
from benchmarks import table, verdict

RESULTS = Path(__file__).parent / "results"


class Settings(NamedTuple):
    """The options of a run, checked. budget: seconds for all timed pairs together."""

    dataset: str
    devices: tuple
    batch_size: int
    rows: int | None
    epochs: int
    pairs: int | None
    baseline: str
    threads: int | None
    budget: float


def pytest_addoption(parser):
    group = parser.getgroup("one trainer, many writings")
    group.addoption("--dataset", default="auto", help="auto (mnist, else digits), mnist, digits or FILE.npz")
    group.addoption("--device", default="auto", help="auto (all there are), cpu or cuda")
    group.addoption("--batch-size", default="64", help="rows a step (64)")
    group.addoption("--rows", help="rows an epoch (all; 10000 with --quick)")
    group.addoption("--epochs", default="1", help="epochs a run (1)")
    group.addoption("--pairs", help="timed pairs a row, even and at least 8 (as many as the time holds)")
    group.addoption("--baseline", default="torch_nn", help="torch_nn, parent, or the name of an implementation")
    group.addoption("--torch-threads", help="threads for torch and NumPy (torch's own choice)")
    group.addoption("--quick", action="store_true", help="a first look: fewer rows and pairs, wider intervals")


def pytest_configure(config):
    config.settings = checked_settings(config.option)
    config.option.benchmark_quiet = True  # one table, ours
    config.refused = []
    config.run = {"benchmarks": []}
    if config.option.benchmark_json is None and config.option.benchmark_only:
        config.option.benchmark_json = str(RESULTS / f"run-{datetime.now():%Y%m%d-%H%M%S}.json")


def checked_settings(option):
    """The Settings of the command line. Raises pytest.UsageError, one line."""

    def integer(name, least=1):
        value = getattr(option, name)
        if value is None:
            return None
        if not value.isascii() or not value.isdigit() or int(value) < least:
            raise pytest.UsageError(f"--{name.replace('_', '-')} {value}: expected a whole number of at least {least}")
        return int(value)

    pairs = integer("pairs", verdict.FEWEST_PAIRS)
    if pairs and pairs % 2:
        raise pytest.UsageError(f"--pairs {pairs}: expected an even number, so that each side goes first equally often")
    choices = ["torch_nn", "parent", *implementations.names()]
    if option.baseline not in choices:
        raise pytest.UsageError(f"--baseline {option.baseline}: expected one of {', '.join(choices)}")
    return Settings(
        dataset=option.dataset,
        devices=checked_devices(option.device),
        batch_size=integer("batch_size"),
        rows=integer("rows") or (10_000 if option.quick else None),
        epochs=integer("epochs"),
        pairs=pairs,
        baseline=option.baseline,
        threads=integer("torch_threads"),
        budget=15 if option.quick else 100,
    )


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


@pytest.fixture(scope="session")
def suite(request):
    from benchmarks.suite import Suite, limit_threads
    from reference import datasets, equivalence

    settings = request.config.settings
    if settings.threads:
        limit_threads(settings.threads)
    try:
        data = datasets.load(settings.dataset)
        return Suite(settings, data, row_count=len(request.session.items))
    except (datasets.DatasetError, equivalence.Unjudgeable, ValueError) as error:
        pytest.exit(str(error), returncode=pytest.ExitCode.USAGE_ERROR)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    report = yield
    if report.failed and item.name.startswith("test_epoch["):
        reason = " ".join(str(call.excinfo.value).split())
        item.config.refused.append((item.callspec.id, reason))
        if call.excinfo.typename == "Refused":
            report.longrepr = reason
    return report


def pytest_benchmark_update_json(config, benchmarks, output_json):
    config.run = output_json


def pytest_terminal_summary(terminalreporter, config):
    if config.run["benchmarks"] or config.refused:
        terminalreporter.section("one trainer, many writings")
        terminalreporter.write_line(table.text(config.run, config.refused))
