"""Hand-derived gradient; each update makes new parameters instead of changing the old ones.

Without autograd a tensor is only its values: there is no leaf to care for, and nothing else changes.

Price: Every step allocates the parameters once more, and the operations are as many as before.

Compare with `manual_inplace`: `weight = weight - ...` in place of `weight -= ...`.
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
            weight = weight - xb.T @ grad * lr
            bias = bias - grad.sum(0) * lr
    return weight, bias
