"""Another process prepares the batches: DataLoader with a worker.

A worker pays where a row must be read, decoded and augmented, which takes longer than the training it feeds. Here a
row is there already.

The worker is a process beside the threads that this implementation was given. Not on CUDA: a worker that is a fork of
this process cannot use its device.

Price: The worker stacks the same 64 rows, into shared memory that it asks the system for with every batch, and beyond
that it is started in every epoch and sends word of each batch through a pipe, for which the trainer waits.

Compare with `nn_dataloader`: num_workers=1.
"""

import torch
import torch.nn.functional as F
from torch import nn, optim
from torch.utils.data import DataLoader, TensorDataset

DEVICES = ("cpu",)


def train(x, y, weight, bias, batch_size, lr, epochs):
    model = nn.utils.skip_init(nn.Linear, *weight.shape, device=x.device, dtype=x.dtype)
    with torch.no_grad():
        model.weight.copy_(weight.T)
        model.bias.copy_(bias)
    optimizer = optim.SGD(model.parameters(), lr=lr, foreach=False)
    loader = DataLoader(TensorDataset(x, y), batch_size=batch_size, num_workers=1, generator=torch.Generator())
    for _ in range(epochs):
        for xb, yb in loader:
            loss = F.cross_entropy(model(xb), yb)
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
    return model.weight.detach().T, model.bias.detach()
