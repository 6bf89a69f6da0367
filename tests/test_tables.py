"""What people read: the table, its Markdown, and two runs side by side; and saved runs that are damaged."""

import json
import math
import os
import re
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path

import pytest

import implementations
from benchmarks import compare, report
from benchmarks.measure import processes
from benchmarks.runs import museum, saved, statistics
from benchmarks.runs.row import FINGERPRINT
from benchmarks.show import cells, layers, table
from tests.made_up import CONDITIONS, aa_check, content, info, row, run

ROOT = Path(__file__).parent.parent


@pytest.fixture
def save(tmp_path):
    """Saves rows as a run; the path."""

    def save(*rows, name="run.json", **other):
        path = tmp_path / name
        path.write_text(json.dumps(content(run(*rows, **other))))
        return path

    return save


# --- the table ----------------------------------------------------------------------------------------------


def column(rows, name):
    return [line.get(name) for line in table.lines(run(*rows))]


def test_a_row_shows_its_times_multiples_of_the_floor_and_the_ratio():
    one = run(row())
    line = table.lines(one)[1]
    assert [line[name] for name in table.header(one)] == [
        *("manual_inplace-cpu", "50.0", "63.9", "6.25", "2.00", *["2.00 to 2.00"] * 2, "faster", "1.50 s", "1.25", "12")
    ]


@pytest.mark.parametrize(
    ("seconds", "shown"), [(0.2, ("100.0", "12.5")), (0.008, ("4.00", "0.500")), (32, ("16000.0", "2000"))]
)
def test_times_and_multiples_of_the_floor_keep_enough_digits(seconds, shown):
    lines = table.lines(run(row(own=seconds)))
    assert shown in [(line["ms/epoch"], line["x floor"]) for line in lines]


def test_the_reference_has_a_row_and_rows_run_from_slowest_to_fastest():
    rows = [row("fast", 0.1), row("slow", 0.4), row("between", 0.3)]
    assert column(rows, "name") == ["slow-cpu", "between-cpu", "torch_nn-cpu (reference)", "fast-cpu"]
    line = table.lines(run(*rows))[2]
    assert [line.get(name) for name in table.header(run(*rows))] == [
        *("torch_nn-cpu (reference)", "100.0", "127.9", "12.5", "1", None, None, None, "2.50 s", "1.00", "17")
    ]


def test_rows_are_sorted_by_their_ratio_not_by_the_speed_of_their_moment():
    rows = [row("fast", own=0.3, beside=0.9), row("slow", own=0.2, beside=0.1)]
    assert column(rows, "name") == ["slow-cpu", "torch_nn-cpu (reference)", "fast-cpu"]


def test_with_parents_as_baselines_each_row_names_its_own():
    rows = [row("a", baseline="torch_nn"), row("b", baseline="a")]
    assert table.header(run(*rows))[3:5] == ["baseline", "x baseline"]
    assert column(rows, "baseline") == ["torch_nn", "a"]
    assert column(rows, "x baseline") == ["2.00", "2.00"]


def test_what_varies_has_a_column_and_each_problem_its_reference():
    rows = [row("a"), row("a", batch_size=16, own=0.4), row("a", rows=1000)]
    several = run(*rows)
    assert table.header(several)[:3] == ["name", "batch", "rows"]
    assert "first call" not in table.header(several)
    assert [(line["rows"], line["batch"], line["name"]) for line in table.lines(several)] == [
        ("1000", "64", "torch_nn-cpu (reference)"),
        ("1000", "64", "a-cpu"),
        ("50000", "16", "a-cpu"),
        ("50000", "16", "torch_nn-cpu (reference)"),
        ("50000", "64", "torch_nn-cpu (reference)"),
        ("50000", "64", "a-cpu"),
    ]
    assert table.header(run(row("a"), row("a", rows=1000)))[:2] == ["name", "rows"]


def test_the_facts_name_every_problem_and_the_floor_of_the_largest():
    rows = [row(batch_size=256, rows=1000, floor_seconds=1e-4), row()]
    facts = dict(table.facts(run(*rows)))
    assert facts["problem"].startswith("1000, 50000 rows of 784, 10 classes, batch 64, 256, ")
    assert facts["floor"] == (
        "cpu reads 40 GB/s and computes 200 GFLOP/s, so 50000 rows take at least 8 ms/epoch in dense float32"
    )
    assert "1564 steps" not in facts["problem"]
    assert "1564 steps" in dict(table.facts(run(row())))["problem"]


def test_on_a_gpu_the_floor_says_what_a_hand_off_costs():
    facts = dict(table.facts(run(row(device="cuda", hand_off_seconds=1.25e-6))))
    assert facts["floor"].startswith(
        "cuda reads 40 GB/s and computes 200 GFLOP/s and hands a step to the next in 1.25 us, so 50000 rows take"
    )


def test_a_row_without_a_time_is_in_the_table_and_its_reason_below():
    text = table.text(run(row(), untimed=[("bad-cpu", "wrong: one step: the update is off")]))
    assert re.search("^bad-cpu +wrong *$", text, re.MULTILINE)
    assert text.splitlines()[-1] == "bad-cpu wrong: one step: the update is off"


def test_without_any_time_the_reasons_are_shown_all_the_same():
    text = table.text(run(untimed=[("bad-cpu", "wrong: why")]))
    assert "bad-cpu wrong: why" in text


@pytest.mark.parametrize("rows_of", [[50_000], [1_000, 50_000]])
@pytest.mark.parametrize("baseline", ["torch_nn", "parent"])
def test_the_table_fits_120_columns(baseline, rows_of):
    rows = [
        row(
            name,
            1.23456,
            0.98765,
            device="cuda",
            device_name="An accelerator with quite a long name of 80 GB",
            baseline="torch_nn" if baseline == "torch_nn" else implementations.parent(name) or "torch_nn",
            dataset_origin="a stand-in; " * 20,
            rows=count,
            batch_size=count,
        )
        for name in implementations.names()
        for count in rows_of
    ]
    bad = cells.row_id("autograd_cross_entropy", "cuda", *(rows_of if len(rows_of) > 1 else ()))
    text = table.text(run(*rows, untimed=[(bad, "wrong: " + "a long story " * 30)]))
    assert max(map(len, text.splitlines())) <= table.WIDTH


