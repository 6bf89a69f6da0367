"""Hand-derived gradient without indexed writes: the labels become rows of zeros and ones first.

`grad[range(n), label] -= 1` takes one from one number in each row. A one-hot matrix (rows, classes) holds just these
ones, and subtracting it is plain arithmetic.

Price: A subtraction takes the place of an index, made from a Python range and read and written through in every step,
but rows of zeros and ones are made once.

Compare with `manual_inplace`: `- onehot` in place of the indexed write.
"""

import torch
import torch.nn.functional as F


def train(x, y, weight, bias, batch_size, lr, epochs):
    weight, bias = weight.clone(), bias.clone()
    onehot = F.one_hot(y, len(bias)).to(x.dtype)
    for _ in range(epochs):
        for start in range(0, len(x), batch_size):
            xb, yb = x[start : start + batch_size], onehot[start : start + batch_size]
            grad = torch.softmax(xb @ weight + bias, dim=1) - yb
            grad /= len(yb)
            weight -= xb.T @ grad * lr
            bias -= grad.sum(0) * lr
    return weight, bias
