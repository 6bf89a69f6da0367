"""The checker against wrong trainers, each one edit away from a right one."""

import math
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from sklearn.datasets import load_iris, load_wine

import implementations
from reference import datasets, equivalence, torch_nn
from reference.problem import Problem, initial_parameters

pytestmark = pytest.mark.usefixtures("every_shape_is_compiled")

AUTOGRAD = "autograd_stable_loss"
MANUAL = "manual_inplace"
LOOP = "    for _ in range(epochs):\n"
ZERO = "                weight.grad.zero_()\n                bias.grad.zero_()\n"
UPDATE = "weight -= xb.T @ grad * lr\n            bias -= grad.sum(0) * lr\n"
STALE = """step = xb.T @ grad * lr, grad.sum(0) * lr
            if start > 0:
                weight -= stale[0]
                bias -= stale[1]
            stale = step
"""
MOMENTUM = """velocity = [0.1 * v + g for v, g in zip(velocity, (xb.T @ grad, grad.sum(0)), strict=True)]
            weight -= velocity[0] * lr
            bias -= velocity[1] * lr
"""

# mistake: (the right writing, what it says, what the mistake says)
MISTAKES = {
    "no-op": (AUTOGRAD, "range(epochs)", "range(0)"),
    "one epoch short": (AUTOGRAD, "range(epochs)", "range(max(1, epochs - 1))"),
    "learning rate 0.1 % off": (AUTOGRAD, "* lr", "* lr * 1.001"),
    "wrong sign": (AUTOGRAD, "-= weight.grad", "+= weight.grad"),
    "sum instead of mean": (AUTOGRAD, "target].mean()", "target].sum()"),
    "forgotten zero_grad": (AUTOGRAD, ZERO, ""),
    "only the weight's gradient zeroed": (AUTOGRAD, "                bias.grad.zero_()\n", ""),
    "short last batch dropped": (
        AUTOGRAD,
        "range(0, len(x), batch_size)",
        "range(0, len(x) - batch_size + 1, batch_size)",
    ),
    "short batch divided by the batch size": (MANUAL, "grad /= len(yb)", "grad /= batch_size"),
    "short batch divided by 64": (MANUAL, "grad /= len(yb)", "grad /= 64"),
    "softmax twice": (AUTOGRAD, "log_softmax(xb @ weight + bias)", "log_softmax(torch.softmax(xb @ weight + bias, 1))"),
    "softmax over the wrong axis": (AUTOGRAD, ".sum(-1).log().unsqueeze(-1)", ".sum(0).log()"),
    "bias never updated": (AUTOGRAD, "bias -= bias.grad * lr", "bias -= 0"),
    "bias missing in the forward pass": (MANUAL, "@ weight + bias", "@ weight"),
    "bias gradient averaged": (MANUAL, "grad.sum(0)", "grad.mean(0)"),
    "stale gradient": (MANUAL, UPDATE, STALE),
    "momentum left in": (MANUAL, UPDATE, MOMENTUM),
    "labels shifted": (AUTOGRAD, "y[start : start", "y.roll(1)[start : start"),
    "rows shuffled": (
        AUTOGRAD,
        LOOP,
        "    order = torch.arange(len(x)).flip(0)\n    x, y = x[order], y[order]\n" + LOOP,
    ),
    "first row left out": (AUTOGRAD, LOOP, "    if len(x) > 1:\n        x, y = x[1:], y[1:]\n" + LOOP),
    "weight decay 1e-4": (AUTOGRAD, "weight.grad * lr", "(weight.grad + 1e-4 * weight) * lr"),
    "caller's weight modified": (MANUAL, "weight, bias = weight.clone(),", "weight, bias = weight,"),
    "caller's bias modified": (MANUAL, "bias.clone()", "bias"),
    "caller's x modified": (MANUAL, LOOP, "    x.clamp_(max=0.99)\n" + LOOP),
    "caller's weight requires grad": (MANUAL, LOOP, "    given.requires_grad_()\n" + LOOP),
    "initial weights ignored": (MANUAL, "weight.clone()", "torch.zeros_like(weight)"),
    "pixels / 255": (AUTOGRAD, "x[start : start", "(x * (256 / 255))[start : start"),
    "bfloat16 product": (MANUAL, "xb @ weight", "(xb.bfloat16() @ weight.bfloat16()).to(xb.dtype)"),
    "float16 product": (MANUAL, "xb @ weight", "(xb.half() @ weight.half()).to(xb.dtype)"),
    "NaN": (AUTOGRAD, "weight.detach(), bias", "weight.detach() * math.nan, bias"),
    "a single NaN in the bias": (MANUAL, "return weight, bias", "bias[0] = math.nan\n    return weight, bias"),
    "infinite": (AUTOGRAD, "weight.detach(), bias", "weight.detach() / 0, bias"),
    "gradient clipped": (MANUAL, "weight -= xb.T @ grad", "weight -= (xb.T @ grad).clamp(-0.01, 0.01)"),
    "maximum subtracted only above 0": (
        MANUAL,
        "grad = torch.softmax(xb @ weight + bias, dim=1)",
        "z = xb @ weight + bias\n            grad = (z - z.amax(1, keepdim=True).clamp(min=0)).exp()\n"
        "            grad /= grad.sum(1, keepdim=True)",
    ),
    "numbers of threads changed": (MANUAL, LOOP, "    torch.set_num_threads(torch.get_num_threads() + 1)\n" + LOOP),
    "random state used": (MANUAL, LOOP, "    torch.rand(1)\n" + LOOP),
    "gradient mode left off": (MANUAL, LOOP, "    torch.set_grad_enabled(False)\n" + LOOP),
    "matmul precision lowered": (MANUAL, LOOP, '    torch.set_float32_matmul_precision("medium")\n' + LOOP),
    "TF32 allowed on CUDA, the older way": (
        MANUAL,
        LOOP,
        "    torch.backends.cuda.matmul.allow_tf32 = True\n" + LOOP,
    ),
    "TF32 allowed on CUDA": (MANUAL, LOOP, '    torch.backends.cuda.matmul.fp32_precision = "tf32"\n' + LOOP),
    "TF32 allowed everywhere": (MANUAL, LOOP, '    torch.backends.fp32_precision = "tf32"\n' + LOOP),
    "bfloat16 allowed on a CPU": (MANUAL, LOOP, '    torch.backends.mkldnn.matmul.fp32_precision = "bf16"\n' + LOOP),
    "all cores but one given up": (MANUAL, LOOP, "    import os\n    os.sched_setaffinity(0, {0})\n" + LOOP),
    "clock replaced": (MANUAL, LOOP, "    import time\n    time.perf_counter = lambda: 0.0\n" + LOOP),
    "weight transposed": (MANUAL, "return weight, bias", "return weight.T, bias"),
    "float64 returned": (MANUAL, "return weight, bias", "return weight.double(), bias.double()"),
    "list returned": (MANUAL, "return weight, bias", "return [weight, bias]"),
    "nothing returned": (MANUAL, "return weight, bias", "return"),
    "raises": (MANUAL, LOOP, "    raise OSError('out of ideas')\n" + LOOP),
}
CACHES = {
    "answer cached for good": "'any'",
    "answer cached by shape": "(x.shape, batch_size, epochs)",
    "answer cached by identity": "(id(x), id(weight), x.shape, epochs)",
    "answer cached by address": "(x.data_ptr(), weight.data_ptr(), x.shape, epochs)",
}


