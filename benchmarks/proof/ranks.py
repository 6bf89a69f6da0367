"""A function called on several ranks: the same processes for all that is asked of it, as torchrun starts slowly."""

import os
import pickle
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.measure.workers import ROOT
from reference import shell
from reference.ranks import process_group


def on_ranks(count: int, function: Callable[..., Any], *arguments: Any) -> Any:
    """What a function of a module returns on the first of so many ranks, each a process of one thread that calls it.

    Raises subprocess.CalledProcessError if it raises on any of them.
    """
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={count}"]
    with tempfile.TemporaryDirectory() as folder:
        call, result = Path(folder, "call"), Path(folder, "result")
        call.write_bytes(pickle.dumps((function, arguments)))
        command = [*torchrun, "-m", "benchmarks.proof.ranks", str(call), str(result)]
        subprocess.run(command, cwd=ROOT, env=os.environ | {"OMP_NUM_THREADS": "1"}, check=True)
        return pickle.loads(result.read_bytes())


def main() -> None:
    call, result = map(Path, sys.argv[1:])
    function, arguments = pickle.loads(call.read_bytes())
    with process_group() as rank:
        returned = function(*arguments)
    if rank == 0:
        result.write_bytes(pickle.dumps(returned))


if __name__ == "__main__":
    shell.run(main)
