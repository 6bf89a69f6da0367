"""A function called on several ranks: the same processes for all that is asked of it, as torchrun starts slowly."""

import os
import pickle
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from benchmarks.measure.workers import ROOT, how_it_ended
from reference import shell
from reference.equivalence import described
from reference.ranks import process_group

RAISED = 99  # the status of a rank that has said what
ENDED = re.compile(r"rank +: (\d+) \(local_rank: \d+\)\n +exitcode +: (-?\d+)")


class RankError(Exception):
    """A rank has raised, or ended; the message is one line, and names it."""


def on_ranks(count: int, function: Callable[..., Any], *arguments: Any) -> Any:
    """What a function of a module returns on the first of so many ranks, each a process of one thread that calls it.

    Raises RankError if it raises on any of them.
    """
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={count}"]
    with tempfile.TemporaryDirectory() as folder:
        call, result, raised = (Path(folder, name) for name in ("call", "result", "raised"))
        call.write_bytes(pickle.dumps((function, arguments)))
        command = [*torchrun, "-m", "benchmarks.proof.ranks", str(call), str(result), str(raised)]
        environment = os.environ | {"OMP_NUM_THREADS": "1"}
        process = subprocess.run(
            command, cwd=ROOT, env=environment, stderr=subprocess.PIPE, text=True, errors="replace"
        )
        if process.returncode:
            raise RankError(fault(process, raised))
        return pickle.loads(result.read_bytes())


def fault(process: subprocess.CompletedProcess, raised: Path) -> str:
    """Which rank has ended by itself, by torchrun's report, or else which was the first to say what it raised."""
    for rank, status in ENDED.findall(process.stderr):
        if int(status) not in (RAISED, -signal.SIGTERM):  # by which torchrun ends the others
            return f"rank {rank}: {how_it_ended(int(status))}"
    return raised.read_text(encoding="utf-8") if raised.exists() else f"torchrun {how_it_ended(process.returncode)}"


def main() -> None:
    call, result, raised = map(Path, sys.argv[1:])
    function, arguments = pickle.loads(call.read_bytes())
    with process_group() as rank:
        try:
            returned = function(*arguments)
        except Exception as error:
            with suppress(FileExistsError), raised.open("x", encoding="utf-8") as file:  # the others only lost this one
                file.write(f"rank {rank}: raised {described(error)}")
            os._exit(RAISED)
    if rank == 0:
        result.write_bytes(pickle.dumps(returned))
    print(end="", flush=True)
    os._exit(0)  # gloo's threads may still be there, and would abort the process at its end


if __name__ == "__main__":
    shell.run(main)
