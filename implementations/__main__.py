"""Lists the implementations, trains with one and watches, or shows what one changes.

python -m implementations                               all of them: the ways down and up, what is beside them
python -m implementations manual_inplace --epochs 5     train as the tutorial does, epoch by epoch
python -m implementations manual_inplace --diff         what differs from its parent
"""

import argparse
import difflib
import os
import sys
import time
from contextlib import AbstractContextManager, nullcontext

import implementations
from implementations import prose_and_code
from reference import shell

# The ways that a reader goes, and the last rungs of each; the rungs before them are their ancestors.
WAYS = {
    "down to the machine": ("manual_fused_update", "jax_scan", "native_sparse"),
    "down, on a GPU": ("graph_epoch", "cluster_epoch"),
    "up to torch.nn": ("nn_fit",),
}


class Refusal(Exception):
    """What was asked for cannot be done; the message is one line."""


def listing() -> str:
    """All names with parent and first line: the rungs of each way in their order, then what stands beside them."""
    from tabulate import tabulate

    lines = []
    for title, names in sections().items():
        lines.append((title, "", ""))
        lines += [(f"  {name}", implementations.parent(name) or "", implementations.first_line(name)) for name in names]
    # tabulate takes indentation for padding unless it is told to keep it
    return tabulate(lines, ("name", "parent", "what it does"), maxcolwidths=[None, None, 58], preserve_whitespace=True)


def sections() -> dict[str, list[str]]:
    """All names, each once, by the way on which it is a rung; last the others, each where its nearest rung is."""
    names = implementations.names()
    rungs: list[str] = []
    found = {}
    for title, ends in WAYS.items():
        way = dict.fromkeys(name for end in ends for name in ancestry(end))
        found[title] = [name for name in way if name in names and name not in rungs]
        rungs += found[title]

    def place(name: str) -> tuple[int, list[str]]:
        return max((rungs.index(rung) for rung in ancestry(name) if rung in rungs), default=-1), ancestry(name)

    return found | {"beside these": sorted(set(names) - set(rungs), key=place)}


def ancestry(name: str) -> list[str]:
    """The names from the root of the tree down to this one; a parent without a file is left out."""
    line = [name]
    while (parent := implementations.parent(line[0])) in implementations.names() and parent not in line:
        line.insert(0, parent)
    return line


def difference(name: str, colour: bool) -> list[str]:
    """What changed from the parent's file to this one's, as lines: code, then C or CUDA, then prose. Raises Refusal."""
    parent = parent_with_file(name)
    (prose_before, before), (prose, after) = map(prose_and_code, map(implementations.source, (parent, name)))
    lines = [
        *hunks(before, after, f"{parent}.py", f"{name}.py"),
        *c_difference(parent, name),
        *hunks(prose_before, prose, f"{parent}.py: docstring", f"{name}.py: docstring"),
    ]
    return [painted(line) for line in lines] if colour else lines


def parent_with_file(name: str) -> str:
    """The parent's name. Raises Refusal where there is none, or no file of that name."""
    parent = implementations.parent(name)
    if parent is None:
        raise Refusal(f"{name} has no parent to differ from; its docstring has no line: Compare with `NAME`: ...")
    if parent not in implementations.names():
        raise Refusal(f"{name} names {parent} as its parent, and there is no such file")
    return parent


def c_difference(parent: str, name: str) -> list[str]:
    """The same of the C or CUDA files beside the two; one line if only the second has one."""
    before, after = map(implementations.c_source, (parent, name))
    if before and after:
        return hunks(before, after, c_file(parent), c_file(name))
    return [f"+++ {c_file(name)}: new, {implementations.c_lines_of_code(after)} lines of code"] if after else []


def c_file(name: str) -> str:
    """The name of the C or CUDA file beside an implementation that has one."""
    return next(iter(implementations.c_files(name)))


def hunks(before: str, after: str, name_before: str, name_after: str) -> list[str]:
    """The unified diff of two texts as lines. It has no line numbers: those of code would count from its docstring."""
    lines = difflib.unified_diff(before.splitlines(), after.splitlines(), name_before, name_after, lineterm="")
    return ["@@" if line.startswith("@@") else line for line in lines]


def printed_difference(name: str) -> str:
    """The difference as text, in colour on a terminal that wants it. Raises Refusal."""
    return "\n".join(difference(name, colour=sys.stdout.isatty() and "NO_COLOR" not in os.environ))


def painted(line: str) -> str:
    """A line of a diff with the terminal's colour for what it is."""
    codes = {"---": 1, "+++": 1, "@@": 36, "-": 31, "+": 32}
    code = next((code for sign, code in codes.items() if line.startswith(sign)), 0)
    return f"\033[{code}m{line}\033[0m"


