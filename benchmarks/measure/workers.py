"""Starts workers, tells them what to do, and says how they ended if they did: what a trainer does costs its own row."""

import os
import re
import secrets
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from glob import glob
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from benchmarks.measure import machines, stopwatch
from benchmarks.measure.refusals import NotComparable, Wrong

ROOT = Path(__file__).parents[2]
Usage = tuple[float, int]  # CPU seconds, and how often a core had to be left that was still wanted
START_SECONDS = 120  # for a process to start and to import torch
HELLO_SECONDS = 5  # to say who it is
LOOK_AFTER, SAY_AFTER = 1, 10  # seconds of waiting, each time
LAST_LINE = 200  # characters
TORCHRUN_SECONDS = 5  # for torchrun to notice that a rank has ended, and to end the others
FIRST_ENDED = re.compile(  # as it reports this; a rank is numbered among all, and among those of its machine
    r"Root Cause \(first observed failure\):\n.*?rank +: (\d+) \(local_rank: (\d+)\)\n +exitcode +: (-?\d+)", re.DOTALL
)
HUSHED = "TORCHDYNAMO_SUPPRESS_ERRORS"  # lets torch.compile fail unseen, and its row be timed as if it were compiled
LONGEST_ADDRESS = 103  # bytes of a socket's path, the least that a system allows (macOS)
STIRRED_SECONDS, STIRRED = 0.002, 0.05  # what a side may compute while it should rest: so long, and of the other's time


class Workers:
    """All workers of a run. Use it as a context: at its end none is left, nor what they started.

    fresh: whether each is a new process that imports everything itself, in place of a fork of one that has. Forks
    start in a twentieth of the time, and are not to be had everywhere.  say: shows a line to who waits.
    """

    def __init__(self, fresh: bool = False, say: Callable[[str], None] | None = None) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="one-trainer-"))
        self.token = secrets.token_hex(16)
        self.token_file = self.folder / "token"
        self.token_file.write_text(self.token)
        self.say = say or (lambda line: None)
        self.socket, self.address = listening(self.folder)
        self.others = machines.Others() if machines.count() > 1 else None
        forks = hasattr(os, "fork") and not fresh
        self.server = self.launched("serve", start_new_session=True) if forks else None
        self.orders: Connection | None = None  # the connection to that process, which is still starting
        self.alive: list[Worker] = []
        self.ended: Usage = (0.0, 0)  # what those have used that are no more

    def __enter__(self) -> "Workers":
        return self

    def __exit__(self, *_: object) -> None:
        for worker in [*self.alive]:
            with suppress(Exception):  # one after the other, whatever has become of them
                worker.stop()
        if self.server:
            self.server.kill()
            self.server.wait()
        if self.others:
            self.others.dismiss()
        self.socket.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def start(self, name: str, ranks: int = 1) -> "Worker":
        """A Worker for the implementation of this name; nothing of it has run yet.

        ranks: more than one are processes that torchrun starts, and the first of them answers for all. Raises Wrong if
        it does not start, NotComparable if the process is gone that forks workers.
        """
        log = self.folder / f"{len(list(self.folder.glob('*.log')))}.log"
        log.touch()
        server = self.server
        if server and self.orders is None:  # before any worker: who comes unexpected is let go
            self.orders = from_server(lambda: self.accepted(server.pid, server.poll))
        if ranks > 1:
            return Ranks(self, name, ranks, log)
        if self.orders is None:
            with log.open("ab") as output:
                process = self.launched(stdout=output, stderr=output, start_new_session=True)
            worker = Worker(self, name, process.pid, None, log, process.wait)
            return worker.connected(process.poll)
        orders = self.orders
        pid = from_server(lambda: forked(orders, log))
        worker = Worker(self, name, pid, None, log, lambda: self.exit_status(orders, pid), is_child=False)
        return worker.connected()

    def launched(self, *role: str, through: Sequence[str] = (), **options: Any) -> subprocess.Popen:
        """The process of a new interpreter. through: the arguments of torchrun, which starts it there."""
        command = [sys.executable, *through, "-m", "benchmarks.measure.worker", self.address, *role]
        environment = environment_of_worker(*([machines.THREADS] if through else []))
        with self.token_file.open() as token:
            return subprocess.Popen(command, cwd=ROOT, stdin=token, env=environment, **options)

    def accepted(self, expected: int, has_ended: Callable[[], Any] = lambda: None) -> Connection:
        """The connection of the process with this number, which knows the token. Raises Wrong if it does not come.

        Raises EOFError when that process has ended.
        """
        end = time.monotonic() + START_SECONDS
        while time.monotonic() < end:
            self.socket.settimeout(LOOK_AFTER)
            with suppress(TimeoutError):
                line, _ = self.socket.accept()
                line.setblocking(True)
                connection = Connection(line.detach())
                with suppress(EOFError, OSError):
                    known = connection.poll(HELLO_SECONDS) and connection.recv_bytes(1000)
                    if known and secrets.compare_digest(known, f"{self.token} {expected}".encode()):
                        return connection
                connection.close()
            if has_ended() is not None:
                raise EOFError
        raise Wrong(f"its process has not started within {START_SECONDS} s")

    def exit_status(self, orders: Connection, pid: int) -> int:
        """How a forked process ended, as of `os.waitpid`, made an exit status: negative for a signal."""
        try:
            orders.send(("status", pid))
            return os.waitstatus_to_exitcode(orders.recv())
        except (EOFError, OSError):  # the server is no more, and with it all that it has forked
            return -signal.SIGKILL

    def usage(self) -> Usage:
        """The CPU seconds of all workers so far, and how often they had to leave a core that they still wanted.

        With those of the process that forks them. Without those of ended children of this process, which it counts.
        """
        server = (cpu_seconds_of(self.server.pid), 0) if self.server else (0.0, 0)
        return added(self.ended, server, *(worker.usage() for worker in self.alive))


