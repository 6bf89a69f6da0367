"""One more machine for the benchmark: starts and stops the ranks that are to run here, as the first machine says.

    torchrun --nnodes 2 --node-rank 1 --master-addr FIRST --master-port 29500 -m benchmarks.machine

while on the first the same line, with --node-rank 0 and -m pytest benchmarks, runs the benchmark: docs/machines.md.
"""

import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.measure import machines
from benchmarks.measure.ranks import Line
from benchmarks.measure.worker import END_WITH_PARENT, set_option
from benchmarks.measure.workers import ROOT, descendants, environment_of_worker, in_words, kill
from reference import shell


class Machine:
    """What the first machine can have done on this one. Use it as a context: at its end nothing of it is left."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="one-trainer-"))
        self.running: dict[str, subprocess.Popen] = {}  # torchruns, by the keys of their rows
        self.folders = {self.folder}

    def __enter__(self) -> "Machine":
        return self

    def __exit__(self, *_: object) -> None:
        for process in self.running.values():
            end(process)
        for folder in self.folders:
            shutil.rmtree(folder, ignore_errors=True)

    def put(self, path: Path, content: bytes) -> None:
        """Writes a file where the first machine has it, in a folder of a run, unless both see the same disk."""
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            self.folders.add(path.parent)
            path.write_bytes(content)

    def start(self, row: machines.Row) -> None:
        """Starts the ranks of a row that are to be here. What they write goes to a log."""
        print(f"{row.name} in {row.ranks} processes", flush=True)
        log = self.log(row)
        module = ["-m", "benchmarks.measure.worker", "nowhere", "rank", row.name]
        command = [sys.executable, *machines.torchrun(row), f"--log-dir={log.with_suffix('')}", *module]
        environment = environment_of_worker(machines.THREADS)
        with log.open("wb") as output:
            streams: Any = {"stdin": subprocess.DEVNULL, "stdout": output, "stderr": output}
            process = subprocess.Popen(command, cwd=ROOT, env=environment, start_new_session=True, **streams)
        self.running[row.key] = process

    def stop(self, row: machines.Row) -> None:
        """Ends them; says how, if they have ended by themselves."""
        process = self.running.pop(row.key)
        if status := process.poll():
            print(f"{row.name} {in_words(status, self.log(row))}", flush=True)
        end(process)

    def log(self, row: machines.Row) -> Path:
        """What the ranks of a row write."""
        return self.folder / f"{row.key}.log"


def end(process: subprocess.Popen) -> None:
    """Ends it, and all that it has started."""
    kill(process.pid, descendants(process.pid))
    process.wait()


def main() -> None:
    if machines.count() == 1:
        sys.exit("error: torchrun starts this on the second machine and further ones; see docs/machines.md")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # of torchrun, when another machine is lost
    set_option(END_WITH_PARENT, signal.SIGTERM)
    line = Line()
    with Machine() as machine:
        while message := line.awaited(f"to machine {line.rank}"):
            order, *arguments = message
            getattr(machine, order)(*arguments)


if __name__ == "__main__":
    shell.run(main)
