"""The whole training in one function that Numba compiles: between two matrix products, Python is never asked.

The products stay with a BLAS, `np.dot` into arrays made once. Everything else is written as loops, which cost
nothing here: a loop along a row of floats becomes vector instructions, and the logits of a batch, (classes, rows),
never leave the fastest cache. fastmath may reorder sums and fuse a product with a sum, but must keep NaN.

What remains is waiting for x, 157 MB an epoch. Pixels that are k / 256 are kept as bytes, exactly, and made floats
batch by batch in an array that stays in the cache, where the BLAS reads it twice.

Compare with `numpy_loop`: compiled loops in place of array operations, everything transposed, pixels as bytes.
"""

import numpy as np
import torch
from numba import njit

DEVICES = ("cpu",)
REQUIRES = ("numba", "scipy")  # Numba's np.dot calls SciPy's BLAS
COMPILED = njit(error_model="numpy", fastmath={"reassoc", "contract", "nsz"})


@COMPILED
def gradient(logits, labels, step, top, total):
    """Turns logits (classes, rows) into (softmax - onehot) * step; top and total (rows,) are for its own use."""
    top[:], total[:] = -np.inf, 0
    for c in range(len(logits)):
        for i in range(len(labels)):
            top[i] = max(top[i], logits[c, i])
    for c in range(len(logits)):
        for i in range(len(labels)):
            logits[c, i] = np.exp(logits[c, i] - top[i])
            total[i] += logits[c, i]
    for c in range(len(logits)):
        for i in range(len(labels)):
            logits[c, i] *= step / total[i]
    for i in range(len(labels)):
        logits[labels[i], i] -= step


@COMPILED
def trained(x, y, scale, weight, bias, batch_size, lr, epochs):
    pixels = np.empty((batch_size, x.shape[1]), bias.dtype)
    logits = np.empty((len(bias), batch_size), bias.dtype)
    top, total, change = np.empty_like(logits[0]), np.empty_like(logits[0]), np.empty_like(weight)
    for _ in range(epochs):
        for start in range(0, len(x), batch_size):
            yb = y[start : start + batch_size]
            n = len(yb)
            xb, grad = pixels[:n], logits if n == batch_size else np.empty((len(bias), n), bias.dtype)
            flat, codes = xb.reshape(-1), x[start : start + n].reshape(-1)
            for j in range(len(codes)):
                flat[j] = codes[j] * scale
            np.dot(weight, xb.T, grad)
            for c in range(len(bias)):
                grad[c] += bias[c]
            gradient(grad, yb, lr / n, top[:n], total[:n])
            np.dot(grad, xb, change)
            weight -= change
            for c in range(len(bias)):
                bias[c] -= grad[c].sum()


def prepare(x, y, batch_size):
    codes = (x * 256).byte()
    exact = torch.equal(codes.to(x.dtype) / 256, x)
    return (codes if exact else x).numpy(), y.numpy(), 1 / 256 if exact else 1.0


def train(x, y, scale, weight, bias, batch_size, lr, epochs):
    weight, bias = weight.numpy().T.copy(), bias.numpy().copy()
    trained(x, y, bias.dtype.type(scale), weight, bias, min(batch_size, len(y)), bias.dtype.type(lr), epochs)
    return torch.from_numpy(weight.T), torch.from_numpy(bias)
