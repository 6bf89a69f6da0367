"""Every package that is imported is declared, so that nothing depends on what another package happens to bring."""

import ast
import re
import sys
import tomllib
from importlib.metadata import packages_distributions

from tests.project import ROOT

PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
PROJECT = PYPROJECT["project"]
OURS = {"benchmarks", "implementations", "reference", "tests", "conftest"}
ALWAYS = [
    *(ROOT / "benchmarks").rglob("*.py"),
    *(ROOT / "reference").rglob("*.py"),
    *(ROOT / "implementations").rglob("__*.py"),
    ROOT / "conftest.py",
]


def imported(paths):
    """The packages that the files import, by their first names: neither Python's own nor ours."""
    found = set()
    for node in (node for path in paths for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add(node.module.partition(".")[0])
    return found - set(sys.stdlib_module_names) - OURS


def declared(*extras):
    """The names of the distributions that are installed with the project and these extras, as `normal` has them."""
    requirements = [
        *PROJECT["dependencies"],
        *(one for extra in extras for one in PROJECT["optional-dependencies"][extra]),
    ]
    return {normal(re.match(r"[\w.-]+", requirement)[0]) for requirement in requirements}


def normal(name):
    """The normalised name of a distribution (PyPA, names and normalization)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def undeclared(paths, *extras):
    """What the files import and no declared distribution provides."""
    providers = packages_distributions()
    return {
        package for package in imported(paths) if not set(map(normal, providers.get(package, ()))) & declared(*extras)
    }


def test_what_is_always_needed_is_declared():
    assert {"torch", "scipy", "cpuinfo"} <= imported(ALWAYS)
    assert undeclared(ALWAYS) == set()


def test_what_implementations_and_tests_need_is_declared():
    paths = [*(ROOT / "implementations").rglob("*.py"), *(ROOT / "tests").glob("*.py")]
    optional = {"jax", "triton"} - packages_distributions().keys()  # not installed everywhere
    assert undeclared(paths, "dev", "jax", "gpu") <= optional


def test_whoever_installs_it_has_every_file_of_it():
    """As [tool.setuptools] names them: the Python files of each package, and those that its package-data match."""
    setup = PYPROJECT["tool"]["setuptools"]
    folders = {package: ROOT / package.replace(".", "/") for package in setup["packages"]}
    patterns = [(package, "*.py") for package in folders]
    patterns += [(package, pattern) for package, found in setup["package-data"].items() for pattern in found]
    installed = {path for package, pattern in patterns for path in folders[package].glob(pattern)}
    there = {path for folder in folders.values() for path in folder.rglob("*") if path.is_file()}
    assert {path for path in there if "__pycache__" not in path.parts} == installed
