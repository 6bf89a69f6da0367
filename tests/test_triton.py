"""The Triton kernels, without a GPU: run by Triton's interpreter, and compiled for one that need not be there."""

import ast
import functools
import importlib.metadata
import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import implementations

ROOT = Path(__file__).parent.parent

pytestmark = [
    pytest.mark.skipif(importlib.util.find_spec("triton") is None, reason="triton is not installed"),
    pytest.mark.skipif("TRITON_INTERPRET" in os.environ, reason="TRITON_INTERPRET is set, so nothing can be compiled"),
    pytest.mark.usefixtures("interpreted"),
]


def version():
    """Of Triton, as (major, minor); (0, 0) where there is none."""
    try:
        return tuple(map(int, importlib.metadata.version("triton").split(".")[:2]))
    except importlib.metadata.PackageNotFoundError:
        return 0, 0


@pytest.fixture(scope="module")
def interpreted():
    """The process that runs the kernels in the interpreter, begun before others compile them: it takes one core."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:hypothesispytest"]
    environment = os.environ | {"TRITON_INTERPRET": "1"}
    output = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    with subprocess.Popen([*command, "tests/triton_interpreted.py"], cwd=ROOT, env=environment, **output) as process:
        yield process
        process.kill()


def functions(name):
    """The source of each function of a file."""
    tree = ast.parse(implementations.source(name))
    return {node.name: ast.unparse(node) for node in tree.body if isinstance(node, ast.FunctionDef)}


def test_both_files_take_the_same_step():
    step, epoch = functions("triton_step"), functions("triton_epoch")
    assert list(epoch) == ["product", "step", "training", "prepare", "train"]
    assert step["product"] == epoch["product"]
    assert step["step"].partition("\n")[2] == epoch["step"].partition("\n")[2]  # below the decorator
    assert step["prepare"] == epoch["prepare"].replace("triton_epoch", "triton_step")
    sizes, others = (re.split("\n    (?:for|training)", file["train"])[0] for file in (step, epoch))
    assert "stages" in sizes
    assert sizes == others.replace("triton_epoch", "triton_step")


def test_a_gpu_whose_tensor_cores_do_not_take_bf16_is_too_old():
    for name in KERNELS:
        assert implementations.too_old(name, (7, 5)) == "needs compute capability 8.0 or higher; this GPU has 7.5"
        assert implementations.too_old(name, (8, 0)) == ""


# KB of shared memory that a block can have, by architecture: CUDA C++ Programming Guide, "Technical Specifications per
# Compute Capability". 80 is an A100, 86 an RTX 30, 89 an RTX 40, 90 an H100, 100 a B200, 120 an RTX 50.
MOST_SHARED = {80: 163, 86: 99, 89: 99, 90: 227, 100: 227, 120: 99}
KERNELS = {"triton_step": "step", "triton_epoch": "training"}
TYPES = {"x": "*bf16", "y": "*i64", "weight": "*fp32", "grads": "*fp32", "lr": "fp32"}  # the others are int32
ALIGNED = ["x", "y", "weight", "grads", "features"]


@pytest.fixture(scope="module")
def compiled(tmp_path_factory):
    """A function that compiles the kernel which `train` starts for so many parts of x, rows of a batch and classes."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path_factory.mktemp("triton")))
        monkeypatch.setenv("TRITON_DEFAULT_FP_FUSION", "1")
        yield compiling(monkeypatch)