def module(name, before="", after=""):
    """The implementation with one edit in its source, loaded afresh."""
    source = implementations.source(name)
    assert before in source, f"{name} does not contain {before!r}"
    source = source.replace(before, after)
    source = source.replace("    weight, bias = ", "    given = weight\n    velocity = [0, 0]\n    weight, bias = ", 1)
    namespace = {"math": math}
    exec(compile(source, f"{name}.py", "exec"), namespace)
    return SimpleNamespace(**namespace)


def caching(key):
    """The reference, remembering its answers by the value of an expression of its arguments."""
    answers = {}

    def train(x, y, weight, bias, batch_size, lr, epochs):
        place = eval(key)
        if place not in answers:
            answers[place] = torch_nn.train(x, y, weight, bias, batch_size, lr, epochs)
        return answers[place]

    return SimpleNamespace(train=train)


def standardised_rows():
    """Rows unlike MNIST: 30 features around zero, none of them sparse; labels of 10 classes."""
    random = np.random.default_rng(0)
    x = torch.from_numpy(random.normal(size=(400, 30)).astype(np.float32))
    return x, torch.from_numpy(random.integers(0, 10, 400))


def few_rows():
    """Fewer rows than the checker's problems have; they are repeated."""
    random = np.random.default_rng(1)
    x = torch.from_numpy(random.integers(0, 256, (7, 784)).astype(np.float32) / 256)
    return x, torch.from_numpy(random.integers(0, 10, 7))


