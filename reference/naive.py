"""What people look at in place of a check: whether the loss fell, and whether the accuracy is about right."""

from typing import NamedTuple

import torch.nn.functional as F
from torch import Tensor

CLOSE = 0.02


class Scores(NamedTuple):
    """The mean loss, in nats, and the accuracy, 0 to 1, on rows that were not trained on."""

    loss: float
    accuracy: float

    def __str__(self) -> str:
        return f"loss {self.loss:.4f}, accuracy {self.accuracy:.2%}"


def scores(x: Tensor, y: Tensor, weight: Tensor, bias: Tensor) -> Scores:
    """The Scores of these parameters on these rows."""
    logits = x @ weight + bias
    accuracy = (logits.argmax(dim=1) == y).float().mean()
    return Scores(F.cross_entropy(logits, y).item(), accuracy.item())


def loss_fell(before: Scores, after: Scores) -> bool:
    """The first test: the loss is lower than before training."""
    return after.loss < before.loss


def accuracy_is_close(after: Scores, reference: Scores) -> bool:
    """The second test: the accuracy is within two points of the reference's."""
    return abs(after.accuracy - reference.accuracy) <= CLOSE
