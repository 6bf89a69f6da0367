"""Does the checker notice small changes to right trainers? Each mutant is one change; each must be rejected.

    python -m benchmarks.mutants

changes constants, operators, slices, arguments and names, and leaves out calls and statements, one at a time, in the
functions that training uses, checks every mutant on the bundled digits, and writes results/mutants.md. A mutant that
survives is equal in meaning, and EQUAL says why, or it is a hole in the checker, and the exit status says so.
"""

import ast
import copy
import difflib
import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from types import ModuleType
from typing import NamedTuple

from tqdm import tqdm

import implementations
from benchmarks.runs import saved
from benchmarks.show import table
from reference import datasets, equivalence
from reference.equivalence import Case

NAMES = (
    *("autograd_inplace", "autograd_outofplace", "autograd_stable_loss", "autograd_cross_entropy", "manual_inplace"),
    *("manual_onehot", "manual_transposed", "manual_fused_update", "numpy_loop", "nn_parameter", "nn_optimizer"),
    *("nn_dataset", "functional_grad"),
)
PAGE = saved.RESULTS / "mutants.md"
OPERATORS = {ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult}
FUNCTIONS = (ast.FunctionDef, ast.ClassDef)
TWINS = {"weight": "bias", "bias": "weight", "xb": "yb", "yb": "xb", "x": "y", "y": "x", "len": "sum"}

# Survivors by what the changed line looks like, and why it means the same.
EQUAL = {
    r"range\(0, len\(y\), batch_size\):$": "x and y have as many rows",
    r"(grad /= len\(xb\)|grad\[range\(len\(xb\)\), yb\] -= 1)$": "xb and yb have as many rows",
    r"xb, yb = \(x\[start:\], y\[start:start \+ batch_size\]\)$": "rows without a label do not enter the loss",
    r"\.(sum|amax)\(1\)(\.log\(\))?\.unsqueeze\(-1\)$": "of two axes the one numbered 1 is the last",
    r"\.unsqueeze\(1\)$": "of two axes the one numbered 1 is the last",
    r"range\(target\.shape\[-1\]\), target\]\.mean\(\)$": "of one axis the first is the last",
    r"logits - logits\.amax\(-1\)\.unsqueeze\(-1\)$": "the loss does not depend on the maximum: its gradient cancels",
    r"optim\.SGD\(model\.parameters\(\), lr=lr(, foreach=True)?\)$": "the same update in another number of calls",
    r"one_hot\(y, len\(bias\)\)(\.T)?(\.to\((y\.dtype)?(, )?(memory_format=.*)?\))?$": "subtraction makes them floats",
    r"one_hot\(y, len\(bias\)\)\.T\.to\(x\.dtype\)$": "the same numbers in another order in memory",
    r"weight\.T\.clone\(\), bias": "the same numbers in another order in memory",
    r"one_hot\(y, len\(weight\)\)": "the transposed weight has a row for each class",
    r"skip_init\(nn\.Linear, \*weight\.shape, dtype=x\.dtype\)$": "the CPU is the default",
    r"skip_init\(nn\.Linear, \*weight\.shape, device=y\.device, dtype=x\.dtype\)$": "x and y are on one device",
    r"skip_init\(nn\.Linear, \*weight\.shape, device=x\.device\)$": "float32 is the default; a test runs float64",
    r"\(x\.numpy\(\), y\)$": "NumPy reads a tensor on the CPU as well",
    r"bias\[:, -1\]\)$": "there is one column",
    r"strict=False\)\]$": "both have as many batches",
    r"-> return F\.pad\(rows, \(0, (rows.* % 32|-rows.* % 3[13])\)\)\.unfl": "zeros beside zeros change nothing",
    r"\*buffers\(xb\.shape\[1\]\)\)": "xb and yb have as many rows",
}


class Mutant(NamedTuple):
    """change: the changed lines of source, before and after."""

    name: str
    change: str
    source: str


def mutants(name: str) -> Iterator[Mutant]:
    """All Mutants of an implementation, each source once."""
    tree = ast.parse(implementations.source(name))
    seen = {ast.unparse(tree)}
    used = {node for root in ast.walk(tree) if isinstance(root, FUNCTIONS) for node in ast.walk(root)}
    for number, node in enumerate(ast.walk(tree)):
        if node not in used or isinstance(node, (*FUNCTIONS, ast.arguments, ast.arg)):
            continue
        for replacement in replacements(node):
            changed = copy.deepcopy(tree)
            Replace(list(ast.walk(changed))[number], replacement).visit(changed)
            source = ast.unparse(ast.fix_missing_locations(changed))
            if source not in seen:
                seen.add(source)
                yield Mutant(name, changed_lines(ast.unparse(tree), source), source)


