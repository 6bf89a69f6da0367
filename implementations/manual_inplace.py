"""The gradient by hand: three lines in place of autograd.

With p = softmax(z) and the loss L = -mean(log p[row, label]), the gradient for the logits z = x W + b is

    dL/dz = (p - onehot(label)) / batch

and the chain rule carries it on: dL/dW = x^T dL/dz and dL/db = the sum of dL/dz over the rows. The value of
the loss is never needed. softmax subtracts the row's maximum, so large logits do no harm.

Price: A step runs fewer operations, makes fewer tensors and calls fewer functions, as no graph is recorded and walked
back.

Compare with `autograd_inplace`: no loss, no graph, no backward, no `.grad`.
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
            weight -= xb.T @ grad * lr
            bias -= grad.sum(0) * lr
    return weight, bias
