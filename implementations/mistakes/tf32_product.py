"""The factors of the product lose 13 bits, as in TF32 on a GPU.

You see: Nothing: accuracy agrees.
Why it is wrong: TF32 keeps 10 bits after the first of each factor, float32 keeps 23.
The fix: allow_tf32 = False; compute in the arithmetic that was given.
Noticed by: one step.
People met it: https://github.com/pytorch/pytorch/issues/67384

Compare with `manual_inplace`: factors that are cut off.
"""

import torch


def tf32(tensor):
    return (tensor.float().view(torch.int32) & ~0x1FFF).view(torch.float32).to(tensor.dtype)


def train(x, y, weight, bias, batch_size, lr, epochs):
    weight, bias = weight.clone(), bias.clone()
    for _ in range(epochs):
        for start in range(0, len(x), batch_size):
            xb, yb = x[start : start + batch_size], y[start : start + batch_size]
            grad = torch.softmax(tf32(xb) @ tf32(weight) + bias, dim=1)
            grad[range(len(yb)), yb] -= 1
            grad /= len(yb)
            weight -= xb.T @ grad * lr
            bias -= grad.sum(0) * lr
    return weight, bias
