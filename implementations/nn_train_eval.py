"""The model is told what it is used for: train() before the batches of an epoch, eval() after them.

Both set a flag of the module and of all modules in it. Dropout and batch normalisation read it; a linear layer does
not, so nothing that is computed changes. Neither has to do with gradients: those are left out by no_grad.

In the tutorial the pass over the validation rows stands behind eval(). A trainer here is given no such rows, and the
others do not make that pass, so it is left out.

Price: Two walks over the modules in every epoch, however many batches it has.

Compare with `nn_dataloader`: `model.train()` and `model.eval()`.
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
        model.train()
        for xb, yb in loader:
            loss = F.cross_entropy(model(xb), yb)
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
        model.eval()
    return model.weight.detach().T, model.bias.detach()
