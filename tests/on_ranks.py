"""What runs on every rank of the processes that a test has torchrun start."""

import torch
import torch.distributed as dist

import implementations
from benchmarks.proof import museum
from reference.equivalence import Trainer, attempt
from reference.ranks import Ranks


def findings(name, cases, dtype=torch.float32):
    """The Findings of an implementation, without the search for where it goes wrong."""
    trainer = Ranks(Trainer(implementations.load(name), dtype=dtype))
    return [attempt(trainer, case) for case in cases]


def everything(right, wrong, cases, shapes, data):
    """Of right ones the Findings, also on other shapes and in float64; of wrong ones the Findings, and an exhibit."""
    return (
        {name: findings(name, cases + shapes) + findings(name, shapes, torch.float64) for name in right},
        {name: findings(name, cases) for name in wrong},
        museum.trained_here(data, cases[:1], wrong[-1:], right[:1]),
    )


def raises_on_the_second():
    """The others wait for it, and lose it."""
    if dist.get_rank() == 1:
        raise ValueError("out of luck\ntoday")
    dist.barrier()
