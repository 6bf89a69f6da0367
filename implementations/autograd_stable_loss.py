"""A loss that cannot overflow: log-sum-exp with the maximum taken out first.

log(sum(exp(z))) = m + log(sum(exp(z - m))) for every m. With m = max(z) the largest term is exp(0) = 1, so
nothing overflows, and the logarithm never sees zero. The value does not depend on m, so no gradient has to
flow through it: `detach` keeps it out of the graph.

Price: Finding the maximum and subtracting it are more operations in every step, and the shifted logits are one more
tensor.

Compare with `autograd_inplace`: one line in log_softmax.
"""

import torch


def log_softmax(logits):
    logits = logits - logits.detach().amax(-1).unsqueeze(-1)
    return logits - logits.exp().sum(-1).log().unsqueeze(-1)


def nll(log_probabilities, target):
    return -log_probabilities[range(target.shape[0]), target].mean()


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
