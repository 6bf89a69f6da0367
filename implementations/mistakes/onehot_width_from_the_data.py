"""one_hot takes as many classes as it finds in the labels.

You see: Right whenever the largest label is there; on few rows, an error about shapes, or classes that are missing.
Why it is wrong: one_hot counts up to the largest label it sees.
The fix: say how many classes there are.
Noticed by: one row.

Compare with `manual_onehot`: `len(bias)` is missing.
"""

import torch
import torch.nn.functional as F


def train(x, y, weight, bias, batch_size, lr, epochs):
    weight, bias = weight.clone(), bias.clone()
    onehot = F.one_hot(y).to(x.dtype)
    for _ in range(epochs):
        for start in range(0, len(x), batch_size):
            xb, yb = x[start : start + batch_size], onehot[start : start + batch_size]
            grad = torch.softmax(xb @ weight + bias, dim=1) - yb
            grad /= len(yb)
            weight -= xb.T @ grad * lr
            bias -= grad.sum(0) * lr
    return weight, bias
