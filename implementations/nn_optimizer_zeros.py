"""Gradients are filled with zeros between steps, as all of PyTorch did before version 2.0.

Backward then finds a tensor and adds to it; where it finds None, it hands its own result over. Code that reads `.grad`
after zero_grad finds zeros here and None there.

Price: Zeros cost a fill and an addition for each parameter and step, and save no memory, since backward makes its
result in either case.

Compare with `nn_optimizer`: zero_grad(set_to_none=False).
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
            optimizer.step()
            optimizer.zero_grad(set_to_none=False)
    return model.weight.detach().T, model.bias.detach()
