"""The caller's own weights are trained.

You see: Right once. The caller trains again and finds weights that are trained already.
Why it is wrong: `-=` changes the tensor that was handed over; another name is not another tensor.
The fix: clone first.
Noticed by: one step.

Compare with `manual_inplace`: `clone()` is missing.
"""

import torch


def train(x, y, weight, bias, batch_size, lr, epochs):
    for _ in range(epochs):
        for start in range(0, len(x), batch_size):
            xb, yb = x[start : start + batch_size], y[start : start + batch_size]
            grad = torch.softmax(xb @ weight + bias, dim=1)
            grad[range(len(yb)), yb] -= 1
            grad /= len(yb)
            weight -= xb.T @ grad * lr
            bias -= grad.sum(0) * lr
    return weight, bias
