"""The gradient of the bias is summed over the classes too.

You see: Nothing: that sum is zero but for rounding, so the bias never moves.
Why it is wrong: softmax minus one-hot sums to zero in each row.
The fix: sum over axis 0 only.
Noticed by: one step.

Compare with `manual_inplace`: the axis is missing.
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
            weight -= xb.T @ grad * lr
            bias -= grad.sum() * lr
    return weight, bias
