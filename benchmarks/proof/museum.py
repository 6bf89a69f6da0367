"""The museum: which check notices which mistake, and what wrong and right trainers do on the way.

    python -m benchmarks.museum

runs every mistake through every problem of the checker and through the two tests that people trust, on the bundled
digits, trains all there is on more and more batches, and writes results/mistakes.md and results/mistakes.json. What
trains in several processes does so in three; losses and scores are then of the parameters that the first ends with.
"""

import importlib
import platform
import sys
from collections.abc import Iterable
from functools import cache
from typing import NamedTuple

import torch
from torch import Tensor

import implementations
from benchmarks.measure import contest
from benchmarks.measure.lacking import lacking
from benchmarks.proof.ranks import RankError, on_ranks
from benchmarks.runs import museum, saved, sources
from benchmarks.runs.museum import Image, Mistake, Museum
from benchmarks.runs.saved import RunError
from benchmarks.show import table
from implementations import mistakes
from reference import datasets, equivalence, naive, torch_nn
from reference.datasets import Dataset
from reference.equivalence import Case
from reference.naive import Scores
from reference.problem import Parameters, Problem, initial_parameters
from reference.ranks import UNEVEN, trainer

ROWS, EPOCHS = 10_000, 2  # what the two tests look at
BATCHES = (0, 1, 3, 8, 20, 50, 100, 157)  # after which losses and distances are taken
BATCH_SIZES = (16, 64, 256, 1024, 50_000)  # those of the published run on how time grows
IMAGES = 12
DEVICE = "cpu"
PAGE = saved.RESULTS / "mistakes.md"


# --- what is found out --------------------------------------------------------------------------------------


def found_out(data: Dataset) -> Museum:
    """The Museum of these data."""
    problem = all_rows(data)
    cases = equivalence.cases(data.x_train, data.y_train, datasets.CLASSES)
    alone = trained_here(data, cases, *in_processes(1))
    names = in_processes(UNEVEN)
    several = on_ranks(UNEVEN, trained_here, data, cases, *names) if any(names) else Trained([], {}, {})
    weight, bias = torch_nn.train(*problem)
    return Museum(
        dataset=data.name,
        dataset_sha256=data.sha256,
        checker_sha256=contest.checker_sha256(),
        system=platform.system(),
        python=platform.python_version(),
        torch=torch.__version__,
        device_name=contest.cpu_name(),
        batches=BATCHES,
        problems=tuple(case.name for case in cases),
        limit=equivalence.LIMIT,
        before=museum.Scores(**before_training(data)._asdict()),
        mistakes=tuple(sorted((*alone.mistakes, *several.mistakes), key=lambda mistake: mistake.name)),
        distances=alone.distances | several.distances,
        without=alone.without | several.without,
        epoch_losses={str(size): epoch_loss(problem._replace(batch_size=size), data) for size in BATCH_SIZES},
        templates=templates(weight),
        validation=images(data, weight, bias),
    )


class Trained(NamedTuple):
    """What is found out by training what runs in so many processes; the fields are those of a Museum."""

    mistakes: list[Mistake]
    distances: dict[str, tuple[float, ...]]
    without: dict[str, str]


def in_processes(count: int) -> tuple[list[str], list[str]]:
    """The names of the mistakes and of the implementations that train in one process, or else in several."""
    names = mistakes.names(), implementations.names()
    both = [[name for name in each if (implementations.processes(name) > 1) == (count > 1)] for each in names]
    return both[0], both[1]


def trained_here(data: Dataset, cases: list[Case], wrong: list[str], right: list[str]) -> Trained:
    """What is found out about these mistakes and implementations, in this process or in the ranks it belongs to."""
    return Trained([mistake(name, cases, data) for name in wrong], *distances_and_reasons(all_rows(data), right))


def all_rows(data: Dataset) -> Problem:
    """The problem that is timed: one epoch of all rows, from the tutorial's start."""
    return Problem(data.x_train, data.y_train, *initial_parameters(data.x_train.shape[1], datasets.CLASSES))


