"""The logits are computed in bfloat16, and cast back.

You see: Nothing: accuracy agrees.
Why it is wrong: bfloat16 keeps 8 bits of each factor and of the result: pixels k / 256 fit, weights and logits do not.
The fix: compute in the arithmetic that was given.
Noticed by: one step.

Compare with `manual_inplace`: a cast, and back.
"""

import torch


def train(x, y, weight, bias, batch_size, lr, epochs):
    weight, bias = weight.clone(), bias.clone()
    for _ in range(epochs):
        for start in range(0, len(x), batch_size):
            xb, yb = x[start : start + batch_size], y[start : start + batch_size]
            grad = torch.softmax((xb.bfloat16() @ weight.bfloat16()).to(x.dtype) + bias, dim=1)
            grad[range(len(yb)), yb] -= 1
            grad /= len(yb)
            weight -= xb.T @ grad * lr
            bias -= grad.sum(0) * lr
    return weight, bias
