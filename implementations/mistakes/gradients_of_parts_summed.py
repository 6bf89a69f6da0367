"""Two halves of each batch are averaged apart, as on two devices, and their gradients summed.

You see: The loss falls; some points of accuracy may be missing, since each step is twice too long.
Why it is wrong: means of parts must be averaged, by their numbers of rows.
The fix: divide by the rows of the whole batch.
Noticed by: one step.
People met it: https://github.com/neuralmagic/sparseml/pull/135

Compare with `manual_inplace`: each half is divided by its own rows.
"""

import torch


def train(x, y, weight, bias, batch_size, lr, epochs):
    weight, bias = weight.clone(), bias.clone()
    for _ in range(epochs):
        for start in range(0, len(x), batch_size):
            xb, yb = x[start : start + batch_size], y[start : start + batch_size]
            grad = torch.softmax(xb @ weight + bias, dim=1)
            grad[range(len(yb)), yb] -= 1
            half = (len(yb) + 1) // 2
            grad[:half] /= half
            grad[half:] /= max(len(yb) - half, 1)
            weight -= xb.T @ grad * lr
            bias -= grad.sum(0) * lr
    return weight, bias
