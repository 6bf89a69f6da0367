"""requires_grad comes before the division, so the weight is a result and no leaf.

You see: `weight.grad` is None, with a warning: TypeError in the first update.
Why it is wrong: backward fills `.grad` of leaves only: tensors that no recorded operation made.
The fix: scale first, then `requires_grad_()`.
Noticed by: one step.

Compare with `autograd_inplace`: scaled after `requires_grad_()`.
"""

import torch

EXPECTED_TO_FAIL = ("large logits",)


def log_softmax(logits):
    return logits - logits.exp().sum(-1).log().unsqueeze(-1)


def nll(log_probabilities, target):
    return -log_probabilities[range(target.shape[0]), target].mean()


def train(x, y, weight, bias, batch_size, lr, epochs):
    weight, bias = (weight * 28).requires_grad_() / 28, bias.clone().requires_grad_()
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
