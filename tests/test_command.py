"""python -m implementations: list, train and watch, compare."""

import re
import subprocess
import sys
from itertools import chain
from pathlib import Path

import pytest
import torch

import implementations
from benchmarks.runs import sources
from implementations import __main__ as command
from reference import accelerator

ROOT = Path(__file__).parent.parent


def run(*arguments):
    return subprocess.run(
        [sys.executable, "-m", "implementations", *arguments], cwd=ROOT, capture_output=True, text=True
    )


def test_the_list_has_every_name_once_with_its_parent_and_first_line():
    lines = command.listing().splitlines()
    assert max(map(len, lines)) <= 120
    assert [line.split()[0] for line in lines[2:4]] == ["down", "autograd_inplace"]
    for name in implementations.names():
        found = [line for line in lines if re.match(rf"  {name} ", line)]
        assert len(found) == 1, name
        assert re.match(rf"  {name} +{implementations.parent(name) or ''} +\S", found[0])
    assert sorted(chain(*command.sections().values())) == implementations.names()


def test_the_ways_are_apart_from_what_is_beside_them_and_each_rung_comes_after_its_parent():
    *ways, beside = command.sections().values()
    rungs = list(chain(*ways))
    assert {end for ends in command.WAYS.values() for end in ends} <= set(rungs)
    for place, name in enumerate(rungs[1:], start=1):
        assert implementations.parent(name) in rungs[:place], name
    assert {"autograd_outofplace", "compile_step", "functional_grad", "nn_optimizer_fused"} <= set(beside)
    assert command.sections()["up to torch.nn"][-4:] == ["nn_dataset", "nn_dataloader", "nn_train_eval", "nn_fit"]


def test_the_way_down_has_the_rungs_of_the_readme_in_order():
    """The table there has the fastest first."""
    table = re.findall(r"^\| \[`(\w+)`\]", (ROOT / "README.md").read_text(encoding="utf-8"), re.MULTILINE)
    down = command.sections()["down to the machine"]
    rungs = [name for name in down if name in table]
    assert rungs == [name for name in reversed(table) if name in rungs]
    assert set(table) - set(rungs) == {"torch_nn", "nn_dataloader"}


def test_a_way_whose_last_file_is_gone_is_shorter(monkeypatch):
    names = [name for name in implementations.names() if name != "nn_fit"]
    monkeypatch.setattr(implementations, "names", lambda: names)
    assert sorted(chain(*command.sections().values())) == names


def test_the_ancestry_ends_where_parents_go_round(monkeypatch):
    monkeypatch.setattr(implementations, "names", lambda: ["a", "b", "c", "orphan"])
    monkeypatch.setattr(implementations, "parent", {"a": "b", "b": "c", "c": "a", "orphan": "nobody"}.get)
    assert command.ancestry("a") == ["c", "b", "a"]
    assert command.ancestry("orphan") == ["orphan"]


def test_the_diff_shows_what_changed_and_in_colour_if_asked():
    plain = command.difference("autograd_outofplace", colour=False)
    assert plain[:2] == ["--- autograd_inplace.py", "+++ autograd_outofplace.py"]
    assert "-                weight.grad.zero_()" in plain
    assert "+                bias = (bias - bias.grad * lr).requires_grad_()" in plain
    painted = command.difference("autograd_outofplace", colour=True)
    assert "\033[31m-                weight.grad.zero_()\033[0m" in painted
    assert [re.sub("\033\\[\\d+m", "", line) for line in painted] == plain


def headings(name):
    """The lines of a diff that name files."""
    return [line for line in command.difference(name, colour=False) if line.startswith(("--- ", "+++ "))]


def test_the_diff_shows_code_before_prose():
    lines = command.difference("manual_onehot", colour=False)
    code = lines.index("+            grad = torch.softmax(xb @ weight + bias, dim=1) - yb")
    assert code < lines.index("--- manual_inplace.py: docstring")
    assert code < lines.index("+Compare with `manual_inplace`: `- onehot` in place of the indexed write.")
    below = lines[lines.index("+++ manual_onehot.py: docstring") :]
    assert not [line for line in below if "import" in line or "def " in line]


IDEA = '"""One\n\nCompare with `plain`: y.\n"""\n\n\ny = 1\n'


def test_a_file_without_a_docstring_is_all_code():
    assert command.prose_and_code('x = """a\n"""\n') == ("", 'x = """a\n"""\n')
    assert command.prose_and_code(IDEA) == ('"""One\n\nCompare with `plain`: y.\n"""', "y = 1\n")


def test_a_hash_says_what_was_timed_whatever_the_docstring_says(tmp_path, monkeypatch):
    monkeypatch.setattr(implementations, "FOLDER", tmp_path)
    found = []
    for text, c_text in (
        (IDEA, ""),
        (IDEA.replace("One", "Two"), ""),
        (IDEA.replace("= 1", "= 2"), ""),
        (IDEA, "int y;"),
    ):
        (tmp_path / "idea.py").write_text(text)
        (tmp_path / "idea.c").write_text(c_text)
        found.append(sources.sha256("idea"))
    assert found[0] == found[1]
    assert len(set(found)) == 3


