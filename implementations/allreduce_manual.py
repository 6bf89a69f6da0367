"""Two processes share every batch, and add up their gradients by all_reduce.

Each rank takes its part of every batch, in order: `tensor_split` gives the first ranks a row more where the rows do not
go round, and the last ones none where there are fewer rows than ranks. A gradient is a sum over rows, so those of the
shares add up to that of the batch, as long as each row is divided by the rows of the batch and not of its share.

`all_reduce` replaces a tensor on every rank by the sum of all, the same to the bit everywhere. So parameters that begin
equal stay equal, and are never sent.

Price: Each rank has fewer rows to compute, and in every step waits for the others twice, once for each gradient.

Compare with `manual_inplace`: a share of each batch, and two exchanges before the update.
"""

import torch
import torch.distributed as dist

PROCESSES = 2


def train(x, y, weight, bias, batch_size, lr, epochs):
    rank, ranks = dist.get_rank(), dist.get_world_size()
    weight, bias = weight.clone(), bias.clone()
    for _ in range(epochs):
        for start in range(0, len(x), batch_size):
            xb, yb = x[start : start + batch_size], y[start : start + batch_size]
            rows = len(yb)
            xb, yb = xb.tensor_split(ranks)[rank], yb.tensor_split(ranks)[rank]
            grad = torch.softmax(xb @ weight + bias, dim=1)
            grad[range(len(yb)), yb] -= 1
            grad /= rows
            weight_grad, bias_grad = xb.T @ grad, grad.sum(0)
            dist.all_reduce(weight_grad)
            dist.all_reduce(bias_grad)
            weight -= weight_grad * lr
            bias -= bias_grad * lr
    return weight, bias
