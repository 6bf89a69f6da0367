"""The benchmark from the command line, in a copy of the project with good and bad implementations."""

import json
import re
from itertools import pairwise

import pytest

from benchmarks import options
from benchmarks.runs import saved, statistics
from benchmarks.show import table
from tests.project import RIGHT, TRAIN, added, bench, made_project

NEW_FILES = {
    "my_idea": RIGHT[RIGHT.index("import torch") :],
    "with_prepare": RIGHT.replace(
        TRAIN, "def prepare(x, y, batch_size):\n    return x.clone(), y.clone()\n\n\n" + TRAIN
    ),
    "wrong_answer": RIGHT.replace("grad.sum(0)", "grad.mean(0)"),
    "draws_when_imported": "import numpy as np\n\nnp.random.rand()\n" + RIGHT,
    "wrong_on_many_rows": RIGHT.replace(TRAIN, TRAIN + "    epochs += len(x) == 400\n"),
    "wrong_on_few_rows": RIGHT.replace(TRAIN, TRAIN + "    epochs += len(x) < batch_size\n"),
    "wrong_later": RIGHT.replace(
        TRAIN, "CALLS = []\n\n\n" + TRAIN + "    CALLS.append(1)\n    epochs += len(CALLS) > 30\n"
    ),
    "comes_later": RIGHT.replace(
        TRAIN,
        "from threading import Timer\n\nCALLS = []\n\n\ndef train(*given):\n    CALLS.append(1)\n"
        "    right = solve(*given)\n    if len(CALLS) <= 30:\n        return right\n"
        "    later = tuple(map(torch.zeros_like, right))\n"
        "    Timer(0.01, lambda: [a.copy_(b) for a, b in zip(later, right)]).start()\n    return later\n\n\n"
        + TRAIN.replace("train", "solve"),
    ),
    "remembers": RIGHT.replace(
        TRAIN,
        "import pickle\n\nSEEN = {}\n\n\ndef train(*given):\n    key = pickle.dumps([getattr(t, 'tolist', lambda: t)() "
        "for t in (given[0], given[1], *given[4:])])\n"
        "    if key not in SEEN or len(given[0]) < 400:\n        SEEN[key] = solve(*given)\n"
        "    return SEEN[key]\n\n\n" + TRAIN.replace("train", "solve"),
    ),
    "wrong_shape": RIGHT.replace("return weight, bias", "return weight.T, bias"),
    "wrong_device": RIGHT.replace("return weight, bias", "return weight.to('meta'), bias"),
    "raises": RIGHT.replace(TRAIN, TRAIN + "    raise OSError('out of\\nideas')\n"),
    "raises_later": RIGHT.replace(
        TRAIN,
        "CALLS = []\n\n\n" + TRAIN + "    CALLS.append(1)\n    if len(CALLS) > 30:\n        raise OSError('tired')\n",
    ),
    "exits": RIGHT.replace(TRAIN, TRAIN + "    raise SystemExit(0)\n"),
    "no_train": "x = 1\n",
    "broken_syntax": "def train(:\n",
    "broken_import": "import no_such_package\n\n\n" + TRAIN + "    return weight, bias\n",
    "missing_package": 'REQUIRES = ("no_such_package",)\nimport no_such_package\n',
    "lacks": RIGHT.replace(TRAIN, TRAIN + "    raise NotImplementedError('no cluster of 8 blocks')\n"),
    "lacks_without_words": RIGHT.replace(TRAIN, TRAIN + "    raise NotImplementedError\n"),
    "torch_lacks": RIGHT.replace(
        TRAIN, TRAIN + "    exec(compile('raise NotImplementedError(\"of torch\")', 'torch.py', 'exec'))\n"
    ),
    "overflows": RIGHT.replace(
        "torch.softmax(xb @ weight + bias, dim=1)",
        "(xb @ weight + bias).exp()\n            grad /= grad.sum(1)[:, None]",
    ),
    "marked_wrongly": "EXPECTED_TO_FAIL = True\n" + RIGHT,
    "no_such_device": 'DEVICES = ("tpu",)\n' + RIGHT,
    "one_thing": RIGHT.replace(
        TRAIN,
        "def prepare(x, y, batch_size):\n    return [x, y]\n\n\n"
        + TRAIN.replace("x, y", "both").replace(":\n", ":\n    x, y = both\n"),
    ),
    "elsewhere": RIGHT.replace("import torch\n", 'import torch\n\nDEVICES = ("cuda",)\n'),
}


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    return made_project(tmp_path_factory.mktemp("project"))