def small_data(load, scale):
    """scikit-learn's iris or wine, shuffled, four fifths of it: raw, scaled to 0..1 or standardised."""
    features, labels = load(return_X_y=True)
    order = np.random.RandomState(0).permutation(len(features))[: len(features) * 4 // 5]
    x, y = features[order], labels[order]
    if scale == "0..1":
        x = (x - x.min(0)) / (x.max(0) - x.min(0))
    elif scale == "standardised":
        x = (x - x.mean(0)) / x.std(0)
    return torch.from_numpy(x.astype(np.float32)), torch.from_numpy(y.astype(np.int64))


@pytest.mark.parametrize("scale", ["raw", "0..1", "standardised"])
@pytest.mark.parametrize("load", [load_iris, load_wine])
def test_right_trainers_are_accepted_on_few_features(load, scale):
    cases = equivalence.cases(*small_data(load, scale))
    assert equivalence.complaint(torch_nn, cases) is None
    for name in ("manual_inplace", "manual_fused_update", "numpy_loop"):
        assert equivalence.complaint(implementations.load(name), cases) is None, name


@pytest.fixture(scope="module", params=["digits", "standardised", "few rows"])
def cases(request):
    if request.param == "digits":
        data = datasets.load("digits")
        return equivalence.cases(data.x_train, data.y_train)
    return equivalence.cases(*(standardised_rows() if request.param == "standardised" else few_rows()))


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_wrong_trainer_is_rejected(mistake, cases):
    threads = torch.get_num_threads()
    assert equivalence.complaint(module(*MISTAKES[mistake]), cases)
    assert torch.get_num_threads() == threads


@pytest.mark.parametrize("mistake", CACHES)
def test_a_trainer_that_remembers_is_rejected(mistake, cases):
    assert equivalence.complaint(caching(CACHES[mistake]), cases)


# On digits, also with other numbers of threads and other starts: test_mistakes.py, where those are that compile slowly.
@pytest.mark.parametrize("cases", ["standardised", "few rows"], indirect=True)
@pytest.mark.parametrize("name", sorted({*implementations.runnable("cpu")} - {"compile_step", "nn_dataloader_workers"}))
def test_a_right_trainer_is_accepted(name, cases):
    assert equivalence.complaint(implementations.load(name), cases) is None


def test_float64_inside_and_float32_outside_is_right(cases):
    def train(x, y, weight, bias, *rest):
        result = torch_nn.train(x.double(), y, weight.double(), bias.double(), *rest)
        return tuple(parameter.float() for parameter in result)

    assert equivalence.complaint(SimpleNamespace(train=train), cases) is None


@pytest.mark.parametrize("wrong_call", [1, 2])
def test_of_two_calls_in_a_row_each_is_judged(wrong_call):
    calls = []

    def train(x, y, weight, bias, batch_size, lr, epochs):
        calls.append(1)
        return torch_nn.train(x, y, weight, bias, batch_size, lr * (2 if len(calls) == wrong_call else 1), epochs)

    (case,) = (case for case in equivalence.cases(*few_rows()) if case.name == "called again")
    finding = equivalence.attempt(equivalence.Trainer(SimpleNamespace(train=train)), case)
    assert finding.case == "called again"
    assert "the update is off by" in finding.complaint


def test_only_large_logits_may_be_given_up(cases):
    wrong = module(*MISTAKES["learning rate 0.1 % off"])
    wrong.EXPECTED_TO_FAIL = tuple(case.name for case in cases)
    assert "one step" in equivalence.complaint(wrong, cases)


def test_a_mark_that_has_lost_its_reason_is_reported(cases):
    right = module(AUTOGRAD)
    right.EXPECTED_TO_FAIL = ("large logits",)
    assert equivalence.complaint(right, cases) == "large logits: passes, so take it out of EXPECTED_TO_FAIL"


@pytest.mark.parametrize(
    ("declared", "given_up"),
    [("large logits", ("large logits",)), (["large logits"], ("large logits",)), (None, ()), (True, ())],
)
def test_what_is_given_up_is_one_name_or_several(declared, given_up):
    implementation = SimpleNamespace(EXPECTED_TO_FAIL=declared)
    assert equivalence.Trainer(implementation).gives_up == given_up


def test_where_no_part_can_be_judged_nothing_is_said_of_it(cases, monkeypatch):
    def solved(name, problem):
        raise equivalence.Unjudgeable("float32 noise is too much to judge by")

    monkeypatch.setattr(equivalence, "solved", solved)
    complaint = found("sum instead of mean", "one step", cases)
    assert complaint.endswith(" in float32 noise, allowed 10")


def found(mistake, case_name, cases):
    """The complaint of one case about one mistake."""
    case = next(case for case in cases if case.name == case_name)
    return equivalence.judged(module(*MISTAKES[mistake]), case).complaint


def test_a_complaint_names_error_limit_and_the_first_wrong_batch(cases):
    complaint = found("forgotten zero_grad", "five batches and a short one", cases)
    assert "in float32 noise, allowed 10; first wrong at batch 2 of 6 (rows 64 to 127)" in complaint
    complaint = found("short last batch dropped", "five batches and a short one", cases)
    assert "first wrong at batch 6 of 6 (rows 320 to 329)" in complaint
    complaint = found("one epoch short", "three epochs", cases)
    assert "; first wrong in epoch 2: is anything shuffled" in complaint


@pytest.mark.parametrize(
    ("mistake", "words"),
    [
        ("NaN", "the trained parameters are not finite"),
        ("caller's x modified", "modified the caller's x: work on a clone"),
        ("numbers of threads changed", "changed torch's number of threads: leave the process as it was"),
        ("weight transposed", "returned weight as (10, 784) torch.float32 on cpu; expected (784, 10)"),
        ("float64 returned", "returned weight as (784, 10) torch.float64 on cpu; expected (784, 10) torch.float32"),
        ("nothing returned", "returned NoneType; expected (weight, bias), a tuple of two tensors"),
        ("raises", "raised OSError: out of ideas (manual_inplace.py:"),
    ],
)
def test_a_complaint_says_what_was_wrong(mistake, words):
    cases = equivalence.cases(*few_rows())
    assert words in equivalence.complaint(module(*MISTAKES[mistake]), cases)


def test_a_problem_that_float32_cannot_solve_is_refused():
    x, y = standardised_rows()
    problem = Problem(x * 1e30, y, *initial_parameters(30, 10), epochs=3)
    with pytest.raises(equivalence.Unjudgeable, match=r"wild: float32 noise is .* scale the pixels"):
        equivalence.solved("wild", problem)


def test_rounding_is_allowed_where_the_reference_makes_no_error():
    nothing_to_learn = Problem(torch.ones(1, 1), torch.zeros(1).long(), torch.ones(1, 1), torch.ones(1))

    def train(x, y, weight, bias, *rest):
        return weight.clone(), bias.nextafter(2 * bias)

    case = equivalence.solved("one class", nothing_to_learn)
    assert equivalence.judged(SimpleNamespace(train=train), case).complaint is None


def test_the_process_is_set_back():
    before = torch.get_rng_state()
    with equivalence.unchanged_process_state() as changed:
        torch.rand(3)
        np.random.rand()
        torch.set_default_dtype(torch.float64)
    assert changed == ["torch's default dtype", "torch's random state", "NumPy's random state"]
    assert torch.get_default_dtype() == torch.float32
    assert torch.equal(torch.get_rng_state(), before)


def test_the_random_state_of_a_gpu_is_set_back(monkeypatch):
    states = [torch.arange(16, dtype=torch.uint8)]
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_rng_state_all", lambda: states)
    monkeypatch.setattr(torch.cuda, "set_rng_state_all", lambda new: states.__setitem__(slice(None), new))
    with equivalence.unchanged_process_state() as changed:
        states[0] = states[0] + 1
    assert changed == ["CUDA's random state"]
    assert states[0].tolist() == list(range(16))


@pytest.mark.skipif(torch.cuda.is_initialized(), reason="CUDA is in use")
def test_asking_for_the_random_state_of_a_gpu_does_not_begin_to_use_it():
    with equivalence.unchanged_process_state() as changed:
        pass
    assert not changed
    assert not torch.cuda.is_initialized()


def trainer(text):
    """manual_inplace with some lines at its beginning."""
    namespace = {}
    source = implementations.source(MANUAL).replace(TRAIN, TRAIN + text)
    exec(compile(source, "trainer.py", "exec"), namespace)
    return SimpleNamespace(**namespace)


TRAIN = "def train(x, y, weight, bias, batch_size, lr, epochs):\n"


@pytest.mark.parametrize(
    ("line", "changed"),
    [
        ("torch.set_autocast_enabled('cpu', True)", "torch's autocast"),
        ("torch.set_autocast_enabled('cuda', True)", "torch's autocast"),
        ("torch.autograd.set_detect_anomaly(True)", "torch's anomaly mode"),
        ("import gc; gc.disable()", "the garbage collector"),
        ("import numpy as np; np.seterr(all='ignore')", "NumPy's handling of errors"),
        ("torch.set_flush_denormal(True)", "what becomes of numbers too small for float32"),
    ],
)
@pytest.mark.filterwarnings("ignore:Anomaly Detection has been enabled")
def test_what_a_trainer_leaves_changed_is_named_and_set_back(line, changed, cases):
    before = equivalence.SHARED[changed][0]()
    complaint = equivalence.complaint(trainer(f"    {line}\n"), cases)
    assert f"changed {changed}: leave the process as it was" in complaint
    assert equivalence.SHARED[changed][0]() == before


def test_what_an_import_changes_is_not_the_trainers_doing_but_what_it_does_each_time_is(cases, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "draws_once.py").write_text("import numpy as np\n\nnp.random.rand()\n")
    monkeypatch.delitem(sys.modules, "draws_once", raising=False)
    assert equivalence.complaint(trainer("    import draws_once\n"), cases[:1]) is None
    always = "    import sys\n    torch.rand(1)\n    sys.modules[f'new{len(sys.modules)}'] = sys\n"
    try:
        assert "changed torch's random state" in equivalence.complaint(trainer(always), cases[:1])
    finally:
        for name in [name for name in sys.modules if name.startswith("new")]:
            if sys.modules[name] is sys:
                del sys.modules[name]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("    lr = 0.5\n", "as many rows in a batch as classes: the update is off by"),
        ("    x = (x * 256).byte() / 256\n", "pixels of any size and sign: the update is off by"),
    ],
)
def test_what_only_one_problem_shows(text, words):
    assert words in equivalence.complaint(trainer(text), equivalence.cases(*few_rows()))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda weight, bias: (weight.requires_grad_(), bias), "returned a weight that requires a gradient"),
        (lambda weight, bias: (weight.to_sparse(), bias), "returned weight as a sparse or an inference tensor"),
        (lambda weight, bias: (weight, torch.inference_mode()(torch.clone)(bias)), "returned bias as a sparse or an"),
    ],
)
def test_a_result_is_an_ordinary_tensor(change, words, cases):
    wrong = SimpleNamespace(train=lambda *problem: change(*torch_nn.train(*problem)))
    assert words in equivalence.complaint(wrong, cases)


