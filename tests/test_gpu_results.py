"""make gpu-results, as far as that goes without a GPU: from a plain checkout, without what a GPU machine may lack."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

import implementations
from benchmarks.measure.suite import Contest
from benchmarks.runs import saved

ROOT = Path(__file__).parent.parent
# Hides what pyproject.toml asks for, and a machine that was set up for something else may not have.
HIDING = """
import sys
class Hiding:
    def find_spec(self, name, *_):
        if name.partition(".")[0] in ("pooch", "ruff"):
            raise ModuleNotFoundError(name, name=name)
sys.meta_path.insert(0, Hiding())
"""

ROWS_OF_A_GPU = re.compile(
    "^device cpu: torch sees no CUDA device here; not run: all rows on cuda, and with them (.+)$", re.MULTILINE
)


@pytest.fixture
def checkout(tmp_path):
    """A copy of what a checkout holds, and in the folder of the data nothing."""
    for name in ("implementations", "reference", "benchmarks"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("conftest.py", "pyproject.toml", "Makefile"):
        shutil.copy(ROOT / name, tmp_path)
    return tmp_path


def ended(checkout, *command):
    """The process of a command in the checkout, without what may be absent."""
    hidden = checkout / "hidden"
    hidden.mkdir()
    (hidden / "sitecustomize.py").write_text(HIDING)
    environment = os.environ | {
        "PYTHONPATH": str(hidden),
        "NN_DATA_DIR": str(checkout / "data"),
        "COLUMNS": "120",
        "PYTEST_ADDOPTS": "-p no:hypothesispytest",
    }
    return subprocess.run(command, cwd=checkout, capture_output=True, text=True, env=environment)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_without_a_gpu_it_says_so_in_one_line_and_leaves_what_there_was(checkout):
    (checkout / "results").mkdir()
    (checkout / "results" / "cuda.json").write_text("an earlier run")
    done = ended(checkout, "make", "gpu-results", f"PYTHON={sys.executable}")
    assert done.returncode != 0
    (line,) = re.findall("ERROR: .*", done.stderr)
    assert line == "ERROR: --device cuda: torch sees no CUDA device here; use --device cpu"
    assert "Traceback" not in done.stdout + done.stderr
    assert [path.name for path in (checkout / "results").iterdir()] == ["cuda.json"]
    assert (checkout / "results" / "cuda.json").read_text() == "an earlier run"


def test_what_may_be_absent_is_not_needed(checkout):
    """The command's two halves, on the CPU: MNIST cannot be fetched without pooch, so the bundled digits run."""
    makefile = (ROOT / "Makefile").read_text()
    columns = re.search("^GPU_COLUMNS = '(.+)'$", makefile, re.MULTILINE)[1]
    path = checkout / "results" / "run.json"
    options = ("--columns", columns, "--benchmark-json", path, "--rows", "200", "--pairs", "8", "-k", "manual_onehot")
    options += ("--device", "cpu") if torch.cuda.is_available() else ()
    done = ended(checkout, sys.executable, "-m", "pytest", "benchmarks", "--benchmark-only", *options)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "pooch is not installed, so MNIST cannot be fetched" in " ".join(done.stdout.split())
    assert torch.cuda.is_available() or ROWS_OF_A_GPU.search(done.stdout)
    (row,) = saved.load(path).rows
    assert row.setting.dataset == "digits"
    shutil.rmtree(checkout / "hidden")
    done = ended(checkout, sys.executable, "-m", "benchmarks.report", path, "--columns", columns)
    assert done.returncode == 0, done.stderr
    assert "kernels/epoch" in path.with_suffix(".md").read_text()


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_without_a_gpu_no_row_of_one_is_found_and_a_run_names_those_that_are_not_run(checkout):
    done = ended(
        checkout, sys.executable, "-m", "pytest", "benchmarks", "--benchmark-only", "-k", "graph_step or triton"
    )
    assert done.returncode == pytest.ExitCode.NO_TESTS_COLLECTED
    (named,) = ROWS_OF_A_GPU.findall(done.stdout)
    only = [name for name in implementations.names() if implementations.devices(name) == ("cuda",)]
    assert {"graph_step", "graph_epoch"} <= set(only) == set(named.split(", "))


def test_a_python_without_the_packages_is_told_which(checkout):
    done = ended(checkout, "make", "gpu-results", f"PYTHON={sys.executable} -S")
    assert done.returncode != 0
    assert re.search(r"^error: .* lacks \['torch', .*make gpu-results PYTHON=", done.stderr, re.MULTILINE)
    assert "Traceback" not in done.stdout + done.stderr


@pytest.mark.parametrize(
    ("found", "lacks"),
    [((8, 9), "needs compute capability 9.0 or higher; this GPU has 8.9"), ((9, 0), ""), ((10, 3), "")],
)
def test_a_row_that_needs_a_newer_gpu_is_skipped_by_name(found, lacks, monkeypatch):
    monkeypatch.setattr(implementations, "capability", lambda name: (9, 0))
    reference = SimpleNamespace(hardware={"capability": found})
    for device, words in (("cuda", lacks), ("cpu", "")):
        contest = SimpleNamespace(device=device, baseline=lambda name: reference)
        assert Contest.lacks(contest, "manual_inplace") == words
