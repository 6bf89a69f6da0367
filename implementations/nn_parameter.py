"""The model becomes an object: nn.Module keeps the list of its parameters.

Assigning an nn.Parameter to an attribute registers it. `parameters()` then yields them all and `zero_grad()` clears
all their gradients, so the loop names none of them and serves a model with a hundred as well. An nn.Parameter is a
leaf that requires its gradient; `zero_grad()` sets `.grad` to None rather than to zeros.

Price: Calling a module and walking the list of its parameters are Python calls in every step, and only a fill and an
addition for each parameter are saved.

Compare with `autograd_cross_entropy`: weight and bias belong to a module.
"""

import torch
import torch.nn.functional as F
from torch import nn


class Logistic(nn.Module):
    def __init__(self, weight, bias):
        super().__init__()
        self.weight = nn.Parameter(weight.clone())
        self.bias = nn.Parameter(bias.clone())

    def forward(self, x):
        return x @ self.weight + self.bias


def train(x, y, weight, bias, batch_size, lr, epochs):
    model = Logistic(weight, bias)
    for _ in range(epochs):
        for start in range(0, len(x), batch_size):
            xb, yb = x[start : start + batch_size], y[start : start + batch_size]
            loss = F.cross_entropy(model(xb), yb)
            loss.backward()
            with torch.no_grad():
                for parameter in model.parameters():
                    parameter -= parameter.grad * lr
                model.zero_grad()
    return model.weight.detach(), model.bias.detach()
