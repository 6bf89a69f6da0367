"""What each implementation teaches, read from its source: its words, and what it changes from its parent. No torch."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

import implementations
from benchmarks.runs import saved, sources
from benchmarks.show import code, forked, prose
from implementations import prose_and_code
from implementations.__main__ import ancestry


@dataclass(frozen=True)
class File:
    """A source file as it is shown whole."""

    name: str
    text: str

    @property
    def shown(self) -> list[code.Line]:
        """Its lines, in colour."""
        return code.lines(self.text, "python" if self.name.endswith(".py") else "c")

    @property
    def html(self) -> Markup:
        """All of it."""
        return forked.pre("common", self.shown)

    @property
    def line_count(self) -> int:
        """As an editor counts."""
        return len(self.text.splitlines())


@dataclass(frozen=True)
class Difference:
    """What a file changes from one of its parent's: a forked diff, or both files where little is the same.

    in_common: how much of both, 0 to 1.
    """

    left: str
    right: str
    in_common: float
    html: Markup

    @property
    def is_apart(self) -> bool:
        """Whether both files stand whole."""
        return self.in_common < forked.LEAST_IN_COMMON


@dataclass(frozen=True)
class Lesson:
    """One implementation. words: the paragraphs of its docstring, price and comparison apart, "" where it has none.

    parent: as the docstring names it, be there such a file or not.  difference, c_difference: None where there is
    nothing to compare with.
    """

    name: str
    depth: int
    idea: str
    words: tuple[str, ...]
    price: str
    comparison: str
    parent: str | None
    parent_has_file: bool
    children: tuple[str, ...]
    files: tuple[File, ...]
    difference: Difference | None
    c_difference: Difference | None


def lessons() -> list[Lesson]:
    """All of them, as a tree: each after its parent."""
    children: dict[str | None, list[str]] = {}
    for name in implementations.names():
        children.setdefault(implementations.parent(name), []).append(name)
    lines = sorted(map(ancestry, implementations.names()))
    return [lesson(line[-1], len(line) - 1, children.get(line[-1], ())) for line in lines]


def lesson(name: str, depth: int, children: Sequence[str]) -> Lesson:
    """The Lesson of an implementation, or of a mistake."""
    idea, *words = blocks(implementations.docstring(name)) or [""]
    parent = implementations.parent(name)
    has_file = parent in implementations.names()
    return Lesson(
        name=name,
        depth=depth,
        idea=idea,
        words=tuple(part for part in words if not part.startswith(("Price: ", "Compare with `"))),
        price=next((part for part in words if part.startswith("Price: ")), ""),
        comparison=next((part for part in words if part.startswith("Compare with `")), ""),
        parent=parent,
        parent_has_file=has_file,
        children=tuple(children),
        files=files(name),
        difference=difference(parent, name) if parent and has_file else None,
        c_difference=c_difference(parent, name) if parent and has_file else None,
    )


def reference() -> File:
    """What is true, as a file."""
    return File(sources.REFERENCE_FILE.name, sources.sources(saved.REFERENCE)[0])


def files(name: str) -> tuple[File, ...]:
    """The Python file, and the C or CUDA file beside it, if there is one."""
    short = name.rpartition(".")[2]
    found = [File(f"{short}.py", implementations.source(name))]
    return (*found, *(File(file, text) for file, text in implementations.c_files(name).items()))


def blocks(docstring: str) -> list[str]:
    """What stands between blank lines; pieces of code in a row, which are indented by four, as one."""
    found: list[str] = []
    for part in re.split(r"\n\s*\n", docstring):
        if found and part.startswith("    ") and found[-1].startswith("    "):
            found[-1] += "\n\n" + part
        elif part.strip():
            found.append(part)
    return found


def difference(parent: str, name: str) -> Difference:
    """What the code below the docstring changes."""
    (_, before), (_, after) = map(prose_and_code, map(implementations.source, (parent, name)))
    return compared(files(parent)[0].name, files(name)[0].name, before, after, "python")


def c_difference(parent: str, name: str) -> Difference | None:
    """The same of the C or CUDA files; None unless both have one."""
    left, right = files(parent)[1:], files(name)[1:]
    return compared(left[0].name, right[0].name, left[0].text, right[0].text, "c") if left and right else None


def compared(left: str, right: str, before: str, after: str, language: str) -> Difference:
    """Two texts, by the names of their files."""
    sides = code.lines(before.rstrip(), language), code.lines(after.rstrip(), language)
    found = forked.parts(*sides)
    in_common = forked.in_common(found)
    if in_common < forked.LEAST_IN_COMMON:
        found = [forked.Part(False, *sides)]
    return Difference(left, right, in_common, forked.html(found, prose.said("folded")))


def way(name: str) -> Sequence[str]:
    """The names from the root down to this one; of a file that is gone only its own."""
    return ancestry(name) if name in implementations.names() else [name]
