"""Ranks: several processes that torchrun has started for one implementation, and that together are one worker.

All carry out the same orders. The first is given them, as any worker is, and hands them on through torchrun's store;
replies come back the same way. Not through collectives: who waits in one dies of its timeout, and ranks wait long,
while something else is timed. A rank whose answer is wrong leaves the group, so that nobody waits for it.
"""

import ast
import gc
import os
import pickle
import socket
import threading
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from datetime import timedelta
from statistics import median
from time import monotonic
from typing import Any, NamedTuple

import torch
import torch.distributed as dist

from benchmarks.measure import silence
from benchmarks.measure.refusals import Wrong
from benchmarks.measure.stopwatch import Time, timed
from benchmarks.measure.work import FirstCall, Part, Reply, Work, carried_out
from benchmarks.runs import sources
from benchmarks.runs.row import ALL_REDUCES
from reference.equivalence import Answer
from reference.ranks import BACKENDS, SECONDS, agreed, connecting, end_at_once

SECONDS_AFTER_FAULT = 5.0  # of one rank, for the others to say what theirs is
TURNS = 5  # with and without the exchange
LAPS = 8  # of a turn, of each length
STEPS = (10, 3)  # of a lap: what a call exchanges once, and in its second step, is in both
CALLS = 200  # of all_reduce, one after the other
LOOK_SECONDS = 1.0  # for one look into a queue
FOREVER = 10 * 365 * 24 * 3600.0
PIECE = 2**22  # bytes; at 8 MiB the store ends the connection


class Line:
    """What ranks tell each other through torchrun's store: queues of what can be pickled, each read by one rank."""

    def __init__(self) -> None:
        self.store, self.rank, self.ranks = next(dist.rendezvous("env://", timeout=timedelta(seconds=SECONDS)))
        self.count: Counter[str] = Counter()  # by queue, of what was sent or received
        self.hosts = int(os.environ["GROUP_WORLD_SIZE"])

    def send(self, queue: str, what: Any) -> None:
        """Puts it at the end of a queue."""
        content = pickle.dumps(what)
        pieces = [content[start : start + PIECE] for start in range(0, len(content), PIECE)]
        self.count[queue] += 1
        for number, piece in enumerate(pieces):
            self.store.set(f"{queue} {self.count[queue]} {number}", piece)
        self.store.set(f"{queue} {self.count[queue]}", str(len(pieces)))

    def received(self, queue: str, seconds: float) -> Any:
        """The next of a queue. Raises torch.distributed.DistStoreError if there is none within these seconds."""
        self.store.set_timeout(timedelta(seconds=max(seconds, 0.001)))
        key = f"{queue} {self.count[queue] + 1}"
        count = int(self.store.get(key))
        self.count[queue] += 1
        pieces = [f"{key} {number}" for number in range(count)]
        content = b"".join(map(self.store.get, pieces))
        for done in (key, *pieces):
            self.store.delete_key(done)
        return pickle.loads(content)

    def awaited(self, queue: str) -> Any:
        """The next of a queue, however long that takes. Between two looks signals are heard."""
        while True:
            with suppress(dist.DistStoreError):
                return self.received(queue, LOOK_SECONDS)


class RankReply(NamedTuple):
    """What a rank replies. fault: 0, or the how-many-th it was of all ranks whose answer was wrong."""

    outcome: str
    value: Any
    fault: int = 0


