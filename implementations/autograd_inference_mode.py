"""inference_mode in place of no_grad, where that is allowed.

Tensors made under inference_mode keep no count of their changes and can never be saved for a backward. Changing a
parameter in place is allowed, and the product `weight.grad * lr` is used up at once. An out-of-place update would make
the parameters themselves such tensors, for everybody who gets them.

Price: The operations are the same, and a count of changes for each new tensor is saved, which does not make up for
what entering and leaving costs; both are small.

Compare with `autograd_inplace`: one word.
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
            with torch.inference_mode():
                weight -= weight.grad * lr
                bias -= bias.grad * lr
                weight.grad.zero_()
                bias.grad.zero_()
    return weight.detach(), bias.detach()
