"""The Korean: whole, not out of date, and the same code and figures as the English."""

import re
import tomllib

import pytest

import implementations
from benchmarks.runs.saved import RunError
from benchmarks.show import documents, korean
from implementations import mistakes

LESSONS = implementations.names() + mistakes.names()
SECTIONS = ["page", *LESSONS]
WORDS = korean.FILE.parent / "page" / "words.toml"
ROOT = implementations.FOLDER.parent
README, README_KO = ((ROOT / name).read_text(encoding="utf-8") for name in ("README.md", "README.ko.md"))


def english(section):
    """The paragraphs to translate, of a lesson or of the page."""
    if section == "page":
        return list(tomllib.loads(WORDS.read_text(encoding="utf-8")).values())
    return korean.paragraphs(implementations.docstring(section))


@pytest.mark.parametrize("section", SECTIONS)
def test_every_paragraph_has_its_korean_and_every_korean_its_paragraph(section):
    missing, stale = korean.missing(section, english(section)), korean.stale(section, english(section))
    assert not missing, "without Korean:\n" + "\n".join(missing)
    assert not stale, "without English:\n" + "\n".join(stale)


def test_every_section_is_a_lesson_or_the_page():
    assert set(korean.translations()) <= set(SECTIONS)


def translated(section):
    """English and Korean of the paragraphs that have both."""
    pairs = ((text, korean.korean(section, text)) for text in english(section))
    return [(text, translation) for text, translation in pairs if translation]


@pytest.mark.parametrize("section", SECTIONS)
def test_code_links_figures_and_what_is_filled_in_are_the_same_in_both(section):
    """A number that is a word in English may be a figure in Korean."""
    for text, translation in translated(section):
        for pattern in (r"`[^`]*`", r"https?://[^\s)]+", r"\{\w*\}", r"\*\*"):
            assert found(pattern, translation) == found(pattern, text), translation
        assert found(FIGURE, text) <= found(FIGURE, translation) <= found(FIGURE, text) | in_words(text), translation


FIGURE = r"\d+(?:\.\d+)?"
NUMBERS = [
    *("zero(?:s|ed)?", "ones?", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"),
    *("eleven", "twelve"),
]


def found(pattern, text):
    """What matches in a text, each once."""
    return set(re.findall(pattern, " ".join(text.split())))


def in_words(text):
    """The numbers up to twelve that are words in an English text, as figures."""
    return {str(number) for number, word in enumerate(NUMBERS) if found(rf"(?i)\b{word}\b", text)}


@pytest.mark.parametrize("lesson", LESSONS)
def test_a_paragraph_of_a_fixed_form_has_it_in_korean_too(lesson):
    """What is compared with what, the price, the parts of a mistake, and the problem as the checker calls it."""
    for text, translation in translated(lesson):
        compared = re.match(r"Compare with (`\w+`): ", text)
        assert not compared or re.match(rf"{compared[1]}[와과] 비교하세요: ", translation), translation
        assert text.startswith("Price: ") == translation.startswith("비용: "), translation
        for problem in re.findall(r"^Noticed by: (.+)\.$", text, re.MULTILINE):
            assert re.search(rf"^잡아내는 문제: .+ \({problem}\)\.$", translation, re.MULTILINE), translation
        assert [PARTS[part] for part in re.findall(rf"^({'|'.join(PARTS)}): ", text, re.MULTILINE)] == re.findall(
            rf"^({'|'.join(PARTS.values())}): ", translation, re.MULTILINE
        ), translation


# How the parts of a mistake's docstring begin.
PARTS = {
    "You see": "증상",
    "Why it is wrong": "틀린 이유",
    "The fix": "고치는 법",
    "Noticed by": "잡아내는 문제",
    "People met it": "실제 사례",
}


def test_a_changed_paragraph_has_no_korean_and_its_lines_may_be_broken_elsewhere():
    first = english("manual_inplace")[0]
    translation = korean.korean("manual_inplace", first)
    assert translation
    assert korean.korean("manual_inplace", first.replace(" ", "\n ", 3)) == translation
    assert korean.korean("manual_inplace", first + " And more.") is None
    assert korean.korean("numpy_loop", first) is None
    assert korean.korean("no_such_lesson", first) is None


def test_what_is_missing_or_stale_is_named():
    given = [*english("manual_inplace")[1:], "Another paragraph, written today, that nobody\nhas translated yet."]
    assert korean.missing("manual_inplace", given) == [
        "[manual_inplace] 1b2feae40535: Another paragraph, written today, that nobody has translated yet."
    ]
    (line,) = korean.stale("manual_inplace", given)
    key = korean.key(english("manual_inplace")[0])
    assert line == f"[manual_inplace] {key}: {korean.translations()['manual_inplace'][key]}"


def test_code_is_no_paragraph():
    assert korean.paragraphs("One line.\n\nMore\nof it:\n\n    x = 1\n\n    y = 2\n\n\nand the end.\n") == [
        "One line.",
        "More\nof it:",
        "and the end.\n",
    ]
    assert korean.paragraphs("") == []


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"[a]\nb = ", "not TOML: Invalid value"),
        (b"[a]\nb = '1'\nb = '2'\n", "not TOML: Cannot overwrite a value"),
        (b"[a]\nb = '\xff'\n", "not text in UTF-8"),
        (b"b = '1'\n", "b is no table; expected [NAME OF A LESSON]"),
        (b"[a]\nb = 1\n", "b in [a] is '1'; expected Korean text"),
        (b"[a]\nb = ' '\n", "b in [a] is ' '; expected Korean text"),
        (b"[a.b]\nc = '1'\n", "b in [a] is \"{'c': '1'}\"; expected Korean text"),
    ],
)
def test_a_file_that_is_broken_is_said_to_be_in_one_line(content, message, tmp_path):
    path = tmp_path / "lessons.ko.toml"
    path.write_bytes(content)
    with pytest.raises(RunError, match=f"^{re.escape(f'{path}: {message}')}.*$"):
        korean.translations(path)


