"""What a reader learns of several processes: planted answers are found again, with the errors that they have."""

import math

import pytest

from benchmarks import report
from benchmarks.runs import saved
from benchmarks.show import page, prose, ranks
from tests.made_up import content, row, run

SIZES = (64, 256, 1024, 4096, 16_384)
TWO = {"processes": 2, "hosts": 1, "threads_per_process": 1, "backend": "gloo", "threads": 1}


def timed(name, size, step, each_row, noise=0.001, **changed):
    """A row that takes so many seconds for a step and for each row."""
    steps = math.ceil(50_000 / size)
    own = [(step * steps + each_row * 50_000) * (1 + noise * (-1) ** i) for i in range(8)]
    times = {"own_seconds": own, "baseline_seconds": [1.0] * 8, "floor_seconds": 0.01, "steps": steps, "epochs": 1}
    return row(name, batch_size=size, rows=50_000, **{"threads": 1} | times | changed)


def alone(name="manual_inplace", **changed):
    """One process: 100 us a step and 1 us a row."""
    return [timed(name, size, 1e-4, 1e-6, **changed) for size in SIZES]


def together(name="allreduce_flat", exchange=400e-6, **changed):
    """Two processes: half of the rows each, and an exchange; it is measured where there are rows enough."""
    return [
        timed(
            name,
            size,
            1e-4 + exchange,
            0.5e-6,
            exchange_seconds=exchange if size < 5000 else None,
            **(TWO | changed),
        )
        for size in SIZES
    ]


def the_one(*rows):
    """What is said of the one row of several processes."""
    (found,) = ranks.shared(run(*rows), "cpu")
    return found


def test_they_pay_from_where_what_is_saved_is_what_the_exchange_costs():
    found = the_one(*alone(), *together())
    assert (found.name, found.beside, found.processes) == ("allreduce_flat", "manual_inplace", 2)
    assert found.row_seconds == pytest.approx(1e-6, rel=0.01)
    assert float(found.computed) == pytest.approx(800, rel=0.01)  # 800 rows x 1 us x 1/2
    assert found.measured == "256 to 1024"
    assert found.ratios[1].value == pytest.approx(356 / 628, rel=0.01)


def test_beside_ddp_stands_the_nearest_of_its_parents_in_one_process():
    assert the_one(*alone("nn_optimizer"), *together("ddp")).beside == "nn_optimizer"
    assert ranks.shared(run(*alone(), *together("ddp")), "cpu") == []


@pytest.mark.parametrize(
    ("exchange", "computed", "measured"),
    [(1e-6, "below 64", "at most 64"), (0.01, "above 4096", "above 16384"), (4e-3, "above 4096", "4096 to 16384")],
)
def test_nothing_is_said_of_batches_that_were_not_measured(exchange, computed, measured):
    found = the_one(*alone(), *together(exchange=exchange))
    assert (found.computed, found.measured) == (computed, measured)


def test_where_the_intervals_do_not_tell_nothing_is_said():
    noisy = the_one(*alone(noise=0.9), *together(noise=0.9))
    assert noisy.measured == "not told"
    less = the_one(*alone(), *together(noise=0.3))
    assert less.measured == "256 to 4096"  # at 1024 there are 1124 us against 1012 with an error of 30 %
    more = the_one(*alone(noise=0.3), *together(noise=0.5))
    assert more.measured == "above 64"


def test_nothing_is_computed_where_processes_only_share_the_cores_of_one():
    """One process of two threads has computed on both all along."""
    found = the_one(*alone(threads=2), *together(threads=2))
    assert found.computed == ""
    assert found.measured == "256 to 1024"


def test_the_report_has_the_exchange_and_when_they_pay(tmp_path):
    sizes = {f"all_reduce_{size}_seconds": 1e-5 * i for i, size in enumerate((8, 2560, 31400, 314000), 1)}
    slow = {key: 2 * value for key, value in sizes.items()}
    rows = together(**sizes)[:-1] + together(**slow)[-1:]
    path = tmp_path / "ranks.json"
    saved.write(path, content(run(*alone(), *rows)))
    text = report.pages(path)[".md"]
    assert "### One all_reduce, 2 processes of 1 thread each, by gloo\n" in text
    assert "| 31400 B    | 30.0 |  30.0 |     60.0 |\n" in text  # of five workers
    assert "| allreduce_flat |         2 | 532 | 628 | 1010 | 2423 |  6750 |\n" in text
    assert "| pays           | us/row | exchange | computed |    measured |\n" in text
    assert "| allreduce_flat |   1.00 |      400 |      800 | 256 to 1024 |\n" in text


def test_a_cluster_pays_a_round_trip_for_each_hop_of_the_ring_and_for_the_bytes():
    near, far = (
        cluster.exchange(300e-6) for cluster in (ranks.Cluster("", 2, 0, 1e9), ranks.Cluster("", 4, 1e-3, 1e9))
    )
    assert near == pytest.approx(300e-6 + 31_400e-9)
    assert far == pytest.approx(300e-6 + 6 * 1e-3 + 1.5 * 31_400e-9)
    text = ranks.markdown(run(*alone(), *together()))
    assert (
        "| 2 machines of a rack    |           0.1 |     10 |      625 |     1250 |\n" in text
    )  # 625 us / (1 us x 1/2)
    assert "Elsewhere" not in ranks.markdown(run(*alone(threads=2), *together(threads=2)))
    apart = ranks.markdown(run(*alone(), *together(hosts=2)))
    assert "### When 2 processes pay" in apart
    assert "Elsewhere" not in apart  # a round trip is in what was measured


def test_the_page_shows_what_they_gain_in_both_languages():
    shared = page.shared({"cpu.json": run(*alone()), "ranks.json": run(*alone(), *together())})
    html = page.environment().get_template("growth.html.j2").render(growths=[], shared=shared)
    assert [[one.name for one in rows] for rows in shared] == [["allreduce_flat"]]
    assert "<b>0.57</b><br><small><span lang=en>0.56 to 0.57</span><span lang=ko>0.56 ~ 0.57</span>" in html
    assert "<span lang=en>256 to 1024</span>" in html
    words = "2 processes of 1 thread each on 2 machines, by gloo", "2 processes of 2 threads each, by gloo", "above 64"
    assert all("lang=ko" in prose.told(text) for text in (*words, "at most 64", "not told", "A; 1 thread; Linux"))
    assert page.shared({"cpu.json": run(*alone())}) == []


def test_a_run_without_them_has_no_word_of_them():
    assert ranks.markdown(run(*alone())) == ""