def of_the_tests(data: Dataset) -> Problem:
    """The problem that the two tests look at."""
    return all_rows(data).first_rows(ROWS)._replace(epochs=EPOCHS)


def mistake(name: str, cases: Iterable[Case], data: Dataset) -> Mistake:
    """The Mistake of this name, checked by these cases."""
    own = trainer(implementations.load(name), implementations.processes(name))
    findings = list(equivalence.findings_of(own, cases))
    after, raised = scores_or_message(name, of_the_tests(data), data)
    losses, messages = losses_and_messages(name, data)
    sibling = implementations.parent(name) or ""
    return Mistake(
        name=name.removeprefix("mistakes."),
        sibling=sibling,
        source_sha256=sources.sha256(name),
        idea=implementations.first_line(name),
        loss=after and after.loss,
        accuracy=after and after.accuracy,
        notices={
            "loss fell": after is None or not naive.loss_fell(before_training(data), after),
            "accuracy": after is None or not naive.accuracy_is_close(after, of_a_right_trainer(data)),
        },
        problems=tuple(number for number, finding in enumerate(findings) if finding.complaint),
        losses=losses,
        raised=next((message for message in (raised, *messages) if message), None),
        sibling_losses=losses_and_messages(sibling, data)[0],
    )


@cache
def before_training(data: Dataset) -> Scores:
    """The Scores of the start."""
    problem = all_rows(data)
    return naive.scores(data.x_valid, data.y_valid, problem.weight, problem.bias)


@cache
def of_a_right_trainer(data: Dataset) -> Scores:
    """The Scores that the two tests compare with."""
    return naive.scores(data.x_valid, data.y_valid, *trained("manual_inplace", of_the_tests(data)))


@cache
def losses_and_messages(name: str, data: Dataset) -> tuple[tuple[float | None, ...], tuple[str | None, ...]]:
    """The loss after each of BATCHES, trained anew each time, and what was raised in its place: one of the two.

    Called batch by batch, a trainer that forgets to zero its gradients would look right.
    """
    problem = all_rows(data)
    parts = [problem.first_rows(count * problem.batch_size) for count in BATCHES if count]
    found = [scores_or_message(name, part, data) for part in parts]
    losses = [before_training(data).loss, *(after and after.loss for after, _ in found)]
    return tuple(loss and rounded(loss, 6) for loss in losses), tuple(message for _, message in found)


def scores_or_message(name: str, problem: Problem, data: Dataset) -> tuple[Scores | None, str | None]:
    """The Scores after training, or what training raises, in one line: one of the two."""
    try:
        return naive.scores(data.x_valid, data.y_valid, *trained(name, problem)), None
    except Exception as raised:
        return None, equivalence.described(raised)


def trained(name: str, problem: Problem) -> Parameters:
    """The parameters after training. Raises what training raises.

    Its file is imported anew, as some mistakes remember, and random states begin anew, as some draw: whatever was asked
    before, the museum is the same every time.
    """
    with equivalence.unchanged_process_state():
        equivalence.seed_everything(0)
        return equivalence.run(importlib.reload(implementations.load(name)), problem.to())


def distances_and_reasons(
    problem: Problem, names: Iterable[str]
) -> tuple[dict[str, tuple[float, ...]], dict[str, str]]:
    """Of implementations the errors after each of BATCHES, in float32 noise; of those that cannot run here, why."""
    parts = [problem.first_rows(count * problem.batch_size) for count in BATCHES if count]
    cases = [equivalence.solved(f"{len(part.x)} rows", part) for part in parts]
    distances, without = {}, {}
    for name in names:
        if reason := lacks(name):
            without[name] = reason
            continue
        try:
            distances[name] = (0.0, *(distance(name, case) for case in cases))
        except Exception as raised:
            without[name] = lacking(raised) or f"raised {equivalence.described(raised)}"
    return distances, without


def lacks(name: str) -> str:
    """Why an implementation cannot run here, in words; "" if it can."""
    if DEVICE not in (devices := implementations.devices(name)):
        return f"runs on {', '.join(devices)} only"
    return implementations.lacks(name, DEVICE)


