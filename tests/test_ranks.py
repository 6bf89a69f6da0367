"""Rows of several ranks: started by torchrun, checked, timed; and every way in which one of them can fail."""

import itertools
import json
import os
import re
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import torch.distributed as dist

from benchmarks.measure import ranks, silence
from benchmarks.measure.ranks import Line, Rank, RankReply, together
from benchmarks.measure.refusals import Wrong
from benchmarks.measure.stopwatch import Time
from benchmarks.measure.work import FirstCall
from benchmarks.measure.workers import Ranks
from benchmarks.proof import distance
from reference.equivalence import Answer
from reference.ranks import GAVE_UP
from tests.project import ROOT, added, bench, made_project
from tests.test_options import settings

MANUAL = (ROOT / "implementations" / "allreduce_manual.py").read_text()
EXCHANGE = "            dist.all_reduce(weight_grad)\n"


def faulty(line, *imports):
    """allreduce_manual, in which the second rank does something else before the exchange in the third step."""
    assert MANUAL.count(EXCHANGE) == 1
    what = f"            if rank == 1 and start == 2 * batch_size:\n                {line}\n"
    return "\n".join([*(f"import {name}" for name in imports), MANUAL.replace(EXCHANGE, what + EXCHANGE)])


FAULTS = {
    "ranks_raises": faulty("raise ValueError('out of luck')"),
    "ranks_dies": faulty("os.kill(os.getpid(), 9)", "os"),
    "ranks_hangs": faulty("time.sleep(1000)", "time"),
    "ranks_unlike": faulty("weight_grad = weight_grad[1:].clone()"),
}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """The benchmark on a right file and on all the wrong ones, with two ranks: its process, and what it saved."""
    project = made_project(tmp_path_factory.mktemp("ranks"))
    waits = project / "reference" / "ranks.py"
    assert waits.read_text().count("\nSECONDS = 20 ") == 1
    waits.write_text(waits.read_text().replace("\nSECONDS = 20 ", "\nSECONDS = 8 "))
    with added(project, **FAULTS):
        arguments = ["--benchmark-only", "--benchmark-json=run.json", "--ranks=2", "--pairs=8", "--batch-size=16"]
        process = bench(project, *arguments, "-k", "manual_inplace or allreduce_manual or ranks_")
    return process, json.loads((project / "run.json").read_text())


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("ranks_raises", r"wrong: rank 1: raised ValueError: out of luck \(ranks_raises\.py:\d+\)"),
        ("ranks_dies", r"wrong: rank 1: died of SIGKILL"),
        (
            "ranks_hangs",
            r"wrong: rank 1: has not answered 5 s after rank 0, which raised RuntimeError: .*Timed out waiting",
        ),
        ("ranks_unlike", r"wrong: rank [01]: died of SIGABRT; the last that it wrote: .*"),
    ],
)
def test_a_faulty_rank_costs_its_row_and_is_named(name, reason, run):
    _, content = run
    untimed = dict(content["untimed"])
    assert re.match(reason, untimed[f"{name}-cpu"]), untimed[f"{name}-cpu"]


def test_rows_of_ranks_stand_beside_others_and_say_so(run):
    process, content = run
    assert process.returncode == 1
    rows = {benchmark["extra_info"]["name"]: benchmark["extra_info"] for benchmark in content["benchmarks"]}
    assert set(rows) == {"allreduce_manual", "manual_inplace"}
    fields = ("processes", "hosts", "threads_per_process", "backend", "baseline_processes")
    assert [rows["allreduce_manual"][field] for field in fields] == [2, 1, 1, "gloo", None]
    assert [rows["manual_inplace"][field] for field in fields] == [None] * 5
    assert "ranks     2 processes of 1 thread each, by gloo\n" in process.stdout


