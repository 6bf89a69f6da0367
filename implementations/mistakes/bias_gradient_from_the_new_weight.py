"""The weight is updated before the gradient of the bias is computed.

You see: Nothing: the bias is slightly off.
Why it is wrong: both gradients belong to the same point.
The fix: compute all gradients first, then update.
Noticed by: one step.

Compare with `manual_inplace`: the gradient is computed anew for the bias.
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
            grad = torch.softmax(xb @ weight + bias, dim=1)
            grad[range(len(yb)), yb] -= 1
            grad /= len(yb)
            bias -= grad.sum(0) * lr
    return weight, bias
