"""One more machine for the benchmark: starts and stops the ranks that are to run here, as the first machine says.

    torchrun --nnodes 2 --node-rank 1 --master-addr FIRST --master-port 29500 -m benchmarks.machine

while on the first the same line, with --node-rank 0 and -m pytest benchmarks, runs the benchmark: docs/machines.md.
"""

import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.measure import machines
from benchmarks.measure.ranks import FOREVER, Line
from benchmarks.measure.workers import ROOT, descendants, in_words, kill


def serve(line: Line) -> None:
    """Starts and stops rows until there are no more."""
    running: dict[str, subprocess.Popen] = {}
    with tempfile.TemporaryDirectory(prefix="one-trainer-") as folder:
        try:
            while message := line.received(f"to machine {line.rank}", FOREVER):
                order, row = message
                log = Path(folder, f"{row.key}.log")
                if order == "start":
                    print(f"{row.name} in {row.ranks} processes", flush=True)
                    running[row.key] = started(row, log)
                else:
                    process = running.pop(row.key)
                    if status := process.poll():
                        print(f"{row.name} {in_words(status, log)}", flush=True)
                    end(process)
        finally:
            for process in running.values():
                end(process)


def started(row: machines.Row, log: Path) -> subprocess.Popen:
    """torchrun, which starts the ranks of this machine; all that they write goes to the log."""
    module = ["-m", "benchmarks.measure.worker", "nowhere", "rank", row.name]
    command = [sys.executable, *machines.torchrun(row), f"--log-dir={log.with_suffix('')}", *module]
    environment = {**dict([machines.THREADS]), **os.environ}
    with log.open("wb") as output:
        streams = {"stdin": subprocess.DEVNULL, "stdout": output, "stderr": output}
        return subprocess.Popen(command, cwd=ROOT, env=environment, start_new_session=True, **streams)


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
