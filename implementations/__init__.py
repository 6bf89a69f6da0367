"""One file, one implementation of the trainer. A file's name is its name everywhere; nothing is registered.

Wrong ones are in `mistakes/`; their names begin with "mistakes.".
What must be known before a file runs (its first line, parent, devices, needs) is read from its source, so
that listing imports nothing and one broken file breaks only itself.
"""

import ast
import functools
import importlib
import importlib.util
import io
import os
import re
import shutil
import tokenize
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

FOLDER = Path(__file__).parent
DEVICE_TYPES = ("cpu", "cuda", "mps", "xpu")

ON = ("1", "y", "yes", "t", "true", "on")
# Variables of the environment that turn a compiler off: its name in a source, and the values that do so.
SWITCHES = {
    "NUMBA_DISABLE_JIT": ("numba", ("1",)),
    "TORCHDYNAMO_DISABLE": ("torch.compile", ("1",)),
    "TORCH_COMPILE_DISABLE": ("torch.compile", ("1",)),
    "PYTORCH_JIT": ("torch.jit", ("0", "false", "no")),
    "JAX_DISABLE_JIT": ("jax", ON),
    "TRITON_INTERPRET": ("triton", ON),
}


def names() -> list[str]:
    """The names of all implementations, sorted."""
    return sorted(path.stem for path in FOLDER.glob("*.py") if not path.stem.startswith(("_", ".")))


def runnable(device: str) -> list[str]:
    """The names of those that run in one process on a device type and find here all that they need."""
    return [name for name in names() if device in devices(name) and processes(name) == 1 and not missing(name, device)]


def load(name: str) -> ModuleType:
    """The module of that name. Raises what its import raises."""
    return importlib.import_module(f"{__name__}.{name}")


def source(name: str) -> str:
    """The text of the file, in the encoding that it declares; as far as it can be read in UTF-8 where that fails."""
    content = (FOLDER / f"{name.replace('.', '/')}.py").read_bytes()
    try:
        return importlib.util.decode_source(content)
    except (SyntaxError, LookupError, UnicodeError):  # LookupError: it declares a codec that is not of text, as rot13
        return content.decode("utf-8-sig", errors="replace")


def prose_and_code(text: str) -> tuple[str, str]:
    """Of the text of a file the docstring, and what is below it."""
    prose = (re.match(r'""".*?"""\n+', text, re.DOTALL) or [""])[0]
    return prose.rstrip(), text.removeprefix(prose)


def c_files(name: str) -> dict[str, str]:
    """The texts of the C and CUDA files of the same name, by the names of these files."""
    paths = [path for suffix in (".c", ".cu") if (path := FOLDER / f"{name}{suffix}").exists()]
    return {path.name: path.read_text(encoding="utf-8", errors="replace") for path in paths}


def c_source(name: str) -> str:
    """Their text, "" if there is none."""
    return "".join(c_files(name).values())


def docstring(name: str) -> str:
    """What the file says of itself, "" if nothing."""
    return ast.get_docstring(_tree(name)) or ""


def first_line(name: str) -> str:
    """What the file does, in one line: the first of its docstring, or "" without one."""
    return docstring(name).partition("\n")[0]


def price(name: str) -> str:
    """Why its idea costs or saves, in one sentence: the paragraph "Price: ..." of its docstring, or "" without one."""
    found = [part for part in docstring(name).split("\n\n") if part.startswith("Price: ")]
    return " ".join(found[0].removeprefix("Price: ").split()) if found else ""


def parent(name: str) -> str | None:
    """The implementation this one is compared with, from "Compare with `parent`: ..."; None at the root."""
    match = re.search(r"^Compare with `(\w{1,100})`", docstring(name), re.MULTILINE)
    return match and match[1]


def devices(name: str) -> tuple[str, ...]:
    """The device types it runs on: its DEVICES, or all."""
    return _constant(name, "DEVICES", DEVICE_TYPES)


def requires(name: str, device: str) -> tuple[str, ...]:
    """The optional packages it needs on a device type: its REQUIRES, one tuple for all or a dict of tuples."""
    packages = _constant(name, "REQUIRES", ())
    return _tuple(packages.get(device, ())) if isinstance(packages, dict) else packages


def programs(name: str) -> tuple[str, ...]:
    """The programs it calls: its PROGRAMS."""
    return _constant(name, "PROGRAMS", ())


def capability(name: str) -> tuple[int, int]:
    """The least compute capability of a GPU that it runs on, as (major, minor): its CAPABILITY, or any."""
    return _constant(name, "CAPABILITY", (0, 0))


def processes(name: str) -> int:
    """The least number of ranks that it trains in together, processes that torchrun starts: its PROCESSES, or 1."""
    return _constant(name, "PROCESSES", 1)


def too_old(name: str, found: tuple[int, int]) -> str:
    """What it needs more than a GPU of the compute capability `found` has, in words; "" if it can run there."""
    needed = capability(name)
    if found >= needed:
        return ""
    return "needs compute capability {}.{} or higher; this GPU has {}.{}".format(*needed, *found)


def missing_packages(name: str, device: str) -> list[str]:
    """Those of `requires` that are not installed."""
    return [needed for needed in requires(name, device) if importlib.util.find_spec(needed.partition(".")[0]) is None]


def missing_programs(name: str) -> list[str]:
    """Those of `programs` that are not on the PATH."""
    return [program for program in programs(name) if shutil.which(program) is None]


def missing(name: str, device: str) -> list[str]:
    """All that it needs on a device type and this machine lacks."""
    return missing_packages(name, device) + missing_programs(name)


