"""torch.compile with mode="reduce-overhead": the compiled step, and a CUDA graph of it that torch records by itself.

Torch looks after what one does by hand: it records a graph for each shape of a batch, on the second call with it, and
takes the memory of a result back with the next call. Hence two things that the step must do. It returns new parameters,
since torch declines to record a step that changes what it was given; and these are cloned, out of the memory that the
next call takes back. The learning rate is a tensor, because a graph keeps numbers as they were when it was recorded.

Price: All kernels of a step are launched in one call, but weights and batch are copied to where the graph reads them,
and new weights out of it, in every step.

Compare with `compile_step`: mode="reduce-overhead", and what it asks of the step.
"""

import torch
import torch.nn.functional as F

DEVICES = ("cuda",)
REQUIRES = {"cuda": ("triton",)}
PROGRAMS = ("c++",)


@torch.compile(mode="reduce-overhead")
def step(weight, bias, xb, yb, lr):
    grad = torch.softmax(weight @ xb.T + bias, dim=0) - yb.T
    grad /= len(yb)
    return weight - grad @ xb * lr, bias - grad.sum(1, keepdim=True) * lr


def train(x, y, weight, bias, batch_size, lr, epochs):
    weight, bias = weight.T.clone(memory_format=torch.contiguous_format), bias[:, None].clone()
    onehot = F.one_hot(y, len(bias)).to(x.dtype)
    lr = torch.full((), lr, dtype=x.dtype, device=x.device)
    for _ in range(epochs):
        for start in range(0, len(x), batch_size):
            weight, bias = step(weight, bias, x[start : start + batch_size], onehot[start : start + batch_size], lr)
            weight, bias = weight.clone(), bias.clone()
    return weight.T, bias[:, 0]
