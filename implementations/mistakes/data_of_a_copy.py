"""The update changes a copy that nobody keeps.

You see: The loss does not move.
Why it is wrong: `weight.data` shares memory with the weight; a clone of it does not.
The fix: change `weight.data` itself, or better the weight under no_grad.
Noticed by: one step.

Compare with `autograd_data`: `.clone()`.
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
            weight.data.clone().sub_(weight.grad * lr)
            bias.data.clone().sub_(bias.grad * lr)
            weight.grad.zero_()
            bias.grad.zero_()
    return weight.detach(), bias.detach()
