"""One more machine for the benchmark: starts and stops the ranks that are to run here, as the first machine says.

    torchrun --nnodes 2 --node-rank 1 --master-addr FIRST --master-port 29500 -m benchmarks.machine

while on the first the same line, with --node-rank 0 and -m pytest benchmarks, runs the benchmark: docs/machines.md.
"""

import os
import signal
import subprocess
import sys

from benchmarks.measure import machines
from benchmarks.measure.ranks import FOREVER, Line
from benchmarks.measure.workers import ROOT, descendants, kill


def serve(line: Line) -> None:
    """Starts and stops rows until there are no more."""
    running: dict[str, subprocess.Popen] = {}
    try:
        while message := line.received(f"to machine {line.rank}", FOREVER):
            order, row = message
            if order == "start":
                print(f"{row.name}: {row.ranks} ranks", flush=True)
                running[row.key] = started(row)
            else:
                end(running.pop(row.key))
    finally:
        for process in running.values():
            end(process)


def started(row: machines.Row) -> subprocess.Popen:
    """torchrun, which starts the ranks of this machine."""
    command = [sys.executable, *machines.torchrun(row), "-m", "benchmarks.measure.worker", "nowhere", "rank", row.name]
    environment = dict([machines.THREADS]) | os.environ
    return subprocess.Popen(command, cwd=ROOT, env=environment, stdin=subprocess.DEVNULL, start_new_session=True)


def end(process: subprocess.Popen) -> None:
    """Ends it, and all that it has started."""
    kill(process.pid, descendants(process.pid))
    process.wait()


def main() -> None:
    if machines.count() == 1:
        sys.exit("error: torchrun starts this on the second machine and further ones; see docs/machines.md")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # of torchrun, when another machine is lost
    serve(Line())


if __name__ == "__main__":
    main()
