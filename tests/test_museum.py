"""The museum's file: what `python -m benchmarks.museum` finds out, saves and reads again."""

import dataclasses
import json
import math
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

import implementations
from benchmarks.proof import museum as proof
from benchmarks.runs import museum
from benchmarks.runs.saved import RunError
from implementations import mistakes
from reference import datasets, equivalence
from reference.naive import Scores

ROOT = Path(__file__).parent.parent
REMEDY = "; make it anew: python -m benchmarks.museum"

pytestmark = pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf")


# --- the published file -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def published():
    return museum.load()


def test_the_published_file_has_all_there_is(published):
    assert [f"mistakes.{mistake.name}" for mistake in published.mistakes] == mistakes.names()
    assert sorted([*published.distances, *published.without]) == implementations.names()
    assert (len(published.templates), len(published.validation)) == (10, proof.IMAGES)
    assert published.batches == proof.BATCHES
    assert [int(size) for size in published.epoch_losses] == list(proof.BATCH_SIZES)
    for mistake in published.mistakes:
        assert mistake.sibling == implementations.parent(f"mistakes.{mistake.name}")
        assert mistake.problems


def test_the_published_distances_are_those_of_right_trainers(published):
    for name, errors in published.distances.items():
        assert max(errors) <= published.limit, name


def test_the_published_page_is_made_of_the_published_file(published):
    text = proof.PAGE.read_text(encoding="utf-8")
    loss, accuracy = re.search(r"a right trainer: loss ([\d.]+), accuracy ([\d.]+)%", text).groups()
    assert proof.page(published, Scores(float(loss), float(accuracy) / 100)) + "\n" == text


def test_a_loss_is_after_training_anew_and_not_batch_by_batch(published):
    """Called with one batch after the other, a trainer that forgets to zero its gradients is right."""
    found = {mistake.name: mistake for mistake in published.mistakes}
    forgotten = found["zero_grad_forgotten"]
    assert forgotten.losses[:2] == forgotten.sibling_losses[:2]
    assert forgotten.losses[2] != forgotten.sibling_losses[2]
    assert math.isnan(forgotten.losses[-1])
    assert found["answer_remembered"].losses == found["answer_remembered"].sibling_losses
    raises = found["outofplace_requires_no_grad"]  # in the second step
    assert raises.losses[2:] == (None,) * 6
    assert raises.losses[1] == raises.sibling_losses[1]
    assert raises.raised.startswith("RuntimeError: element 0 of tensors does not require grad")


def test_the_file_is_read_without_torch_and_numpy():
    code = "import sys; from benchmarks.runs import museum; museum.load(); print({'torch', 'numpy'} & {*sys.modules})"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("set()\n", "")


# --- what is found out --------------------------------------------------------------------------------------

NAMES = [
    *("mistakes.answer_remembered", "mistakes.inplace_without_no_grad"),
    *("mistakes.noise_on_the_pixels", "mistakes.zero_grad_forgotten"),
]


@pytest.fixture(scope="module")
def data():
    """The first rows of digits, with few to validate on."""
    digits = datasets.load("digits")
    return digits._replace(
        x_train=digits.x_train[:2000].clone(),
        y_train=digits.y_train[:2000].clone(),
        x_valid=digits.x_valid[:100],
        y_valid=digits.y_valid[:100],
    )


@pytest.fixture
def small(monkeypatch):
    """Four mistakes, three implementations, three moments."""
    make_small(monkeypatch)


def make_small(monkeypatch):
    monkeypatch.setattr(mistakes, "names", lambda: NAMES)
    monkeypatch.setattr(implementations, "names", lambda: ["graph_step", "manual_inplace", "numpy_loop"])
    monkeypatch.setattr(proof, "BATCHES", (0, 1, 3))


@pytest.fixture(scope="module")
def found(data):
    """What is found out of these."""
    with pytest.MonkeyPatch.context() as monkeypatch, torch.random.fork_rng():
        make_small(monkeypatch)
        torch.manual_seed(1)
        return proof.found_out(data)