def distance(name: str, case: Case) -> float:
    """The error of an implementation, in float32 noise. Raises what training raises."""
    with equivalence.unchanged_process_state():
        return rounded(equivalence.error(case, equivalence.run(implementations.load(name), case.problem.to())), 4)


def epoch_loss(problem: Problem, data: Dataset) -> float:
    """The loss of the reference after a problem's epochs."""
    return rounded(naive.scores(data.x_valid, data.y_valid, *torch_nn.train(*problem)).loss, 6)


def templates(weight: Tensor) -> tuple[tuple[tuple[float, ...], ...], ...]:
    """The weights (features, classes) as a picture for each class."""
    pictures = weight.T.reshape(-1, museum.SIDE, museum.SIDE).tolist()
    return tuple(tuple(tuple(round(value, 4) + 0.0 for value in line) for line in picture) for picture in pictures)


def images(data: Dataset, weight: Tensor, bias: Tensor) -> tuple[Image, ...]:
    """The first validation rows, with what these parameters take them for."""
    rows = data.x_valid[:IMAGES]
    predicted = (rows @ weight + bias).argmax(dim=1)
    pixels = (rows * 256).clamp(0, 255).byte().numpy()
    return tuple(
        Image(pixels=row.tobytes().hex(), label=int(label), predicted=int(guess))
        for row, label, guess in zip(pixels, data.y_valid[:IMAGES], predicted, strict=True)
    )


def rounded(value: float, digits: int) -> float:
    """A number of so many digits, NaN and infinity as they are."""
    return float(f"{value:.{digits}g}")


# --- the page -----------------------------------------------------------------------------------------------


def page(found: Museum, right: Scores) -> str:
    """The Markdown page. right: the scores that the two tests compare with."""
    total, before = len(found.mistakes), Scores(found.before.loss, found.before.accuracy)
    counts = found.noticed
    numbers = [str(i) for i in range(1, len(found.problems) + 1)]
    return "\n\n".join(
        [
            "# Which check notices which mistake",
            f'Of {total} mistakes "the loss fell" notices {counts["loss fell"]}, "accuracy within two points of a '
            f'right trainer" {counts["accuracy"]}, the checker {counts["checker"]}. Written by '
            f"`python -m benchmarks.museum`; the two tests look at {EPOCHS} epochs of {ROWS} rows of {found.dataset}, "
            f"an error that is raised counts as noticed. Before training: {before}; a right trainer: {right}. The "
            "checker's problems:",
            "\n".join(f"{number}. {name}" for number, name in zip(numbers, found.problems, strict=True)),
            table.tabulated(
                [cells(each, found.problems) for each in found.mistakes],
                ["mistake", "first noticed by", "loss", "accuracy", "loss fell", "close", *numbers],
                left=2,
            ),
        ]
    )


def cells(mistake: Mistake, problems: tuple[str, ...]) -> list[str]:
    """A line of the table; loss and accuracy are blank where training raised."""
    first = problems[mistake.problems[0]] if mistake.problems else "NOT NOTICED"
    scores = ["", ""]
    if mistake.loss is not None and mistake.accuracy is not None:
        scores = [f"{mistake.loss:.4f}", f"{mistake.accuracy:.2%}"]
    noticed = [*mistake.notices.values(), *(number in mistake.problems for number in range(len(problems)))]
    return [f"`{mistake.name}`", first, *scores, *("x" if each else "" for each in noticed)]


def main() -> None:
    data = datasets.load("digits")
    try:
        found = found_out(data)
    except (RankError, RunError) as error:
        sys.exit(f"error: {error}")
    text = page(found, of_a_right_trainer(data)) + "\n"
    try:
        saved.replace(PAGE, text)
        museum.write(found, museum.PATH)
    except OSError as error:
        sys.exit(f"error: cannot write {error.filename}: {error.strerror}")
    print(text)
    unnoticed = [each.name for each in found.mistakes if not each.problems]
    if unnoticed:
        names = ", ".join(unnoticed)
        sys.exit(f"error: the checker does not notice {names}: add a problem that does to reference/equivalence.py")