def test_a_rank_that_gave_up_says_itself_which_it_waited_for(tmp_path):
    """Its last line is whole, however long, and the rank that it names is another."""
    report = "Root Cause (first observed failure):\n[0]:\n  rank      : 1 (local_rank: 1)\n  exitcode  : {} (pid: 7)\n"
    line = f"rank 0: has not answered 5 s after rank 1, which raised RuntimeError: {'so long ' * 50}and no longer"
    folder = tmp_path / "0" / "attempt_0" / "1"
    folder.mkdir(parents=True)
    (folder / "stderr.log").write_text(f"a warning\n{line}\n")
    log = tmp_path / "0.log"
    ranks = SimpleNamespace(process=SimpleNamespace(wait=lambda _: 1), stop=lambda: 1, log=log, logs=tmp_path)
    log.write_text(report.format(GAVE_UP))
    assert Ranks.ending(ranks) == line
    log.write_text(report.format(1))
    assert Ranks.ending(ranks) == f"rank 1: ended its process, status 1; the last that it wrote: {line[-200:]}"


# --- without torchrun -----------------------------------------------------------------------------------------


def answer(number=0.0, complaint=None):
    return Answer(None, complaint) if complaint else Answer((np.full((2, 3), number), np.zeros(3)), None)


def test_what_all_ranks_answer_alike_is_the_answer_of_the_slowest():
    one, other = FirstCall(1.0, answer(), None), FirstCall(2.0, answer(), None)
    outcome, value = together([RankReply("done", one), RankReply("done", other)])
    assert (outcome, value.seconds) == ("done", 2.0)
    times = Time(3.0, 0.5, 0.2), Time(4.0, 0.25, 0.1)
    outcome, (time, _) = together([RankReply("done", (time, answer())) for time in times])
    assert (outcome, time) == ("done", Time(4.0, 0.75, 0.1))
    assert together([RankReply("done", ("large logits",))] * 2) == ("done", ("large logits",))


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ([[answer()], [answer(1e-300)]], "rank 1: ends with other parameters than rank 0: "),
        ([[answer(), answer()], [answer(), answer(-0.0)]], "rank 1: ends with other parameters than rank 0: "),
    ],
)
def test_parameters_that_differ_in_a_bit_are_wrong(values, words):
    outcome, value = together([RankReply("done", value) for value in values])
    assert outcome == "wrong"
    assert value.startswith(words)


def test_the_first_rank_that_was_at_fault_is_named():
    """The others only lost it; what is lacking is no fault."""
    lost = RankReply("raised", "RuntimeError: Connection closed by peer (a.py:1)", 2)
    for first, reply in (
        (RankReply("raised", "ValueError: no (a.py:2)", 1), ("wrong", "rank 1: raised ValueError: no (a.py:2)")),
        (RankReply("done", [answer(complaint="modified x")], 1), ("wrong", "rank 1: modified x")),
        (RankReply("wrong", "rank 0 has another file", 1), ("wrong", "rank 0 has another file")),
        (RankReply("done", "changed the clock", 1), ("wrong", "rank 1: changed the clock")),
    ):
        assert together([lost, first]) == reply
    lacks = FirstCall(0.0, Answer(None, None), "no compiler")
    assert together([lost, RankReply("done", lacks, 1)]) == ("done", lacks)


@pytest.fixture
def lines(monkeypatch):
    """Those of two ranks, without a process group."""
    store = dist.TCPStore("127.0.0.1", 0, is_master=True)
    found = []
    for rank in (0, 1):
        line = object.__new__(Line)
        line.store, line.count = dist.TCPStore("127.0.0.1", store.port), ranks.Counter()
        line.rank, line.ranks, line.hosts = rank, 2, 1
        found.append(line)
    yield found
    del store


def test_messages_of_any_size_arrive_in_order_and_leave_nothing(lines):
    sender, receiver = lines
    before = sender.store.num_keys()
    messages = [None, ("train", [1.5]), os.urandom(2 * ranks.PIECE + 1)]  # more than the store takes at once
    for message in messages:
        sender.send("orders of 1", message)
    assert [receiver.received("orders of 1", 1) for _ in messages] == messages
    assert sender.store.num_keys() == before
    with pytest.raises(dist.DistStoreError):
        receiver.received("orders of 1", 0.01)