def test_what_is_found_out(data, found):
    remembered, raises, noisy, forgotten = found.mistakes
    assert [mistake.name for mistake in found.mistakes] == [name.removeprefix("mistakes.") for name in NAMES]
    assert (remembered.sibling, raises.sibling) == ("manual_inplace", "autograd_inplace")
    start = proof.rounded(found.before.loss, 6)
    # It has seen these shapes in the checker, with other parameters; what it remembers of them is not taken.
    assert remembered.losses == remembered.sibling_losses == pytest.approx(forgotten.sibling_losses)
    assert [found.problems[number] for number in remembered.problems] == [
        *("other rows and parameters", "called again", "new values in the same tensors"),
    ]
    assert (raises.loss, raises.accuracy, raises.losses) == (None, None, (start, None, None))
    assert raises.raised.startswith("RuntimeError: a leaf Variable that requires grad")
    assert raises.notices == {"loss fell": True, "accuracy": True}
    assert remembered.raised is None
    assert noisy.losses == pytest.approx(noisy.sibling_losses, rel=1e-3)
    assert noisy.losses != noisy.sibling_losses
    assert forgotten.losses[1] == forgotten.sibling_losses[1] != start
    assert forgotten.losses[2] != forgotten.sibling_losses[2]
    assert found.without == {"graph_step": "runs on cuda only"}
    for errors in found.distances.values():
        assert errors[0] == 0
        assert all(0 < error < equivalence.LIMIT for error in errors[1:])
    assert bytes.fromhex(found.validation[0].pixels) == bytes((data.x_valid[0] * 256).byte().tolist())
    assert [image.label for image in found.validation] == data.y_valid[: proof.IMAGES].tolist()


@pytest.mark.usefixtures("small")
def test_the_file_is_the_same_every_time_whatever_random_states_are(data, found, tmp_path):
    proof.losses_and_messages.cache_clear()
    with torch.random.fork_rng():
        torch.manual_seed(2)
        again = proof.found_out(data)
    one, other = tmp_path / "one.json", tmp_path / "other.json"
    museum.write(found, one)
    museum.write(again, other)
    assert one.read_bytes() == other.read_bytes()


@pytest.mark.usefixtures("small")
def test_templates_are_the_trained_weights_of_each_class(data):
    problem = proof.all_rows(data)
    weight, bias = problem.weight + 0.00001, problem.bias
    picture = proof.templates(weight)[3]
    assert picture[2][5] == round(weight[2 * 28 + 5, 3].item(), 4)
    right = proof.images(
        data, weight * 0 + data.x_valid[0][:, None] * (data.y_valid[0] == problem.bias.new_tensor(range(10))), bias
    )
    assert right[0].predicted == right[0].label


@pytest.mark.usefixtures("small")
def test_an_implementation_that_fails_has_a_reason_in_place_of_a_line(data, monkeypatch):
    def train(*_):
        raise OSError("out of\nideas")

    load = implementations.load
    monkeypatch.setattr(
        implementations, "load", lambda name: SimpleNamespace(train=train) if name == "numpy_loop" else load(name)
    )
    monkeypatch.setattr(implementations, "missing", lambda name, _: ["numba"] if name == "manual_inplace" else [])
    distances, without = proof.distances_and_reasons(proof.all_rows(data), proof.in_processes(1)[1])
    assert distances == {}
    assert without["manual_inplace"] == "numba not installed"
    assert re.fullmatch(r"raised OSError: out of ideas \(test_museum\.py:\d+\)", without["numpy_loop"])


def test_a_place_where_nothing_can_be_written_is_one_line(published, monkeypatch, tmp_path):
    monkeypatch.setattr(proof, "found_out", lambda _: published)
    monkeypatch.setattr(proof, "of_a_right_trainer", lambda _: Scores(0.5, 0.5))
    monkeypatch.setattr(proof, "PAGE", tmp_path / "gone" / "mistakes.md")
    monkeypatch.setattr(museum, "PATH", tmp_path / "gone" / "mistakes.json")
    with pytest.raises(SystemExit) as ended:
        proof.main()
    assert ended.value.code == f"error: cannot write {tmp_path}/gone/mistakes.md: No such file or directory"


