"""What else the machine did."""

from types import SimpleNamespace

from benchmarks.measure import conditions
from benchmarks.measure.conditions import Counters, Watch
from benchmarks.measure.suite import Suite
from benchmarks.runs.saved import Conditions


def test_what_others_took_is_what_this_process_did_not(monkeypatch):
    found = [
        *((100, 50, 7, 20, 1000), (100.5, 51, 7, 20, 1000), (104, 52, 7, 21, 1000)),
        *((106, 58, 7, 23, 1000), (110, 65, 8, 26, 1030)),
    ]
    counters = iter([Counters(*sums) for sums in found])
    monkeypatch.setattr(conditions, "counters", lambda used: next(counters))
    frequencies = iter([[2000.0, 2100.0], [1900.0, 2050.0], [2000.0]])
    monkeypatch.setattr(conditions, "megahertz", lambda: next(frequencies))
    watch = Watch()
    assert [watch.look(), watch.look(), watch.look()] == [None, 0.25, 2.0]  # each since the last, if a second ago
    found = watch.conditions()
    assert found == Conditions(
        other_cores=0.9, stolen_cores=0.1, switches_per_second=3, lowest_megahertz=1900, highest_megahertz=2100
    )
    assert found.text() == (
        "other processes kept 0.90 cores busy, the hypervisor took 0.10, 3 involuntary switches a second, frequencies "
        "from 1900 MHz, up to 2100 MHz"
    )


def test_where_nothing_is_known_nothing_is_said(monkeypatch):
    monkeypatch.setattr(conditions, "counters", lambda used: None)
    monkeypatch.setattr(conditions, "megahertz", list)
    watch = Watch()
    assert watch.look() is None
    assert watch.conditions() == Conditions()
    assert Conditions().text() == "unknown"


def test_a_system_without_proc(monkeypatch):
    class Missing:
        def __init__(self, path):
            pass

        def read_text(self):
            raise FileNotFoundError

    monkeypatch.setattr(conditions, "Path", Missing)
    assert Watch().before is None
    assert conditions.megahertz() == []


def test_what_workers_use_is_not_that_of_others():
    """Whoever computes in a worker computes for this run, as this process does."""
    used = iter([(0.0, 0), (50.0, 7)])
    watch = Watch(lambda: next(used))
    before = watch.before
    after = conditions.counters(watch.used)
    if before is not None:
        assert after.own - before.own > 49.9
        assert after.switches - before.switches >= 7


def test_beside_a_busy_core_there_is_advice():
    advice = Conditions(other_cores=0.93).advice(threads=2)
    assert advice == (
        "something else keeps 0.93 cores busy; 2 threads wait for each other, so all take many times as long where one "
        "shares its core: stop it, or measure with --torch-threads 1"
    )
    assert Conditions(other_cores=0.93).advice(threads=1) is None
    assert Conditions(other_cores=0.1).advice(threads=2) is None
    assert Conditions().advice(threads=2) is None


def test_who_waits_is_told_once_that_a_core_is_busy():
    said = []
    suite = SimpleNamespace(
        watch=SimpleNamespace(look=lambda: 0.93),
        settings=SimpleNamespace(threads=2),
        workers=SimpleNamespace(say=said.append),
        advised=False,
    )
    for _ in range(3):
        Suite.look_around(suite)
    (advice,) = said
    assert advice.endswith("measure with --torch-threads 1")
    suite.advised, suite.settings.threads = False, 1
    Suite.look_around(suite)
    assert len(said) == 1
