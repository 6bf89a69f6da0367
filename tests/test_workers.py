"""Workers: started, told what to do, watched, ended; by a path or a port, as forks or as fresh processes."""

import os
import signal
import subprocess
import sys
import time
from types import SimpleNamespace

import numpy as np
import pytest

from benchmarks.measure import workers
from benchmarks.measure.refusals import NotComparable, Wrong
from benchmarks.measure.work import TimedProblem
from benchmarks.measure.workers import Worker, Workers


@pytest.fixture(scope="module")
def forks():
    with Workers() as several:
        yield several


@pytest.fixture(scope="module")
def fresh():
    with Workers(fresh=True) as several:
        yield several


def gone(pid):
    """Whether there is no such process any more."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def test_a_worker_answers_and_is_gone_when_stopped(forks):
    worker = forks.start("torch_nn")
    assert worker.do("hardware", "cpu", 1)["threads"] == 1
    worker.rest()
    assert worker.stop() < 0
    assert gone(worker.pid)
    assert worker not in forks.alive


def test_without_the_process_that_forks_them_there_are_none_and_nobody_waits():
    for kill_it in (lambda several: several.server.kill(), lambda several: several.start("torch_nn").stop()):
        with Workers() as several:
            kill_it(several)
            several.server.kill()
            several.server.wait()
            for _ in range(2):
                with pytest.raises(NotComparable, match=r"^the process that forks workers has ended; --spawn does"):
                    several.start("torch_nn")


def test_where_no_process_can_be_had_the_row_says_so(tmp_path):
    orders = SimpleNamespace(send=lambda _: None, recv=lambda: "Resource temporarily unavailable")
    with pytest.raises(NotComparable, match=r"^no process can be forked for it: Resource temporarily unavailable$"):
        workers.forked(orders, tmp_path / "0.log")


def test_a_process_that_ends_before_it_is_a_worker_says_why(fresh, monkeypatch):
    monkeypatch.setenv("PYTHONHOME", "/nowhere")
    with pytest.raises(Wrong, match=r"^ended its process, status 1; the last that it wrote: "):
        fresh.start("torch_nn")


def test_each_is_a_process_of_its_own(forks):
    one, other = forks.start("torch_nn"), forks.start("torch_nn")
    assert len({one.pid, other.pid, os.getpid()}) == 3
    one.do("hardware", "cpu", 1)
    assert other.do("hardware", "cpu", 2)["threads"] == 2
    one.stop()
    assert other.do("hardware", "cpu", 2)["threads"] == 2
    other.stop()


def test_what_cannot_be_done_is_said_and_the_worker_goes_on(forks):
    worker = forks.start("torch_nn")
    with pytest.raises(Wrong, match="raised AttributeError: 'Work' object has no attribute 'dance'"):
        worker.do("dance")
    assert worker.do("hardware", "cpu", 1)
    worker.stop()


def test_who_does_not_answer_in_time_is_ended(forks):
    said = []
    worker = forks.start("torch_nn")
    worker.give(0.05)
    forks.say, before = said.append, forks.say
    try:
        worker.connection.send(("hardware", ("cpu", 1)))  # this answer is not asked for: the next one is it
        worker.connection.recv()
        with pytest.raises(Wrong, match=r"not done after 0\.05 s, the limit of --timeout; it was at: a long sleep"):
            worker.wait_for_answer("a long sleep")
    finally:
        forks.say = before
    assert gone(worker.pid)


@pytest.mark.skipif(os.name != "posix", reason="needs signals that stop a process")
def test_who_does_not_even_listen_is_ended(forks):
    worker = forks.start("torch_nn")
    os.kill(worker.pid, signal.SIGSTOP)
    worker.give(0.05)
    with pytest.raises(Wrong, match=r"not done after 0\.05 s, the limit of --timeout; it was at: a long letter"):
        worker.do("hardware", "cpu", bytes(2**24), what="a long letter")  # more than fits on the way
    assert gone(worker.pid)


def test_waiting_is_said_now_and_then(forks, monkeypatch):
    said = []
    monkeypatch.setattr(workers, "SAY_AFTER", 0.02)
    monkeypatch.setattr(workers, "LOOK_AFTER", 0.01)
    monkeypatch.setattr(forks, "say", said.append)
    worker = forks.start("manual_inplace")
    worker.give(0.1)
    with pytest.raises(Wrong):
        worker.wait_for_answer("its first call")
    assert said
    assert all(line.startswith("waiting for manual_inplace, its first call: 0 s") for line in said)


def test_what_workers_use_is_counted_when_they_are_gone_too(forks):
    before = forks.usage()
    worker = forks.start("torch_nn")
    worker.do("hardware", "cpu", 1)
    meanwhile = forks.usage()
    worker.stop()
    after = forks.usage()
    assert before[0] <= meanwhile[0] <= after[0]


def test_a_compiler_that_fails_is_heard(monkeypatch, tmp_path):
    """Torch would hide it where it is told to, and what was not compiled would have a time."""
    monkeypatch.setenv("TORCHDYNAMO_SUPPRESS_ERRORS", "1")
    monkeypatch.setattr(workers.subprocess, "Popen", lambda command, env, **_: env)
    token = tmp_path / "token"
    token.touch()
    environment = Workers.launched(SimpleNamespace(address="1", token_file=token))
    assert environment == {name: value for name, value in os.environ.items() if "SUPPRESS" not in name}


@pytest.mark.skipif(not os.path.exists("/proc/self/stat"), reason="needs Linux's /proc")
def test_what_ended_children_have_used_is_counted():
    spend = "import time\nwhile time.process_time() < 0.2: pass"
    parent = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {spend!r}]); print(flush=True); input()"
    with subprocess.Popen([sys.executable, "-c", parent], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        process.stdout.readline()
        assert Worker.usage(SimpleNamespace(pid=process.pid))[0] > 0.2
        process.communicate(b"\n")


@pytest.mark.skipif(not os.path.exists("/proc/self/stat"), reason="needs Linux's /proc")
@pytest.mark.parametrize("kind", ["forks", "fresh"])
def test_each_second_of_a_worker_is_counted_once(kind, request, tmp_path):
    """Also when it has ended: then this process counts it if it was its child."""
    x, y = np.zeros((2000, 20), np.float32), np.zeros(2000, np.int64)
    files = [tmp_path / "x.npy", tmp_path / "y.npy"]
    for file, array in zip(files, (x, y), strict=True):
        np.save(file, array)
    start = np.zeros((20, 10), np.float32), np.zeros(10, np.float32)
    problem = TimedProblem(*map(str, files), len(x), start, batch_size=64, lr=0.5, epochs=60)
    several = request.getfixturevalue(kind)
    worker = several.start("torch_nn")
    counted, spent = -sum(os.times()[2:4]) - several.usage()[0], -workers.cpu_seconds_of(worker.pid)
    worker.do("first_call", "torch_nn", "cpu", problem)
    spent += workers.cpu_seconds_of(worker.pid)
    worker.stop()
    counted += sum(os.times()[2:4]) + several.usage()[0]
    assert 0.1 < spent - 0.02 < counted < 1.5 * spent  # the system counts in hundredths


def test_nobody_reads_the_token_among_the_arguments(forks):
    assert forks.token not in " ".join(forks.server.args)


def test_a_path_too_long_for_a_socket_gives_a_port(tmp_path):
    folder = tmp_path / ("a" * 120)
    folder.mkdir()
    line, address = workers.listening(folder)
    line.close()
    assert address.isdigit()


def test_a_stranger_is_not_taken_for_a_worker(fresh):
    """Somebody who connects without the token is let go; the worker behind is found."""
    stranger = workers.socket.socket(workers.socket.AF_UNIX)
    stranger.connect(fresh.address)
    stranger.close()
    worker = fresh.start("torch_nn")
    assert worker.do("hardware", "cpu", 1)["threads"] == 1
    worker.stop()
    assert gone(worker.pid)


def test_at_the_end_nobody_is_left():
    started = time.monotonic()
    with Workers() as several:
        pids = [several.start("torch_nn").pid for _ in range(3)]
    assert all(map(gone, pids))
    assert several.server.poll() is not None
    assert not several.folder.exists()
    assert time.monotonic() - started < workers.START_SECONDS


def test_each_process_of_a_worker_may_stir_a_little_while_it_rests(monkeypatch):
    """Several wake now and then, to look whether the others are still there."""
    worker = object.__new__(workers.Worker)
    worker.pid, worker.spent = os.getpid(), 1.0
    monkeypatch.setattr(worker, "cpu_seconds", lambda: 1.0 + 0.015)
    monkeypatch.setattr(workers, "descendants", lambda pid: [])  # this process may have some, of other tests
    with pytest.raises(Wrong, match=r"^a thread of it computed for 15\.0 ms while something else was timed for 100\.0"):
        worker.check_rested(0.1)
    worker.processes = 3
    worker.check_rested(0.1)
