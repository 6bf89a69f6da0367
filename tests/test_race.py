"""The stopwatch and the race: order, rest, clock and device; and that mistakes in measuring would be noticed.

Every check below takes the module to check. It passes with the real one, and mutants of its source, each with one
mistake, must fail the check that is named beside them.
"""

import gc
import inspect
import random
from itertools import count
from pathlib import Path
from threading import Event, Thread
from time import process_time
from types import ModuleType, SimpleNamespace

import pytest
import torch

from benchmarks.measure import race, stopwatch
from benchmarks.measure.stopwatch import Time

SOURCES = {module: inspect.getsource(module) for module in (race, stopwatch)}


# --- the race -----------------------------------------------------------------------------------------------


def each_side_goes_first_equally_often(race):
    for pairs in (2, 8, 50, 200):
        order = race.balanced_order(pairs, random.Random(0))
        assert (order.count(True), order.count(False)) == (pairs // 2, pairs // 2)


def of_every_two_each_side_goes_first_in_one(race):
    order = race.balanced_order(50, random.Random(0))
    assert all(first != second for first, second in zip(order[::2], order[1::2], strict=True))


def the_order_is_shuffled(race):
    orders = [race.balanced_order(50, random.Random(seed)) for seed in (0, 0, 1)]
    assert orders[0] == orders[1] != orders[2]
    assert orders[0] not in ([True, False] * 25, [False, True] * 25)


class FakeSide:
    """A side that notes what is asked of it and takes so many seconds for each run."""

    def __init__(self, race, name, seconds, noted):
        self.race, self.name, self.seconds, self.noted = race, name, seconds, noted

    def train(self, task):
        self.noted.append((self.name, task))
        self.race.perf_counter.now += 2 * self.seconds  # with what is not timed
        return self.race.Turn(Time(self.seconds, self.seconds), f"answer of {self.name}")

    def rest(self):
        self.noted.append(f"{self.name} rests")

    def check_rested(self, seconds):
        self.noted.append(f"{self.name} has rested for {seconds}")


class Clock:
    """A clock that stands still, but for what sides take."""

    now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock(monkeypatch):
    """Puts such a clock in the place of the race's."""
    monkeypatch.setattr(race, "perf_counter", Clock())


class Fixture:
    """What `race` uses of pytest-benchmark's fixture; timed by the clock that the marker gives it."""

    def __init__(self, clock):
        self.clock = clock
        self.data = []

    def pedantic(self, function, setup, teardown, rounds, warmup_rounds=0):
        for _ in range(warmup_rounds):
            setup()
            function()
            teardown()
        for _ in range(rounds):
            setup()
            start = self.clock()
            function()
            self.data.append(self.clock() - start)
            teardown()


def raced(race, order, enough=lambda count: False):
    """The pairs of a race between 3 and 7 seconds, what was asked of the sides, and the times that were kept."""
    noted, fixture = [], Fixture(race.STOPWATCH)
    sides = FakeSide(race, "own", 3.0, noted), FakeSide(race, "baseline", 7.0, noted)
    race.perf_counter = Clock()
    return race.race(fixture, *sides, count(), order, enough), noted, fixture.data


def runs(noted):
    """Which side ran, and what it was given."""
    return [note for note in noted if isinstance(note, tuple)]


def sides_run_in_the_order_given_on_the_same_task(race):
    order = [True, False, False, True]
    pairs, noted, data = raced(race, order)
    expected = [("baseline", 0), ("own", 0), ("own", 1), ("baseline", 1), ("own", 2), ("baseline", 2)]
    assert runs(noted) == [*expected, ("baseline", 3), ("own", 3)]
    assert [pair.baseline_first for pair in pairs] == order
    assert [pair.task for pair in pairs] == [0, 1, 2, 3]
    assert [pair.own.time.seconds for pair in pairs] == data == [3.0] * 4
    assert [pair.baseline.time.seconds for pair in pairs] == [7.0] * 4
    assert {(pair.own.answer, pair.baseline.answer) for pair in pairs} == {("answer of own", "answer of baseline")}


def a_pair_runs_in_the_order_given(race):
    noted = []
    sides = FakeSide(race, "own", 3.0, noted), FakeSide(race, "baseline", 7.0, noted)
    race.perf_counter = Clock()
    for first in (True, False):
        pair = race.pair(*sides, "task", first)
        assert (pair.baseline_first, pair.own.time.seconds, pair.baseline.time.seconds) == (first, 3.0, 7.0)
    assert [name for name, _ in runs(noted)] == ["baseline", "own", "own", "baseline"]


def the_other_side_rests_before_and_meanwhile(race):
    _, noted, _ = raced(race, [False])
    assert noted == [
        *("baseline rests", ("own", 0), "baseline has rested for 6.0"),
        *("own rests", ("baseline", 0), "own has rested for 14.0"),
    ]


def a_race_ends_when_pairs_are_enough_and_balanced(race):
    for run in (lambda *given: raced(race, *given)[0], lambda *given: pairs_without_fixture(race, *given)):
        seen = []

        def enough(count, seen=seen):
            seen.append(count)
            return count >= 5

        assert len(run([True, False] * 5, enough)) == 6
        assert seen == [2, 4, 6]
        assert len(run([True, False] * 5, lambda count: False)) == 10


def pairs_without_fixture(race, order, enough):
    """The same without pytest-benchmark."""
    race.perf_counter = Clock()
    sides = FakeSide(race, "own", 3.0, []), FakeSide(race, "baseline", 7.0, [])
    return race.pairs(*sides, count(), order, enough)


# --- the stopwatch ------------------------------------------------------------------------------------------


class AsynchronousDevice:
    """A device with a clock of its own: work is queued at once and done only when somebody waits for it."""

    def __init__(self, stopwatch):
        self.now = self.queued = 0.0
        stopwatch.perf_counter = lambda: self.now
        torch.accelerator.synchronize = self.synchronize

    def launch(self, seconds):
        self.now += 0.001  # what queueing costs the caller
        self.queued += seconds

    def synchronize(self):
        self.now += self.queued
        self.queued = 0.0


@pytest.fixture
def no_device(monkeypatch):
    """Lets the checks below put a device of their own in the place of torch.accelerator's."""
    monkeypatch.setattr(torch.accelerator, "synchronize", None)
    monkeypatch.setattr(stopwatch, "perf_counter", stopwatch.perf_counter)


def work_still_under_way_before_is_not_counted(stopwatch):
    device = AsynchronousDevice(stopwatch)
    device.launch(5)
    time, _ = stopwatch.timed(lambda: device.launch(3), stopwatch.clock("cuda"))
    assert time.seconds == pytest.approx(3.001)


def work_still_under_way_after_is_counted(stopwatch):
    device = AsynchronousDevice(stopwatch)
    time, _ = stopwatch.timed(lambda: device.launch(3), stopwatch.clock("cuda"))
    assert time.seconds == pytest.approx(3.001)
    assert device.queued == 0


def a_planted_slowdown_is_a_share_of_the_time(stopwatch):
    ticks = count()
    now = SimpleNamespace(seconds=0.0)

    def clock():
        now.seconds += 0.001
        return now.seconds

    def train():
        now.seconds += 10
        return next(ticks)

    plain, slow = (stopwatch.timed(train, clock, slowdown)[0].seconds for slowdown in (0.0, 0.05))
    assert slow / plain == pytest.approx(1.05, abs=0.001)
    assert next(ticks) == 2


def only_the_call_itself_is_timed_and_its_result_returned(stopwatch):
    calls = []
    _, result = stopwatch.timed(lambda: calls.append(1) or "result", stopwatch.clock("cpu"))
    assert len(calls) == 1
    assert result == "result"


def the_garbage_collector_rests(stopwatch):
    seen = []
    for switch in (gc.enable, gc.disable):
        try:
            switch()
            stopwatch.timed(lambda: seen.append(gc.isenabled()), stopwatch.clock("cpu"))
            assert gc.isenabled() == (switch is gc.enable)
        finally:
            gc.enable()
    assert seen == [False, False]


def cpu_time_is_that_of_the_call(stopwatch):
    def compute():
        end = process_time() + 0.05
        while process_time() < end:
            pass

    compute()
    busy, idle = (stopwatch.timed(function, stopwatch.clock("cpu"))[0].cpu_seconds for function in (compute, bool))
    assert 0.5 > busy >= 0.05 > idle


def cpu_time_is_without_that_of_the_clocks(stopwatch):
    """As they are read around a run, more would be spent than there was time for. Each reading takes a second."""
    now = SimpleNamespace(seconds=0)

    def read():
        now.seconds += 1
        return now.seconds

    def compute():
        now.seconds += 20

    stopwatch.process_time = stopwatch.perf_counter = read
    time, _ = stopwatch.timed(compute, read)
    assert time.seconds == 21
    assert 18 < time.cpu_seconds <= 20


def who_computes_is_waited_for(stopwatch):
    """Somebody who computes for five looks and then rests; and somebody who goes on."""
    now = SimpleNamespace(seconds=0.0)

    def sleep(seconds):
        now.seconds += seconds

    stopwatch.perf_counter, stopwatch.sleep = lambda: now.seconds, sleep

    assert stopwatch.comes_to_rest(lambda: now.seconds < 4.5 * stopwatch.LOOK)
    assert now.seconds == pytest.approx(5 * stopwatch.LOOK)
    assert not stopwatch.comes_to_rest(lambda: True)
    assert 2 * stopwatch.PATIENCE > now.seconds >= stopwatch.PATIENCE


def a_thread_that_computes_is_seen(stopwatch):
    stop = Event()

    def spin():
        while not stop.is_set():
            pass

    thread = Thread(target=spin)
    before = stopwatch.computing_threads()
    thread.start()
    meanwhile = stopwatch.computing_threads()
    stop.set()
    thread.join()
    assert thread.native_id in meanwhile
    assert thread.native_id not in before


OF_THE_RACE = [
    each_side_goes_first_equally_often,
    of_every_two_each_side_goes_first_in_one,
    the_order_is_shuffled,
    sides_run_in_the_order_given_on_the_same_task,
    a_pair_runs_in_the_order_given,
    the_other_side_rests_before_and_meanwhile,
    a_race_ends_when_pairs_are_enough_and_balanced,
]
OF_THE_STOPWATCH = [
    work_still_under_way_before_is_not_counted,
    work_still_under_way_after_is_counted,
    a_planted_slowdown_is_a_share_of_the_time,
    only_the_call_itself_is_timed_and_its_result_returned,
    the_garbage_collector_rests,
    cpu_time_is_that_of_the_call,
]


@pytest.mark.usefixtures("clock")
@pytest.mark.parametrize("check", OF_THE_RACE, ids=lambda check: check.__name__)
def test_a_race_is_run_right(check):
    check(race)


@pytest.mark.usefixtures("no_device")
@pytest.mark.parametrize("check", OF_THE_STOPWATCH, ids=lambda check: check.__name__)
def test_time_is_taken_right(check):
    check(stopwatch)


def test_cpu_time_is_without_that_of_the_clocks():
    cpu_time_is_without_that_of_the_clocks(changed(stopwatch))


def test_who_computes_is_waited_for():
    who_computes_is_waited_for(changed(stopwatch))


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="needs Linux's /proc")
def test_a_thread_that_computes_is_seen():
    a_thread_that_computes_is_seen(stopwatch)