def test_columns_may_be_chosen():
    chosen = ("x baseline", "ops/step", "KB/step", "calls/step")
    header = table.header(run(row()), chosen)
    assert header == ["name", "x torch_nn", "ops/step", "KB/step", "calls/step"]
    assert [[line.get(column) for column in header] for line in table.lines(run(row()))] == [
        ["torch_nn-cpu (reference)", "1", "17", "41.7", "148"],
        ["manual_inplace-cpu", "2.00", "22", "71.8", "12"],
    ]
    assert re.search("^bad-cpu +wrong *$", table.text(run(row(), untimed=[("bad-cpu", "wrong: why")]), chosen), re.M)


def test_outside_torch_counts_are_blank():
    outside = row(operations_per_step=None, bytes_per_step=None, calls_per_step=None)
    assert [cells.of_row(run(outside), outside)[column] for column in cells.COUNTS] == ["", "", ""]


def test_kernels_are_those_of_an_epoch_and_blank_on_a_cpu():
    on_gpu = row(device="cuda", kernels_per_epoch=781.6, baseline_kernels_per_epoch=12000)
    assert column([on_gpu], "kernels/epoch") == ["12000", "782"]
    assert column([row()], "kernels/epoch") == ["", ""]


def test_a_price_is_a_number_only_where_a_difference_was_measured():
    parents = [row("a", own=0.3, beside=0.2), row("b", baseline="a", own=0.1)]
    prices = dict(zip(column(parents, "name"), column(parents, "us/step more"), strict=True))
    assert prices == {"a-cpu": "+63.9", "b-cpu": "-63.9"}
    undecided = row(own_seconds=[0.1, 0.3] * 5)
    assert cells.of_row(run(undecided), undecided)["us/step more"] == "none measured"
    same = row(own=0.203, beside=0.2)
    assert cells.of_row(run(same, margin=0.03), same)["us/step more"] == "same within 3 %"
    assert "us/step more" in table.header(run(*parents))


def test_rows_on_two_devices_have_a_reference_each():
    lines = table.lines(run(row(), row(device="cuda", own=0.01)))
    assert {"torch_nn-cpu (reference)", "torch_nn-cuda (reference)"} <= {line["name"] for line in lines}


def test_markdown_has_facts_table_and_reasons():
    text = table.markdown(run(row(), untimed=[("bad-cpu", "skipped: numba not installed")]))
    assert "* dataset: digits (made up), sha256 0123456789ab" in text
    assert "| manual_inplace-cpu       |     50.0 |    63.9 |" in text
    assert text.startswith("* margin: differences above 1 % count, as asked for\n* dataset: ")
    assert "* verdicts: faster or slower by more than 1 %" in text
    assert text.endswith("* `bad-cpu` skipped: numba not installed\n")


# --- what each layer costs ----------------------------------------------------------------------------------


def test_the_price_list_is_a_tree_of_ideas_with_what_they_cost():
    rows = [
        row("e", parent="c", baseline="c", own=0.2001, idea="Fifth."),
        row("c", parent="a", baseline="a", own=0.3, beside=0.2, idea="Third."),
        row("b", parent="a", baseline="a", own_seconds=[0.1, 0.3] * 5, idea="Second.", operations_per_step=None),
        row("d", parent="b", baseline="b", idea="Fourth."),
        row("a", parent=None, baseline="torch_nn", idea="First."),
    ]
    lines = [line for line in layers.markdown(run(*rows)).splitlines() if line.startswith("| ")]
    assert [[cell.strip() for cell in line.strip("|").split("|")] for line in lines] == [
        [*("idea", "against", "what it does", "x parent", "us/step more", "interval"), *cells.COUNTS, "lines"],
        ["b", "a", "Second.", "", "none measured", "-63.9 to +63.9", "", "+30.2", "-136", "-5"],
        ["d", "b", "Fourth.", "2.00", "-63.9", "-63.9 to -63.9", "+5", "+30.2", "-136", "-5"],
        ["c", "a", "Third.", "0.67", "+63.9", "+63.9 to +63.9", "+5", "+30.2", "-136", "-5"],
        ["e", "c", "Fifth.", "1.00", "same within 1 %", "+0.1 to +0.1", "+5", "+30.2", "-136", "-5"],
    ]


def test_a_run_beside_the_reference_has_no_price_list():
    assert layers.markdown(run(row())) == ""


# --- saved runs ---------------------------------------------------------------------------------------------


