"""Pairs: order, clock and device synchronisation; and that mistakes in measuring them would be noticed.

Every check below takes the module to check. It passes with the real one, and mutants of its source, each with one
mistake, must fail the check that is named beside them.
"""

import gc
import inspect
import random
from itertools import count
from threading import Event, Thread
from time import process_time
from types import ModuleType

import pytest
import torch

from benchmarks.measure import race

SOURCE = inspect.getsource(race)


# --- checks -------------------------------------------------------------------------------------------------


def each_side_goes_first_equally_often(race):
    for pairs in (2, 8, 50, 200):
        order = race.balanced_order(pairs, random.Random(0))
        assert (order.count(True), order.count(False)) == (pairs // 2, pairs // 2)


def the_order_is_shuffled(race):
    orders = [race.balanced_order(50, random.Random(seed)) for seed in (0, 0, 1)]
    assert orders[0] == orders[1] != orders[2]
    assert orders[0] not in ([True, False] * 25, [False, True] * 25, sorted(orders[0]))


class AsynchronousDevice:
    """A device with a clock of its own: work is queued at once and done only when somebody waits for it."""

    def __init__(self, race):
        self.now = self.queued = 0.0
        race.perf_counter = lambda: self.now

    def launch(self, seconds):
        self.now += 0.001  # what queueing costs the caller
        self.queued += seconds

    def synchronize(self):
        self.now += self.queued
        self.queued = 0.0


@pytest.fixture
def no_device(monkeypatch):
    """Lets the checks below put a device of their own in the place of torch.cuda's."""
    monkeypatch.setattr(torch.cuda, "synchronize", None)
    monkeypatch.setattr(race, "perf_counter", race.perf_counter)


def asynchronous(race):
    device = AsynchronousDevice(race)
    torch.cuda.synchronize = device.synchronize
    return device


def work_still_under_way_before_is_not_counted(race):
    device = asynchronous(race)
    device.launch(5)
    assert race.timed(lambda: device.launch(3), race.clock("cuda")).seconds == pytest.approx(3.001)


def work_still_under_way_after_is_counted(race):
    device = asynchronous(race)
    assert race.timed(lambda: device.launch(3), race.clock("cuda")).seconds == pytest.approx(3.001)
    assert device.queued == 0


def a_race_on_a_device_gives_each_side_its_own_work(race):
    device = asynchronous(race)
    clock = race.clock("cuda")
    for order in ([True] * 4, [False] * 4):
        pairs = raced(race, lambda: device.launch(3), lambda: device.launch(7), [order], clock=clock)
        assert [pair.own.seconds for pair in pairs] == pytest.approx([3.001] * 4)
        assert [pair.baseline.seconds for pair in pairs] == pytest.approx([7.001] * 4)


class Fixture:
    """What `race` uses of pytest-benchmark's fixture; timed by the clock it was given."""

    def __init__(self, clock):
        self.clock = clock
        self.stats = type("Metadata", (), {"stats": self})
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


def raced(race, own, baseline, looks, clock=None, enough=lambda pairs: False):
    clock = clock or race.clock("cpu")
    return race.race(Fixture(clock), own, baseline, looks, enough, clock)


def sides_run_in_the_order_given(race):
    ran = []
    order = [True, False, False, True]
    ticks = count()
    pairs = raced(race, lambda: ran.append("own"), lambda: ran.append("baseline"), [order], clock=lambda: next(ticks))
    assert ran == ["baseline", "own", "own", "baseline", "own", "baseline", "baseline", "own"]
    assert [pair.baseline_first for pair in pairs] == order
    assert [pair.own.seconds for pair in pairs] == [pair.baseline.seconds for pair in pairs] == [1] * 4


def a_pair_runs_in_the_order_given(race):
    ran = []
    ticks = count()
    for first in (True, False):
        pair = race.pair(lambda: ran.append("own"), lambda: ran.append("baseline"), first, lambda: next(ticks))
        assert (pair.baseline_first, pair.own.seconds, pair.baseline.seconds) == (first, 1, 1)
    assert ran == ["baseline", "own", "own", "baseline"]


def a_race_ends_after_the_look_that_is_enough(race):
    seen = []

    def enough(pairs):
        seen.append(len(pairs))
        return len(pairs) >= 6

    looks = [[True, False], [False, True, True, False], [True, False] * 4]
    assert len(raced(race, bool, bool, looks, enough=enough)) == 6
    assert seen == [2, 6]


def only_the_call_itself_is_timed(race):
    calls = []
    race.timed(lambda: calls.append(1), race.clock("cpu"))
    assert len(calls) == 1


def the_garbage_collector_rests(race):
    seen = []
    for switch in (gc.enable, gc.disable):
        try:
            switch()
            race.timed(lambda: seen.append(gc.isenabled()), race.clock("cpu"))
            assert gc.isenabled() == (switch is gc.enable)
        finally:
            gc.enable()
    assert seen == [False, False]


def each_run_is_followed_by_what_comes_after_it(race):
    ran = []
    sides = lambda: ran.append("own"), lambda: ran.append("baseline")
    after = lambda: ran.append("after")  # noqa: E731
    expected = ["baseline", "after", "own", "after", "own", "after", "baseline", "after"]
    ticks = count()
    race.race(Fixture(lambda: next(ticks)), *sides, [[True, False]], None, lambda: next(ticks), after)
    assert ran == expected
    ran.clear()
    for first in (True, False):
        race.pair(*sides, first, lambda: next(ticks), after)
    assert ran == expected


def what_comes_after_is_not_timed(race):
    device = asynchronous(race)
    clock = race.clock("cuda")
    assert race.timed(lambda: device.launch(3), clock, lambda: device.launch(9)).seconds == pytest.approx(3.001)


def cpu_time_is_that_of_the_call(race):
    def compute():
        end = process_time() + 0.05
        while process_time() < end:
            pass

    pairs = raced(race, compute, bool, [[True, False]])
    for pair in pairs:
        assert 0.5 > pair.own.cpu_seconds >= 0.05 > pair.baseline.cpu_seconds


def nothing_is_timed_while_other_threads_compute(race):
    busy = Event()

    def leave_a_thread_spinning():
        end = process_time() + 0.02
        busy.set()

        def spin():
            while process_time() < end:
                pass
            busy.clear()

        Thread(target=spin).start()

    seen = []

    def run():
        seen.append(busy.is_set())
        leave_a_thread_spinning()

    for order in ([True, True], [False, False]):
        raced(race, run, run, [order])
    assert seen == [False] * 8


CHECKS = [
    each_side_goes_first_equally_often,
    the_order_is_shuffled,
    work_still_under_way_before_is_not_counted,
    work_still_under_way_after_is_counted,
    a_race_on_a_device_gives_each_side_its_own_work,
    sides_run_in_the_order_given,
    a_pair_runs_in_the_order_given,
    a_race_ends_after_the_look_that_is_enough,
    only_the_call_itself_is_timed,
    the_garbage_collector_rests,
    each_run_is_followed_by_what_comes_after_it,
    what_comes_after_is_not_timed,
    cpu_time_is_that_of_the_call,
    nothing_is_timed_while_other_threads_compute,
]


@pytest.mark.usefixtures("no_device")
@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_pairs_are_measured_right(check):
    check(race)


# --- mutants ------------------------------------------------------------------------------------------------

MUTANTS = {
    "order by chance, not balanced": (
        "random.shuffle(order)",
        "order = random.choices(order, k=pairs)",
        each_side_goes_first_equally_often,
    ),
    "order not shuffled": ("random.shuffle(order)", "pass", the_order_is_shuffled),
    "no synchronisation": ("torch.cuda.synchronize()", "pass", work_still_under_way_after_is_counted),
    "no synchronisation before": (
        "start = clock()\n",
        "start = perf_counter()\n",
        work_still_under_way_before_is_not_counted,
    ),
    "no synchronisation after": (
        "seconds = clock() - start",
        "seconds = perf_counter() - start",
        work_still_under_way_after_is_counted,
    ),
    "baseline timed twice": (
        "own, before or timed(baseline, clock, after)))\n\n    with",
        "own, timed(baseline, clock, after)))\n\n    with",
        sides_run_in_the_order_given,
    ),
    "baseline timed within the round": (
        "pedantic(function,",
        "pedantic(lambda: (function(), baseline()),",
        sides_run_in_the_order_given,
    ),
    "warm-up counted": (
        "        function()\n",
        "        function()\n        function()\n",
        only_the_call_itself_is_timed,
    ),
    "warm-up round": (
        "rounds=len(order))",
        "rounds=len(order), warmup_rounds=1)",
        sides_run_in_the_order_given,
    ),
    "garbage collected while time is taken": ("gc.disable()", "pass", the_garbage_collector_rests),
    "garbage collector left off": ("        if enabled:\n", "        if False:\n", the_garbage_collector_rests),
    "threads not waited for": (
        "        if not other_threads_running():\n",
        "        if True:\n",
        nothing_is_timed_while_other_threads_compute,
    ),
    "a pair always in one order": ("if baseline_first else None", "if True else None", a_pair_runs_in_the_order_given),
    "pairs looked at after each": (
        "if len(pairs) in ends and",
        "if pairs and",
        a_race_ends_after_the_look_that_is_enough,
    ),
    "results kept only when the pair has ended": (
        "        after()\n        pairs.append",
        "        pairs.append",
        each_run_is_followed_by_what_comes_after_it,
    ),
    "results kept while time is taken": (
        "        function()\n",
        "        function(), after()\n",
        what_comes_after_is_not_timed,
    ),
    "CPU time of all the process's life": (
        "data[-1], process_time() - cpu_start)",
        "data[-1], process_time())",
        cpu_time_is_that_of_the_call,
    ),
}


@pytest.mark.usefixtures("no_device")
@pytest.mark.parametrize("mutant", MUTANTS)
def test_a_mistake_in_measuring_is_noticed(mutant):
    old, new, check = MUTANTS[mutant]
    assert SOURCE.count(old) == 1
    module = ModuleType(mutant)
    exec(compile(SOURCE.replace(old, new), mutant, "exec"), vars(module))
    with pytest.raises((AssertionError, IndexError)):
        check(module)


def test_a_race_with_the_real_fixture(benchmark):
    ran = []
    looks = [[True, False], [True, False], [True, False] * 5]
    pairs = race.race(
        benchmark,
        lambda: ran.append("own"),
        lambda: ran.append("baseline"),
        looks,
        lambda pairs: len(pairs) == 4,
        race.clock("cpu"),
    )
    benchmark.has_error = False
    assert ran == ["baseline", "own", "own", "baseline"] * 2
    assert [pair.own.seconds for pair in pairs] == benchmark.stats.stats.data
    assert len(pairs) == 4
    assert all(pair.baseline.seconds > 0 for pair in pairs)
    assert pairs[0].start <= pairs[1].start
