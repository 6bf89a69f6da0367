"""The pages and the notebook: their figures are those of results/, and what they link to and call is there."""

import importlib.util
import json
import math
import re
import sys
from collections import defaultdict
from pathlib import Path
from statistics import median

import pytest

import implementations
from benchmarks import report
from benchmarks.runs import saved, statistics
from benchmarks.runs.statistics import Sample
from benchmarks.show import documents, table

ROOT = Path(__file__).parent.parent
PAGES = documents.pages(ROOT)
README = (ROOT / "README.md").read_text(encoding="utf-8")
ALL = "\n".join(page.read_text(encoding="utf-8") for page in PAGES)
NOTEBOOK = json.loads((ROOT / "colab.ipynb").read_text(encoding="utf-8"))


# --- figures ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_figure_is_that_of_the_published_runs(page):
    assert documents.refilled(page) == page.read_text(encoding="utf-8"), "python -m benchmarks.report --docs"


@pytest.mark.parametrize(
    ("page", "count"), [("README.md", 6), ("docs/ladder.md", 5), ("docs/growth.md", 6), ("docs/machines.md", 30)]
)
def test_there_are_figures_to_compare(page, count):
    text = (ROOT / page).read_text(encoding="utf-8")
    assert sum(len(pattern.findall(text)) for pattern in (documents.FIGURE, documents.TABLE, documents.LIST)) >= count


def rows_of_the_readme():
    """The eight rows: name, ratio, interval, word and sentence."""
    (rows,) = [match[4] for match in documents.TABLE.finditer(README)]
    return [
        (documents.name_in(first), *rest) for first, *rest in map(documents.cells_of, rows.strip().splitlines()[2:])
    ]


def test_the_readme_has_eight_rows_the_fastest_first_each_with_its_sentence():
    rows = rows_of_the_readme()
    ratios = [float(ratio) for _, ratio, *_ in rows]
    published = saved.load(ROOT / "results" / "cpu.json")
    fastest = max(published.rows, key=lambda row: published.ratio(row).value)
    assert len(rows) == 8
    assert ratios == sorted(ratios, reverse=True)
    assert rows[0][0] == fastest.own.name
    assert f"The fastest, [`{fastest.own.name}`]" in README
    for name, _, interval, word, sentence in rows:
        if name == "torch_nn":
            assert (interval, word) == ("", "")
        else:
            assert interval
            assert word
            assert sentence == implementations.price(name) != ""


def test_the_best_in_plain_torch_and_the_tutorials_loop_are_among_them():
    published = saved.load(ROOT / "results" / "cpu.json")
    plain = [row for row in published.rows if row.own.name.startswith(("autograd", "manual", "nn_"))]
    best = max(plain, key=lambda row: published.ratio(row).value).own.name
    root = next(name for name in implementations.names() if implementations.parent(name) is None)
    assert {best, root, "torch_nn"} <= {name for name, *_ in rows_of_the_readme()}


def test_the_words_of_the_findings_still_hold():
    run = saved.load(ROOT / "results" / "ladder.json")
    words = {row.own.name: run.words[row.key] for row in run.rows}
    microseconds = {row.own.name: run.difference(row).value / row.setting.steps * 1e6 for row in run.rows}
    assert (words["compile_step"], words["jax_scan"], words["nn_dataloader"]) == ("slower", "faster", "slower")
    assert words["manual_outofplace"] == "same"
    layers = sum(microseconds[name] for name in ("nn_parameter", "nn_linear", "nn_optimizer", "nn_dataset"))
    assert layers < -microseconds["autograd_cross_entropy"] < microseconds["nn_dataloader"]


def test_who_reads_the_figures_reads_that_they_are_not_of_mnist():
    for name in ("cpu", "ladder", "growth"):
        assert {row.setting.dataset for row in saved.load(ROOT / "results" / f"{name}.json").rows} == {"digits"}
    assert "on the bundled digits, **not on MNIST**" in " ".join(README.partition("\n## ")[0].split())
    for page in ("measuring", "ladder", "growth"):
        assert re.search(r"not\s(of\s)?MNIST", (ROOT / "docs" / f"{page}.md").read_text(encoding="utf-8"))


