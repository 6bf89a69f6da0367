"""Pairs: order, clock and device synchronisation."""

import gc
from itertools import count
from threading import Event, Thread
from time import process_time

import pytest
import torch

from benchmarks import pairing


@pytest.mark.parametrize("pairs", [2, 8, 50, 200])
def test_each_side_goes_first_equally_often(pairs):
    order = pairing.balanced_order(pairs, seed=0)
    assert (order.count(True), order.count(False)) == (pairs // 2, pairs // 2)


def test_the_order_is_shuffled_and_can_be_repeated():
    orders = [pairing.balanced_order(50, seed) for seed in (0, 0, 1)]
    assert orders[0] == orders[1] != orders[2]
    assert orders[0] not in ([True, False] * 25, [False, True] * 25, sorted(orders[0]))


class AsynchronousDevice:
    """A device with a clock of its own: work is queued at once and done only when somebody waits for it."""

    def __init__(self):
        self.now = 0.0
        self.queued = 0.0

    def launch(self, seconds):
        self.now += 0.001  # what queueing costs the caller
        self.queued += seconds

    def synchronize(self):
        self.now += self.queued
        self.queued = 0.0


@pytest.fixture
def device(monkeypatch):
    """A fake CUDA device, the time of this process with it."""
    device = AsynchronousDevice()
    monkeypatch.setattr(torch.cuda, "synchronize", device.synchronize)
    monkeypatch.setattr(pairing, "perf_counter", lambda: device.now)
    return device


def test_work_still_under_way_before_is_not_counted(device):
    device.launch(5)
    assert pairing.seconds(lambda: device.launch(3), pairing.clock("cuda")) == pytest.approx(3.001)


def test_work_still_under_way_after_is_counted(device):
    assert pairing.seconds(lambda: device.launch(3), pairing.clock("cuda")) == pytest.approx(3.001)
    assert device.queued == 0


def test_without_synchronisation_neither_would_be_noticed(device):
    device.launch(5)
    assert pairing.seconds(lambda: device.launch(3), pairing.clock("cpu")) == pytest.approx(0.001)


@pytest.mark.benchmark(timer=pairing.clock("cuda"))
@pytest.mark.parametrize("baseline_first", [True, False])
def test_a_race_on_an_asynchronous_device_gives_each_side_its_own_work(device, baseline_first, make_race):
    own, baseline = make_race(
        lambda: device.launch(3), lambda: device.launch(7), [baseline_first] * 4, pairing.clock("cuda")
    )
    assert own == pytest.approx([3.001] * 4)
    assert baseline == pytest.approx([7.001] * 4)


class Fixture:
    """What `race` uses of pytest-benchmark's fixture; timed by the clock it was given."""

    def __init__(self, clock):
        self.clock = clock
        self.stats = self
        self.data = []

    def pedantic(self, function, setup, teardown, rounds):
        self.stats = type("Metadata", (), {"stats": self})
        for _ in range(rounds):
            setup()
            start = self.clock()
            function()
            self.data.append(self.clock() - start)
            teardown()


@pytest.fixture
def make_race():
    return lambda own, baseline, order, clock: pairing.race(Fixture(clock), own, baseline, order, clock)


def test_a_race_runs_the_sides_in_the_order_given(make_race):
    ran = []
    order = [True, False, False, True]
    ticks = count()
    own, baseline = make_race(lambda: ran.append("own"), lambda: ran.append("baseline"), order, lambda: next(ticks))
    assert ran == ["baseline", "own", "own", "baseline", "own", "baseline", "baseline", "own"]
    assert own == baseline == [1] * 4


def test_a_race_with_the_real_fixture(benchmark):
    ran = []
    order = [True, False, True, False]
    clock = pairing.clock("cpu")
    own, baseline = pairing.race(benchmark, lambda: ran.append("own"), lambda: ran.append("baseline"), order, clock)
    assert ran == ["baseline", "own", "own", "baseline"] * 2
    assert len(own) == len(baseline) == 4
    assert min(own + baseline) > 0


@pytest.mark.parametrize("enabled", [True, False])
def test_the_garbage_collector_rests_while_time_is_taken_and_is_set_back(enabled):
    seen = []
    try:
        (gc.enable if enabled else gc.disable)()
        pairing.seconds(lambda: seen.append(gc.isenabled()), pairing.clock("cpu"))
        assert seen == [False]
        assert gc.isenabled() == enabled
    finally:
        gc.enable()


def test_nothing_is_timed_while_other_threads_compute(make_race):
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
    for order in ([True, True], [False, False]):
        make_race(
            lambda: (seen.append(busy.is_set()), leave_a_thread_spinning()),
            lambda: (seen.append(busy.is_set()), leave_a_thread_spinning()),
            order,
            pairing.clock("cpu"),
        )
    assert seen == [False] * 8
