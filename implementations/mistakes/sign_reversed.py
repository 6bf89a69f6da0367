"""Up the hill: the gradient is added.

You see: The loss rises from the first step.
Why it is wrong: the gradient points to where the loss grows.
The fix: subtract it.
Noticed by: one step.

Compare with `manual_inplace`: `+=` in place of `-=`.
"""

import torch


def train(x, y, weight, bias, batch_size, lr, epochs):
    weight, bias = weight.clone(), bias.clone()
    for _ in range(epochs):
        for start in range(0, len(x), batch_size):
            xb, yb = x[start : start + batch_size], y[start : start + batch_size]
            grad = torch.softmax(xb @ weight + bias, dim=1)
            grad[range(len(yb)), yb] -= 1
            grad /= len(yb)
            weight += xb.T @ grad * lr
            bias += grad.sum(0) * lr
    return weight, bias
