"""There is one epoch fewer than asked for.

You see: Loss and accuracy a little worse, as if it needed longer. With one epoch, nothing is trained.
Why it is wrong: range(1, n) has n - 1 numbers.
The fix: `range(epochs)`.
Noticed by: one step.

Compare with `autograd_inplace`: `range(1, epochs)`.
"""

import torch

EXPECTED_TO_FAIL = ("large logits",)


def log_softmax(logits):
    return logits - logits.exp().sum(-1).log().unsqueeze(-1)


def nll(log_probabilities, target):
    return -log_probabilities[range(target.shape[0]), target].mean()


def train(x, y, weight, bias, batch_size, lr, epochs):
    weight, bias = weight.clone().requires_grad_(), bias.clone().requires_grad_()
    for _ in range(1, epochs):
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