@pytest.mark.parametrize(
    ("other", "words"),
    [
        ({"torch": "1.0"}, rf"^rank 1 has torch 1\.0, rank 0 has {re.escape(torch.__version__)}; expected the "),
        (
            {"sha256": "f" * 64},
            r"^rank 1 has implementations/ddp\.py f{12}, rank 0 has [0-9a-f]{12}; expected the same",
        ),
    ],
)
def test_another_file_or_torch_elsewhere_is_named_before_anything_runs(other, words, lines, monkeypatch):
    mine, theirs = (Rank("ddp", line) for line in lines)
    with monkeypatch.context() as there:
        there.setattr(ranks.torch, "__version__", other.get("torch", torch.__version__))
        if "sha256" in other:
            there.setattr(ranks.sources, "sha256", lambda name: other["sha256"])
        theirs.tell_facts()
    mine.tell_facts()
    for rank in (mine, theirs):
        with pytest.raises(Wrong, match=words):
            rank.check_alike()


@pytest.mark.parametrize("address", ["127.0.0.1", "127.0.1.1"])
def test_a_machine_whose_name_leads_to_itself_alone_is_named(address, lines, monkeypatch):
    monkeypatch.delenv("GLOO_SOCKET_IFNAME", raising=False)
    monkeypatch.setattr(ranks.socket, "gethostname", lambda: "box")
    monkeypatch.setattr(ranks.socket, "gethostbyname", lambda name: address)
    mine, theirs = (Rank("ddp", line) for line in lines)
    assert mine.unreachable() == ""  # on one machine it does not matter
    for line in lines:
        line.hosts = 2
    theirs.tell_facts()
    monkeypatch.setenv("GLOO_SOCKET_IFNAME", "eth0")
    mine.tell_facts()
    for rank in (mine, theirs):
        with pytest.raises(Wrong, match=rf"^rank 1: box, .*, resolves to {re.escape(address)}: set GLOO_SOCKET_IFNAME"):
            rank.check_alike()


def test_the_exchange_is_what_a_step_takes_less_in_silence(lines, monkeypatch):
    rank = Rank("ddp", lines[0])
    rank.device, rank.timed_problem = "cpu", SimpleNamespace(start=None)
    rank.problem = SimpleNamespace(x=range(640), batch_size=64)
    seconds = {"gloo": 0.5, "silent": 0.3}  # of a step
    once = {"gloo": 3.0, "silent": 1.0}  # of a call
    turns, laps = iter([0.0, 9.0] + [0.0] * 98), itertools.count()
    monkeypatch.setattr(rank, "part", lambda first, rows: (rows, ()))

    def join(backend):
        rank.backend, rank.late = backend, next(turns)

    def lap(rows, *_):
        disturbed = next(laps) // 2 % 8 != 3  # of eight of each length all but one
        taken = once[rank.backend] + rows // 64 * (seconds[rank.backend] + rank.late) + disturbed
        return Time(taken, 0.0), Answer(None, complaints.get(rank.backend) if disturbed else None)

    monkeypatch.setattr(rank, "join", join)
    monkeypatch.setattr(rank, "lap", lap)
    complaints = {}
    assert rank.exchange_seconds() == pytest.approx(0.2)  # though one turn of five was slow
    complaints["silent"] = "raised NotImplementedError: reduce_scatter"
    assert rank.exchange_seconds() is None
    complaints.clear()
    seconds["silent"] = 0.6
    assert rank.exchange_seconds() is None  # noise
    seconds["silent"] = 0.3
    rank.problem.x = range(639)
    assert rank.exchange_seconds() is None  # too few rows


