"""The figures in README.md and docs/: they are taken from the tables in results/. Needs no torch.

A page names each figure's place, relative to itself, so that `python -m benchmarks.report --docs` can fill it in anew:

    [1.45](results/ladder.md "manual_inplace: x parent")    one cell, by row and column
    [AMD EPYC](results/cpu.md "machine")                    a line above the table, by its label
    <!-- results/cpu.md | x torch_nn | price -->            the table below: its columns after that of the names
    <!-- results/growth.md: in words -->                    the list below: what the file says beside its tables

In a table `price` is the sentence of the file's docstring, and `-` a column that people write. Where the comment says
`results/cpu.md, fastest first`, the rows are sorted by the first figure.
"""

import re
from collections.abc import Iterator
from pathlib import Path

import implementations
from benchmarks.runs import saved

ROOT = Path(__file__).parents[2]
FIGURE = re.compile(r'\[[^\[\]]*\]\(([^() ]+\.md) "([^"]+)"\)')
TABLE = re.compile(r"^<!-- (\S+\.md)(, fastest first)? \|(.+) -->\n((?:\|.*\n)+)", re.MULTILINE)
LIST = re.compile(r"^<!-- (\S+\.md): in words -->\n(?:\n(?:\* .*\n)+)?", re.MULTILINE)


class DocumentError(Exception):
    """A page asks for a figure that is not there; the message is one line."""


class Source:
    """A Markdown page made from a run. Raises DocumentError where it cannot be read."""

    def __init__(self, path: Path) -> None:
        self.name = path.name
        try:
            self.text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeError) as error:
            raise DocumentError(f"cannot read {self.name}: {getattr(error, 'strerror', None) or error}") from None
        try:
            self.tables = list(map(rows_by_name, re.findall(r"(?:^\|.*\n?)+", self.text, re.MULTILINE)))
        except ValueError:
            raise DocumentError(
                f"{self.name} has a table whose rows are not all as long as its head; was it cut?"
            ) from None
        self.facts = dict(re.findall(r"^\* ([^:\n]+): (.+)$", self.text.partition("\n|")[0], re.MULTILINE))

    def cell(self, name: str, column: str) -> str:
        """What stands in a row and a column. The last table that has both counts: it is of fewer things."""
        for table in reversed(self.tables):
            if column in table.get(name, {}):
                return table[name][column]
        raise DocumentError(f"{self.name} has no row {name!r} with a column {column!r}")

    def fact(self, label: str) -> str:
        """The line above the tables that begins with this label."""
        if label not in self.facts:
            raise DocumentError(f"{self.name} has no line {label!r}; there are {', '.join(self.facts)}")
        return self.facts[label]

    def figure(self, place: str) -> str:
        """The cell of "row: column", or the fact of a label."""
        name, colon, column = " ".join(place.split()).rpartition(": ")
        return self.cell(name, column) if colon else self.fact(column)

    def in_words(self) -> list[str]:
        """The lists below its first heading of the third order."""
        return re.findall(r"^\* .+$", self.text.partition("\n### ")[2], re.MULTILINE)


def pages(root: Path) -> list[Path]:
    """Those that may hold figures."""
    return sorted([*root.glob("*.md"), *root.glob("docs/*.md")])


def refilled(path: Path) -> str:
    """The text of a page with the figures that are in results/ now. Raises DocumentError, which names the page."""

    def source(name: str) -> Source:
        return Source(path.parent / name)

    def table(match: re.Match[str]) -> str:
        comment = match[0].partition("\n")[0]
        return comment + "\n" + filled_table(match[4], columns_of(match[3]), source(match[1]), bool(match[2]))

    def figure(match: re.Match[str]) -> str:
        text = source(match[1]).figure(match[2])
        return f'[{text}]({match[1]} "{match[2]}")'

    def words(match: re.Match[str]) -> str:
        comment = match[0].partition("\n")[0]
        lines = source(match[1]).in_words()
        return "\n".join([comment, *([""] if lines else []), *lines, ""])

    try:
        text = path.read_text(encoding="utf-8")
        return FIGURE.sub(figure, LIST.sub(words, TABLE.sub(table, text)))
    except DocumentError as error:
        raise DocumentError(f"{path.name}: {error}") from None
    except UnicodeDecodeError:
        raise DocumentError(f"{path.name}: not text in UTF-8") from None


def refill(root: Path) -> Iterator[Path]:
    """Writes the figures that have changed; the pages that have any. Raises DocumentError before it writes any."""
    texts = {path: refilled(path) for path in pages(root)}
    for path, text in texts.items():
        if text != path.read_text(encoding="utf-8"):
            saved.replace(path, text)
            yield path


def filled_table(text: str, columns: list[str], source: Source, fastest_first: bool) -> str:
    """A table of a page, with its header, the cells of `columns` filled in behind the first of each row."""
    header, line, *body = text.splitlines()
    rows = [filled_row(row, columns, source) for row in body]
    if fastest_first:
        rows.sort(key=first_figure, reverse=True)
    return "\n".join([header, line, *map(joined, rows), ""])


def first_figure(cells: list[str]) -> float:
    """What rows are sorted by. Raises DocumentError."""
    try:
        return float(cells[1])
    except ValueError:
        raise DocumentError(
            f"row {name_in(cells[0])!r} has {cells[1]!r} as its first figure; expected a number to sort by: time that "
            "row, or take it out of the table"
        ) from None


def filled_row(line: str, columns: list[str], source: Source) -> list[str]:
    """The cells of one row, its figures new."""
    first, *rest = cells_of(line)
    name = name_in(first)
    if len(rest) != len(columns):
        raise DocumentError(f"row {name!r} has {len(rest)} cells behind its name; expected {len(columns)}")
    return [first, *(new_cell(name, column, cell, source) for column, cell in zip(columns, rest, strict=True))]


def new_cell(name: str, column: str, cell: str, source: Source) -> str:
    """What stands in a column now; what stood there where people write it, or where a file states no price."""
    if column == "-":
        return cell
    if column == "price":
        return implementations.price(name).replace("|", r"\|") or cell  # it would begin a cell
    return source.cell(name, column)


def rows_by_name(table: str) -> dict[str, dict[str, str]]:
    """The rows of a Markdown table by the name in their first cell, each a dict by column."""
    header, _, *body = map(cells_of, table.strip().splitlines())
    return {name_in(cells[0]): dict(zip(header[1:], cells[1:], strict=True)) for cells in body}


def name_in(cell: str) -> str:
    """The name in a first cell, without quotes, link, device or note: of "[`a`](a.py)" and "a-cpu (reference)" a."""
    name = cell.partition("](")[0].strip("[`")
    return re.sub(r"^(\w+)-(?:cpu|cuda|mps|xpu)(?: \(reference\))?$", r"\1", name)


def columns_of(text: str) -> list[str]:
    """The names that a comment gives, with "|" between them."""
    return [part.strip() for part in text.split("|")]


def cells_of(line: str) -> list[str]:
    """The cells of a line of a Markdown table."""
    return [cell.strip() for cell in re.split(r"(?<!\\)\|", line.strip())[1:-1]]


def joined(cells: list[str]) -> str:
    """The same as a line."""
    return f"| {' | '.join(cells)} |"
