"""Triton: a whole step, from the pixels to the new weights, is one kernel.

A kernel is what a GPU is given to do at once. manual_transposed gives it a dozen small ones a step, and each has to be
started, and to read what the one before has written. Here one program does the whole step. For 64 rows after the
other: their logits, summed over tiles of features; the softmax; the gradient of the logits. Then for one tile of
features after the other: the gradient of its weights, summed over all rows before they change, once. The bias is the
weight of one more pixel, which is 1 in every row.

Products are taken on tensor cores, which multiply numbers of 8 significant bits (bf16) exactly and add them up in
float32. A float32 has 24 bits: rounded to 8, what is left rounded to 8, and the rest, which has no more than 8. So
x @ weight is the sum of three such products, and no bit of them is lost. `prepare` finds out how many parts x needs:
one where pixels are k / 256, else up to three. A tensor core cuts off what does not fit into its sum, where others
round, so it adds up one tile only; from there on sums are float32 as everywhere.

Why one barrier is enough: which thread does what is the compiler's choice, and may differ above and below. At the
barrier all gradients of logits are written and all weights are read, before any thread goes on. Below it a weight
is read and written within its own tile, so the compiler may load ahead what the next tiles need, in a pipeline of so
many `stages`: three, of x in three parts, would fill 112 KB of shared memory, and an RTX has 99.

Price: A step is one launch in place of a dozen, but one program keeps only one of a GPU's many processors busy.

Compare with `manual_transposed`: a step is one kernel, and weights lie as (features, classes).
"""

import torch
import triton
import triton.language as tl

DEVICES = ("cuda",)
REQUIRES = ("triton",)
CAPABILITY = (8, 0)  # the first whose tensor cores take bf16
ROWS, FEATURES = tl.constexpr(64), tl.constexpr(128)  # of a tile


@triton.jit
def product(x, values):
    """x, which is bf16, times values, which are float32: the sum of three exact products."""
    high = values.to(x.dtype)
    middle = (values - high).to(x.dtype)
    low = (values - high - middle).to(x.dtype)
    return tl.dot(x, high, tl.dot(x, middle, tl.dot(x, low)))


@triton.jit(do_not_specialize=["start", "rows"])  # one kernel for all values, 1 and multiples of 16 too
def step(x, y, weight, grads, start, rows, features, classes, lr,
         PARTS: tl.constexpr, TILES: tl.constexpr, WIDTH: tl.constexpr):  # fmt: skip
    row, column, label = tl.arange(0, ROWS), tl.arange(0, FEATURES), tl.arange(0, WIDTH)
    stride = PARTS * features.to(tl.int64)  # x may be larger than 32 bits can count; a tile is not
    for top in range(0, TILES * ROWS, ROWS):
        inside, logits = top + row < rows, tl.where(label < classes, tl.zeros((ROWS, WIDTH), tl.float32), float("-inf"))
        for left in range(0, features, FEATURES):
            values = tl.load(weight + left * WIDTH + column[:, None] * WIDTH + label)
            for part in tl.static_range(PARTS):
                xb = x + (start + top) * stride + part * features + left + row[:, None] * (PARTS * features) + column
                logits += product(tl.load(xb, mask=inside[:, None], other=0.0), values)
        odds = tl.exp(logits - tl.max(logits, 1)[:, None])
        yb = tl.load(y + start + top + row, mask=inside, other=0)
        grad = odds / tl.sum(odds, 1)[:, None] - (label == yb[:, None]).to(tl.float32)
        tl.store(grads + top * WIDTH + row[:, None] * WIDTH + label, grad / rows)
    tl.debug_barrier()
    for left in range(0, features, FEATURES):
        weight_grad = tl.zeros((FEATURES, WIDTH), tl.float32)
        for top in range(0, TILES * ROWS, ROWS):
            grad = tl.load(grads + top * WIDTH + row[:, None] * WIDTH + label)
            for part in tl.static_range(PARTS):
                xb = x + (start + top) * stride + part * features + left + row * (PARTS * features) + column[:, None]
                weight_grad += product(tl.load(xb, mask=top + row < rows, other=0.0), grad)
        place = weight + left * WIDTH + column[:, None] * WIDTH + label
        tl.store(place, tl.load(place) - lr * weight_grad)


def prepare(x, y, batch_size):
    if x.dtype != torch.float32:
        raise TypeError(f"triton_step computes in float32, and x is {x.dtype}")
    x = torch.constant_pad_nd(torch.constant_pad_nd(x, (0, 1), 1), (0, -(x.shape[1] + 1) % FEATURES.value))
    middle = (x - (high := x.bfloat16())).bfloat16()
    x = torch.stack([part for part in ((x - high - middle).bfloat16(), middle, high) if part.any()], 1)
    return x if x.is_cuda else x.float(), y.contiguous()  # the interpreter, on a CPU, cannot multiply bf16


def train(x, y, weight, bias, batch_size, lr, epochs):
    (n, parts, wide), (features, classes), batch_size = x.shape, weight.shape, min(batch_size, len(x))
    if batch_size > 2**24 or wide > 2**23 or classes > 32:
        raise ValueError(f"triton_step: {batch_size=}, {features=}, {classes=}; at most {2**24}, {2**23 - 1} and 32")
    sizes = {"PARTS": parts, "TILES": triton.cdiv(batch_size, 64), "WIDTH": max(16, triton.next_power_of_2(classes))}
    weight = torch.constant_pad_nd(torch.vstack([weight, bias]), (0, sizes["WIDTH"] - classes, 0, wide - features - 1))
    grads, stages = weight.new_empty(sizes["TILES"] * 64, sizes["WIDTH"]), 3 if parts == 1 else 2
    for _ in range(epochs):
        for start in range(0, n, batch_size):
            rows = min(batch_size, n - start)
            step[(1,)](x, y, weight, grads, start, rows, wide, classes, float(lr), num_stages=stages, **sizes)
    return weight[:features, :classes], weight[features, :classes]
