"""Each process owns a share of the features; what they add up is the logits.

Every rank has all rows of a batch, but only its own columns of x and rows of the weight. A logit is a sum over the
features, so all_reduce makes it whole on every rank. From it each rank knows the gradient of all logits, and its
product with the rank's own columns is the rank's own part of the weight's gradient, which nobody else needs. Softmax
and bias are computed on every rank rather than sent. At the end the shares are put together, each rank adding its own
to zeros, and all take the first rank's bias: processors of two kinds may round softmax differently.

What travels in a step is (rows, classes) in place of (features, classes): 2.5 KB in place of 31 KB for a batch of 64,
and more than that for a batch of more rows than there are features. Shares of any size will do, as nothing is divided
by them.

Price: In every step the ranks wait for each other once, for less, but each of them computes the softmax of all rows.

Compare with `allreduce_manual`: a share of the features in place of the rows, and logits in place of gradients.
"""

import torch
import torch.distributed as dist

PROCESSES = 2


def train(x, y, weight, bias, batch_size, lr, epochs):
    rank, ranks = dist.get_rank(), dist.get_world_size()
    shares, bias = torch.zeros_like(weight), bias.clone()
    share = shares.tensor_split(ranks)[rank]
    share += weight.tensor_split(ranks)[rank]
    x = x.tensor_split(ranks, dim=1)[rank]
    for _ in range(epochs):
        for start in range(0, len(x), batch_size):
            xb, yb = x[start : start + batch_size], y[start : start + batch_size]
            logits = xb @ share
            dist.all_reduce(logits)
            grad = torch.softmax(logits + bias, dim=1)
            grad[range(len(yb)), yb] -= 1
            grad /= len(yb)
            share -= xb.T @ grad * lr
            bias -= grad.sum(0) * lr
    dist.all_reduce(shares)
    dist.broadcast(bias, src=0)
    return shares, bias
