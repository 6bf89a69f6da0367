"""How time grows: planted answers are found again, and nothing is said that the intervals do not carry."""

import itertools
import json
import math
import re
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.runs import saved
from benchmarks.show import batches, charts, growth, page, picture, table
from tests.made_up import content, row, run

ROOT = Path(__file__).parent.parent
SIZES = (16, 64, 256, 1024, 50_000)


def timed(name, batch_size, seconds, rows=50_000, noise=0.0, **changed):
    """A row that takes so many seconds an epoch, beside a reference that takes 1; noise: half the pairs' spread."""
    own = [seconds * (1 + noise * (-1) ** i) for i in range(8)]
    steps = math.ceil(rows / batch_size)
    times = {"own_seconds": own, "baseline_seconds": [1.0] * 8, "floor_seconds": 0.01 * rows / 50_000}
    return row(name, batch_size=batch_size, rows=rows, epochs=1, steps=steps, **times | changed)


def planted(name, dispatch, arithmetic, **changed):
    """Rows of all batch sizes that take `dispatch` seconds a step and `arithmetic` an epoch."""
    return [timed(name, size, dispatch * math.ceil(50_000 / size) + arithmetic, **changed) for size in SIZES]


QUICK_STEPS = planted("quick_steps", dispatch=1e-5, arithmetic=0.3)
QUICK_SUMS = planted("sums_quick", dispatch=5e-4, arithmetic=0.1)


def test_a_fit_finds_what_was_planted():
    (panel,) = growth.panels(run(*QUICK_SUMS))
    fit = growth.fitted(panel.by_name["sums_quick"])
    assert fit.dispatch == pytest.approx(5e-4)
    assert fit.arithmetic == pytest.approx(0.1)
    assert fit.within == pytest.approx(0, abs=1e-9)
    assert growth.fit_cells(panel.by_name["sums_quick"]) == ["500", "100", "250", "0%"]


def test_no_part_of_a_fit_is_negative():
    faster_in_small_batches = [growth.Point(50_000, size, size**0.1, 1, 1) for size in SIZES]
    fit = growth.fitted(faster_in_small_batches)
    assert fit.dispatch == 0
    assert fit.arithmetic > 0
    assert fit.within > 0.1
    assert growth.fit_cells(faster_in_small_batches)[2] == ""


def test_two_points_say_nothing_of_how_well_they_are_fitted():
    (panel,) = growth.panels(run(*QUICK_SUMS[:2]))
    assert growth.fit_cells(panel.by_name["sums_quick"])[3] == ""


def test_times_follow_from_the_ratios_whatever_the_machine_did():
    slow_moment = timed("b", 64, 0.8, baseline_seconds=[4.0] * 8)  # a fifth of its baseline's time
    by_name = growth.points(run(timed("a", 64, 0.5, baseline_seconds=[2.0] * 8), slow_moment), "cpu")
    assert by_name["torch_nn"][0].seconds == 3.0
    assert by_name["a"][0].seconds == pytest.approx(3.0 / 4)
    assert by_name["b"][0].seconds == pytest.approx(3.0 / 5)


def test_a_family_is_its_fastest_member_at_each_batch_size():
    a, b = planted("x_a", 1e-4, 0.1), planted("x_b", 1e-3, 0.01)
    (panel,) = growth.panels(run(*a, *b))
    assert panel.families.keys() == {"torch_nn", "x"}
    fastest = [min(one.own.seconds[0], other.own.seconds[0]) for one, other in zip(a, b, strict=True)]
    assert [point.seconds for point in panel.families["x"]] == pytest.approx(fastest)
    assert fastest[0] == a[0].own.seconds[0]
    assert fastest[-1] == b[-1].own.seconds[0]


def test_a_crossing_is_found_between_the_right_sizes_with_its_cause():
    # 0.3 + 1e-5 * steps against 0.1 + 5e-4 * steps: equal at 408 steps, a batch of 122
    (panel,) = growth.panels(run(*QUICK_STEPS, *QUICK_SUMS))
    assert [sentence for sentence in growth.crossings(panel.families) if "torch" not in sentence] == [
        "sums overtakes quick between batches of 64 and 256: a step costs it 490 us more, the arithmetic of an epoch "
        "200 ms less."
    ]


