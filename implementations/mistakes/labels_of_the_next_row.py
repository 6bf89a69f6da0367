"""Each row is trained with the label of the next.

You see: The loss ends above where it began: worse than guessing.
Why it is wrong: features and labels are paired by position alone.
The fix: slice x and y alike; a TensorDataset does.
Noticed by: one step.

Compare with `manual_inplace`: the labels are shifted.
"""

import torch


def train(x, y, weight, bias, batch_size, lr, epochs):
    y = y.roll(-1)
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
