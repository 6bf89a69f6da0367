"""The new parameters are never told to require a gradient.

You see: RuntimeError in the second step: element 0 of tensors does not require grad.
Why it is wrong: what is computed under no_grad requires none.
The fix: `requires_grad_()` on each new parameter.
Noticed by: one row more than a batch.

Compare with `autograd_outofplace`: `requires_grad_()` is missing.
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
                weight = weight - weight.grad * lr
                bias = bias - bias.grad * lr
    return weight.detach(), bias.detach()
