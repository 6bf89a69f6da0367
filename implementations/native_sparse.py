"""The non-zero pixels only: vectors of 16 pixels that are all zero are left out.

Four fifths of the pixels are zero and add nothing. Skipping each of them would cost more than it saves: a vector
unit multiplies 16 at once. So whole vectors are skipped. For the logits a vector is 16 rows at one feature: 46 % are
left. For the gradient it is 16 features of one row. Features that are zero together should share a vector: 36 % are
left if it is a 4 x 4 patch of the image, 59 % if it is 16 pixels of one line.

Price: Vectors of zeros are neither read nor multiplied, but an index is read with each of the others, and lists are
made once.

Compare with `native_dense`: lists of vectors and where they belong, in place of all vectors in order; features in the
order of patches.
"""

import ctypes
import functools
import math
import os
import subprocess
import tempfile
from pathlib import Path

import torch
from torch.nn.functional import pad

DEVICES = ("cpu",)
PROGRAMS = ("cc",)
LANES = 16 if torch.backends.cpu.get_cpu_capability() == "AVX512" else 8
MOST_THREADS = 8  # each repeats the softmax and reads what all the others wrote


@functools.cache
def library(**constants):
    """The C source, compiled for this CPU with these constants, and loaded. Raises RuntimeError."""
    source = Path(__file__).with_suffix(".c")
    defines = [f"-D{name}={value}" for name, value in constants.items()]
    command = ["cc", "-O3", "-march=native", "-Wfatal-errors", "-shared", "-fPIC", "-pthread", *defines, source.name]
    with tempfile.TemporaryDirectory() as folder:
        file = f"{folder}/library.so"
        done = subprocess.run([*command, "-o", file], cwd=source.parent, capture_output=True, text=True)
        if done.returncode:
            raise RuntimeError(f"cc failed: {' '.join(done.stderr.split()[-25:])}")  # the cause comes last
        return ctypes.CDLL(file)


def prepare(x, y, batch_size):
    if x.dtype != torch.float32:
        raise TypeError(f"native_sparse computes in float32, and x is {x.dtype}")
    threads = min(torch.get_num_threads(), MOST_THREADS)
    rows, features = x.shape
    batch_size = min(batch_size, rows)
    tiles = -(-batch_size // LANES)
    blocks = -(-features // (LANES * threads)) * threads
    if torch.equal((codes := (x * 256).byte()) / 256, x):
        x = codes
    order = patches(features)
    x = pad(x[:, order], (0, blocks * LANES - features))
    x, labels = batched(x, batch_size, tiles * LANES, 0), batched(y[:, None].int(), batch_size, tiles * LANES, -1)
    by_row = x.view(-1, tiles, LANES, threads, blocks // threads * LANES).permute(3, 0, 1, 4, 2)
    by_feature = x.view(-1, tiles * LANES, threads, blocks // threads, LANES).permute(2, 0, 3, 1, 4)
    index = torch.int16 if max(by_row.shape[-2], by_feature.shape[-2]) < 2**15 else torch.int32
    return packed(by_row, index), packed(by_feature, index), labels, order, threads, rows


def batched(rows, batch_size, length, fill):
    """(rows, n) as (batches, length, n); what is missing is filled."""
    rows = pad(rows, (0, 0, 0, -len(rows) % batch_size), value=fill).unflatten(0, (-1, batch_size))
    return pad(rows, (0, 0, 0, length - batch_size), value=fill)


def patches(features):
    """The order in which features are taken: square images by patches of 4 x 4."""
    side = math.isqrt(features)
    order = torch.arange(features)
    if side**2 != features or side % 4:
        return order
    return order.view(side // 4, 4, side // 4, 4).transpose(1, 2).flatten()


def packed(vectors, index_dtype):
    """The vectors (..., segment, position, LANES) that are not zero: (start, index, vectors), see the source."""
    vectors = vectors.flatten(0, -3)
    used = vectors.ne(0).any(-1)
    count = used.sum(1)
    start = pad((-(-count // 4) * 4).cumsum(0), (1, 0))
    segment, position = used.nonzero(as_tuple=True)
    place = torch.arange(len(segment)) + (start[:-1] - (count.cumsum(0) - count))[segment]
    index = torch.zeros(start[-1], dtype=index_dtype)
    index[place] = position.to(index_dtype)
    kept = torch.zeros(start[-1], LANES, dtype=vectors.dtype)
    kept[place] = vectors[used]
    if kept.dtype == torch.uint8:  # four vectors of bytes as one
        kept = kept.unflatten(0, (-1, 4)).transpose(-1, -2).contiguous()
    return start.int(), index, kept


def train(by_row, by_feature, labels, order, threads, rows, weight, bias, batch_size, lr, epochs):
    (features, classes), in_bytes, index = weight.shape, by_row[2].dtype == torch.uint8, by_row[1].dtype
    weight, bias = weight.contiguous().clone(), bias.clone()
    compiled = library(
        LANES=LANES, CLASSES=classes, BYTES=int(in_bytes), INDEX="uint16_t" if index == torch.int16 else "uint32_t"
    )
    tensors = [ctypes.c_void_p(t.data_ptr()) for t in (*by_row, *by_feature, labels, order, weight, bias)]
    failure = compiled.train(*tensors, features, rows, min(batch_size, rows), epochs, threads, ctypes.c_float(lr))
    if failure:
        raise OSError(failure, f"{threads} threads: {os.strerror(failure)}")
    return weight, bias
