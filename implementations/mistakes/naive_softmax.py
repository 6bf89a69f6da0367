"""softmax by its definition: right, until a logit exceeds 88.

You see: Nothing for a long time; one day everything is NaN.
Why it is wrong: exp(89) is more than float32 can hold, and inf / inf is NaN.
The fix: subtract the row maximum first, as torch.softmax does.
Noticed by: large logits.
People met it: https://stackoverflow.com/questions/61567597

Compare with `manual_inplace`: exp over its sum in place of torch.softmax.
"""

import torch


def train(x, y, weight, bias, batch_size, lr, epochs):
    weight, bias = weight.clone(), bias.clone()
    for _ in range(epochs):
        for start in range(0, len(x), batch_size):
            xb, yb = x[start : start + batch_size], y[start : start + batch_size]
            grad = torch.exp(xb @ weight + bias)
            grad /= grad.sum(dim=1, keepdim=True)
            grad[range(len(yb)), yb] -= 1
            grad /= len(yb)
            weight -= xb.T @ grad * lr
            bias -= grad.sum(0) * lr
    return weight, bias
