"""The benchmark: a row per implementation, device and size. Checked, timed beside its baseline, checked again."""

import pytest

import implementations
from benchmarks.measure.race import clock
from benchmarks.show.table import row_id


def pytest_generate_tests(metafunc):
    settings = metafunc.config.settings
    rows = [
        pytest.param(
            name,
            device,
            rows,
            batch_size,
            id=row_id(
                name,
                device,
                batch_size if len(settings.batch_sizes) > 1 else None,
                rows if len(settings.rows) > 1 else None,
            ),
            marks=pytest.mark.benchmark(timer=clock(device), disable_gc=True),
        )
        for device in settings.devices
        for rows in settings.rows
        for batch_size in settings.batch_sizes
        for name in implementations.names()
        if device in implementations.devices(name)
    ]
    metafunc.parametrize(("name", "device", "rows", "batch_size"), rows)


def test_epoch(name, device, rows, batch_size, suite, benchmark):
    benchmark.has_error = True  # until every check is passed: a wrong answer has no time
    contest = suite.on(device, rows, batch_size)
    if lacks := contest.lacks(name):
        pytest.skip(lacks)
    contest.measure(name, benchmark)
    benchmark.has_error = False
