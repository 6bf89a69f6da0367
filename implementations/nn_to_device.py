"""Rows and labels stay in the CPU's memory, and each batch is copied to the device in the step that needs it.

That is how data are trained on that are larger than the device's memory, and how most loops are written anyway.
`prepare` brings all back to the CPU, and `.to(device)` copies a slice: 64 rows of 784 float32 are 200 KB.

Asked to move a tensor to where it is, `.to` hands it back. copy=True copies it all the same, so that on a CPU the row
shows what a copy costs there; on a GPU it changes nothing.

Price: Every batch is written to memory and read once more; on a GPU it goes from memory that the system may move
through a buffer that it may not, and Python waits until it is there.

Compare with `nn_optimizer`: `.to(weight.device)` of each batch.
"""

import torch
import torch.nn.functional as F
from torch import nn, optim


def prepare(x, y, batch_size):
    return x.cpu(), y.cpu()


def train(x, y, weight, bias, batch_size, lr, epochs):
    model = nn.utils.skip_init(nn.Linear, *weight.shape, device=weight.device, dtype=weight.dtype)
    with torch.no_grad():
        model.weight.copy_(weight.T)
        model.bias.copy_(bias)
    optimizer = optim.SGD(model.parameters(), lr=lr, foreach=False)
    for _ in range(epochs):
        for start in range(0, len(x), batch_size):
            xb, yb = x[start : start + batch_size], y[start : start + batch_size]
            xb, yb = xb.to(weight.device, copy=True), yb.to(weight.device, copy=True)
            loss = F.cross_entropy(model(xb), yb)
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
    return model.weight.detach().T, model.bias.detach()
