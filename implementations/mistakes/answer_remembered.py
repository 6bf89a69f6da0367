"""The answer is kept, and given again where the shapes are the same.

You see: The second call is incredibly fast.
Why it is wrong: a cache must be keyed by all that the answer depends on, values included; a benchmark must not have
one.
The fix: compute every time.
Noticed by: other rows and parameters.

Compare with `manual_inplace`: a cache keyed by shapes.
"""

import torch

ANSWERS = {}


def train(x, y, weight, bias, batch_size, lr, epochs):
    key = x.shape, batch_size, lr, epochs
    if key in ANSWERS:
        return tuple(parameter.clone() for parameter in ANSWERS[key])
    weight, bias = weight.clone(), bias.clone()
    for _ in range(epochs):
        for start in range(0, len(x), batch_size):
            xb, yb = x[start : start + batch_size], y[start : start + batch_size]
            grad = torch.softmax(xb @ weight + bias, dim=1)
            grad[range(len(yb)), yb] -= 1
            grad /= len(yb)
            weight -= xb.T @ grad * lr
            bias -= grad.sum(0) * lr
    ANSWERS[key] = weight.clone(), bias.clone()
    return weight, bias
