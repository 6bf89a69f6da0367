"""The implementations that are compiled on first use: by Numba, torch.compile, and a C compiler."""

import contextlib
import functools
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest
import torch

import implementations
from reference import equivalence
from reference.problem import Problem, initial_parameters

ROOT = Path(__file__).parent.parent
NATIVE = [name for name in implementations.names() if "cc" in implementations.programs(name)]

pytestmark = pytest.mark.usefixtures("every_shape_is_compiled")
needs_cc = pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler")


def small_problem(rows=150, features=40, batch_size=64):
    generator = torch.Generator().manual_seed(0)
    x = torch.randint(256, (rows, features), generator=generator) / 256
    y = torch.randint(10, (rows,), generator=generator)
    return Problem(x, y, *initial_parameters(features, 10), batch_size=batch_size)


@pytest.fixture(scope="module")
def case():
    return equivalence.solved("a small problem", small_problem())


@pytest.fixture
def native(request, tmp_path, monkeypatch):
    """The module of a native implementation that has compiled nothing yet; temporary files go to tmp_path."""
    if not shutil.which("cc"):
        pytest.skip("no C compiler")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    module = implementations.load(request.param)
    module.library.cache_clear()
    yield module
    module.library.cache_clear()


def put_before_cc(folder, monkeypatch, script):
    """Makes `cc` mean a shell script."""
    (folder / "cc").write_text(f"#!/bin/sh\n{script}\n")
    (folder / "cc").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")


def is_right(module, case):
    return equivalence.judged(module, case).complaint is None


@pytest.mark.parametrize("native", NATIVE, indirect=True)
def test_a_source_is_compiled_once_in_a_process(native, case, tmp_path_factory, monkeypatch):
    folder = tmp_path_factory.mktemp("compiler")
    put_before_cc(folder, monkeypatch, f'echo >> {folder}/calls\nexec {shutil.which("cc")} "$@"')
    assert is_right(native, case)
    assert is_right(native, case)
    assert (folder / "calls").read_text() == "\n"


@pytest.mark.parametrize("native", NATIVE, indirect=True)
def test_compiling_leaves_nothing_behind(native, case, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    before = sorted(implementations.FOLDER.iterdir())
    assert is_right(native, case)
    assert list(tmp_path.iterdir()) == []
    assert sorted(implementations.FOLDER.iterdir()) == before


@pytest.mark.parametrize("native", NATIVE, indirect=True)
def test_a_compiler_that_fails_is_heard_to_the_end(native, case, tmp_path, tmp_path_factory, monkeypatch):
    script = "for i in $(seq 1000); do echo line $i >&2; done\necho error: out of order >&2\nexit 1"
    put_before_cc(tmp_path_factory.mktemp("compiler"), monkeypatch, script)
    complaint = equivalence.judged(native, case).complaint
    assert complaint.startswith("raised RuntimeError: cc failed: ")
    assert "line 1000 error: out of order" in complaint
    assert list(tmp_path.iterdir()) == []


@needs_cc
@pytest.mark.parametrize("name", NATIVE)
def test_the_first_error_in_a_source_is_named(name):
    with pytest.raises(RuntimeError, match=r"cc failed: .*error: .*LANES"):
        implementations.load(name).library()


@needs_cc
@pytest.mark.parametrize("threads", [1, 2, 3, 5, 8])
@pytest.mark.parametrize("name", NATIVE)
def test_any_number_of_threads_gives_the_same(name, threads, case):
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        assert is_right(implementations.load(name), case)
    finally:
        torch.set_num_threads(before)


@needs_cc
@pytest.mark.parametrize("name", NATIVE)
def test_vectors_of_eight_are_right_too(name, case, monkeypatch):
    module = implementations.load(name)
    monkeypatch.setattr(module, "LANES", 8)
    assert is_right(module, case)


@pytest.mark.parametrize("name", implementations.runnable("cpu"))
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")
def test_what_is_not_finite_stays_so(name, value):
    problem = small_problem()
    weight = problem.weight.clone()
    weight[3, 4] = value
    trained, _ = equivalence.run(implementations.load(name), problem._replace(weight=weight))
    assert trained.isnan().any()


@pytest.mark.parametrize("name", implementations.runnable("cpu"))
def test_a_batch_far_larger_than_the_data_takes_no_memory(name):
    case = equivalence.solved("one batch", small_problem(batch_size=2**31 - 1))
    assert is_right(implementations.load(name), case)


@needs_cc
@pytest.mark.parametrize("name", NATIVE)
def test_batches_and_features_beyond_16_bits(name):
    for rows, features in ((70_000, 3), (20, 70_000)):
        case = equivalence.solved("large", small_problem(rows=rows, features=features, batch_size=rows))
        assert is_right(implementations.load(name), case)


@pytest.mark.skipif(bool(implementations.missing("compile_step", "cpu")), reason="no C++ compiler")
def test_other_batch_lengths_compile_nothing_new():
    from torch._dynamo.utils import counters

    torch.compiler.reset()
    before = counters["stats"]["unique_graphs"]
    module = implementations.load("compile_step")
    for batch_size in (64, 48, 32):
        equivalence.run(module, small_problem(batch_size=batch_size))
    compiled = counters["stats"]["unique_graphs"]
    assert compiled > before
    for batch_size in (5, 9, 17, 33, 40, 50, 63, 65, 70, 100, 148):  # none leaves a single row
        equivalence.run(module, small_problem(batch_size=batch_size))
    assert counters["stats"]["unique_graphs"] == compiled


MOST_THREADS = 1.2  # that a row uses where it is given one: what else runs in its process takes little


def seconds_of_threads():
    """Processor time that each thread of this process has taken so far, by its number; empty where it is not Linux."""
    found = {}
    for path in Path("/proc/self/task").glob("*/schedstat"):
        with contextlib.suppress(OSError):  # the thread has ended
            found[path.parent.name] = int(path.read_text().split()[0]) / 1e9
    return found


def threads_in_use(train):
    """Processor time of the process over that of its busiest thread, or over the clock where no thread is told apart.

    The clock shows less where threads wait for a core, as they do beside other programs.
    """
    before, cpu, wall = seconds_of_threads(), time.process_time(), time.perf_counter()
    while time.perf_counter() - wall < 0.03:
        train()
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    return cpu / max((now - before.get(thread, 0) for thread, now in seconds_of_threads().items()), default=wall)


def print_threads_in_use():
    """For each implementation, with one thread for all, as JSON.

    The least of several looks, if it needs them: at the first, a thread of what is over may still be at work.
    """
    from benchmarks.measure.work import limit_threads

    limit_threads(1)
    problem = small_problem(rows=6400, features=784)
    found = {}
    for name in implementations.runnable("cpu"):
        module = implementations.load(name)
        inputs = equivalence.prepared(module, problem)
        train = functools.partial(module.train, *inputs, *problem[2:])
        train()
        found[name] = threads_in_use(train)
        for _ in range(4):
            if found[name] >= MOST_THREADS:
                found[name] = min(found[name], threads_in_use(train))
    print(json.dumps(found))


@pytest.fixture(scope="module")
def used():
    """By name, how many threads each implementation uses in a new process that is given one."""
    environment = os.environ | {"OMP_WAIT_POLICY": "active"}  # a thread that waits shows, too
    command = [sys.executable, "-c", "from tests.test_compiled import *; print_threads_in_use()"]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("name", implementations.runnable("cpu"))
def test_no_row_uses_more_threads_than_it_was_given(name, used):
    assert used[name] < MOST_THREADS
