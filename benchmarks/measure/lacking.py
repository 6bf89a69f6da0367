"""What a machine lacks, read from what an implementation raised: its row is skipped, as it is not the one at fault."""

import os
import re
import sys
import traceback
from pathlib import Path

import implementations

# What compilers, linkers, the C library, torch and Numba say where something is missing, and what that means.
MEANINGS = [
    (r"fatal error: '?([^\s':]+)'?(?:: No such file or directory| file not found)", "the compiler finds no {}"),
    (r"no include path in which to search for ([^\s:]+)", "the compiler finds no {}"),
    (r"(?:cannot execute|error trying to exec) .(\w+).: ", "the compiler lacks a part of it, {}"),
    (r"(?:cannot find|unable to find library|library not found for) (-l[\w+.-]+|\w+\.o)\b", "the linker finds no {}"),
    (r"(\blib\w+\.so[.\d]*) cannot found", "the linker finds no {}"),
    (r"Failed to find C compiler|No working C\+\+ compiler found", "no compiler is found; CC and CXX can name one"),
    (
        r"(/\S+): failed to map segment from shared object(?!: Cannot allocate)",
        "nothing may be executed where {} lies (noexec); set TMPDIR, or the variable for that cache, to another folder",
    ),
    (r"cannot cache function .* no locator available", "Numba has no folder for its cache; set NUMBA_CACHE_DIR"),
    (
        r"(?:out of|insufficient) shared memory|shared memory(?: object|\(shm\))|No space left.*\(synchronize\.py",
        "shared memory, /dev/shm, is too small for a worker",
    ),
    (r"No space left on device", "no space is left on a disk"),
    (r"can't start new thread|Resource temporarily unavailable", "no more threads or processes may be started"),
]


def lacking(raised: BaseException) -> str | None:
    """What it says that the machine lacks, in words; None if nothing, and it is the implementation that is wrong."""
    file = Path(traceback.extract_tb(raised.__traceback__)[-1].filename)
    message = " ".join(str(raised).split())
    if isinstance(raised, NotImplementedError) and file.parent == implementations.FOLDER:  # not torch's, of operations
        return message[:200] or "it cannot run here"
    for pattern, meaning in MEANINGS:
        if found := re.search(pattern, f"{message} ({file.name}"):
            return meaning.format(*found.groups())
    return lacking_platform()


def lacking_platform() -> str | None:
    """That JAX, if it is in use, has not the platform it was told to take; it may raise an error without words."""
    jax = sys.modules.get("jax")
    if not jax:
        return None
    try:
        jax.devices()
    except (RuntimeError, AssertionError):
        return f"JAX finds no platform here with JAX_PLATFORMS={os.environ.get('JAX_PLATFORMS', '')}"
    return None
