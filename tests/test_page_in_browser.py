"""The page as a browser shows it: every width, scheme and language; by keyboard, without scripts, and printed."""

import contextlib
import json
import math
import re
import shutil
from importlib.util import find_spec
from pathlib import Path

import pytest

import implementations
from benchmarks.runs import saved
from benchmarks.show import cells, growth, page, prose
from implementations import mistakes, prose_and_code

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = [
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium: install it with your system's packages"),
    pytest.mark.skipif(find_spec("playwright") is None, reason="no Playwright: pip install playwright"),
]
SWITCHES = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)
WIDTHS = (360, 768, 1400, 1600)
ROOT = Path(__file__).parent.parent
RUNS = [ROOT / "results" / f"{name}.json" for name in ("cpu", "ladder", "growth")]
ALL_FILES = implementations.names() + mistakes.names()
OPEN_ALL = "document.querySelectorAll('details').forEach(details => details.open = true)"
CLOSE_ALL = OPEN_ALL.replace("true", "false")
IS_SEEN = "element => element.checkVisibility() && element.getBoundingClientRect().height > 0"


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    """The address of the page of the published runs."""
    path = tmp_path_factory.mktemp("page") / "report.html"
    path.write_text(page.html(page.loaded(RUNS)), encoding="utf-8")
    return path.as_uri()


@pytest.fixture(scope="module")
def chromium():
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(SWITCHES))
        yield browser
        browser.close()


@contextlib.contextmanager
def opened(chromium, address, **options):
    """The page, opened; nothing may be asked for but the file and images in it, and nothing may complain."""
    context = chromium.new_context(**options)
    context.set_default_timeout(10_000)
    tab = context.new_page()
    troubles = []
    tab.on("console", lambda message: troubles.append(message.text))
    tab.on("pageerror", lambda error: troubles.append(str(error)))
    tab.on("request", lambda request: troubles.append(request.url) if not expected(request.url, address) else None)
    tab.goto(address)
    yield tab
    assert troubles == []
    context.close()


def expected(url, address):
    return url == address.partition("#")[0] or url.startswith("data:")


@pytest.mark.parametrize("width", WIDTHS)
def test_it_opens_and_nothing_is_wider_than_the_window(width, chromium, file):
    with opened(chromium, file, viewport={"width": width, "height": 900}) as tab:
        for language in ("english", "korean"):
            tab.check(f"#{language}-", force=True)
            for opens_or_closes in (CLOSE_ALL, OPEN_ALL):
                tab.evaluate(opens_or_closes)
                assert tab.evaluate("document.documentElement.scrollWidth") <= width, (language, opens_or_closes)


# Axe measures the contrast of a text from its colour, its font and what is painted behind it. Of elements in which
# these are the same one is enough: on all 30 000 of them this one rule takes more than a minute, in each of four ways.
MARK_ONE_OF_EACH_LOOK = """() => {
    const behind = new Map([[null, ""]]), seen = new Set(), found = [];
    for (const element of document.querySelectorAll("html, html *")) {
        const { backgroundColor, opacity, color, fontSize, fontWeight } = getComputedStyle(element);
        behind.set(element, behind.get(element.parentElement) + [backgroundColor, opacity]);
        const look = [color, fontSize, fontWeight, behind.get(element)].join();
        const hasText = [...element.childNodes].some(node => node.nodeType === Node.TEXT_NODE && node.data.trim());
        if (!hasText || seen.has(look)) continue;
        seen.add(look);
        found.push(element);
    }
    for (const element of found) element.dataset.look = "";
}"""
# No rule looks at what is not shown, but to find that out of each element of it takes seconds.
REMOVE_THE_OTHER_LANGUAGE = """() => {
    const hidden = [...document.querySelectorAll("body [lang]")].filter(element => !element.checkVisibility());
    for (const element of hidden) element.remove();
}"""
REMOVE_WHAT_HOLDS_NONE = """() => {
    for (const element of document.querySelectorAll("details, .l"))
        if (!element.matches("[data-look]") && !element.querySelector("[data-look]")) element.remove();
}"""
LEVELS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]
NO_CONTRAST = {"runOnly": LEVELS, "rules": {"color-contrast": {"enabled": False}}}