def test_a_crossing_within_the_intervals_is_not_reported():
    (panel,) = growth.panels(run(*planted("quick_steps", 1e-5, 0.3, noise=0.9), *QUICK_SUMS))
    assert [sentence for sentence in growth.crossings(panel.families) if "torch" not in sentence] == []


def test_a_crossing_that_the_fits_do_not_explain_gives_the_times_at_both_ends():
    times = zip(SIZES, (10, 0.01, 0.01, 0.01, 0.1), strict=True)  # a fit sees next to no cost of a step here
    (panel,) = growth.panels(run(*(timed("bent_line", *time) for time in times), *planted("b_line", 2.88e-3, 0.2)))
    sentences = [sentence for sentence in growth.crossings(panel.families) if "torch" not in sentence]
    assert sentences == [
        "bent overtakes b between batches of 16 and 64: 10000 ms against 9200 ms in batches of 16, 100 ms against "
        "203 ms in batches of 50000."
    ]


def test_crossings_that_the_fits_explain_come_first():
    times = zip(SIZES, (1e-3, 1e-3, 1e-3, 1e-3, 100), strict=True)  # far clearer, but no cost of a step explains it
    rows = [*QUICK_STEPS, *QUICK_SUMS, *(timed("bent_line", *time) for time in times)]
    (panel,) = growth.panels(run(*rows))
    sentences = [sentence for sentence in growth.crossings(panel.families) if "torch" not in sentence]
    assert [sentence.partition(" between")[0] for sentence in sentences] == [
        "sums overtakes quick",
        "sums overtakes bent",
        "quick overtakes bent",
    ]


def test_lines_that_do_not_cross_are_said_not_to():
    text = growth.markdown(run(*planted("a_b", 1e-6, 0.01)), "x.svg")
    assert "* No two families change places between the least and the largest batch." in text


def test_the_distance_from_the_floor():
    text = growth.markdown(run(*planted("a_b", 1e-6, 0.02)), "x.svg")
    assert (
        "* The floor is 10.0 ms: in batches of 16 the fastest, a, takes 2.31 times as much; in batches of 50000 the "
        "fastest, a, takes 2.00 times as much." in text
    )


@pytest.mark.parametrize("planted_exponent", [1.0, 0.5])
def test_an_exponent_is_found_again(planted_exponent):
    rows = [timed("a", 64, 1e-5 * n**planted_exponent, rows=n) for n in (1_000, 10_000, 50_000)]
    (own,) = (own for name, own in growth.lines(run(*rows), "cpu", "batch_size", "rows").items() if name == "a")
    slope, low, high = growth.exponent(own)
    assert slope == pytest.approx(planted_exponent)
    assert low == pytest.approx(slope)
    assert high == pytest.approx(slope)
    assert f"| a        |     {planted_exponent:.2f} |" in growth.markdown(run(*rows), "x.svg")


def test_the_interval_of_an_exponent_is_that_of_the_worst_case():
    rows = [timed("a", 64, 1e-5 * n, rows=n, noise=0.1) for n in (1_000, 10_000)]
    own = growth.lines(run(*rows), "cpu", "batch_size", "rows")["a"]
    _, low, high = growth.exponent(own)
    assert (low, high) == pytest.approx((1 - math.log10(1.1 / 0.9), 1 + math.log10(1.1 / 0.9)))


def test_of_several_problems_the_most_rows_and_the_smallest_batch_are_shown():
    rows = [timed("a", size, 1e-5 * n, rows=n) for n in (1_000, 50_000) for size in (16, 64)]
    text = growth.markdown(run(*rows), "x.svg")
    assert "### Batch size: 50000 rows on cpu" in text
    assert "### Rows: 1000, 50000 in batches of 16 on cpu" in text


def test_a_row_that_lacks_a_size_has_no_line():
    (panel,) = growth.panels(run(*QUICK_SUMS, *QUICK_STEPS[1:]))
    assert panel.by_name.keys() == {"torch_nn", "sums_quick"}


def test_without_one_baseline_or_several_problems_nothing_is_said():
    assert growth.markdown(run(*QUICK_SUMS, *planted("a", 1e-3, 1, baseline="sums_quick")), "x.svg") == ""
    assert growth.markdown(run(QUICK_SUMS[0]), "x.svg") == ""
    assert growth.markdown(run(), "x.svg") == ""


