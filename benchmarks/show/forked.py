"""The forked diff: what two files have in common stands once, what differs side by side.

The common lines with those on the left are the first file, with those on the right the second.
"""

import itertools
from collections.abc import Iterator, Sequence
from difflib import SequenceMatcher
from typing import NamedTuple

from markupsafe import Markup

from benchmarks.show import code
from benchmarks.show.code import Line

LEAST_IN_COMMON = 0.3  # of the lines; below it a diff is harder to read than two files
LEAST_ALIKE = 0.3  # of the tokens of a change; below it nearly all would be marked
MOST_UNFOLDED = 9  # common lines in a row
CONTEXT = 3  # common lines beside a change that are never folded


class Part(NamedTuple):
    """Lines in a row that both have, or that they have instead of each other."""

    is_common: bool
    left: Sequence[Line]
    right: Sequence[Line]


def parts(left: Sequence[Line], right: Sequence[Line]) -> list[Part]:
    """Two files as Parts, in which common and changed ones take turns.

    A blank line between two changes is not what readers look for as common: it belongs to the change.
    """
    before, after = ([code.text(line) for line in side] for side in (left, right))
    found = [
        (tag == "equal", left[a:b], right[c:d])
        for tag, a, b, c, d in SequenceMatcher(None, before, after, autojunk=False).get_opcodes()
    ]
    last = len(found) - 1
    stays = [
        is_common and (i in (0, last) or any(code.text(line).strip() for line in own))
        for i, (is_common, own, _) in enumerate(found)
    ]
    groups = itertools.groupby(zip(stays, found, strict=True), key=lambda pair: pair[0])
    return [Part(is_common, *joined([part for _, part in group])) for is_common, group in groups]


def joined(found: Sequence[tuple[bool, Sequence[Line], Sequence[Line]]]) -> tuple[list[Line], list[Line]]:
    """The lines of parts in a row: left and right."""
    return [line for _, own, _ in found for line in own], [line for *_, own in found for line in own]


def in_common(found: Sequence[Part]) -> float:
    """How much of two files is the same: twice the common lines that are not blank, over all such lines."""
    filled = [(part.is_common, sum(bool(line) for line in (*part.left, *part.right))) for part in found]
    both = sum(count for _, count in filled)
    return sum(count for is_common, count in filled if is_common) / both if both else 1


def html(found: Sequence[Part], fold: Markup) -> Markup:
    """The Parts as HTML. fold: what stands over folded lines, with a place for their {count}."""
    return Markup("").join(
        common(part.left, i == 0, i == len(found) - 1, fold) if part.is_common else change(part)
        for i, part in enumerate(found)
    )


def common(shown: Sequence[Line], is_first: bool, is_last: bool, fold: Markup) -> Markup:
    """Common lines; of many in a row those that are next to no change are folded."""
    above, below = (0 if is_first else CONTEXT), (0 if is_last else CONTEXT)
    if len(shown) <= MOST_UNFOLDED:
        return pre("common", shown)
    folded = shown[above : len(shown) - below]
    return Markup("{}<details class=fold><summary>{}</summary>{}</details>{}").format(
        pre("common", shown[:above]),
        fold.format(count=len(folded)),
        pre("common", folded),
        pre("common", shown[len(shown) - below :]),
    )


def change(part: Part) -> Markup:
    """What stands on the left only, beside what stands on the right only."""
    left, right = marks(part)
    return Markup("<div class=change>{}{}</div>").format(pre("left", part.left, left), pre("right", part.right, right))


def pre(side: str, shown: Sequence[Line], marked: set[tuple[int, int]] | None = None) -> Markup:
    """Lines of one side; nothing where there are none."""
    if not shown:
        return Markup("") if side == "common" else Markup("<div class={}></div>").format(side)
    tag = {"common": "code", "left": "del", "right": "ins"}[side]
    content = code.html(shown, marked or set())
    return Markup("<pre class={side}><{tag}>{content}</{tag}></pre>").format(
        side=side, tag=Markup(tag), content=content
    )


def marks(part: Part) -> tuple[set[tuple[int, int]], set[tuple[int, int]]]:
    """The tokens on the left and on the right that the other side lacks, by line and place; none if nearly all are."""
    sides = [list(tokens(side)) for side in (part.left, part.right)]
    left, right = ([text for _, text in side] for side in sides)
    matcher = SequenceMatcher(None, left, right, autojunk=False)
    if matcher.ratio() < LEAST_ALIKE:
        return set(), set()
    lacking: tuple[set[tuple[int, int]], set[tuple[int, int]]] = set(), set()
    for tag, a, b, c, d in matcher.get_opcodes():
        if tag != "equal":
            lacking[0].update(place for place, _ in sides[0][a:b])
            lacking[1].update(place for place, _ in sides[1][c:d])
    return lacking


def tokens(shown: Sequence[Line]) -> Iterator[tuple[tuple[int, int], str]]:
    """The tokens that are not blank, each with the numbers of its line and of its own in it."""
    for i, line in enumerate(shown):
        yield from (((i, j), token.text) for j, token in enumerate(line) if token.text.strip())
