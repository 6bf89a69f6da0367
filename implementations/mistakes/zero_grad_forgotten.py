"""The gradients are never zeroed, so every step repeats all earlier ones.

You see: The loss swings ever wider, and this loss ends as NaN: gradients pile up, as with a momentum of 1.
Why it is wrong: backward adds to `.grad`; it does not replace it.
The fix: zero the gradients after each update, or set them to None.
Noticed by: one row more than a batch.
People met it: https://discuss.pytorch.org/t/why-is-accumulating-the-default-mode-of-gradient/21967

Compare with `autograd_inplace`: `zero_()` is missing.
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
            loss.backward()
            with torch.no_grad():
                weight -= weight.grad * lr
                bias -= bias.grad * lr
    return weight.detach(), bias.detach()