def test_both_files_are_written(published, monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(proof, "found_out", lambda _: published)
    monkeypatch.setattr(proof, "of_a_right_trainer", lambda _: Scores(0.5, 0.5))
    monkeypatch.setattr(proof, "PAGE", tmp_path / "mistakes.md")
    monkeypatch.setattr(museum, "PATH", tmp_path / "mistakes.json")
    proof.main()
    assert (tmp_path / "mistakes.md").read_text(encoding="utf-8") + "\n" == capsys.readouterr().out
    assert (tmp_path / "mistakes.json").read_bytes() == (ROOT / "results" / "mistakes.json").read_bytes()


# --- the file -----------------------------------------------------------------------------------------------


def a_mistake(**changed):
    """A mistake as it is saved."""
    good = {
        **{"name": "loss_summed", "sibling": "autograd_inplace", "source_sha256": "aa", "idea": "It sums."},
        **{"loss": "nan", "accuracy": 0.1},
        **{"notices": {"loss fell": True, "accuracy": True}, "problems": [0], "losses": [2.5, "inf"]},
        **{"raised": None, "sibling_losses": [2.5, 1.5]},
    }
    return good | changed


def a_museum(**changed):
    """A museum as it is saved."""
    good = {
        **{"format": 1, "dataset": "digits", "dataset_sha256": "ab", "checker_sha256": "cd", "system": "Linux"},
        **{"python": "3.12.1", "torch": "2.13.0", "device_name": "A processor", "batches": [0, 8]},
        **{"problems": ["one step", "one row"], "limit": 10.0, "before": {"loss": 2.5, "accuracy": 0.1}},
        **{"mistakes": [a_mistake()], "distances": {"manual_inplace": [0.0, 1]}, "without": {"graph_step": "no GPU"}},
        **{"epoch_losses": {"64": 0.75}, "templates": [[[0.5] * 28] * 28] * 10},
        "validation": [{"pixels": "0a" * 784, "label": 9, "predicted": 0}],
    }
    return good | changed


def test_what_is_saved_is_read_as_it_was(tmp_path):
    path = tmp_path / "mistakes.json"
    path.write_text(json.dumps(a_museum()))
    found = museum.load(path)
    assert math.isnan(found.mistakes[0].loss)
    assert found.mistakes[0].losses == (2.5, math.inf)
    assert found.validation[0] == museum.Image(pixels="0a" * 784, label=9, predicted=0)
    museum.write(found, tmp_path / "again.json")
    assert json.loads((tmp_path / "again.json").read_text()) == a_museum()


RAISED = {"loss": None, "accuracy": None, "losses": [2.5, None], "raised": "RuntimeError: no"}


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("", " empty; was the run interrupted?"),
        (json.dumps(a_museum())[:-9], " not JSON, or cut off: "),
        ("[]", " no museum; expected what `python -m benchmarks.museum` saves"),
        ({"benchmarks": []}, " no museum; expected what `python -m benchmarks.museum` saves"),
        (a_museum(format=2), " saved in format '2', this suite reads 1"),
        ({"format": 1}, " is {}; expected the keys dataset, dataset_sha256, "),
        (a_museum(more=1), " is {'dataset': 'digits', "),
        (a_museum(python=3.12), " python is 3.12; expected a line of printable letters"),
        (a_museum(system="Li\nnux"), " system is 'Li\\nnux'; expected a line of printable letters"),
        (a_museum(batches=[0, True]), " batches 2 is True; expected a whole number"),
        (a_museum(batches=[1, 8]), " batches is (1, 8); expected 0 and more, rising"),
        (a_museum(batches=[0, 8, 8]), " batches is (0, 8, 8); expected 0 and more, rising"),
        (a_museum(problems=["one", "one"]), " problems is ('one', 'one'); expected names, none twice"),
        (a_museum(before={"loss": "nan", "accuracy": 0}), " before loss is nan; expected a finite number"),
        (a_museum(limit=10**400), f" limit is {10**41}; expected a number"),
        (a_museum(limit=math.nan), " limit is nan; expected a number"),
        (a_museum(mistakes={}), " mistakes is {}; expected a list"),
        (a_museum(mistakes=[]), " mistakes is []; expected mistakes, none twice"),
        (
            a_museum(mistakes=[a_mistake()] * 2),
            " mistakes is ['loss_summed', 'loss_summed']; expected mistakes, none",
        ),
        (
            a_museum(distances={"a b": [0, 1]}),
            " the name of an implementation is 'a b'; expected letters, digits and _",
        ),
        (a_museum(distances={"graph_step": [0, 1]}), " without is ['graph_step']; expected no name of `distances`"),
        (a_museum(distances={"a": [0]}), " distances a is (0,); expected a number for each of 2 batches"),
        (a_museum(distances={"a": [1, 1]}), " distances a 1 is 1; expected 0, as before training"),
        (a_museum(distances={"a": [0, None]}), " distances 'a' 2 is None; expected a number"),
        (a_museum(distances={"a": [0, "inf"]}), " distances a is (0, inf); expected finite numbers"),
        (a_museum(before={"loss": 0, "accuracy": 0.1}), " before loss is 0; expected a finite number above 0"),
        (a_museum(templates=[[["nan"] * 28] * 28]), " templates 1 is ((nan, nan, "),
        (a_museum(without=["a"]), " without is ['a']; expected names with a value each"),
        (a_museum(epoch_losses={"0": 1}), " a batch size is '0'; expected a whole number of at least 1"),
        (a_museum(epoch_losses={"64": "nan"}), " epoch_losses 64 is nan; expected a finite number"),
        (a_museum(templates=[[[0] * 27] * 28]), " templates 1 is '28 lines'; expected 28 lines of 28 numbers"),
        (
            a_museum(validation=[{"pixels": "0A" * 784, "label": 1, "predicted": 1}]),
            f" validation 1 pixels is '{'0A' * 20}0; expected 1568 hexadecimal digits",
        ),
        (
            a_museum(validation=[{"pixels": "0a" * 784, "label": 10, "predicted": 1}]),
            " validation 1 label is 10; expected a class from 0 to 9",
        ),
    ],
)
def test_what_is_no_museum_is_one_clear_line(content, complaint, tmp_path):
    path = tmp_path / "mistakes.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    assert_complaint(path, complaint)


