"""The label's log-probability is taken from each row by gather, in place of an index of rows and labels.

log_probabilities is (rows, classes), target (rows,). Of row i only the entry at target[i] counts: the loss is minus the
mean of log p[i, target[i]]. `log_probabilities[range(rows), target]` takes two indices of shape (rows,), the row
numbers and the labels, and returns (rows,): the entries (0, target[0]), (1, target[1]) and so on. `gather(1, index)`
moves along axis 1 alone, so it needs no row numbers, but one column of labels for each column of its result:
target[:, None] is (rows, 1), and so is what it returns. The mean of either is the same number. Backward puts the
gradient back into the same entries and leaves the others zero.

Price: No row numbers are made from a Python range, and to pick one entry of each row is all that gather has to do, on
the way back too.

Compare with `autograd_inplace`: gather in `nll`.
"""

import torch

EXPECTED_TO_FAIL = ("large logits",)


def log_softmax(logits):
    return logits - logits.exp().sum(-1).log().unsqueeze(-1)


def nll(log_probabilities, target):
    return -log_probabilities.gather(1, target[:, None]).mean()


def train(x, y, weight, bias, batch_size, lr, epochs):
    weight, bias = weight.clone().requires_grad_(), bias.clone().requires_grad_()
    for _ in range(epochs):
        for start in range(0, len(x), batch_size):
            xb, yb = x[start : start + batch_size], y[start : start + batch_size]
            loss = nll(log_softmax(xb @ weight + bias), yb)
            loss.backward()
            with torch.no_grad():
                weight -= weight.grad * lr
                bias -= bias.grad * lr
                weight.grad.zero_()
                bias.grad.zero_()
    return weight.detach(), bias.detach()