def misdeclared(name: str) -> str:
    """What is wrong with what the file declares, in words; "" if nothing. It counts as not declared elsewhere."""
    for constant, (is_usable, expected) in CONSTANTS.items():
        node = _assigned(name, constant)
        if node and not is_usable(_literal(node)):
            return f"{constant} = {' '.join(ast.unparse(node).split())[:60]}: expected {expected}"
    return ""


def not_compiled(name: str) -> str:
    """Which variable of the environment turns off a compiler that the file uses, in words; "" if none does."""
    for variable, (compiler, values) in SWITCHES.items():
        value = os.environ.get(variable, "")
        if value.lower() in values and compiler in _used(name):
            return f"not compiled: {variable}={value} turns {compiler} off; unset it"
    return ""


def lacks(name: str, device: str) -> str:
    """What it needs on a device type and does not find, or which variable turns its compiler off; "" if it can run."""
    if absent := missing(name, device):
        return f"{', '.join(absent)} not installed"
    return not_compiled(name)


def lines_of_code(text: str) -> int:
    """How many lines of Python source hold code: no blank lines, comments or docstrings."""
    docstrings: set[int] = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            docstrings.update(range(node.lineno, (node.end_lineno or node.lineno) + 1))
    silent = {
        tokenize.COMMENT,
        tokenize.NL,
        tokenize.NEWLINE,
        tokenize.INDENT,
        tokenize.DEDENT,
        tokenize.ENDMARKER,
    }
    code: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type not in silent:
            code.update(range(token.start[0], token.end[0] + 1))
    return len(code - docstrings)


def c_lines_of_code(text: str) -> int:
    """How many lines of C source hold code: no blank lines or comments."""
    without_comments = re.sub(r"/\*.*?\*/|//[^\n]*", "", text, flags=re.DOTALL)
    return sum(bool(line.strip()) for line in without_comments.splitlines())


def _tree(name: str) -> ast.Module:
    """The syntax tree of the file; an empty one where it cannot be read or parsed: `load` will say why."""
    try:
        return _parsed(source(name))
    except (OSError, SyntaxError, ValueError, MemoryError, RecursionError):
        return ast.Module([], [])


@functools.cache
def _parsed(text: str) -> ast.Module:
    """The syntax tree of a source; all that is asked of a file is read from the same one."""
    return ast.parse(text)


def _used(name: str) -> set[str]:
    """The packages that the file imports, and what it names with a dot, such as torch.compile."""
    found = set()
    for node in ast.walk(_tree(name)):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module.partition(".")[0], node.module}
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Attribute):
            found.add(ast.unparse(node))
    return found


def _assigned(name: str, constant: str) -> ast.expr | None:
    """What a module-level assignment gives a constant, with or without a type; None where there is none."""
    for node in _tree(name).body:
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        if any(isinstance(target, ast.Name) and target.id == constant for target in targets):
            return getattr(node, "value", None)
    return None


def _literal(node: ast.expr) -> Any:
    """The value that is written there; None where it would have to be computed."""
    try:
        return ast.literal_eval(node)
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        return None


def _constant(name: str, constant: str, default: Any) -> Any:
    """What the file declares: a dict, a number, or else a tuple, also of one string alone.

    The default where that is unusable.
    """
    node = _assigned(name, constant)
    value = node and _literal(node)
    if not CONSTANTS[constant][0](value):
        return default
    return value if isinstance(value, dict | int) else _tuple(value)


def _tuple(value: Any) -> tuple[Any, ...]:
    """The values; of one string alone, a tuple that holds it."""
    return (value,) if isinstance(value, str) else tuple(value)


def _are_texts(value: Any) -> bool:
    """Whether it is a text, or several; none of them is empty."""
    return isinstance(value, str | tuple | list | set) and all(isinstance(one, str) and one for one in _tuple(value))


def _are_devices(value: Any) -> bool:
    """Whether it is a device type, or several."""
    return _are_texts(value) and len(value) > 0 and set(_tuple(value)) <= set(DEVICE_TYPES)


def _are_packages(value: Any) -> bool:
    """Whether it is the name of a package as it is imported, or several, or a dict of them by device type."""
    if isinstance(value, dict):
        packages = value.values()
        return set(value) <= set(DEVICE_TYPES) and all(not isinstance(v, dict) and _are_packages(v) for v in packages)
    return _are_texts(value) and all(part.isidentifier() for one in _tuple(value) for part in one.split("."))


def _are_given_up(value: Any) -> bool:
    """Whether it is the name of the one case of the checker that may be given up, or several times that, or nothing."""
    return _are_texts(value) and set(_tuple(value)) <= {"large logits"}


def _is_several(value: Any) -> bool:
    """Whether it is a whole number of at least 2."""
    return type(value) is int and value > 1


def _is_version(value: Any) -> bool:
    """Whether it is a pair of whole numbers."""
    return isinstance(value, tuple) and [type(number) for number in value] == [int, int]


# What a file may declare: whether a value is usable, and what is expected in words.
CONSTANTS: dict[str, tuple[Callable[[Any], bool], str]] = {
    "DEVICES": (_are_devices, 'one or several of ("cpu", "cuda", "mps", "xpu")'),
    "REQUIRES": (_are_packages, 'names of packages as they are imported, as in ("numba",) or {"cuda": ("triton",)}'),
    "PROGRAMS": (_are_texts, 'names of programs, as in ("cc",)'),
    "PROCESSES": (_is_several, "a whole number of at least 2: the ranks it needs"),
    "CAPABILITY": (_is_version, "a pair of numbers, as in (9, 0)"),
    "EXPECTED_TO_FAIL": (_are_given_up, 'nothing but ("large logits",)'),
}