@pytest.fixture(scope="module")
def mixed(project):
    """A run with good and bad implementations together, and the path of what it saved."""
    with added(project, **NEW_FILES):
        names = " or ".join(["manual_inplace", *NEW_FILES])
        done = bench(project, "--benchmark-only", "--dataset", "own.npz", "--pairs", "20", "-k", names)
    (path,) = (project / "results").glob("run-*.json")
    return done, path


def test_a_new_file_has_its_row_without_any_other_edit(mixed):
    done, path = mixed
    assert re.search(r"^my_idea-cpu +\d+\.\d+ +\d+\.\d +[\d.]+ +\d+\.\d\d ", done.stdout, re.MULTILINE)
    assert re.search(r"^with_prepare-cpu +\d", done.stdout, re.MULTILINE)
    assert {row.own.name for row in saved.load(path).rows} == {
        "manual_inplace",
        "my_idea",
        "with_prepare",
        "draws_when_imported",
        "one_thing",
    }


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("wrong_answer", "wrong: the timed problem: the update is off by .* in float32 noise, allowed 10"),
        ("wrong_on_many_rows", "wrong: the timed problem: the update is off by"),
        ("wrong_on_few_rows", "wrong: one row: the update is off by .*; first wrong at batch 1 of 1"),
        ("wrong_later", "wrong: the timed problem: the update is off by"),
        ("comes_later", "wrong: the timed problem: the update is off by"),
        ("remembers", "wrong: the timed problem: the update is off by"),
        ("wrong_shape", r"wrong: the timed problem: returned weight as \(10, 20\)"),
        ("wrong_device", "wrong: the timed problem: returned weight as .* on meta; expected .* on cpu"),
        ("raises", r"wrong: raised OSError: out of ideas \(raises\.py:\d+\)"),
        ("raises_later", r"wrong: raised OSError: tired \(raises_later\.py:\d+\)"),
        ("exits", r"wrong: raised SystemExit: 0 \(exits\.py:\d+\)"),
        ("no_train", "wrong: raised AttributeError: .* has no attribute 'train'"),
        ("broken_syntax", "wrong: raised SyntaxError: "),
        ("broken_import", "wrong: raised ModuleNotFoundError: No module named 'no_such_package'"),
        ("missing_package", "skipped: no_such_package not installed"),
        ("lacks", "skipped: no cluster of 8 blocks"),
        ("lacks_without_words", "skipped: it cannot run here"),
        ("torch_lacks", "wrong: raised NotImplementedError: of torch"),
        ("overflows", "wrong: large logits: the trained parameters are not finite"),
        ("no_such_device", r"wrong: DEVICES = \('tpu',\): expected one or several of"),
        ("marked_wrongly", "wrong: EXPECTED_TO_FAIL = True: expected nothing but "),
    ],
)
def test_a_row_without_a_time_says_why(name, reason, mixed):
    done, path = mixed
    word = reason.partition(":")[0]
    assert re.search(rf"^{name}-cpu +{word} *$", done.stdout, re.MULTILINE)
    reasons = dict(saved.load(path).untimed)
    assert re.match(reason, reasons[f"{name}-cpu"])
    assert " ".join(f"{name}-cpu {reasons[f'{name}-cpu']}".split()) in " ".join(done.stdout.split())


def test_a_wrong_answer_has_no_time_anywhere(mixed):
    timed = {benchmark["name"] for benchmark in json.loads(mixed[1].read_text())["benchmarks"]}
    assert timed == {
        f"test_epoch[{name}-cpu]"
        for name in ("manual_inplace", "my_idea", "with_prepare", "draws_when_imported", "one_thing")
    }


def test_the_exit_status_tells_of_the_refused(mixed):
    done, _ = mixed
    assert done.returncode == 1
    assert "18 failed, 5 passed, 3 skipped" in done.stdout
    assert "Traceback" not in done.stdout + done.stderr


def test_who_does_not_wait_in_front_of_a_terminal_is_told_of_no_progress(mixed):
    done, _ = mixed
    assert ": row " not in done.stdout + done.stderr


def test_a_file_for_another_device_is_no_row(mixed):
    assert "elsewhere" not in mixed[0].stdout


def test_everything_fits_120_columns(mixed):
    summary = mixed[0].stdout.partition("one trainer, written many times")[2]
    shown = summary.partition("saved: ")[0].partition("short test summary")[0]
    assert max(map(len, shown.splitlines()[1:])) <= table.WIDTH


