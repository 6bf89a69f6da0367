"""The loop makes nothing: batches, their transposes and the memory for results are there before it.

`out=` says where a result goes; `-=`, `/=` and `*=` leave it where their left side is. All full batches share their
buffers, the short last one has its own. The one-hot labels are transposed in memory as well, so a subtraction reads
both its operands in order.

Price: No step allocates memory for its results, or slices and transposes its batch in Python, since all of that is done
once in a training.

Compare with `manual_bias_column`: the same seven operations that compute, into memory made once.
"""

import functools

import torch
import torch.nn.functional as F


def prepare(x, y, batch_size):
    return F.pad(x, (0, 1), value=1), y


def train(x, y, weight, bias, batch_size, lr, epochs):
    weight = torch.cat([weight.T, bias[:, None]], dim=1)
    onehot = F.one_hot(y, len(bias)).T.to(x.dtype, memory_format=torch.contiguous_format)
    update = torch.empty_like(weight)

    @functools.cache
    def buffers(rows):
        return x.new_empty(len(bias), rows), x.new_empty(len(bias), rows)

    batches = [
        (xb, xb.T, yb, *buffers(yb.shape[1]))
        for xb, yb in zip(x.split(batch_size), onehot.split(batch_size, dim=1), strict=True)
    ]
    for _ in range(epochs):
        for xb, xb_transposed, yb, logits, grad in batches:
            torch.mm(weight, xb_transposed, out=logits)
            torch.softmax(logits, dim=0, out=grad)
            grad -= yb
            grad /= yb.shape[1]
            torch.mm(grad, xb, out=update)
            update *= lr
            weight -= update
    return weight[:, :-1].T, weight[:, -1]
