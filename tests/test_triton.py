"""The Triton kernels, without a GPU: run by Triton's interpreter, and compiled for one that need not be there."""

import ast
import importlib.metadata
import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import implementations

ROOT = Path(__file__).parent.parent

pytestmark = [
    pytest.mark.skipif(importlib.util.find_spec("triton") is None, reason="triton is not installed"),
    pytest.mark.skipif("TRITON_INTERPRET" in os.environ, reason="TRITON_INTERPRET is set, so nothing can be compiled"),
]


def version():
    """Of Triton, as (major, minor); (0, 0) where there is none."""
    try:
        return tuple(map(int, importlib.metadata.version("triton").split(".")[:2]))
    except importlib.metadata.PackageNotFoundError:
        return 0, 0


@pytest.mark.skipif(version() < (3, 9), reason="the interpreter of Triton 3.6 fails with NumPy 2.4; 3.9 does not")
def test_in_the_interpreter():
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/triton_interpreted.py"]
    environment = os.environ | {"TRITON_INTERPRET": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert " passed" in done.stdout


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


SHARED_OF_AN_H100 = 227 * 1024
KERNELS = {"triton_step": "step", "triton_epoch": "training"}
TYPES = {"x": "*bf16", "y": "*i64", "weight": "*fp32", "grads": "*fp32", "lr": "fp32"}  # the others are int32
ALIGNED = ["x", "y", "weight", "grads", "features"]


@pytest.fixture
def compiled(tmp_path, monkeypatch):
    """A function that compiles a kernel for an H100."""
    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path))
    monkeypatch.setenv("TRITON_DEFAULT_FP_FUSION", "1")
    import triton
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    def compiled(name, **sizes):
        kernel = getattr(implementations.load(name), KERNELS[name])
        signature = {arg: "constexpr" if arg in sizes else TYPES.get(arg, "i32") for arg in kernel.arg_names}
        attributes = {(kernel.arg_names.index(arg),): [["tt.divisibility", 16]] for arg in ALIGNED}
        source = ASTSource(kernel, signature, sizes, attributes)
        return triton.compile(source, target=GPUTarget("cuda", 90, 32))

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


@pytest.mark.parametrize("name", KERNELS)
def test_compiled_for_an_h100_it_keeps_in_registers(compiled, name, tmp_path):
    """What MNIST takes: pixels k / 256, 10 classes, batches of 64. Others may spill: larger batches, in Triton 3.6."""
    kernel = compiled(name, PARTS=1, TILES=1, WIDTH=16)
    found = used(kernel, tmp_path)
    assert found["STACK"] == found["LOCAL"] == 0
    assert found["SHARED"] <= SHARED_OF_AN_H100
    assert "wgmma.mma_async.sync.aligned.m64n16k16.f32.bf16.bf16" in kernel.asm["ptx"]
    assert "tf32" not in kernel.asm["ptx"]


@pytest.mark.parametrize("name", KERNELS)
def test_the_most_classes_and_parts_fit(compiled, name, tmp_path):
    assert used(compiled(name, PARTS=3, TILES=2, WIDTH=32), tmp_path)["SHARED"] <= SHARED_OF_AN_H100


def test_nobody_passes_before_all_have_written():
    """A missing barrier shows on a GPU only, and there now and then."""
    sources = [implementations.source(name).count("    tl.debug_barrier()\n") for name in KERNELS]
    epoch = implementations.source("triton_epoch").count("tl.debug_barrier()  # the next step begins")
    assert (sources, epoch) == ([1, 1], 1)


@pytest.mark.parametrize("name", KERNELS)
def test_sums_of_tiles_are_taken_outside_of_the_tensor_cores(compiled, name):
    """The compiler may put an addition into the product before it; three products in a row leave it no room."""
    text = compiled(name, PARTS=1, TILES=2, WIDTH=16).asm["ttgir"]
    carried = re.findall(r"warp_group_dot [^,]*, [^,]*, %(\w+)", text)
    assert len(carried) == 6
    assert not [value for value in carried if value.startswith("arg")]
