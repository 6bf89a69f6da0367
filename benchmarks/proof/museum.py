"""Which check notices which mistake: the table of the museum.

    python -m benchmarks.museum

runs every mistake through every problem of the checker and through the two tests that people trust, on the bundled
digits, and writes results/mistakes.md.
"""

import sys
from collections.abc import Iterable

import torch

import implementations
from benchmarks.runs import saved
from benchmarks.show import table
from implementations import mistakes
from reference import datasets, equivalence, naive
from reference.datasets import Dataset
from reference.equivalence import Case, Finding
from reference.naive import Scores
from reference.problem import Problem, initial_parameters

ROWS, EPOCHS = 10_000, 2  # what the two tests look at
PAGE = saved.RESULTS / "mistakes.md"


def page() -> str:
    """The Markdown page."""
    data = datasets.load("digits")
    cases = equivalence.cases(data.x_train, data.y_train, datasets.CLASSES)
    problem = Problem(
        data.x_train[:ROWS],
        data.y_train[:ROWS],
        *initial_parameters(data.x_train.shape[1], datasets.CLASSES),
        epochs=EPOCHS,
    )
    before = naive.scores(data.x_valid, data.y_valid, problem.weight, problem.bias)
    reference = scores_after("manual_inplace", problem, data)
    numbers = [str(i) for i in range(1, len(cases) + 1)]
    cells, counts = [], {"loss fell": 0, "accuracy": 0, "checker": 0}
    for name in mistakes.names():
        noticed = [bool(finding.complaint) for finding in findings(name, cases)]
        after = scores_if_any(name, problem, data)
        loss = after is None or not naive.loss_fell(before, after)
        accuracy = after is None or not naive.accuracy_is_close(after, reference)
        counts["loss fell"] += loss
        counts["accuracy"] += accuracy
        counts["checker"] += any(noticed)
        first = cases[noticed.index(True)].name if any(noticed) else "NOT NOTICED"
        marks = [mark(each) for each in (loss, accuracy, *noticed)]
        cells.append([f"`{name.removeprefix('mistakes.')}`", first, *score_cells(after), *marks])
    total = len(cells)
    return "\n\n".join(
        [
            "# Which check notices which mistake",
            f'Of {total} mistakes "the loss fell" notices {counts["loss fell"]}, "accuracy within two points of a '
            f'right trainer" {counts["accuracy"]}, the checker {counts["checker"]}. Written by '
            f"`python -m benchmarks.museum`; the two tests look at {EPOCHS} epochs of {ROWS} rows of {data.name}, an "
            f"error that is raised counts as noticed. Before training: {before}; a right trainer: {reference}. The "
            "checker's problems:",
            "\n".join(f"{number}. {case.name}" for number, case in zip(numbers, cases, strict=True)),
            table.tabulated(
                cells, ["mistake", "first noticed by", "loss", "accuracy", "loss fell", "close", *numbers], left=2
            ),
        ]
    )


def score_cells(scores: Scores | None) -> list[str]:
    """Loss and accuracy as text; blank where training raised."""
    return [f"{scores.loss:.4f}", f"{scores.accuracy:.2%}"] if scores else ["", ""]


def findings(name: str, cases: Iterable[Case]) -> list[Finding]:
    """What each problem says of a mistake."""
    return list(equivalence.findings(implementations.load(name), cases))


def scores_after(name: str, problem: Problem, data: Dataset) -> Scores:
    """The Scores after training. Raises what training raises."""
    with equivalence.unchanged_process_state():
        torch.manual_seed(0)  # some mistakes draw random numbers; the page should be the same every time
        result = equivalence.run(implementations.load(name), problem.to())
    return naive.scores(data.x_valid, data.y_valid, *result)


def scores_if_any(name: str, problem: Problem, data: Dataset) -> Scores | None:
    """The same; None where training raises."""
    try:
        return scores_after(name, problem, data)
    except Exception:
        return None


def mark(noticed: bool) -> str:
    return "x" if noticed else ""


def main() -> None:
    text = page() + "\n"
    PAGE.write_text(text, encoding="utf-8")
    print(text)
    sys.exit("a mistake is not noticed" if "NOT NOTICED" in text else 0)
