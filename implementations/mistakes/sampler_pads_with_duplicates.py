"""DistributedSampler makes all shares equal: it gives out the first rows once more.

You see: Nothing: on 3 ranks two rows of 64 count twice.
Why it is wrong: a mean is over the rows that are there, each once.
The fix: shares that need not be equal, and a loss that takes their sizes into account.
Noticed by: one step.
People met it: https://github.com/pytorch/pytorch/issues/25162

Compare with `ddp`: the sampler in place of tensor_split, and with it the mean over the share.
"""

import torch
import torch.nn.functional as F
from torch import nn, optim
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DistributedSampler

PROCESSES = 2


def train(x, y, weight, bias, batch_size, lr, epochs):
    model = nn.utils.skip_init(nn.Linear, *weight.shape, device=x.device, dtype=x.dtype)
    with torch.no_grad():
        model.weight.copy_(weight.T)
        model.bias.copy_(bias)
    wrapped = DistributedDataParallel(model)
    optimizer = optim.SGD(model.parameters(), lr=lr, foreach=False)
    for _ in range(epochs):
        for start in range(0, len(x), batch_size):
            xb, yb = x[start : start + batch_size], y[start : start + batch_size]
            share = list(DistributedSampler(yb, shuffle=False))
            xb, yb = xb[share], yb[share]
            loss = F.cross_entropy(wrapped(xb), yb)
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
    return model.weight.detach().T, model.bias.detach()
