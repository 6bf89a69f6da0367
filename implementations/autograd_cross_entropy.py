"""PyTorch's own loss in place of two hand-written functions; still no modules.

`F.cross_entropy` is log_softmax and negative log-likelihood in one call, stable for large logits.

Price: A step runs fewer operations and makes fewer tensors, as backward takes two where the hand-written loss leaves
autograd a chain of eight.

Compare with `autograd_inplace`: the loss.
"""

import torch
import torch.nn.functional as F


def train(x, y, weight, bias, batch_size, lr, epochs):
    weight, bias = weight.clone().requires_grad_(), bias.clone().requires_grad_()
    for _ in range(epochs):
        for start in range(0, len(x), batch_size):
            xb, yb = x[start : start + batch_size], y[start : start + batch_size]
            loss = F.cross_entropy(xb @ weight + bias, yb)
            loss.backward()
            with torch.no_grad():
                weight -= weight.grad * lr
                bias -= bias.grad * lr
                weight.grad.zero_()
                bias.grad.zero_()
    return weight.detach(), bias.detach()
