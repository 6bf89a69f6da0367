"""The loop becomes functions, as at the end of the tutorial: `get_data`, `loss_batch` and `fit`.

They name neither this model nor this loss nor these data, so the tutorial goes on to train convolutions with the same
three. `loss_batch` takes one step and returns the mean loss of the batch and its number of rows, from which the mean
over all rows follows, short batch included. The tutorial also calls it, without an optimizer, for the validation rows;
there are none here. It shuffles the rows too, which is another trainer.

Price: A few more calls of Python and one `.item()` in every step, for a mean and a count that training does not use.

Compare with `nn_train_eval`: three functions around the same lines.
"""

import torch
import torch.nn.functional as F
from torch import nn, optim
from torch.utils.data import DataLoader, TensorDataset


def get_data(train_ds, bs):
    return DataLoader(train_ds, batch_size=bs, generator=torch.Generator())


def loss_batch(model, loss_func, xb, yb, opt):
    loss = loss_func(model(xb), yb)
    loss.backward()
    opt.step()
    opt.zero_grad()
    return loss.item(), len(xb)


def fit(epochs, model, loss_func, opt, train_dl):
    for _ in range(epochs):
        model.train()
        for xb, yb in train_dl:
            loss_batch(model, loss_func, xb, yb, opt)
        model.eval()


def train(x, y, weight, bias, batch_size, lr, epochs):
    model = nn.utils.skip_init(nn.Linear, *weight.shape, device=x.device, dtype=x.dtype)
    with torch.no_grad():
        model.weight.copy_(weight.T)
        model.bias.copy_(bias)
    optimizer = optim.SGD(model.parameters(), lr=lr, foreach=False)
    fit(epochs, model, F.cross_entropy, optimizer, get_data(TensorDataset(x, y), batch_size))
    return model.weight.detach().T, model.bias.detach()
