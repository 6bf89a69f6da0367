"""The gradients are zeroed before there are any.

You see: AttributeError: 'NoneType' object has no attribute 'zero_', in the first step.
Why it is wrong: `.grad` is None until the first backward.
The fix: zero after the update, or test for None; `zero_grad()` of a module does.
Noticed by: one step.

Compare with `autograd_inplace`: zeroed before backward in place of after the update.
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
        for start in range(0, len(x), batch_size):
            xb, yb = x[start : start + batch_size], y[start : start + batch_size]
            loss = nll(log_softmax(xb @ weight + bias), yb)
            weight.grad.zero_()
            bias.grad.zero_()
            loss.backward()
            with torch.no_grad():
                weight -= weight.grad * lr
                bias -= bias.grad * lr
    return weight.detach(), bias.detach()
