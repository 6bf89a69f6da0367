"""The batches come by themselves: DataLoader cuts any dataset into them, in any order.

For each batch it asks the dataset for 64 single rows and stacks them, which works with every dataset. Ask for
shuffle=True and the order changes: another trainer.

Each pass draws a seed for worker processes, even if there are none, from the global random state; a generator of
its own keeps that as it was.

Price: Each row and each label is fetched by Python as a tensor of its own, and all are copied into a batch, whereas
a slice copies nothing.

Compare with `nn_dataset`: a DataLoader in place of the slices.
"""

import torch
import torch.nn.functional as F
from torch import nn, optim
from torch.utils.data import DataLoader, TensorDataset


def train(x, y, weight, bias, batch_size, lr, epochs):
    model = nn.utils.skip_init(nn.Linear, *weight.shape, device=x.device, dtype=x.dtype)
    with torch.no_grad():
        model.weight.copy_(weight.T)
        model.bias.copy_(bias)
    optimizer = optim.SGD(model.parameters(), lr=lr, foreach=False)
    loader = DataLoader(TensorDataset(x, y), batch_size=batch_size, generator=torch.Generator())
    for _ in range(epochs):
        for xb, yb in loader:
            loss = F.cross_entropy(model(xb), yb)
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
    return model.weight.detach().T, model.bias.detach()
