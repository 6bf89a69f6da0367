"""The learning rate shrinks a little in every step.

You see: Loss and accuracy as good as before.
Why it is wrong: a schedule is another trainer.
The fix: keep it constant, or give all implementations the same schedule.
Noticed by: one row more than a batch.

Compare with `manual_inplace`: a line too many.
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
            bias -= grad.sum(0) * lr
            lr *= 0.999
    return weight, bias
