"""The museum and its file, results/mistakes.json: what wrong trainers do beside right ones. Needs no torch, no numpy.

The file holds the fields of a Museum under their names, lists in place of tuples, and "nan" and "inf" for the numbers
that JSON does not have. A Museum checks itself when it is made, so also when it is read.
"""

import math
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from types import UnionType
from typing import Any, get_args, get_origin, get_type_hints

from benchmarks.runs import saved
from benchmarks.runs.row import NAME, is_a
from benchmarks.runs.saved import RunError

PATH = saved.RESULTS / "mistakes.json"
FORMAT = 1
SIDE = 28  # of an image, in pixels
REMEDY = "make it anew: python -m benchmarks.museum"
NUMBERS = ("nan", "inf", "-inf")  # that JSON does not have
TESTS = ("loss fell", "accuracy")  # that people trust


@dataclass(frozen=True, kw_only=True)
class Scores:
    """The mean loss, in nats, and the accuracy, 0 to 1, on the validation rows."""

    loss: float
    accuracy: float


@dataclass(frozen=True, kw_only=True)
class Mistake:
    """One mistake beside its sibling, the right trainer that it is compared with.

    source_sha256, idea: of its file, and the first line of its docstring.
    loss, accuracy: after what the two tests look at; a loss may be NaN or infinite.  notices: whether "loss fell" and
    "accuracy" notice the mistake; an error that is raised counts.  problems: those of the checker's that notice it, as
    indices of the Museum's.
    losses, sibling_losses: after each of the Museum's batches, each time trained anew on so many.
    raised: what the first training that failed has raised.  Where training raises there is no number but None.
    """

    name: str
    sibling: str
    source_sha256: str
    idea: str
    loss: float | None
    accuracy: float | None
    notices: Mapping[str, bool]
    problems: tuple[int, ...]
    losses: tuple[float | None, ...]
    raised: str | None
    sibling_losses: tuple[float | None, ...]


@dataclass(frozen=True, kw_only=True)
class Image:
    """A validation row. pixels: 28 x 28 bytes in hexadecimal, line by line, 00 is background.  predicted: a class."""

    pixels: str
    label: int
    predicted: int


@dataclass(frozen=True, kw_only=True)
class Museum:
    """What `python -m benchmarks.museum` finds out. Raises RunError when it is made of what does not fit together.

    batches: after how many full batches losses and distances are taken; 0 is before training.  problems: the checker's,
    by name.  limit: the error that the checker allows, in float32 noise.  before: the scores of the start.
    distances: of each implementation that can run here the error after each of `batches`, in float32 noise; 0 at first.
    without: the other implementations, each with the reason.
    epoch_losses: of the reference after an epoch of all rows, by batch size: what a large batch costs beside its time.
    templates: the weights of the reference, trained for an epoch on all rows: a picture of 28 x 28 for each class.
    validation: the first validation rows with what these weights and their bias take them for.
    """

    dataset: str
    dataset_sha256: str
    checker_sha256: str
    system: str
    python: str
    torch: str
    device_name: str
    batches: tuple[int, ...]
    problems: tuple[str, ...]
    limit: float
    before: Scores
    mistakes: tuple[Mistake, ...]
    distances: Mapping[str, tuple[float, ...]]
    without: Mapping[str, str]
    epoch_losses: Mapping[str, float]
    templates: tuple[tuple[tuple[float, ...], ...], ...]
    validation: tuple[Image, ...]

    @property
    def noticed(self) -> dict[str, int]:
        """How many of the mistakes each of TESTS and the checker notice."""
        counts = {test: sum(mistake.notices[test] for mistake in self.mistakes) for test in TESTS}
        return counts | {"checker": sum(bool(mistake.problems) for mistake in self.mistakes)}

    def __post_init__(self) -> None:
        check_lists(self)
        for mistake in self.mistakes:
            check_mistake(mistake, self)
        check_pictures(self)


