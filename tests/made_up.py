"""Rows and runs that nobody measured."""

import itertools
from collections.abc import Sequence
from typing import Any

from benchmarks.runs import saved
from benchmarks.runs.row import Row
from benchmarks.runs.saved import Conditions, Run

MOMENTS = itertools.count()  # no two rows are of the same


def info(name: str = "manual_inplace", own: float = 0.1, beside: float = 0.2, **changed: Any) -> dict[str, Any]:
    """A row as it is saved, with ten pairs of these seconds, or with those that are given."""
    own_seconds = changed.get("own_seconds", [own] * 10)
    count = len(own_seconds)
    good = {
        "name": name,
        "parent": "autograd_inplace",
        "baseline": "torch_nn",
        "dataset": "digits",
        "dataset_origin": "made up",
        "dataset_sha256": "0123456789abcdef" * 4,
        "rows": 50_000,
        "features": 784,
        "classes": 10,
        "batch_size": 64,
        "epochs": 2,
        "learning_rate": 0.5,
        "steps": 1564,
        "dtype": "float32",
        "device": "cpu",
        "device_name": "A processor, 2 cores, AVX512",
        "threads": 2,
        "system": "Linux",
        "python": "3.12.1",
        "torch": "2.13.0",
        "numpy": "2.4.0",
        "numba": "0.65.0",
        "jax": "none",
        "triton": "none",
        "checker_sha256": "ee",
        "bytes_per_second": 4e10,
        "flops_per_second": 2e11,
        "floor_seconds": 0.016,
        "first_call_seconds": 1.5,
        "error": 1.25,
        "lines": 12,
        "source_sha256": "aa",
        "baseline_first_call_seconds": 2.5,
        "baseline_error": 1.0,
        "baseline_lines": 17,
        "baseline_source_sha256": "bb",
        "idea": "What it does.",
        "operations_per_step": 22.0,
        "bytes_per_step": 71808.0,
        "calls_per_step": 12.0,
        "pairs": count,
        "process": [0] * count,
        "start_seconds": [1.8e9 + next(MOMENTS) for _ in range(count)],
        "baseline_first": [True, False] * (count // 2) + [True] * (count % 2),
        "own_seconds": own_seconds,
        "baseline_seconds": [beside] * count,
        "own_cpu_seconds": [0.15] * count,
        "baseline_cpu_seconds": [0.3] * count,
        "baseline_operations_per_step": 17.0,
        "baseline_bytes_per_step": 41652.0,
        "baseline_calls_per_step": 148.0,
    }
    return good | changed


def row(name: str = "manual_inplace", own: float = 0.1, beside: float = 0.2, **changed: Any) -> Row:
    """The Row of `info`."""
    return Row.from_dict(info(name, own, beside, **changed))


def aa_check(own: float = 0.2, beside: float = 0.2, **changed: Any) -> Row:
    """The reference beside its copy; if nothing else is given, no difference is found."""
    return row(saved.COPY, own, beside, source_sha256="bb", **changed)


CONDITIONS = Conditions(other_cores=0.25, stolen_cores=0.125, switches_per_second=7.4, lowest_megahertz=2000.0)


def run(
    *rows: Row,
    untimed: Sequence[tuple[str, str]] = (),
    aa_checks: Sequence[Row] | None = None,
    margin: float | None = 0.01,
) -> Run:
    """A run of these rows. If no A/A checks are given there is one for each device, which finds no difference."""
    if aa_checks is None:
        one_of_each = {row.setting.device: row for row in rows}
        aa_checks = [
            aa_check(
                device=device,
                own_seconds=[0.2] * one.pairs,
                process=list(one.process),
                baseline_first=list(one.baseline_first),
            )
            for device, one in sorted(one_of_each.items())
        ]
    return Run(rows, tuple(untimed), tuple(aa_checks), CONDITIONS, margin)


def content(run: Run) -> dict[str, Any]:
    """The run as it is saved."""
    return {"benchmarks": [{"extra_info": row.to_dict()} for row in run.rows]} | saved.beside_the_rows(run)
