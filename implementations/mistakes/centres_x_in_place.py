"""The caller's rows are centred, in place.

You see: The loss falls, to a worse accuracy, and everybody who uses x afterwards gets other numbers.
Why it is wrong: `-=` on a slice changes what it is a slice of.
The fix: leave x as it is.
Noticed by: one step.

Compare with `manual_inplace`: a line too many.
"""

import torch


def train(x, y, weight, bias, batch_size, lr, epochs):
    weight, bias = weight.clone(), bias.clone()
    for _ in range(epochs):
        for start in range(0, len(x), batch_size):
            xb, yb = x[start : start + batch_size], y[start : start + batch_size]
            xb -= xb.mean()
            grad = torch.softmax(xb @ weight + bias, dim=1)
            grad[range(len(yb)), yb] -= 1
            grad /= len(yb)
            weight -= xb.T @ grad * lr
            bias -= grad.sum(0) * lr
    return weight, bias
