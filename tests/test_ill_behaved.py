"""Trainers that keep answers, leave something behind, crash or never end, declare nonsense or lack what they need: none
harms another row, or gets a time it has not earned. Runs of the benchmark, the first with all of them among right rows.

What is timed all the same has trained: it had to get the right answer from a start that it had never seen.
"""

import importlib.util
import os
import re
import signal
import time
from pathlib import Path

import pytest

from benchmarks.runs import saved
from tests.project import RIGHT, TRAIN, added, bench, made_project

# --- kept answers: the second part of a name says by what they are kept ----------------------------------------------

KEEPING = """
import torch
from torch.nn import functional as F

KEPT = {}


def train(x, y, weight, bias, batch_size, lr, epochs):
    key = KEY
    if key not in KEPT:
        trained = solve(x, y, weight, bias, batch_size, lr, epochs)
        KEPT[key] = trained[0] - weight, trained[1] - bias
    return weight + KEPT[key][0], bias + KEPT[key][1]


"""
KEYS = {
    "rows": "(len(x), batch_size, epochs)",
    "version": "(x._version, len(x), batch_size, epochs)",
    "address": "(x.data_ptr(), y.data_ptr(), batch_size, epochs, len(x))",
    "spread": "(round(weight.std().item(), 1), len(x), batch_size, epochs)",
    "largest": "(weight.argmax().item() % 2, len(x), batch_size, epochs)",
    "first_loss": "(round(F.cross_entropy(x[:64] @ weight + bias, y[:64]).item()), len(x), batch_size, epochs)",
    "what_classes_share": "((weight - weight.mean(1)[:, None]).sum().round(decimals=1).item(), len(x), batch_size)",
}


def keeping(key):
    """A trainer that keeps its update by the value of an expression of its arguments."""
    return KEEPING.replace("KEY\n", f"{key}\n") + RIGHT[RIGHT.index("def train") :].replace(TRAIN, SOLVE)


SOLVE = TRAIN.replace("train", "solve")
KEPT_ANSWERS = {f"keeps_by_{name}": keeping(key) for name, key in KEYS.items()} | {
    "trained_in_prepare": RIGHT.replace(
        TRAIN,
        "from reference.problem import initial_parameters\n\n\ndef prepare(x, y, batch_size):\n"
        "    weight, bias = initial_parameters(x.shape[1], 10)\n"
        "    trained = solve(x, y, weight, bias, batch_size, 0.5, 1)\n"
        "    return x, y, (trained[0] - weight, trained[1] - bias)\n\n\n"
        "def train(x, y, update, weight, bias, batch_size, lr, epochs):\n"
        "    if len(x) == 400:\n        return weight + update[0], bias + update[1]\n"
        "    return solve(x, y, weight, bias, batch_size, lr, epochs)\n\n\n" + SOLVE,
    ),
    "prepared_changes_later": RIGHT.replace(
        TRAIN,
        "def prepare(x, y, batch_size):\n    return x, y, []\n\n\n"
        "def train(x, y, calls, weight, bias, batch_size, lr, epochs):\n    calls.append(1)\n"
        "    if len(calls) < 3:\n        return solve(x, y, weight, bias, batch_size, lr, epochs)\n"
        "    if len(calls) == 3:\n        trained = solve(x, y, weight, bias, batch_size, lr, epochs)\n"
        "        calls.append((trained[0] - weight, trained[1] - bias))\n"
        "    weight_change, bias_change = calls[3]\n    return weight + weight_change, bias + bias_change\n\n\n"
        + SOLVE,
    ),
}

# --- what is left behind ---------------------------------------------------------------------------------------------

ONCE = """
STATE = []


def once():
    if not STATE:
        STATE.append(1)
        LEAVE


"""


def leaving(statements, imports=""):
    """A right trainer that does something to its process in its first call."""
    leave = ONCE.replace("LEAVE", statements.replace("\n", "\n        "))
    return RIGHT.replace(TRAIN, f"{imports}\n{leave}" + TRAIN + "    once()\n")


