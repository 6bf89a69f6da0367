"""Machines: where rows of several ranks run, on this one, or on several that torchrun has started a process on each.

Then the first process is the benchmark's, and tells the others which rows to start and to stop: `benchmarks.machine`.
"""

import os
import socket
from contextlib import suppress
from typing import Any, NamedTuple

CONNECT_SECONDS = 20  # for the other machines
THREADS = ("OMP_NUM_THREADS", str(os.cpu_count()))  # else torchrun sets one; how many it shall be ranks are told later


class Row(NamedTuple):
    """A worker of several ranks. key: tells it from others.  port: of the first machine; None on a single one."""

    key: str
    name: str
    ranks: int
    port: int | None


def count() -> int:
    """How many machines torchrun has started this process and its like on; 1 without it."""
    return int(os.environ.get("GROUP_WORLD_SIZE", 1))


def started_by_torchrun() -> bool:
    """Whether torchrun has started this process, on however many machines."""
    return "TORCHELASTIC_RUN_ID" in os.environ


def count_here() -> int:
    """How many processes like this torchrun has started on this machine; 1 without it."""
    return int(os.environ.get("LOCAL_WORLD_SIZE", 1))


def cores() -> int:
    """How many of this machine this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def torchrun(row: Row) -> list[str]:
    """Python's arguments that start the ranks of a row that are on this machine."""
    command = ["-m", "torch.distributed.run", f"--nproc-per-node={row.ranks // count()}"]
    if row.port is None:
        return [*command, "--standalone"]
    return [
        *command,
        f"--nnodes={count()}",
        f"--node-rank={os.environ['GROUP_RANK']}",
        f"--master-addr={os.environ['MASTER_ADDR']}",
        f"--master-port={row.port}",
        f"--rdzv-conf=timeout={CONNECT_SECONDS}",
    ]


def free_port() -> int:
    """The number of one that nobody listens at now."""
    with socket.create_server(("", 0)) as found:
        return found.getsockname()[1]


class Others:
    """The other machines, from the side of the first."""

    def __init__(self) -> None:
        from benchmarks.measure.ranks import Line  # takes torch, which is not here yet when options are read

        self.line = Line()

    def tell(self, order: str, *arguments: Any) -> None:
        """Has each of them do what a method of `benchmarks.machine.Machine` says."""
        self.send((order, *arguments))

    def dismiss(self) -> None:
        """Lets them end."""
        with suppress(Exception):  # who is no more need not be told
            self.send(None)

    def send(self, message: Any) -> None:
        """Sends each of them a message."""
        for machine in range(1, count()):
            self.line.send(f"to machine {machine}", message)