def test_an_all_reduce_takes_as_long_as_for_the_slowest_rank_in_the_middle_of_many(lines, monkeypatch):
    rank = Rank("ddp", lines[0])
    rank.device, rank.clock = "cpu", None
    own = iter([1.0, 5.0, 2.0])  # the other rank waits 3 s in each
    sent = []
    monkeypatch.setattr(ranks, "CALLS", 3)
    monkeypatch.setattr(ranks, "timed", lambda call, clock: (call(), (Time(next(own), 0.0), None))[1])
    monkeypatch.setattr(
        ranks.dist, "all_reduce", lambda tensor, *op: sent.append(tensor.clone()) or tensor.clamp_(min=3)
    )
    assert rank.all_reduce_seconds(31400) == 3.0
    assert [tensor.nbytes for tensor in sent[:3]] == [31400] * 3
    assert sent[3].tolist() == [1, 5, 2]


def test_in_silence_collectives_leave_tensors_as_they_are():
    """Also those of DistributedDataParallel."""
    dist.init_process_group(silence.SILENT, store=dist.HashStore(), rank=1, world_size=2)
    try:
        tensor = torch.arange(3.0)
        dist.all_reduce(tensor)
        dist.all_reduce(tensor, async_op=True).wait()
        dist.broadcast(tensor, src=0)
        dist.barrier()
        assert tensor.tolist() == [0, 1, 2]
        wrapped = torch.nn.parallel.DistributedDataParallel(torch.nn.Linear(4, 3))
        wrapped(torch.ones(2, 4)).sum().backward()
        assert wrapped.module.bias.grad.tolist() == [1, 1, 1]  # the mean over two ranks, of which one has said nothing
    finally:
        dist.destroy_process_group()


def test_more_ranks_than_cores_are_checked_and_not_timed(monkeypatch):
    monkeypatch.setattr("benchmarks.measure.machines.cores", lambda: 2)
    with pytest.raises(pytest.UsageError, match=r"^--ranks 4: this machine has 2 cores"):
        settings(ranks="4", benchmark_disable=False)
    assert settings(ranks="4", benchmark_disable=True).ranks == 4
    assert settings(ranks="2", benchmark_disable=False).ranks == 2


def test_a_baseline_of_several_ranks_needs_them():
    with pytest.raises(pytest.UsageError, match=r"^--baseline ddp: it trains in several processes; add --ranks 2$"):
        settings(baseline="ddp")


# --- two machines ---------------------------------------------------------------------------------------------


@pytest.mark.skipif(not distance.possible(), reason="needs root, iproute2 and /dev/net/tun")
def test_a_row_runs_on_two_machines_and_another_file_there_is_named(tmp_path):
    """The second machine sees nothing of what the first writes."""
    for name in ("first", "second", "own"):
        (tmp_path / name).mkdir()
    projects = [made_project(tmp_path / name) for name in ("first", "second")]
    for project, comment in zip(projects, ("", "# another\n"), strict=True):
        (project / "implementations" / "ranks_other.py").write_text(MANUAL + comment)
    # The second has nothing there; what `ip netns exec` starts has mounts of its own.
    hidden = f"mount -t tmpfs none {tmp_path / 'own'} && exec " + '"$@"'
    rows = ["-p", "no:hypothesispytest", "benchmarks", "--benchmark-disable", "--dataset=own.npz", "--ranks=2"]
    rows += ["-k", "allreduce_manual or ranks_other", "--spawn"]  # no row needs a fork
    first = [sys.executable, *distance.torchrun(0), "-m", "pytest", *rows]
    second = ["sh", "-c", hidden, "-", sys.executable, *distance.torchrun(1), "-m", "benchmarks.machine"]
    with distance.machines(0) as names:
        started = [
            subprocess.Popen(
                ["ip", "netns", "exec", name, *command],
                cwd=project,
                env={**distance.environment(name), "TMPDIR": str(tmp_path / "own"), "COLUMNS": "200"},
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            )
            for name, project, command in zip(names, projects, (first, second), strict=True)
        ]
        printed, there = (process.communicate()[0] for process in started)
    assert "1 failed, 1 passed" in printed, printed + there
    assert re.search(
        r"ranks_other-cpu wrong: rank 1 has implementations/ranks_other\.py \w+, rank 0 has \w+; ", printed
    )
    assert "allreduce_manual in 2 processes" in there
    assert not list((tmp_path / "own").glob("one-trainer-*"))