def test_a_result_that_a_later_call_changes_is_rejected(cases):
    buffers = {}

    def train(x, y, weight, bias, *rest):
        kept = buffers.setdefault(weight.shape, (weight.clone(), bias.clone()))
        for buffer, parameter in zip(kept, torch_nn.train(x, y, weight, bias, *rest), strict=True):
            buffer.copy_(parameter)
        return kept

    complaint = equivalence.complaint(SimpleNamespace(train=train), cases)
    assert complaint.startswith("called again: the second call changed what the first had returned")


def test_a_wrong_trainer_that_raises_when_called_again_stays_wrong(cases):
    calls = []

    def train(x, y, weight, bias, batch_size, lr, epochs):
        calls.append(1)
        if len(calls) > 1:
            raise ValueError("enough")
        return torch_nn.train(x, y, weight, bias, batch_size, lr * 2, epochs)

    complaint = equivalence.judged(SimpleNamespace(train=train), cases[0]).complaint
    assert "the update is off by" in complaint


def test_what_is_kept_between_calls_is_no_random_state(cases):
    steps = []

    def train(x, y, weight, bias, batch_size, lr, epochs):
        steps.append(1)
        return torch_nn.train(x, y, weight, bias, batch_size, lr * (1 + 0.1 * len(steps)), epochs)

    complaint = equivalence.judged(SimpleNamespace(train=train), cases[0]).complaint
    assert "two runs differ: does it keep something from one call to the next?" in complaint


