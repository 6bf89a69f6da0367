"""Pairs: the implementation and its baseline, back to back, in balanced random order.

A shared machine drifts: it is faster for a while, then slower. Two runs back to back meet the same machine, so
their ratio keeps what belongs to the code. Which of the two goes first is shuffled, each exactly as often, so
that neither profits from its place.
"""

import gc
from contextlib import suppress
from glob import glob
from os.path import exists
from threading import get_native_id
from time import perf_counter, process_time, sleep, time  # bound here: nobody can put another clock in its place
from typing import NamedTuple


class Time(NamedTuple):
    """Of one run. seconds: on the clock.  cpu_seconds: of all threads of this process together."""

    seconds: float
    cpu_seconds: float


class Pair(NamedTuple):
    """One run of each side. start: in seconds since 1970.  baseline_first: whether the baseline ran before."""

    start: float
    baseline_first: bool
    own: Time
    baseline: Time


class Enough(Exception):
    """Ends a race between two rounds."""


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


def balanced_order(pairs, random):
    """For each pair whether the baseline goes first: shuffled, half of them exactly. `pairs` is even."""
    order = [True, False] * (pairs // 2)
    random.shuffle(order)
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


def timed(function, clock, after=bool):
    """The Time of one call from an idle process on, with the garbage collector kept out of it; `after()` follows it."""
    wait_for_idle_threads()
    enabled = gc.isenabled()
    gc.disable()
    try:
        cpu_start = process_time()
        start = clock()
        function()
        seconds = clock() - start
        found = Time(seconds, process_time() - cpu_start)
    finally:
        if enabled:
            gc.enable()
    after()
    return found


def pair(function, baseline, baseline_first, clock, after=bool):
    """The Pair of one call each, in the order given. `after()` is called at once when each has ended, untimed."""
    start = time()
    before = timed(baseline, clock, after) if baseline_first else None
    own = timed(function, clock, after)
    return Pair(start, baseline_first, own, before or timed(baseline, clock, after))


def race(benchmark, function, baseline, looks, enough, clock, after=bool):
    """Times `function` with pytest-benchmark's fixture and `baseline` beside it; returns the Pairs.

    looks: lists of orders, as of `balanced_order`. After each, `enough(pairs)` decides whether the race ends.
    `after()` is called at once when a run of either side has ended, untimed.
    The fixture must have been given the same clock, and disable_gc, by its marker.
    """
    order = [place for look in looks for place in look]
    ends = {sum(map(len, looks[: count + 1])) for count in range(len(looks))}
    pairs = []
    start = cpu_start = before = None

    def set_up():
        nonlocal start, cpu_start, before
        if len(pairs) in ends and enough(pairs):
            raise Enough
        start = time()
        before = timed(baseline, clock, after) if order[len(pairs)] else None
        wait_for_idle_threads()
        cpu_start = process_time()

    def tear_down():
        own = Time(benchmark.stats.stats.data[-1], process_time() - cpu_start)
        after()
        pairs.append(Pair(start, order[len(pairs)], own, before or timed(baseline, clock, after)))

    with suppress(Enough):
        benchmark.pedantic(function, setup=set_up, teardown=tear_down, rounds=len(order))
    return pairs
