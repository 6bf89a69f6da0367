"""Between backward and the optimizer's step every `.grad` is added up over the processes.

Each rank takes its part of every batch. Its loss is the sum over its rows, divided by the rows of the whole batch:
then the ranks' losses add up to the mean over the batch, and their gradients to its gradient. The default, the mean
over the share, would count a row for more on a rank that has fewer of them.

Price: Each rank has fewer rows to compute, and in every step waits for the others once for each parameter.

Compare with `nn_optimizer`: a share of each batch, its loss, and an exchange for each parameter.
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
