"""backward starts from the sum of the losses of a batch, not from their mean.

You see: The loss jumps about and ends as NaN: the steps are 64 times too long.
Why it is wrong: the gradient of a sum is rows times that of the mean, so the learning rate means something else.
The fix: `.mean()`, or divide the learning rate by the rows.
Noticed by: one step.

Compare with `autograd_inplace`: `.sum()` in place of `.mean()`.
"""

import torch

EXPECTED_TO_FAIL = ("large logits",)


def log_softmax(logits):
    return logits - logits.exp().sum(-1).log().unsqueeze(-1)


def nll(log_probabilities, target):
    return -log_probabilities[range(target.shape[0]), target].sum()


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
                weight.grad.zero_()
                bias.grad.zero_()
    return weight.detach(), bias.detach()
