"""Each rank but the first draws a start of its own.

You see: Nothing: loss and accuracy are about as good.
Why it is wrong: gradients of other parameters are added up, and what was unequal at the start stays unequal.
The fix: the same start everywhere, which DDP sees to when it is made.
Noticed by: one step.
People met it: https://github.com/sparticlesteve/pytorch-benchmarks/pull/1

Compare with `allreduce_autograd`: two lines too many.
"""

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import nn, optim

PROCESSES = 2


def train(x, y, weight, bias, batch_size, lr, epochs):
    rank, ranks = dist.get_rank(), dist.get_world_size()
    model = nn.utils.skip_init(nn.Linear, *weight.shape, device=x.device, dtype=x.dtype)
    with torch.no_grad():
        model.weight.copy_(weight.T)
        model.bias.copy_(bias)
        if rank > 0:
            nn.init.xavier_normal_(model.weight, generator=torch.Generator(x.device).manual_seed(rank))
    optimizer = optim.SGD(model.parameters(), lr=lr, foreach=False)
    for _ in range(epochs):
        for start in range(0, len(x), batch_size):
            xb, yb = x[start : start + batch_size], y[start : start + batch_size]
            rows = len(yb)
            xb, yb = xb.tensor_split(ranks)[rank], yb.tensor_split(ranks)[rank]
            loss = F.cross_entropy(model(xb), yb, reduction="sum") / rows
            loss.backward()
            for parameter in model.parameters():
                dist.all_reduce(parameter.grad)
            optimizer.step()
            optimizer.zero_grad()
    return model.weight.detach().T, model.bias.detach()