def damaged_runs():
    good = json.dumps(content(run(row())))

    def changed(**fields):
        return json.dumps(content(run(row())) | {"benchmarks": [{"extra_info": info(**fields)}]})

    def altered(**fields):
        return json.dumps(content(run(row())) | fields)

    return {
        "empty": ("", "empty; was the run interrupted?"),
        "blank": ("  \n", "empty; was the run interrupted?"),
        "truncated": (good[:-40], "not JSON, or cut off"),
        "not JSON": ("<html>", "not JSON, or cut off"),
        "deeply nested": ("[" * 100_000, "not JSON, or cut off"),
        "not text": (b"\xff\xfe\x00", "not JSON, not even text"),
        "a list": ("[]", "not a run of this suite"),
        "a number": ("3", "not a run of this suite"),
        "another suite's": ('{"benchmarks": [{"name": "x", "stats": {}}]}', "not a run of this suite"),
        "plain pytest-benchmark": (
            '{"machine_info": {}, "benchmarks": [{"name": "x", "extra_info": {}, "stats": {"data": [1]}}]}',
            "not a run of this suite",
        ),
        "counts that are none": (changed(operations_per_step="many"), "a row without a usable 'operations_per_step'"),
        "no list of untimed rows": ('{"benchmarks": []}', "not a run of this suite"),
        "a row that is none": (altered(benchmarks=[{"extra_info": 3}]), "a row without a usable 'name'"),
        "an empty row": (altered(benchmarks=[{"extra_info": {}}]), "a row without a usable 'name'"),
        "a missing field": (good.replace('"error"', '"errors"'), "a row without a usable 'error'"),
        "a field of another type": (changed(threads="2"), "a row without a usable 'threads'"),
        "a field that is true": (changed(threads=True), "a row without a usable 'threads'"),
        "no list of times": (changed(own_cpu_seconds=3), "a row without a usable 'own_cpu_seconds'"),
        "times that are text": (good.replace("0.1,", '"0.1",', 1), "has '0.1' in own_seconds; expected a finite"),
        "negative times": (good.replace("0.1,", "-0.1,", 1), "has '-0.1' in own_seconds; expected a finite"),
        "endless times": (good.replace("0.1,", "Infinity,", 1), "has 'inf' in own_seconds; expected a finite"),
        "times that are no number": (good.replace("0.1,", "NaN,", 1), "has 'nan' in own_seconds; expected a finite"),
        "times that are nothing": (good.replace("0.1,", "0,", 1), "has no pairs, or times of 0 seconds"),
        "an order of numbers": (
            changed(baseline_first=[1, 0] * 5),
            "has '1' in baseline_first; expected true or false",
        ),
        "a process that is none": (changed(process=[-1] * 10), "has '-1' in process; expected a whole number of at"),
        "a huge count": (good.replace("50000", "1" + "0" * 400), "as its rows; expected a finite number"),
        "a number of too many digits": (good.replace("50000", "1" * 5000), "not JSON, or cut off"),
        "an error that is no number": (good.replace("1.25", "NaN"), "has nan as its error; expected a finite number"),
        "a floor of almost nothing": (good.replace("0.016", "5e-324"), "has a floor of 5e-324 seconds"),
        "an untimed row that is a number": (altered(untimed=[[1, "a"]]), "not a run of this suite"),
        "a reason that is null": (altered(untimed=[["a", None]]), "not a run of this suite"),
        "a time too few": (good.replace("0.1,", "", 1), "process but 9 own_seconds"),
        "too few pairs": (changed(own_seconds=[1.0] * 4), "has 4 pairs; an interval needs at least 8"),
        "no pairs": (changed(own_seconds=[]), "has no pairs, or times of 0 seconds"),
        "a name of a device of two lines": (changed(device="a\nb"), r"a row's device is 'a\nb'; expected letters,"),
        "a text of two lines": (changed(torch="2\n3"), r"a row's torch is '2\n3'; expected one line"),
        "an endless text": (changed(idea="a" * 1001), "expected one line of at most 1000 letters"),
        "a text that no terminal shows": (changed(system="\x1b[2J"), "expected one line of at most 1000 letters"),
        "an A/A check of something else": (
            altered(null_lanes=[info("numpy_loop", 0.2, 0.2)]),
            "an A/A check of numpy_loop; expected the reference and its copy",
        ),
        "an A/A check of another source": (
            altered(null_lanes=[info("torch_nn_copy", 0.2, 0.2, source_sha256="cc")]),
            "an A/A check of torch_nn_copy; expected the reference and its copy",
        ),
        "an A/A check in other processes": (
            altered(null_lanes=[aa_check(process=[0, 1, 1, 0, 0, 1, 1, 0, 0, 0]).to_dict()]),
            "the A/A check on cpu has other processes than the rows",
        ),
        "a margin too large for a float": (good.replace('"margin": 0.01', '"margin": 1' + "0" * 400), "a margin of"),
        "a margin that is true": (altered(margin=True), "a margin of 'True'; expected a number"),
        "fewer pairs than declared": (changed(pairs=12), "has 10 pairs and declares 12; was it cut?"),
        "an order that is not balanced": (
            changed(baseline_first=[True] * 6 + [False] * 4),
            "has its baseline first in 6 of 10 pairs; expected half",
        ),
        "an order balanced only over all processes": (
            changed(process=[0] * 5 + [1] * 5, baseline_first=[True] * 5 + [False] * 5),
            "has its baseline first in 5 of 5 pairs; expected half",
        ),
        "no steps": (changed(steps=0), "has no epochs, steps, rows or batches"),
        "no floor": (changed(floor_seconds=0), "has a floor of 0 seconds"),
        "fewer than no kernels": (
            changed(kernels_per_epoch=-5),
            "has -5 as its kernels_per_epoch; expected at least 0",
        ),
        "hand-offs beyond the floor": (changed(hand_off_seconds=1e17), "has a floor below the hand-offs of its steps"),
        "two rows of one name": (
            altered(benchmarks=[{"extra_info": info()}, {"extra_info": info()}]),
            "two rows manual_inplace on one device and problem",
        ),
        "a name in brackets": (changed(name="test_epoch[a]"), "a row's name is 'test_epoch[a]'; expected letters,"),
        "a name of two lines": (changed(name="a\nb"), r"a row's name is 'a\nb'; expected letters,"),
        "a name in another script": (changed(name="größe"), r"a row's name is 'gr\xf6\xdfe'; expected letters,"),
        "a baseline of two lines": (changed(baseline="a\nb"), r"a row's baseline is 'a\nb'; expected letters,"),
        "no A/A check": (altered(null_lanes=[]), "no A/A check on cpu: nothing says whether that machine could judge"),
        "an A/A check that is none": (altered(null_lanes=[3]), "a row without a usable 'name'"),
        "A/A checks that are none": (altered(null_lanes=3), "not a run of this suite"),
        "no conditions": (altered(conditions={}), "not a run of this suite"),
        "conditions that are text": (
            altered(conditions=asdict(CONDITIONS) | {"stolen_cores": "many"}),
            "conditions with 'many' as stolen_cores",
        ),
        "no margin": (altered(margin=0), "a margin of '0'; expected a number above 0"),
        "a margin that is text": (altered(margin="1"), "a margin of '1'; expected a number above 0"),
        "a run of format 1": (
            json.dumps({key: value for key, value in content(run(row())).items() if key != "format"}),
            "saved by an older version of this suite, which judged otherwise: measure it again",
        ),
        "a run of format 2": (altered(format=2), "saved by an older version of this suite, which named code by other"),
        "a run of another format": (altered(format=4), "saved in format '4', this suite reads 3: use the newer one"),
        "no intervals": (altered(intervals=None), "not a run of this suite"),
        "an edited interval": (
            altered(intervals={"manual_inplace cpu 50000 64": [1.9, 2.0]}),
            "the interval of 'manual_inplace cpu 50000 64' is '[1.9, 2.0]', but its pairs say [2.0, 2.0]",
        ),
        "an interval that is text": (altered(intervals={"manual_inplace cpu 50000 64": "2"}), "is '2', but its pairs"),
        "an interval too few": (altered(intervals={}), "is 'None', but its pairs say [2.0, 2.0]"),
        "an edited verdict": (
            altered(verdicts={"manual_inplace cpu 50000 64": "slower"}),
            "the verdict of 'manual_inplace cpu 50000 64' is 'slower', but its pairs say 'faster'",
        ),
        "a verdict too few": (altered(verdicts={}), "is 'None', but its pairs say 'faster'"),
        "a verdict too many": (
            altered(verdicts=saved.saved_words(run(row())) | {"x": "same"}),
            "the verdict of 'x' is 'same', but its pairs say None",
        ),
    }


