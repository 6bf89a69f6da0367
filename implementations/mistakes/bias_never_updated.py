"""The bias stays as it was.

You see: Nothing: 10 of 7850 parameters.
Why it is wrong: every parameter needs its update.
The fix: update the bias.
Noticed by: one step.

Compare with `manual_inplace`: a line is missing.
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
    return weight, bias
