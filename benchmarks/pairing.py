"""Pairs: the implementation and its baseline, back to back, in balanced random order.

A shared machine drifts: it is faster for a while, then slower. Two runs back to back meet the same machine, so
their ratio keeps what belongs to the code. Which of the two goes first is shuffled, each exactly as often, so
that neither profits from its place.
"""

import gc
import random
from glob import glob
from os.path import exists
from threading import get_native_id
from time import perf_counter, sleep  # bound here: nobody can put another clock in its place


def clock(device):
    """The clock of a device type: a function without arguments that returns seconds.

    On "cuda" it waits until the device is idle before it reads the time. Read before and after a call, it
    counts neither work that was still under way nor stops before the call's own work has ended.
    """
    if device == "cpu":
        return perf_counter
    import torch

    def synchronised_seconds():
        torch.cuda.synchronize()
        return perf_counter()

    return synchronised_seconds


def balanced_order(pairs, seed):
    """For each pair whether the baseline goes first: shuffled, half of them exactly. `pairs` is even."""
    order = [True, False] * (pairs // 2)
    random.Random(seed).shuffle(order)
    return order


def wait_for_idle_threads():
    """Returns when no other thread of this process is computing, at the latest after a fifth of a second.

    Threads of OpenMP and BLAS go on spinning for a while after their last work, ready for more; they would take a
    core from whatever is timed next.
    """
    for _ in range(200):
        if not other_threads_running():
            return
        sleep(0.001)


def other_threads_running():
    """Whether another thread of this process is on a core now; without Linux's /proc that is not known: True.

    The process's CPU clock would not do: it learns of other cores' work only every few milliseconds.
    """
    own = str(get_native_id())
    tasks = [task for task in glob("/proc/self/task/*/stat") if task.split("/")[-2] != own]
    if not tasks and not exists("/proc/self/task"):
        return True
    return any(state(task) == "R" for task in tasks)


def state(task):
    """The state of a thread by its file under /proc (proc_pid_stat(5)): "R" running, "S" sleeping; "" if it ended."""
    try:
        with open(task) as file:
            return file.read().rpartition(")")[2].split()[0]
    except OSError:
        return ""


def seconds(function, clock):
    """How long one call takes from an idle process on, with the garbage collector kept out of it."""
    wait_for_idle_threads()
    enabled = gc.isenabled()
    gc.disable()
    try:
        start = clock()
        function()
        return clock() - start
    finally:
        if enabled:
            gc.enable()


def race(benchmark, function, baseline, order, clock):
    """Times `function` with pytest-benchmark's fixture and `baseline` beside it, once per entry of `order`.

    Returns the seconds of both, two lists in the order of the pairs. The fixture must have been given the same
    clock, and disable_gc, by its marker.
    """
    places = iter(order)
    baseline_first = False
    baseline_seconds = []

    def before():
        nonlocal baseline_first
        baseline_first = next(places)
        if baseline_first:
            baseline_seconds.append(seconds(baseline, clock))
        wait_for_idle_threads()

    def after():
        if not baseline_first:
            baseline_seconds.append(seconds(baseline, clock))

    benchmark.pedantic(function, setup=before, teardown=after, rounds=len(order))
    return list(benchmark.stats.stats.data), baseline_seconds
