"""The benchmark's options: what they mean, and what is refused at once."""

import os
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import pytest_benchmark.plugin
import torch

import implementations
from benchmarks import options, session
from tests.project import ROOT

GOOD = {
    "dataset": "digits",
    "device": "cpu",
    "batch_size": "64",
    "rows": None,
    "epochs": "1",
    "pairs": "auto",
    "budget": None,
    "processes": "1",
    "part": None,
    "whole": None,
    "margin": "auto",
    "baseline": "torch_nn",
    "torch_threads": None,
    "quick": False,
    "columns": None,
    "timeout": None,
    "spawn": False,
    "ranks": None,
}


def settings(**changed):
    return options.checked_settings(SimpleNamespace(**GOOD | changed))


def test_the_defaults():
    place = ("digits", ("cpu",), (64,), (None,), None, 1, None, "torch_nn", None)
    rest = (options.FULL_SECONDS, 1, None, None, None, (), options.TIMEOUT_SECONDS, False, 1)
    assert settings() == options.Settings(*place, *rest)


def test_quick_takes_fewer_rows_unless_told_otherwise():
    assert (settings(quick=True).rows, settings(quick=True).most_rows) == ((None,), 3_500)
    assert settings(quick=True, rows="77").rows == (77,)
    assert settings(quick=True).budget < settings().budget


def test_threads_are_not_so_many_that_the_process_ends():
    assert settings(torch_threads="256").threads == 256
    with pytest.raises(pytest.UsageError, match="--torch-threads 257: expected at most 256"):
        settings(torch_threads="257")


def test_processes_share_the_time():
    assert settings(budget="100").budget == 100
    assert settings(budget="100", processes="5").budget == 20
    assert settings(processes="5", pairs="4").pairs == 4


@pytest.mark.parametrize(
    ("variables", "changed", "complaint"),
    [
        ({"TORCHELASTIC_RUN_ID": "a"}, {"processes": "2"}, "--processes 2: torchrun has started this one"),
        ({"LOCAL_WORLD_SIZE": "2"}, {"ranks": "2"}, "torchrun --nproc-per-node 2: expected 1 on each machine"),
        ({"GROUP_WORLD_SIZE": "2"}, {"ranks": "3"}, "--ranks 3: expected as many on each of 2 machines"),
    ],
)
def test_torchrun_starts_the_benchmark_once_on_each_machine(monkeypatch, variables, changed, complaint):
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(pytest.UsageError, match=f"^{re.escape(complaint)}"):
        settings(benchmark_disable=True, **changed)


def test_the_margin_is_in_percent():
    assert settings(margin="2.5").margin == 0.025
    assert settings().margin is None


def test_lists():
    assert settings(batch_size="16,64", rows="1000,50000").batch_sizes == (16, 64)
    assert settings(batch_size="16,64", rows="1000,50000", quick=True).rows == (1000, 50_000)


def test_columns():
    assert settings(columns="ops/step, 99 % interval").columns == ("ops/step", "99 % interval")


@pytest.mark.parametrize(
    ("changed", "complaint"),
    [
        ({"columns": "ops/step,speed"}, "--columns speed: expected some of ms/epoch, us/step,"),
        ({"columns": ""}, "--columns : expected some of ms/epoch, us/step,"),
        ({"columns": "error,error"}, "--columns error: expected some of ms/epoch, us/step,"),
        ({"batch_size": "0"}, "--batch-size 0: expected a whole number of at least 1"),
        ({"batch_size": "-64"}, "--batch-size -64: expected a whole number of at least 1"),
        ({"batch_size": "many"}, "--batch-size many: expected a whole number of at least 1"),
        ({"batch_size": "1.5"}, "--batch-size 1.5: expected a whole number of at least 1"),
        ({"batch_size": "٣"}, "--batch-size ٣: expected a whole number of at least 1"),
        ({"rows": "0"}, "--rows 0: expected a whole number of at least 1"),
        ({"rows": ""}, "--rows : expected a whole number of at least 1"),
        ({"batch_size": "16,"}, "--batch-size : expected a whole number of at least 1"),
        ({"batch_size": "16, 64"}, "--batch-size  64: expected a whole number of at least 1"),
        ({"rows": "100,0"}, "--rows 0: expected a whole number of at least 1"),
        ({"rows": "100,99,100"}, "--rows 100,99,100: 100 is there twice; name each number once"),
        ({"batch_size": "16,64,16"}, "--batch-size 16,64,16: 16 is there twice; name each number once"),
        ({"epochs": "0"}, "--epochs 0: expected a whole number of at least 1"),
        ({"epochs": "9" * 30}, f"--epochs {'9' * 30}: expected a whole number of at least 1"),
        ({"pairs": "6"}, "--pairs 6: expected a whole number of at least 8"),
        ({"pairs": "9"}, "--pairs 9: expected an even number"),
        ({"pairs": "many"}, "--pairs many: expected a whole number of at least 8"),
        ({"pairs": "3", "processes": "5"}, "--pairs 3: expected an even number"),
        ({"budget": "0"}, "--budget 0: expected a whole number of at least 1"),
        ({"processes": "0"}, "--processes 0: expected a whole number of at least 1"),
        ({"margin": "0"}, "--margin 0: expected auto or a number of percent, 0.01 to 100"),
        ({"margin": "nan"}, "--margin nan: expected auto or a number of percent, 0.01 to 100"),
        ({"margin": "1e9"}, "--margin 1e9: expected auto or a number of percent, 0.01 to 100"),
        ({"margin": "one"}, "--margin one: expected auto or a number of percent, 0.01 to 100"),
        ({"torch_threads": "0"}, "--torch-threads 0: expected a whole number of at least 1"),
        ({"baseline": "nobody"}, "--baseline nobody: expected one of torch_nn, parent, allreduce_async"),
        ({"timeout": "0"}, "--timeout 0: expected a number of seconds, at least 1"),
        ({"timeout": "soon"}, "--timeout soon: expected a number of seconds, at least 1"),
        ({"timeout": "nan"}, "--timeout nan: expected a number of seconds, at least 1"),
        ({"device": "tpu"}, "--device tpu: expected auto, cpu, cuda, mps or xpu"),
    ],
)
def test_a_bad_value_is_refused_in_one_line(changed, complaint):
    with pytest.raises(pytest.UsageError) as raised:
        settings(**changed)
    assert str(raised.value).startswith(complaint)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("there", [True, False])
