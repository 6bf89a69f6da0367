"""The update through `.data`, as PyTorch was written before version 0.4.

`weight.data` is the same memory as a tensor that autograd does not know, so no `no_grad` is needed, and nothing
warns. Autograd counts the changes of a tensor, under no_grad as well, and backward refuses where a value that it still
needs was changed; changes through `.data` are not counted. Here nothing is needed after the update: both are right.

Price: Each `.data -=` takes a second tensor of the same memory and puts it back, but the Python calls that enter and
leave `no_grad` are saved.

Compare with `autograd_inplace`: `.data` in place of `no_grad`.
"""

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
            weight.data -= weight.grad * lr
            bias.data -= bias.grad * lr
            weight.grad.zero_()
            bias.grad.zero_()
    return weight.detach(), bias.detach()
