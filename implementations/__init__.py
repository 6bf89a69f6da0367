"""One file, one writing of the trainer. A file's name is its name everywhere; nothing is registered.

Wrong ones are in `mistakes/`; their names begin with "mistakes.".
What must be known before a file runs (its first line, parent, devices, needs) is read from its source, so
that listing imports nothing and one broken file breaks only itself.
"""

import ast
import importlib
import importlib.util
import io
import re
import shutil
import tokenize
from pathlib import Path
from types import ModuleType
from typing import Any

FOLDER = Path(__file__).parent


def names() -> list[str]:
    """The names of all implementations, sorted."""
    return sorted(path.stem for path in FOLDER.glob("*.py") if not path.stem.startswith(("_", ".")))


def runnable(device: str) -> list[str]:
    """The names of those that run on a device type and find here all that they need."""
    return [name for name in names() if device in devices(name) and not missing(name, device)]


def load(name: str) -> ModuleType:
    """The module of that name. Raises what its import raises."""
    return importlib.import_module(f"{__name__}.{name}")


def source(name: str) -> str:
    """The text of the file."""
    return (FOLDER / f"{name.replace('.', '/')}.py").read_text(encoding="utf-8-sig", errors="replace")


def c_source(name: str) -> str:
    """The text of the C or CUDA file of the same name, "" if there is none."""
    paths = [path for suffix in (".c", ".cu") if (path := FOLDER / f"{name}{suffix}").exists()]
    return "".join(path.read_text(encoding="utf-8") for path in paths)


def docstring(name: str) -> str:
    """What the file says of itself, "" if nothing."""
    return ast.get_docstring(_tree(name)) or ""


def first_line(name: str) -> str:
    """What the file does, in one line: the first of its docstring, or "" without one."""
    return docstring(name).partition("\n")[0]


def parent(name: str) -> str | None:
    """The implementation this one is compared with, from "Compare with `parent`: ..."; None at the root."""
    match = re.search(r"^Compare with `(\w+)`", docstring(name), re.MULTILINE)
    return match and match[1]


def devices(name: str) -> tuple[str, ...]:
    """The device types it runs on: its DEVICES, or all."""
    return _constant(name, "DEVICES", ("cpu", "cuda"))


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
        return ast.parse(source(name))
    except (OSError, SyntaxError, ValueError):
        return ast.Module([], [])


def _constant(name: str, constant: str, default: tuple[Any, ...]) -> Any:
    """What a module-level assignment holds, a dict or else a tuple, also of one string alone; or the default."""
    for node in _tree(name).body:
        if isinstance(node, ast.Assign) and any(isinstance(t, ast.Name) and t.id == constant for t in node.targets):
            try:
                value = ast.literal_eval(node.value)
            except ValueError:
                return default
            return value if isinstance(value, dict) else _tuple(value)
    return default


def _tuple(value: Any) -> tuple[Any, ...]:
    """The values; of one string alone, a tuple that holds it."""
    return (value,) if isinstance(value, str) else tuple(value)
