"""Accelerators that are not CUDA: none is here, so torch.accelerator is told of one, or the CPU plays one."""

import json
import re

import pytest
import torch

from benchmarks import session
from benchmarks.measure import stopwatch
from reference import accelerator
from tests.project import bench, made_project

ON_XPU = {"manual_inplace-xpu", "nn_to_device-xpu", "torch_nn-xpu"}
# Added to reference/accelerator.py it makes the CPU an "xpu": tensors go nowhere else, and waiting is written down.
PLAYED = """

import functools
from pathlib import Path


def elsewhere(call, *arguments, **options):
    arguments = ["cpu" if isinstance(argument, str) and argument == "xpu" else argument for argument in arguments]
    if options.get("device") == "xpu":
        options["device"] = "cpu"
    return call(*arguments, **options)


torch.ones = functools.partial(elsewhere, torch.ones)
torch.tensor = functools.partial(elsewhere, torch.tensor)
torch.Tensor.to = functools.partialmethod(functools.partial(elsewhere, torch.Tensor.to))
torch.accelerator.current_accelerator = lambda check_available=False: torch.device("xpu")
torch.accelerator.synchronize = Path(__file__).with_name("waited").touch
torch.xpu.get_device_name = lambda: "the CPU, playing xpu"
"""


@pytest.fixture
def there(monkeypatch):
    """Tells torch.accelerator that there is a device of this type, or none."""

    def there(device):
        found = device and torch.device(device)
        monkeypatch.setattr(torch.accelerator, "current_accelerator", lambda check_available: found)

    return there


@pytest.mark.parametrize("device", ["mps", "xpu", None])
def test_an_accelerator_is_seen_by_its_type(device, there):
    there(device)
    assert [kind for kind in ("cuda", "mps", "xpu") if accelerator.sees(kind)] == [device] * bool(device)


def test_an_accelerator_has_a_name(monkeypatch):
    monkeypatch.setattr(torch.backends.mps, "get_name", lambda: "Apple M4")
    monkeypatch.setattr(torch.xpu, "get_device_name", lambda: "Intel Arc")
    assert accelerator.name("mps") == "Apple M4"
    assert accelerator.name("xpu") == "Intel Arc"
    assert session.accelerator_in_words("xpu").startswith("device xpu: Intel Arc; nobody has run")


@pytest.mark.parametrize("device", ["cuda", "mps", "xpu"])
def test_the_clock_of_an_accelerator_waits_for_it(device, monkeypatch):
    log = []
    monkeypatch.setattr(torch.accelerator, "synchronize", lambda: log.append("waited"))
    monkeypatch.setattr(stopwatch, "perf_counter", lambda: log.append("read") or 1.0)
    assert stopwatch.clock(device)() == 1.0
    assert log == ["waited", "read"]


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A copy of the project in which the CPU plays an xpu."""
    folder = made_project(tmp_path_factory.mktemp("played"))
    path = folder / "reference" / "accelerator.py"
    path.write_text(path.read_text() + PLAYED)
    return folder


def test_rows_run_unchanged_on_another_accelerator(project):
    rows = "manual_inplace or nn_to_device or numpy_loop"
    options = ("--benchmark-only", "--pairs", "8", "--budget", "1", "--benchmark-json", "run.json")
    done = bench(project, "--device", "xpu", "-k", rows, *options)
    assert done.returncode == 0, done.stdout
    assert re.search("^device xpu: the CPU, playing xpu; nobody has run these rows on xpu yet", done.stdout, re.M)
    assert set(re.findall(r"^(\w+-\w+) ", done.stdout, re.MULTILINE)) == ON_XPU
    (row, *_) = json.loads((project / "run.json").read_text())["benchmarks"]
    assert row["extra_info"]["device_name"] == "the CPU, playing xpu"
    assert (project / "reference" / "waited").exists()


def test_a_device_that_is_not_there_is_refused_in_one_line(project):
    done = bench(project, "--device", "mps", "-k", "manual_inplace", "--benchmark-only")
    assert "ERROR: --device mps: torch sees no MPS device here; use --device cpu" in done.stdout + done.stderr
    assert done.returncode == 4
