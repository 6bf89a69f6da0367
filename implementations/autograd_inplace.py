"""The tutorial's loop, to the letter: autograd finds the gradient, the parameters change in place.

The loss is built from bare tensors: log_softmax(z) = z - log(sum(exp(z))), then the mean of the negative
log-likelihoods. It is written without subtracting the maximum, so exp overflows float32 where a logit
exceeds 88, and the sum is zero where all of them lie below -104; `autograd_stable_loss` mends that.

The root of the ladder: every other file descends from this one, an idea at a time.

Price: Every step records a graph of the loss anew and walks it back, in many operations that each handle few numbers
and must each be called.
"""

import torch

EXPECTED_TO_FAIL = ("large logits",)


def log_softmax(logits):
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