def test_the_ladders_parents_are_those_of_the_files():
    text = (ROOT / "docs" / "ladder.md").read_text(encoding="utf-8")
    rungs = re.findall(r"^\| \[`(\w+)`\]\(\S+\) \| (\w+) \|", text, re.MULTILINE)
    assert len(rungs) > 30
    assert all(parent == implementations.parent(name) for name, parent in rungs)


def test_what_is_launched_is_what_was_counted():
    run = saved.load(ROOT / "results" / "cpu.json")
    sides = {side.name: side for row in run.rows for side in (row.own, row.baseline)}
    text = (ROOT / "docs" / "gpu.md").read_text(encoding="utf-8")
    counted = re.findall(r"^\| `(\w+)` \| (\d+) \| ([\d ]+) \|$", text, re.MULTILINE)
    assert len(counted) == 3
    for name, a_step, an_epoch in counted:
        operations = sides[name].operations_per_step
        assert f"{operations:.0f}" == a_step
        assert f"{operations * 782:.3g}" == f"{int(an_epoch.replace(' ', '')):.3g}"


def test_the_sums_are_those_of_the_museum_the_mutants_and_the_proof():
    """Of each of the pages in results/ the sums that others name, in these words."""
    results = {
        name: (ROOT / "results" / f"{name}.md").read_text(encoding="utf-8")
        for name in ("mistakes", "mutants", "trust/trust")
    }
    noticed = re.search(
        r'Of (\d+) mistakes .*? notices (\d+), .*? trainer" (\d+), the checker (\d+)\.', results["mistakes"]
    )
    mutants = re.match(r"\D+(\d+) mutants, (\d+) rejected by the checker, (\d+) survivors\.", results["mutants"])
    alike = re.findall(
        r"identical code, .*, (\d+) rows .*\| (\d+) false \((\d+) same.*most (\d+) %", results["trust/trust"]
    )
    found = re.findall(r"slowed by (\d)%, idle, .*\| (\d+)%, (\d+) wrong", results["trust/trust"])
    simulated = re.findall(r"simulated, (\d+) tables .*: (.+?) +\| .* \| ([\d.]+)% ", results["trust/trust"])
    right = re.search(r"a right trainer: loss ([\d.]+), accuracy ([\d.]+)%", results["mistakes"])
    checker, measuring, machines, readme = (
        " ".join((ROOT / page).read_text(encoding="utf-8").split())
        for page in ("docs/checker.md", "docs/measuring.md", "docs/machines.md", "README.md")
    )
    sums = '{} mistakes "the loss fell" notices {}, "accuracy within two points" {}, the checker {}'.format(
        *noticed.groups()
    )
    assert sums in checker
    assert sums in readme
    assert "of {} mutants {} are rejected, and {} survive".format(*mutants.groups()) in checker
    assert "a loss of {} and an accuracy of {} %".format(*right.groups()) in checker
    assert "a right trainer has {} and {} %".format(*right.groups()) in machines
    assert (
        "Of {} such rows, each side in one process, {} were called different and {} the same, by margins of at "
        "most {} %; beside a busy core, with one thread, {} and {}.".format(*alike[0], *alike[1][1:3])
    ) in measuring
    assert [wrong for _, _, wrong in found] == ["0", "0", "0"]
    slowed, shares = (", ".join(column[:2]) + f" and {column[2]}" for column in list(zip(*found, strict=True))[:2])
    assert f"slowed on purpose by {slowed} % the intervals of {shares} % say that they are slower, of none" in measuring
    assert len(simulated) == 8
    assert {f"{int(tables):,}".replace(",", " ") for tables, _, _ in simulated} == {"10 000"}
    shares = [(what, float(share)) for _, what, share in simulated]
    assert all(share == 0 for what, share in shares if what == "tables with a false alarm")
    assert all(share >= 98.5 for what, share in shares if what == "intervals that hold the truth")
    assert all(share > 99 for what, share in shares if what == "tables with a margin")
    assert "the noise left fewer than one table of a hundred without a margin" in measuring
    assert "no table of identical code had a false word, and the intervals hold what they should" in measuring
    assert "10 000 tables" in measuring


