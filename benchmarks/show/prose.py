"""English and Korean, side by side in the HTML: docstrings and the page's own words. Which one is seen CSS decides."""

import functools
import re
from collections.abc import Callable, Mapping
from pathlib import Path

from markdown_it import MarkdownIt
from markupsafe import Markup

from benchmarks.runs.saved import RunError
from benchmarks.show.korean import FILE, korean, toml

Values = Mapping[str, object]  # by their places in a paragraph
WORDS = Path(__file__).with_name("page") / "words.toml"
MARKDOWN = MarkdownIt("commonmark", {"html": False}).enable("table").disable("image")
# How the parts of a mistake's docstring begin, each in a line of its own.
PARTS = re.compile(
    "^(You see|Why it is wrong|The fix|Noticed by|People met it|증상|틀린 이유|고치는 법|잡아내는 문제|실제 사례): ",
    re.MULTILINE,
)
PRICE = re.compile("^(Price|비용): ")
# What stands in the places of a form: words in these two, figures in all others.
PLACES = {"what": ".+?", "name": "[^;]+?"}
FIGURES = r"[^\s,;\d]*\d[^\s,;]*(?:(?:, | to )[^\s,;\d]*\d[^\s,;]*)*"  # each one in one way, or it takes for ever
SENTENCE = re.compile(r"[A-Za-z]{2,}\W* \W*[A-Za-z]{2,}")  # of two words at least


@functools.cache
def words(path: Path = WORDS) -> dict[str, str]:
    """The page's own words in English, by the names that its templates use. Raises RunError."""
    found = toml(path)
    for name, text in found.items():
        if not isinstance(text, str) or not text.strip():
            raise RunError(f"{path}: {name} is {str(text)[:20]!r}; expected English text")
    return found


def in_english(name: str) -> str:
    """The words of that name. Raises RunError."""
    if name not in words():
        raise RunError(f"{WORDS}: no {name}, which the page needs; expected {name} = TEXT")
    return words()[name]


def said(name: str, /, tag: str = "span", **values: object) -> Markup:
    """The page's own words of that name in both languages, values in their places if there are any. Raises RunError."""
    return in_both(tag, "page", in_english(name), MARKDOWN.renderInline, values or None)


def both(name: str, /, **values: object) -> list[str]:
    """The same as plain text in each language that there is, for where no element can be. Raises RunError."""
    text = in_english(name)
    by_language = {"en": text, "ko": korean("page", text)}
    return [filled(language, each, values) for language, each in by_language.items() if each]


def told(text: str) -> Markup:
    """What is said elsewhere, in both languages if it has a form; else, if it is a sentence, in English, marked."""
    for name, form in forms().items():
        if found := form.fullmatch(text):
            parts = found.groupdict().items()
            return said(name, **{place: part if place == "name" else told(part) for place, part in parts})
    return Markup("<span lang=en class=only>{}</span>").format(text) if SENTENCE.search(text) else Markup.escape(text)


@functools.cache
def forms() -> Mapping[str, re.Pattern[str]]:
    """What a text said elsewhere may look like, by the name of its words: the most exact first."""
    texts = {name: " ".join(text.split()) for name, text in words().items() if name.startswith("told_")}
    parts = {name: re.split(r"\{(\w+)\}", text) for name, text in texts.items()}
    return {
        name: re.compile("".join(re.escape(part) if i % 2 == 0 else place(part) for i, part in enumerate(parts[name])))
        for name in sorted(parts, key=lambda name: -sum(map(len, parts[name][::2])))
    }


def place(name: str) -> str:
    """The pattern of what stands in a place of that name."""
    return f"(?P<{name}>{PLACES.get(name, FIGURES)})"


def inline(section: str, english: str) -> Markup:
    """A paragraph in both languages, to stand in a line. Raises RunError."""
    return in_both("span", section, english, MARKDOWN.renderInline)


def block(section: str, english: str) -> Markup:
    """A paragraph in both languages, to stand by itself; code once. Raises RunError."""
    if english.startswith("    "):
        return Markup(MARKDOWN.render(english))
    return in_both("div", section, english, lambda text: MARKDOWN.render(with_parts(text)))


def in_both(
    tag: str, section: str, english: str, rendered: Callable[[str], str], values: Values | None = None
) -> Markup:
    """The elements of both languages; where there is no Korean, of the English alone, marked.

    Values are filled in after Markdown is, so that none of them is read as such.
    """
    translation = korean(section, english)
    if translation is None:
        return element(tag, "en class=only", rendered(english), values)
    return element(tag, "en", rendered(english), values) + element(tag, "ko", rendered(translation), values)


def element(tag: str, language: str, content: str, values: Values | None) -> Markup:
    """One language. Raises RunError."""
    inside = Markup(content) if values is None else Markup(filled(language, Markup(content), values))
    return Markup(f"<{tag} lang={language}>") + inside + Markup(f"</{tag}>")


def filled(language: str, content: str, values: Values) -> str:
    """The content with the values in their places. Raises RunError where it has a place for another one."""
    try:
        return content.format(**values)
    except (LookupError, ValueError) as error:
        file = FILE if language == "ko" else WORDS
        raise RunError(
            f"{file}: {str(content)[:40]!r} has a wrong place, {error}; expected {', '.join(values)}"
        ) from None


def with_parts(paragraph: str) -> str:
    """The paragraph with each part of a mistake's docstring in a line of its own, and addresses as links."""
    in_lines = PARTS.sub(lambda part: f"{'' if part.start() == 0 else chr(92) + chr(10)}**{part[1]}:** ", paragraph)
    return re.sub(r"(?<![<(\[])(https?://[^\s<>]*[^\s<>.,;])", r"<\1>", in_lines.replace("\n\\\n", "\\\n"))


def price(section: str, paragraph: str) -> Markup:
    """The sentence of a paragraph "Price: ..." in both languages, to stand in a line. Raises RunError."""
    return in_both("span", section, paragraph, lambda text: MARKDOWN.renderInline(PRICE.sub("", text.strip())))