def test_the_diff_shows_what_changed_in_c_too():
    python, c, prose = headings("native_dense")[::2]
    assert (python, c, prose) == ("--- native_single.py", "--- native_single.c", "--- native_single.py: docstring")
    lines = command.difference("native_dense", colour=False)
    assert "+static void meet(struct job *job, long long step) {" in lines
    assert "+++ native_dense.c" in lines


def test_a_c_file_that_the_parent_has_not_is_one_line():
    new = [line for line in command.difference("native_single", colour=False) if "native_single.c" in line]
    count = implementations.c_lines_of_code(implementations.c_source("native_single"))
    assert f"+++ native_single.c: new, {count} lines of code" in new
    assert "+++ cluster_epoch.cu: new, " in "\n".join(command.difference("cluster_epoch", colour=False))
    assert not [line for line in headings("manual_inplace") if ".c" in line]


def test_a_diff_needs_no_device():
    assert command.difference("graph_epoch", colour=False)[:2] == ["--- graph_step.py", "+++ graph_epoch.py"]
    assert run("graph_epoch", "--diff").returncode == 0


def test_training_prints_loss_and_accuracy_on_the_way(dataset):
    done = run("autograd_inplace", "--epochs", "3", "--dataset", dataset)
    assert done.returncode == 0
    assert re.search(r"first batch, before training: loss \d\.\d{4}, accuracy \d+\.\d\d%", done.stdout)
    scores = re.findall(r"after epoch (\d): loss (\S+), accuracy (\S+)%, trained in \d+\.\d+ s", done.stdout)
    assert [epoch for epoch, *_ in scores] == ["1", "2", "3"]
    losses = [float(loss) for _, loss, _ in scores]
    assert losses == sorted(losses, reverse=True)
    assert float(scores[-1][2]) > 90


def test_epoch_by_epoch_ends_where_all_at_once_does(dataset, capsys):
    command.watch("manual_inplace", dataset, "cpu", 2)
    one_by_one = re.findall(r"epoch 2: (loss \S+, accuracy \S+%)", capsys.readouterr().out)
    command.watch("autograd_cross_entropy", dataset, "cpu", 2)
    assert re.findall(r"epoch 2: (loss \S+, accuracy \S+%)", capsys.readouterr().out) == one_by_one


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("nobody",), "error: no implementation 'nobody'; there are allreduce_async, "),
        (("numpy_loop", "--device", "cuda"), "error: numpy_loop runs on cpu only, not on cuda; use --device cpu"),
        (("graph_epoch",), "error: graph_epoch runs on cuda only, not on cpu; use --device cuda"),
        pytest.param(
            ("graph_epoch", "--device", "cuda"),
            "error: --device cuda: torch sees no CUDA device here; graph_epoch runs nowhere else",
            marks=pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU"),
        ),
        (("autograd_inplace", "--diff"), "error: autograd_inplace has no parent to differ from"),
        (("--diff",), "error: --diff needs a name"),
        (("manual_inplace", "--dataset", "gone.npz"), "error: gone.npz: no such file"),
    ],
)
def test_what_cannot_be_done_is_refused_in_one_line(arguments, complaint):
    done = run(*arguments)
    assert done.returncode == 1
    assert done.stderr.startswith(complaint)
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize("epochs", ["0", "-1", "two", "1.5"])
def test_a_bad_number_of_epochs_is_refused(epochs):
    done = run("manual_inplace", f"--epochs={epochs}")
    assert done.returncode == 2
    assert f"argument --epochs: '{epochs}': expected a whole number of at least 1" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_gpu_that_is_too_old_is_named(monkeypatch):
    monkeypatch.setattr(accelerator, "sees", lambda device: True)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda: (8, 0))
    monkeypatch.setattr(implementations, "capability", lambda name: (9, 0))
    with pytest.raises(command.Refusal, match="manual_inplace needs compute capability 9"):
        command.watch("manual_inplace", "digits", "cuda", 1)


def test_a_missing_package_is_named(monkeypatch):
    monkeypatch.setattr(implementations, "requires", lambda name, device: ("no_such_package",))
    with pytest.raises(command.Refusal, match="manual_inplace needs no_such_package: pip install no_such_package"):
        command.check("manual_inplace", "cpu")


def test_what_a_file_declares_amiss_is_named(monkeypatch, tmp_path):
    monkeypatch.setattr(implementations, "FOLDER", tmp_path)
    (tmp_path / "idea.py").write_text("PROGRAMS = 3\n")
    with pytest.raises(command.Refusal, match=r'^idea: PROGRAMS = 3: expected names of programs, as in \("cc",\)$'):
        command.check("idea", "cpu")


def test_what_only_the_machine_can_tell_is_one_line(monkeypatch):
    def watch(*_):
        raise NotImplementedError("no cluster of 8 blocks on this GPU")

    monkeypatch.setattr(command, "watch", watch)
    monkeypatch.setattr(sys, "argv", ["implementations", "manual_inplace"])
    with pytest.raises(SystemExit, match=r"^error: manual_inplace cannot run here: no cluster of 8 blocks on .*GPU$"):
        command.main()
