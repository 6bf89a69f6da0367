"""The benchmark: one row per implementation and device. Checked, timed beside its baseline, checked again."""

import pytest

import implementations
from benchmarks.pairing import clock


def pytest_generate_tests(metafunc):
    rows = [
        pytest.param(
            name, device, id=f"{name}-{device}", marks=pytest.mark.benchmark(timer=clock(device), disable_gc=True)
        )
        for device in metafunc.config.settings.devices
        for name in implementations.names()
        if device in implementations.devices(name)
    ]
    metafunc.parametrize(("name", "device"), rows)


def test_epoch(name, device, suite, benchmark):
    benchmark.has_error = True  # until every check is passed: a wrong answer has no time
    missing = implementations.missing(name)
    if missing:
        pytest.skip(f"{', '.join(missing)} not installed")
    suite.measure(name, device, benchmark)
    benchmark.has_error = False
