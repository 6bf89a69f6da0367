"""Only the features that a batch uses: where all 64 rows have a zero pixel, nothing is multiplied.

`prepare` keeps of each batch the columns that are not all zero, about 6 in 10 for digits, as one dense matrix
(rows, used), and their numbers. A step gathers the weights of these features, (classes, used), and scatters their
changes. Going on to single pixels would save more, since only one in five is not zero, but it loses: sums over ten
classes are too short for the vector loops that Numba writes, and the BLAS beats them.

Compare with `numba_dense`: the used columns of each batch in place of all.
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
def trained(x, columns, ends, y, scale, weight, bias, batch_size, lr, epochs):
    pixels = np.empty(batch_size * len(weight), bias.dtype)
    logits = np.empty((len(bias), batch_size), bias.dtype)
    top, total, change = np.empty_like(logits[0]), np.empty_like(logits[0]), np.empty(weight.size, bias.dtype)
    for _ in range(epochs):
        first, end = 0, 0
        for batch in range(len(ends)):
            yb = y[batch * batch_size : (batch + 1) * batch_size]
            used, end = columns[end : ends[batch]], ends[batch]
            n, width = len(yb), len(used)
            xb = pixels[: n * width]
            grad = logits if n == batch_size else np.empty((len(bias), n), bias.dtype)
            for j in range(len(xb)):
                xb[j] = x[first + j] * scale
            first += n * width
            xb, wb = xb.reshape(n, width), change[: width * len(bias)].reshape(len(bias), width)
            for c in range(len(bias)):
                for j in range(width):
                    wb[c, j] = weight[used[j], c]
            np.dot(wb, xb.T, grad)
            for c in range(len(bias)):
                grad[c] += bias[c]
            gradient(grad, yb, lr / n, top[:n], total[:n])
            np.dot(grad, xb, wb)
            for c in range(len(bias)):
                bias[c] -= grad[c].sum()
                for j in range(width):
                    weight[used[j], c] -= wb[c, j]


def prepare(x, y, batch_size):
    codes = (x * 256).byte()
    exact = torch.equal(codes.to(x.dtype) / 256, x)
    batches = (codes if exact else x).split(batch_size)
    used = [batch.any(dim=0).nonzero()[:, 0] for batch in batches]
    kept = torch.cat([batch[:, columns].flatten() for batch, columns in zip(batches, used, strict=True)])
    ends = np.cumsum([len(columns) for columns in used])
    return kept.numpy(), torch.cat(used).numpy(), ends, y.numpy(), 1 / 256 if exact else 1.0


def train(x, columns, ends, y, scale, weight, bias, batch_size, lr, epochs):
    weight, bias = weight.numpy().copy(), bias.numpy().copy()
    trained(
        x, columns, ends, y, bias.dtype.type(scale), weight, bias, min(batch_size, len(y)), bias.dtype.type(lr), epochs
    )
    return torch.from_numpy(weight), torch.from_numpy(bias)
