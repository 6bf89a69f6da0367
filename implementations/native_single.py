"""The whole training in C, in vectors of 16 floats (8 without AVX-512): native_single.c beside this file.

Loops leave it to the compiler what a vector holds. Here there is one for each class, so no lane is idle: rows are in
the lanes for the logits, features for the gradient. Pixels that are k / 256 are made floats where they are multiplied.

`prepare` lays x out twice, in the orders in which it is read; the C source is compiled in each process, for this CPU.

Price: Sums, and pixels as floats, stay in registers and are not written to memory to be read again, but x is laid out
anew once.

Compare with `numba_dense`: our own vectors in place of loops.
"""

import ctypes
import functools
import os
import subprocess
import tempfile
from pathlib import Path

import torch
from torch.nn.functional import pad

DEVICES = ("cpu",)
PROGRAMS = ("cc",)
LANES = 16 if torch.backends.cpu.get_cpu_capability() == "AVX512" else 8


@functools.cache
def library(**constants):
    """The C source, compiled for this CPU with these constants, and loaded. Raises RuntimeError."""
    source = Path(__file__).with_suffix(".c")
    defines = [f"-D{name}={value}" for name, value in constants.items()]
    command = ["cc", "-O3", "-march=native", "-Wfatal-errors", "-shared", "-fPIC", *defines, source.name]
    with tempfile.TemporaryDirectory() as folder:
        file = f"{folder}/library.so"
        done = subprocess.run([*command, "-o", file], cwd=source.parent, capture_output=True, text=True)
        if done.returncode:
            raise RuntimeError(f"cc failed: {' '.join(done.stderr.split()[-25:])}")  # the cause comes last
        return ctypes.CDLL(file)


def prepare(x, y, batch_size):
    if x.dtype != torch.float32:
        raise TypeError(f"native_single computes in float32, and x is {x.dtype}")
    rows, features = x.shape
    batch_size = min(batch_size, rows)
    tiles = -(-batch_size // LANES)
    blocks = -(-features // LANES)
    if torch.equal((codes := (x * 256).byte()) / 256, x):
        x = codes
    x = pad(x, (0, blocks * LANES - features))
    x, labels = batched(x, batch_size, tiles * LANES, 0), batched(y[:, None].int(), batch_size, tiles * LANES, -1)
    by_row = x.view(-1, tiles, LANES, blocks * LANES).transpose(2, 3)
    by_feature = x.view(-1, tiles * LANES, blocks, LANES).transpose(1, 2)
    return packed(by_row), packed(by_feature), labels, rows


def batched(rows, batch_size, length, fill):
    """(rows, n) as (batches, length, n); what is missing is filled."""
    rows = pad(rows, (0, 0, 0, -len(rows) % batch_size), value=fill).unflatten(0, (-1, batch_size))
    return pad(rows, (0, 0, 0, length - batch_size), value=fill)


def packed(vectors):
    """As they are, or, if they are bytes, four vectors (..., 4, LANES) as one (..., LANES, 4)."""
    if vectors.dtype == torch.uint8:
        vectors = vectors.unflatten(-2, (-1, 4)).transpose(-1, -2)
    return vectors.contiguous()


def train(by_row, by_feature, labels, rows, weight, bias, batch_size, lr, epochs):
    (features, classes), in_bytes = weight.shape, by_row.dtype == torch.uint8
    weight, bias = weight.contiguous().clone(), bias.clone()
    compiled = library(LANES=LANES, CLASSES=classes, BYTES=int(in_bytes))
    tensors = [ctypes.c_void_p(t.data_ptr()) for t in (by_row, by_feature, labels, weight, bias)]
    failure = compiled.train(*tensors, features, rows, min(batch_size, rows), epochs, ctypes.c_float(lr))
    if failure:
        raise OSError(failure, os.strerror(failure))
    return weight, bias
