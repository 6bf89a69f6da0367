"""The whole training in one function that Numba compiles: Python is never asked between two steps.

All is written as loops, which cost nothing here. A loop along a row of floats becomes vector instructions, if it may
add in another order: fastmath allows that, and to fuse a product with a sum, but must keep NaN. The update takes four
rows at a time, so that a sum is read and written once for four products; where rows are missing to the last four,
their gradient is zero.

What remains is waiting for x, 157 MB an epoch. Pixels that are k / 256 are kept as bytes, exactly, and made floats
batch by batch in an array that stays in the cache.

torch makes the large arrays, because it begins each at a cache line of 64 bytes. NumPy's and Numba's begin anywhere, so
that vectors may lie in two lines each: by that luck alone an epoch took up to a third longer in one process than in
another.

Price: No step calls Python, and pixels kept as bytes are a quarter of the memory to read, but the function is compiled
on the first call.

Compare with `numpy_loop`: compiled loops in place of array operations, weights transposed, pixels as bytes.
"""

import numpy as np
import torch
from numba import njit

DEVICES = ("cpu",)
REQUIRES = ("numba",)
COMPILED = njit(cache=True, error_model="numpy", fastmath={"reassoc", "contract", "nsz"})


@COMPILED
def forward(x, weight, bias, logits):
    """logits (rows, classes) = x (rows, features) times weight (classes, features), transposed, plus bias."""
    for i in range(len(x)):
        for c in range(len(weight)):
            total = bias[c]
            for j in range(x.shape[1]):
                total += weight[c, j] * x[i, j]
            logits[i, c] = total


@COMPILED
def update(x, grad, weight, bias, change):
    """Subtracts grad (rows, classes), transposed, times x from weight, and its sums from bias; rows in fours."""
    change[:] = 0  # subtracted from the weights by fours, it would be rounded 16 times a step
    for i in range(0, len(x), 4):
        for c in range(len(weight)):
            g0, g1, g2, g3 = grad[i : i + 4, c]
            for j in range(x.shape[1]):
                change[c, j] += g0 * x[i, j] + g1 * x[i + 1, j] + g2 * x[i + 2, j] + g3 * x[i + 3, j]
    weight -= change
    bias -= grad.sum(0)


@COMPILED
def trained(x, y, scale, weight, bias, pixels, change, batch_size, lr, epochs):
    for _ in range(epochs):
        for start in range(0, len(x), batch_size):
            xb, yb = x[start : start + batch_size], y[start : start + batch_size]
            n = len(yb)
            rows = pixels[: n + -n % 4]
            for i in range(n):
                for j in range(x.shape[1]):
                    rows[i, j] = xb[i, j] * scale
            grad = np.zeros((len(rows), len(bias)), bias.dtype)
            forward(rows[:n], weight, bias, grad)
            step = bias.dtype.type(lr / n)
            for i in range(n):
                grad[i] = np.exp(grad[i] - grad[i].max())
                grad[i] *= step / grad[i].sum()
                grad[i, yb[i]] -= step
            update(rows, grad, weight, bias, change)


def prepare(x, y, batch_size):
    exact = torch.equal((codes := (x * 256).byte()).to(x.dtype) / 256, x)
    return (codes if exact else x).numpy(), y.numpy(), 1 / 256 if exact else 1.0


def train(x, y, scale, weight, bias, batch_size, lr, epochs):
    weight, bias = weight.T.clone(memory_format=torch.contiguous_format), bias.clone()
    pixels, change = weight.new_zeros(min(batch_size, len(y)) + 3, x.shape[1]), torch.empty_like(weight)
    arrays = [tensor.numpy() for tensor in (weight, bias, pixels, change)]
    trained(x, y, arrays[0].dtype.type(scale), *arrays, batch_size, lr, epochs)
    return weight.T, bias
