"""The sources of what is timed, as texts, and their hash, which says of a row what was timed. Needs no torch."""

import hashlib
from pathlib import Path

import implementations
from benchmarks.runs.saved import COPY, REFERENCE

REFERENCE_FILE = Path(__file__).parents[2] / "reference" / f"{REFERENCE}.py"


def sources(name: str) -> tuple[str, str]:
    """The text of an implementation or of the reference, in Python, and in C or CUDA. Raises OSError."""
    if name in (REFERENCE, COPY):
        return REFERENCE_FILE.read_text(encoding="utf-8"), ""
    return implementations.source(name), implementations.c_source(name)


def sha256(name: str) -> str:
    """Which source it is now. Raises OSError where the file is gone."""
    return hashlib.sha256("".join(sources(name)).encode()).hexdigest()
