"""A copy of the project with little data, and the benchmark run in it: what several files of tests use."""

import os
import shutil
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import numpy as np

ROOT = Path(__file__).parent.parent
RIGHT = (ROOT / "implementations" / "manual_inplace.py").read_text()
TRAIN = "def train(x, y, weight, bias, batch_size, lr, epochs):\n"
# What a run takes its time for, in less of it: files and lines, each with what takes its place.
SHORTER = {
    ("benchmarks/measure/floor.py", "\nSECONDS = 0.5 "): "\nSECONDS = 0.02 ",
    ("benchmarks/measure/worker.py", "\nMOST_WRITTEN = 2**30 "): "\nMOST_WRITTEN = 2**24 ",
}
# Tells what runs in it which process the benchmark's is.
TELLS = "import os\n\nos.environ['BENCHMARK'] = str(os.getpid())\n"


def made_project(folder):
    """The folder, with a copy of the project and 400 rows of 20 made-up pixels in own.npz."""
    for name in ("implementations", "reference", "benchmarks"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("conftest.py", "pyproject.toml"):
        shutil.copy(ROOT / name, folder)
    for (name, line), shorter in SHORTER.items():
        text = (folder / name).read_text()
        assert text.count(line) == 1
        (folder / name).write_text(text.replace(line, shorter))
    (folder / "tests_signal.py").write_text(TELLS)
    random = np.random.default_rng(0)
    pixels, labels = random.integers(0, 256, (410, 20)).astype(np.uint8), random.integers(0, 10, 410)
    np.savez(folder / "own.npz", x_train=pixels[:400], y_train=labels[:400], x_valid=pixels[400:], y_valid=labels[400:])
    return folder


def bench(project, *arguments, plugin=None, **environment):
    """The benchmark's process, ended: its exit status and what it printed, in 120 columns.

    On the CPU, with one thread and the project's own data, unless the arguments say otherwise.
    """
    plugins = ["-p", plugin] if plugin else []
    defaults = ["--device", "cpu", "--torch-threads", "1", "--dataset", "own.npz"]
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:hypothesispytest", *plugins, "benchmarks", *defaults, *arguments],
        cwd=project,
        capture_output=True,
        text=True,
        env=os.environ | {"COLUMNS": "120", "NN_DATA_DIR": str(project / "data")} | environment,
    )


@contextmanager
def added(project, **files):
    """Implementations that are there for a while: texts, or bytes, by their names."""
    paths = {project / "implementations" / f"{name}.py": text for name, text in files.items()}
    for path, text in paths.items():
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
    try:
        yield
    finally:
        for path in paths:
            path.unlink()
