"""The short last batch is divided by 64, as if it were full.

You see: Nothing: one step of 782 is too short.
Why it is wrong: a mean is over the rows that are there.
The fix: divide by `len(yb)`.
Noticed by: one row.
People met it: https://github.com/meta-pytorch/torchtune/pull/1875

Compare with `manual_inplace`: `batch_size` in place of `len(yb)`.
"""

import torch


def train(x, y, weight, bias, batch_size, lr, epochs):
    weight, bias = weight.clone(), bias.clone()
    for _ in range(epochs):
        for start in range(0, len(x), batch_size):
            xb, yb = x[start : start + batch_size], y[start : start + batch_size]
            grad = torch.softmax(xb @ weight + bias, dim=1)
            grad[range(len(yb)), yb] -= 1
            grad /= batch_size
            weight -= xb.T @ grad * lr
            bias -= grad.sum(0) * lr
    return weight, bias