class Worker:
    """One process, from the side of who gives orders."""

    processes = 1  # that wait while something else is timed, each of which may stir

    def __init__(
        self,
        workers: Workers,
        name: str,
        pid: int,
        connection: Connection | None,
        log: Path,
        wait: Callable[[], int],
        is_child: bool = True,
    ) -> None:
        """connection: None until there is one.  wait: returns the exit status of the process when that has ended.

        is_child: whether this process has started it.
        """
        self.workers, self.name, self.pid = workers, name, pid
        self.connection: Any = connection
        self.log, self.wait, self.is_child = log, wait, is_child
        self.status: int | None = None
        self.give(float("inf"))
        workers.alive.append(self)

    def connected(self, has_ended: Callable[[], Any] = lambda: None) -> "Worker":
        """Itself, once its process has come to be told what to do. Raises Wrong, and ends it, if that does not come."""
        try:
            self.connection = self.workers.accepted(self.pid, has_ended)
        except EOFError:
            raise Wrong(self.ending()) from None
        except BaseException:
            self.stop()
            raise
        return self

    def give(self, seconds: float) -> None:
        """From now on it has so many seconds for all that it is told to do."""
        self.limit, self.deadline = seconds, time.monotonic() + seconds

    @property
    def seconds_left(self) -> float:
        """Of those that it was given."""
        return self.deadline - time.monotonic()

    def do(self, order: str, *arguments: Any, what: str = "") -> Any:
        """What the worker answers to an order, see `work.Work`. Raises Wrong if it dies, hangs or cannot.

        what: that is being waited for.
        """
        what = what or order
        try:
            give_up_after(self.connection, self.seconds_left)
            self.connection.send((order, arguments))
            self.wait_for_answer(what)
            outcome, value = self.connection.recv()
        except BlockingIOError:
            raise self.not_done(what) from None
        except (EOFError, OSError):
            raise Wrong(self.ending()) from None
        except BaseException:  # its answer will come when nobody waits for it any more
            self.stop()
            raise
        if outcome == "done":
            return value
        raise Wrong(f"raised {value}" if outcome == "raised" else value)

    def wait_for_answer(self, what: str) -> None:
        """Returns when there is an answer. Raises Wrong when its time is over."""
        began = said = time.monotonic()
        while not self.connection.poll(max(0, min(LOOK_AFTER, self.seconds_left))):
            now = time.monotonic()
            if now >= self.deadline:
                raise self.not_done(what)
            if stopwatch.state(f"/proc/{self.pid}/stat") == "Z":
                raise EOFError  # it has ended, and a child of it keeps the connection open
            if now - said >= SAY_AFTER:
                said = now
                self.workers.say(f"waiting for {self.name}, {what}: {now - began:.0f} s")

    def not_done(self, what: str) -> Wrong:
        """Ends it, as its time is over: what to raise."""
        self.stop()
        return Wrong(f"not done after {self.limit:g} s, the limit of --timeout; it was at: {what}")

    def ending(self) -> str:
        """How a worker ended that is no more, in words: by a signal or with a status, and its last line."""
        return in_words(self.stop(), self.log)

    def stop(self) -> int:
        """Ends the process and all that it has started: its exit status, its own if it had ended by itself."""
        if self.status is not None:
            return self.status
        started = descendants(self.pid)
        uncounted = started if self.is_child else [self.pid, *started]  # the system counts ended children of this one
        self.workers.ended = added(self.workers.ended, (cpu_seconds_of_all(uncounted), switches_of(self.pid)))
        self.workers.alive.remove(self)
        kill(self.pid, started)
        if self.connection:
            self.connection.close()  # last: it would end by itself, and have a status of its own
        self.status = self.wait()
        return self.status

    def usage(self) -> Usage:
        """Its CPU seconds so far, and how often it had to leave a core that it still wanted."""
        return cpu_seconds_of_all([self.pid, *descendants(self.pid)]), switches_of(self.pid)

    def cpu_seconds(self) -> float:
        """That the process and those it has started have spent so far; 0 where the system does not tell."""
        return sum(map(cpu_seconds_of, [self.pid, *descendants(self.pid)]))

    def rest(self) -> None:
        """Returns when the process and those that it has started compute no more. Raises Wrong if they go on."""
        if not stopwatch.comes_to_rest(self.computing):
            raise Wrong(
                f"{self.who_computes()} of it still computes {stopwatch.PATIENCE:g} s after its run has ended, and "
                "would slow what is timed next: let it wait for work, or end it"
            )
        self.spent = self.cpu_seconds()

    def computing(self) -> list[int]:
        """The threads of the process, and of those that it has started, that compute now."""
        return [thread for pid in [self.pid, *descendants(self.pid)] for thread in stopwatch.computing_threads(pid)]

    def check_rested(self, seconds: float) -> None:
        """Raises Wrong if it has computed since it came to rest, while something else was timed for so many seconds."""
        spent = self.cpu_seconds() - self.spent
        if spent > self.processes * (STIRRED_SECONDS + STIRRED * seconds):
            raise Wrong(
                f"{self.who_computes()} of it computed for {spent * 1e3:.1f} ms while something else was timed for "
                f"{seconds * 1e3:.1f}: let it wait for work, or end it"
            )

    def who_computes(self) -> str:
        """A child or a thread, for people."""
        children = descendants(self.pid)
        return f"a child process ({', '.join(map(str, children))})" if children else "a thread"


