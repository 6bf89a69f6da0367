"""The stopwatch: how one run is timed, on a CPU and on a GPU. The same for both sides of every pair."""

import gc
from collections.abc import Callable
from glob import glob
from os.path import exists
from threading import get_native_id
from time import perf_counter, process_time, sleep  # bound here: nobody can put another clock in its place
from typing import NamedTuple, TypeVar

PATIENCE = 1.0  # seconds in which threads that wait for work must go to sleep
LOOK = 0.001  # seconds between two looks
T = TypeVar("T")
GIVEN_UP = 0.2  # seconds after which threads spin no more, where they cannot be looked at


class Time(NamedTuple):
    """Of one run. seconds: on the clock.  cpu_seconds: of all threads of its process together.

    call_seconds: what of them a call pays once, whatever its number of steps; None where that is not known.
    """

    seconds: float
    cpu_seconds: float
    call_seconds: float | None = None


def clock(device: str) -> Callable[[], float]:
    """The clock of a device type: a function without arguments that returns seconds.

    On an accelerator it waits until that is idle before it reads the time. Read before and after a call, it
    counts neither work that was still under way nor stops before the call's own work has ended.
    """
    if device == "cpu":
        return perf_counter
    import torch

    def synchronised_seconds() -> float:
        torch.accelerator.synchronize()
        return perf_counter()

    return synchronised_seconds


def timed(function: Callable[[], T], clock: Callable[[], float], slowdown: float = 0.0) -> tuple[Time, T]:
    """The Time of one call and what it returned; the garbage collector is kept out of it.

    slowdown: compute on to no purpose for this share of the time it took.
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        begun = perf_counter()
        cpu_start = process_time()
        start = clock()
        result = function()
        if slowdown:
            end = clock() + slowdown * (clock() - start)
            while clock() < end:
                pass
        seconds = clock() - start
        ended = perf_counter()
        cpu_seconds = process_time() - cpu_start
        reading = start - begun + perf_counter() - ended  # spent on the clocks: beside a run of 20 us it is a tenth
        return Time(seconds, max(0.0, cpu_seconds - reading)), result
    finally:
        if enabled:
            gc.enable()


def comes_to_rest(computing: Callable[[], object]) -> bool:
    """Whether `computing()` becomes false within a second; waits for it.

    Threads of OpenMP and BLAS go on spinning for a while after their last work, ready for more; they would take a
    core from whatever is timed next.
    """
    end = perf_counter() + PATIENCE
    while computing():
        if perf_counter() > end:
            return False
        sleep(LOOK)
    return True


def computing_threads(process: int | str = "self") -> list[int]:
    """The numbers of the threads of a process, but for the caller's own, that are on a core or wait for one now.

    A CPU clock would not do: a thread that spins, but has to wait for a core, does not move it. Without Linux's /proc
    it is not known; then there are none, a fifth of a second later, when threads that spin have given up.
    """
    tasks = glob(f"/proc/{process}/task/*/stat")
    if not tasks:
        sleep(0 if exists("/proc/self/task") else GIVEN_UP)
    numbers = (int(task.split("/")[-2]) for task in tasks if state(task) == "R")
    return [number for number in numbers if number != get_native_id()]


def state(task: str) -> str:
    """The state of a thread by its file under /proc (proc_pid_stat(5)): "R" running, "S" sleeping; "" if it ended."""
    try:
        with open(task) as file:
            return file.read().rpartition(")")[2].split()[0]
    except OSError:
        return ""
