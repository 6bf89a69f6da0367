"""Cores: both sides of a pair begin on the same one, so that what slows a core slows both.

The cores of a machine are not equally fast: one may share its hardware with somebody else's machine for a while. A
thread stays on its core for seconds. So a side could lose all pairs of a row because of the core that it is on.
"""

import ctypes
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from glob import glob
from threading import get_native_id

ONE = 1.2  # cores at most that a process keeps busy if no two of its threads work at the same time


def own() -> int | None:
    """The number of the core that the caller runs on; None where the system does not say."""
    if sys.platform != "linux":
        return None
    core: int = ctypes.CDLL(None).sched_getcpu()
    return core if core >= 0 else None


@contextmanager
def begun_on(core: int | None, with_all_threads: bool) -> Iterator[None]:
    """The caller goes to a core, and after the block wherever the system puts it; None: nothing is done.

    with_all_threads: the other threads of its process stay on that core in the block, but for those that the caller
    starts in it: a new thread may run where the one may that starts it.
    """
    if core is None:
        yield
        return
    with kept_on(core, [get_native_id()]):
        pass  # it is there now
    threads = other_threads() if with_all_threads else []
    try:
        with kept_on(core, threads):
            yield
    finally:
        if threads:  # one of them may have started others
            release(core, [thread for thread in other_threads() if thread not in threads])


def release(core: int, threads: list[int]) -> None:
    """Lets those of these threads that may run on this core alone run wherever the caller may."""
    for thread in threads:
        with suppress(OSError):
            if os.sched_getaffinity(thread) == {core}:
                os.sched_setaffinity(thread, os.sched_getaffinity(0))


@contextmanager
def kept_on(core: int, threads: list[int]) -> Iterator[None]:
    """In the block these threads run on this core alone, but for those that have ended or may not run there."""
    allowed: dict[int, set[int]] = {}
    for thread in threads:
        with suppress(OSError):
            before = os.sched_getaffinity(thread)
            os.sched_setaffinity(thread, {core} & before or before)
            allowed[thread] = before
    try:
        yield
    finally:
        for thread, before in allowed.items():
            with suppress(OSError):
                os.sched_setaffinity(thread, before)


def other_threads() -> list[int]:
    """The numbers of this process's threads but for the caller's own."""
    numbers = (int(os.path.basename(task)) for task in glob("/proc/self/task/*"))
    return [number for number in numbers if number != get_native_id()]
