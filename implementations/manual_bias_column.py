"""The bias is a column of the weights, and every row of x ends with a pixel that is always one.

W x + b is one product if b is the last column of W and the last feature of x is one. The gradient of that column is
then the sum of grad over the rows, as the bias's own was. `prepare` appends the ones.

Price: What a step did for the bias alone is gone, an addition, a sum, a factor and a subtraction, but the two products
have one more feature.

Compare with `manual_transposed`: seven operations that compute in place of eleven, on 785 features in place of 784.
"""

import torch
import torch.nn.functional as F


def prepare(x, y, batch_size):
    return F.pad(x, (0, 1), value=1), y


def train(x, y, weight, bias, batch_size, lr, epochs):
    weight = torch.cat([weight.T, bias[:, None]], dim=1)
    onehot = F.one_hot(y, len(bias)).to(x.dtype)
    for _ in range(epochs):
        for start in range(0, len(x), batch_size):
            xb, yb = x[start : start + batch_size], onehot[start : start + batch_size]
            grad = torch.softmax(weight @ xb.T, dim=0) - yb.T
            grad /= len(yb)
            weight -= grad @ xb * lr
    return weight[:, :-1].T, weight[:, -1]