def load(path: str | Path = PATH) -> Museum:
    """The Museum of a file. Raises RunError, which names the file, what is wrong there, and what to do."""
    try:
        content = saved.content(path)
        if not isinstance(content, dict) or "format" not in content:
            raise RunError(f"{path}: no museum; expected what `python -m benchmarks.museum` saves")
        if content["format"] != FORMAT:
            raise RunError(f"{path}: saved in format {str(content['format'])[:20]!r}, this suite reads {FORMAT}")
        return decoded(Museum, {key: value for key, value in content.items() if key != "format"}, f"{path}:")
    except RunError as error:
        raise RunError(f"{error}; {REMEDY}") from None


def write(museum: Museum, path: str | Path = PATH) -> None:
    """Saves it: who reads meanwhile sees the old file or the new one, whole. Raises OSError."""
    saved.write(path, {"format": FORMAT} | encoded(museum))


# --- the file -----------------------------------------------------------------------------------------------


def encoded(value: Any) -> Any:
    """A value of a Museum, or all of it, as JSON has it."""
    if is_dataclass(value):
        return {field.name: encoded(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Mapping):
        return {key: encoded(each) for key, each in value.items()}
    if isinstance(value, tuple):
        return [encoded(each) for each in value]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def decoded(kind: Any, value: Any, place: str) -> Any:
    """The value of this type that `encoded` made `value` of. place: what to call it. Raises RunError."""
    arguments = get_args(kind)
    if isinstance(kind, type) and is_dataclass(kind):
        hints = get_type_hints(kind)
        expect(isinstance(value, dict) and value.keys() == hints.keys(), place, value, f"the keys {', '.join(hints)}")
        parts = {name: decoded(hint, value[name], f"{place} {name}") for name, hint in hints.items()}
        try:
            return kind(**parts)
        except RunError as error:
            raise RunError(f"{place} {error}") from None
    if isinstance(kind, UnionType):  # of a type and None
        return None if value is None else decoded(arguments[0], value, place)
    if get_origin(kind) is tuple:
        expect(isinstance(value, list), place, value, "a list")
        return tuple(decoded(arguments[0], each, f"{place} {number}") for number, each in enumerate(value, 1))
    if get_origin(kind) is Mapping:
        expect(isinstance(value, dict), place, value, "names with a value each")
        return {key: decoded(arguments[1], each, f"{place} {key[:40]!a}") for key, each in value.items()}
    if kind is float and value in NUMBERS:
        return float(value)
    words = {float: "a number", int: "a whole number", bool: "true or false", str: "a line of printable letters"}
    expect(is_a(value, kind) and is_shown(value), place, value, words[kind])
    return value


def is_shown(value: str | float) -> bool:
    """Whether a text is one line of printable letters, or a number one that a float can be, and finite."""
    return value.isprintable() if isinstance(value, str) else abs(value) <= sys.float_info.max


# --- what fits together -------------------------------------------------------------------------------------


def expect(right: bool, place: str, found: object, expected: str) -> None:
    """Raises RunError unless it is right; the message is one line."""
    if not right:
        raise RunError(f"{place} is {ascii(found)[:42]}; expected {expected}")


def check_lists(museum: Museum) -> None:
    """Raises RunError unless the lists hold what they must, and nothing twice."""
    batches, names = museum.batches, [mistake.name for mistake in museum.mistakes]
    expect(batches[:1] == (0,) and sorted(set(batches)) == [*batches], "batches", batches, "0 and more, rising")
    expect(len(set(museum.problems)) == len(museum.problems) > 0, "problems", museum.problems, "names, none twice")
    loss = museum.before.loss
    expect(0 < loss < math.inf, "before loss", loss, "a finite number above 0")
    expect(len(set(names)) == len(names) > 0, "mistakes", names, "mistakes, none twice")
    for name in (*museum.distances, *museum.without):
        expect(bool(NAME.fullmatch(name)), "the name of an implementation", name, "letters, digits and _")
    both = sorted(museum.distances.keys() & museum.without.keys())
    expect(not both, "without", both, "no name of `distances`")
    for name, errors in museum.distances.items():
        expect(len(errors) == len(batches), f"distances {name}", errors, f"a number for each of {len(batches)} batches")
        expect(errors[0] == 0, f"distances {name} 1", errors[0], "0, as before training")
        expect(all(map(math.isfinite, errors)), f"distances {name}", errors, "finite numbers")
    for size, loss in museum.epoch_losses.items():
        expect(bool(re.fullmatch(r"[1-9]\d*", size)), "a batch size", size, "a whole number of at least 1")
        expect(math.isfinite(loss), f"epoch_losses {size}", loss, "a finite number")


def check_mistake(mistake: Mistake, museum: Museum) -> None:
    """Raises RunError unless what is known of a mistake fits what was asked, and its words fit its numbers."""
    place = f"mistakes {mistake.name[:40]}"
    for field in ("name", "sibling"):
        value = getattr(mistake, field)
        expect(bool(NAME.fullmatch(value)), f"{place} {field}", value, "letters, digits and _")
    numbers = range(len(museum.problems))
    rising = sorted(set(mistake.problems)) == [*mistake.problems] and set(mistake.problems) <= {*numbers}
    expect(rising, f"{place} problems", mistake.problems, f"rising numbers below {len(numbers)}")
    for field in ("losses", "sibling_losses"):
        losses, count = getattr(mistake, field), len(museum.batches)
        expect(len(losses) == count, f"{place} {field}", losses, f"a number for each of {count} batches")
        start = museum.before.loss
        same = losses[0] is not None and math.isclose(losses[0], start, rel_tol=1e-5)
        expect(same, f"{place} {field} 1", losses[0], f"{start:.6g}, as before training")
    expect(None not in mistake.sibling_losses, f"{place} sibling_losses", mistake.sibling_losses, "numbers only")
    failed = None in (mistake.loss, *mistake.losses)
    expect((mistake.raised is not None) == failed, f"{place} raised", mistake.raised, "a message where a loss is null")
    expect((mistake.loss is None) == (mistake.accuracy is None), f"{place} accuracy", mistake.accuracy, "both or none")
    check_notices(mistake, museum.before, place)


def check_notices(mistake: Mistake, before: Scores, place: str) -> None:
    """Raises RunError unless the two tests notice what they must."""
    notices = mistake.notices
    expect(notices.keys() == {*TESTS}, f"{place} notices", [*notices], " and ".join(TESTS))
    seen = mistake.loss is None or not mistake.loss < before.loss
    expect(notices["loss fell"] == seen, f"{place} notices 'loss fell'", notices["loss fell"], f"{seen}, from its loss")
    seen = mistake.accuracy is None or notices["accuracy"]
    expect(notices["accuracy"] == seen, f"{place} notices 'accuracy'", notices["accuracy"], "True, as training raises")


def check_pictures(museum: Museum) -> None:
    """Raises RunError unless templates and validation rows are pictures, of the classes that there are."""
    classes = len(museum.templates)
    for number, template in enumerate(museum.templates, 1):
        square = [len(line) for line in template] == [SIDE] * SIDE
        expect(square, f"templates {number}", f"{len(template)} lines", f"{SIDE} lines of {SIDE} numbers")
        finite = all(math.isfinite(weight) for line in template for weight in line)
        expect(finite, f"templates {number}", template, "finite numbers")
    for number, image in enumerate(museum.validation, 1):
        place, length = f"validation {number}", 2 * SIDE * SIDE
        is_hexadecimal = bool(re.fullmatch(f"[0-9a-f]{{{length}}}", image.pixels))
        expect(is_hexadecimal, f"{place} pixels", image.pixels, f"{length} hexadecimal digits")
        for field in ("label", "predicted"):
            value = getattr(image, field)
            expect(0 <= value < classes, f"{place} {field}", value, f"a class from 0 to {classes - 1}")
