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

FOLDER = Path(__file__).parent


def names():
    """The names of all implementations, sorted."""
    return sorted(path.stem for path in FOLDER.glob("*.py") if not path.stem.startswith("_"))


def runnable(device):
    """The names of those that run on a device type and find here all that they need."""
    return [name for name in names() if device in devices(name) and not missing(name, device)]


def load(name):
    """The module of that name. Raises what its import raises."""
    return importlib.import_module(f"{__name__}.{name}")


def source(name):
    """The text of the file."""
    return (FOLDER / f"{name.replace('.', '/')}.py").read_text(encoding="utf-8-sig", errors="replace")


def c_source(name):
    """The text of the C or CUDA file of the same name, "" if there is none."""
    paths = [path for suffix in (".c", ".cu") if (path := FOLDER / f"{name}{suffix}").exists()]
    return "".join(path.read_text(encoding="utf-8") for path in paths)


def first_line(name):
    """What the file does, in one line: the first of its docstring, or "" without one."""
    return _docstring(name).partition("\n")[0]


def parent(name):
    """The implementation this one is compared with, from "Compare with `parent`: ..."; None at the root."""
    match = re.search(r"^Compare with `(\w+)`", _docstring(name), re.MULTILINE)
    return match and match[1]


def devices(name):
    """The device types it runs on: its DEVICES, or all."""
    return _constant(name, "DEVICES", ("cpu", "cuda"))


def requires(name, device):
    """The optional packages it needs on a device type: its REQUIRES, one tuple for all or a dict of tuples."""
    packages = _constant(name, "REQUIRES", ())
    return _tuple(packages.get(device, ())) if isinstance(packages, dict) else packages


def programs(name):
    """The programs it calls: its PROGRAMS."""
    return _constant(name, "PROGRAMS", ())


def capability(name):
    """The least compute capability of a GPU that it runs on, as (major, minor): its CAPABILITY, or any."""
    return _constant(name, "CAPABILITY", (0, 0))


def too_old(name, found):
    """What it needs more than a GPU of the compute capability `found` has, in words; "" if it can run there."""
    needed = capability(name)
    if found >= needed:
        return ""
    return "needs compute capability {}.{} or higher; this GPU has {}.{}".format(*needed, *found)


def missing_packages(name, device):
    """Those of `requires` that are not installed."""
    return [needed for needed in requires(name, device) if importlib.util.find_spec(needed.partition(".")[0]) is None]


def missing_programs(name):
    """Those of `programs` that are not on the PATH."""
    return [program for program in programs(name) if shutil.which(program) is None]


def missing(name, device):
    """All that it needs on a device type and this machine lacks."""
    return missing_packages(name, device) + missing_programs(name)


def lines_of_code(text):
    """How many lines of Python source hold code: no blank lines, comments or docstrings."""
    docstrings = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            docstrings.update(range(node.lineno, node.end_lineno + 1))
    silent = {
        tokenize.COMMENT,
        tokenize.NL,
        tokenize.NEWLINE,
        tokenize.INDENT,
        tokenize.DEDENT,
        tokenize.ENDMARKER,
    }
    code = set()
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type not in silent:
            code.update(range(token.start[0], token.end[0] + 1))
    return len(code - docstrings)


def c_lines_of_code(text):
    """How many lines of C source hold code: no blank lines or comments."""
    without_comments = re.sub(r"/\*.*?\*/|//[^\n]*", "", text, flags=re.DOTALL)
    return sum(bool(line.strip()) for line in without_comments.splitlines())


def _tree(name):
    """The syntax tree of the file; an empty one where it cannot be read or parsed: `load` will say why."""
    try:
        return ast.parse(source(name))
    except (OSError, SyntaxError, ValueError):
        return ast.Module([], [])


def _docstring(name):
    return ast.get_docstring(_tree(name)) or ""


def _constant(name, constant, default):
    """What a module-level assignment holds, a dict or else a tuple, also of one string alone; or the default."""
    for node in _tree(name).body:
        if isinstance(node, ast.Assign) and any(isinstance(t, ast.Name) and t.id == constant for t in node.targets):
            try:
                value = ast.literal_eval(node.value)
            except ValueError:
                return default
            return value if isinstance(value, dict) else _tuple(value)
    return default


def _tuple(value):
    """The values; of one string alone, a tuple that holds it."""
    return (value,) if isinstance(value, str) else tuple(value)