@pytest.mark.skipif(find_spec("axe_playwright_python") is None, reason="no axe: pip install axe-playwright-python")
@pytest.mark.parametrize("language", ["english", "korean"])
def test_axe_finds_no_violation_with_all_open_in_both_schemes(language, chromium, file):
    import axe_playwright_python

    axe = (Path(axe_playwright_python.__file__).parent / "axe.min.js").read_text(encoding="utf-8")
    with opened(chromium, file) as tab:
        tab.evaluate(OPEN_ALL)
        tab.evaluate(axe)
        tab.check(f"#{language}-", force=True)
        tab.evaluate(REMOVE_THE_OTHER_LANGUAGE)
        assert violations(tab, "document", NO_CONTRAST) == []  # no other rule looks at colours
        for scheme in ("light", "dark"):
            tab.emulate_media(color_scheme=scheme)
            tab.evaluate(MARK_ONE_OF_EACH_LOOK)
        tab.evaluate(REMOVE_WHAT_HOLDS_NONE)
        for scheme in ("light", "dark"):
            tab.emulate_media(color_scheme=scheme)
            assert violations(tab, "'[data-look]'", {"runOnly": ["color-contrast"]}) == [], scheme


def violations(tab, where, options):
    """What axe finds of levels A and AA: rules, each with the first element that breaks it."""
    options = options | {"resultTypes": ["violations"], "preload": False}
    found = tab.evaluate(f"options => axe.run({where}, options)", options)
    return [(rule["id"], rule["nodes"][0]["html"][:200]) for rule in found["violations"]]


def test_what_is_english_in_the_korean_view_is_marked(chromium, file):
    """Two words in a row outside code, in no element that says its language."""
    with opened(chromium, file) as tab:
        tab.check("#korean-", force=True)
        tab.evaluate(OPEN_ALL)
        texts = tab.evaluate("""() => {
            const found = [], nodes = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
            while (nodes.nextNode())
                if (!nodes.currentNode.parentElement.closest("body [lang], code, pre, script"))
                    found.push(nodes.currentNode.data);
            return found;
        }""")
    assert len(texts) > 1000
    assert [text for text in texts if prose.SENTENCE.search(text)] == []


@pytest.fixture(scope="module")
def without_scripts(chromium, file):
    """By the id of each lesson and mistake what is in the DOM where no script runs: its text, its files, its diffs.

    A diff is a list of pieces of code, each with its side: left, right or common.
    """
    with opened(chromium, file, java_script_enabled=False) as tab:
        return tab.evaluate("""Object.fromEntries([...document.querySelectorAll(".inside")].map(inside => [inside.id, {
            text: inside.parentElement.textContent,
            files: [...inside.querySelectorAll(".file pre")].map(pre => pre.textContent),
            diffs: [...inside.querySelectorAll(".diff")].map(diff =>
                [...diff.querySelectorAll("pre")].map(pre => [pre.className, pre.textContent])),
        }]))""")


@pytest.mark.parametrize("name", ALL_FILES)
def test_without_scripts_the_whole_docstring_is_there(name, without_scripts):
    text = without_blanks(without_scripts[name]["text"])
    for paragraph in implementations.docstring(name).split("\n\n"):
        assert without_blanks(re.sub("^Price: |`", "", paragraph)) in text


def without_blanks(text):
    return "".join(text.split())


@pytest.mark.parametrize("name", ALL_FILES)
def test_without_scripts_all_code_and_every_difference_is_there(name, without_scripts):
    shown = without_scripts[name]
    parent = implementations.parent(name)
    pairs = [[prose_and_code(implementations.source(each))[1].rstrip() for each in (parent, name)]] if parent else []
    c_files = [implementations.c_source(each) for each in (parent, name) if each and has_c_file(each)]
    if len(c_files) == 2:
        pairs.append([text.rstrip() for text in c_files])
    if name not in mistakes.names():
        own = [implementations.source(name), *(c_files[-1:] if has_c_file(name) else [])]
        assert shown["files"] == [f"{text}\n" for text in own]
    assert len(shown["diffs"]) == len(pairs)
    for diff, pair in zip(shown["diffs"], pairs, strict=True):
        for side, text in zip(("left", "right"), pair, strict=True):
            assert "".join(piece for kind, piece in diff if kind in (side, "common")) == f"{text}\n", side


def has_c_file(name):
    return any((implementations.FOLDER / f"{name}{suffix}").exists() for suffix in (".c", ".cu"))


