"""Each row is subtracted from the weights by itself, 64 additions a step in place of one.

You see: Nothing: the same sum, but for rounding.
Why it is wrong: each addition to a weight rounds to the precision of the weight, not of the small step; 64 such
roundings drift.
The fix: sum the gradient first, then update once.
Noticed by: 2000 rows at once, large weights.

Compare with `manual_inplace`: a loop over rows.
"""

import torch


def train(x, y, weight, bias, batch_size, lr, epochs):
    weight, bias = weight.clone(), bias.clone()
    for _ in range(epochs):
        for start in range(0, len(x), batch_size):
            xb, yb = x[start : start + batch_size], y[start : start + batch_size]
            grad = torch.softmax(xb @ weight + bias, dim=1)
            grad[range(len(yb)), yb] -= 1
            grad /= len(yb)
            for row, row_grad in zip(xb, grad, strict=True):
                weight -= torch.outer(row, row_grad) * lr
            bias -= grad.sum(0) * lr
    return weight, bias
