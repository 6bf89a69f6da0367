"""The rows are shuffled, out of good habit.

You see: Loss and accuracy as good as before, and never the same twice.
Why it is wrong: good practice, and another trainer: this one takes rows in their order, so that results can be
compared.
The fix: leave the order alone, or shuffle in all implementations alike.
Noticed by: one step.

Compare with `autograd_inplace`: a random order.
"""

import torch

EXPECTED_TO_FAIL = ("large logits",)


def log_softmax(logits):
    return logits - logits.exp().sum(-1).log().unsqueeze(-1)


def nll(log_probabilities, target):
    return -log_probabilities[range(target.shape[0]), target].mean()


def train(x, y, weight, bias, batch_size, lr, epochs):
    weight, bias = weight.clone().requires_grad_(), bias.clone().requires_grad_()
    for _ in range(epochs):
        order = torch.randperm(len(x))
        x, y = x[order], y[order]
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
