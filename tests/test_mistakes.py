"""The museum: every mistake is rejected, every right writing accepted, whatever the data, the start or the threads."""

import ast
import difflib
import re
import subprocess
import sys
from functools import cache
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

import implementations
from benchmarks.proof import mutants
from benchmarks.runs import saved
from implementations import mistakes
from implementations.mistakes import __main__ as command
from reference import datasets, equivalence

ROOT = Path(__file__).parent.parent
NAMES = mistakes.names()
ALONE = [name for name in NAMES if implementations.processes(name) == 1]  # the others: tests/test_ranks_files.py
RIGHT = implementations.runnable("cpu")
# Data, threads, seed of the start. Each is there, and each data with each number of threads; the other eight of the
# twelve that there could be noticed no other mistake, and no larger error of a right writing.
COMBINATIONS = [("digits", 1, 1), ("digits", 2, 10), ("noise", 1, 100), ("noise", 2, 1)]


@cache
def rows(dataset):
    """x and y of a dataset; "noise" has nothing to learn, 30 features and floats that are no k / 256."""
    if dataset == "digits":
        data = datasets.load("digits")
        return data.x_train, data.y_train
    generator = torch.Generator().manual_seed(5)
    return torch.rand(500, 30, generator=generator), torch.randint(10, (500,), generator=generator)


@cache
def cases(dataset, seed):
    return equivalence.cases(*rows(dataset), seed=seed)


@pytest.fixture(params=COMBINATIONS, ids="{0[0]}, threads {0[1]}, seed {0[2]}".format)
def combination(request):
    """The cases of these data and this seed, while torch has so many threads."""
    dataset, threads, seed = request.param
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    yield cases(dataset, seed)
    torch.set_num_threads(before)


@pytest.fixture(autouse=True)
def nothing_is_remembered():
    """A mistake that keeps its answers has none of another test's."""
    implementations.load("mistakes.answer_remembered").ANSWERS.clear()


pytestmark = [
    pytest.mark.usefixtures("every_shape_is_compiled"),
    pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf"),
    pytest.mark.filterwarnings("ignore:The use of `x.T` on tensors of dimension other than 2"),
]


@pytest.mark.parametrize("name", ALONE)
def test_every_mistake_is_rejected(name, combination):
    assert equivalence.complaint(implementations.load(name), combination)


SLOW = ("compile_step", "nn_dataloader_workers")  # compile anew for each number of threads, or start processes


@pytest.mark.parametrize(
    ("name", "combination"),
    [(name, each) for name in RIGHT for each in (COMBINATIONS[::3] if name in SLOW else COMBINATIONS)],
    indirect=["combination"],
)
def test_every_right_writing_is_accepted(name, combination):
    assert equivalence.complaint(implementations.load(name), combination) is None


def test_computing_in_float64_is_no_mistake():
    right = implementations.load("manual_inplace")

    def train(x, y, weight, bias, *rest):
        return tuple(
            parameter.to(x.dtype) for parameter in right.train(x.double(), y, weight.double(), bias.double(), *rest)
        )

    assert equivalence.complaint(SimpleNamespace(train=train), cases("digits", 1)) is None


def test_there_are_enough_of_them():
    assert len(NAMES) >= 40


@pytest.mark.parametrize("name", NAMES)
def test_a_file_says_what_is_seen_why_it_is_wrong_and_how_to_mend_it(name):
    text = ast.get_docstring(ast.parse(implementations.source(name)))
    first, *rest = text.splitlines()
    assert first.endswith(".")
    for word in ("You see: ", "Why it is wrong: ", "The fix: ", "Noticed by: "):
        assert sum(line.startswith(word) for line in rest) == 1, word


@pytest.mark.parametrize("name", ALONE)
def test_a_file_names_the_first_problem_that_notices_it(name):
    text = implementations.docstring(name)
    noticed = re.search(r"^Noticed by: (.+)\.$", text, re.MULTILINE)[1]
    findings = equivalence.findings(implementations.load(name), cases("digits", 1))
    assert noticed == next(finding.case for finding in findings if finding.complaint)


@pytest.mark.parametrize("name", NAMES)
def test_the_difference_from_the_right_sibling_is_the_mistake(name):
    sibling = implementations.parent(name)
    assert sibling in implementations.names()
    code = [body(implementations.source(each)) for each in (sibling, name)]
    changed = [line for line in difflib.ndiff(*code) if line[0] in "+-" and line[1:].strip()]
    assert 1 <= len(changed) <= 15


