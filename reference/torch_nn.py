"""The reference: the same trainer from torch.nn's own parts.

Every implementation must arrive where this one arrives. Run in float64 it is the oracle, the truth that
results are measured against.
"""

import torch
import torch.nn.functional as F
from torch import nn


def train(x, y, weight, bias, batch_size, lr, epochs):
    """The parameters after training: weight (features, classes) and bias (classes,), in x's dtype, on its device.

    The arguments are those of `reference.problem.Problem`; none of them is modified.
    """
    # skip_init: the parameters are overwritten below, and drawing them would disturb the global random state.
    model = nn.utils.skip_init(nn.Linear, *weight.shape, device=x.device, dtype=x.dtype)
    with torch.no_grad():
        model.weight.copy_(weight.T)  # nn.Linear keeps its weight as (classes, features)
        model.bias.copy_(bias)
    optimizer = torch.optim.SGD(model.parameters(), lr=lr)
    for _ in range(epochs):
        for start in range(0, len(x), batch_size):
            xb, yb = x[start : start + batch_size], y[start : start + batch_size]
            loss = F.cross_entropy(model(xb), yb)
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
    return model.weight.detach().T, model.bias.detach()