def compiling(monkeypatch):
    """The function of `compiled`; it compiles nothing twice."""
    import triton
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    def started(module, kernel, parts, batch_size, classes):
        """The constants and the number of stages that `train` starts its kernel with."""
        given = {}
        with monkeypatch.context() as instead:
            instead.setattr(module, kernel, {(1,): lambda *numbers, **constants: given.update(constants)})
            x, y = torch.zeros(batch_size, parts, 128), torch.zeros(batch_size, dtype=torch.int64)
            module.train(x, y, torch.zeros(127, classes), torch.zeros(classes), batch_size, 0.5, 1)
        return given, given.pop("num_stages")

    @functools.cache
    def compiled(name, parts=1, batch_size=64, classes=10, architecture=90):
        module = implementations.load(name)
        kernel = getattr(module, KERNELS[name])
        constants, stages = started(module, KERNELS[name], parts, batch_size, classes)
        signature = {arg: "constexpr" if arg in constants else TYPES.get(arg, "i32") for arg in kernel.arg_names}
        attributes = {(kernel.arg_names.index(arg),): [["tt.divisibility", 16]] for arg in ALIGNED}
        source = ASTSource(kernel, signature, constants, attributes)
        return triton.compile(source, target=GPUTarget("cuda", architecture, 32), options={"num_stages": stages})

    return compiled


def used(kernel, folder):
    """What a compiled kernel uses: registers of a thread, bytes of stack (where registers spill) and shared memory."""
    from triton import knobs

    file = folder / "kernel.cubin"
    file.write_bytes(kernel.asm["cubin"])
    command = [knobs.nvidia.cuobjdump.path, "--dump-resource-usage", str(file)]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return {key: int(value) for key, value in re.findall(r"(REG|STACK|LOCAL):(\d+)", text)} | {
        "SHARED": kernel.metadata.shared
    }


@pytest.mark.parametrize(
    ("name", "architecture"), [*(("triton_epoch", number) for number in MOST_SHARED), ("triton_step", 90)]
)
def test_what_mnist_takes_fits_any_gpu_and_is_kept_in_registers(compiled, name, architecture, tmp_path):
    """Pixels k / 256, 10 classes, batches of 64. Others may spill; so does this on an RTX 50, 8 to 32 bytes.

    The step is the same in both files: for most GPUs the one with the larger kernel around it is enough.
    """
    found = used(compiled(name, architecture=architecture), tmp_path)
    assert found["SHARED"] <= MOST_SHARED[architecture] * 1024
    assert architecture == 120 or found["STACK"] == found["LOCAL"] == 0


@pytest.mark.parametrize("architecture", [86, 90, 100])
def test_the_most_classes_and_parts_fit_any_gpu(compiled, architecture, tmp_path):
    """The step is the same in both files: one of them is enough. 80, 89 and 120 take as much as 86 and have no less."""
    found = used(compiled("triton_epoch", parts=3, batch_size=128, classes=32, architecture=architecture), tmp_path)
    assert found["SHARED"] <= MOST_SHARED[architecture] * 1024


@pytest.mark.parametrize("name", KERNELS)
def test_products_are_taken_on_tensor_cores_in_bf16(compiled, name):
    text = compiled(name, architecture=90).asm["ptx"]
    assert "wgmma.mma_async.sync.aligned.m64n16k16.f32.bf16.bf16" in text
    assert "tf32" not in text


def test_nobody_passes_before_all_have_written():
    """A missing barrier shows on a GPU only, and there now and then."""
    sources = [implementations.source(name).count("    tl.debug_barrier()\n") for name in KERNELS]
    epoch = implementations.source("triton_epoch").count("tl.debug_barrier()  # the next step begins")
    assert (sources, epoch) == ([1, 1], 1)


@pytest.mark.parametrize("name", KERNELS)
def test_sums_of_tiles_are_taken_outside_of_the_tensor_cores(compiled, name):
    """The compiler may put an addition into the product before it; three products in a row leave it no room."""
    text = compiled(name, batch_size=128).asm["ttgir"]
    carried = re.findall(r"warp_group_dot [^,]*, [^,]*, %(\w+)", text)
    assert len(carried) == 6
    assert not [value for value in carried if value.startswith("arg")]


@pytest.mark.skipif(version() < (3, 9), reason="the interpreter of Triton 3.6 fails with NumPy 2.4; 3.9 does not")
def test_in_the_interpreter(interpreted):
    output, _ = interpreted.communicate()
    assert interpreted.returncode == 0, output
    assert " passed" in output