def test_devices(there, monkeypatch):
    monkeypatch.setattr(options, "loads", lambda library: True)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: there)
    assert settings(device="auto").devices == (("cpu", "cuda") if there else ("cpu",))
    if there:
        assert settings(device="cuda").devices == ("cuda",)
    else:
        with pytest.raises(pytest.UsageError, match="--device cuda: torch sees no CUDA device here"):
            settings(device="cuda")


def test_a_folder_that_cannot_be_written_is_refused_before_anything_is_measured(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(pytest.UsageError, match=r"cannot save to .*; choose another place with --benchmark-json FILE"):
        options.check_writable(tmp_path / "file" / "run.json")
    with pytest.raises(pytest.UsageError, match=r"cannot save to .*: File name too long; choose another place"):
        options.check_writable(tmp_path / ("a" * 300))


def test_a_folder_is_no_place_for_a_run(tmp_path):
    with pytest.raises(pytest.UsageError, match=r"cannot save to .*: it is a folder"):
        options.check_writable(tmp_path)


def test_a_device_is_no_place_for_a_run(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(pytest.UsageError, match=r"^cannot save to .*pipe: it is no ordinary file; name a file with"):
        options.check_writable(tmp_path / "pipe")


def test_a_tilde_is_the_home_folder(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert options.expanded(Path("~/run.json")) == tmp_path / "run.json"
    monkeypatch.chdir(tmp_path)
    assert options.expanded(Path("run.json")) == tmp_path / "run.json"


def test_without_a_home_folder_a_tilde_is_refused(no_home):
    with pytest.raises(pytest.UsageError, match=r"^--benchmark-json ~/run.json: ~ is nobody's home folder here; name"):
        options.expanded(Path("~/run.json"))


@pytest.mark.parametrize("name", options.ELSEWHERE)
def test_what_is_done_elsewhere_is_not_done_in_silence(name):
    for argument in (name, f"{name}=3"):
        with pytest.raises(pytest.UsageError, match=re.escape(f"{name} does nothing here: {options.ELSEWHERE[name]}")):
            options.check_elsewhere(["benchmarks", "--benchmark-only", argument])
    options.check_elsewhere(["benchmarks", "--benchmark-only", "--benchmark-json", name.removeprefix("--")])


def test_what_is_asked_for_in_the_environment_is_seen(monkeypatch):
    monkeypatch.setenv("PYTEST_ADDOPTS", "-k 'a or b' --benchmark-timer=time.time")
    with pytest.raises(pytest.UsageError, match=r"^--benchmark-timer does nothing here: "):
        options.check_elsewhere(["benchmarks"])


# Those of pytest-benchmark's options that do here what they do everywhere.
KEPT = {"only", "disable", "enable", "skip", "json", "verbose", "quiet"}


def test_every_option_of_pytest_benchmark_is_kept_or_said_to_do_nothing():
    parser = pytest.Parser(_ispytest=True)
    pytest_benchmark.plugin.pytest_addoption(parser)
    names = {name for option in parser.getgroup("benchmark").options for name in option.names()}
    assert names - {f"--benchmark-{name}" for name in KEPT} == set(options.ELSEWHERE)


def row(name, batch_size=64):
    """A row as pytest has collected it."""
    problem = {"name": name, "device": "cpu", "rows": None, "batch_size": batch_size}
    return SimpleNamespace(name=f"[{name}-cpu]", fixturenames=["suite"], callspec=SimpleNamespace(params=problem))


def config(**given):
    """A configuration of pytest's with these options."""
    return SimpleNamespace(getoption=lambda name, default: given.get(name, default))


def test_a_row_is_there_once():
    session.check_once([row("a"), row("b"), row("a", 16), SimpleNamespace(name="no row")], config(reruns=0))
    with pytest.raises(pytest.UsageError, match=r"^\[a-cpu\] is there twice, as --count and --keep-duplicates do it: "):
        session.check_once([row("a"), row("b"), row("a")], config())


def test_a_row_is_not_tried_until_it_is_right():
    with pytest.raises(pytest.UsageError, match=r"^--reruns: a row that is wrong once is wrong; leave this out$"):
        session.check_once([row("a")], config(reruns=1))


def shown(*arguments):
    """Exit status, output and complaint of pytest in an ASCII terminal, without plugins that nobody has named."""
    fixed = {"PYTHONIOENCODING": "ascii", "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    command = [sys.executable, "-m", "pytest", *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, env=os.environ | fixed)
    return done.returncode, done.stdout, done.stderr


def test_help_names_all_options():
    status, text, complaint = shown("--help")
    assert (status, complaint) == (0, "")
    assert not [name for name in ("--pairs", "--benchmark-only", *options.ELSEWHERE) if f"  {name}" not in text]
    assert "0.02 for ?2%" in " ".join(text.split())  # pytest-benchmark's plus-minus, which ASCII lacks


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (("--version",), "pytest "),
        (("--markers",), "@pytest.mark.benchmark: "),
        (("--fixtures", "benchmarks", "--dataset", "gone.npz"), "suite [session scope] -- conftest.py:"),
        (("--setup-plan", "benchmarks", "--dataset", "gone.npz", "-k", "numpy_loop"), "SETUP    S suite"),
    ],
)
def test_what_pytest_shows_needs_no_data(arguments, line):
    status, text, complaint = shown(*arguments)
    assert (status, complaint) == (0, "")
    assert line in text


def test_pytest_benchmark_cannot_be_left_out():
    status, _, complaint = shown("--collect-only", "benchmarks", "-p", "no:benchmark")
    expected = "ERROR: -p no:benchmark: here pytest-benchmark holds the times; leave this out"
    assert (status, complaint.strip()) == (4, expected)


def test_a_folder_for_results_is_made(tmp_path):
    options.check_writable(tmp_path / "results" / "run.json")
    assert list((tmp_path / "results").iterdir()) == []


def test_a_baseline_that_runs_nowhere_here_is_refused():
    with pytest.raises(pytest.UsageError, match="--baseline graph_step: it runs on cuda only, the rows do not"):
        settings(baseline="graph_step")
    assert settings(baseline="numpy_loop").baseline == "numpy_loop"


@pytest.mark.parametrize("version", ["5.3.0", "5.3.1", "5.10", "6.0.0rc1"])
def test_a_pytest_benchmark_that_fits(version):
    options.check_pytest_benchmark(version)


def test_an_older_pytest_benchmark_is_refused_in_one_line():
    complaint = "pytest-benchmark 5.2.3: expected 5.3 or newer; python -m pip install 'pytest-benchmark>=5.3'"
    with pytest.raises(pytest.UsageError, match=f"^{re.escape(complaint)}$"):
        options.check_pytest_benchmark("5.2.3")


@pytest.mark.parametrize(
    ("name", "count", "words"),
    [
        ("NVIDIA T4", 1, "device cuda: NVIDIA T4"),
        ("NVIDIA L4", 2, "device cuda: NVIDIA L4, the first of 2: CUDA_VISIBLE_DEVICES=1 takes the next"),
        (
            "NVIDIA H100 80GB HBM3 MIG 1g.10gb",
            1,
            "device cuda: NVIDIA H100 80GB HBM3 MIG 1g.10gb, a part of a GPU (MIG): not to be compared with a "
            "whole one",
        ),
    ],
)
def test_which_gpu_it_is(name, count, words, monkeypatch):
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: name)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: count)
    assert session.gpu_in_words() == words


def test_without_a_driver_torch_is_not_asked(monkeypatch):
    monkeypatch.setattr(options, "loads", lambda library: False)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: 1 / 0)
    assert settings(device="auto").devices == ("cpu",)


@pytest.mark.parametrize("name", ["torch_nn", "torch_nn_copy"])
def test_the_references_names_are_refused(name, monkeypatch):
    monkeypatch.setattr(implementations, "names", lambda: [name])
    with pytest.raises(pytest.UsageError, match=f"^implementations/{name}.py: this name is the reference's; choose"):
        settings()


@pytest.mark.parametrize("name", ["my-idea", "größe", "my.idea", "one\u00a0idea", "a" * 101, ""])
def test_a_name_that_no_row_can_have_is_refused_before_anything_is_timed(name, monkeypatch):
    monkeypatch.setattr(implementations, "names", lambda: [name])
    with pytest.raises(pytest.UsageError, match=f"^implementations/{name}.py: expected a name of letters, digits and"):
        settings()


def test_where_pytest_has_a_timeout_of_its_own_there_is_one():
    parser = pytest.Parser(_ispytest=True)
    parser.addoption("--timeout", type=float)
    options.add(parser)
    assert parser.parse(["--timeout", "7"]).timeout == 7
