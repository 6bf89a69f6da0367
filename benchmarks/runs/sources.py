"""The sources of what is timed, as texts, and the hash of their code, which says what was timed. Needs no torch."""

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
    """Which code it is now: below the docstring, whose words are not timed. Raises OSError where the file is gone."""
    source, c_source = sources(name)
    return hashlib.sha256((implementations.prose_and_code(source)[1] + c_source).encode()).hexdigest()
