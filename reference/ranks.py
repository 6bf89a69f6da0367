"""The checker where several processes are one trainer: each rank asks its own part, and all hear the same Answers.

torchrun starts the processes, https://docs.pytorch.org/docs/stable/elastic/run.html.
"""

import os
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from datetime import timedelta
from typing import NamedTuple, NoReturn

import torch
import torch.distributed as dist

from reference.equivalence import Answer, Answering, Implementation, Trainer
from reference.problem import Problem

UNEVEN = 3  # ranks that a batch of 64 rows cannot be shared out to evenly
SECONDS = 20  # that a rank waits for the others, before it raises
GAVE_UP = 86  # the status of a rank that ends itself, as few others do; its last line says why
BACKENDS = {"cpu": "gloo", "cuda": "nccl"}


class Ranks(NamedTuple):
    """A Trainer that is one of the ranks of the process group. All must be asked the same, in the same order."""

    trainer: Trainer

    @property
    def dtype(self) -> torch.dtype:
        """What it computes in."""
        return self.trainer.dtype

    @property
    def gives_up(self) -> tuple[str, ...]:
        """The names of the cases in which it is expected to fail."""
        return self.trainer.gives_up

    def answers(self, problem: Problem, previous: Problem | None = None, seed: int | None = None) -> list[Answer]:
        """The Answers of all ranks as one, the same on every rank, see `agreed`."""
        answers: list[list[Answer]] = [[]] * dist.get_world_size()
        dist.all_gather_object(answers, self.trainer.answers(problem, previous, seed))
        return [agreed(each) for each in zip(*answers, strict=False)]  # none after a complaint


def trainer(implementation: Implementation, processes: int) -> Answering:
    """Its Trainer, or where it needs several processes the Ranks that this process is one of."""
    own = Trainer(implementation)
    return Ranks(own) if processes > 1 else own


def agreed(answers: Sequence[Answer]) -> Answer:
    """The one Answer of several ranks, by their numbers: a complaint if a rank has one, or if they are not equal."""
    for rank, answer in enumerate(answers):
        if answer.complaint:
            return Answer(None, f"rank {rank}: {answer.complaint}")
    for rank, answer in enumerate(answers):
        if not all(a.tobytes() == b.tobytes() for a, b in zip(answer.result, answers[0].result, strict=True)):
            return Answer(
                None,
                f"rank {rank}: ends with other parameters than rank 0: do all begin with the same, and get the same "
                "update in every step?",
            )
    return answers[0]


@contextmanager
def process_group(device: str = "cpu") -> Iterator[int]:
    """In the block this process is one of the ranks that torchrun has started, and only the first prints; its number.

    device: what they train on; each on a GPU of its own.
    """
    if device == "cuda":
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    with connecting(int(os.environ["RANK"])):
        dist.init_process_group(BACKENDS[device], timeout=timedelta(seconds=SECONDS))
    try:
        rank = dist.get_rank()
        with open(os.devnull, "w") as nowhere, redirect_stdout(nowhere if rank else sys.stdout):
            yield rank
    finally:
        dist.destroy_process_group()


@contextmanager
def connecting(rank: int) -> Iterator[None]:
    """Ends the process if the block takes too long: gloo connects for as long as it takes, whatever its timeout."""
    why = f"rank {rank} has waited {SECONDS:g} s for the other ranks to connect"
    timer = threading.Timer(SECONDS, end_at_once, [why])
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def end_at_once(why: str) -> NoReturn:
    """Ends the process, with a last line that says why, and names a rank."""
    print(why, file=sys.stderr, flush=True)
    os._exit(GAVE_UP)