def test_the_saved_run_gives_the_printed_table(mixed):
    done, path = mixed
    assert table.text(saved.load(path)) in done.stdout


def test_the_saved_rows_have_what_refuses_an_unfair_comparison(mixed):
    row = saved.load(mixed[1]).rows[0]
    setting = row.setting
    assert (setting.dataset, setting.rows, setting.batch_size, setting.epochs, setting.device) == (
        "own.npz",
        400,
        64,
        1,
        "cpu",
    )
    assert row.pairs == 20
    assert row.baseline_first.count(True) == 10
    assert len(setting.dataset_sha256) == len(row.own.source_sha256) == len(setting.checker_sha256) == 64
    assert min(row.own.cpu_seconds + row.baseline.cpu_seconds) > 0
    assert list(row.start_seconds) == sorted(row.start_seconds)


def test_the_reference_is_raced_against_its_copy_in_every_run(mixed):
    run = saved.load(mixed[1])
    (check,) = run.aa_checks
    assert (check.own.name, check.baseline.name, check.setting.device) == ("torch_nn_copy", "torch_nn", "cpu")
    assert check.pairs >= 8 + 2 * 3
    assert check.own.source_sha256 == check.baseline.source_sha256
    starts = [0, *sorted(row.start_seconds[0] for row in run.rows)]
    for one_row, the_next in pairwise(starts):
        assert any(one_row < start < the_next for start in check.start_seconds)
    assert run.conditions.switches_per_second >= 0


def test_pairs_go_on_until_the_time_is_over(project):
    place = project / "elsewhere" / "auto.json"
    options = ("--budget=2", "--baseline=numpy_loop", f"--benchmark-json={place}", "-k=manual_inplace or slow")
    with added(
        project, slow=RIGHT.replace(TRAIN, TRAIN + "    for _ in range(len(x) // 400 * 10**7):\n        pass\n")
    ):
        done = bench(project, "--benchmark-only", *options)
    assert done.returncode == 0, done.stdout
    rows = {row.own.name: row for row in saved.load(place).rows}
    assert rows["slow"].pairs == statistics.fewest_pairs(statistics.LEVEL / 2)
    assert rows["manual_inplace"].pairs > rows["slow"].pairs
    assert {row.slice_rows for row in rows.values()} == {None}  # seven steps are not cut
    assert {row.baseline.name for row in rows.values()} == {"numpy_loop"}


def test_processes_come_back_as_one_run(project):
    place = project / "elsewhere" / "processes.json"
    options = ("--pairs=4", "--processes=2", f"--benchmark-json={place}")
    with added(project, bad=NEW_FILES["wrong_answer"]):
        done = bench(project, "--benchmark-only", *options, "-k=manual_inplace or numpy_loop or bad")
    assert done.returncode == 1, done.stdout
    run = saved.load(place)
    assert {row.own.name for row in run.rows} == {"manual_inplace", "numpy_loop"}
    assert [name for name, _ in run.untimed] == ["bad-cpu"]
    for row in run.rows + run.aa_checks:
        assert set(row.process) == {0, 1}
    orders = [tuple(run.rows[0].baseline_first[start : start + 4]) for start in (0, 4)]
    assert [order.count(True) for order in orders] == [2, 2]
    assert "8 a row in 2 fresh processes" in done.stdout
    assert done.stdout.count("one trainer, written many times") == 1
    assert "bad-cpu wrong: the timed problem: the update is off by" in done.stdout
    assert table.text(run) in done.stdout
    (benchmark, _) = json.loads(place.read_text())["benchmarks"]
    assert benchmark["stats"]["rounds"] == 8
    assert benchmark["stats"]["min"] == min(benchmark["extra_info"]["own_seconds"])


@pytest.fixture(scope="module")
def beside_parents(project):
    """A run with parents as baselines, of which one is refused and one becomes wrong, and the path of what it saved."""
    path = project / "elsewhere" / "parents.json"
    options = ("--baseline=parent", "--batch-size=1000", "--rows=300", "--epochs=3", "--pairs=20")
    child = '"""Compare with `{}`: nothing."""\n' + NEW_FILES["my_idea"]
    with added(
        project,
        refused=NEW_FILES["wrong_answer"],
        late=NEW_FILES["wrong_later"],
        first_child=child.format("refused"),
        second_child=child.format("late"),
    ):
        names = "manual_outofplace or autograd_inplace or child"
        return bench(project, "--benchmark-only", *options, f"--benchmark-json={path}", "-k", names), path


