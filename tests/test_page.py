"""The page without a browser: what is in it, what it is made of, and what it does with what is broken."""

import functools
import json
import os
import re
import subprocess
import sys
from html import unescape
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import implementations
from benchmarks import report
from benchmarks.runs import saved, sources
from benchmarks.runs.saved import RunError
from benchmarks.show import batches, code, exhibits, forked, ladder, layers, lessons, page, prose
from benchmarks.show.korean import korean
from tests.made_up import aa_check, content, row, run

ROOT = Path(__file__).parent.parent
RUNS = [ROOT / "results" / f"{name}.json" for name in ("cpu", "ladder", "growth", "ranks")]


@pytest.fixture(scope="module", autouse=True)
def texts_are_coloured_once():
    """What is made of the same files for page after page: two thirds of the time that one takes."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(code, "lines", functools.cache(code.lines))
        patch.setattr(lessons, "compared", functools.cache(lessons.compared))
        yield


@pytest.fixture(scope="module")
def published():
    """The runs that are published, and the page of them."""
    runs = page.loaded(RUNS)
    return runs, page.html(runs)


class Text(HTMLParser):
    """The text of HTML, of all of it and by the class of a pre."""

    def __init__(self, html):
        super().__init__()
        self.parts, self.side, self.sources = [], None, []
        self.feed(html)

    def handle_starttag(self, tag, attributes):
        self.sources += [value for name, value in attributes if name in ("src", "srcset", "data", "poster")]
        if tag == "pre":
            self.side = dict(attributes).get("class")

    def handle_endtag(self, tag):
        if tag == "pre":
            self.side = None

    def handle_data(self, data):
        self.parts.append((self.side, data))

    def of(self, *sides):
        return "".join(data for side, data in self.parts if side in sides)


# --- the forked diff ----------------------------------------------------------------------------------------

PIECES = ["", "x = 1", "    y = x @ w", "<b>&amp;", '"""', "#'", "\tif a:", "é \x0c"]
LINES = st.lists(st.sampled_from(PIECES), max_size=30)


@given(LINES, LINES)
def test_left_and_common_are_the_parent_right_and_common_the_child(left, right):
    texts = ["\n".join(side) for side in (left, right)]
    parts = forked.parts(*(code.lines(text, "python") for text in texts))
    for side, lines in enumerate((left, right), 1):
        assert [code.text(line) for part in parts for line in part[side]] == (lines or [""])
    shown = Text(forked.html(parts, page.Markup("{count}"))).of
    assert shown("common", "left") == "".join(line + "\n" for line in left or [""])
    assert shown("common", "right") == "".join(line + "\n" for line in right or [""])


def test_a_changed_token_is_marked_and_its_neighbours_are_not():
    parts = forked.parts(*(code.lines(text, "python") for text in ("y = x @ w", "y = w @ x")))
    html = forked.html(parts, page.Markup(""))
    assert re.findall("<mark>(.*?)</mark>", html)
    assert "<mark>y" not in html


def test_files_with_little_in_common_stand_whole():
    found = {lesson.name: lesson for lesson in page.lessons.lessons()}
    assert found["native_single"].difference.is_apart
    assert not found["manual_transposed"].difference.is_apart
    assert found["native_sparse"].c_difference


def test_a_puzzle_shows_the_same_place_of_a_right_and_a_wrong_file_without_the_blanks_before_all():
    museum = page.exhibits.load(page.MUSEUM)
    siblings = {mistake.name: mistake.sibling for mistake in museum.mistakes}
    puzzles = page.exhibits.puzzles(museum)
    assert {puzzle.wrong for puzzle in puzzles} == {"A", "B"}
    for puzzle in puzzles:
        sides = [Text(side).of("common").splitlines() for side in puzzle.sides]
        assert sides[0] != sides[1]
        names = [siblings[puzzle.name], f"mistakes.{puzzle.name}"]
        for side, name in zip(sides, names[:: 1 if puzzle.wrong == "B" else -1], strict=True):
            source = [line.strip() for line in implementations.source(name).splitlines()]
            stripped = [line.strip() for line in side]
            assert any(source[i : i + len(side)] == stripped for i in range(len(source))), name
            assert any(line and not line.startswith(" ") for line in side)


# --- the published runs -------------------------------------------------------------------------------------