@pytest.mark.parametrize("way", [key for key in MISTAKES if key.startswith(("TF32", "bfloat16 allowed", "matmul"))])
@pytest.mark.parametrize("before", ["highest", "high"])
def test_the_precision_of_products_is_set_back_as_it_was(way, before):
    problem = Problem(*standardised_rows(), *initial_parameters(30, 10))
    torch.set_float32_matmul_precision(before)
    kept = equivalence.matmul_precision()
    try:
        with equivalence.unchanged_process_state():
            equivalence.run(module(*MISTAKES[way]), problem)
        assert equivalence.matmul_precision() == kept
        assert torch.get_float32_matmul_precision() == before
        assert torch.backends.cuda.matmul.allow_tf32 == (before == "high")
    finally:
        torch.set_float32_matmul_precision("highest")


def remembering(train):
    """A trainer with this `train`, whose first argument is a dict that `prepare` makes."""
    return SimpleNamespace(prepare=lambda x, y, batch_size: ({}, x, y), train=train)


def test_an_answer_that_is_kept_with_what_was_prepared_is_rejected(cases):
    def train(kept, x, y, weight, bias, *rest):
        if not kept:
            trained, trained_bias = torch_nn.train(x, y, weight, bias, *rest)
            kept.update(weight=trained, change=trained_bias - bias)
        return kept["weight"].clone(), bias + kept["change"]

    assert equivalence.complaint(remembering(train), cases).startswith("called again: the update is off by")


