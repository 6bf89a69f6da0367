"""The files in implementations/: what each computes, and what is known of it without running it."""

import ast
import functools
import re
import sys

import pytest
import torch

import implementations
from reference import equivalence
from reference.problem import Problem, initial_parameters

pytestmark = pytest.mark.usefixtures("every_shape_is_compiled")

NAMES = implementations.names()
ON_CPU = implementations.runnable("cpu")
FLOAT32_ONLY = {"jax_scan", "native_dense", "native_single", "native_sparse"}


def random_problem(rows, features, classes, batch_size, epochs):
    generator = torch.Generator().manual_seed(rows + features)
    x = torch.rand(rows, features, generator=generator)
    y = torch.randint(classes, (rows,), generator=generator)
    weight, bias = initial_parameters(features, classes)
    return Problem(x, y, weight, bias, batch_size=batch_size, epochs=epochs)


# Rows, features, classes, batch size, epochs.
SHAPES = [(1, 1, 2, 1, 1), (100, 50, 2, 64, 1), (33, 20, 3, 1, 1), (100, 1, 10, 7, 2), (10, 784, 17, 1000, 3)]


def shape_id(shape):
    return "{} rows of {}, {} classes, batch {}, epochs {}".format(*shape)


@functools.cache
def case_of(shape):
    """A random problem of this shape with its answer."""
    return equivalence.solved("another shape", random_problem(*shape))


@pytest.mark.parametrize("shape", SHAPES, ids=shape_id)
@pytest.mark.parametrize("name", ON_CPU)
def test_other_shapes(name, shape):
    case = case_of(shape)
    assert equivalence.judged(implementations.load(name), case).complaint is None


@pytest.mark.parametrize("shape", SHAPES[-2:], ids=shape_id)
@pytest.mark.parametrize("name", ON_CPU)
def test_float64_is_computed_in_float64(name, shape):
    case = case_of(shape)
    complaint = equivalence.judged(implementations.load(name), case, dtype=torch.float64).complaint
    if name in FLOAT32_ONLY:
        assert complaint.startswith(f"raised TypeError: {name} computes in float32, and x is torch.float64")
    else:
        assert complaint is None


def test_batches_from_pinned_memory_train_the_same(monkeypatch):
    """It runs on CUDA only; here nothing can be pinned, and a copy stands for it."""
    pinned = []
    monkeypatch.setattr(torch.Tensor, "pin_memory", lambda tensor: pinned.append(tensor.clone()) or pinned[-1])
    case = equivalence.solved("a short batch", random_problem(100, 50, 3, 64, 2))
    assert equivalence.judged(implementations.load("nn_to_device_pinned"), case).complaint is None
    assert all(map(torch.equal, pinned, (case.problem.x, case.problem.y)))
    assert len(pinned) == 2


def test_a_file_is_found_by_its_name_and_nothing_else():
    assert {"autograd_inplace", "manual_transposed", "numpy_loop"} <= set(NAMES)
    assert all(not name.startswith("_") for name in NAMES)


def test_the_parents_form_one_tree():
    assert [name for name in NAMES if implementations.parent(name) is None] == ["autograd_inplace"]
    for name in NAMES:
        seen = []
        while name:
            assert name in NAMES, f"{seen[-1]} names {name} as its parent, and there is no such file"
            assert name not in seen, f"the parents go round: {seen}"
            seen.append(name)
            name = implementations.parent(name)


@pytest.mark.parametrize("name", NAMES)
def test_a_file_is_understood_on_one_screen(name):
    text = implementations.source(name)
    below_the_docstring = len(text.splitlines()) - ast.parse(text).body[0].end_lineno
    calls_c = bool(implementations.c_source(name))  # and so compiles it and finds its place
    assert below_the_docstring <= (110 if calls_c else 75)
    assert implementations.first_line(name).endswith(".")


def price_complaint(name):
    """What is wrong with the sentence that says why an idea costs or saves; None if nothing."""
    parts = implementations.docstring(name).split("\n\n")
    if sum(part.startswith("Price:") for part in parts) != 1:
        return "not exactly one paragraph"
    place = -1 if implementations.parent(name) is None else -2
    if not parts[place].startswith("Price: "):
        return "not before what it is compared with"
    if not re.fullmatch(r"[A-Z].*[^.]\.", implementations.price(name)) or re.search(
        "[.?!] ", implementations.price(name)
    ):
        return "not one sentence"
    return None