@pytest.mark.parametrize("damage", damaged_runs())
def test_a_saved_run_that_cannot_be_used_is_refused_in_one_line(damage, tmp_path):
    content, reason = damaged_runs()[damage]
    path = tmp_path / "run.json"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(saved.RunError) as raised:
        saved.load(path)
    assert str(raised.value).startswith(f"{path}: ")
    assert reason in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_run_that_is_not_there(tmp_path, monkeypatch):
    with pytest.raises(saved.RunError, match="No such file"):
        saved.load(tmp_path / "gone.json")
    monkeypatch.setattr(saved, "RESULTS", tmp_path)
    with pytest.raises(saved.RunError, match="run `pytest benchmarks --benchmark-only` first"):
        saved.newest()


def test_the_newest_run_is_the_one_that_was_saved_last_whatever_its_name(tmp_path, monkeypatch):
    monkeypatch.setattr(saved, "RESULTS", tmp_path)
    names = ("run-before-my-idea.json", "run-20260102-000000-9.json", "run-20260101-235959-10.json", "other.json")
    for second, name in enumerate(names):
        (tmp_path / name).touch()
        os.utime(tmp_path / name, (second, second))
    (tmp_path / "run-9.json").symlink_to("gone.json")
    assert saved.newest().name == "run-20260101-235959-10.json"


# --- verdicts -----------------------------------------------------------------------------------------------


def test_words_stand_beside_the_intervals():
    rows = [row("fast"), row("slow", own=0.3), row("even", own=0.2), row("unclear", own_seconds=[0.1, 0.3] * 5)]
    assert {key[0]: word for key, word in run(*rows).words.items()} == {
        "fast": "faster",
        "slow": "slower",
        "even": "same",
        "unclear": "unclear",
    }
    assert re.search(r"^even-cpu .* 1\.00 to 1\.00 +1\.00 to 1\.00 +same ", table.text(run(*rows)), re.MULTILINE)


def test_the_interval_that_a_word_is_judged_by_stands_beside_the_99_percent_and_is_saved():
    seconds = [0.1 + pair / 1000 for pair in range(14)]
    several = [row(f"row{number}", own_seconds=seconds) for number in range(30)]
    one = run(*several)
    line = cells.of_row(one, several[0])
    assert (line["99 % interval"], line["judged by"]) == ("1.79 to 1.98", "1.77 to 2.00")
    assert content(one)["intervals"]["row0 cpu 50000 64"] == [1.76991, 2.0]
    alone = run(several[0])
    assert alone.judged(several[0]) == alone.ratio(several[0])  # one row has the level of a whole table


def test_who_cannot_judge_has_no_interval_to_judge_by():
    one = row()
    noisy = run(one, aa_checks=[aa_check(own=0.1)])
    assert noisy.judged(one) is None
    assert cells.of_row(noisy, one)["judged by"] == ""
    assert "judged by" not in table.header(noisy)
    assert content(noisy)["intervals"] == {}


def test_a_bound_that_is_none_is_saved_as_none(save):
    rows = [row(f"row{number}", own_seconds=[0.1, 0.2] * 4) for number in range(30)]
    path = save(*rows)
    assert json.loads(path.read_text())["intervals"]["row0 cpu 50000 64"] == [None, None]
    assert saved.load(path).judged(rows[0]) == (pytest.approx(2**0.5), 0, float("inf"))


def test_microseconds_more_and_the_ratio_agree_whatever_the_machine_did():
    """The baseline is slow in half of the pairs, and so is the row beside it: the ratio of medians is no ratio."""
    one = row(own_seconds=[0.1, 0.1, 0.1, 0.8, 0.8] * 2, baseline_seconds=[0.2, 0.2, 0.2, 1.2, 1.2] * 2)
    made = run(one)
    assert made.ratio(one) == pytest.approx((2, 1.5, 2))
    assert made.difference(one) == pytest.approx((-0.1, -0.1, 0.2 / 1.5 - 0.2))


def test_a_margin_decides_what_is_the_same():
    rows = [row(own=0.196)]
    assert list(run(*rows).words.values()) == ["faster"]
    assert list(run(*rows, margin=0.03).words.values()) == ["same"]


