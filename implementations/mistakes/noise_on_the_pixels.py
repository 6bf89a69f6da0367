"""A little random noise on the pixels, left in from data augmentation.

You see: Nothing, and the same again when called again: the random state is put back, so every batch gets the same
noise. Another seed gives another result.
Why it is wrong: another trainer, and its result depends on the global random state.
The fix: no noise.
Noticed by: one step.

Compare with `manual_inplace`: two lines too many.
"""

import torch


def train(x, y, weight, bias, batch_size, lr, epochs):
    weight, bias = weight.clone(), bias.clone()
    for _ in range(epochs):
        for start in range(0, len(x), batch_size):
            xb, yb = x[start : start + batch_size], y[start : start + batch_size]
            with torch.random.fork_rng():
                xb = xb + torch.randn_like(xb) / 1000
            grad = torch.softmax(xb @ weight + bias, dim=1)
            grad[range(len(yb)), yb] -= 1
            grad /= len(yb)
            weight -= xb.T @ grad * lr
            bias -= grad.sum(0) * lr
    return weight, bias
