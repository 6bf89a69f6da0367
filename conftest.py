"""pytest's hooks and the suite's fixture; what they call is in benchmarks/. Imports no torch."""

import os

import pytest
import pytest_benchmark.plugin

from benchmarks import options
from benchmarks.session import Session, is_row

os.environ.setdefault("KINETO_LOG_LEVEL", "99")  # or torch's profiler prints lines of its own


def pytest_addoption(parser, pluginmanager):
    if not pluginmanager.is_registered(pytest_benchmark.plugin):  # PYTEST_DISABLE_PLUGIN_AUTOLOAD keeps it away
        pluginmanager.register(pytest_benchmark.plugin, "benchmark")
    options.add(parser)


def pytest_configure(config):
    options.check_pytest_benchmark(pytest_benchmark.__version__)
    config.benchmark = Session(config)


def pytest_collection_finish(session):
    left_out = session.config.pluginmanager.get_plugin("terminalreporter").stats.get("deselected", [])
    session.config.benchmark.begin(session.items, left_out)


@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop(session):
    """With --processes the rows run in as many processes, one after the other, and come back as one run."""
    benchmark = session.config.benchmark
    if not benchmark.is_split() or not session.items:
        return None
    benchmark.run_processes()
    session.testsfailed = sum(not reason.startswith("skipped") for _, reason in benchmark.run.untimed)
    return True


@pytest.fixture(scope="session")
def suite(request):
    return request.config.benchmark.suite


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    report = yield
    if is_row(item):
        item.config.benchmark.collect(item, call, report)
    return report


def pytest_benchmark_update_machine_info(config, machine_info):
    machine_info.pop("node", None)  # a run is made to be shared; the computer's own name tells nobody anything


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_sessionfinish(session):
    try:
        session.config.benchmark.end()
    finally:  # what could not be saved is shown
        yield


def pytest_terminal_summary(terminalreporter, config):
    config.benchmark.show(terminalreporter)


def pytest_unconfigure(config):
    if hasattr(config, "benchmark"):
        config.benchmark.close()