@pytest.mark.parametrize(
    ("own_seconds", "trouble"),
    [
        ([0.1] * 10, "the reference and its copy on cpu seem to differ, 2.000 (2.000 to 2.000) with a margin of 1 %"),
        ([0.19, 0.21] * 5, "the reference and its copy on cpu cannot be told to be the same, 1.001 (0.952 to 1.053)"),
    ],
)
def test_a_machine_that_tells_a_copy_from_its_original_judges_nothing(own_seconds, trouble, save):
    copy = aa_check(own_seconds=own_seconds)
    noisy = run(row(), aa_checks=[copy])
    assert noisy.words == {}
    text = " ".join(table.text(noisy).split())
    assert f"verdicts none, this machine cannot judge now: {trouble}" in text
    assert "other processes kept 0.25 cores busy, the hypervisor took 0.12, 7 involuntary switches a second" in text
    assert "faster" not in text
    assert "2.00 to 2.00" in text
    path = save(row(), aa_checks=[copy])
    assert saved.load(path).words == {}


def test_a_wider_margin_lets_a_noisy_machine_judge_what_is_beyond_it():
    copy = aa_check(own_seconds=[0.19, 0.21] * 5)
    assert list(run(row(), aa_checks=[copy], margin=0.06).words.values()) == ["faster"]


def wavering(percent):
    """An A/A check whose interval reaches so far to either side."""
    return aa_check(own_seconds=[0.2 * (1 + percent / 100), 0.2 / (1 + percent / 100)] * 5)


@pytest.mark.parametrize(
    ("percent", "counts", "word"),
    [
        (0.2, "here and now differences above 5 % count", "same"),
        (2.4, "here and now differences above 5 % count", "same"),
        (4, "here and now differences above 10 % count", "same"),
        (6, "here and now differences above 20 % count", "unclear"),
        (20, "here and now differences above 50 % count", "unclear"),
        (25, "none: this machine cannot judge now", None),
    ],
)
def test_the_aa_check_decides_what_can_be_told_apart_here_and_now(percent, counts, word, save):
    near = row(own=0.196)
    one = run(near, aa_checks=[wavering(percent)], margin=None)
    assert one.words.get(near.key) == word
    assert table.text(one).splitlines()[0] == f"margin    {counts}"
    assert saved.load(save(near, aa_checks=[wavering(percent)], margin=None)).words == one.words


def test_with_a_margin_asked_for_the_aa_check_must_say_same_at_it():
    """At 1.2 % it would choose 3 % itself, of which its interval is less than half."""
    near = row(own=0.196)
    assert list(run(near, aa_checks=[wavering(1.2)], margin=0.015).words.values()) == ["faster"]
    assert run(near, aa_checks=[wavering(1.2)], margin=0.01).cannot_judge
    assert table.facts(run(near, margin=0.025))[0] == ("margin", "differences above 2.5 % count, as asked for")
    twice = row()
    assert list(run(twice, aa_checks=[wavering(1.2)], margin=0.2).words.values()) == ["faster"]  # though none is "same"
    assert run(twice, aa_checks=[wavering(25)], margin=0.2).cannot_judge


def test_a_machine_that_allows_no_margin_says_so():
    assert run(row(), aa_checks=[wavering(25)], margin=None).cannot_judge.startswith(
        "the reference and its copy on cpu cannot be told to be the same, 1.000 (0.800 to 1.250), not even within "
        "half of 50 %; meanwhile other processes kept"
    )
    assert run(row(), aa_checks=[aa_check(own=0.1)], margin=None).cannot_judge.startswith(
        "the reference and its copy on cpu seem to differ, 2.000 (2.000 to 2.000) with a margin of 50 %;"
    )


def test_several_processes_are_judged_by_processes():
    seconds = [0.1, 0.1, 0.11, 0.11, 0.12, 0.12]
    once = row(own_seconds=seconds * 2)
    five = row(own_seconds=seconds * 2, process=[0, 0, 1, 1, 2, 2] * 2)
    ratio = run(five).ratio(five)
    assert ratio.value == pytest.approx((2 * 0.2 / 0.11 * 0.2 / 0.12) ** (1 / 3))
    assert ratio.high > 2 == run(once).ratio(once).high
    assert "12 a row in 3 fresh processes" in dict(table.facts(run(five)))["pairs"]
    words_of = "of these processes: fresh ones may differ"
    assert words_of in dict(table.facts(run(once)))["verdicts"]
    assert words_of not in dict(table.facts(run(five)))["verdicts"]


def processes_of(center, pattern=(-0.01, 0.0, 0.01, 0.02)):
    """Two pairs in each of four processes."""
    seconds = [0.2 / math.exp(center + shift) for shift in pattern for _ in range(2)]
    return {"own_seconds": seconds, "process": [0, 0, 1, 1, 2, 2, 3, 3]}


def test_one_process_has_a_margin_for_where_its_memory_lies_and_several_need_none():
    quiet = (-0.001, 0.0, 0.001, 0.0)
    several = run(row(**processes_of(0.03, quiet)), aa_checks=[aa_check(**processes_of(0.0, quiet))], margin=None)
    assert (several.judging_margin, *several.words.values()) == (0.01, "faster")
    one = run(row(own=0.194), margin=None)
    assert (one.judging_margin, *one.words.values()) == (0.05, "same")


def test_rows_of_a_device_lend_each_other_their_variances():
    lucky = row("lucky", **processes_of(0.5, (0.0, 0.001, 0.0, 0.001)))
    others = [row(f"row{number}", **processes_of(0.5)) for number in range(10)]
    alone, together = run(lucky), run(lucky, *others)
    assert alone.ratio(lucky).high < together.ratio(lucky).high
    assert together.ratio(others[0]).high < run(others[0]).ratio(others[0]).high
    on_gpu = [row(f"row{number}", **processes_of(0.5), device="cuda") for number in range(10)]
    assert run(lucky, *on_gpu).ratio(lucky) == alone.ratio(lucky)
    check = aa_check(**processes_of(0.0))
    assert run(*others, aa_checks=[check]).ratio(check) == run(lucky, aa_checks=[check]).ratio(check)


