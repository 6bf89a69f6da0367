"""The whole training in one CUDA kernel, on one thread-block cluster of a GPU: cluster_epoch.cu beside this file.

A step is too short to meet through global memory. The blocks of a cluster run at once, and each can store into the
shared memory of the others: so each owns a share of the features and their weights for good, and in a step only the
64 x 10 logits and their gradients travel, a few hundred bytes from each block to each.

`prepare` lays x out by tile of 64 rows, block, and patch of two rows by two features, in bytes if pixels are k / 256:
the next tile is copied to shared memory while one is in work. A larger batch is several tiles and one update.

nvcc and ctypes, the route of the C rows: the whole source compiles, and is tested on threads, where there is no GPU.

Price: Many multiprocessors share each step, and no step reads or writes weights in global memory, but twice a step a
block must wait for what the others send.

Compare with `triton_epoch`: many multiprocessors that talk to each other, in place of one program.
"""

import ctypes
import functools
import re
import subprocess
import tempfile
from pathlib import Path

import torch
from torch.nn.functional import pad

DEVICES = ("cuda",)
PROGRAMS = ("nvcc",)
CAPABILITY = (9, 0)
TILE = 64
MOST_CLASSES = 48  # all sums of a product are in a thread's registers
OLDEST_NVCC = (12, 6)  # 12.5 has all of cuda/ptx that is used, but its mbarrier_init does not assemble


def nvcc(*arguments):
    done = subprocess.run(["nvcc", *arguments], capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"the CUDA compiler failed: nvcc {' '.join(arguments)}: {done.stderr[:200]}")
    return done.stdout


def nvcc_version():
    return tuple(map(int, re.search(r"release (\d+)\.(\d+)", nvcc("--version")).groups()))


@functools.cache
def library(**constants):
    """The compiled source: code for sm_90, and PTX, of which a driver makes code for a later GPU."""
    if (version := nvcc_version()) < OLDEST_NVCC:
        raise NotImplementedError("nvcc {}.{} found, {}.{} or newer needed".format(*version, *OLDEST_NVCC))
    defines = [f"-D{name}={value}" for name, value in constants.items()]
    source = Path(__file__).with_suffix(".cu")
    with tempfile.TemporaryDirectory() as folder:
        file = f"{folder}/{source.stem}.so"
        nvcc("-O3", "-std=c++17", "-arch=sm_90", "-shared", "-Xcompiler", "-fPIC", *defines, str(source), "-o", file)
        return ctypes.CDLL(file)


def compiled(blocks, classes, in_bytes):
    if classes > MOST_CLASSES:
        raise ValueError(f"cluster_epoch has room for {MOST_CLASSES} classes, and there are {classes}")
    kernel = library(BLOCKS=blocks, CLASSES=classes, BYTES=int(in_bytes))
    kernel.explained.restype = ctypes.c_char_p
    return kernel


def blocks_granted(in_bytes):
    """How many blocks a cluster can have here: 16 if the GPU has so many multiprocessors side by side, else 8.

    Asked of the kernel for 10 classes, which MNIST needs anyway: `prepare` does not know how many there are, and each
    block takes a multiprocessor, whatever they are.
    """
    for blocks in (16, 8):
        kernel = compiled(blocks, 10, in_bytes)
        if (clusters := kernel.clusters()) > 0:
            return blocks
    reason = kernel.explained(-clusters).decode() if clusters else "too few multiprocessors side by side"
    raise NotImplementedError(f"no cluster of 8 blocks on this GPU: {reason}")


def sizes(features, blocks, batch_size):
    """Pairs of features of a block: odd, to spread over the banks; rows of a tile, in eights; tiles of a batch."""
    length = min(TILE, -(-batch_size // 8) * 8)
    return -(-features // (2 * blocks)) | 1, length, -(-batch_size // length)


def prepare(x, y, batch_size):
    if x.dtype != torch.float32:
        raise TypeError(f"cluster_epoch computes in float32, and x is {x.dtype}")
    rows, features = x.shape
    batch_size = min(batch_size, rows)
    in_bytes = torch.equal((codes := (x * 256).byte()) / 256, x)
    x = codes if in_bytes else x
    with torch.cuda.device(x.device):
        blocks = blocks_granted(in_bytes)
    pairs, length, tiles = sizes(features, blocks, batch_size)
    x = batched(pad(x, (0, 2 * blocks * pairs - features)), batch_size, tiles * length, 0)
    patches = x.view(-1, length // 2, 2, blocks, pairs, 2).permute(0, 3, 1, 4, 2, 5).contiguous()
    labels = batched(y[:, None].int(), batch_size, tiles * length, -1).view(-1, length)
    labels = pad(labels, (0, TILE - length), value=-1).view(-1, blocks, TILE // blocks)
    number = (rows - 1) // batch_size * tiles + (rows - 1) % batch_size // length + 1  # the last batch may need fewer
    return torch.cat([part[:number].view(torch.uint8).flatten(2) for part in (labels, patches)], 2), rows, in_bytes


def batched(rows, batch_size, length, fill):
    """(rows, n) as (batches, length, n); what is missing is filled."""
    rows = pad(rows, (0, 0, 0, -len(rows) % batch_size), value=fill).unflatten(0, (-1, batch_size))
    return pad(rows, (0, 0, 0, length - batch_size), value=fill)


def train(tiles, rows, in_bytes, weight, bias, batch_size, lr, epochs):
    (number, blocks, _), (features, classes), batch_size = tiles.shape, weight.shape, min(batch_size, rows)
    pairs, length, tiles_per_batch = sizes(features, blocks, batch_size)
    with torch.cuda.device(weight.device):
        kernel = compiled(blocks, classes, in_bytes)
        if 0 < (most := kernel.most_features()) < features:
            raise ValueError(f"cluster_epoch has room for {most} features of {classes} classes, and x has {features}")
        weight, bias = weight.contiguous().clone(), bias.clone()
        pointers = [ctypes.c_void_p(t.data_ptr()) for t in (tiles, weight, bias)]
        numbers = features, pairs, length // 2, number, tiles_per_batch, rows, batch_size, epochs
        stream = ctypes.c_void_p(torch.cuda.current_stream().cuda_stream)
        failure = kernel.train(*pointers, *numbers, ctypes.c_float(lr), stream)
    if failure:
        raise RuntimeError(f"cluster_epoch: {kernel.explained(failure).decode()}")
    return weight, bias
