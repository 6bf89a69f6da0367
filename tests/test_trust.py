"""The proof: it goes on where it was stopped, and what is published follows from what was found."""

import json
import re
from contextlib import nullcontext
from types import SimpleNamespace

import pytest

from benchmarks.measure import slices
from benchmarks.proof import noise, trust
from benchmarks.proof.trust import Part
from benchmarks.runs import saved

PARTS = (Part(0.0, False, 3, 1, 90), Part(0.05, True, 2, 1, 80))


@pytest.fixture
def quick(monkeypatch, tmp_path):
    """Two parts of few rows that nobody times, few simulated tables, and a folder of its own."""
    monkeypatch.setattr(trust, "FOLDER", tmp_path)
    monkeypatch.setattr(trust, "PARTS", PARTS)
    monkeypatch.setattr(trust, "TABLES", 4)
    monkeypatch.setattr(trust, "TABLES_AT_ONCE", 2)
    monkeypatch.setattr(noise, "MODELS", noise.MODELS[:1])
    machine = {"device_name": "A processor", "threads": 2, "system": "Linux", "python": "3.12", "torch": "2.13"}
    machine |= {"rows": 20_000, "checker_sha256": "c" * 64}
    contest = SimpleNamespace(setting=SimpleNamespace(**machine))
    workers = SimpleNamespace(usage=lambda: (0.0, 0))
    suite = SimpleNamespace(on=lambda *place: contest, workers=workers)
    monkeypatch.setattr(trust, "suite", lambda busy: nullcontext(suite))
    monkeypatch.setattr(trust, "more_of_aa_check", lambda suite: [-0.001, 0.001] * 5)
    monkeypatch.setattr(trust, "refused_fields", lambda path: (["rows"], 1))
    return tmp_path


def raced(slowdown):
    return {"name": "a", "log_ratios": [-slowdown] * 14 if slowdown else [-0.06, 0.06] * 7}


def test_a_stopped_proof_goes_on_where_it_was(quick, monkeypatch, capsys):
    timed = []

    def row(contest, part, number):
        if len(timed) == 4:
            timed.append("stopped")
            raise KeyboardInterrupt
        timed.append((part.name, number))
        return raced(part.slowdown)

    monkeypatch.setattr(trust, "row", row)
    with pytest.raises(SystemExit, match="stopped; the same command continues"):
        trust.main()
    kept = json.loads((quick / "trust.json").read_text())
    assert [len(found["rows"]) for found in kept["measured"].values()] == [3, 1]
    assert [list(map(len, found["aa_checks"])) for found in kept["measured"].values()] == [[30], [0]]
    trust.main()
    timed.remove("stopped")
    assert timed == [(part.name, number) for part in PARTS for number in range(part.row_count)]
    page = (quick / "trust.md").read_text()
    assert page in capsys.readouterr().out
    assert "| measured, identical code, idle, 3 rows " in page
    assert re.search(
        r'\| no false verdict, at least 2 "same" +\| 0 false \(3 unclear\), by margins of at most 5 % ', page
    )
    assert "| at least 80 %, never the wrong sign | 100%, 0 wrong (intervals 0.0% to either side) " in page
    assert "simulated, 4 tables for each kind of noise" in page
    assert "20000 rows of digits an epoch" in page
    assert re.search(r"^\* rows timed by the code of commit \w+(, with changes)?$", page, re.MULTILINE)
    before = len(timed)
    trust.main()
    assert len(timed) == before
    assert "trust.json was complete, and nothing is measured anew; move it away" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("field", "begun", "here"), [("device_name", "Another processor", "A processor"), ("rows", 10_000, 20_000)]
)
def test_another_machine_does_not_go_on_with_it_nor_are_other_rows(quick, monkeypatch, field, begun, here):
    monkeypatch.setattr(trust, "row", lambda contest, part, number: raced(part.slowdown))
    machine = vars(trust.suite(False).enter_result.on().setting) | {field: begun}
    (quick / "trust.json").write_text(json.dumps({"format": trust.FORMAT, "machine": machine}))
    with pytest.raises(SystemExit, match=f"begun with {field} {begun}, here it is {here}; move it away to begin anew"):
        trust.main()


def test_rows_that_are_timed_are_cut_as_those_of_most_tables_are():
    assert slices.places(trust.DATA_ROWS, 64, 1)


@pytest.mark.parametrize(("rows", "older"), [([], []), ([{"name": "numba_dense"}], [trust.OLDER])])
def test_every_commit_that_timed_rows_is_noted_once(rows, older, monkeypatch):
    """An older version noted none: its rows are not those of today's."""
    state = {"measured": {"identical code, idle": {"rows": rows}}}
    for now in ("abc", "abc", "def, with changes"):
        monkeypatch.setattr(trust, "commit", lambda now=now: now)
        trust.note_commit(state)
    assert state["commits"] == [*older, "abc", "def, with changes"]


def test_what_stops_it_leaves_what_was_found(quick, monkeypatch):
    made = trust.suite

    def full(busy):
        if busy:
            raise ValueError("cannot write to /tmp: No space left on device")
        return made(busy)

    monkeypatch.setattr(trust, "row", lambda contest, part, number: raced(part.slowdown))
    monkeypatch.setattr(trust, "suite", full)
    with pytest.raises(SystemExit, match="No space left on device; what was found so far is kept"):
        trust.main()
    kept = json.loads((quick / "trust.json").read_text())
    assert [len(found["rows"]) for found in kept["measured"].values()] == [3, 0]


def test_a_file_that_cannot_be_read_is_one_line_and_is_kept(quick):
    (quick / "trust.json").write_text("{")
    with pytest.raises(SystemExit, match=r"error: .*trust\.json: .*; move it away to begin anew"):
        trust.main()
    assert (quick / "trust.json").read_text() == "{"


def test_a_proof_of_the_old_kind_is_not_continued(quick):
    (quick / "trust.json").write_text("[]")
    with pytest.raises(SystemExit, match=r"error: .*: made by an older version of this suite; move it away"):
        trust.main()
    (quick / "trust.json").write_text('{"measured": {}}')
    with pytest.raises(SystemExit, match=r"error: .*: made by an older version of this suite; move it away"):
        trust.main()


def test_an_aa_check_belongs_to_its_table(quick, monkeypatch):
    monkeypatch.setattr(trust, "PARTS", (Part(0.0, False, 31, 1, 90),))
    monkeypatch.setattr(trust, "row", lambda contest, part, number: raced(0.0))
    state = {}
    trust.measure(state, lambda: None)
    (found,) = state["measured"].values()
    assert list(map(len, found["aa_checks"])) == [300, 10]


def test_the_published_proof_is_what_was_found():
    state = json.loads((saved.RESULTS / "trust" / "trust.json").read_text())
    assert (saved.RESULTS / "trust" / "trust.md").read_text() == trust.markdown(state, saved.RESULTS / "cpu.json")