def test_without_scripts_lessons_open_by_keyboard_and_languages_switch(chromium, file):
    with opened(chromium, file, java_script_enabled=False) as tab:
        assert tab.locator("th button").count() == 0
        lesson = tab.locator("details.lesson", has=tab.locator("#manual_transposed"))
        assert not tab.locator("#manual_transposed").is_visible()
        lesson.locator("> summary").focus()
        tab.keyboard.press("Enter")
        assert tab.locator("#manual_transposed .diff").first.is_visible()
        assert tab.locator("h1 [lang=en]").is_visible()
        tab.locator("#english-").focus()
        tab.keyboard.press("ArrowRight")
        assert tab.locator("h1 [lang=ko]").is_visible()
        assert not tab.locator("h1 [lang=en]").is_visible()


def test_guessing_hides_each_price_until_it_is_asked_for_also_without_scripts(chromium, file):
    with opened(chromium, file, java_script_enabled=False) as tab:
        lesson = tab.locator("details.lesson", has=tab.locator("#manual_transposed"))
        lesson.locator("> summary").click()
        price = lesson.locator("dl.price").first
        assert price.is_visible()
        tab.locator("#guess-").check()
        assert not price.is_visible()
        assert not lesson.locator("summary .price").is_visible()
        lesson.locator(".reveal input").check()
        assert price.is_visible()


def test_the_filter_of_the_museum_leaves_what_the_loss_does_not_show(chromium, file):
    with opened(chromium, file, java_script_enabled=False) as tab:
        tab.locator("#filter-").check()
        assert tab.locator("details.mistake.fell").first.is_visible()
        assert not tab.locator("details.mistake:not(.fell)").first.is_visible()


def test_every_link_lands_and_opens_what_it_is_in(chromium, file):
    with opened(chromium, file) as tab:
        fragments = tab.evaluate("[...new Set([...document.querySelectorAll('a[href^=\"#\"]')].map(a => a.hash))]")
        assert {f"#{name}" for name in implementations.names()} <= set(fragments)
        for fragment in fragments:
            tab.evaluate(CLOSE_ALL)
            tab.evaluate("hash => new Promise(done => { location.hash = hash; setTimeout(done, 0); })", fragment)
            assert tab.evaluate(f"({IS_SEEN})(document.getElementById(location.hash.slice(1)))"), fragment
    with opened(chromium, f"{file}#manual_transposed") as tab:
        target = tab.locator("#manual_transposed")
        assert target.is_visible()
        assert 0 <= target.bounding_box()["y"] < 720


def test_the_table_is_sorted_by_keyboard(chromium, file):
    def column(tab):
        return tab.evaluate("[...document.querySelector('.ladder').tBodies[0].rows].map(row => row.cells[1].innerText)")

    with opened(chromium, file) as tab:
        heading = tab.locator(".ladder th").nth(1)
        ratios = column(tab)
        assert ratios == sorted(ratios, key=float, reverse=True)
        assert heading.get_attribute("aria-sort") == "descending"
        heading.locator("button").focus()
        tab.keyboard.press("Enter")
        assert heading.get_attribute("aria-sort") == "ascending"
        assert column(tab) == sorted(ratios, key=float)
        name = tab.locator(".ladder th").nth(0)
        name.locator("button").focus()
        tab.keyboard.press("Enter")
        assert name.get_attribute("aria-sort") == "ascending"
        assert heading.get_attribute("aria-sort") is None
        names = tab.locator(".ladder tbody th code").all_inner_texts()
        assert names == sorted(names)


@pytest.mark.skipif(find_spec("pypdfium2") is None, reason="no PDFium: pip install pypdfium2")
def test_printed_every_lesson_is_there(chromium, file):
    """In the text of the PDF, each title with the beginning of its idea, and later the end of its docstring."""
    with opened(chromium, file, color_scheme="dark") as tab:
        text = text_of(tab.pdf())
        tab.emulate_media(media="print")
        assert tab.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    at = 0
    for name in (*sorted_as_shown(), *mistakes.names()):
        paragraphs = [without_blanks(part.replace("`", "")) for part in implementations.docstring(name).split("\n\n")]
        at = text.find(name.rpartition(".")[2] + paragraphs[0][:30], at)
        assert at >= 0, name
        assert text.find(paragraphs[-1][-30:], at) >= 0, name