def test_the_luck_of_memory_is_that_of_the_proof():
    state = json.loads((ROOT / "results" / "trust" / "trust.json").read_text(encoding="utf-8"))
    intervals = defaultdict(list)
    for row in state["measured"]["identical code, idle"]["rows"]:
        intervals[row["name"]].append(Sample([row["log_ratios"]]).interval(statistics.LEVEL))
    count, apart, farthest = {}, {}, {}
    for name, found in intervals.items():
        count[name] = len(found)
        apart[name] = sum(interval.low > 0 or interval.high < 0 for interval in found)
        farthest[name] = max(abs(interval.value) * 100 for interval in found)
    text = " ".join((ROOT / "docs" / "measuring.md").read_text(encoding="utf-8").split())
    luck, without = "native_dense", "numpy_loop"
    assert (
        f"Of {count[luck]} rows of `{luck}` against itself, a fresh process each, {apart[luck]} have an interval that "
        f"excludes 1, and the farthest is {farthest[luck]:.1f} % off; of {count[without]} rows of `{without}` "
        f"{apart[without]}, and {farthest[without]:.1f} %."
    ) in text
    least = statistics.OF_ONE_PROCESS
    assert f"counts nothing below {least * 100:g} %, unless `--margin` asks for it" in text
    both = math.expm1(math.hypot(math.log1p(least), math.log1p(least)))
    assert f"two of them are compared by {both * 100:.1f} % at least" in text
    assert f"({both * 100:.1f} % at least for two runs of one process)" in " ".join(
        (ROOT / "docs" / "options.md").read_text().split()
    )


def test_the_states_of_the_machine_are_those_of_the_published_run():
    run = saved.load(ROOT / "results" / "cpu.json")
    text = " ".join((ROOT / "docs" / "measuring.md").read_text(encoding="utf-8").split())
    (row,) = (row for row in run.rows if row.own.name == "autograd_inplace")
    of_processes = defaultdict(list)
    for process, own, beside in zip(row.process, row.own.seconds, row.baseline.seconds, strict=True):
        of_processes[process].append((beside, beside / own))
    found = [[median(values) for values in zip(*pairs, strict=True)] for pairs in of_processes.values()]
    middle = (max(found)[0] + min(found)[0]) / 2
    slow, fast = ([one for one in found if (one[0] > middle) is is_slow] for is_slow in (True, False))
    (long, less), (short, more) = (map(median, zip(*state, strict=True)) for state in (slow, fast))
    assert len(found) == 12
    assert (
        f"In {len(slow)} of the twelve processes of the published table the reference took {long * 1e3:.0f} ms beside "
        f"`autograd_inplace`, in the others {short * 1e3:.0f}, which was then {less:.2f} and {more:.2f} times as fast"
    ) in text


# --- how they are filled in ---------------------------------------------------------------------------------


TABLES = """* machine: a machine; 2 threads
* A/A check: fair

| name                     | x torch_nn | lines |
|--------------------------|------------|-------|
| manual_inplace-cpu       |       1.08 |    12 |
| torch_nn-cpu (reference) |          1 |    17 |
| native_dense-cpu         |      20.95 |   229 |

### What each layer costs

| idea         | lines |
|--------------|-------|
| native_dense |   +82 |

* one thing
* another: thing
"""


@pytest.fixture
def page(tmp_path):
    """Writes a page with this text beside results/run.md; its path."""

    def page(text):
        (tmp_path / "results").mkdir(exist_ok=True)
        (tmp_path / "results" / "run.md").write_text(TABLES)
        (tmp_path / "PAGE.md").write_text(text)
        return tmp_path / "PAGE.md"

    return page


