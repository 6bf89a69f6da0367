"""What people read: the table, its Markdown, and two runs side by side; and saved runs that are damaged."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

import implementations
from benchmarks import compare, layers, report, saved, table

ROOT = Path(__file__).parent.parent


def row(name="manual_inplace", own=0.1, beside=0.2, **changed):
    """A saved row with eight pairs of these seconds."""
    good = {
        "name": name,
        "parent": "autograd_inplace",
        "baseline": "torch_nn",
        "dataset": "digits",
        "dataset_origin": "made up",
        "dataset_sha256": "0123456789abcdef" * 4,
        "rows": 50_000,
        "features": 784,
        "classes": 10,
        "batch_size": 64,
        "epochs": 2,
        "learning_rate": 0.5,
        "steps": 1564,
        "dtype": "float32",
        "device": "cpu",
        "device_name": "A processor, 2 cores, AVX512",
        "threads": 2,
        "system": "Linux",
        "python": "3.12.1",
        "torch": "2.13.0",
        "numpy": "2.4.0",
        "bytes_per_second": 4e10,
        "flops_per_second": 2e11,
        "floor_seconds": 0.016,
        "own_seconds": [own] * 8,
        "baseline_seconds": [beside] * 8,
        "baseline_first": [True, False] * 4,
        "first_call_seconds": 1.5,
        "error": 1.25,
        "lines": 12,
        "source_sha256": "aa",
        "baseline_first_call_seconds": 2.5,
        "baseline_error": 1.0,
        "baseline_lines": 17,
        "baseline_source_sha256": "bb",
        "idea": "What it does.",
        "operations_per_step": 22.0,
        "bytes_per_step": 71808.0,
        "calls_per_step": 12.0,
        "baseline_operations_per_step": 17.0,
        "baseline_bytes_per_step": 41652.0,
        "baseline_calls_per_step": 148.0,
    }
    return good | changed


@pytest.fixture
def save(tmp_path):
    """Saves rows as a run; the path."""

    def save(*rows, untimed=(), name="run.json"):
        path = tmp_path / name
        benchmarks = [{"extra_info": row} for row in rows]
        path.write_text(json.dumps({"benchmarks": benchmarks, "untimed": untimed}))
        return path

    return save


def run(*rows, untimed=()):
    return saved.Run(list(rows), list(untimed))


# --- the table ----------------------------------------------------------------------------------------------


def column(rows, name):
    return [line.get(name) for line in table.lines(rows)]


def test_a_row_shows_its_times_multiples_of_the_floor_and_the_ratio():
    cells = table.lines([row()])[1]
    assert [cells[name] for name in table.header([row()])] == [
        *("manual_inplace-cpu", "50.0", "63.9", "6.25", "2.00", "2.00 to 2.00", "1.50 s", "1.25", "12")
    ]


@pytest.mark.parametrize(
    ("seconds", "shown"), [(0.2, ("100.0", "12.5")), (0.008, ("4.00", "0.500")), (32, ("16000.0", "2000"))]
)
def test_times_and_multiples_of_the_floor_keep_enough_digits(seconds, shown):
    cells = table.lines([row(own=seconds)])
    assert shown in [(line["ms/epoch"], line["x floor"]) for line in cells]


def test_the_reference_has_a_row_and_rows_run_from_slowest_to_fastest():
    rows = [row("fast", 0.1), row("slow", 0.4), row("between", 0.3)]
    assert column(rows, "name") == ["slow-cpu", "between-cpu", "torch_nn-cpu (reference)", "fast-cpu"]
    cells = table.lines(rows)[2]
    assert [cells.get(name) for name in table.header(rows)] == [
        *("torch_nn-cpu (reference)", "100.0", "127.9", "12.5", "1", None, "2.50 s", "1.00", "17")
    ]


def test_rows_are_sorted_by_their_ratio_not_by_the_speed_of_their_moment():
    rows = [row("fast", own=0.3, beside=0.9), row("slow", own=0.2, beside=0.1)]
    assert column(rows, "name") == ["slow-cpu", "torch_nn-cpu (reference)", "fast-cpu"]


def test_with_parents_as_baselines_each_row_names_its_own():
    rows = [row("a", baseline="torch_nn"), row("b", baseline="a")]
    assert table.header(rows)[3:5] == ["baseline", "x baseline"]
    assert column(rows, "baseline") == ["torch_nn", "a"]
    assert column(rows, "x baseline") == ["2.00", "2.00"]


def test_what_varies_has_a_column_and_each_problem_its_reference():
    rows = [row("a"), row("a", batch_size=16, own=0.4), row("a", rows=1000)]
    assert table.header(rows)[:3] == ["name", "batch", "rows"]
    assert "first call" not in table.header(rows)
    cells = [(line["rows"], line["batch"], line["name"]) for line in table.lines(rows)]
    assert cells == [
        ("1000", "64", "torch_nn-cpu (reference)"),
        ("1000", "64", "a-cpu"),
        ("50000", "16", "a-cpu"),
        ("50000", "16", "torch_nn-cpu (reference)"),
        ("50000", "64", "torch_nn-cpu (reference)"),
        ("50000", "64", "a-cpu"),
    ]
    assert table.header([row("a"), row("a", rows=1000)])[:2] == ["name", "rows"]


def test_the_facts_name_every_problem_and_the_floor_of_the_largest():
    rows = [row(batch_size=256, rows=1000, floor_seconds=1e-4), row()]
    facts = dict(table.facts(rows))
    assert facts["problem"].startswith("1000, 50000 rows of 784, 10 classes, batch 64, 256, ")
    assert facts["floor"] == (
        "cpu reads 40 GB/s and computes 200 GFLOP/s, so 50000 rows take at least 8 ms/epoch in dense float32"
    )
    assert "1564 steps" not in facts["problem"]
    assert "1564 steps" in dict(table.facts([row()]))["problem"]


def test_a_row_without_a_time_is_in_the_table_and_its_reason_below():
    text = table.text(run(row(), untimed=[("bad-cpu", "refused: one step: the update is off")]))
    assert re.search("^bad-cpu +refused *$", text, re.MULTILINE)
    assert text.splitlines()[-1] == "bad-cpu refused: one step: the update is off"


def test_without_any_time_the_reasons_are_shown_all_the_same():
    text = table.text(run(untimed=[("bad-cpu", "refused: why")]))
    assert "bad-cpu refused: why" in text


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
    bad = table.row_id("autograd_cross_entropy", "cuda", *(rows_of if len(rows_of) > 1 else ()))
    text = table.text(run(*rows, untimed=[(bad, "refused: " + "a long story " * 30)]))
    assert max(map(len, text.splitlines())) <= table.WIDTH


def test_columns_may_be_chosen():
    chosen = ("x baseline", "ops/step", "KB/step", "calls/step")
    header = table.header([row()], chosen)
    assert header == ["name", "x torch_nn", "ops/step", "KB/step", "calls/step"]
    cells = [[line.get(column) for column in header] for line in table.lines([row()])]
    assert cells == [
        ["torch_nn-cpu (reference)", "1", "17", "41.7", "148"],
        ["manual_inplace-cpu", "2.00", "22", "71.8", "12"],
    ]
    assert re.search(
        "^bad-cpu +refused *$", table.text(run(row(), untimed=[("bad-cpu", "refused: why")]), chosen), re.M
    )


def test_outside_torch_counts_are_blank():
    outside = row(operations_per_step=None, bytes_per_step=None, calls_per_step=None)
    cells = table.cells(outside)
    assert [cells[column] for column in table.COUNTS] == ["", "", ""]


def test_a_price_is_a_number_only_where_a_difference_was_measured():
    parents = [row("a", own=0.3, beside=0.2), row("b", baseline="a", own=0.1)]
    prices = dict(zip(column(parents, "name"), column(parents, "us/step more"), strict=True))
    assert prices == {"a-cpu": "+63.9", "b-cpu": "-63.9"}
    undecided = row(own_seconds=[0.1, 0.3] * 4)
    assert table.cells(undecided)["us/step more"] == "none measured"
    assert "us/step more" in table.header(parents)


def test_rows_on_two_devices_have_a_reference_each():
    lines = table.lines([row(), row(device="cuda", own=0.01)])
    assert {"torch_nn-cpu (reference)", "torch_nn-cuda (reference)"} <= {line["name"] for line in lines}


def test_markdown_has_facts_table_and_reasons():
    text = table.markdown(run(row(), untimed=[("bad-cpu", "skipped: numba not installed")]))
    assert "* dataset: digits (made up), sha256 0123456789ab" in text
    assert "| manual_inplace-cpu       |     50.0 |    63.9 |" in text
    assert text.endswith("* `bad-cpu` skipped: numba not installed\n")


# --- what each layer costs ----------------------------------------------------------------------------------


def test_the_price_list_is_a_tree_of_ideas_with_what_they_cost():
    rows = [
        row("c", parent="a", baseline="a", own=0.3, beside=0.2, idea="Third."),
        row("b", parent="a", baseline="a", own_seconds=[0.1, 0.3] * 4, idea="Second.", operations_per_step=None),
        row("d", parent="b", baseline="b", idea="Fourth."),
        row("a", parent=None, baseline="torch_nn", idea="First."),
    ]
    lines = [line for line in layers.markdown(run(*rows)).splitlines() if line.startswith("| ")]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    interval = "-63.9 to +63.9"
    assert cells == [
        [*("idea", "against", "what it does", "x parent", "us/step more", "interval"), *table.COUNTS, "lines"],
        ["b", "a", "Second.", "", "none measured", interval, "", "+30.2", "-136", "-5"],
        ["d", "b", "Fourth.", "2.00", "-63.9", "-63.9 to -63.9", "+5", "+30.2", "-136", "-5"],
        ["c", "a", "Third.", "0.67", "+63.9", "+63.9 to +63.9", "+5", "+30.2", "-136", "-5"],
    ]


def test_a_run_beside_the_reference_has_no_price_list():
    assert layers.markdown(run(row())) == ""


# --- saved runs ---------------------------------------------------------------------------------------------


def damaged_runs():
    good = json.dumps({"benchmarks": [{"extra_info": row()}], "untimed": []})
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
        "counts that are none": (good.replace("22.0", '"many"'), "a row without a usable 'operations_per_step'"),
        "no list of untimed rows": ('{"benchmarks": []}', "not a run of this suite"),
        "a row that is none": ('{"benchmarks": [{"extra_info": 3}], "untimed": []}', "a row without a usable 'name'"),
        "an empty row": ('{"benchmarks": [{"extra_info": {}}], "untimed": []}', "a row without a usable 'name'"),
        "a missing field": (good.replace('"error"', '"errors"'), "a row without a usable 'error'"),
        "a field of another type": (good.replace('"threads": 2', '"threads": "2"'), "a row without a usable 'threads'"),
        "times that are none": (good.replace("0.1,", '"0.1",', 1), "has times that are not positive numbers"),
        "negative times": (good.replace("0.1,", "-0.1,", 1), "has times that are not positive numbers"),
        "endless times": (good.replace("0.1,", "Infinity,", 1), "has times that are not positive numbers"),
        "a huge count": (good.replace("50000", "1" + "0" * 400), "as its rows; expected a finite number"),
        "a number of too many digits": (good.replace("50000", "1" * 5000), "not JSON, or cut off"),
        "an error that is no number": (good.replace("1.25", "NaN"), "has nan as its error; expected a finite number"),
        "a floor of almost nothing": (good.replace("0.016", "5e-324"), "has a floor of 5e-324 seconds"),
        "an untimed row that is a number": (
            good.replace('"untimed": []', '"untimed": [[1, "a"]]'),
            "not a run of this",
        ),
        "a reason that is null": (good.replace('"untimed": []', '"untimed": [["a", null]]'), "not a run of this suite"),
        "a time too few": (good.replace("0.1,", "", 1), "unequal numbers"),
        "too few pairs": (json.dumps(few_pairs()), "has 3 pairs; an interval needs at least 8"),
        "no steps": (good.replace('"steps": 1564', '"steps": 0'), "has no epochs, steps, rows or batches"),
        "no floor": (good.replace('"floor_seconds": 0.016', '"floor_seconds": 0'), "has a floor of 0 seconds"),
    }


def few_pairs():
    return {"benchmarks": [{"extra_info": row(own_seconds=[1.0] * 3, baseline_seconds=[1.0] * 3)}], "untimed": []}


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


def test_the_newest_run_is_the_last_by_name(tmp_path, monkeypatch):
    monkeypatch.setattr(saved, "RESULTS", tmp_path)
    for name in ("run-20260102-000000-9.json", "run-20260101-235959-10.json", "other.json"):
        (tmp_path / name).touch()
    assert saved.newest().name == "run-20260102-000000-9.json"


# --- two runs -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("field", compare.MUST_AGREE)
def test_runs_that_differ_are_refused_by_field(field):
    value = 3 if isinstance(row()[field], (int, float)) else "other"
    (reason,) = compare.unlike(run(row()), run(row(**{field: value})))
    assert reason == f"{field} is {row()[field]} in A, {value} in B"


def test_rows_on_different_devices_are_not_compared():
    (reason,) = compare.unlike(run(row()), run(row(device="cuda")))
    assert reason.startswith("device or rows: A has manual_inplace-cpu; B has manual_inplace-cuda")


def test_a_device_that_one_run_lacks_does_not_matter():
    assert compare.unlike(run(row()), run(row(), row(device="cuda", device_name="An accelerator"))) == []


def test_rows_with_different_baselines_are_refused():
    (reason,) = compare.unlike(run(row()), run(row(baseline="autograd_inplace")))
    assert reason == "baseline of manual_inplace-cpu is torch_nn in A, autograd_inplace in B"


def test_a_row_is_compared_through_its_ratio_not_its_time():
    twice_as_slow_a_moment = row(own=0.2, beside=0.4)
    (line,) = compare.lines(run(row()), run(twice_as_slow_a_moment))
    assert line == ["manual_inplace-cpu", "2.00 (2.00 to 2.00)", "2.00 (2.00 to 2.00)", "1.00", "1.00 to 1.00", ""]


def test_rows_of_one_side_and_changed_sources_are_marked():
    lines = compare.lines(run(row("a"), row("b")), run(row("b", source_sha256="cc", own=0.05), row("c")))
    assert [line[-1] for line in lines] == ["only in A", "source changed", "only in B"]
    assert lines[1][3] == "2.00"


def test_rows_of_several_problems_are_compared_each_with_its_own():
    a = run(row(), row(batch_size=256, own=0.05))
    b = run(row(batch_size=256, own=0.1), row(batch_size=1024))
    assert compare.unlike(a, b) == []
    assert [(line[0], line[3], line[-1]) for line in compare.lines(a, b)] == [
        ("manual_inplace-cpu-batch1024", "", "only in B"),
        ("manual_inplace-cpu-batch256", "0.50", ""),
        ("manual_inplace-cpu-batch64", "", "only in A"),
    ]
    (reason,) = compare.unlike(a, run(row(batch_size=1024)))
    assert reason.endswith("B has manual_inplace-cpu-batch1024; no row is in both")
    (reason,) = compare.unlike(a, run(row(rows=1000), row(rows=1000, batch_size=256)))
    assert reason == "rows is 50000 in A, 1000 in B"


def test_swapping_the_runs_inverts_the_comparison():
    a, b = run(row(own=0.1)), run(row(own=0.08))
    (there,), (back,) = compare.lines(a, b), compare.lines(b, a)
    assert (there[3], back[3]) == ("1.25", "0.80")


# --- the commands -------------------------------------------------------------------------------------------


def command(module, *arguments):
    """The command in a process where torch and numpy cannot be imported: it must not need them."""
    blocked = "import runpy, sys; sys.modules['torch'] = sys.modules['numpy'] = None; sys.argv = sys.argv[1:]; "
    start = f"runpy.run_module({module!r}, run_name='__main__', alter_sys=True)"
    return subprocess.run(
        [sys.executable, "-c", blocked + start, module, *map(str, arguments)], cwd=ROOT, capture_output=True, text=True
    )


def test_compare_shows_two_like_runs(save):
    a, b = save(row(), name="a.json"), save(row(torch="2.12.0"), name="b.json")
    done = command("benchmarks.compare", a, b)
    assert (done.returncode, done.stderr) == (0, "")
    assert "note: torch is 2.13.0 in A, 2.12.0 in B" in done.stdout
    assert "NOT COMPARABLE" not in done.stdout
    assert max(map(len, done.stdout.splitlines()[-3:])) <= table.WIDTH


def test_compare_refuses_unlike_runs_and_marks_them_when_forced(save):
    a, b = save(row(), name="a.json"), save(row(threads=4), name="b.json")
    done = command("benchmarks.compare", a, b)
    assert (done.returncode, done.stdout) == (3, "")
    assert done.stderr == "not comparable: threads is 2 in A, 4 in B; --force shows them anyway\n"
    done = command("benchmarks.compare", a, b, "--force")
    assert done.returncode == 0
    assert done.stdout.count("NOT COMPARABLE") == 2
    assert "manual_inplace-cpu" in done.stdout


@pytest.mark.parametrize("content", ["", "{", "[]"])
def test_compare_and_report_refuse_a_damaged_run(content, save, tmp_path):
    broken = tmp_path / "broken.json"
    broken.write_text(content)
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
    done = command("benchmarks.compare", save(row()), save(untimed=[("a", "refused: b")], name="b.json"))
    assert done.returncode == 2
    assert done.stderr.endswith("b.json: no row has a time\n")


def test_report_prints_the_table_and_saves_it_beside_the_run(save):
    path = save(row())
    done = command("benchmarks.report", path)
    assert done.returncode == 0
    assert path.with_suffix(".md").read_text() == table.markdown(saved.load(path))
    assert "| manual_inplace-cpu " in done.stdout


def test_the_published_runs_have_their_tables():
    published = [path for path in (ROOT / "results").glob("*.json") if not path.name.startswith("run-")]
    assert published
    for path in published:
        assert path.with_suffix(".md").read_text() == report.pages(path)[".md"]


def test_the_readme_shows_the_published_table():
    markdown = (ROOT / "results" / "cpu.md").read_text()
    rows = [line for line in markdown.splitlines() if line.startswith("|")]
    assert "\n".join(rows) in (ROOT / "README.md").read_text()


def test_the_ladder_in_the_readme_is_that_of_the_published_run():
    ladder = re.findall(r"^\| `(\w+)` \| `(\w+)` \| ([\d.]+) \|", (ROOT / "README.md").read_text(), re.MULTILINE)
    rows = {row["name"]: row for row in saved.load(ROOT / "results" / "ladder.json").rows}
    assert len(ladder) > 5
    for name, parent, ratio in ladder:
        assert (name, parent) == (name, implementations.parent(name) or "torch_nn")
        assert rows[name]["baseline"] == parent
        assert table.cells(rows[name])["x baseline"] == ratio


def test_what_the_readme_says_of_growth_is_in_the_published_report():
    section = (ROOT / "README.md").read_text().partition("## How time grows")[2].partition("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith(("|", "* "))]
    assert len(lines) > 5
    assert set(lines) <= set((ROOT / "results" / "growth.md").read_text().splitlines())
