"""The labels are a column, (rows, 1), and meet the row numbers, (rows,): every row is paired with every label.

You see: The loss rises above what guessing has, and nothing complains; accuracy stays near one in ten.
Why it is wrong: broadcasting makes (rows, rows) of the two: entry (i, j) is row j's log-probability of row i's label.
The fix: labels of shape (rows,): `y.flatten()`; look at the shapes of what enters a loss.
Noticed by: one step.
People met it: https://github.com/pytorch/pytorch/issues/16045

Compare with `autograd_inplace`: the labels get a second dimension.
"""

import torch

EXPECTED_TO_FAIL = ("large logits",)


def log_softmax(logits):
    return logits - logits.exp().sum(-1).log().unsqueeze(-1)


def nll(log_probabilities, target):
    return -log_probabilities[range(target.shape[0]), target].mean()


def train(x, y, weight, bias, batch_size, lr, epochs):
    y = y[:, None]
    weight, bias = weight.clone().requires_grad_(), bias.clone().requires_grad_()
    for _ in range(epochs):
        for start in range(0, len(x), batch_size):
            xb, yb = x[start : start + batch_size], y[start : start + batch_size]
            loss = nll(log_softmax(xb @ weight + bias), yb)
            loss.backward()
            with torch.no_grad():
                weight -= weight.grad * lr
                bias -= bias.grad * lr
                weight.grad.zero_()
                bias.grad.zero_()
    return weight.detach(), bias.detach()
