"""Pixels k / 256 are taken for k / 255.

You see: Nothing: they are 0.4 % brighter.
Why it is wrong: libraries differ: torchvision divides by 255, the tutorial by 256.
The fix: use the pixels as given.
Noticed by: one step.

Compare with `manual_inplace`: another scale.
"""

import torch


def train(x, y, weight, bias, batch_size, lr, epochs):
    x = x * 256 / 255
    weight, bias = weight.clone(), bias.clone()
    for _ in range(epochs):
        for start in range(0, len(x), batch_size):
            xb, yb = x[start : start + batch_size], y[start : start + batch_size]
            grad = torch.softmax(xb @ weight + bias, dim=1)
            grad[range(len(yb)), yb] -= 1
            grad /= len(yb)
            weight -= xb.T @ grad * lr
            bias -= grad.sum(0) * lr
    return weight, bias
