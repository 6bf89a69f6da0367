"""A worker: a process in which one implementation runs, and nothing else, when it is told to.

    python -m benchmarks.measure.worker ADDRESS [serve | rank NAME]

It connects to whoever listens at the address, says by the token that it is expected and which process it is, and then
carries out orders: pairs of a method of `Work` and its arguments, each answered before the next comes. The protocol
is multiprocessing.connection's, pickled tuples over a local socket, and does not care who started the process. The
token is the first line of its input: its arguments could be read by anybody on the machine.

With `serve` it trains nothing: it imports torch once and then forks workers, which are ready at once. With `rank` it is
one of several processes that torchrun has started for the implementation of this name, see `ranks`.
"""

import ctypes
import importlib
import os
import shutil
import signal
import socket
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, NoReturn

from benchmarks.measure.work import Reply, Work, carried_out

MOST_WRITTEN = 2**30  # bytes in one file: a trainer that prints without end must not fill the disk
# Options of prctl(2): processes whose parent has ended are given to this one, and seen; to end with the parent.
SUBREAPER, END_WITH_PARENT = 36, 1


def connected(address: str, token: str, process: int) -> Connection:
    """A connection to whoever listens there: a path, or a port of this machine where paths are no addresses.

    process: the number of the one that is expected there.
    """
    if not address.isdigit():
        line = socket.socket(socket.AF_UNIX)
        line.connect(address)
    else:
        line = socket.create_connection(("127.0.0.1", int(address)))
    connection = Connection(line.detach())
    connection.send_bytes(f"{token} {process}".encode())
    return connection


def work(connection: Connection, reply_to: Callable[[str, Sequence[Any]], Reply]) -> None:
    """Carries out orders until nobody gives any."""
    while True:
        try:
            order, arguments = connection.recv()
        except (EOFError, OSError):
            return
        connection.send(reply_to(order, arguments))


def serve(connection: Connection, address: str, token: str) -> None:
    """Forks a worker whenever it is told where that one shall write, and says how one ended, until nobody asks.

    Where it cannot fork it says why, in place of a number.
    """
    importlib.import_module("torch._dynamo")  # torch does so at the first step of an optimizer, which takes a second
    alive = set()
    while True:
        try:
            order, argument = connection.recv()
        except (EOFError, OSError):
            break
        if order == "fork":
            try:
                pid = os.fork()
            except OSError as error:  # too many processes, or too little memory
                connection.send(error.strerror)
                continue
            if pid == 0:
                connection.close()
                begin_session(argument)
                work(connected(address, token, os.getpid()), partial(carried_out, Work()))
                os._exit(0)
            alive.add(pid)
            connection.send(pid)
        else:
            alive.discard(argument)
            connection.send(os.waitpid(argument, 0)[1])
    for pid in alive:  # nobody is left to stop them, and to clean up
        os.killpg(pid, signal.SIGKILL)
    if not address.isdigit():
        shutil.rmtree(Path(address).parent, ignore_errors=True)


def train_among_ranks(address: str, name: str) -> NoReturn:
    """Carries out orders as one of several ranks. The first of them is given the orders, in torchrun's name."""
    from benchmarks.measure import ranks

    restrict_itself()
    set_option(END_WITH_PARENT, signal.SIGKILL)
    line = ranks.Line()
    if line.rank > 0:
        ranks.follow(ranks.Rank(name, line), line)
    else:
        connection = connected(address, sys.stdin.readline().strip(), os.getppid())
        first = ranks.First(ranks.Rank(name, line), line)
        work(connection, first.reply_to)
        first.dismiss()
    os._exit(0)


def begin_session(log: str) -> None:
    """Leaves the starter's session, so that a signal to it is none to this process; output goes to the log."""
    os.setsid()
    restrict_itself()
    output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.dup2(output, 1)
    os.dup2(output, 2)
    os.close(nothing)
    os.close(output)


def restrict_itself() -> None:
    """Limits what a worker may write to one file, and keeps what it starts where it is seen."""
    set_option(SUBREAPER, 1)
    with suppress(ImportError):
        import resource

        resource.setrlimit(resource.RLIMIT_FSIZE, (MOST_WRITTEN, MOST_WRITTEN))


def set_option(option: int, value: int) -> None:
    """Sets an option of prctl(2) on Linux; elsewhere there are none."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(option, value, 0, 0, 0)


def main() -> None:
    address, *role = sys.argv[1:]
    if role[:1] == ["rank"]:
        train_among_ranks(address, *role[1:])
    token = sys.stdin.readline().strip()
    connection = connected(address, token, os.getpid())
    if role == ["serve"]:
        serve(connection, address, token)
    else:
        restrict_itself()
        set_option(END_WITH_PARENT, signal.SIGKILL)
        work(connection, partial(carried_out, Work()))
        os._exit(0)  # what a trainer left behind is nobody's business any more


if __name__ == "__main__":
    main()
