"""What ends a run early, and what is saved and shown of it; asked without starting pytest anew."""

import errno
import json
import os
import signal
import subprocess
from dataclasses import asdict
from types import SimpleNamespace

import pytest

from benchmarks import session
from benchmarks.measure import contest, processes
from benchmarks.measure.refusals import NotComparable
from benchmarks.runs import saved
from benchmarks.session import Session
from reference import equivalence
from tests.made_up import CONDITIONS, aa_check, info
from tests.test_options import GOOD, settings


@pytest.fixture
def begun(tmp_path, monkeypatch):
    """A function that makes a Session of so many processes, which saves in run.json."""
    monkeypatch.setattr(signal, "signal", lambda *_: None)

    def begun(**changed):
        option = SimpleNamespace(**GOOD | {"benchmark_only": True, "benchmark_json": tmp_path / "run.json"} | changed)
        option.collectonly = option.benchmark_disable = False
        config = SimpleNamespace(
            option=option,
            getoption=lambda name, default: vars(option).get(name, default),
            pluginmanager=pytest.PytestPluginManager(),
            invocation_params=SimpleNamespace(args=("benchmarks",), dir=tmp_path),
            _benchmarksession=SimpleNamespace(json=option.benchmark_json, benchmarks=[]),
        )
        return Session(config)

    return begun


def part(*rows, untimed=()):
    """What one of several processes saves."""
    return {
        "benchmarks": [
            {"fullname": row["name"], "param": f"{row['name']}-cpu", "extra_info": row, "stats": {}} for row in rows
        ],
        "untimed": untimed,
        "null_lanes": [aa_check(pairs=8, own_seconds=[0.2] * 8).to_dict()],
        "conditions": asdict(CONDITIONS),
        "margin": 0.01,
    }


def pytest_of(parts, monkeypatch):
    """Lets processes save these parts, one after the other: each with its exit status, or what is raised instead."""
    parts = iter(parts)

    def status_of(command, folder):
        (path,) = (word.partition("=")[2] for word in command if word.startswith("--benchmark-json="))
        what = next(parts)
        if isinstance(what, KeyboardInterrupt):
            raise what
        content, status = what
        with open(path, "w") as file:
            json.dump(content, file)
        return status

    monkeypatch.setattr(processes, "status_of", status_of)


def of(pairs, name="a"):
    """A row of so many pairs."""
    return info(name, own_seconds=[0.1] * pairs)


def test_interrupted_processes_leave_those_that_are_finished(begun, monkeypatch, tmp_path):
    pytest_of([(part(of(4)), 0), (part(of(4)), 0), KeyboardInterrupt()], monkeypatch)
    interrupted = begun(processes="5", pairs="4")
    with pytest.raises(KeyboardInterrupt):
        interrupted.run_processes()
    (row,) = interrupted.run.rows
    assert row.process == (0,) * 4 + (1,) * 4
    assert saved.load(tmp_path / "run.json") == interrupted.run


def test_the_first_process_decides_which_rows_are_timed_by_whole_runs(begun, monkeypatch):
    commands = []
    rows = info("a", own_seconds=[0.1] * 4), info("b", own_seconds=[0.1] * 4, slice_rows=3200), of(4, "c")
    pytest_of([(part(*rows), 0)] * 3, monkeypatch)
    status_of = processes.status_of
    monkeypatch.setattr(processes, "status_of", lambda *given: commands.append(given[0]) or status_of(*given))
    begun(processes="3", pairs="4").run_processes()
    assert ["--whole=a-cpu,c-cpu" in command for command in commands] == [False, True, True]


def test_one_finished_process_is_an_ordinary_run(begun, monkeypatch, tmp_path):
    pytest_of([(part(of(8, "long"), of(6, "short")), 1), KeyboardInterrupt()], monkeypatch)
    interrupted = begun(processes="3")
    with pytest.raises(KeyboardInterrupt):
        interrupted.run_processes()
    run = saved.load(tmp_path / "run.json")
    assert [(row.own.name, row.pairs) for row in run.rows] == [("long", 8)]
    assert run.untimed == (("short-cpu", "not comparable: 6 pairs, in one process; an interval needs 8"),)


class Slow:
    """A process that somebody interrupts, and that ends when it is told to."""

    def __init__(self, command, cwd):
        self.told = []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        type(self).ended = self.told

    def wait(self, timeout=None):
        if timeout is None:
            raise self.interrupted
        if self.told != ["terminate"]:
            raise subprocess.TimeoutExpired("pytest", timeout)

    def terminate(self):
        self.told.append("terminate")

    def kill(self):
        self.told.append("kill")


@pytest.mark.parametrize("by_signal", [True, False])
def test_a_process_that_runs_is_told_of_a_signal_to_this_one_and_has_time_to_end(by_signal, monkeypatch, tmp_path):
    """Ctrl-C has reached it, too."""
    handlers = []
    monkeypatch.setattr(signal, "signal", lambda *handler: handlers.append(handler))
    with pytest.raises(KeyboardInterrupt) as raised:
        processes.interrupt(signal.SIGTERM, None)
    assert handlers == [(signal.SIGTERM, signal.SIG_IGN)]  # a second one does not disturb the end
    Slow.interrupted = raised.value if by_signal else KeyboardInterrupt()
    monkeypatch.setattr(processes.subprocess, "Popen", Slow)
    with pytest.raises(KeyboardInterrupt):
        processes.status_of(["pytest"], tmp_path)
    assert Slow.ended == ["terminate", "kill"][0 if by_signal else 1 :]


