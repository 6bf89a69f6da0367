"""The whole update of all parameters is one kernel: SGD with fused=True.

The loop reads a gradient and a weight and writes the weight, once for each of its operations; the fused kernel does
all of them in one pass.

Price: Plain SGD has one operation for each parameter, so only a call is saved and no memory traffic, and sorting the
tensors by device and dtype comes on top.

Compare with `nn_optimizer`: fused=True in place of foreach=False.
"""

import torch
import torch.nn.functional as F
from torch import nn, optim


def train(x, y, weight, bias, batch_size, lr, epochs):
    model = nn.utils.skip_init(nn.Linear, *weight.shape, device=x.device, dtype=x.dtype)
    with torch.no_grad():
        model.weight.copy_(weight.T)
        model.bias.copy_(bias)
    optimizer = optim.SGD(model.parameters(), lr=lr, fused=True)
    for _ in range(epochs):
        for start in range(0, len(x), batch_size):
            xb, yb = x[start : start + batch_size], y[start : start + batch_size]
            loss = F.cross_entropy(model(xb), yb)
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
    return model.weight.detach().T, model.bias.detach()
