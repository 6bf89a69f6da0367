"""Lists the mistakes, or shows one beside its right sibling.

python -m implementations.mistakes                       all of them, with what they teach
python -m implementations.mistakes zero_grad_forgotten   loss and accuracy of both, and what the checker says
"""

import argparse
import sys
from typing import TYPE_CHECKING

import implementations
from implementations import mistakes
from implementations.__main__ import (
    Refusal,
    check_processes,
    count,
    parent_with_file,
    printed_difference,
    process_group,
)
from reference import shell

if TYPE_CHECKING:
    from reference.datasets import Dataset
    from reference.problem import Problem


def listing() -> str:
    """All names with what they teach."""
    from tabulate import tabulate

    lines = [(name.removeprefix("mistakes."), implementations.first_line(name)) for name in mistakes.names()]
    return tabulate(lines, ("name", "the mistake"), maxcolwidths=[None, 84])


def show(name: str, dataset: str, epochs: int) -> None:
    """Prints what the file says, trains it and its sibling, and prints what the checker says. Raises Refusal."""
    from tabulate import tabulate

    from reference import datasets, equivalence, naive, ranks
    from reference.problem import Problem, initial_parameters

    try:
        data = datasets.load(dataset)
        cases = equivalence.cases(data.x_train, data.y_train, datasets.CLASSES)
    except (datasets.DatasetError, equivalence.Unjudgeable) as error:
        raise Refusal(error) from None
    sibling = parent_with_file(name)
    print(implementations.docstring(name) + "\n")
    problem = Problem(data.x_train, data.y_train, *initial_parameters(data.x_train.shape[1], datasets.CLASSES))
    lines = [(0, *[str(naive.scores(data.x_valid, data.y_valid, problem.weight, problem.bias))] * 2)]
    for epoch in range(1, epochs + 1):
        both = [outcome(each, problem._replace(epochs=epoch), data) for each in (sibling, name)]
        lines.append((epoch, *both))
    print(f"{data.name}: {data.origin}; on {len(data.x_valid)} validation rows\n")
    print(tabulate(lines, ("epochs", sibling, name), disable_numparse=True) + "\n")
    trainer = ranks.trainer(implementations.load(name), implementations.processes(name))
    findings = list(equivalence.findings_of(trainer, cases))
    complaints = [(finding.case, finding.complaint) for finding in findings if finding.complaint]
    print(f"the checker: {len(complaints)} of {len(findings)} problems notice it")
    told = set()
    for case, complaint in complaints:
        reason = complaint.rpartition(": ")[2]
        if reason not in told:
            print(f"* {case}: {complaint}")
        told.add(reason)


def outcome(name: str, problem: "Problem", data: "Dataset") -> str:
    """The scores after training, or what was raised, as text."""
    from reference import equivalence, naive

    with equivalence.unchanged_process_state():
        try:
            result = equivalence.run(implementations.load(name), problem.to())
        except Exception as raised:
            return f"{type(raised).__name__}"
    return str(naive.scores(data.x_valid, data.y_valid, *result))


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m implementations.mistakes", description="Wrong trainers, explained."
    )
    parser.add_argument("name", nargs="?", metavar="NAME", help="a mistake; without it, all are listed")
    parser.add_argument("--epochs", type=count, default=2, help="passes over all rows (2)")
    parser.add_argument("--dataset", default="auto", help="auto (mnist, else digits), mnist, digits or FILE.npz")
    parser.add_argument("--diff", action="store_true", help="show the mistake: what changed against the right sibling")
    arguments = parser.parse_args()
    try:
        if arguments.name is None:
            if arguments.diff:
                raise Refusal("--diff needs a name")
            print(listing())
            return
        name = f"mistakes.{arguments.name.removeprefix('mistakes.')}"
        if name not in mistakes.names():
            known = ", ".join(each.removeprefix("mistakes.") for each in mistakes.names())
            raise Refusal(f"no mistake {arguments.name!r}; there are {known}")
        if arguments.diff:
            print(printed_difference(name))
            return
        from reference.ranks import UNEVEN

        check_processes(name, UNEVEN, f"implementations.{name.replace('.', ' ')}")
        with process_group(name, "cpu"):
            show(name, arguments.dataset, arguments.epochs)
    except Refusal as refusal:
        sys.exit(f"error: {refusal}")


if __name__ == "__main__":
    shell.run(main)
