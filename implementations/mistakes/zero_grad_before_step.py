"""The gradients are cleared between backward and step, so there is nothing to step with.

You see: The loss does not move at all, and nothing complains: SGD skips parameters whose `.grad` is None.
Why it is wrong: step reads what backward wrote; clearing in between throws it away.
The fix: zero_grad() after step(), or before backward().
Noticed by: one step.

Compare with `nn_optimizer`: two lines change places.
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
            loss = F.cross_entropy(model(xb), yb)
            loss.backward()
            optimizer.zero_grad()
            optimizer.step()
    return model.weight.detach().T, model.bias.detach()
