"""The benchmark: a row per implementation, device and size. Checked, timed beside its baseline, checked again."""

from typing import Any

import pytest

import implementations
from benchmarks.measure.race import STOPWATCH
from benchmarks.measure.refusals import Lacking
from benchmarks.show.table import row_id


def pytest_generate_tests(metafunc: Any) -> None:
    settings = metafunc.config.benchmark.settings
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
            marks=pytest.mark.benchmark(timer=STOPWATCH),
        )
        for device in settings.devices
        for rows in settings.rows
        for batch_size in settings.batch_sizes
        for name in implementations.names()
        if device in implementations.devices(name) and (settings.ranks > 1 or implementations.processes(name) == 1)
    ]
    metafunc.parametrize(("name", "device", "rows", "batch_size"), rows)


def test_epoch(name: str, device: str, rows: int | None, batch_size: int, suite: Any, benchmark: Any) -> None:
    benchmark.has_error = True  # until every check is passed: a wrong answer has no time
    try:
        row = suite.on(device, rows, batch_size).measure(name, benchmark)
    except Lacking as lacking:
        pytest.skip(str(lacking))
    benchmark.has_error = False
    if row:
        suite.rows.append(row)
        benchmark.extra_info.update(row.to_dict())