class Ranks(Worker):
    """A worker of several processes: torchrun, and the ranks that it has started, from the side of who gives orders."""

    def __init__(self, workers: Workers, name: str, ranks: int, log: Path) -> None:
        """Starts it; ranks: so many."""
        self.logs = log.with_suffix("")  # a folder: torchrun's own words are in the log, the ranks' in here
        self.row = machines.Row(log.stem, name, ranks, machines.free_port() if workers.others else None)
        if workers.others:
            workers.others.tell("start", self.row)
        with log.open("ab") as output:
            self.process = workers.launched(
                *("rank", name),
                through=[*machines.torchrun(self.row), f"--log-dir={self.logs}", "--redirects=3"],
                **{"stdout": output, "stderr": output, "start_new_session": True},
            )
        super().__init__(workers, name, self.process.pid, None, log, self.process.wait)
        self.processes = 1 + ranks // machines.count()  # torchrun, and those that are here
        self.connected(self.process.poll)

    def stop(self) -> int:
        """Ends it, on the other machines too."""
        if self.status is None and self.workers.others:
            self.workers.others.tell("stop", self.row)
        return super().stop()

    def ending(self) -> str:
        """How it ended: torchrun notices what a rank ended of, ends the others and says which was the first.

        That one may have ended itself for what another did, and then says so.
        """
        from reference.ranks import GAVE_UP  # takes torch, which is not here yet when options are read

        with suppress(subprocess.TimeoutExpired):
            self.process.wait(TORCHRUN_SECONDS)
        status = self.stop()
        found = FIRST_ENDED.search(self.log.read_text(errors="replace"))
        if not found:
            return f"torchrun {in_words(status, self.log)}"
        rank, local_rank, ended = map(int, found.groups())  # a rank of this machine
        (log,) = self.logs.glob(f"*/attempt_0/{local_rank}/stderr.log")
        return last_line(log) if ended == GAVE_UP else f"rank {rank}: {in_words(ended, log)}"


def from_server(answer: Callable[[], Any]) -> Any:
    """What comes from the process that forks workers. Raises NotComparable if that is no more."""
    try:
        return answer()
    except (EOFError, OSError):
        raise NotComparable("the process that forks workers has ended; --spawn does without it") from None


