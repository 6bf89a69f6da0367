"""The update has a name: optim.SGD takes the step, and another optimizer is another word.

`step()` is the loop over the parameters under no_grad, with room for momentum, weight decay, several groups of
parameters, hooks and schedules. foreach=False is the plain loop, one parameter after the other: add_ with alpha.

On a CPU the reference, `reference/torch_nn.py`, runs the same operations. It leaves foreach open, so in every step SGD
asks which of the loops to take.

Price: Scaling and subtracting are one operation that makes no tensor, but every step asks in Python for all that could
be there and is not.

Compare with `nn_linear`: optim.SGD in place of the loop over the parameters.
"""

import torch
import torch.nn.functional as F
from torch import nn, optim


def train(x, y, weight, bias, batch_size, lr, epochs):
    model = nn.utils.skip_init(nn.Linear, *weight.shape, device=x.device, dtype=x.dtype)
    with torch.no_grad():
        model.weight.copy_(weight.T)
        model.bias.copy_(bias)
    optimizer = optim.SGD(model.parameters(), lr=lr, foreach=False)
    for _ in range(epochs):
        for start in range(0, len(x), batch_size):
            xb, yb = x[start : start + batch_size], y[start : start + batch_size]
            loss = F.cross_entropy(model(xb), yb)
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
    return model.weight.detach().T, model.bias.detach()