def test_a_result_in_memory_that_is_kept_with_what_was_prepared_is_rejected(cases):
    def train(kept, x, y, weight, bias, *rest):
        trained, trained_bias = torch_nn.train(x, y, weight, bias, *rest)
        own = kept.setdefault("weight", trained)
        return own.copy_(trained).view_as(own), trained_bias

    complaint = equivalence.complaint(remembering(train), cases)
    assert complaint.startswith("called again: the second call changed what the first had returned")


def test_what_can_be_used_only_once_is_rejected(cases):
    once = SimpleNamespace(
        prepare=lambda x, y, batch_size: (iter([(x, y)]),),
        train=lambda rows, *rest: torch_nn.train(*next(rows), *rest),
    )
    assert equivalence.complaint(once, cases).startswith("called again: raised StopIteration")


# --- the unit --------------------------------------------------------------------------------------------------------


def test_float64_is_judged_in_its_own_unit(cases):
    right = module(MANUAL)
    assert equivalence.complaint(right, cases[:1], dtype=torch.float64) is None
    rounded = SimpleNamespace(train=lambda *problem: [p.float().double() for p in torch_nn.train(*problem)])
    rounded_once = SimpleNamespace(train=lambda *problem: tuple(rounded.train(*problem)))
    assert "the update is off by" in equivalence.complaint(rounded_once, cases[:1], dtype=torch.float64)