def test_it_is_small_and_the_same_in_another_process_that_loads_no_torch(published, tmp_path):
    _, html = published
    assert len(html.encode()) <= 1_500_000
    script = f"""import sys
from pathlib import Path
from benchmarks.show import page
html = page.html(page.loaded(map(Path, {list(map(str, RUNS))!r})))
Path({str(tmp_path / "again.html")!r}).write_text(html, encoding="utf-8")
sys.exit("torch" in sys.modules)"""
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, env=os.environ | {"PYTHONHASHSEED": "7"})
    assert done.returncode == 0
    assert (tmp_path / "again.html").read_text(encoding="utf-8") == html


def test_what_is_in_results_says_what_runs_and_sources_say_now(published):
    """Its text: the colours of code are those of whatever version is installed."""
    _, html = published
    kept = (ROOT / "results" / "report.html").read_text(encoding="utf-8")
    texts = ["".join(data for _, data in Text(each.partition("</style>")[2]).parts) for each in (kept, html)]
    assert texts[0] == texts[1], "make it anew: make report"


def test_it_asks_for_nothing_but_what_is_in_it(published):
    _, html = published
    sources = Text(html).sources
    assert sources
    assert all(source.startswith("data:image/") for source in sources)
    style = html.partition("<style>")[2].partition("</style>")[0]
    assert not re.search(r"@import|url\(", style)
    assert "default-src 'none'; base-uri 'none'; form-action 'none'; img-src data:; style-src 'sha256-" in unescape(
        html
    )
    assert len((page.FOLDER / "page.js").read_text().splitlines()) <= 80


def test_a_fingerprint_holds_nothing_that_no_row_has(published):
    runs, _ = published
    texts = [page.fingerprint(run) for run in runs.values()]
    assert [re.search(r"\bthreads (\d)", text)[1] for text in texts] == ["2", "2", "2", "1"]
    assert not any("None" in text for text in texts)


def test_its_title_is_in_both_languages(published):
    _, html = published
    (title,) = re.findall("<title>(.*?)</title>", html)
    count = len(implementations.names())
    assert title == f"One trainer, {count} ways · 하나의 트레이너, {count}가지 구현"


def test_each_price_is_that_of_the_published_list(published):
    runs, _ = published
    text = (ROOT / "results" / "ladder.md").read_text().partition("\n### ")[2]
    lines = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if "|" in line]
    table = {line[0]: dict(zip(layers.COLUMNS, line, strict=True)) for line in lines[2:]}
    found = ladder.prices(runs)
    assert {name: dict(prices[0].layer) for name, prices in found.items()} == table


def test_each_docstring_is_in_it_and_each_word_is_used(published):
    _, html = published
    text = " ".join(Text(html).of(None, "common").split())
    for name in implementations.names():
        assert implementations.price(name).replace("`", "") in text, name
    templates = "".join(path.read_text() for path in page.FOLDER.glob("*.j2"))
    sources = templates + "".join(path.read_text() for path in page.FOLDER.parent.glob("*.py"))
    by_parts = ("word_", "fact_", "nav_", "told_")  # of which the second half is a value, or that are looked for
    assert [name for name in prose.words() if f'"{name}"' not in sources and not name.startswith(by_parts)] == []


def test_each_word_has_the_same_places_in_korean():
    for name, english in prose.words().items():
        translation = korean("page", english)
        places = [set(re.findall(r"\{(\w+)\}", text)) for text in (english, translation or english)]
        assert places[0] == places[1], name


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a = ", "not TOML: Invalid value"),
        ("a = 1", "a is '1'; expected English text"),
        ("a = ' '", "a is ' '; expected English text"),
    ],
)
def test_words_that_are_broken_are_named_with_their_file(text, message, tmp_path):
    path = tmp_path / "words.toml"
    path.write_text(text)
    with pytest.raises(RunError, match=f"^{re.escape(f'{path}: {message}')}"):
        prose.words(path)


def test_a_word_or_a_place_that_is_not_there_is_named_with_its_file():
    with pytest.raises(RunError, match=r"words\.toml: no nothing, which the page needs"):
        prose.said("nothing")
    for language, file in (("en", "words.toml"), ("ko", "lessons.ko.toml")):
        with pytest.raises(RunError, match=rf"{file}: 'of {{some}}' has a wrong place, 'some'; expected all$"):
            prose.element("span", language, "of {some}", {"all": 1})