@pytest.mark.parametrize(
    ("place", "text"),
    [
        ("machine", "a machine; 2 threads"),
        ("A/A check", "fair"),
        ("torch_nn: x torch_nn", "1"),
        ("manual_inplace: lines", "12"),
        ("native_dense: lines", "+82"),  # of two tables the last
        ("native_dense: x torch_nn", "20.95"),
    ],
)
def test_a_figure_in_a_sentence(place, text, page):
    filled = documents.refilled(page(f'So it is [old](results/run.md "{place}"), [here](results/run.md).\n'))
    assert filled == f'So it is [{text}](results/run.md "{place}"), [here](results/run.md).\n'


def test_a_table_keeps_what_people_write_and_is_sorted_where_it_says_so(page):
    rows = [
        "| [`manual_inplace`](a.py) | 2 | a word | old |",
        "| `native_dense` | 3 | | |",
        "| `torch_nn` | 1 | b | kept |",
    ]
    comment = "<!-- results/run.md{} | x torch_nn | - | price -->\n| a | b | c | d |\n|---|---|---|---|\n"
    new = [
        f"| [`manual_inplace`](a.py) | 1.08 | a word | {implementations.price('manual_inplace')} |",
        f"| `native_dense` | 20.95 |  | {implementations.price('native_dense')} |",
        "| `torch_nn` | 1 | b | kept |",
    ]
    for said, order in (("", new), (", fastest first", [new[1], new[0], new[2]])):
        text = comment.format(said)
        assert (
            documents.refilled(page(text + "\n".join(rows) + "\n\nand on\n"))
            == text + "\n".join(order) + "\n\nand on\n"
        )


def test_a_bar_in_a_sentence_begins_no_cell(page, monkeypatch):
    monkeypatch.setattr(implementations, "price", lambda name: "It asks for a | b.")
    text = "<!-- results/run.md | price -->\n| a | b |\n|---|---|\n| `torch_nn` | {} |\n"
    path = page(text.format("old"))
    path.write_text(documents.refilled(path))
    assert path.read_text() == documents.refilled(path) == text.format(r"It asks for a \| b.")


@pytest.mark.parametrize("before", ["", "\n* an old thing\n* and another\n"])
def test_a_list_is_what_is_said_beside_the_tables(before, page):
    filled = documents.refilled(page(f"<!-- results/run.md: in words -->\n{before}\nand on\n"))
    assert filled == "<!-- results/run.md: in words -->\n\n* one thing\n* another: thing\n\nand on\n"


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ('[1](results/gone.md "machine")', "cannot read gone.md: No such file or directory"),
        ('[1](results/run.md "engine")', "run.md has no line 'engine'; there are machine, A/A check"),
        ('[1](results/run.md "native: lines")', "run.md has no row 'native' with a column 'lines'"),
        ('[1](results/run.md "torch_nn: line")', "run.md has no row 'torch_nn' with a column 'line'"),
        (
            "<!-- results/run.md | lines -->\n| a | b | c |\n|---|---|---|\n| `torch_nn` | 1 | 2 |\n",
            "row 'torch_nn' has 2 cells behind its name; expected 1",
        ),
    ],
)
def test_what_is_not_there_is_named_in_one_line_and_nothing_is_written(text, complaint, page):
    path = page(f"{text}\n")
    (path.parent / "ANOTHER.md").write_text('[old](results/run.md "machine")\n')
    with pytest.raises(documents.DocumentError) as refusal:
        list(documents.refill(path.parent))
    assert str(refusal.value) == f"PAGE.md: {complaint}"
    assert "old" in (path.parent / "ANOTHER.md").read_text()


@pytest.mark.parametrize("table", ["| name | lines |\n|---|---|\n| a |\n", "| name |\n"])
def test_a_table_that_was_cut_is_named(table, page):
    path = page('[1](results/run.md "a: lines")\n')
    (path.parent / "results" / "run.md").write_text(table)
    with pytest.raises(
        documents.DocumentError, match=r"PAGE\.md: run\.md has a table whose rows are not all as long as"
    ):
        documents.refilled(path)


def test_a_page_that_is_no_text_is_named(page):
    path = page("x")
    path.write_bytes(b"\xe9")
    with pytest.raises(documents.DocumentError, match=r"^PAGE\.md: not text in UTF-8$"):
        documents.refilled(path)