def test_parents_as_baselines_other_settings_and_another_place(beside_parents):
    done, path = beside_parents
    rows = {row.own.name: row for row in saved.load(path).rows}
    assert {name: row.baseline.name for name, row in rows.items()} == {
        "manual_outofplace": "manual_inplace",
        "autograd_inplace": "torch_nn",
    }
    setting = rows["manual_outofplace"].setting
    assert (setting.rows, setting.batch_size, setting.epochs) == (300, 1000, 3)
    assert (setting.steps, setting.threads) == (3, 1)
    assert f"saved: {path}" in done.stdout


def test_a_refused_baseline_refuses_its_rows(beside_parents):
    done, path = beside_parents
    assert done.returncode == 1
    reason = dict(saved.load(path).untimed)["first_child-cpu"]
    refused = "not comparable: its baseline refused has no time: the timed problem: the update is off by"
    assert reason.startswith(refused)
    assert f"first_child-cpu {refused}" in " ".join(done.stdout.split())


def test_a_baseline_that_is_wrong_later_makes_no_row_wrong(beside_parents):
    reason = dict(saved.load(beside_parents[1]).untimed)["second_child-cpu"]
    assert reason.startswith("not comparable: its baseline: the timed problem: the update is off by")


@pytest.fixture(scope="module")
def lists(project):
    """A run of several problems, with what goes wrong in some of them, and the path of what it saved."""
    path = project / "elsewhere" / "lists.json"
    options = ("--batch-size=1,16,500", "--rows=100,400", "--pairs=8", f"--benchmark-json={path}")
    once = TRAIN + "    time.sleep(0.02)\n"
    for_many = TRAIN + "    if len(x) == 400:\n        time.sleep(0.2)\n"
    later = "    if len(x) == 400:\n        CALLS.append(epochs)\n        epochs = len(CALLS)\n"
    raises = TRAIN + "    if sys.getprofile():\n        raise OSError('seen')\n"
    dies = TRAIN + "    sys.getprofile() and os._exit(9)\n"
    with added(
        project,
        bad=NEW_FILES["wrong_on_many_rows"],
        pays_once=RIGHT.replace(TRAIN, "import time\n\n\n" + once),
        wrong_later=RIGHT.replace(TRAIN, "CALLS = []\n\n\n" + TRAIN + later),
        looks_fast=RIGHT.replace(TRAIN, "import time\n\n\n" + for_many),
        raises_when_counted=RIGHT.replace(TRAIN, "import sys\n\n\n" + raises),
        dies_when_counted=RIGHT.replace(TRAIN, "import os\nimport sys\n\n\n" + dies),
    ):
        names = (
            "(numpy_loop and not batch1-) or (manual_inplace and batch16-) or (bad and batch500-)"
            " or (when_counted and batch16-rows400) or ((manual_inplace or pays_once or looks_fast or wrong_later)"
            " and batch1-rows400)"
        )
        return bench(project, "--benchmark-only", *options, "-k", names), path


@pytest.fixture(scope="module")
def rows_of_lists(lists):
    """What it saved: by implementation, rows and batch size."""
    rows = saved.load(lists[1]).rows
    return {(row.own.name, row.setting.rows, row.setting.batch_size): row for row in rows}


def test_lists_give_one_row_for_each_combination(lists, rows_of_lists):
    assert {place: row.setting.steps for place, row in rows_of_lists.items()} == {
        ("numpy_loop", 100, 16): 7,
        ("numpy_loop", 100, 500): 1,
        ("numpy_loop", 400, 16): 25,
        ("numpy_loop", 400, 500): 1,
        ("manual_inplace", 100, 16): 7,
        ("manual_inplace", 400, 16): 25,
        ("bad", 100, 500): 1,
        ("raises_when_counted", 400, 16): 25,
        ("dies_when_counted", 400, 16): 25,
        ("manual_inplace", 400, 1): 400,
        ("pays_once", 400, 1): 400,
        ("looks_fast", 400, 1): 400,
    }
    assert len({row.setting.dataset_sha256 for row in rows_of_lists.values()}) == 1
    assert re.search(r"^torch_nn-cpu \(reference\) +500 +400 ", lists[0].stdout, re.MULTILINE)