# --- what is said elsewhere ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "translation"),
    [
        ("1.02 to 1.04", "1.02 ~ 1.04"),
        ("one step", "한 스텝"),
        (
            "measured, slowed by 2%, idle, 15 rows: found",
            "실측, 2% 느려지게 한 코드, 다른 작업 없음, 15행: 찾아낸 비율",
        ),
        ("19 of 19", "19개 가운데 19개"),
    ],
)
def test_what_has_a_form_is_told_in_both_languages(text, translation):
    assert (seen(prose.told(text), "en"), seen(prose.told(text), "ko")) == (text, translation)


def seen(html, language):
    """The text that is not in an element of the other language."""
    reader = Seen()
    reader.feed(html)
    return "".join(data for languages, data in reader.parts if set(languages) == {language})


class Seen(HTMLParser):
    """The text of spans, each piece with the languages of those that it is in."""

    def __init__(self):
        super().__init__()
        self.languages, self.parts = [], []

    def handle_starttag(self, tag, attributes):
        self.languages.append(dict(attributes)["lang"])

    def handle_endtag(self, tag):
        self.languages.pop()

    def handle_data(self, data):
        self.parts.append((tuple(self.languages), data))


@pytest.mark.parametrize("text", ["some of them", "it said <b> and no more", "wrong: it said so"])
def test_what_has_none_is_english_and_marked(text):
    assert "<span lang=en class=only>" in prose.told(text)
    assert "<b>" not in prose.told(text)


@pytest.mark.parametrize("text", ["-26.3", "+0", "", "<", "numpy_loop"])
def test_a_figure_or_a_name_is_of_no_language(text):
    assert prose.told(text) == page.Markup.escape(text)


def test_what_the_published_pages_say_is_told_in_korean_too(published):
    runs, _ = published
    facts = [line for run in runs.values() for _, line in page.table.facts(run)]
    _, proof = page.proof()
    texts = [*facts, *page.exhibits.load(page.MUSEUM).problems, *(cell for line in proof for cell in line)]
    of_any_cause = [re.sub(r"(?<=; no MNIST: ).*(?=\), sha256)", "why", text) for text in texts]
    assert [text for text in of_any_cause if "class=only" in prose.told(text)] == []


# --- what is broken -----------------------------------------------------------------------------------------


@pytest.fixture
def results(tmp_path, monkeypatch):
    """An empty folder of results. The page has a few lessons: those on the ways to some files."""
    ends = ("native_sparse", "numba_dense", "numpy_loop", "graph_step")
    few = sorted({name for end in ends for name in lessons.way(end)})
    monkeypatch.setattr(implementations, "names", lambda: few)
    monkeypatch.setattr(saved, "RESULTS", tmp_path)
    monkeypatch.setattr(page, "MUSEUM", tmp_path / "mistakes.json")
    monkeypatch.setattr(page, "PROOF", tmp_path / "trust.md")
    return tmp_path


def save(folder, name, *rows, **other):
    path = folder / name
    path.write_text(json.dumps(content(run(*rows, **other))))
    return path


def command(monkeypatch, *paths):
    monkeypatch.setattr(sys, "argv", ["benchmarks.report", "--page", *map(str, paths)])
    report.main()


def test_a_bad_run_is_one_clear_line_and_the_old_page_stays(results, monkeypatch, capsys):
    good = save(results, "good.json", row())
    command(monkeypatch, good)
    old = (results / "report.html").read_bytes()
    (results / "cut.json").write_text(good.read_text()[:-200])
    edited = json.loads(good.read_text())
    edited["verdicts"] = dict.fromkeys(edited["verdicts"], "slower")
    (results / "edited.json").write_text(json.dumps(edited))
    (results / "bytes.json").write_bytes(b"\xff\xfe\x00")
    again = save(results, "again.json", row())
    for paths, complaint in [
        ([results / "none.json"], "none.json: No such file"),
        ([results / "cut.json"], "cut.json: not JSON, or cut off"),
        ([results / "edited.json"], "was the file edited, or saved by an older version?"),
        ([results / "bytes.json"], "bytes.json: not JSON, not even text"),
        ([good, again], "good.json and again.json both hold manual_inplace-cpu against torch_nn"),
        ([good, good], "a second run of the name good.json"),
        ([], "--page needs the names of runs"),
    ]:
        with pytest.raises(SystemExit) as stopped:
            command(monkeypatch, *paths)
        message = stopped.value.code
        assert message.startswith("error: ")
        assert complaint in message
        assert "\n" not in message
        assert (results / "report.html").read_bytes() == old
    for text in (b"\xff", b"", b"# A title\n\n| a | b |\n"):
        (results / "trust.md").write_bytes(text)
        with pytest.raises(SystemExit, match=r"^error: .*trust\.md: no[^\n]*make it anew[^\n]*$"):
            command(monkeypatch, good)
    (results / "trust.md").unlink()
    (results / "mistakes.json").write_text("{}")
    with pytest.raises(SystemExit, match=r"mistakes\.json: no museum"):
        command(monkeypatch, good)