def test_the_command_writes_what_has_changed_and_names_it(page, monkeypatch, capsys):
    path = page('[old](results/run.md "machine")\n')
    (path.parent / "ANOTHER.md").write_text("No figure.\n")
    monkeypatch.setattr(documents, "ROOT", path.parent)
    monkeypatch.setattr(sys, "argv", ["benchmarks.report", "--docs"])
    report.main()
    report.main()
    assert path.read_text() == '[a machine; 2 threads](results/run.md "machine")\n'
    assert capsys.readouterr().out == "saved: PAGE.md\nevery figure is that of results/*.md\n"


# --- links and commands -------------------------------------------------------------------------------------


def test_the_readme_is_short():
    assert len(README.splitlines()) <= 120


def anchors(page):
    """What a link can land on: the headings as GitHub names them."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_lands(page):
    for target in re.findall(r'\]\(([^)"\s]+)(?: "[^"]*")?\)', page.read_text(encoding="utf-8")):
        if target.startswith("https://"):
            continue
        path, _, anchor = target.partition("#")
        there = (page.parent / path).resolve() if path else page
        assert there.exists(), target
        assert not anchor or anchor in anchors(there), target


def test_every_page_of_docs_is_linked_from_the_readme():
    linked = set(re.findall(r"\]\((docs/\w+\.md)", README))
    assert linked == {page.relative_to(ROOT).as_posix() for page in PAGES if page.parent != ROOT}


def commands():
    """What the pages say to type: the lines of their blocks without comments, and what they quote in a sentence."""
    blocks = re.findall(r"^```\n(.*?)^```$", ALL, re.MULTILINE | re.DOTALL)
    lines = [re.sub(r"\s+#.*|\s+\[.*", "", line) for block in blocks for line in block.splitlines()]
    return {line for line in lines if line} | set(
        re.findall(r"`((?:python|pytest|make) [^`]+)`", " ".join(ALL.split()))
    )


def test_every_command_has_its_module_or_target():
    targets = re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    found = commands()
    assert len(found) > 20
    for command in found:
        for module in re.findall(r"python -m (\S+)", command):
            assert importlib.util.find_spec(module), command
        for target in re.findall(r"^make (\S+)", command):
            assert target in targets, command
        for folder in re.findall(r"^pytest (\w+)", command):
            assert (ROOT / folder).is_dir(), command


def test_the_page_of_options_has_every_column():
    text = (ROOT / "docs" / "options.md").read_text(encoding="utf-8")
    (row,) = [line for line in text.splitlines() if line.startswith("| `--columns")]
    assert re.findall(r"`([^`]+)`", row)[1:] == list(table.CHOICES)


# --- the notebook -------------------------------------------------------------------------------------------


def test_the_notebook_is_a_small_one_without_outputs():
    assert (NOTEBOOK["nbformat"], NOTEBOOK["nbformat_minor"]) == (4, 4)
    assert NOTEBOOK["metadata"]["kernelspec"]["name"] == "python3"
    assert 1 <= len(NOTEBOOK["cells"]) <= 10
    for cell in NOTEBOOK["cells"]:
        assert all(isinstance(line, str) for line in cell["source"])
        if cell["cell_type"] == "code":
            assert (cell["outputs"], cell["execution_count"]) == ([], None)
        else:
            assert cell["cell_type"] == "markdown"


def test_the_notebook_calls_what_the_pages_name_and_copies_nothing():
    lines = [
        line
        for cell in NOTEBOOK["cells"]
        if cell["cell_type"] == "code"
        for line in "".join(cell["source"]).splitlines()
        if not line.startswith("#")
    ]
    first = ["REPOSITORY = ", "assert REPOSITORY", "!git clone --depth 1 {REPOSITORY} one-trainer", "%cd one-trainer"]
    assert all(line.startswith(beginning) for line, beginning in zip(lines, first, strict=False))
    assert len(lines) > 8
    for line in lines[len(first) :]:
        assert line[0] in "!%"
        assert line[1:] in commands()