def test_a_picture_is_the_same_twice_and_has_all_lines():
    panels = growth.panels(run(*QUICK_SUMS, *QUICK_STEPS))
    svg = picture.svg(panels, "a title")
    assert svg == picture.svg(panels, "a title")
    assert svg != picture.svg(growth.panels(run(*QUICK_SUMS)), "a title")
    for text in ("torch_nn", "sums", "quick", "floor", "a title", "50000 rows on cpu", *map(str, SIZES)):
        assert f"<!-- {text} -->" in svg
    assert_it_has_both_schemes(svg)


def assert_it_has_both_schemes(svg):
    """Text and background have each a colour that is another one where all else is dark, and none is plain black."""
    dark = svg.partition("@media (prefers-color-scheme: dark)")[2].partition("</style>")[0]
    for colour in (f"fill: {picture.BACK}", f"fill: {picture.TEXT}", f"stroke: {picture.TEXT}"):
        assert f'[style*="{colour}"]' in dark
        assert re.search(rf'style="[^"]*{colour}', svg)
    assert not re.search("(fill|stroke): #000000", svg)


def test_the_picture_of_a_ladder_has_both_schemes():
    assert_it_has_both_schemes(page.picture({"run.json": run(row("a"), row("b"))}))


def test_a_chart_has_each_family_at_its_place_and_the_names_apart():
    (panel,) = growth.panels(run(*QUICK_SUMS, *QUICK_STEPS))
    chart = batches.chart(panel)
    assert [curve.family for curve in chart.curves] == [*panel.families]
    for curve, own in zip(chart.curves, panel.families.values(), strict=True):
        ends = [tuple(map(float, point.split(","))) for point in curve.points.split()]
        assert [x for x, _ in ends] == sorted(x for x, _ in ends)
        assert (ends[0][0], ends[-1][0], ends[-1][1]) == (0, 100, curve.end)
        low, high = math.log(chart.axes.low), math.log(chart.axes.high)
        for (_, y), point in zip(ends, own, strict=True):
            assert y == pytest.approx(100 * (high - math.log(point.seconds * 1e3)) / (high - low), abs=0.01)
    names = sorted([chart.label, *(curve.label for curve in chart.curves)])
    assert all(below - above > 0.99 * batches.LABEL_HEIGHT for above, below in itertools.pairwise(names))
    assert all(chart.axes.low < tick < chart.axes.high for tick in chart.ticks)


def test_labels_keep_their_order_and_their_distance():
    placed = charts.spread([0.5, 0.51, 0.5, 0.9], 0.05)
    assert sorted(range(4), key=placed.__getitem__) == [0, 2, 1, 3]
    gaps = [high - low for low, high in zip(sorted(placed), sorted(placed)[1:], strict=False)]
    assert min(gaps) > 0.99 * 0.05
    assert placed[3] == 0.9


# --- the command --------------------------------------------------------------------------------------------


def report(path, *rows):
    path.write_text(json.dumps(content(run(*rows))))
    command = [sys.executable, "-m", "benchmarks.report", str(path)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True)


def test_a_report_of_several_batch_sizes_shows_its_picture(tmp_path):
    path = tmp_path / "run.json"
    done = report(path, *QUICK_SUMS, *QUICK_STEPS)
    assert (done.returncode, done.stderr) == (0, "")
    text = path.with_suffix(".md").read_text()
    assert text.startswith(table.markdown(saved.load(path)))
    assert "](run.svg)" in text
    assert text in done.stdout
    assert done.stdout.endswith(f"saved: {path.with_suffix('.svg')}\nsaved: {path.with_suffix('.md')}\n")
    assert "<svg" in path.with_suffix(".svg").read_text()


def test_a_report_of_one_problem_has_no_picture(tmp_path):
    done = report(tmp_path / "run.json", QUICK_SUMS[0])
    assert done.returncode == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["run.json", "run.md"]


def test_a_picture_that_cannot_be_written_is_one_line(tmp_path):
    (tmp_path / "run.svg").mkdir()
    done = report(tmp_path / "run.json", *QUICK_SUMS)
    assert done.returncode == 1
    assert done.stderr == f"error: {tmp_path / 'run.svg'}: Is a directory\n"