def test_cores_that_the_threads_do_not_explain_are_named():
    busy = row("busy", own=0.1, own_cpu_seconds=[0.1 * 2.5] * 10)
    assert list(table.overworked([row(), busy])) == [
        "busy-cpu kept 2.50 cores busy, with 2 threads: something works beside it"
    ]
    assert "busy-cpu kept 2.50 cores busy" in table.text(run(busy))


def test_a_run_beside_other_load_says_what_helps():
    beside_load = replace(run(row()), conditions=saved.Conditions(other_cores=0.93))
    for text in (table.text(beside_load), table.markdown(beside_load)):
        assert "something else keeps 0.93 cores busy" in text
        assert "--torch-threads 1" in text
    assert "something else" not in table.text(run(row()))


def test_a_run_says_by_which_slices_it_was_timed():
    by_slices = "10 a row, timed by slices of 640 rows"
    some = {"process": [0] * 4 + [1] * 6}
    for rows, words in (
        ((row(), row("b")), "10 a row; the 99 %"),
        ((row(slice_rows=640), row("b", slice_rows=640)), f"{by_slices}; the 99 %"),
        ((row(slice_rows=640), row("b")), f"{by_slices}, 1 of 2 lines of the table by whole runs; the 99 %"),
        (
            (row(slice_rows=640, **some), row("b", call_seconds=0.001, **some)),
            "10 a row in 2 fresh processes, timed by slices of 640 rows, 1 of 2 lines of the table by whole runs in "
            "some processes at least; the 99 %",
        ),
    ):
        assert dict(table.facts(run(*rows)))["pairs"].startswith(words)


def test_a_run_says_how_precise_it_is_and_how_many_rows_that_differ_have_a_word():
    wide = [0.1, 0.3] * 5  # 2 or 0.67 times as fast as the other: 1.15, 58 % to either side
    rows = [row("same", own=0.2), row("faster"), *(row(f"unclear{number}", own_seconds=wide) for number in range(3))]
    narrow = "half of all 99 % intervals reach at most 57.7 % to either side"
    assert precision_of(run(*rows)) == (
        f"{narrow}; 1 of the 4 rows that seem to differ by more than 1 % called faster or slower"
    )
    assert precision_of(run(*rows, aa_checks=[aa_check(own=0.1)])) == narrow
    assert precision_of(run(*rows[:2])).startswith("half of all 99 % intervals reach at most 0 %")
    assert precision_of(run(rows[0])) == "half of all 99 % intervals reach at most 0 % to either side"  # none to tell


def precision_of(run):
    return dict(table.facts(run))["precision"]


# --- two runs -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("field", FINGERPRINT)
def test_runs_that_differ_are_refused_by_field(field):
    before = info().get(field)
    value = "other" if isinstance(before, str) else 3
    (reason,) = compare.unlike(run(row()), run(row(**{field: value})))
    assert reason == f"{field} is {compare.shown(before)} in A, {value} in B"


def test_a_field_that_differs_in_some_rows_names_them():
    (reason,) = compare.unlike(run(row("a"), row("b")), run(row("a"), row("b", threads=3)))
    assert reason == "threads is 2 in A, 3 in B for b-cpu"


def test_rows_on_different_devices_are_not_compared():
    (reason,) = compare.unlike(run(row()), run(row(device="cuda")))
    assert reason.startswith("device or rows: A has manual_inplace-cpu; B has manual_inplace-cuda")


def test_a_device_that_one_run_lacks_does_not_matter():
    assert compare.unlike(run(row()), run(row(), row(device="cuda", device_name="An accelerator"))) == []


def test_rows_with_different_baselines_are_refused():
    (reason,) = compare.unlike(run(row()), run(row(baseline="autograd_inplace")))
    assert reason == "baseline is torch_nn in A, autograd_inplace in B"


def test_a_run_from_a_machine_that_could_not_judge_is_refused():
    (reason,) = compare.unlike(run(row()), run(row(), aa_checks=[aa_check(own=0.1)]))
    assert reason.startswith("B has no verdicts: the reference and its copy on cpu seem to differ")


def compared(a, b):
    return compare.lines(a, b, compare.verdicts(a, b, compare.changes(a, b)))


def test_a_row_is_compared_through_its_ratio_not_its_time():
    twice_as_slow_a_moment = row(own=0.2, beside=0.4)
    (line,) = compared(run(row()), run(twice_as_slow_a_moment))
    ratio = "2.00 (2.00 to 2.00)"
    note = "torch_nn took 2.00 times as long in B"
    assert line == ["manual_inplace-cpu", ratio, ratio, "1.000", "1.000 to 1.000", "same", note]
    (line,) = compared(run(row()), run(row(own=0.104, beside=0.208)))
    assert line[-1] == ""


def test_rows_of_one_side_and_changed_sources_are_marked():
    lines = compared(run(row("a"), row("b")), run(row("b", source_sha256="cc", own=0.05), row("c")))
    assert [line[-2:] for line in lines] == [
        ["not comparable", "only in A"],
        ["faster", "source changed"],
        ["not comparable", "only in B"],
    ]
    assert lines[1][3] == "2.000"


def test_rows_of_several_problems_are_compared_each_with_its_own():
    a = run(row(), row(batch_size=256, own=0.05))
    b = run(row(batch_size=256, own=0.1), row(batch_size=1024))
    assert compare.unlike(a, b) == []
    assert [(line[0], line[3], line[-1]) for line in compared(a, b)] == [
        ("manual_inplace-cpu-batch1024", "", "only in B"),
        ("manual_inplace-cpu-batch256", "0.500", ""),
        ("manual_inplace-cpu-batch64", "", "only in A"),
    ]
    (reason,) = compare.unlike(a, run(row(batch_size=1024)))
    assert reason.endswith("B has manual_inplace-cpu-batch1024; no row is in both")
    (reason,) = compare.unlike(run(row()), run(row(rows=1000)))
    assert "no row is in both" in reason or reason == "rows is 50000 in A, 1000 in B"