@pytest.mark.parametrize(
    ("changed", "complaint"),
    [
        ({"name": "../x"}, "mistakes ../x name is '../x'; expected letters, digits and _"),
        ({"sibling": ""}, "sibling is ''; expected letters, digits and _"),
        ({"problems": [2]}, "problems is (2,); expected rising numbers below 2"),
        ({"problems": [1, 0]}, "problems is (1, 0); expected rising numbers below 2"),
        ({"losses": [2.5]}, "losses is (2.5,); expected a number for each of 2 batches"),
        ({"losses": [2.6, 1]}, "losses 1 is 2.6; expected 2.5, as before training"),
        ({"losses": [None, 1]}, "losses 1 is None; expected 2.5, as before training"),
        ({"sibling_losses": [2.5, None]}, "sibling_losses is (2.5, None); expected numbers only"),
        ({"losses": [2.5, None]}, "raised is None; expected a message where a loss is null"),
        ({"raised": "why"}, "raised is 'why'; expected a message where a loss is null"),
        (RAISED | {"accuracy": 0.1}, "accuracy is 0.1; expected both or none"),
        (RAISED | {"notices": {"loss fell": False, "accuracy": True}}, "notices 'loss fell' is False; expected True"),
        (RAISED | {"notices": {"loss fell": True, "accuracy": False}}, "notices 'accuracy' is False; expected True"),
        ({"loss": 1.5}, "notices 'loss fell' is True; expected False, from its loss"),
        ({"notices": {"accuracy": True}}, "notices is ['accuracy']; expected loss fell and accuracy"),
    ],
)
def test_what_does_not_fit_a_mistake_is_one_clear_line(changed, complaint, tmp_path):
    path = tmp_path / "mistakes.json"
    path.write_text(json.dumps(a_museum(mistakes=[a_mistake(**changed)])))
    assert_complaint(path, complaint if complaint.startswith("mistakes ") else f" mistakes loss_summed {complaint}")


def assert_complaint(path, complaint):
    with pytest.raises(RunError) as raised:
        museum.load(path)
    message = str(raised.value)
    assert message.startswith(f"{path}:")
    assert complaint in message
    assert message.endswith(REMEDY)
    assert len(message.splitlines()) == 1


def test_a_mistake_that_raises_is_none(tmp_path):
    path = tmp_path / "mistakes.json"
    path.write_text(json.dumps(a_museum(mistakes=[a_mistake(**RAISED)])))
    assert museum.load(path).mistakes[0].losses == (2.5, None)


@pytest.mark.parametrize("what", ["gone", "a folder", "no text"])
def test_a_file_that_cannot_be_read_is_one_clear_line(what, tmp_path):
    path = tmp_path / "mistakes.json"
    if what == "a folder":
        path.mkdir()
    if what == "no text":
        path.write_bytes(b"\xff\xfe")
    words = {"gone": "No such file or directory", "a folder": "Is a directory", "no text": "not JSON, not even text"}
    assert_complaint(path, words[what])


def test_what_does_not_fit_is_refused_also_when_it_is_made(published):
    with pytest.raises(RunError, match=r"^batches is "):
        dataclasses.replace(published, batches=(1, 2))