@pytest.mark.parametrize("name", NAMES)
def test_a_file_says_in_one_sentence_why_its_idea_costs_or_saves(name):
    assert price_complaint(name) is None


PRICE, COMPARE = "Price: It saves a tensor,\nand costs a call.", "Compare with `other`: all."


@pytest.mark.parametrize(
    ("parts", "complaint"),
    [
        ([PRICE, COMPARE], None),
        ([PRICE], None),
        (["One Price: of two.", PRICE, COMPARE], None),
        ([COMPARE], "not exactly one paragraph"),
        ([PRICE, PRICE, COMPARE], "not exactly one paragraph"),
        ([COMPARE, PRICE], "not before what it is compared with"),
        (["Price:\nIt saves.", COMPARE], "not before what it is compared with"),
        ([PRICE, "More."], "not before what it is compared with"),
        ([PRICE.removesuffix("."), COMPARE], "not one sentence"),
        ([PRICE + " It is fast.", COMPARE], "not one sentence"),
        ([PRICE + "..", COMPARE], "not one sentence"),
        (["Price: saves.", COMPARE], "not one sentence"),
    ],
)
def test_the_price_is_one_sentence_in_one_place(folder, parts, complaint):
    (folder / "idea.py").write_text('"""One line.\n\n{}\n"""\n'.format("\n\n".join(parts)))
    assert price_complaint("idea") == complaint
    if complaint is None:
        assert implementations.price("idea") == "It saves a tensor, and costs a call."


@pytest.mark.parametrize("name", NAMES)
def test_a_file_imports_nothing_of_ours(name):
    assert not imported(implementations.source(name)) & {"implementations", "reference", "benchmarks", "tests"}


def test_the_folders_imports_point_one_way():
    root = implementations.FOLDER.parent
    for path in (root / "reference").glob("*.py"):
        assert not imported(path.read_text()) & {"implementations", "benchmarks", "tests"}, path
    assert not imported((root / "implementations" / "__init__.py").read_text()) - set(sys.stdlib_module_names)
    for path in (root / "benchmarks").rglob("*.py"):
        assert "tests" not in imported(path.read_text()), path


# The rooms of benchmarks/, and which others each may enter.
ROOMS = {"runs": set(), "measure": {"runs"}, "show": {"runs"}, "proof": {"runs", "measure", "show", "compare"}}


@pytest.mark.parametrize("room", ROOMS)
def test_the_rooms_imports_point_one_way(room):
    for path in (implementations.FOLDER.parent / "benchmarks" / room).glob("*.py"):
        found = set(re.findall(r"^ *(?:from|import) benchmarks[. ](?:import )?(\w+)", path.read_text(), re.MULTILINE))
        assert found <= {room} | ROOMS[room], path


def imported(text):
    """The top-level names of the packages that a source imports."""
    found = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        if isinstance(node, ast.ImportFrom):
            found.add(node.module.partition(".")[0])
    return found


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """An empty folder in place of implementations/."""
    monkeypatch.setattr(implementations, "FOLDER", tmp_path)
    return tmp_path


def test_what_a_file_says_of_itself(folder):
    (folder / "idea.py").write_text(
        '"""One line.\n\nMore.\n\nCompare with `other_idea`: everything.\n"""\n'
        'import os\n\nDEVICES = ("cuda",)\nREQUIRES = ("os", "no_such_package")\n'
    )
    assert implementations.names() == ["idea"]
    assert implementations.first_line("idea") == "One line."
    assert implementations.parent("idea") == "other_idea"
    assert implementations.devices("idea") == ("cuda",)
    assert implementations.missing_packages("idea", "cpu") == ["no_such_package"]