def test_a_place_that_cannot_be_written_is_named(results, monkeypatch):
    (results / "report.html").mkdir()
    with pytest.raises(SystemExit, match=r"^error: .*report\.html: "):
        command(monkeypatch, save(results, "good.json", row()))
    assert not list(results.glob("*.part"))


EVIL = "<script>alert(1)</script> ](javascript:alert(1)) ![x](http://a.b/c.png)"
SLOW_CHECK = aa_check(own=0.4)


@pytest.mark.parametrize(
    "made",
    [
        run(row()),
        run(row(baseline="autograd_inplace")),
        run(untimed=[("manual_inplace-cpu", "wrong: one step")]),
        run(row(), row("graph_step", device="cuda"), untimed=[("numpy_loop-cpu", "needs x")]),
        run(row("gone_for_ever", parent="also_gone")),
        run(row(), aa_checks=[SLOW_CHECK]),
        run(row(own=0.4)),
        run(row(dataset=EVIL, device_name=EVIL, idea=EVIL), untimed=[("numpy_loop-cpu", EVIL)]),
        run(row("a"), row("a", batch_size=16)),
    ],
    ids=["one row", "a parent", "no times", "two devices", "no file", "no words", "slower", "evil", "batch sizes"],
)
def test_other_runs_make_a_page_too(made, results):
    html = page.html({"run.json": made})
    assert html.endswith("</html>")
    assert "<script>alert" not in html
    assert 'href="javascript' not in html
    page.picture({"run.json": made})


def test_each_row_without_a_time_has_its_reason_once(results):
    reasons = ("it is wrong", "no GPU is here", "needs a thing")
    untimed = list(zip(("manual_inplace-cpu", "graph_step-cuda", "numba_dense-cpu"), reasons, strict=True))
    for made in (
        run(untimed=untimed),
        run(row(), untimed=untimed),
        run(row(), row(batch_size=16), untimed=untimed),
    ):
        html = page.html({"run.json": made, "again.json": run(untimed=untimed)})
        below = html.partition('id="the-lessons"')[0]
        assert [below.count(reason) for reason in reasons] == [1, 1, 1]


def test_a_row_whose_file_has_changed_or_is_gone_says_so(results):
    same = row("manual_inplace", source_sha256=sources.sha256("manual_inplace"))
    html = page.html({"run.json": run(same, row("numpy_loop", source_sha256="another"), row("gone_for_ever"))})
    rows = re.findall(r"<tr.*?</tr>", html.partition('<table class="ladder">')[2].partition("</table>")[0], re.DOTALL)
    said = {
        re.search(r"<code>(\w+)</code>", text)[1]: re.findall("file changed since|file is gone", text)
        for text in rows[1:]
    }
    assert said == {
        "manual_inplace": [],
        "numpy_loop": ["file changed since"],
        "gone_for_ever": ["file is gone"],
        "torch_nn": ["file changed since"],  # made up, too
    }


def test_the_way_is_shown_where_a_price_on_it_is_known(results):
    assert 'class="way"' not in page.html({"run.json": run(row())})
    assert 'class="way"' in page.html({"run.json": run(row()), "ladder.json": run(row(baseline="autograd_inplace"))})


def test_a_price_on_the_way_is_against_the_file_before_and_of_the_same_problem(results):
    """native_sparse is not the child of manual_inplace, and the other run is of other rows."""
    found, elsewhere = run(row("native_sparse")), run(row("native_sparse", baseline="manual_inplace"))
    prices = ladder.prices({"run.json": found, "ladder.json": elsewhere})
    (of_run,) = ladder.ladders({"run.json": found})
    assert [price for _, price in page.way(of_run, prices)] == [None] * len(lessons.way("native_sparse"))
    right = row("native_sparse", parent="native_dense", baseline="native_dense")
    other_rows = row("native_sparse", parent="native_dense", baseline="native_dense", rows=1000, steps=16)
    for one, known in ((right, True), (other_rows, False)):
        name, price = page.way(of_run, ladder.prices({"ladder.json": run(one)}))[-1]
        assert (name, price is not None) == ("native_sparse", known)


