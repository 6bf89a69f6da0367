"""The DataLoader leaves out the short last batch.

You see: Nothing: 16 rows of 50 000 are missing. With fewer rows than a batch, nothing is trained.
Why it is wrong: drop_last=True drops it.
The fix: drop_last=False, the default.
Noticed by: one row.

Compare with `nn_dataloader`: `drop_last=True`.
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
    loader = DataLoader(TensorDataset(x, y), batch_size=batch_size, drop_last=True, generator=torch.Generator())
    for _ in range(epochs):
        for xb, yb in loader:
            loss = F.cross_entropy(model(xb), yb)
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
    return model.weight.detach().T, model.bias.detach()