def steady(name, own):
    return row(name, own_seconds=[own] * 20)


def test_swapping_the_runs_inverts_the_comparison():
    seconds = [0.1 + pair / 1000 for pair in range(20)]
    a = run(row("a", own_seconds=seconds), steady("b", 0.08), steady("c", 0.3), steady("d", 0.1))
    b = run(row("a", own_seconds=seconds[::-1]), steady("b", 0.1), steady("c", 0.2), steady("d", 0.1))
    there, back = compare.changes(a, b), compare.changes(b, a)
    for name, change in there.items():
        one, other = change.interval(0.02), back[name].interval(0.02)
        assert one == (-other.value, -other.high, -other.low)
    words_there, words_back = (
        {name: verdict.word for name, verdict in compare.verdicts(*runs).items()}
        for runs in ((a, b, there), (b, a, back))
    )
    assert words_there == {"a-cpu": "unclear", "b-cpu": "slower", "c-cpu": "faster", "d-cpu": "same"}
    assert words_back == {"a-cpu": "unclear", "b-cpu": "faster", "c-cpu": "slower", "d-cpu": "same"}
    line = compared(a, b)[0]
    judged = statistics.exponential(compare.verdicts(a, b, there)["a-cpu"].interval)
    assert line[4:6] == [f"{judged.low:.3f} to {judged.high:.3f}", "unclear"]


# --- the commands -------------------------------------------------------------------------------------------


def command(module, *arguments, timeout=None):
    """The command in a process where torch and numpy cannot be imported: it must not need them."""
    blocked = "import runpy, sys; sys.modules['torch'] = sys.modules['numpy'] = None; sys.argv = sys.argv[1:]; "
    start = f"runpy.run_module({module!r}, run_name='__main__', alter_sys=True)"
    return subprocess.run(
        [sys.executable, "-c", blocked + start, module, *map(str, arguments)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=timeout,
    )


@pytest.mark.parametrize(
    ("own", "status", "word"), [(0.1, 0, "same"), (0.05, 0, "faster"), (0.2, 1, "slower"), (0.1004, 0, "same")]
)
def test_compare_tells_by_its_status_whether_something_is_slower(own, status, word, save):
    a, b = save(row(), name="a.json"), save(row(own=own, own_cpu_seconds=[0.16] * 10), name="b.json")
    done = command("benchmarks.compare", a, b)
    assert (done.returncode, done.stderr) == (status, "")
    assert re.search(rf"^manual_inplace-cpu .* {word} *$", done.stdout, re.MULTILINE)
    assert max(map(len, done.stdout.splitlines()[4:])) <= table.WIDTH


def test_compare_refuses_unlike_runs_and_gives_them_no_verdict_when_forced(save):
    a, b = save(row(), name="a.json"), save(row(threads=4), name="b.json")
    done = command("benchmarks.compare", a, b)
    assert (done.returncode, done.stdout) == (3, "")
    assert done.stderr == "not comparable: threads is 2 in A, 4 in B; --force shows them without verdicts\n"
    done = command("benchmarks.compare", a, b, "--force")
    assert done.returncode == 3
    assert done.stdout.startswith("not comparable: threads is 2 in A, 4 in B\n")
    assert re.search("^manual_inplace-cpu .* not comparable *$", done.stdout, re.MULTILINE)


def test_compare_refuses_a_run_with_itself(save, tmp_path):
    a = save(row(), name="a.json")
    (tmp_path / "b.json").write_bytes(a.read_bytes())
    (tmp_path / "c.json").symlink_to(a)
    for same in (a, tmp_path / "c.json"):
        done = command("benchmarks.compare", a, same)
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr == f"error: {same}: the same run as {a}; name two different ones\n"
    copy = tmp_path / "b.json"
    done = command("benchmarks.compare", a, copy)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"error: {copy}: holds pairs of the same moments as {a}; name two different runs\n"


def test_a_row_that_has_become_wrong_is_no_success(save):
    a = save(row("a"), row("b"), row("c"), name="a.json")
    lost = save(row("a"), untimed=[("b-cpu", "wrong: one row: the update is off")], name="b.json")
    done = command("benchmarks.compare", a, lost)
    assert done.returncode == 3
    assert re.search("^b-cpu .* not comparable +only in A: wrong$", done.stdout, re.MULTILINE)
    assert re.search("^c-cpu .* not comparable +only in A$", done.stdout, re.MULTILINE)
    assert command("benchmarks.compare", a, save(row("a"), row("b"), name="c.json")).returncode == 0


def test_a_row_that_is_wrong_is_found_by_whatever_its_id_says_of_what_varies():
    sizes = [row(name, batch_size=size) for name in ("a", "b") for size in (16, 64)]
    for before, after, gone in (
        (run(*sizes), run(row("a"), untimed=[("b-cpu", "wrong: x")]), ["b-cpu-batch64"]),
        (run(row("a"), row("b")), run(*sizes[:2], untimed=[("b-cpu-batch64", "wrong: x")]), ["b-cpu-batch64"]),
        (run(*sizes[:3]), run(row("a"), untimed=[("b-cpu", "wrong: 64 was tried, 16 not")]), []),
        (
            run(*(row(name, batch_size=size, rows=rows) for name in "ab" for size in (16, 64) for rows in (99, 100))),
            run(*(row("a", batch_size=16, rows=rows) for rows in (99, 100)), untimed=[("b-cpu-rows99", "wrong: x")]),
            ["b-cpu-batch16-rows99"],
        ),
    ):
        assert compare.lost(before, after) == gone
    for text in ("", "b", "b-cpu-batch", "b-cpu-batch16-rows", "-"):  # a file may hold any
        assert compare.completed(text, {"batch_size": 64}) == text


def test_a_row_that_was_timed_in_another_manner_is_no_success(save):
    a = save(row(slice_rows=640), name="a.json")
    for other, words in ((None, "whole runs"), (3200, "slices of 3200 rows")):
        done = command("benchmarks.compare", a, save(row(own=1.0, slice_rows=other), name="b.json"))
        assert done.returncode == 3
        assert f"not comparable  A by slices of 640 rows, B by {words}\n" in done.stdout
        assert "hold a wrong word" not in done.stdout  # there are no words
    done = command("benchmarks.compare", a, save(row(source_sha256="cc"), name="b.json"))
    assert "B by whole runs; source changed\n" in done.stdout
    in_some_processes = save(row(call_seconds=0.001), name="c.json")
    done = command("benchmarks.compare", save(row(), name="b.json"), in_some_processes)
    assert "not comparable  A by whole runs, B by slices and whole runs\n" in done.stdout
    mixed = row(call_seconds=0.001)
    assert not compare.timed_alike(mixed, mixed)  # nobody knows by which more often


def test_compare_says_so_where_a_word_is_of_one_process():
    one, several = run(row()), run(row(process=[0] * 4 + [1] * 6))
    assert table.of_these(one, several) == "; of these processes: fresh ones may differ, --processes"
    assert table.of_these(several, several) == ""


def test_the_luck_of_two_single_processes_is_more_than_that_of_one():
    def margin(*runs):
        return round(compare.margin(*runs), 4)

    quiet = (-0.001, 0.0, 0.001, 0.0)
    several = run(row(**processes_of(0.1, quiet)), aa_checks=[aa_check(**processes_of(0.0, quiet))], margin=None)
    one, asked = run(row(), margin=None), run(row(), margin=0.05)
    assert (one.judging_margin, several.judging_margin) == (0.05, 0.01)
    assert margin(several, several) == 0.01
    assert margin(asked, asked) == margin(asked, several) == 0.05
    assert margin(one, one) == margin(one, asked) == 0.0714
    assert margin(one, several) == 0.0511


def test_processes_that_did_not_measure_the_same_are_not_joined():
    parts = [
        {
            "benchmarks": [{"fullname": "a", "extra_info": info(numpy=numpy), "stats": {}}],
            "untimed": [],
            "null_lanes": [],
            "conditions": asdict(CONDITIONS),
            "margin": 0.01,
        }
        for numpy in ("2.4.0", "2.4.1")
    ]
    message = r"^numpy of manual_inplace is 2\.4\.1 in process 2, 2\.4\.0 in process 1; expected the same in all"
    with pytest.raises(processes.Unlike, match=message):
        processes.merged(parts)


def test_a_table_does_not_take_the_place_of_its_run(save):
    path = save(row(), name="run.md")
    before = path.read_bytes()
    done = command("benchmarks.report", path)
    assert done.returncode == 1
    assert done.stderr.endswith("its table would take its place; give the run the suffix .json\n")
    assert path.read_bytes() == before


def test_a_thousand_rows_are_compared_in_two_seconds(save):
    """The time of the arithmetic is not asserted, only that it ends long before a human gives up."""
    seconds = [[0.1 + (pair * number % 7) / 1000 for pair in range(20)] for number in range(1000)]
    a, b = (
        save(*[row(f"row{number}", own_seconds=own) for number, own in enumerate(seconds)], name=name)
        for name in ("a.json", "b.json")
    )
    done = command("benchmarks.compare", a, b, timeout=60)
    assert done.returncode == 0
    assert len(done.stdout.splitlines()) > 1000


@pytest.mark.parametrize("text", ["", "{", "[]"])
def test_compare_and_report_refuse_a_damaged_run(text, save, tmp_path):
    broken = tmp_path / "broken.json"
    broken.write_text(text)
    done = command("benchmarks.compare", save(row()), broken)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"error: {broken}: ")
    assert len(done.stderr.splitlines()) == 1
    done = command("benchmarks.report", broken)
    assert done.returncode == 1
    assert done.stderr.startswith(f"error: {broken}: ")
    assert len(done.stderr.splitlines()) == 1
    assert not broken.with_suffix(".md").exists()