def text_of(pdf):
    """The text of all pages without blanks, as lines are broken anywhere."""
    import pypdfium2

    return without_blanks("".join(page.get_textpage().get_text_bounded() for page in pypdfium2.PdfDocument(pdf)))


def sorted_as_shown():
    return [lesson.name for lesson in page.lessons.lessons()]


# --- its figures are those of results/ ----------------------------------------------------------------------


@pytest.fixture(scope="module")
def figures(chromium, file):
    """What the page shows in English with all open: the rows of a table's body, cell by cell."""
    with opened(chromium, file) as tab:
        tab.evaluate(OPEN_ALL)
        yield lambda table: tab.evaluate(
            "table => [...document.querySelector(table).tBodies[0].rows].map("
            "row => [...row.cells].map(cell => cell.innerText.trim()))",
            table,
        )


def test_each_number_of_the_ladder_is_that_of_the_published_table(figures):
    published = {name.split("-cpu")[0]: row for (name,), row in cells_of("cpu.md", "name").items()}
    columns = ("x torch_nn", "99 % interval", "verdict", "us/step", "lines")
    shown = {name.split()[0]: cells for name, *cells in figures("section:has(#the-ladder) .ladder")}
    assert shown == {name: [row[column] for column in columns] for name, row in published.items()}


def test_each_number_of_how_time_grows_is_that_of_the_published_table_and_the_museum(figures):
    published = cells_of("growth.md", "name", "batch", "rows")
    losses = json.loads((ROOT / "results" / "mistakes.json").read_text(encoding="utf-8"))["epoch_losses"]
    shown = figures("section:has(#the-growth) .figures")
    points = growth.points(saved.load(ROOT / "results" / "growth.json"), "cpu")
    assert len(shown) == 5
    for batch, steps, loss, beside, fastest, own in shown:
        beside_it = {
            name.split("-cpu")[0]: row for (name, *place), row in published.items() if place == [batch, "50000"]
        }
        assert fastest == max(beside_it, key=lambda name: float(beside_it[name]["x torch_nn"]))
        times = {
            name: cells.milliseconds(point.seconds)
            for name, own_points in points.items()
            for point in own_points
            if point[:2] == (50_000, int(batch))
        }
        assert (beside, own) == (times["torch_nn"], times[fastest])
        assert (steps, loss) == (str(math.ceil(50_000 / int(batch))), f"{losses[batch]:.4f}")


def test_each_number_of_the_museum_is_that_of_the_published_table(chromium, file):
    published = cells_of("mistakes.md", "mistake")
    with opened(chromium, file) as tab:
        tab.evaluate(OPEN_ALL)
        shown = tab.evaluate(
            "[...document.querySelectorAll('.mistake')].map(mistake => [mistake.querySelector('h3').innerText, "
            "mistake.querySelector('summary .word').innerText, mistake.querySelector('.seen > div').innerText, "
            "[...mistake.querySelectorAll('.problems li')].map(item => item.value)])"
        )
        summary = tab.inner_text("#the-museum + p")
    assert len(shown) == len(published)
    for name, word, text, problems in shown:
        row = published[f"`{name}`",]
        assert (word == "loss shows it") == (row["loss fell"] == "x"), name
        scores = f"loss {row['loss']}, accuracy {row['accuracy']}." if row["loss"] else "Training ends with an error"
        assert scores in text, name
        noticed = [column for column, cell in row.items() if column.isdigit() and cell]
        assert [str(number) for number in problems] == noticed, name
    sums = [
        len(published),
        *(sum(bool(row[column]) for row in published.values()) for column in ("loss fell", "close")),
    ]
    assert [int(number) for number in re.findall(r"\d+", summary)] == [*sums, len(published)]


def test_each_number_of_the_proof_is_that_of_the_published_table(figures):
    published = cells_of("trust/trust.md", "what")
    assert [tuple(row) for row in figures(".proof")] == [tuple(row.values()) for row in published.values()]


def cells_of(page, *key):
    """The first table of a page in results/: the cells of a row by their column, the row by its cells of the key."""
    text = (ROOT / "results" / page).read_text(encoding="utf-8").partition("\n### ")[0]
    header, _, *rows = (
        [cell.strip() for cell in line[1:-1].split("|")] for line in text.splitlines() if line[:1] == "|"
    )
    found = [dict(zip(header, row, strict=True)) for row in rows]
    return {tuple(row[column] for column in key): row for row in found}
