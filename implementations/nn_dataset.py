"""Rows and labels are sliced together: a TensorDataset holds both, and one index yields a pair.

It asserts once that x and y are equally long, and no loop can take rows from one place and labels from another.
Anything with a length and an index can stand in its place, files on a disk for instance.

Price: The slices are the same two, with a few more calls of Python in front of them.

Compare with `nn_optimizer`: one slice of a TensorDataset in place of two slices.
"""

import torch
import torch.nn.functional as F
from torch import nn, optim
from torch.utils.data import TensorDataset


def train(x, y, weight, bias, batch_size, lr, epochs):
    model = nn.utils.skip_init(nn.Linear, *weight.shape, device=x.device, dtype=x.dtype)
    with torch.no_grad():
        model.weight.copy_(weight.T)
        model.bias.copy_(bias)
    optimizer = optim.SGD(model.parameters(), lr=lr, foreach=False)
    dataset = TensorDataset(x, y)
    for _ in range(epochs):
        for start in range(0, len(dataset), batch_size):
            xb, yb = dataset[start : start + batch_size]
            loss = F.cross_entropy(model(xb), yb)
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
    return model.weight.detach().T, model.bias.detach()
