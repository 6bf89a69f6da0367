"""What else the machine did."""

from benchmarks.measure import conditions
from benchmarks.measure.conditions import Counters, Watch
from benchmarks.runs.saved import Conditions


def test_what_others_took_is_what_this_process_did_not(monkeypatch):
    counters = iter([Counters(100, 50, 7, 20, 1000), Counters(110, 65, 8, 26, 1030)])
    monkeypatch.setattr(conditions, "counters", lambda used: next(counters))
    frequencies = iter([[2000.0, 2100.0], [1900.0, 2050.0]])
    monkeypatch.setattr(conditions, "megahertz", lambda: next(frequencies))
    watch = Watch()
    watch.look()
    watch.look()
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
    watch.look()
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