class Rank(Work):
    """What one of several ranks can be told to do."""

    def __init__(self, name: str, line: Line) -> None:
        self.name, self.line, self.groups = name, line, 0

    def hardware(self, device: str, threads: int | None) -> dict[str, Any]:
        """Joins the others, on a device of its own. The same for a worker of one process, and how many ranks it is."""
        self.tell_facts()
        self.check_alike()
        if device == "cuda":
            torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
        self.join(BACKENDS[device])
        found = super().hardware(device, threads)
        ranks = {"processes": self.line.ranks, "hosts": self.line.hosts, "backend": BACKENDS[device]}
        return found | ranks | {"threads_per_process": found["threads"]}

    def join(self, backend: str) -> None:
        """Joins the others in a new group, in place of the one before."""
        if dist.is_initialized():
            dist.destroy_process_group()
        self.groups += 1
        with connecting(self.line.rank):
            dist.init_process_group(
                backend,
                store=dist.PrefixStore(f"group {self.groups}", self.line.store),
                rank=self.line.rank,
                world_size=self.line.ranks,
                timeout=timedelta(seconds=SECONDS),
            )
            dist.barrier()  # some connect when they are used

    def tell_facts(self) -> None:
        """Tells the other ranks what must be the same on all."""
        facts = {f"implementations/{self.name}.py": sources.sha256(self.name)[:12], "torch": torch.__version__}
        self.line.store.set(f"facts {self.line.rank}", repr((facts, self.unreachable())))

    def unreachable(self) -> str:
        """Why gloo of other machines would not reach this one, in words; "" if it may."""
        name = socket.gethostname()
        if self.line.hosts == 1 or "GLOO_SOCKET_IFNAME" in os.environ:
            return ""
        try:
            address = socket.gethostbyname(name)
        except OSError:
            address = "nothing"
        if not address.startswith("127.") and address != "nothing":
            return ""
        return f"{name}, the name of its machine, resolves to {address}: set GLOO_SOCKET_IFNAME, as in docs/machines.md"

    def check_alike(self) -> None:
        """Raises Wrong unless all have the same file and torch, and can reach each other, on every rank alike."""
        self.line.store.set_timeout(timedelta(seconds=SECONDS))
        found = [ast.literal_eval(self.line.store.get(f"facts {rank}").decode()) for rank in range(self.line.ranks)]
        for rank, (other, unreachable) in enumerate(found):
            if unreachable:
                raise Wrong(f"rank {rank}: {unreachable}")
            for what, own in found[0][0].items():
                if other[what] != own:
                    raise Wrong(f"rank {rank} has {what} {other[what]}, rank 0 has {own}; expected the same on all")

    def wake_on(self, core: int | None) -> None:
        """Trains on the first rows, on any cores: ranks that begin on the same one would wait for each other."""
        self.wake()

    def lap(self, *arguments: Any) -> tuple[Time, Answer]:
        """One timed call: all ranks start together."""
        dist.barrier()
        return super().lap(*arguments)

    def counts(self) -> dict[str, float | None]:
        """What a step consists of, as saved, what one all_reduce takes, and how long a step takes for the exchange."""
        all_reduces = {field: self.all_reduce_seconds(size) for size, field in ALL_REDUCES.items()}
        return super().counts() | all_reduces | {"exchange_seconds": self.exchange_seconds()}

    def all_reduce_seconds(self, size: int) -> float:
        """Of one all_reduce of so many bytes of float32: of each of many the slowest rank's time, their median."""
        tensor = torch.zeros(size // 4, device=self.device)
        calls = [timed(lambda: dist.all_reduce(tensor), self.clock)[0].seconds for _ in range(CALLS)]
        slowest = torch.tensor(calls, device=self.device)
        dist.all_reduce(slowest, dist.ReduceOp.MAX)
        return slowest.median().item()

    def exchange_seconds(self) -> float | None:
        """How many seconds more a step takes than in silence, where nothing is exchanged and what comes of it is wrong.

        From laps of two lengths; the median of TURNS. None where it is not more, fails in silence, or rows are too few.
        """
        if len(self.problem.x) < max(STEPS) * self.problem.batch_size:
            return None
        parts = [self.part(0, steps * self.problem.batch_size) for steps in STEPS]
        differences = []
        for _ in range(TURNS):
            exchanging = self.step_seconds(parts, BACKENDS[self.device])
            silent = self.step_seconds(parts, silence.SILENT)
            if exchanging is None or silent is None:
                return None
            differences.append(exchanging - silent)
        found = median(differences)
        return found if found > 0 else None

    def step_seconds(self, parts: Sequence[Part], backend: str) -> float | None:
        """Of a step with this backend, by laps on parts of STEPS; None if one fails: in silence nobody answers."""
        self.join(backend)
        laps = [[self.lap(*part, self.timed_problem.start, 0.0) for part in parts] for _ in range(LAPS)]
        if any(answer.complaint for lap in laps for _, answer in lap):
            return None
        long, short = (min(time.seconds for time, _ in alike) for alike in zip(*laps, strict=True))
        return (long - short) / (STEPS[0] - STEPS[1])

    def reply(self, order: str, arguments: Sequence[Any]) -> RankReply:
        """What comes of an order. If that is wrong the others, who may wait for this rank, are told so at once."""
        outcome, value = carried_out(self, order, arguments)
        if outcome == "done" and not complaint(value):
            return RankReply(outcome, value)
        fault = self.line.store.add("faults", 1)
        threading.Thread(target=leave, daemon=True).start()  # it may wait for what is under way
        return RankReply(outcome, value, fault)


class First:
    """The first rank, which hands on what it is told to do."""

    def __init__(self, rank: Rank, line: Line) -> None:
        self.rank, self.line = rank, line
        self.others = range(1, line.ranks)

    def reply_to(self, order: str, arguments: Sequence[Any]) -> Reply:
        """What all ranks reply to an order, as one."""
        for other in self.others:
            self.line.send(f"orders of {other}", (order, arguments))
        own = self.rank.reply(order, arguments)
        for other in self.others:
            self.line.send(f"replies to {other}", own.outcome)
        seconds = seconds_for_the_others(own)
        end = monotonic() + seconds
        replies = [own]
        for other in self.others:
            try:
                replies.append(self.line.received(f"replies of {other}", end - monotonic()))
            except dist.DistStoreError:
                return "wrong", late(other, seconds, 0, own)
        return together(replies)

    def dismiss(self) -> None:
        """Lets the others end."""
        for other in self.others:
            self.line.send(f"orders of {other}", None)


def follow(rank: Rank, line: Line) -> None:
    """Carries out the orders that the first rank hands on, until there are no more."""
    while order := line.received(f"orders of {line.rank}", FOREVER):
        own = rank.reply(*order)
        line.send(f"replies of {line.rank}", own)
        seconds = seconds_for_the_others(own)
        try:
            line.received(f"replies to {line.rank}", seconds)
        except dist.DistStoreError:
            end_at_once(late(0, seconds, line.rank, own))


def seconds_for_the_others(own: RankReply) -> float:
    """How long a rank that has replied waits for the others: they are soon heard of if its own answer is wrong."""
    return SECONDS_AFTER_FAULT if own.fault else SECONDS


def late(rank: int, seconds: float, beside: int, reply: RankReply) -> str:
    """That one rank has not done what another has, so many seconds after this one's reply, in words."""
    why = f", which {faulty(reply)}" if reply.fault else ""
    return f"rank {rank}: has not answered {seconds:g} s after rank {beside}{why}"


def faulty(reply: RankReply) -> str:
    """What is wrong with a reply, in words."""
    return f"raised {reply.value}" if reply.outcome == "raised" else complaint(reply.value) or str(reply.value)


def together(replies: Sequence[RankReply]) -> Reply:
    """The replies of all ranks, by rank, as one: that of the first that was wrong, or of all if they are equal."""
    faults = [(reply.fault, rank) for rank, reply in enumerate(replies) if reply.fault]
    if faults:
        rank = min(faults)[1]
        outcome, value, _ = replies[rank]
        if outcome == "wrong" or is_lacking(value):
            return outcome, value
        return "wrong", f"rank {rank}: {faulty(replies[rank])}"
    values = [reply.value for reply in replies]
    for answers in zip(*map(answers_in, values), strict=True):
        if differ := agreed(answers).complaint:
            return "wrong", differ
    return "done", slowest(values)


def slowest(values: Sequence[Any]) -> Any:
    """The value of all ranks together, which else are equal: the longest times, and the CPU seconds of all."""
    first = values[0]
    if isinstance(first, FirstCall):
        return first._replace(seconds=max(value.seconds for value in values))
    if isinstance(first, tuple) and first and isinstance(first[0], Time):
        times = [time for time, _ in values]
        longest = max(times, key=lambda time: time.seconds)
        return longest._replace(cpu_seconds=sum(time.cpu_seconds for time in times)), first[1]
    return first


def answers_in(value: Any) -> list[Answer]:
    """The Answers that an answer to an order holds."""
    if isinstance(value, Answer):
        return [value]
    return [answer for part in value for answer in answers_in(part)] if isinstance(value, tuple | list) else []


def is_lacking(value: Any) -> bool:
    """Whether it is a first call that did not find what it needs."""
    return isinstance(value, FirstCall) and value.lacks is not None


def complaint(value: Any) -> str | None:
    """What an answer to an order says to be wrong or lacking, or None."""
    if isinstance(value, str):
        return value
    if is_lacking(value):
        return value.lacks
    return next((answer.complaint for answer in answers_in(value) if answer.complaint), None)


def leave() -> None:
    """Leaves the group: whoever waits for this rank in a collective gets an error."""
    with suppress(Exception):
        gc.collect()  # a module may hold the group
        dist.destroy_process_group()