class Replace(ast.NodeTransformer):
    """Puts another node in the place of one."""

    def __init__(self, replaced: ast.AST, replacement: ast.AST) -> None:
        self.replaced, self.replacement = replaced, replacement

    def visit(self, node: ast.AST) -> ast.AST:
        return self.replacement if node is self.replaced else self.generic_visit(node)


def replacements(node: ast.AST) -> Iterator[ast.AST]:
    """What could stand in the place of a node by a slip of the hand."""
    match node:
        case ast.Expr(value=ast.Constant()):
            return  # a docstring
        case ast.Expr() | ast.Assign() | ast.AugAssign():
            yield ast.Pass()
    match node:
        case ast.Constant(value=bool(value)):
            yield ast.Constant(not value)
        case ast.Constant(value=int(value)):
            yield ast.Constant(value + 1)
            yield ast.Constant(value - 1)
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            yield operand
        case ast.BinOp(left, op, right):
            if type(op) in OPERATORS:
                yield ast.BinOp(left, OPERATORS[type(op)](), right)
            yield left
            yield right
        case ast.AugAssign(target, op, value) if type(op) in OPERATORS:
            yield ast.AugAssign(target, OPERATORS[type(op)](), value)
        case ast.Slice(lower, upper):
            yield ast.Slice(None, upper)
            yield ast.Slice(lower, None)
        case ast.Attribute(value=value, attr="T"):
            yield value
        case ast.Call(func=ast.Attribute(value=value), args=arguments, keywords=keywords):
            yield value
            yield from (changed_call(node, keywords=keywords[:i] + keywords[i + 1 :]) for i in range(len(keywords)))
            yield from (changed_call(node, args=arguments[:i] + arguments[i + 1 :]) for i in range(len(arguments)))
        case ast.Name(id=name, ctx=ast.Load()) if name in TWINS:
            yield ast.Name(TWINS[name], ast.Load())


def changed_call(node: ast.Call, **changes: Sequence[ast.AST]) -> ast.Call:
    call = copy.copy(node)
    for field, value in changes.items():
        setattr(call, field, value)
    return call


def changed_lines(before: str, after: str) -> str:
    """The lines that differ between two sources, as one line."""
    lines = list(difflib.ndiff(before.splitlines(), after.splitlines()))
    old, new = (" ".join(line[2:].strip() for line in lines if line.startswith(sign)) for sign in "-+")
    return f"{old} -> {new}"


def complaint(mutant: Mutant, cases: Iterable[Case]) -> str | None:
    """What the checker says of a mutant, None if it survives."""
    module = ModuleType(mutant.name)
    try:
        exec(compile(mutant.source, f"{mutant.name}.py", "exec"), module.__dict__)
    except Exception as raised:
        return f"raised {type(raised).__name__}"
    return equivalence.complaint(module, cases)


def reason(mutant: Mutant) -> str | None:
    """Why a mutant means the same as what it was made from, or None."""
    return next((why for pattern, why in EQUAL.items() if re.search(pattern, mutant.change)), None)


def page(survivors: Sequence[Mutant], counts: Mapping[str, int]) -> str:
    """The Markdown page. survivors: Mutants.  counts: by name, how many mutants there are."""
    total = sum(counts.values())
    cells = [[f"`{mutant.name}`", f"`{mutant.change}`", reason(mutant) or "UNEXPLAINED"] for mutant in survivors]
    numbers = [[f"`{name}`", str(count), str(sum(m.name == name for m in survivors))] for name, count in counts.items()]
    return "\n\n".join(
        [
            "# Small changes to right trainers",
            f"{total} mutants, {total - len(survivors)} rejected by the checker, {len(survivors)} survivors. "
            "Written by `python -m benchmarks.mutants`.",
            table.tabulated(numbers, ["implementation", "mutants", "survivors"]),
            "## Survivors, and why they mean the same",
            table.tabulated(cells, ["implementation", "change", "why"], left=3),
        ]
    )


def main() -> None:
    data = datasets.load("digits")
    cases = equivalence.cases(data.x_train, data.y_train, datasets.CLASSES)
    found = [mutant for name in NAMES for mutant in mutants(name)]
    survivors = [mutant for mutant in tqdm(found, unit="mutant", disable=None) if complaint(mutant, cases) is None]
    counts = {name: sum(mutant.name == name for mutant in found) for name in NAMES}
    text = page(survivors, counts) + "\n"
    PAGE.write_text(text, encoding="utf-8")
    print(text)
    unexplained = [mutant.change for mutant in survivors if not reason(mutant)]
    if unexplained:
        sys.exit(f"error: {'; '.join(unexplained)}: explain it in EQUAL, or give the checker a problem that notices it")
