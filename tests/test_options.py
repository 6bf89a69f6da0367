"""The benchmark's options: what they mean, and what is refused at once."""

import re
from types import SimpleNamespace

import pytest
import torch

import implementations
from benchmarks import options, session

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
    "margin": "auto",
    "baseline": "torch_nn",
    "torch_threads": None,
    "quick": False,
    "columns": None,
    "timeout": None,
    "spawn": False,
}


def settings(**changed):
    return options.checked_settings(SimpleNamespace(**GOOD | changed))


def test_the_defaults():
    place = ("digits", ("cpu",), (64,), (None,), 1, None, "torch_nn", None)
    rest = (options.FULL_SECONDS, 1, None, None, (), options.TIMEOUT_SECONDS, False)
    assert settings() == options.Settings(*place, *rest)


def test_quick_takes_fewer_rows_unless_told_otherwise():
    assert settings(quick=True).rows == (5_000,)
    assert settings(quick=True, rows="77").rows == (77,)
    assert settings(quick=True).budget < settings().budget


def test_processes_share_the_time():
    assert settings(budget="100").budget == 100
    assert settings(budget="100", processes="5").budget == 20
    assert settings(processes="5", pairs="4").pairs == 4


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
        ({"baseline": "nobody"}, "--baseline nobody: expected one of torch_nn, parent, autograd_arange"),
        ({"timeout": "0"}, "--timeout 0: expected a number of seconds, at least 1"),
        ({"timeout": "soon"}, "--timeout soon: expected a number of seconds, at least 1"),
        ({"timeout": "nan"}, "--timeout nan: expected a number of seconds, at least 1"),
        ({"device": "tpu"}, "--device tpu: expected auto, cpu or cuda"),
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


def test_a_folder_is_no_place_for_a_run(tmp_path):
    with pytest.raises(pytest.UsageError, match=r"cannot save to .*: it is a folder"):
        options.check_writable(tmp_path)


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


@pytest.mark.parametrize("name", ["my-idea", "größe"])
def test_a_name_that_no_row_can_have_is_refused_before_anything_is_timed(name, monkeypatch):
    monkeypatch.setattr(implementations, "names", lambda: [name])
    with pytest.raises(pytest.UsageError, match=f"^implementations/{name}.py: expected a name of letters, digits and"):
        settings()


def test_where_pytest_has_a_timeout_of_its_own_there_is_one():
    parser = pytest.Parser(_ispytest=True)
    parser.addoption("--timeout", type=float)
    options.add(parser)
    assert parser.parse(["--timeout", "7"]).timeout == 7