def test_prices_of_several_problems_say_which(results):
    small, large = (run(row(baseline="autograd_inplace", batch_size=size)) for size in (16, 64))
    assert "rows in batches of" not in page.html({"ladder.json": large})
    html = page.html({"ladder.json": large, "small.json": small})
    assert "digits, 50000 rows in batches of 16, A processor" in Text(html).of(None)


def test_a_price_of_code_that_has_changed_says_so(results):
    html = page.html({"ladder.json": run(row(baseline="autograd_inplace", source_sha256="another"))})
    lesson = html.partition('id="manual_inplace"')[2].partition("</dl>")[0]
    assert "file changed since" in lesson


def test_what_is_slower_than_the_reference_is_no_headline(results):
    assert 'class="headline"' in page.html({"run.json": run(row())})
    assert 'class="headline"' not in page.html({"run.json": run(row(own=0.4))})


def test_losses_stand_beside_times_of_the_same_rows_only():
    museum = exhibits.load(page.MUSEUM)
    for sha256, rows, known in (
        (museum.dataset_sha256, 50_000, True),
        ("another", 50_000, False),
        (museum.dataset_sha256, 1000, False),
    ):
        sizes = [row("a", dataset_sha256=sha256, rows=rows, batch_size=size) for size in (16, 64)]
        (growth,) = batches.growths({"growth.json": run(*sizes)}, museum)
        assert growth.has_losses is known


def test_times_beside_losses_are_those_of_the_chart():
    museum = exhibits.load(page.MUSEUM)
    slow_moment = row("b", 0.3, 0.3, batch_size=64)
    sizes = [row("a", 0.1, 0.2, batch_size=64), slow_moment, row("a", batch_size=16), row("b", batch_size=16)]
    (found,) = batches.growths({"growth.json": run(*sizes)}, museum)
    line = found.lines[1]
    assert (line.batch_size, line.fastest, line.beside, line.own) == (64, "a", "125.0", "62.5")  # for an epoch of two


def test_many_figures_are_told_at_once():
    """A pattern that reads a number in several ways would take for ever."""
    sizes = ", ".join(str(10**5 + i) for i in range(40))
    text = f"{sizes} rows of 784, 10 classes, batch {sizes}, learning rate 0.5, epochs 1 in float32"
    assert "행" in prose.told(text)
    assert prose.told(f"{sizes} x") == f"{sizes} x"


def test_runs_of_two_machines_are_two_ladders(results):
    runs = {"a.json": run(row()), "b.json": run(row(device_name="Another"))}
    ladder.check(runs)
    assert [found.setting.device_name for found in ladder.ladders(runs)] == ["A processor, 2 cores, AVX512", "Another"]
    assert page.html(runs).count('<table class="ladder">') == 2


def test_files_that_are_broken_make_a_page_too(results, tmp_path, monkeypatch):
    files = {
        "silent": b"def train():\n    pass\n",
        "wrong": b'"""Idea.\n\nCompare with `silent`: all."""\ndef train(:\n',
        "latin": '# -*- coding: latin-1 -*-\n"""Idée."""\n'.encode("latin-1"),
        "not_text": b'"""Idea \xff."""\n',
        "orphan": b'"""Idea.\n\nCompare with `nobody`: all.\n"""\n',
        "evil": f'"""{EVIL}\n\n{EVIL}\n\nCompare with `silent`: all.\n"""\nx = "{EVIL}"\n'.encode(),
        "long": b'"""Idea."""\nx = "' + b"x" * 10_000 + b'"\n',
    }
    folder = tmp_path / "implementations"
    folder.mkdir()
    for name, text in files.items():
        (folder / f"{name}.py").write_bytes(text)
    monkeypatch.setattr(implementations, "FOLDER", folder)
    monkeypatch.setattr(implementations, "names", lambda: sorted(files))
    page.link.cache_clear()
    html = page.html({"run.json": run(row("silent"), row("wrong", parent="silent"))})
    page.link.cache_clear()
    for name in files:
        assert f'id="{name}"' in html
    assert "Idée" in html
    assert "<script>alert" not in html
    assert not re.search(r"href=.?javascript|<img[^>]* src=.?http", html)
