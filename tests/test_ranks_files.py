"""What trains in several processes: right writings and mistakes, in one start of torchrun for each number of ranks."""

import math
import re
import signal
from subprocess import CompletedProcess

import numpy as np
import pytest

import implementations
from benchmarks.proof import museum
from benchmarks.proof.ranks import RAISED, fault, on_ranks
from implementations import __main__ as command
from implementations import mistakes
from reference import datasets, equivalence
from reference.datasets import Dataset
from reference.equivalence import Answer
from reference.ranks import UNEVEN, agreed
from tests.on_ranks import everything, raises_on_the_second
from tests.test_implementations import SHAPES, random_problem, shape_id

WRONG, RIGHT = museum.in_processes(UNEVEN)
RANKS = (2, UNEVEN)
# What two ranks have of these is right unless it is an odd number of rows.
NOTICED_BY_TWO = {
    "mistakes.shares_averaged": [
        *("one row", "fewer rows than a batch", "one row more than a batch", "as many rows in a batch as classes"),
    ],
    "mistakes.sampler_pads_with_duplicates": ["fewer rows than a batch", "as many rows in a batch as classes"],
}


@pytest.fixture(scope="module", params=RANKS, ids="{} ranks".format)
def ranks(request):
    """How many."""
    return request.param


@pytest.fixture(scope="module")
def questions():
    """The checker's problems, others of other shapes, and few rows for the museum."""
    digits = datasets.load("digits")
    shapes = [equivalence.solved(shape_id(shape), random_problem(*shape)) for shape in SHAPES]
    few = Dataset("few", "digits", *(rows[:200].clone() for rows in digits[2:]))
    return equivalence.cases(digits.x_train, digits.y_train), shapes, few


@pytest.fixture(scope="module")
def found(ranks, questions):
    """What so many ranks find of all of them."""
    return on_ranks(ranks, everything, RIGHT, WRONG, *questions)


@pytest.mark.parametrize("name", RIGHT)
def test_a_right_writing_is_right_on_every_rank(name, found):
    findings = found[0][name]
    assert len(findings) == 15 + 2 * len(SHAPES)
    assert [finding for finding in findings if finding.complaint] == []


@pytest.mark.parametrize("name", WRONG)
def test_a_mistake_is_rejected_and_by_which_problems(name, found, ranks):
    noticed = [finding.case for finding in found[1][name] if finding.complaint]
    if ranks == 2 and name in NOTICED_BY_TWO:
        assert noticed == NOTICED_BY_TWO[name]
    else:
        (first,) = re.findall(r"^Noticed by: (.+)\.$", implementations.docstring(name), re.MULTILINE)
        assert noticed[0] == first
        assert len(noticed) > 10


def test_ranks_that_end_apart_are_said_to(found):
    for name in ("mistakes.start_not_shared", "mistakes.wrapper_bypassed"):
        for finding in found[1][name]:
            assert finding.complaint.startswith("rank 1: ends with other parameters than rank 0: do all begin with ")


def test_the_museum_shows_what_the_first_rank_ends_with(found, ranks):
    (exhibit,), distances, without = found[2]
    assert (exhibit.name, exhibit.sibling, exhibit.problems) == ("wrapper_bypassed", "ddp", (0,))
    assert exhibit.losses[0] == exhibit.sibling_losses[0]
    assert all(
        math.isfinite(own) and own != right
        for own, right in zip(exhibit.losses[1:], exhibit.sibling_losses[1:], strict=True)
    )
    assert exhibit.raised is None
    assert without == {}
    assert [*distances] == RIGHT[:1]
    assert 0 < max(distances[RIGHT[0]]) <= equivalence.LIMIT


def test_a_rank_that_raises_is_one_line(monkeypatch, capfd):
    monkeypatch.setattr(museum, "found_out", lambda data: on_ranks(2, raises_on_the_second))
    with pytest.raises(SystemExit) as ended:
        museum.main()
    assert re.fullmatch(r"error: rank 1: raised ValueError: out of luck today \(on_ranks\.py:\d+\)", str(ended.value))
    assert capfd.readouterr() == ("", "")


def test_a_rank_that_died_is_named_before_those_that_lost_it(tmp_path):
    """As torchrun reports it."""
    report = "".join(
        f"  rank      : {rank} (local_rank: {rank})\n  exitcode  : {status} (pid: 7)\n"
        for rank, status in enumerate((-signal.SIGTERM, RAISED, -signal.SIGKILL))
    )
    raised = tmp_path / "raised"
    assert fault(CompletedProcess([], 1, stderr=""), raised) == "torchrun ended its process, status 1"
    raised.write_text("rank 1: raised RuntimeError: Connection closed by peer")
    assert fault(CompletedProcess([], 1, stderr=report), raised) == "rank 2: died of SIGKILL"
    assert fault(CompletedProcess([], 1, stderr=report.replace("-9", "99")), raised) == raised.read_text()


def test_what_trains_in_several_processes_is_no_row_of_one():
    assert [name for name in implementations.names() if name.startswith(("allreduce_", "ddp"))] == RIGHT
    assert len(WRONG) == len([name for name in mistakes.names() if implementations.parent(name) in RIGHT]) == 5
    assert not {*RIGHT} & {*implementations.runnable("cpu"), *museum.in_processes(1)[1]}


# --- one answer of several ranks ----------------------------------------------------------------------------


def answer(*weights):
    return Answer((np.array([weights], dtype=np.float32), np.zeros(len(weights), dtype=np.float32)), None)


@pytest.mark.parametrize(
    ("answers", "complaint"),
    [
        ([answer(1, 2), answer(1, 2), answer(1, 2)], None),
        ([answer(math.nan), answer(math.nan)], None),
        ([answer(1, 2), answer(1, 2), answer(1, 2.0000002)], "rank 2: ends with other parameters than rank 0: do all "),
        ([answer(0.0), answer(-0.0)], "rank 1: ends with other parameters than rank 0: do all "),
        ([answer(1), Answer(None, "raised OSError: no")], "rank 1: raised OSError: no"),
        ([Answer(None, "returned list"), answer(1)], "rank 0: returned list"),
    ],
)
def test_ranks_agree_where_they_are_equal_to_the_bit(answers, complaint):
    agreement = agreed(answers)
    if complaint is None:
        assert agreement is answers[0]
    else:
        assert agreement.complaint.startswith(complaint)
        assert agreement.parameters is None


# --- the commands -------------------------------------------------------------------------------------------


def test_a_command_says_how_torchrun_is_called(monkeypatch, capsys):
    monkeypatch.delenv("TORCHELASTIC_RUN_ID", raising=False)
    with pytest.raises(command.Refusal) as refusal:
        command.check_processes("ddp", 2, "implementations ddp")
    assert str(refusal.value) == (
        "ddp trains in several processes: torchrun --standalone --nproc-per-node 2 -m implementations ddp"
    )
    command.check_processes("manual_inplace", 2, "")
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "none")
    command.check_processes("ddp", 2, "")
