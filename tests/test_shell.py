"""What commands share with the shell: a pipe that is closed, letters that a terminal lacks, ~ in a path."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from reference import shell
from tests.made_up import content, row, run
from tests.project import ROOT

FOLDERS = ("benchmarks", "benchmarks/proof", "implementations", "implementations/mistakes", "reference")
DOORS = [path for name in FOLDERS for path in (ROOT / name).glob("*.py") if '"__main__":' in path.read_text()]
PRINTS = ("-c", "from reference import shell; shell.run(lambda: print('größe\\n✓ 7'))")


def command(*arguments, **options):
    """A command's process, ended."""
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, "cwd": ROOT} | options
    return subprocess.run([sys.executable, *arguments], **options)


def without_a_reader(*arguments):
    """The same of one whose output nobody reads any more."""
    reader, writer = os.pipe()
    os.close(reader)
    try:
        return command(*arguments, stdout=writer, env=os.environ | {"PYTHONUNBUFFERED": ""})
    finally:
        os.close(writer)


@pytest.fixture
def runs(tmp_path):
    """The paths of two saved runs, with a row that is slower in the second."""
    paths = [tmp_path / "a.json", tmp_path / "b.json"]
    for path, own in zip(paths, (0.1, 0.2), strict=True):
        path.write_text(json.dumps(content(run(row(own=own, dataset="größe.npz")))))
    return list(map(str, paths))


def test_a_closed_pipe_is_quiet_and_no_verdict(runs):
    assert command("-m", "benchmarks.compare", *runs).returncode == 1  # something is slower; 2 and 3 are taken, too
    for arguments in (("benchmarks.compare", *runs), ("benchmarks.report", runs[0]), ("implementations",)):
        done = without_a_reader("-m", *arguments)
        assert (done.returncode, done.stderr) == (141, "")


def test_a_command_that_is_interrupted_ends_without_a_word():
    interrupted = (
        "import os, signal; from reference import shell; shell.run(lambda: os.kill(os.getpid(), signal.SIGINT))"
    )
    done = command("-c", interrupted)
    assert (done.returncode, done.stderr) == (130, "")


def test_what_a_command_says_as_it_ends_may_be_the_first_that_nobody_reads():
    done = without_a_reader("-c", "from reference import shell; shell.run(lambda: print(1) or exit('not noticed'))")
    assert (done.returncode, done.stderr) == (141, "")


def test_a_command_needs_no_output_at_all():
    closed = "import os, sys; os.close(1); sys.stdout = None; exec(sys.argv[1])"
    done = command("-c", closed, PRINTS[1])
    assert (done.returncode, done.stderr) == (0, "")


def test_every_command_goes_through_the_shells_door():
    assert {path.stem for path in DOORS} >= {"report", "compare", "museum", "trust", "mutants", "datasets", "__main__"}
    for path in DOORS:
        assert path.read_text().endswith('\nif __name__ == "__main__":\n    shell.run(main)\n'), path


@pytest.mark.parametrize(
    ("encoding", "printed"), [("ascii", b"gr??e\n? 7\n"), ("cp1252", b"gr\xf6\xdfe\n? 7\n"), ("utf-8", "größe\n✓ 7\n")]
)
def test_a_letter_that_the_terminal_lacks_is_a_question_mark(encoding, printed):
    done = command(*PRINTS, text=False, env=os.environ | {"PYTHONIOENCODING": encoding})
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout == (printed if isinstance(printed, bytes) else printed.encode())


def test_report_prints_what_the_terminal_can_and_saves_the_rest(runs):
    done = command("-m", "benchmarks.report", runs[0], env=os.environ | {"PYTHONIOENCODING": "ascii"})
    assert (done.returncode, done.stderr) == (0, "")
    assert "* dataset: gr??e.npz (made up)" in done.stdout
    assert "* dataset: größe.npz (made up)" in Path(runs[0]).with_suffix(".md").read_text(encoding="utf-8")


def test_a_tilde_is_the_home_folder(monkeypatch):
    monkeypatch.setenv("HOME", "/home/somebody")
    assert shell.expanded("~/data") == Path("/home/somebody/data")
    assert shell.expanded("data/~") == Path("data/~")


def test_without_a_home_a_tilde_is_refused(no_home):
    with pytest.raises(ValueError, match=r"^~/data: ~ is nobody's home folder here; name the folder itself"):
        shell.expanded("~/data")