def test_what_runs_on_a_device_and_needs_nothing_more(folder):
    (folder / "anywhere.py").write_text('REQUIRES = ("os",)\n')
    (folder / "on_a_new_gpu.py").write_text('DEVICES = ("cuda",)\nCAPABILITY = (9, 0)\n')
    (folder / "nowhere.py").write_text('REQUIRES = ("no_such_package",)\n')
    assert implementations.runnable("cpu") == ["anywhere"]
    assert implementations.runnable("cuda") == ["anywhere", "on_a_new_gpu"]
    assert implementations.too_old("on_a_new_gpu", (8, 6)) == (
        "needs compute capability 9.0 or higher; this GPU has 8.6"
    )
    assert implementations.too_old("on_a_new_gpu", (9, 0)) == implementations.too_old("on_a_new_gpu", (12, 1)) == ""
    assert implementations.too_old("anywhere", (5, 0)) == ""


def test_a_single_name_needs_no_tuple_and_a_submodule_is_looked_for_by_its_package(folder):
    (folder / "idea.py").write_text('DEVICES = "cuda"\nREQUIRES = "no_such.package"\n', encoding="utf-8-sig")
    assert implementations.devices("idea") == ("cuda",)
    assert implementations.missing_packages("idea", "cpu") == ["no_such.package"]


def test_a_program_that_is_missing(folder):
    (folder / "idea.py").write_text('PROGRAMS = ("sh", "no_such_program")\n')
    assert implementations.missing("idea", "cpu") == implementations.missing_programs("idea") == ["no_such_program"]


@pytest.mark.parametrize("text", ["", "def train(:\n", "DEVICES = devices()\n", "\0", "x = " + "-" * 10**5 + "1"])
def test_a_file_that_says_nothing_or_is_broken_is_listed_all_the_same(folder, text):
    (folder / "idea.py").write_text(text)
    assert implementations.names() == ["idea"]
    assert implementations.first_line("idea") == implementations.price("idea") == ""
    assert implementations.parent("idea") is None
    assert implementations.devices("idea") == implementations.DEVICE_TYPES
    assert implementations.missing_packages("idea", "cpu") == []


def test_hidden_files_are_no_rows(folder):
    """What macOS and Emacs lay beside a file."""
    (folder / "idea.py").touch()
    (folder / "._idea.py").write_bytes(b"\0\x05\x16\x07")
    (folder / ".#idea.py").symlink_to("somebody@somewhere")
    assert implementations.names() == ["idea"]


@pytest.mark.parametrize(
    "line",
    [
        *("DEVICES = None", "DEVICES = ()", "DEVICES = (1,)", "DEVICES: tuple = 3", "DEVICES = ('cpu',) * 2"),
        *("DEVICES = ('gpu',)", "DEVICES = ('cpu', 'CUDA')", "DEVICES = 'cpu '", "REQUIRES = {'gpu': ('os',)}"),
        *("REQUIRES = (1,)", "REQUIRES = ('',)", "REQUIRES = {'cpu': {}}", "REQUIRES = {[]: 1}", "REQUIRES = 'a-b'"),
        *("PROGRAMS = 3", "PROGRAMS = {'cpu': 'cc'}", "CAPABILITY = 9", "CAPABILITY = (9.0, 0)", "CAPABILITY = '9.0'"),
        *("EXPECTED_TO_FAIL = None", "EXPECTED_TO_FAIL = True", "EXPECTED_TO_FAIL = 'one step'"),
        *("PROCESSES = 1", "PROCESSES = None", "PROCESSES = True", "PROCESSES = '2'", "PROCESSES = 2.0"),
    ],
)
def test_what_is_declared_amiss_is_said_and_counts_as_not_declared(folder, line):
    (folder / "idea.py").write_text(line)
    constant, value = re.split(r"(?:: tuple)? = ", line)
    assert implementations.misdeclared("idea").startswith(f"{constant} = {value}: expected ")
    assert implementations.devices("idea") == implementations.DEVICE_TYPES
    assert implementations.missing("idea", "cpu") == []
    assert implementations.too_old("idea", (5, 0)) == ""
    assert implementations.processes("idea") == 1


