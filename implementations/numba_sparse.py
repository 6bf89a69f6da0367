"""Only the features that a batch uses: where all 64 rows have a zero pixel, nothing is multiplied.

`prepare` keeps of each batch the columns that are not all zero, about 6 in 10 for digits, as one dense matrix
(rows, used), and their numbers. A step gathers the weights of these features, (classes, used), and scatters them
again. Going on to single pixels would save more, since only one in five is not zero, but it loses: sums over ten
classes are too short for the vector loops that Numba writes.

Price: Columns that are left out are neither read nor multiplied, but every step gathers the weights of the others and
scatters them again.

Compare with `numba_dense`: the used columns of each batch in place of all.
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
def trained(x, columns, ends, y, scale, weight, bias, pixels, change, batch_size, lr, epochs):
    for _ in range(epochs):
        first, end = 0, 0
        for batch in range(len(ends)):
            used, end = columns[end : ends[batch]], ends[batch]
            yb = y[batch * batch_size : (batch + 1) * batch_size]
            n = len(yb)
            rows = pixels[: (n + -n % 4) * len(used)].reshape(n + -n % 4, len(used))
            for i in range(n):
                for j in range(len(used)):
                    rows[i, j] = x[first + i * len(used) + j] * scale
            first += n * len(used)
            own = weight[:, used]
            grad = np.zeros((len(rows), len(bias)), bias.dtype)
            forward(rows[:n], own, bias, grad)
            step = bias.dtype.type(lr / n)
            for i in range(n):
                grad[i] = np.exp(grad[i] - grad[i].max())
                grad[i] *= step / grad[i].sum()
                grad[i, yb[i]] -= step
            update(rows, grad, own, bias, change[: own.size].reshape(own.shape))
            for c in range(len(bias)):
                for j in range(len(used)):
                    weight[c, used[j]] = own[c, j]


def prepare(x, y, batch_size):
    exact = torch.equal((codes := (x * 256).byte()).to(x.dtype) / 256, x)
    batches = (codes if exact else x).split(batch_size)
    used = [batch.any(dim=0).nonzero()[:, 0] for batch in batches]
    kept = torch.cat([batch[:, columns].flatten() for batch, columns in zip(batches, used, strict=True)])
    return kept.numpy(), torch.cat(used).numpy(), np.cumsum([*map(len, used)]), y.numpy(), 1 / 256 if exact else 1.0


def train(x, columns, ends, y, scale, weight, bias, batch_size, lr, epochs):
    weight, bias = weight.T.clone(memory_format=torch.contiguous_format), bias.clone()
    pixels, change = weight.new_zeros((min(batch_size, len(y)) + 3) * len(weight.T)), torch.empty_like(weight).view(-1)
    arrays = [tensor.numpy() for tensor in (weight, bias, pixels, change)]
    trained(x, columns, ends, y, arrays[0].dtype.type(scale), *arrays, batch_size, lr, epochs)
    return weight.T, bias