# --- mutants ------------------------------------------------------------------------------------------------

MUTANTS = {
    "order by chance, not balanced": (
        race,
        ("for first in (one, not one)]", "for first in (one, one)]"),
        each_side_goes_first_equally_often,
    ),
    "order not shuffled": (race, ("random.random() < 0.5", "True"), the_order_is_shuffled),
    "order balanced only in the end": (
        race,
        (
            "for one in firsts for first in (one, not one)]",
            "for one in (True, False) for first in [one] * (pairs // 2)]",
        ),
        of_every_two_each_side_goes_first_in_one,
    ),
    "baseline timed twice": (
        race,
        (
            "order[len(found)], mine, before or turn(baseline, own, task)))",
            "order[len(found)], mine, turn(baseline, own, task)))",
        ),
        sides_run_in_the_order_given_on_the_same_task,
    ),
    "baseline timed within the round": (
        race,
        (
            "        mine = turn(own, baseline, task)\n\n",
            "        mine = turn(own, baseline, task)\n        tear_down()\n\n",
        ),
        sides_run_in_the_order_given_on_the_same_task,
    ),
    "each side with a task of its own": (
        race,
        ("        mine = turn(own, baseline, task)\n\n", "        mine = turn(own, baseline, next(tasks))\n\n"),
        sides_run_in_the_order_given_on_the_same_task,
    ),
    "warm-up round": (
        race,
        ("rounds=len(order))", "rounds=len(order), warmup_rounds=1)"),
        sides_run_in_the_order_given_on_the_same_task,
    ),
    "the clock of the process in place of the worker's": (
        race,
        ("STOPWATCH.seconds += taken.time.seconds", "STOPWATCH.seconds += 1"),
        sides_run_in_the_order_given_on_the_same_task,
    ),
    "a pair always in one order": (
        race,
        ("if baseline_first else None", "if True else None"),
        a_pair_runs_in_the_order_given,
    ),
    "a race that ends unbalanced": (
        race,
        (
            "        if found and len(found) % 2 == 0 and enough(len(found)):\n            raise",
            "        if found and enough(len(found)):\n            raise",
        ),
        a_race_ends_when_pairs_are_enough_and_balanced,
    ),
    "pairs that end unbalanced": (
        race,
        (
            "        if found and len(found) % 2 == 0 and enough(len(found)):\n            break",
            "        if found and enough(len(found)):\n            break",
        ),
        a_race_ends_when_pairs_are_enough_and_balanced,
    ),
    "the other side not waited for": (race, ("other.rest()", "pass"), the_other_side_rests_before_and_meanwhile),
    "the other side not looked at": (
        race,
        ("other.check_rested(perf_counter() - begun)", "pass"),
        the_other_side_rests_before_and_meanwhile,
    ),
    "the other side looked at for timed seconds only": (
        race,
        ("other.check_rested(perf_counter() - begun)", "other.check_rested(taken.time.seconds)"),
        the_other_side_rests_before_and_meanwhile,
    ),
    "no synchronisation": (
        stopwatch,
        ("torch.accelerator.synchronize()", "pass"),
        work_still_under_way_after_is_counted,
    ),
    "no synchronisation before": (
        stopwatch,
        ("        start = clock()\n        result", "        start = perf_counter()\n        result"),
        work_still_under_way_before_is_not_counted,
    ),
    "no synchronisation after": (
        stopwatch,
        ("seconds = clock() - start", "seconds = perf_counter() - start"),
        work_still_under_way_after_is_counted,
    ),
    "warm-up counted": (
        stopwatch,
        ("        result = function()\n", "        result = function() and function()\n"),
        only_the_call_itself_is_timed_and_its_result_returned,
    ),
    "a slowdown that is not planted": (
        stopwatch,
        ("clock() + slowdown * (clock() - start)", "clock()"),
        a_planted_slowdown_is_a_share_of_the_time,
    ),
    "garbage collected while time is taken": (stopwatch, ("gc.disable()", "pass"), the_garbage_collector_rests),
    "garbage collector left off": (
        stopwatch,
        ("        if enabled:\n", "        if False:\n"),
        the_garbage_collector_rests,
    ),
    "CPU time of all the process's life": (
        stopwatch,
        ("process_time() - cpu_start", "process_time()"),
        cpu_time_is_that_of_the_call,
    ),
    "CPU time of the clocks counted": (
        stopwatch,
        ("cpu_seconds - reading", "cpu_seconds"),
        cpu_time_is_without_that_of_the_clocks,
    ),
    "threads not waited for": (
        stopwatch,
        ("    while computing():\n", "    while False:\n"),
        who_computes_is_waited_for,
    ),
}