def forked(orders: Connection, log: Path) -> int:
    """The number of a new fork, which writes to this log. Raises EOFError or OSError where nobody forks any more.

    Raises NotComparable where no process can be had.
    """
    orders.send(("fork", str(log)))
    pid = orders.recv()
    if isinstance(pid, str):
        raise NotComparable(f"no process can be forked for it: {pid}")
    return pid


def environment_of_worker(*defaults: tuple[str, str]) -> dict[str, str]:
    """The variables of a new worker: this process's own, and these where it has none of that name."""
    return dict(defaults) | {name: value for name, value in os.environ.items() if name != HUSHED}


def in_words(status: int, log: Path) -> str:
    """How a process ended, from its exit status, which is negative for a signal, and the end of its log's last line."""
    last = last_line(log)
    return how_it_ended(status) + (f"; the last that it wrote: {last[-LAST_LINE:]}" if last else "")


def last_line(log: Path) -> str:
    """The last line in a log that holds more than spaces; "" if there is none."""
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - LAST_LINE * 100))
        written = file.read().decode(errors="replace").split("\n")
    return next((line.strip() for line in reversed(written) if line.strip()), "")


def how_it_ended(status: int) -> str:
    """The same from the exit status alone."""
    return f"died of {signal_name(-status)}" if status < 0 else f"ended its process, status {status}"


def added(*usages: Usage) -> Usage:
    """The sums of what several have used."""
    seconds, switches = zip(*usages, strict=True)
    return sum(seconds), sum(switches)


def give_up_after(connection: Connection, seconds: float) -> None:
    """Lets what waits to send or to receive wait no longer, see socket(7); then it raises BlockingIOError.

    Only a process that has been stopped reads nothing; what is large does not fit between here and there.
    """
    if os.name != "posix":
        return
    whole, part = divmod(max(seconds, 0.001), 1) if seconds < float("inf") else (0, 0)  # zeros: as long as it takes
    limit = struct.pack("ll", int(whole), int(part * 1e6))
    with socket.socket(fileno=os.dup(connection.fileno())) as line:
        line.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, limit)
        line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, limit)


def signal_name(number: int) -> str:
    """Of a signal, or its number where it has none."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def listening(folder: Path) -> tuple[socket.socket, str]:
    """A socket that waits for workers, and its address: a path in the folder where that can be one, else a port."""
    address = str(folder / "workers")
    if hasattr(socket, "AF_UNIX") and len(os.fsencode(address)) <= LONGEST_ADDRESS:
        line = socket.socket(socket.AF_UNIX)
        line.bind(address)
    else:
        line = socket.create_server(("127.0.0.1", 0))
        address = str(line.getsockname()[1])
    line.listen()
    return line, address


def cpu_seconds_of(pid: int) -> float:
    """That a process has spent, all its threads together; 0 where it is gone or the system does not tell.

    The number of another process's CPU clock is that of clock_getcpuclockid(3) in the GNU C library for Linux.
    """
    if sys.platform != "linux":
        return 0.0
    try:
        return time.clock_gettime(~pid << 3 | 2)
    except OSError:
        return 0.0


def cpu_seconds_of_all(pids: list[int]) -> float:
    """That these processes have spent, and their children that have ended, to a hundredth; see proc_pid_stat(5)."""
    seconds = sum(map(cpu_seconds_of, pids))
    for pid in pids:
        with suppress(OSError):
            of_children = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[13:15]
            seconds += sum(map(int, of_children)) / os.sysconf("SC_CLK_TCK")
    return seconds


def switches_of(pid: int) -> int:
    """How often a process had to leave a core that it still wanted, by its main thread; 0 where /proc does not tell."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0
    return int(status.partition("nonvoluntary_ctxt_switches:")[2].partition("\n")[0] or 0)


def kill(pid: int, started: Sequence[int]) -> None:
    """Ends a process that leads a group, and those that it has started."""
    with suppress(OSError):
        os.killpg(pid, signal.SIGKILL)
    for other in (pid, *started):  # just forked, it leads no group yet
        with suppress(OSError):
            os.kill(other, signal.SIGKILL)


def descendants(pid: int) -> list[int]:
    """The numbers of the processes that a process has started, and these in turn; none where /proc does not tell."""
    found: list[int] = []
    for file in glob(f"/proc/{pid}/task/*/children"):
        with suppress(OSError):
            for child in map(int, Path(file).read_text().split()):
                found += [child, *descendants(child)]
    return found