def test_one_wrong_problem_of_several_has_no_time(lists):
    done, _ = lists
    assert done.returncode == 1
    assert "2 failed, 12 passed" in done.stdout
    assert re.search(r"^bad-cpu-batch500-rows400 wrong: the timed problem: the update is off", done.stdout, re.M)


def test_what_is_wrong_on_all_rows_alone_and_not_at_first_has_no_time(lists):
    """It is timed by slices, on which it is right."""
    done, _ = lists
    assert re.search(r"^wrong_later-cpu-batch1-rows400 wrong: the timed problem: the update is off", done.stdout, re.M)


def test_unlike_rows_land_in_different_groups(mixed, lists):
    one, several = (
        {benchmark["group"] for benchmark in json.loads(path.read_text())["benchmarks"]} for _, path in (mixed, lists)
    )
    assert (len(one), len(several)) == (1, 5)
    assert not one & several
    assert sum("rows 100" in group for group in several) == 2


def test_steps_are_counted_and_a_count_that_fails_costs_no_row(lists, rows_of_lists):
    """Not even one that takes the process with it."""
    done, _ = lists
    assert "USDT" not in done.stdout + done.stderr  # what torch's profiler prints of itself
    for name in ("raises_when_counted", "dies_when_counted"):
        assert rows_of_lists[name, 400, 16].own.operations_per_step is None
    good = rows_of_lists["manual_inplace", 400, 16]
    assert good.own.operations_per_step > good.baseline.operations_per_step > 10


def test_a_long_run_is_timed_by_slices(rows_of_lists):
    """Or as a whole where slices and whole runs disagree, as they may on a loud machine."""
    good, pays = (rows_of_lists[name, 400, 1] for name in ("manual_inplace", "pays_once"))
    assert good.manner in ("slices of 50 rows", "whole runs")
    assert (pays.slice_rows, pays.own.call_seconds) == (None, None)  # nothing left to see
    looks_fast = rows_of_lists["looks_fast", 400, 1]
    assert looks_fast.slice_rows is None
    assert min(looks_fast.own.seconds) > 0.2  # of which slices see nothing
    assert rows_of_lists["manual_inplace", 400, 16].slice_rows is None  # 25 steps are not cut


def test_a_row_that_the_first_process_has_timed_by_slices_is_so_in_the_others(project):
    """Whatever the machine does meanwhile."""
    path = project / "sliced.json"
    options = ("--dataset=own.npz", "--batch-size=1", "--pairs=8", "--whole=", f"--benchmark-json={path}")
    assert bench(project, "--benchmark-only", *options, "-k", "manual_inplace").returncode == 0
    (row,) = saved.load(path).rows
    assert row.slice_rows == 50
    assert row.own.call_seconds < 0.01


def test_without_timing_rows_are_checked_all_the_same(project):
    with added(project, bad=NEW_FILES["wrong_answer"]):
        done = bench(project, "--benchmark-disable", "--dataset", "own.npz", "-k", "manual_inplace or bad")
    assert done.returncode == 1
    assert "1 failed, 1 passed" in done.stdout
    assert "bad-cpu wrong: the timed problem" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("--rows", "100,401"), "--rows 401: own.npz has 400 rows to train on"),
        (("--benchmark-compare",), f"--benchmark-compare does nothing here: {options.COMPARES}"),
        (
            ("--keep-duplicates", "benchmarks/test_epoch.py"),
            "test_epoch[autograd_arange-cpu] is there twice, as --count and --keep-duplicates do it: a run has each "
            "row once, and --processes repeats it",
        ),
    ],
)
def test_a_bad_option_ends_the_run_at_once_in_one_line(arguments, complaint, project):
    before = set(project.rglob("run-*.json"))
    done = bench(project, "--benchmark-only", *arguments)
    assert done.returncode == 4
    assert f"ERROR: {complaint}\n" in done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    assert set(project.rglob("run-*.json")) == before


def test_collecting_selects_families_by_name_needs_no_data_and_saves_nothing(project):
    before = set(project.rglob("run-*.json"))
    done = bench(project, "--collect-only", "-q", "--dataset", "gone.npz", "-k", "manual and not inplace")
    assert done.returncode == 0
    names = re.findall(r"^benchmarks/test_epoch\.py::test_epoch\[(\w+)-cpu\]$", done.stdout, re.MULTILINE)
    others = ["manual_fused_update", "manual_halves", "manual_onehot", "manual_outofplace", "manual_transposed"]
    assert names == ["manual_bias_column", "manual_buffers", *others]
    assert set(project.rglob("run-*.json")) == before
