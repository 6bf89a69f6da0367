"""What the page shows of the museum: each mistake with what it looks like, and the puzzle. No torch."""

import hashlib
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from markupsafe import Markup

import implementations
from benchmarks.runs import museum
from benchmarks.runs.museum import Mistake, Museum
from benchmarks.show import charts, code, forked, ladder, lessons
from benchmarks.show.charts import Axes
from benchmarks.show.forked import Part
from benchmarks.show.lessons import Lesson
from implementations import mistakes, prose_and_code

OTHER_TRAINERS = ("shuffled", "shuffled_from_epoch_two", "dataloader_shuffles")  # good ones, that are not this one
PUZZLES = 4
MOST_CHANGED = 2  # lines on a side of a puzzle
AROUND = 2  # lines above and below them


@dataclass(frozen=True)
class Exhibit:
    """A mistake. lesson: its file; None where that is gone.  points, sibling_points: its losses and the right ones."""

    mistake: Mistake
    lesson: Lesson | None
    has_changed: bool
    points: str
    sibling_points: str

    @property
    def is_another_trainer(self) -> bool:
        """Whether it is no mistake but for being another trainer than all others."""
        return self.mistake.name in OTHER_TRAINERS


@dataclass(frozen=True)
class Puzzle:
    """The same place in a right file and in a wrong one, in an order that says nothing. wrong: "A" or "B"."""

    name: str
    idea: str
    sides: tuple[Markup, Markup]
    wrong: str


def load(path: Path) -> Museum | None:
    """The museum of a file; None where there is none. Raises saved.RunError."""
    return museum.load(path) if path.exists() else None


def exhibits(found: Museum) -> list[Exhibit]:
    """All mistakes."""
    return [exhibit(mistake, found) for mistake in found.mistakes]


def exhibit(mistake: Mistake, found: Museum) -> Exhibit:
    """One of them."""
    name = f"mistakes.{mistake.name}"
    now = ladder.sha256(name)
    axes = loss_axes(found)
    return Exhibit(
        mistake=mistake,
        lesson=lessons.lesson(name, 0, children=()) if name in mistakes.names() else None,
        has_changed=now not in (None, mistake.source_sha256),
        points=axes.points(mistake.losses),
        sibling_points=axes.points(mistake.sibling_losses),
    )


def loss_axes(found: Museum) -> Axes:
    """Where losses are drawn: up to half as much again as before training."""
    return Axes(found.batches, 0, 1.5 * found.before.loss)


def puzzles(found: Museum) -> list[Puzzle]:
    """The mistakes of few lines that neither loss nor accuracy shows, the hardest to notice first."""
    quiet = [
        mistake
        for mistake in found.mistakes
        if not any(mistake.notices.values()) and mistake.name not in OTHER_TRAINERS
    ]
    by_problems = sorted(quiet, key=lambda mistake: (len(mistake.problems), mistake.name))
    return list(itertools.islice((puzzle for mistake in by_problems for puzzle in puzzle_of(mistake)), PUZZLES))


def puzzle_of(mistake: Mistake) -> Iterator[Puzzle]:
    """Its Puzzle, if it changes a few lines in one place."""
    name = f"mistakes.{mistake.name}"
    if name not in mistakes.names() or mistake.sibling not in implementations.names():
        return
    before, after = (
        code.lines(prose_and_code(implementations.source(each))[1].rstrip(), "python")
        for each in (mistake.sibling, name)
    )
    parts = forked.parts(before, after)
    changes = [i for i, part in enumerate(parts) if not part.is_common]
    if len(changes) != 1 or not 0 < min(map(len, sides(parts[changes[0]]))) <= MOST_CHANGED:
        return
    right, wrong = (forked.pre("common", code.dedented(side)) for side in around(parts, changes[0]))
    wrong_first = int(hashlib.sha256(name.encode()).hexdigest(), 16) % 2 == 0
    yield Puzzle(
        mistake.name,
        mistake.idea,
        (wrong, right) if wrong_first else (right, wrong),
        "A" if wrong_first else "B",
    )


def around(parts: Sequence[Part], i: int) -> Iterator[list[code.Line]]:
    """The lines of the i-th part with those around them: first of the left, then of the right file."""
    for side in (0, 1):
        above = [line for part in parts[:i] for line in sides(part)[side]][-AROUND:]
        below = [line for part in parts[i + 1 :] for line in sides(part)[side]][:AROUND]
        yield [*above, *sides(parts[i])[side], *below]


def sides(part: Part) -> tuple[Sequence[code.Line], Sequence[code.Line]]:
    """Left and right."""
    return part.left, part.right


@dataclass(frozen=True)
class Distances:
    """How far from the truth every implementation is after so many batches. lines: by name a polyline."""

    axes: Axes
    lines: dict[str, str]
    low: float
    high: float


def distances(found: Museum) -> Distances:
    """Of the museum; nothing is drawn before the first batch, where there is no distance."""
    values = [value for errors in found.distances.values() for value in errors[1:]]
    low, high = min(values, default=1), max(values, default=1)
    axes = Axes(found.batches[1:], min(0.1, low or 0.1), max(2 * found.limit, high), is_log=True)
    return Distances(axes, {name: axes.points(errors[1:]) for name, errors in found.distances.items()}, low, high)


def templates(found: Museum) -> list[str]:
    """An image of each class."""
    return [charts.template(weights) for weights in found.templates]
