"""A row: what it is saved as, that it checks itself, and rows put together."""

import dataclasses
import json
import math
import re
import tempfile
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import implementations
from benchmarks import options
from benchmarks.measure import contest
from benchmarks.runs import saved
from benchmarks.runs.row import LONGEST, Row, RowError, clean, joined
from benchmarks.show import layers
from tests.made_up import content, info, row, run

ROOT = Path(__file__).parent.parent


@pytest.mark.parametrize("name", ["cpu", "ladder", "growth"])
def test_a_published_row_is_saved_as_it_was(name):
    for benchmark in json.loads((ROOT / "results" / f"{name}.json").read_text())["benchmarks"]:
        saved, again = benchmark["extra_info"], Row.from_dict(benchmark["extra_info"]).to_dict()
        assert again == dict.fromkeys(again) | saved


def test_the_keys_of_a_saved_row_keep_their_order():
    saved = json.loads((ROOT / "results" / "ladder.json").read_text())["benchmarks"][0]["extra_info"]
    assert [key for key in Row.from_dict(saved).to_dict() if key in saved] == list(saved)


@given(text=st.text(st.characters()))  # lone surrogates among them, as in a file's name that is no UTF-8
@example("one\u202fline\u00a0of\n two\x1b ")
@example("a" * (LONGEST - 1) + " b")
@settings(max_examples=200, deadline=None)
def test_a_clean_text_survives_saving(text):
    one = row(idea=clean(text), dataset=clean(text), dataset_origin=clean(text))
    assert Row.from_dict(json.loads(json.dumps(one.to_dict()))) == one


NAMES = st.from_regex(r"\A\w{0,120}\Z") | st.text()


@given(name=NAMES, parent=NAMES, text=st.text(st.characters()))
@example("my-idea", "none", "")
@example("idea", "none", "\x1b")
@example("größe", "größe", "")
@example("a" * 101, "none", "")
@example("idea", "a" * (LONGEST + 1), "Adds\u00a01\u202f000 rows | columns.\x1b\udc80")
@settings(max_examples=200, deadline=None)
def test_what_is_accepted_before_a_run_can_be_read_after_it(name, parent, text):
    """Whatever a file is called and says of itself."""
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patched:
        try:
            options.check_name(name)
        except pytest.UsageError:
            return
        patched.setattr(implementations, "FOLDER", Path(folder))
        (Path(folder) / f"{name}.py").write_text(ascii(f"{text}\n\nCompare with `{parent}`: all.") + "\n")
        idea, found = clean(implementations.first_line(name)), implementations.parent(name)
        made = run(row(name, parent=found, idea=idea), row("other", baseline=name, parent=name, idea=idea))
        path = Path(folder) / "run.json"
        saved.write(path, content(made))
        assert saved.load(path) == made
        lines = [line for line in layers.markdown(made).splitlines() if line.startswith("|")]
        assert len({len(re.findall(r"(?<!\\)\|", line)) for line in lines}) == bool(idea)


def test_a_processors_name_is_one_that_a_row_may_hold(monkeypatch):
    monkeypatch.setattr(contest.cpuinfo, "get_cpu_info", lambda: {"brand_raw": "A\u00a0processor\0\0"})
    assert row(device_name=contest.cpu_name.__wrapped__()).setting.device_name.startswith("A processor, ")


def test_cleaning_takes_nothing_that_can_be_read():
    assert clean("Adds 1\u202f000 rows,\n  größer als «x»\u00a0!") == "Adds 1 000 rows, größer als «x» !"
    assert clean("a" * (LONGEST - 1) + " b") == "a" * (LONGEST - 1)


@pytest.mark.parametrize(
    ("part", "changed", "complaint"),
    [
        ("own", {"seconds": [0.1] * 10}, "a row without a usable 'own_seconds'"),
        ("baseline", {"cpu_seconds": (0.1,) * 9}, "row manual_inplace has 9 baseline_cpu_seconds but 10 own_seconds"),
        ("baseline", {"error": float("nan")}, "row manual_inplace has nan as its baseline_error; expected a finite"),
        ("setting", {"threads": None}, "a row without a usable 'threads'"),
    ],
)
def test_a_row_that_could_not_be_read_back_is_never_made(part, changed, complaint):
    good = row()
    broken = dataclasses.replace(getattr(good, part), **changed)
    with pytest.raises(RowError, match=f"^{complaint}"):
        dataclasses.replace(good, **{part: broken})


def test_what_is_none_may_be_missing():
    made = row(parent=None, idea=None)
    saved = {key: value for key, value in made.to_dict().items() if value is not None}
    assert {"parent", "idea", "hand_off_seconds", "kernels_per_epoch"}.isdisjoint(saved)
    assert Row.from_dict(saved) == made


def test_log_ratios_are_of_each_process_and_computed_once(monkeypatch):
    made = row(own=0.1, own_seconds=[0.1, 0.2, 0.4, 0.1], process=[3, 3, 1, 1])
    assert made.log_ratios.processes == [[0, math.log(2)], [-math.log(2), math.log(2)]]
    assert made.log_ratios is made.log_ratios


def test_joined_rows_are_one_row_of_all_pairs():
    parts = [
        row(own_seconds=[0.1, 0.2], error=1.0, baseline_error=3.0, first_call_seconds=1.0),
        row(own_seconds=[0.3, 0.4] * 2, error=2.0, baseline_error=1.0, first_call_seconds=5.0),
        row(own_seconds=[0.5, 0.6], error=1.5, baseline_error=1.0, first_call_seconds=2.0),
    ]
    together = joined(parts, process=[0, 1, 2])
    assert together.own.seconds == (0.1, 0.2, 0.3, 0.4, 0.3, 0.4, 0.5, 0.6)
    assert together.start_seconds == sum((part.start_seconds for part in parts), ())
    assert together.process == (0, 0, 1, 1, 1, 1, 2, 2)
    assert (together.own.error, together.baseline.error, together.own.first_call_seconds) == (2.0, 3.0, 2.0)
    assert joined(parts).process == (0,) * 8
    assert together.setting == parts[0].setting


def test_pairs_that_are_missing_are_noticed():
    with pytest.raises(RowError, match=r"^row manual_inplace has 10 pairs and declares 12; was it cut"):
        Row.from_dict(info(pairs=12))