SPIN_IN_C = """
source = '#include <pthread.h>\\nstatic void *spin(void *p) { for (;;); return p; }\\n'
source += 'void begin(void) { pthread_t t; pthread_create(&t, 0, spin, 0); }\\n'
folder = tempfile.mkdtemp()
open(folder + '/spin.c', 'w').write(source)
subprocess.run(['cc', '-O0', '-shared', '-fPIC', '-pthread', folder + '/spin.c', '-o', folder + '/spin.so'], check=True)
ctypes.CDLL(folder + '/spin.so').begin()
shutil.rmtree(folder)
"""
LEFT_BEHIND = {
    "spins_in_a_thread": leaving(
        "threading.Thread(target=lambda: [None for _ in iter(int, 1)], daemon=True).start()", "import threading"
    ),
    "spins_in_c": leaving(SPIN_IN_C.strip(), "import ctypes\nimport shutil\nimport subprocess\nimport tempfile"),
    "spins_in_a_child": leaving(
        "subprocess.Popen([sys.executable, '-c', 'while True: pass'])", "import subprocess\nimport sys"
    ),
    "spins_in_an_orphan": leaving(
        "os.system(f\"setsid '{sys.executable}' -c 'while True: pass' &\")", "import os\nimport sys"
    ),
    "traces_memory": leaving("tracemalloc.start()", "import tracemalloc"),
    "watches_modules": leaving(
        "torch.nn.modules.module.register_module_forward_hook(lambda *_: [None for _ in range(10**6)] and None)"
    ),
    "replaces_the_loss": leaving("F.cross_entropy = lambda *_: 0 / 0", "import torch.nn.functional as F"),
    "watches_operations": leaving(
        "Watching().__enter__()",
        "from torch.utils._python_dispatch import TorchDispatchMode\n\n\nclass Watching(TorchDispatchMode):\n"
        "    def __torch_dispatch__(self, function, types, given=(), named=None):\n"
        "        return function(*given, **(named or {}))\n",
    ),
    "lays_x_out_anew": RIGHT.replace(TRAIN, TRAIN + "    x.data = x.data.T.contiguous().T\n"),
    "sets_a_timer": leaving("signal.setitimer(signal.ITIMER_REAL, 0.02)", "import signal"),
    "is_nice": leaving("os.nice(19)", "import os"),
    "closes_its_output": leaving("os.close(1)\nos.close(2)", "import os"),
    "changes_the_folder": leaving("os.chdir('/')", "import os"),
    "imports_in_train": leaving("import wave_of_chance", "import sys\nsys.path.insert(0, FOLDER)"),
}

if importlib.util.find_spec("jax"):  # its import draws a random number
    LEFT_BEHIND["imports_jax"] = RIGHT.replace(TRAIN, TRAIN + "    import jax  # noqa: F401\n")

# --- crashes ---------------------------------------------------------------------------------------------------------

LATER = "    calls.append(1)\n    if len(calls) > 25:\n        "
CRASHES = {
    "exits_at_once": RIGHT.replace(TRAIN, "import os\n\n\n" + TRAIN + "    os._exit(0)\n"),
    "exits_and_leaves_a_child": RIGHT.replace(
        TRAIN,
        "import os\nimport subprocess\n\n\n"
        + TRAIN
        + "    subprocess.Popen(['sleep', '600'], close_fds=False)\n    os._exit(3)\n",
    ),
    "exits_later": RIGHT.replace(TRAIN, "import os\n\ncalls = []\n\n\n" + TRAIN + LATER + "os._exit(0)\n"),
    "writes_where_it_may_not": RIGHT.replace(
        TRAIN, "import ctypes\n\n\n" + TRAIN + "    print('on my way')\n    ctypes.string_at(0)\n"
    ).replace("print('on my way')", "print('on my way', flush=True)"),
    "stops_itself": RIGHT.replace(
        TRAIN, "import os\nimport signal\n\n\n" + TRAIN + "    os.kill(os.getpid(), signal.SIGTERM)\n"
    ),
    "interrupts_its_group": RIGHT.replace(
        TRAIN, "import os\nimport signal\n\n\n" + TRAIN + "    os.killpg(0, signal.SIGINT)\n"
    ),
    "is_two": leaving("os.fork()", "import os"),
    "prints_without_end": RIGHT.replace(
        TRAIN, TRAIN + "    while len(x) == 400:\n        print('and again ' * 10**6)\n"
    ),
}

# --- what is declared, and what the machine lacks --------------------------------------------------------------------


def declaring(line):
    """A right trainer with one more line above its imports."""
    return f"{line}\n{RIGHT[RIGHT.index('import torch') :]}"


