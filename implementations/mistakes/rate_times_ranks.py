"""The learning rate is multiplied by the number of ranks.

You see: The loss jumps at first and falls all the same; some points of accuracy may be missing.
Why it is wrong: a larger rate goes with a larger batch, and here the batch is shared out, not multiplied.
The fix: the rate of one process, as long as all ranks together have its batch.
Noticed by: one step.
People met it: https://github.com/facebookresearch/moco/issues/98

Compare with `ddp`: `lr * ranks` in place of `lr`.
"""

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import nn, optim
from torch.nn.parallel import DistributedDataParallel

PROCESSES = 2


def train(x, y, weight, bias, batch_size, lr, epochs):
    rank, ranks = dist.get_rank(), dist.get_world_size()
    model = nn.utils.skip_init(nn.Linear, *weight.shape, device=x.device, dtype=x.dtype)
    with torch.no_grad():
        model.weight.copy_(weight.T)
        model.bias.copy_(bias)
    wrapped = DistributedDataParallel(model)
    optimizer = optim.SGD(model.parameters(), lr=lr * ranks, foreach=False)
    for _ in range(epochs):
        for start in range(0, len(x), batch_size):
            xb, yb = x[start : start + batch_size], y[start : start + batch_size]
            rows = len(yb)
            xb, yb = xb.tensor_split(ranks)[rank], yb.tensor_split(ranks)[rank]
            loss = F.cross_entropy(wrapped(xb), yb, reduction="sum") * ranks / rows
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
    return model.weight.detach().T, model.bias.detach()