@pytest.mark.parametrize(
    "line",
    [
        *("DEVICES = 'cpu'", "DEVICES: tuple = ('cpu',)", "DEVICES: tuple[str, ...]", "REQUIRES = {}", "REQUIRES = ()"),
        *("REQUIRES = {'cpu': ['os.path'], 'cuda': 'sys'}", "PROGRAMS = ['sh']", "CAPABILITY = (9, 0)", "x = None"),
        *("EXPECTED_TO_FAIL = 'large logits'", "EXPECTED_TO_FAIL = ('large logits',)", "EXPECTED_TO_FAIL = ()"),
        *("PROCESSES = 2", "PROCESSES: int = 3"),
    ],
)
def test_what_is_declared_well_is_left_alone(folder, line):
    (folder / "idea.py").write_text(line)
    assert implementations.misdeclared("idea") == ""
    assert ("cuda" not in implementations.devices("idea")) == ("'cpu'" in line and "DEVICES" in line)


@pytest.mark.parametrize("name", NAMES)
def test_every_file_declares_what_is_usable(name):
    assert implementations.misdeclared(name) == ""


@pytest.mark.parametrize(
    ("variable", "value", "names"),
    [
        ("NUMBA_DISABLE_JIT", "1", {"numba_dense", "numba_sparse"}),
        ("NUMBA_DISABLE_JIT", "0", set()),
        ("TORCHDYNAMO_DISABLE", "1", {"compile_reduce_overhead", "compile_step"}),
        ("JAX_DISABLE_JIT", "True", {"jax_scan"}),
        ("TRITON_INTERPRET", "1", {"triton_epoch", "triton_step"}),
        ("PYTORCH_JIT", "1", set()),
    ],
)
def test_a_compiler_that_is_turned_off_is_named(variable, value, names, monkeypatch):
    for switch in implementations.SWITCHES:
        monkeypatch.delenv(switch, raising=False)
    monkeypatch.setenv(variable, value)
    found = {name: implementations.not_compiled(name) for name in NAMES}
    assert {name for name in NAMES if found[name]} == names
    assert all(found[name].startswith(f"not compiled: {variable}={value} turns ") for name in names)


@pytest.mark.parametrize("line", ["@torch.jit.script", "@script"])
def test_what_is_compiled_is_known_by_either_import(folder, line, monkeypatch):
    monkeypatch.setenv("PYTORCH_JIT", "0")
    (folder / "idea.py").write_text(f"import torch\nfrom torch.jit import script\n\n{line}\ndef f(x):\n    return x\n")
    assert implementations.not_compiled("idea") == "not compiled: PYTORCH_JIT=0 turns torch.jit off; unset it"


def test_a_source_is_read_in_its_own_encoding(folder):
    text = "# -*- coding: latin-1 -*-\ngröße = 1\n"
    (folder / "idea.py").write_bytes(text.encode("latin-1"))
    (folder / "unknown.py").write_bytes(text.replace("latin-1", "latin-x").encode("latin-1"))
    (folder / "idea.c").write_bytes("int größe; /* größer */\n".encode("latin-1"))
    assert implementations.source("idea") == text
    assert implementations.lines_of_code(implementations.source("idea")) == 1
    assert implementations.source("unknown") == "# -*- coding: latin-x -*-\ngr\ufffd\ufffde = 1\n"
    assert implementations.c_lines_of_code(implementations.c_source("idea")) == 1


@pytest.mark.parametrize("codec", ["rot13", "hex", "punycode"])
def test_a_codec_that_reads_no_source_breaks_only_its_file(folder, codec):
    text = f'# coding: {codec}\n"""One line."""\n'
    (folder / "idea.py").write_text(text)
    assert implementations.source("idea") == text
    assert implementations.first_line("idea") == "One line."


def test_lines_of_c_are_neither_blank_nor_comment():
    text = "/* Comment\n   of two lines. */\n\n#include <a.h> /* why */\nint f(void) { // what\n    return 3; }\n"
    assert implementations.c_lines_of_code(text) == 3
    assert implementations.c_lines_of_code(implementations.c_source("native_single")) > 50
    assert implementations.c_lines_of_code(implementations.c_source("cluster_epoch")) > 50
    assert implementations.c_source("manual_inplace") == ""


def test_lines_of_code_are_neither_blank_nor_comment_nor_docstring():
    text = '"""Docstring\nof two lines."""\n\n# comment\nx = [\n    1,\n]  # trailing\n\n\n'
    text += 'def f():\n    """Doc."""\n    return x\n'
    assert implementations.lines_of_code(text) == 5
