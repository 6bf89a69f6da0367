"""Triton: a whole training, batch after batch, is one kernel.

The loop over the batches moves into the kernel, so the GPU is asked once. What remains of the end of a kernel is a
barrier: all weights must be written before a thread reads them for the next batch.

A step is what it is in triton_step. For 64 rows after the other: their logits, summed over tiles of features; the
softmax; the gradient of the logits. Then for one tile of features after the other: the gradient of its weights, summed
over all rows before they change, once. The bias is the weight of one more pixel, which is 1 in every row. Products are
exact: a float32 of 24 bits is three numbers of 8 bits (bf16), which tensor cores multiply without loss.

Compare with `triton_step`: the loop is inside the kernel, with a barrier between two steps.
"""

import torch
import triton
import triton.language as tl

DEVICES = ("cuda",)
REQUIRES = ("triton",)
ROWS, FEATURES = tl.constexpr(64), tl.constexpr(128)  # of a tile


@triton.jit
def product(x, inside, values):
    """x, which is bf16 and in memory, times values, which are float32: the sum of three exact products."""
    pixels = tl.load(x, mask=inside, other=0.0)
    high = values.to(pixels.dtype)
    middle = (values - high).to(pixels.dtype)
    low = (values - high - middle).to(pixels.dtype)
    return tl.dot(pixels, high, tl.dot(pixels, middle, tl.dot(pixels, low)))


@triton.jit
def step(x, y, weight, grads, start, rows, features, classes, lr,
         PARTS: tl.constexpr, TILES: tl.constexpr, WIDTH: tl.constexpr):  # fmt: skip
    row, column, label = tl.arange(0, ROWS).to(tl.int64), tl.arange(0, FEATURES).to(tl.int64), tl.arange(0, WIDTH)
    for top in range(0, TILES * ROWS, ROWS):
        inside, logits = top + row < rows, tl.zeros((ROWS, WIDTH), tl.float32)
        for left in range(0, features, FEATURES):
            values = tl.load(weight + (left + column)[:, None] * WIDTH + label)
            for part in tl.static_range(PARTS):
                xb = x + (start + top + row)[:, None] * (PARTS * features) + part * features + left + column
                logits += product(xb, inside[:, None], values)
        logits = tl.where(label < classes, logits, -float("inf"))
        odds = tl.exp(logits - tl.max(logits, 1)[:, None])
        yb = tl.load(y + start + top + row, mask=inside, other=0)
        grad = odds / tl.sum(odds, 1)[:, None] - (label == yb[:, None]).to(tl.float32)
        tl.store(grads + (top + row)[:, None] * WIDTH + label, tl.where(inside[:, None], grad / rows, 0.0))
    tl.debug_barrier()
    for left in range(0, features, FEATURES):
        place, weight_grad = weight + (left + column)[:, None] * WIDTH + label, tl.zeros((FEATURES, WIDTH), tl.float32)
        for top in range(0, TILES * ROWS, ROWS):
            grad = tl.load(grads + (top + row)[:, None] * WIDTH + label)
            for part in tl.static_range(PARTS):
                xb = x + (start + top + row) * (PARTS * features) + part * features + (left + column)[:, None]
                weight_grad += product(xb, top + row < rows, grad)
        tl.store(place, tl.load(place) - lr * weight_grad)


@triton.jit(do_not_specialize=["n", "batch", "epochs"])  # or the first batch, and one row, would be compiled
def training(x, y, weight, grads, n, features, classes, batch, lr, epochs,
             PARTS: tl.constexpr, TILES: tl.constexpr, WIDTH: tl.constexpr):  # fmt: skip
    for _ in range(epochs):
        for start in range(0, n.to(tl.int64), batch):
            step(x, y, weight, grads, start, tl.minimum(batch, n - start), features, classes, lr, PARTS, TILES, WIDTH)
            tl.debug_barrier()  # the next step begins with these weights, and writes over the gradients


def prepare(x, y, batch_size):
    if x.dtype != torch.float32:
        raise TypeError(f"triton_epoch computes in float32, and x is {x.dtype}")
    x = torch.constant_pad_nd(torch.constant_pad_nd(x, (0, 1), 1), (0, -(x.shape[1] + 1) % FEATURES.value))
    high = x.bfloat16()
    middle = (x - high).bfloat16()
    x = torch.stack([part for part in ((x - high - middle).bfloat16(), middle, high) if part.any()], 1)
    return x if x.is_cuda else x.float(), y.contiguous()  # the interpreter, on a CPU, cannot multiply bf16


def train(x, y, weight, bias, batch_size, lr, epochs):
    (n, parts, wide), (features, classes), batch_size = x.shape, weight.shape, min(batch_size, len(x))
    if classes > 128:
        raise ValueError(f"triton_epoch has room for 128 classes, and there are {classes}")
    sizes = {"PARTS": parts, "TILES": triton.cdiv(batch_size, 64), "WIDTH": max(16, triton.next_power_of_2(classes))}
    weight = torch.constant_pad_nd(torch.vstack([weight, bias]), (0, sizes["WIDTH"] - classes, 0, wide - features - 1))
    grads = weight.new_empty(sizes["TILES"] * 64, sizes["WIDTH"])
    training[(1,)](x, y, weight, grads, n, wide, classes, batch_size, float(lr), epochs, **sizes)
    return weight[:features, :classes], weight[features, :classes]
