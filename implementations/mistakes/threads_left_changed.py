"""The number of threads is changed for everybody.

You see: Nothing here. Whatever runs afterwards in this process is faster or slower than before.
Why it is wrong: the number of threads belongs to the process.
The fix: leave it alone, or set it back.
Noticed by: one step.

Compare with `manual_inplace`: a line too many.
"""

import torch


def train(x, y, weight, bias, batch_size, lr, epochs):
    torch.set_num_threads(torch.get_num_threads() + 1)
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
