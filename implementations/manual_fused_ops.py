"""The best that plain torch operations can do here: few of them, into memory made once, split so that cores agree.

* The bias is a row of the weights: `prepare` appends a pixel that is always one.
* Batches, their transposes and their buffers are made before the loop; `out=` and `_` write into them.
* `baddbmm_(grad, x, alpha=-lr / rows)` multiplies, scales and subtracts in one call.
* Two halves of the features make a batched product of two: each core takes one half, forward and backward, and
  finds its half of the weights and of x in its own cache. A plain `addmm` splits them differently each time.

The gradient is (softmax - onehot) / rows as in the parent; the two halves' logits are added before the softmax.

Compare with `manual_transposed`: five fused operations a step in place of ten.
"""

import torch
import torch.nn.functional as F

HALVES = 2


def prepare(x, y, batch_size):
    padding = -(x.shape[1] + 1) % HALVES
    x = torch.cat([x, x.new_ones(len(x), 1), x.new_zeros(len(x), padding)], dim=1)
    return x.view(len(x), HALVES, -1).transpose(0, 1), y


def train(x, y, weight, bias, batch_size, lr, epochs):
    classes, features = len(bias), len(weight)
    parameters = torch.cat([weight.T, bias[:, None]], dim=1)
    parameters = F.pad(parameters, (0, HALVES * x.shape[2] - features - 1))
    parameters = parameters.view(classes, HALVES, -1).transpose(0, 1).contiguous()
    onehot = F.one_hot(y, classes).T.to(x.dtype, memory_format=torch.contiguous_format)

    def buffers(rows):
        logits, grad = x.new_empty(HALVES, classes, rows), x.new_empty(classes, rows)
        return logits, *logits, grad, grad.expand(HALVES, -1, -1), -lr / rows

    shared = buffers(min(batch_size, len(y)))
    batches = [
        (xb, xb.transpose(1, 2), yb, *(shared if yb.shape[1] == shared[0].shape[2] else buffers(yb.shape[1])))
        for xb, yb in zip(x.split(batch_size, dim=1), onehot.split(batch_size, dim=1), strict=True)
    ]
    for _ in range(epochs):
        for xb, xb_transposed, yb, logits, half, other_half, grad, grads, step in batches:
            torch.bmm(parameters, xb_transposed, out=logits)
            half.add_(other_half)
            torch.softmax(half, dim=0, out=grad)
            grad.sub_(yb)
            parameters.baddbmm_(grads, xb, alpha=step)
    parameters = parameters.transpose(0, 1).flatten(1)
    return parameters[:, :features].T, parameters[:, features].clone()