@pytest.mark.parametrize("cases", ["digits", "standardised"], indirect=True)
def test_large_logits_overflow_and_others_underflow(cases):
    (problem,) = (case.problem for case in cases if case.name == "large logits")
    logits = (problem.x.double() @ problem.weight.double() + problem.bias.double()).amax(1)
    assert logits.max() > 88  # exp overflows
    assert logits.min() < -103  # exp is zero, below float32's smallest number


def test_the_unit_does_not_depend_on_the_number_of_threads(monkeypatch):
    seen, train, threads = set(), torch_nn.train, torch.get_num_threads()
    monkeypatch.setattr(torch_nn, "train", lambda *problem: seen.add(torch.get_num_threads()) or train(*problem))
    try:
        torch.set_num_threads(3)
        equivalence.solved("any", Problem(*few_rows(), *initial_parameters(784, 10)))
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(threads)
    assert seen == {1}


def test_rows_that_are_all_alike_may_be_summed_one_after_the_other():
    generator = torch.Generator().manual_seed(3)
    x, y = torch.rand(1, 50, generator=generator), torch.randint(10, (1,), generator=generator)
    cases = equivalence.cases(x, y)
    for name in ("numpy_loop", "manual_fused_update", "numba_dense"):
        assert equivalence.complaint(implementations.load(name), cases) is None


# --- what learners write first ---------------------------------------------------------------------------------------

PREPARE = "def prepare(x, y, batch_size):\n    {}\n\n\n"


def with_prepare(body, first="x, y, ", before=""):
    """manual_inplace with a `prepare` of this body, whose `train` begins with such arguments and these lines."""
    train = TRAIN.replace("x, y, ", first) + before
    namespace = {}
    source = implementations.source(MANUAL).replace(TRAIN, PREPARE.format(body) + train)
    exec(compile(source, "trainer.py", "exec"), namespace)
    return SimpleNamespace(**namespace)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (trainer("    torch.nn.Linear(*weight.shape)\n"), "a layer draws parameters: nn.utils.skip_init"),
        (
            trainer("    list(torch.utils.data.DataLoader(x))\n"),
            "a DataLoader draws a seed: generator=torch.Generator()",
        ),
        (with_prepare("return [x, y]"), "prepare returned a list, which is one argument of train: return a tuple"),
        (
            with_prepare("KEPT.setdefault('rows', (x, y))", "nothing, ", "    x, y = KEPT['rows']\n"),
            "it does not see the rows it is given: are those of an earlier call kept, in a global of the module?",
        ),
    ],
    ids=["layer", "loader", "list", "global"],
)
def test_what_learners_write_first_gets_a_hint(wrong, words, cases):
    wrong.train.__globals__["KEPT"] = {}
    assert words in equivalence.complaint(wrong, cases)


def test_a_list_of_batches_is_one_argument(cases):
    batches = "    x, y = map(torch.cat, zip(*batches, strict=True))\n"
    right = with_prepare("return list(zip(x.split(7), y.split(7)))", "batches, ", batches)
    assert equivalence.complaint(right, cases[:1]) is None


def test_an_overflow_on_unscaled_pixels_gets_the_hint():
    x, y = standardised_rows()
    case = equivalence.solved("unscaled", Problem(x * 100, y, *initial_parameters(30, 10)))
    complaint = equivalence.judged(implementations.load("autograd_inplace"), case).complaint
    assert complaint.startswith("the trained parameters are not finite: does exp overflow, as it does above 88?")


@pytest.mark.parametrize("cases", ["digits", "standardised"], indirect=True)
def test_rows_added_by_themselves_are_not_taken_for_decay(cases):
    case = next(case for case in cases if case.name == "2000 rows at once, large weights")
    complaint = equivalence.judged(implementations.load("mistakes.rows_added_one_by_one"), case).complaint
    assert "only the weight is a little wrong: is each row added to it by itself" in complaint


def test_a_long_message_keeps_its_end():
    try:
        raise RuntimeError("cc failed: " + "include " * 100 + "fatal error: Python.h: No such file")
    except RuntimeError as raised:
        line = equivalence.described(raised)
    assert line.startswith("RuntimeError: cc failed: ")
    assert "fatal error: Python.h: No such file (test_equivalence.py:" in line
    assert len(line) < 260