def test_only_rows_are_repeated_in_processes(begun):
    repeated = begun(processes="2")
    params = {"name": "a", "device": "cpu", "rows": None, "batch_size": 64}
    one = SimpleNamespace(name="a-cpu", fixturenames=("suite",), callspec=SimpleNamespace(params=params))
    other = SimpleNamespace(name="test_other", fixturenames=())
    with pytest.raises(pytest.UsageError, match="--processes repeats the benchmark's rows; run other tests without it"):
        repeated.begin([one, other], [])
    with pytest.raises(pytest.UsageError, match="--processes repeats the benchmark's rows; run other tests without it"):
        repeated.begin([other], [])


def test_interrupted_in_the_first_process_there_is_nothing(begun, monkeypatch, tmp_path):
    pytest_of([KeyboardInterrupt()], monkeypatch)
    with pytest.raises(KeyboardInterrupt):
        begun(processes="3").run_processes()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("parts", "rows"), [([], 0), ([(part(of(8)), 0)], 1)])
def test_a_process_that_ends_badly_ends_them_all_and_those_before_it_are_saved(parts, rows, begun, monkeypatch):
    pytest_of([*parts, (part(of(8)), 4)], monkeypatch)
    ended = begun(processes="3")
    with pytest.raises(pytest.exit.Exception, match=r"^a process ended with status 4; its last lines say why$") as how:
        ended.run_processes()
    assert how.value.returncode == 4
    assert [row.pairs for row in ended.run.rows] == [8] * rows


def test_a_process_that_measured_something_else_ends_the_run_and_leaves_those_before_it(begun, monkeypatch, tmp_path):
    another = info("a", own_seconds=[0.1] * 4, numpy="9.9")
    pytest_of([(part(of(4)), 0), (part(of(4)), 0), (part(another), 0), (part(of(4)), 0)], monkeypatch)
    edited = begun(processes="4", pairs="4")
    with pytest.raises(
        pytest.exit.Exception, match=r"^numpy of a is 9\.9 in process 3, 2\.4\.0 in process 1; expected"
    ):
        edited.run_processes()
    (row,) = saved.load(tmp_path / "run.json").rows
    assert row.process == (0,) * 4 + (1,) * 4


def test_where_no_row_has_a_time_nobody_writes_over_what_is_there(begun):
    """pytest-benchmark would, with an empty run, as soon as a first row is being timed."""
    interrupted = begun()
    interrupted.suite = SimpleNamespace(rows=[])
    interrupted.end()
    assert interrupted.config._benchmarksession.json is None


def test_processes_in_which_every_row_is_wrong_say_why(begun, monkeypatch, tmp_path):
    one = begun(part="0", processes="2", benchmark_json=tmp_path / "0.json")
    one.untimed.append(("bad-cpu", "wrong: the timed problem: the update is off by 99"))
    one.end()
    pytest_of([(json.loads((tmp_path / "0.json").read_text()), 1)] * 2, monkeypatch)
    together = begun(processes="2")
    together.run_processes()
    assert together.run.untimed == (("bad-cpu", "wrong: the timed problem: the update is off by 99"),)


def test_a_full_disk_ends_the_run_in_one_line_and_leaves_what_was_saved(begun, monkeypatch, tmp_path):
    full = begun()
    full.write({"rows": "of before"})

    def no_room(*_, **__):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(saved.Path, "write_text", no_room)
    with pytest.raises(pytest.exit.Exception, match=r"^cannot save to .*run\.json: No space left on device; ") as how:
        full.write({"rows": "of now"})
    assert how.value.returncode != 0
    assert full.config._benchmarksession.json is None  # or pytest-benchmark would try it again, and cut the file off
    assert json.loads((tmp_path / "run.json").read_text()) == {"rows": "of before"}


def test_who_waits_is_told_which_row_it_was_and_how_long_the_others_take(begun, monkeypatch):
    waiting = begun(processes="1")
    waiting.suite, waiting.begun = SimpleNamespace(row_count=36, rows_left=30), 100.0
    monkeypatch.setattr(session, "perf_counter", lambda: 130.0)  # 5 s a row
    assert waiting.progress("manual_inplace-cpu") == "manual_inplace-cpu: row 6 of 36, about 2:30 left"
    first = begun(part="0", processes="3")
    first.suite, first.begun = waiting.suite, waiting.begun
    assert first.progress("a-cpu") == "a-cpu: process 1 of 3, row 6 of 36, about 8:30 left"


def test_without_pytests_terminal_nothing_is_measured(begun, monkeypatch):
    monkeypatch.setattr(pytest.PytestPluginManager, "is_blocked", lambda self, name: name == "terminal")
    with pytest.raises(pytest.UsageError, match=r"^-p no:terminal: "):
        begun()


def test_a_start_from_which_float32_cannot_be_judged_costs_a_row_and_says_so(monkeypatch):
    def unjudgeable(name, problem):
        raise equivalence.Unjudgeable(f"{name}: float32 noise is too large")

    monkeypatch.setattr(equivalence, "solved", unjudgeable)
    with pytest.raises(NotComparable, match=r"^from another start, the timed problem: float32 noise is too large$"):
        contest.solved("the timed problem", None)


def test_an_unknown_dataset_ends_the_run_in_one_line():
    asked = SimpleNamespace(settings=settings(dataset="mnits"), say=None)
    with pytest.raises(pytest.UsageError, match=r"^dataset 'mnits': expected auto, mnist, digits or a file that ends"):
        session.Session.made_suite(asked, [])
