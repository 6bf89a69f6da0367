"""Rows and runs that nobody measured."""

import itertools
from typing import Any

from benchmarks.runs.row import Row

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
        "first_look": 0,
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