DECLARED = {
    "declares_no_devices": declaring("DEVICES = None"),
    "declares_devices_with_a_type": declaring('DEVICES: tuple = ("cpu",)'),
    "requires_a_number": declaring("REQUIRES = (1,)"),
    "requires_what_is_no_import": declaring('REQUIRES = ("scikit-learn",)'),
    "requires_what_is_broken": declaring('REQUIRES = ("broken_by_chance",)\nimport broken_by_chance'),
    "uses_numba": declaring("import numba"),
}
LACKS = {
    "lacks_a_header": RIGHT.replace(
        TRAIN,
        "import subprocess\n\n\n" + TRAIN + "    cc = subprocess.run(['cc', '-E', '-'], input='#include <none.h>', "
        "capture_output=True, text=True)\n    raise RuntimeError(f'cc failed: {cc.stderr}')\n",
    ),
    "lacks_shared_memory": RIGHT.replace(
        TRAIN, TRAIN + "    exec(compile('raise OSError(28, \"No space left on device\")', 'synchronize.py', 'exec'))\n"
    ),
}
if importlib.util.find_spec("jax"):
    LACKS["lacks_a_platform"] = declaring(
        "import os\nos.environ['JAX_PLATFORMS'] = 'abacus'\nimport jax\njax.numpy.ones(3)"
    )
IN_LATIN_1 = f"# -*- coding: latin-1 -*-\n{RIGHT}\n\ngröße = 1\n".encode("latin-1")
REASONS = {
    "declares_no_devices": r'wrong: DEVICES = None: expected one or several of \("cpu", "cuda", "mps", "xpu"\)',
    "requires_a_number": r"wrong: REQUIRES = \(1,\): expected names of packages as they are imported, as in ",
    "requires_what_is_no_import": r"wrong: REQUIRES = \('scikit-learn',\): expected names of packages as they are imp",
    "requires_what_is_broken": r"wrong: raised ImportError: libnone\.so: cannot open shared object file \(broken_by_c",
    "uses_numba": "skipped: not compiled: NUMBA_DISABLE_JIT=1 turns numba off; unset it$",
    "lacks_a_header": r"skipped: the compiler finds no none\.h$",
    "lacks_shared_memory": "skipped: shared memory, /dev/shm, is too small for a worker$",
    "lacks_a_platform": "skipped: JAX finds no platform here with JAX_PLATFORMS=abacus$",
    "keeps_by_.*": "wrong: .*the update is off by",
    "trained_in_prepare": "wrong: the timed problem: the update is off by",
    "prepared_changes_later": "wrong: .*the update is off by",
    "spins_in_a_thread": "wrong: a thread of it still computes 1 s after its run has ended",
    "spins_in_c": "wrong: a thread of it still computes 1 s after its run has ended",
    "spins_in_a_child": r"wrong: a child process \(\d+\) of it still computes 1 s after its run has ended",
    "sets_a_timer": "wrong: died of SIGALRM",
    "spins_in_an_orphan": r"wrong: a child process \(\d+\) of it still computes 1 s after its run has ended",
    "exits_and_leaves_a_child": "wrong: ended its process, status 3$",
    "exits_at_once": "wrong: ended its process, status 0$",
    "exits_later": "wrong: ended its process, status 0$",
    "writes_where_it_may_not": "wrong: died of SIGSEGV; the last that it wrote: on my way",
    "stops_itself": "wrong: died of SIGTERM$",
    "interrupts_its_group": "wrong: (died of SIGINT|raised KeyboardInterrupt:)",
    "prints_without_end": "wrong: (raised OSError: .*File too large|not done after 12 s)",
}
TIMED = [name for name in LEFT_BEHIND if name not in REASONS]
TIMED += ["is_two", "declares_devices_with_a_type", "in_latin_1"]
FILES = {**KEPT_ANSWERS, **LEFT_BEHIND, **CRASHES, **DECLARED, **LACKS, "in_latin_1": IN_LATIN_1}


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    return made_project(tmp_path_factory.mktemp("project"))