def changed(module, old="", new=""):
    """The module with one edit in its source, loaded afresh."""
    assert not old or SOURCES[module].count(old) == 1
    mutant = ModuleType("mutant")
    exec(compile(SOURCES[module].replace(old, new) if old else SOURCES[module], "mutant", "exec"), vars(mutant))
    return mutant


@pytest.mark.usefixtures("no_device")
@pytest.mark.parametrize("mutant", MUTANTS)
def test_a_mistake_in_measuring_is_noticed(mutant):
    module, edit, check = MUTANTS[mutant]
    with pytest.raises((AssertionError, IndexError, RecursionError)):
        check(changed(module, *edit))


@pytest.mark.usefixtures("clock")
def test_a_race_with_the_real_fixture(benchmark):
    noted = []
    benchmark.disabled = False  # as it is where several processes share the tests
    benchmark._timer = race.STOPWATCH  # as its marker says in benchmarks/test_epoch.py
    sides = FakeSide(race, "own", 3.0, noted), FakeSide(race, "baseline", 7.0, noted)
    pairs = race.race(benchmark, *sides, count(), [True, False] * 7, lambda count: count == 4)
    benchmark.has_error = False
    assert [name for name, _ in runs(noted)] == ["baseline", "own", "own", "baseline"] * 2
    assert [pair.own.time.seconds for pair in pairs] == benchmark.stats.stats.data == [3.0] * 4
    assert pairs[0].begun <= pairs[1].begun
