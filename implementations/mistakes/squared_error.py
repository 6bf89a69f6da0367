"""Squared error between logits and one-hot labels.

You see: At a learning rate of 0.5 it diverges to NaN.
Why it is wrong: linear regression on the labels: another loss, another minimum.
The fix: cross entropy.
Noticed by: one step.

Compare with `autograd_cross_entropy`: the loss.
"""

import torch
import torch.nn.functional as F


def train(x, y, weight, bias, batch_size, lr, epochs):
    weight, bias = weight.clone().requires_grad_(), bias.clone().requires_grad_()
    for _ in range(epochs):
        for start in range(0, len(x), batch_size):
            xb, yb = x[start : start + batch_size], y[start : start + batch_size]
            loss = F.mse_loss(xb @ weight + bias, F.one_hot(yb, len(bias)).to(x.dtype))
            loss.backward()
            with torch.no_grad():
                weight -= weight.grad * lr
                bias -= bias.grad * lr
                weight.grad.zero_()
                bias.grad.zero_()
    return weight.detach(), bias.detach()
