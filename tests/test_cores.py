"""Both sides of a pair begin on the same core."""

import os
import sys
from contextlib import contextmanager, suppress
from queue import Queue
from random import Random
from threading import Event, Thread, get_native_id
from types import SimpleNamespace

import pytest
import torch

from benchmarks.measure import contest, cores, stopwatch
from benchmarks.measure.contest import Contest
from benchmarks.measure.ranks import Rank
from benchmarks.measure.slices import Task
from benchmarks.measure.work import Work
from reference.problem import Problem

on_linux = pytest.mark.skipif(sys.platform != "linux", reason="elsewhere no thread can be put on a core")


@pytest.fixture
def core():
    """The last of those that this process may use."""
    return max(os.sched_getaffinity(0))


@pytest.fixture
def sleeper():
    """The number of another thread of this process, which waits."""
    over = Event()
    thread = Thread(target=over.wait)
    thread.start()
    yield thread.native_id
    over.set()
    thread.join()


@pytest.fixture
def noting(monkeypatch):
    """Makes a context manager of cores, by its name, only note what it is given: a list."""

    def noting(name):
        noted = []

        @contextmanager
        def note(*given, **named):
            noted.append((*given, *named.values()))
            yield

        monkeypatch.setattr(cores, name, note)
        return noted

    return noting


def allowed(thread=0):
    return os.sched_getaffinity(thread)


@on_linux
def test_the_caller_is_on_a_core_while_it_is_kept_there(core):
    everywhere = allowed()
    for number in everywhere:
        with cores.kept_on(number, [0]):
            assert (cores.own(), allowed()) == (number, {number})
        assert allowed() == everywhere


@on_linux
def test_the_caller_goes_to_a_core_before_the_block_and_may_leave_it_in_the_block(core, noting, monkeypatch):
    noted = noting("kept_on")
    monkeypatch.setattr(cores, "get_native_id", lambda: 7)
    monkeypatch.setattr(cores, "other_threads", lambda: [8, 9])
    for with_all_threads, others in ((False, []), (True, [8, 9])):
        noted.clear()
        with cores.begun_on(core, with_all_threads):
            assert noted == [(core, [7]), (core, others)]


@on_linux
@pytest.mark.parametrize("with_all_threads", [False, True])
def test_the_other_threads_are_kept_on_it_where_one_works_at_a_time(with_all_threads, core, sleeper):
    everywhere = allowed()
    with suppress(ArithmeticError), cores.begun_on(core, with_all_threads):
        assert allowed() == everywhere
        assert allowed(sleeper) == ({core} if with_all_threads else everywhere)
        raise ArithmeticError
    assert allowed() == allowed(sleeper) == everywhere


@on_linux
def test_a_thread_that_another_has_started_meanwhile_may_run_anywhere_afterwards(core):
    go, over, numbers = Event(), Event(), Queue()

    def starter():
        go.wait()
        new = Thread(target=lambda: (numbers.put(get_native_id()), over.wait()))
        new.start()
        new.join()

    thread = Thread(target=starter)
    thread.start()
    try:
        with cores.begun_on(core, with_all_threads=True):
            go.set()
            new = numbers.get()
            assert allowed(new) == {core}
        assert allowed(new) == allowed()
    finally:
        go.set()
        over.set()
        thread.join()


@on_linux
def test_a_thread_that_has_ended_is_left_alone(core, sleeper):
    ended = Thread(target=int)
    ended.start()
    ended.join()
    with cores.kept_on(core, [ended.native_id, sleeper]):
        assert allowed(sleeper) == {core}


@on_linux
def test_a_thread_that_may_not_run_there_stays_where_it_may(core, sleeper):
    bound_to = {min(allowed())}
    os.sched_setaffinity(sleeper, bound_to)
    with cores.kept_on(core, [sleeper]):
        assert allowed(sleeper) == bound_to
    assert allowed(sleeper) == bound_to


def test_where_the_system_does_not_say_the_core_nothing_is_done(monkeypatch):
    monkeypatch.setattr(sys, "platform", "darwin")
    assert cores.own() is None
    monkeypatch.setattr(cores, "kept_on", None)
    with cores.begun_on(None, with_all_threads=True):
        pass


def test_both_sides_of_a_pair_are_told_the_core_of_the_process_that_tells_them(monkeypatch):
    monkeypatch.setattr(contest.cores, "own", lambda: 5)
    task = Contest.task(SimpleNamespace(shape=(3, 2)), Random(0), ())
    assert task.core == 5


@pytest.mark.parametrize(("cpu_seconds", "with_all_threads"), [(0.9, True), (1.2, True), (1.3, False), (2.0, False)])
def test_all_threads_begin_there_if_one_worked_at_a_time_in_the_run_before(
    cpu_seconds, with_all_threads, noting, monkeypatch
):
    noted = noting("begun_on")
    work = Work()
    work.device, work.clock, work.module = (
        "cpu",
        stopwatch.clock("cpu"),
        SimpleNamespace(train=lambda *given: given[2:4]),
    )
    work.problem = Problem(torch.rand(8, 3), torch.zeros(8, dtype=int), torch.zeros(3, 2), torch.zeros(2), 4, 0.5, 1)
    work.parts, work.inputs = {}, (work.problem.x, work.problem.y)
    work.begin(())
    task = Task((work.problem.weight.numpy(), work.problem.bias.numpy()), core=1)
    time = stopwatch.Time(1.0, cpu_seconds)
    monkeypatch.setattr(Work, "lap", lambda *given: (time, SimpleNamespace(complaint=None, result=task.start)))
    work.train(task)
    work.train(task)
    assert noted == [(1, False), (1, with_all_threads)]


def test_ranks_begin_wherever_the_system_puts_them(noting, monkeypatch):
    noted, woken = noting("begun_on"), []
    monkeypatch.setattr(Work, "wake", lambda self: woken.append(self))
    rank = Rank("ddp", line=None)
    rank.wake_on(1)
    assert woken == [rank]
    assert not noted