def watch(name: str, dataset: str, device: str, epochs: int) -> None:
    """Trains epoch by epoch and prints loss and accuracy on the way. Raises Refusal."""
    import torch
    from tqdm import tqdm

    from reference import accelerator, datasets
    from reference.equivalence import prepared
    from reference.naive import scores
    from reference.problem import Problem, initial_parameters

    if device != "cpu" and not accelerator.sees(device):
        instead = "use --device cpu" if "cpu" in implementations.devices(name) else f"{name} runs nowhere else"
        raise Refusal(f"--device {device}: torch sees no {device.upper()} device here; {instead}")
    if device == "cuda" and (lacks := implementations.too_old(name, torch.cuda.get_device_capability())):
        raise Refusal(f"{name} {lacks}")
    try:
        data = datasets.load(dataset)
    except datasets.DatasetError as error:
        raise Refusal(error) from None
    parameters = initial_parameters(data.x_train.shape[1], datasets.CLASSES)
    problem = Problem(data.x_train, data.y_train, *parameters).to(device)
    valid = data.x_valid.to(device), data.y_valid.to(device)
    print(f"{data.name}: {data.origin}; {len(problem.x)} rows to train on, {len(valid[0])} to validate")
    batch = problem.first_rows(problem.batch_size)
    print(f"first batch, before training: {scores(batch.x, batch.y, batch.weight, batch.bias)}")
    weight, bias = problem.weight, problem.bias
    module = implementations.load(name)
    inputs = prepared(module, problem)
    # no bar where nobody watches it: disable=None looks for a terminal
    for epoch in tqdm(range(1, epochs + 1), unit="epoch", leave=False, disable=None):
        begin = time.perf_counter()
        weight, bias = module.train(*inputs, weight, bias, problem.batch_size, problem.lr, 1)
        if device != "cpu":
            torch.accelerator.synchronize()
        seconds = time.perf_counter() - begin
        tqdm.write(f"validation, after epoch {epoch}: {scores(*valid, weight, bias)}, trained in {seconds:.3f} s")


def check_name(name: str) -> None:
    """Raises Refusal unless there is such an implementation."""
    if name.startswith("mistakes."):
        raise Refusal(
            f"{name} is wrong on purpose: python -m implementations.mistakes {name.removeprefix('mistakes.')}"
        )
    if name not in implementations.names():
        raise Refusal(f"no implementation {name!r}; there are {', '.join(implementations.names())}")


def check(name: str, device: str) -> None:
    """Raises Refusal unless the implementation can run here on that device."""
    if complaint := implementations.misdeclared(name):
        raise Refusal(f"{name}: {complaint}")
    if device not in implementations.devices(name):
        runs_on = implementations.devices(name)
        raise Refusal(f"{name} runs on {', '.join(runs_on)} only, not on {device}; use --device {runs_on[0]}")
    if packages := implementations.missing_packages(name, device):
        raise Refusal(f"{name} needs {', '.join(packages)}: pip install {' '.join(packages)}")
    if programs := implementations.missing_programs(name):
        raise Refusal(f"{name} needs the program {', '.join(programs)}: install it with your system's packages")


def check_processes(name: str, started: int, command: str) -> None:
    """Raises Refusal if the implementation needs more processes than one, and this is none that torchrun has started.

    started: how many torchrun is to start.  command: the module and its arguments.
    """
    if implementations.processes(name) > 1 and "TORCHELASTIC_RUN_ID" not in os.environ:
        torchrun = f"torchrun --standalone --nproc-per-node {started} -m {command}"
        raise Refusal(f"{name} trains in several processes: {torchrun}")


def process_group(name: str, device: str) -> AbstractContextManager[object]:
    """For the time of a block the ranks that train together, of which the first prints; nothing where one trains.

    They share the cores, where torchrun has given each of them one because nobody else has said how many.
    """
    if implementations.processes(name) == 1:
        return nullcontext()
    import torch

    from reference import ranks

    if os.environ.get("OMP_NUM_THREADS", "1") == "1":
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        torch.set_num_threads(max(1, cores // int(os.environ["LOCAL_WORLD_SIZE"])))
    return ranks.process_group(device)


def count(text: str) -> int:
    """The whole number of at least 1 that the text holds. Raises argparse.ArgumentTypeError."""
    if not text.isascii() or not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r}: expected a whole number of at least 1")
    return int(text)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m implementations", description="List, train and compare.")
    parser.add_argument("name", nargs="?", metavar="NAME", help="an implementation; without it, all are listed")
    parser.add_argument("--epochs", type=count, default=2, help="passes over all rows (2)")
    parser.add_argument("--dataset", default="auto", help="auto (mnist, else digits), mnist, digits or FILE.npz")
    parser.add_argument("--device", default="cpu", choices=implementations.DEVICE_TYPES, help="where to train (cpu)")
    parser.add_argument("--diff", action="store_true", help="show what changed against its parent")
    arguments = parser.parse_args()
    name = arguments.name
    try:
        if name is None:
            if arguments.diff:
                raise Refusal("--diff needs a name")
            print(listing())
            return
        check_name(name)
        if arguments.diff:
            print(printed_difference(name))
            return
        check(name, arguments.device)
        check_processes(name, implementations.processes(name), f"implementations {name}")
        with process_group(name, arguments.device):
            watch(name, arguments.dataset, arguments.device, arguments.epochs)
    except Refusal as refusal:
        sys.exit(f"error: {refusal}")
    except NotImplementedError as lacking:  # what only the machine could tell
        sys.exit(f"error: {name} cannot run here: {lacking}")


if __name__ == "__main__":
    shell.run(main)
