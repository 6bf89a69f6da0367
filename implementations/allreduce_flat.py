"""Both gradients travel together: one buffer, one exchange.

What an exchange costs is mostly that it takes place, not what it carries: the weight's 31 KB are 784 times as many
bytes as the bias's 40, and take two or three times as long. So both gradients are written into one buffer, of which
each is a part, and the buffer is exchanged as a whole. DistributedDataParallel does the same with all the gradients of
a model, in buckets of up to 25 MiB.

Price: In every step the ranks wait for each other once in place of twice.

Compare with `allreduce_manual`: one buffer in place of two tensors.
"""

import torch
import torch.distributed as dist

PROCESSES = 2


def train(x, y, weight, bias, batch_size, lr, epochs):
    rank, ranks = dist.get_rank(), dist.get_world_size()
    weight, bias = weight.clone(), bias.clone()
    both = weight.new_empty(len(weight) + 1, len(bias))
    weight_grad, bias_grad = both[:-1], both[-1]
    for _ in range(epochs):
        for start in range(0, len(x), batch_size):
            xb, yb = x[start : start + batch_size], y[start : start + batch_size]
            rows = len(yb)
            xb, yb = xb.tensor_split(ranks)[rank], yb.tensor_split(ranks)[rank]
            grad = torch.softmax(xb @ weight + bias, dim=1)
            grad[range(len(yb)), yb] -= 1
            grad /= rows
            torch.mm(xb.T, grad, out=weight_grad)
            torch.sum(grad, 0, out=bias_grad)
            dist.all_reduce(both)
            weight -= weight_grad * lr
            bias -= bias_grad * lr
    return weight, bias
