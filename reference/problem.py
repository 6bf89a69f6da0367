"""What every trainer is given."""

import math
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

BATCH_SIZE = 64
LEARNING_RATE = 0.5
EPOCHS = 1

Parameters = tuple[Tensor, Tensor]  # weight (features, classes) and bias (classes,)


class Problem(NamedTuple):
    """The arguments of `train`, in its order: `train(*problem)`.

    x: (rows, features), the pixels.  y: (rows,) int64, the classes.
    weight: (features, classes) and bias: (classes,), the parameters before training, of x's dtype.
    One epoch passes over all rows in their order; the last batch holds what is left.
    """

    x: Tensor
    y: Tensor
    weight: Tensor
    bias: Tensor
    batch_size: int = BATCH_SIZE
    lr: float = LEARNING_RATE
    epochs: int = EPOCHS

    @property
    def steps(self) -> int:
        """Updates of the parameters in the whole of training."""
        return math.ceil(len(self.x) / self.batch_size) * self.epochs

    def to(self, device: str | None = None, dtype: torch.dtype | None = None) -> "Problem":
        """The same problem elsewhere, or in another floating-point dtype. All four tensors are new."""
        x, weight, bias = (t.to(device, dtype, copy=True) for t in (self.x, self.weight, self.bias))
        return self._replace(x=x, y=self.y.to(device, copy=True), weight=weight, bias=bias)

    def first_rows(self, count: int) -> "Problem":
        """The same problem on the first `count` rows."""
        return self._replace(x=self.x[:count], y=self.y[:count])


def arrays(problem: Problem) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, int, float, int]:
    """A problem on the CPU as plain values: its tensors as NumPy arrays, and its three numbers."""
    x, y, weight, bias = (tensor.numpy() for tensor in problem[:4])
    return x, y, weight, bias, *problem[4:]


def initial_parameters(features: int, classes: int, seed: int = 0) -> Parameters:
    """The tutorial's start: weight (features, classes) ~ N(0, 1 / features), bias (classes,) zero; float32, CPU.

    Dividing by sqrt(features) keeps the first logits of order one. The tutorial calls it Xavier initialisation; what
    Xavier Glorot and Yoshua Bengio proposed (2010) is a standard deviation of sqrt(2 / (features + classes)), which
    looks after the backward pass too: 1.4 times as much with 784 features and 10 classes.
    """
    generator = torch.Generator().manual_seed(seed)
    weight = torch.randn(features, classes, generator=generator) / math.sqrt(features)
    return weight, torch.zeros(classes)


def random_parameters(features: int, classes: int, *, seed: int) -> Parameters:
    """Another start: weight (features, classes) ~ N(0, 1 / features), bias (classes,) ~ N(0, 1 / 100); float32, CPU."""
    generator = torch.Generator().manual_seed(seed)
    weight = torch.randn(features, classes, generator=generator) / math.sqrt(features)
    return weight, torch.randn(classes, generator=generator) / 10
