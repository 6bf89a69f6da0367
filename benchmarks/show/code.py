"""Source code as lines of coloured tokens, and as HTML. What copies the HTML's text has the code."""

import itertools
from collections.abc import Container, Iterable, Sequence
from typing import NamedTuple

from markupsafe import Markup, escape
from pygments.lexers import get_lexer_by_name
from pygments.styles import get_style_by_name
from pygments.token import Comment, Keyword, Name, Number, Operator, String, _TokenType

# What is coloured, each kind with its class in the HTML; all other code has the colour of text.
KINDS = {
    Keyword: "k",
    Operator.Word: "k",
    Name.Function: "f",
    Name.Class: "f",
    Name.Builtin: "b",
    Name.Decorator: "b",
    String: "s",
    Number: "m",
    Comment: "c",
}
STYLES = {"light": "a11y-high-contrast-light", "dark": "a11y-dark"}


class Token(NamedTuple):
    """A piece of a line. kind: its class in the HTML, "" if it has none."""

    kind: str
    text: str


Line = tuple[Token, ...]


def lines(code: str, language: str) -> list[Line]:
    """The lines of a text in a language that Pygments knows; joined by line feeds their text is the code again."""
    lexer = get_lexer_by_name(language, stripnl=False, ensurenl=False)
    found: list[list[Token]] = [[]]
    for _, kind, text in lexer.get_tokens_unprocessed(code):
        first, *others = text.split("\n")
        found[-1].append(Token(kind_of(kind), first))
        found += [[Token(kind_of(kind), other)] for other in others]
    return [tuple(token for token in line if token.text) for line in found]


def kind_of(token: _TokenType) -> str:
    """The class of a token type: that of the nearest one above it that has one."""
    return next((KINDS[above] for above in reversed(token.split()) if above in KINDS), "")


def text(line: Line) -> str:
    """A line without its colours."""
    return "".join(token.text for token in line)


def dedented(shown: Sequence[Line]) -> list[Line]:
    """The lines without the blanks that all of them begin with."""
    texts = [text(line) for line in shown]
    blanks = min((len(each) - len(each.lstrip()) for each in texts if each.strip()), default=0)
    return [(line[0]._replace(text=line[0].text[blanks:]), *line[1:]) if line else line for line in shown]


def html(shown: Sequence[Line], marked: Container[tuple[int, int]] = ()) -> Markup:
    """Lines as HTML, each a block of its own; tokens are marked by the numbers of their line and of their own in it."""
    return Markup("").join(
        Markup("<span class=l>{}\n</span>").format(line_html(line, {j for j in range(len(line)) if (i, j) in marked}))
        for i, line in enumerate(shown)
    )


def line_html(line: Line, marked: Container[int]) -> Markup:
    """One line; neighbours of one kind share their element."""
    runs = itertools.groupby(enumerate(line), key=lambda pair: (pair[1].kind, pair[0] in marked))
    return Markup("").join(
        run_html(kind, is_marked, (token.text for _, token in run)) for (kind, is_marked), run in runs
    )


def run_html(kind: str, is_marked: bool, texts: Iterable[str]) -> Markup:
    """Tokens of one kind."""
    content = escape("".join(texts))
    coloured = Markup("<i class={}>{}</i>").format(kind, content) if kind and content.strip() else content
    return Markup("<mark>{}</mark>").format(coloured) if is_marked else coloured


def colours(scheme: str) -> dict[str, str]:
    """The colour of each class in the light or the dark scheme."""
    style = get_style_by_name(STYLES[scheme])
    found: dict[str, str] = {}
    for token, kind in KINDS.items():
        found.setdefault(kind, style.style_for_token(token)["color"])
    return found