def test_a_file_that_is_not_there(tmp_path):
    path = tmp_path / "lessons.ko.toml"
    with pytest.raises(RunError, match=f"^{re.escape(f'{path}: No such file or directory')}$"):
        korean.translations(path)


# --- README.ko.md -------------------------------------------------------------------------------------------


def test_the_korean_readme_is_short():
    assert len(README_KO.splitlines()) <= 120


def commands(text):
    """The code blocks of a page, without comments and what stands behind a name."""
    return [re.sub(r"(?m)( +#| {3}).*$", "", block) for block in re.findall(r"(?ms)^```\n.*?^```$", text)]


def test_both_readmes_have_the_same_commands_links_and_sections():
    assert len(commands(README)) > 3
    assert commands(README_KO) == commands(README)
    links, korean_links = (sorted(re.findall(r"\]\(([^)]+)\)", text)) for text in (README, README_KO))
    assert [link.replace("README.ko.md", "README.md") for link in links] == korean_links
    headings, korean_headings = (re.findall(r"^#+ ", text, re.MULTILINE) for text in (README, README_KO))
    assert headings == korean_headings


def rows(text):
    """The cells of the page's table, row by row, without its header."""
    return [line.split(" | ") for line in re.findall(r"^\| \[.*$", text, re.MULTILINE)]


def test_both_readmes_have_the_same_table_and_the_korean_one_the_lessons_prices():
    assert [row[:-1] for row in rows(README_KO)] == [row[:-1] for row in rows(README)]
    assert len(rows(README)) == 8
    for first, *_, why in rows(README_KO):
        name = documents.name_in(first.removeprefix("| "))
        if name != "torch_nn":
            price = korean.korean(name, f"Price: {implementations.price(name)}")
            assert why == " ".join(price.removeprefix("비용: ").split()) + " |"


def test_both_readmes_have_the_same_figures_and_code_in_their_sentences():
    text, translation = (re.sub(r"(?ms)^```\n.*?^```$|^\|.*?$", "", page) for page in (README, README_KO))
    assert found(r"`[^`]+`", text) <= found(r"`[^`]+`", translation)
    assert found(FIGURE, text) <= found(FIGURE, translation) <= found(FIGURE, text) | in_words(text)
