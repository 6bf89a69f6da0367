"""The update is made where autograd watches.

You see: RuntimeError: a leaf Variable that requires grad is being used in an in-place operation.
Why it is wrong: a recorded change of a leaf would make it the result of an operation.
The fix: update under `torch.no_grad()`.
Noticed by: one step.
People met it: https://discuss.pytorch.org/t/leaf-variable-was-used-in-an-inplace-operation/308

Compare with `autograd_inplace`: no_grad is missing.
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
            weight -= weight.grad * lr
            bias -= bias.grad * lr
            weight.grad.zero_()
            bias.grad.zero_()
    return weight.detach(), bias.detach()
