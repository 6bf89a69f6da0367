"""A run and its file: what makes no run is refused when it is made, nothing is computed twice, no file is cut."""

import dataclasses
import json
import os
from pathlib import Path

import pytest

from benchmarks.runs import saved, statistics
from benchmarks.runs.saved import Conditions, RunError
from benchmarks.show import table
from tests.made_up import aa_check, content, row, run


@pytest.mark.parametrize(
    ("changed", "complaint"),
    [
        ({"aa_checks": ()}, "no A/A check on cpu: nothing says whether that machine could judge"),
        ({"aa_checks": (row(),)}, "an A/A check of manual_inplace; expected the reference and its copy, torch_nn_copy"),
        ({"rows": (row(), row())}, "two rows manual_inplace on one device and problem; expected one"),
        ({"rows": (row(own_seconds=[0.1] * 6),)}, "row manual_inplace has 6 pairs; an interval needs at least 8"),
        ({"margin": 2}, "a margin of '2'; expected a number above 0, at most 1"),
        *(
            (
                {"untimed": ((name, reason),)},
                f"a row without a time with {text} as its name or reason; expected one line of at most 1000 letters",
            )
            for name, reason, text in (
                ("a\nb", "wrong", r"'a\nb'"),
                ("a", "wrong: \ud800", r"'wrong: \ud800'"),
                ("a", "b" * 1001, repr("b" * 40)),
            )
        ),
    ],
)
def test_what_could_not_be_read_back_is_no_run(changed, complaint):
    with pytest.raises(RunError) as raised:
        dataclasses.replace(run(row()), **changed)
    assert str(raised.value) == complaint


def test_conditions_are_numbers_or_unknown():
    with pytest.raises(RunError, match="conditions with '-1' as stolen_cores; expected a number of at least 0"):
        Conditions(stolen_cores=-1)


def test_a_run_survives_saving(tmp_path):
    one = run(row("a"), row("b", batch_size=16), untimed=[("c-cpu", "wrong: why")])
    saved.write(tmp_path / "run.json", content(one))
    assert saved.load(tmp_path / "run.json") == one


def test_a_file_may_begin_with_a_mark_of_its_bytes_order(tmp_path):
    """As some editors write it."""
    one = run(row())
    (tmp_path / "run.json").write_text(json.dumps(content(one)), encoding="utf-8-sig")
    assert saved.load(tmp_path / "run.json") == one


def test_nothing_is_computed_twice(monkeypatch, tmp_path):
    """From the file to the page: each row's ratio and what it is judged by once, and the words of all rows once."""
    processes = [0, 0, 1, 1, 2, 2]
    one = run(*(row(f"row{k}", own_seconds=[0.1, 0.1, 0.11, 0.11, k, k], process=processes) for k in range(1, 11)))
    saved.write(tmp_path / "run.json", content(one))
    ratios, tables, priors = [], [], []
    exponential, verdicts, prior_of = statistics.exponential, statistics.verdicts, statistics.prior_of
    monkeypatch.setattr(statistics, "exponential", lambda log: ratios.append(log) or exponential(log))
    monkeypatch.setattr(statistics, "verdicts", lambda *given: tables.append(given) or verdicts(*given))
    monkeypatch.setattr(statistics, "prior_of", lambda rows: priors.append(rows) or prior_of(rows))
    one = saved.load(tmp_path / "run.json")
    table.markdown(one)
    table.text(one)
    assert len(ratios) == 2 * len(one.rows) + len(one.aa_checks)
    assert len(tables) == len(priors) == 1


def test_who_reads_while_a_run_is_saved_sees_a_whole_file(monkeypatch, tmp_path):
    path = tmp_path / "run.json"
    saved.write(path, {"first": 1})
    replace = os.replace

    def looked_at(beside, place):
        assert json.loads(path.read_text()) == {"first": 1}
        assert json.loads(Path(beside).read_text()) == {"second": 2}
        replace(beside, place)
        seen.append(place)

    seen = []
    monkeypatch.setattr(os, "replace", looked_at)
    saved.write(path, {"second": 2})
    assert seen == [path]
    assert json.loads(path.read_text()) == {"second": 2}
    assert list(tmp_path.iterdir()) == [path]


def test_two_processes_may_save_the_same_at_once(monkeypatch, tmp_path):
    """Each writes beside the place under a name of its own, so neither takes the other's away."""
    names = set()
    monkeypatch.setattr(os, "replace", lambda beside, path: names.add(beside))
    for number in (1, 2):
        monkeypatch.setattr(os, "getpid", lambda number=number: number)
        saved.replace(tmp_path / "run.json", "{}")
    assert len(names) == 2


def test_a_run_that_cannot_be_saved_leaves_what_there_was(monkeypatch, tmp_path):
    def full(*_):
        raise OSError("No space left on device")

    path = tmp_path / "run.json"
    saved.write(path, {"first": 1})
    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(OSError, match="No space left"):
        saved.write(path, {"second": 2})
    assert json.loads(path.read_text()) == {"first": 1}
    assert list(tmp_path.iterdir()) == [path]


def test_intervals_are_the_same_to_six_digits_whatever_scipy_finds_beyond():
    assert saved.agree([1.0, None], [1.000001, None])
    assert not saved.agree([1.0, 2.0], [1.0001, 2.0])
    assert not saved.agree([1.0, 2.0], [1.0])
    assert not saved.agree([1.0, None], [1.0, 2.0])
    assert not saved.agree([1.0, 2.0], [True, 2.0])


def test_a_noisy_machine_has_no_words():
    noisy = run(row(), aa_checks=[aa_check(own=0.1)])
    assert noisy.words == {}
    assert noisy.cannot_judge.startswith("the reference and its copy on cpu seem to differ, 2.000 (2.000 to 2.000)")