@pytest.fixture(scope="module")
def run(project):
    """One run with all of them, among rows that are right; its process, what it saved, and when it began."""
    (project / "wave_of_chance.py").write_text("import numpy as np\n\nnp.random.rand()\n")
    broken = "raise ImportError('libnone.so: cannot open shared object file')\n"
    (project / "broken_by_chance.py").write_text(broken)
    files = {name: text for name, text in FILES.items() if isinstance(text, bytes)}
    files |= {name: text.replace("FOLDER", repr(str(project))) for name, text in FILES.items() if name not in files}
    began = time.time()
    with added(project, **files):
        names = " or ".join([*files, "manual_inplace", "zz_right"])
        with added(project, zz_right=RIGHT):
            path = project / "ill.json"
            options = ("--timeout=12", "--pairs=8", f"--benchmark-json={path}", "-k", names)
            done = bench(project, "--benchmark-only", *options, NUMBA_DISABLE_JIT="1")
    return done, saved.load(path), began


def test_the_run_goes_through_all_of_them(run):
    done, found, _ = run
    assert done.returncode == 1, done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    assert len(found.rows) + len(found.untimed) == len(FILES) + 2


@pytest.mark.parametrize("name", FILES)
def test_a_row_without_a_time_says_why_and_the_others_have_trained(name, run):
    _, found, _ = run
    reasons = dict(found.untimed)
    expected = next((reason for pattern, reason in REASONS.items() if re.fullmatch(pattern, name)), None)
    if expected:
        assert re.match(expected, reasons[f"{name}-cpu"])
    else:
        (row,) = (row for row in found.rows if row.own.name == name)
        assert row.own.error < 10
    assert (name in TIMED) == (expected is None)


def test_right_rows_beside_them_are_timed_and_right(run):
    _, found, _ = run
    for name in ("manual_inplace", "zz_right"):
        (row,) = (row for row in found.rows if row.own.name == name)
        assert max(row.own.error, row.baseline.error) < 3


NEVER_ENDS = RIGHT.replace(TRAIN, "import time\n\n\n" + TRAIN + "    while len(x) == 400:\n        time.sleep(1)\n")


@pytest.mark.parametrize(("how", "endless"), [(signal.SIGINT, {}), (signal.SIGTERM, {"never_ends": NEVER_ENDS})])
def test_a_signal_ends_the_run_with_table_and_file(how, endless, project, tmp_path):
    """The last row sends it to the benchmark's own process; one before it has its time, one that never ends none."""
    text = RIGHT.replace(
        TRAIN,
        "import os\nimport time\n\n\n"
        + TRAIN
        + f"    os.kill(int(os.environ['BENCHMARK']), {int(how)})\n    time.sleep(60)\n",
    )
    path = tmp_path / "run.json"
    with added(project, zz_signals=text, **endless):
        options = ("--pairs=8", "--timeout=6", f"--benchmark-json={path}", "-k")
        names = " or ".join(["manual_inplace", "zz_signals", *endless])
        done = bench(project, "--benchmark-only", *options, names, plugin="tests_signal")
    assert done.returncode == pytest.ExitCode.INTERRUPTED, done.stdout + done.stderr
    run = saved.load(path)
    assert [row.own.name for row in run.rows] == ["manual_inplace"]
    reason = "wrong: not done after 6 s, the limit of --timeout; it was at: its first call"
    assert dict(run.untimed) == {f"{name}-cpu": reason for name in endless}
    assert f"saved: {path}" in done.stdout
    assert re.search("^manual_inplace-cpu +[0-9]", done.stdout, re.MULTILINE)


@pytest.mark.skipif(not Path("/proc").exists(), reason="needs Linux's /proc")
def test_nothing_of_them_is_left(run, project):
    left = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            words = (folder / "cmdline").read_bytes()
            if str(project).encode() in words or os.readlink(folder / "cwd").startswith(str(project)):
                left.append((folder.name, words))
        except OSError:
            continue
    assert left == []


def test_each_row_is_saved_when_it_is_measured(project, tmp_path):
    """The second row kills the benchmark's process."""
    text = RIGHT.replace(TRAIN, "import os\n\n\n" + TRAIN + "    os.kill(int(os.environ['BENCHMARK']), 9)\n")
    path = tmp_path / "run.json"
    with added(project, zz_kills=text):
        options = ("--pairs=8", f"--benchmark-json={path}", "-k", "manual_inplace or zz_kills")
        done = bench(project, "--benchmark-only", *options, plugin="tests_signal")
    assert done.returncode == -signal.SIGKILL
    assert [row.own.name for row in saved.load(path).rows] == ["manual_inplace"]
