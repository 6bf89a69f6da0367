"""zero_grad stands at the beginning of the step, in place of its end.

Backward adds to `.grad`, so it must be empty whenever backward begins; anywhere between a step and the next backward
will do. Before the first backward there is nothing to clear yet: `zero_grad()` passes over a `.grad` that is None,
where `weight.grad.zero_()` would fail. Only between backward and step is it wrong: step would find nothing. After the
last step the gradients are left here, to be looked at.

Price: The calls are the same in another order, but the gradients of a step stay in memory while the next one begins.

Compare with `nn_optimizer`: one line is moved.
"""

import torch
import torch.nn.functional as F
from torch import nn, optim


def train(x, y, weight, bias, batch_size, lr, epochs):
    model = nn.utils.skip_init(nn.Linear, *weight.shape, device=x.device, dtype=x.dtype)
    with torch.no_grad():
        model.weight.copy_(weight.T)
        model.bias.copy_(bias)
    optimizer = optim.SGD(model.parameters(), lr=lr, foreach=False)
    for _ in range(epochs):
        for start in range(0, len(x), batch_size):
            xb, yb = x[start : start + batch_size], y[start : start + batch_size]
            optimizer.zero_grad()
            loss = F.cross_entropy(model(xb), yb)
            loss.backward()
            optimizer.step()
    return model.weight.detach().T, model.bias.detach()