def body(source):
    """The lines below the docstring."""
    return source.splitlines()[ast.parse(source).body[0].end_lineno :]


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("zero_grad_forgotten", "the batches before are right: is a gradient carried over"),
        ("short_batch_dropped", "full batches are right, the short one is not"),
        ("short_batch_divided_by_batch_size", "full batches are right, the short one is not"),
        ("bias_never_updated", "only the bias is wrong"),
        ("bias_gradient_averaged", "only the bias is wrong"),
        ("learning_rate_halved", "the update is 0.5 times the right one"),
        ("loss_summed", "the update is 64 times the right one"),
        ("sign_reversed", "the update is -1 times the right one"),
        ("data_of_a_copy", "nothing was trained"),
        ("zero_grad_before_step", "nothing was trained"),
        ("noise_on_the_pixels", "two runs differ: does it depend on a random state?"),
        ("shuffled_from_epoch_two", "first wrong in epoch 2: is anything shuffled"),
        ("shuffled", "changed torch's random state"),
        ("updates_the_callers_weights", "modified the caller's weight"),
        ("threads_left_changed", "changed torch's number of threads"),
        ("answer_remembered", "right when called alone: does it remember an earlier call?"),
        ("naive_softmax", "large logits: the trained parameters are not finite"),
        ("zero_grad_before_first_backward", "raised AttributeError: 'NoneType'"),
    ],
)
def test_the_checker_says_in_words_what_the_pattern_suggests(name, words):
    findings = equivalence.findings(implementations.load(f"mistakes.{name}"), cases("digits", 1))
    assert any(words in f"{finding.case}: {finding.complaint}" for finding in findings)


def test_the_published_table_has_every_mistake():
    page = (saved.RESULTS / "mistakes.md").read_text()
    assert re.findall(r"^\| `(\w+)` ", page, re.MULTILINE) == [name.removeprefix("mistakes.") for name in NAMES]
    assert "NOT NOTICED" not in page


# --- python -m implementations.mistakes ---------------------------------------------------------------------


@pytest.fixture
def shown(monkeypatch, capsys):
    """What the command prints when it is given these arguments, run in this process."""

    def shown(*arguments):
        monkeypatch.setattr(sys, "argv", ["implementations.mistakes", *arguments])
        command.main()
        return capsys.readouterr().out

    return shown


def test_the_list_has_every_mistake_with_its_lesson():
    lines = command.listing().splitlines()
    assert max(map(len, lines)) <= 120
    for name in NAMES:
        assert any(line.startswith(name.removeprefix("mistakes.") + " ") for line in lines)


def test_a_mistake_beside_its_sibling(dataset):
    arguments = ("zero_grad_forgotten", "--dataset", dataset, "--epochs", "1")
    done = subprocess.run(
        [sys.executable, "-m", "implementations.mistakes", *arguments], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("The gradients are never zeroed")
    assert re.search(r"^ *epochs +autograd_inplace +mistakes.zero_grad_forgotten$", done.stdout, re.MULTILINE)
    assert len(re.findall(r"loss \d\.\d{4}, accuracy \d+\.\d\d%", done.stdout)) == 4
    assert re.search(r"the checker: \d+ of 15 problems notice it\n\* one row more than a batch: ", done.stdout)


def test_a_mistake_that_raises_is_shown(dataset, shown):
    text = shown("inplace_without_no_grad", "--dataset", dataset, "--epochs", "1")
    assert re.search(r"^ *1 +loss .* +RuntimeError$", text, re.MULTILINE)


def test_the_diff_shows_the_mistake(shown):
    assert "+            weight += xb.T @ grad * lr" in shown("sign_reversed", "--diff")


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("no_such",), "error: no mistake 'no_such'; there are answer_remembered, "),
        (("--diff",), "error: --diff needs a name"),
        (("sign_reversed", "--dataset", "gone.npz"), "error: gone.npz"),
    ],
)
def test_bad_arguments_are_one_line(arguments, complaint, shown):
    with pytest.raises(SystemExit) as ended:
        shown(*arguments)
    assert ended.value.code.startswith(complaint)  # Python prints it and exits with status 1
    assert len(ended.value.code.splitlines()) == 1


# --- mutants ------------------------------------------------------------------------------------------------


def test_a_mutant_is_one_change_to_what_training_uses():
    found = list(mutants.mutants("manual_inplace"))
    changes = [mutant.change for mutant in found]
    assert "weight -= xb.T @ grad * lr -> weight += xb.T @ grad * lr" in changes
    assert "bias -= grad.sum(0) * lr -> bias -= grad.sum(1) * lr" in changes
    assert len({mutant.source for mutant in found}) == len(found)


def test_mutants_are_rejected_or_explained():
    for mutant in mutants.mutants("manual_inplace"):
        assert mutants.complaint(mutant, cases("digits", 1)) or mutants.reason(mutant), mutant.change


def test_a_mutant_that_is_no_python_is_rejected():
    assert mutants.complaint(mutants.Mutant("a", "b", "def"), []) == "raised SyntaxError"