def test_compare_refuses_a_run_without_times(save):
    done = command("benchmarks.compare", save(row()), save(untimed=[("a", "wrong: b")], name="b.json"))
    assert done.returncode == 2
    assert done.stderr.endswith("b.json: no row has a time\n")


def test_report_prints_the_table_and_saves_it_beside_the_run(save):
    path = save(row())
    done = command("benchmarks.report", path)
    assert done.returncode == 0
    assert path.with_suffix(".md").read_text() == table.markdown(saved.load(path))
    assert "| manual_inplace-cpu " in done.stdout


def test_the_published_runs_have_their_tables():
    files = [path for path in (ROOT / "results").glob("*.json") if not path.name.startswith("run-")]
    published = [path for path in files if path != museum.PATH]  # which holds no run
    assert published
    for path in published:
        assert path.with_suffix(".md").read_text() == report.pages(path)[".md"]


@pytest.mark.parametrize(("name", "least"), [("cpu", 12), ("ladder", 12), ("growth", 8)])
def test_published_runs_are_of_several_processes_and_of_a_commit_without_changes(name, least):
    path = ROOT / "results" / f"{name}.json"
    assert min(len(set(row.process)) for row in saved.load(path).rows) >= least
    commit = json.loads(path.read_text(encoding="utf-8"))["commit_info"]
    assert re.fullmatch("[0-9a-f]{40}", commit["id"])
    assert commit["dirty"] is False


def test_the_proof_and_the_published_runs_are_of_one_checker():
    hashes = {
        row.setting.checker_sha256
        for name in ("cpu", "ladder", "growth", "ranks")
        for row in saved.load(ROOT / "results" / f"{name}.json").rows
    }
    proof = json.loads((ROOT / "results" / "trust" / "trust.json").read_text(encoding="utf-8"))
    assert hashes == {proof["machine"]["checker_sha256"]}
