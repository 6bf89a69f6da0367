"""The data: what is right, and everything that can go wrong on the way to it."""

import errno
import gzip
import hashlib
import io
import os
import pickle
import re
import signal
import struct
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from zipfile import ZipFile

import numpy as np
import pytest
import requests
import torch

from reference import datasets
from reference.datasets import DatasetError

ROOT = Path(__file__).parent.parent
ROWS = datasets.VALID_ROWS + 50


def idx(values):
    """An IDX file of uint8 values, compressed."""
    sizes = b"".join(size.to_bytes(4, "big") for size in values.shape)
    return gzip.compress(bytes([0, 0, 8, values.ndim]) + sizes + values.tobytes(), compresslevel=1, mtime=0)


IMAGES = idx((np.arange(ROWS * 784) % 251).astype(np.uint8).reshape(ROWS, 28, 28))
LABELS = idx((np.arange(ROWS) % 10).astype(np.uint8))


class Handler(BaseHTTPRequestHandler):
    """The first part of the path says how to answer, the last which file is asked for."""

    def do_GET(self):
        _, manner, name = self.path.split("/")
        self.server.asked.append(self.path)
        body = self.server.files[name]
        if manner.isdigit():
            self.send_error(int(manner))
        elif manner == "html":
            self.answer(b"<html>This page has moved</html>")
        elif manner == "cut":
            self.answer(body[: len(body) // 2], length=len(body))
        elif manner == "cut-without-length":
            self.answer(body[: len(body) // 2], length=None)
        elif manner == "truncated":
            self.answer(body[:-7])
        elif manner == "extended":
            self.answer(body + b"more")
        elif manner == "stuck":
            self.answer(body[: len(body) // 2], length=len(body))
            self.server.stuck.set()
            self.server.release.wait(60)
        else:
            self.answer(body)

    def answer(self, body, length=-1):
        self.send_response(200)
        if length is not None:
            self.send_header("Content-Length", len(body) if length < 0 else length)
        self.end_headers()
        self.wfile.write(body)
        self.wfile.flush()

    def log_message(self, *args):
        pass


@pytest.fixture
def server(tmp_path, monkeypatch):
    """A server on 127.0.0.1 with a small MNIST, whose checksums replace the real ones; an empty cache folder."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    server.files = {datasets.IMAGES[0]: IMAGES, datasets.LABELS[0]: LABELS}
    server.asked = []
    server.stuck, server.release = threading.Event(), threading.Event()
    server.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    for variable in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("NN_DATA_DIR", str(tmp_path / "cache"))
    for which, body in (("IMAGES", IMAGES), ("LABELS", LABELS)):
        digests = (hashlib.sha256(part).hexdigest() for part in (body, gzip.decompress(body)))
        monkeypatch.setattr(datasets, which, datasets.IDX(getattr(datasets, which).name, *digests))
    yield server
    server.release.set()
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def mirrors(server, monkeypatch):
    """Sets the mirrors: each named by its manner of answering."""

    def use(*manners):
        monkeypatch.setattr(datasets, "MIRRORS", tuple(f"{server.url}/{manner}/" for manner in manners))

    return use


@pytest.fixture
def no_network(server, monkeypatch):
    """Mirrors where nobody listens."""
    monkeypatch.setattr(datasets, "MIRRORS", ("http://127.0.0.1:9/",))


def cached(tmp_path):
    """The names of the files in the cache."""
    return sorted(path.name for path in (tmp_path / "cache").rglob("*") if path.is_file())


# --- mnist --------------------------------------------------------------------------------------------------


def test_mnist_has_the_tutorials_arrays(mirrors, tmp_path):
    mirrors("good")
    data = datasets.load("mnist")
    assert (data.name, data.x_train.shape, data.x_valid.shape) == ("mnist", (50, 784), (10_000, 784))
    assert (data.x_train.dtype, data.y_train.dtype) == (torch.float32, torch.int64)
    expected = torch.arange(50 * 784) % 251 / 256
    assert torch.equal(data.x_train.flatten(), expected)
    assert torch.equal(data.y_valid[:3], torch.tensor([0, 1, 2]))
    assert cached(tmp_path) == [datasets.IMAGES[0], datasets.LABELS[0]]


def test_mnist_is_fetched_once(mirrors, server):
    mirrors("good")
    datasets.load("mnist")
    datasets.load("mnist")
    assert len(server.asked) == 2


@pytest.mark.parametrize(
    ("manner", "reason"),
    [
        ("404", "HTTP 404"),
        ("503", "HTTP 503"),
        ("html", "not the file (SHA-256 differs)"),
        ("cut", "broken off"),
        ("cut-without-length", "not the file (SHA-256 differs)"),
        ("truncated", "not the file (SHA-256 differs)"),
        ("extended", "not the file (SHA-256 differs)"),
    ],
)
def test_a_bad_mirror_is_named_and_the_next_one_asked(manner, reason, mirrors, server, tmp_path):
    mirrors(manner)
    with pytest.raises(DatasetError) as raised:
        datasets.load("mnist")
    host = server.url.removeprefix("http://")
    by_hand = f"by hand: put {datasets.IMAGES[0]} and {datasets.LABELS[0]} into {tmp_path / 'cache' / 'mnist'}"
    assert str(raised.value) == (f"{datasets.IMAGES[0]} from no mirror ({host}: {reason}); {by_hand}, gzipped or not")
    assert cached(tmp_path) == []
    mirrors(manner, "good")
    assert datasets.load("mnist").name == "mnist"


@pytest.mark.usefixtures("no_network")
def test_without_a_network_auto_takes_digits_and_says_why():
    data = datasets.load("auto")
    assert data.name == "digits"
    assert data.origin.endswith("no MNIST: train-images-idx3-ubyte.gz from no mirror (127.0.0.1:9: no connection)")


def test_auto_takes_mnist_where_it_can(mirrors):
    mirrors("good")
    assert datasets.load("auto").name == "mnist"


@pytest.mark.parametrize("damage", [b"", b"<html>", IMAGES[:-7], IMAGES + b"more", IMAGES[:100] + b"?" + IMAGES[101:]])
def test_a_damaged_cache_is_found_and_fetched_again(damage, mirrors, tmp_path):
    mirrors("good")
    right = datasets.load("mnist").sha256
    path = tmp_path / "cache" / "mnist" / datasets.IMAGES[0]
    path.write_bytes(damage)
    assert datasets.load("mnist").sha256 == right
    assert path.read_bytes() == IMAGES


def test_a_damaged_cache_is_kept_where_nothing_better_can_be_had(mirrors, tmp_path):
    mirrors("good")
    datasets.load("mnist")
    path = tmp_path / "cache" / "mnist" / datasets.IMAGES[0]
    path.write_bytes(IMAGES[:-7])
    mirrors("404")
    with pytest.raises(DatasetError):
        datasets.load("mnist")
    assert path.read_bytes() == IMAGES[:-7]


def placed(tmp_path, **bodies):
    """The folder that files are put into by hand, with these: bytes by name."""
    folder = tmp_path / "cache" / "mnist"
    folder.mkdir(parents=True)
    for name, body in bodies.items():
        (folder / name).write_bytes(body)
    return folder


@pytest.mark.usefixtures("no_network")
@pytest.mark.parametrize(
    ("suffix", "changed"),
    [
        (".gz", lambda inside: gzip.compress(inside, compresslevel=9, mtime=7)),  # gzipped anew
        (".gz", lambda inside: inside),  # unzipped on the way by a browser
        ("", lambda inside: inside),
        ("", gzip.compress),
    ],
)
def test_files_put_there_by_hand_count_by_what_is_inside(suffix, changed, tmp_path):
    names = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte")
    bodies = [changed(gzip.decompress(body)) for body in (IMAGES, LABELS)]
    folder = placed(tmp_path, **{name + suffix: body for name, body in zip(names, bodies, strict=True)})
    data = datasets.load("mnist")
    assert torch.equal(data.x_train.flatten(), torch.arange(50 * 784) % 251 / 256)
    for path in folder.iterdir():
        path.rename(path.with_name(path.name.replace("-idx", ".idx")))  # as unzipped from Kaggle
    if not suffix:
        assert datasets.load("mnist").sha256 == data.sha256


@pytest.mark.usefixtures("no_network")
def test_a_rejected_file_is_named(tmp_path):
    inside = gzip.decompress(IMAGES)
    placed(tmp_path, **{"train-images-idx3-ubyte": inside[:-1] + b"?", "mnist.pkl.gz": b"<html>"})
    reasons = "127.0.0.1:9: no connection"
    rejected = "train-images-idx3-ubyte and mnist.pkl.gz in the cache: damaged, or another file"
    expected = f"{datasets.IMAGES[0]} from no mirror ({reasons}), and {rejected}; by hand: put "
    with pytest.raises(DatasetError, match=re.escape(expected)):
        datasets.load("mnist")
    assert datasets.load("auto").origin.endswith(f"no MNIST: {expected.partition('; by hand')[0]}")


def test_a_tilde_in_the_names_of_folder_and_file_is_the_home_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NN_DATA_DIR", "~/cache")
    assert datasets.data_dir() == tmp_path / "cache"
    np.savez(tmp_path / "own.npz", **arrays())
    assert datasets.load("~/own.npz").origin == f"{tmp_path}/own.npz"


@pytest.mark.parametrize("name", ["mnist", "digits", "auto"])
def test_without_a_home_folder_nothing_called_tilde_is_made(name, no_home, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NN_DATA_DIR", "~/cache")
    with pytest.raises(DatasetError, match=r"^NN_DATA_DIR ~/cache: ~ is nobody's home folder here; name the folder"):
        datasets.load(name)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("variable", "value", "reason"),
    [
        ("https_proxy", "http://127.0.0.1:9", "(127.0.0.1:9: no answer from the proxy)"),
        ("https_proxy", "http:127.0.0.1", "(127.0.0.1:9: Please check proxy URL. "),
        ("REQUESTS_CA_BUNDLE", "gone.pem", "cannot be fetched: Could not find a suitable TLS CA certificate bundle, "),
    ],
)
@pytest.mark.usefixtures("server")
def test_what_stands_between_here_and_the_mirror_is_named(variable, value, reason, monkeypatch):
    monkeypatch.setattr(datasets, "MIRRORS", ("https://127.0.0.1:9/",))
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv(variable, value)
    with pytest.raises(DatasetError, match=re.escape(reason)) as raised:
        datasets.load("mnist")
    assert "; by hand: put " in str(raised.value)


def test_a_certificate_that_is_not_trusted_is_not_a_transfer_that_broke_off():
    assert datasets.http_reason(requests.exceptions.SSLError()) == "its certificate is not trusted here"
    assert datasets.http_reason(requests.exceptions.ReadTimeout()) == "broken off"


def test_a_folder_that_cannot_be_made(mirrors, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("NN_DATA_DIR", str(tmp_path / "file"))
    mirrors("good")
    with pytest.raises(DatasetError, match=r"cannot write to .*file/mnist: .*; make room there, or set NN_DATA_DIR"):
        datasets.load("mnist")


def program(server):
    """Python source that fetches MNIST from the server in another process, and prints checksums. It needs no torch."""
    return (
        "import sys, types\n"
        "sys.modules['torch'] = types.SimpleNamespace(Tensor=object)\n"
        "from reference import datasets\n"
        f"datasets.MIRRORS = ({server.url + '/good/'!r},)\n"
        f"datasets.IMAGES, datasets.LABELS = datasets.{datasets.IMAGES!r}, datasets.{datasets.LABELS!r}\n"
        "try:\n"
        "    for file in (datasets.IMAGES, datasets.LABELS):\n"
        "        print(datasets.sha256(datasets.fetched(file, datasets.data_dir() / 'mnist')))\n"
        "except datasets.DatasetError as error:\n"
        "    raise SystemExit(f'error: {error}')\n"
    )


def start(source):
    """The source running in another process."""
    pipe = subprocess.PIPE
    return subprocess.Popen([sys.executable, "-c", source], cwd=ROOT, stdout=pipe, stderr=pipe, text=True)


def test_two_processes_at_once(server, tmp_path):
    processes = [start(program(server)) for _ in range(2)]
    results = [process.communicate(timeout=120) for process in processes]
    assert results[0] == results[1]
    assert list(map(len, results[0][0].split())) == [64, 64]
    assert cached(tmp_path) == [datasets.IMAGES[0], datasets.LABELS[0]]


def test_killed_in_the_middle_of_a_download(server, mirrors, tmp_path):
    process = start(program(server).replace("/good/", "/stuck/"))
    assert server.stuck.wait(60)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert datasets.IMAGES[0] not in cached(tmp_path)
    mirrors("good")
    assert datasets.load("mnist").name == "mnist"


# In that process no file may grow beyond 4 KB, as on a disk that is full.
SMALL_FILES = "import resource\nresource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))\n"


def test_a_full_disk(server, tmp_path):
    process = start(SMALL_FILES + program(server))
    _, complaint = process.communicate(timeout=120)
    assert process.returncode == 1
    assert complaint.splitlines()[-1].startswith(f"error: cannot write to {tmp_path / 'cache' / 'mnist'}: ")
    assert "Traceback" not in complaint
    assert datasets.IMAGES[0] not in cached(tmp_path)


# --- the tutorial's pickle ----------------------------------------------------------------------------------


def tutorial_arrays():
    random = np.random.default_rng(0)
    x = (random.integers(0, 256, (30, 784)) / 256).astype(np.float32)
    y = random.integers(0, 10, 30)
    return (x[:20], y[:20]), (x[20:25], y[20:25]), (x[25:], y[25:])


def place_pickle(tmp_path, monkeypatch, body, trusted=True):
    """Puts the bytes where the tutorial's file is looked for; trusted: with the checksum that is expected."""
    path = tmp_path / "cache" / "mnist" / "mnist.pkl.gz"
    path.parent.mkdir(parents=True)
    path.write_bytes(body)
    if trusted:
        monkeypatch.setattr(datasets, "PICKLE_MD5", hashlib.md5(body).hexdigest())
    return path


class Python2Pickler(pickle._Pickler):
    """Writes what Python 2 wrote, as the tutorial's file was: byte strings as its `str`."""

    def save_str(self, value):
        self.write(pickle.BINSTRING + struct.pack("<i", len(value)) + value)

    dispatch = pickle._Pickler.dispatch | {bytes: save_str}


def written_by_python_2(value):
    buffer = io.BytesIO()
    Python2Pickler(buffer, protocol=2).dump(value)
    return buffer.getvalue().replace(b"cnumpy._core.multiarray", b"cnumpy.core.multiarray")


@pytest.mark.usefixtures("no_network")
@pytest.mark.parametrize("dumps", [written_by_python_2, lambda value: pickle.dumps(value, 4)], ids=["2", "3"])
def test_the_tutorials_file_is_accepted(dumps, tmp_path, monkeypatch):
    arrays = tutorial_arrays()
    place_pickle(tmp_path, monkeypatch, gzip.compress(dumps(arrays)))
    data = datasets.load("mnist")
    assert data.origin == "the tutorial's mnist.pkl.gz"
    np.testing.assert_array_equal(data.x_train, arrays[0][0])
    np.testing.assert_array_equal(data.y_valid, arrays[1][1])


class Malicious:
    """Unpickled, it would make a folder."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


@pytest.mark.usefixtures("no_network")
@pytest.mark.parametrize("trusted", [True, False])
def test_nothing_in_a_pickle_runs(trusted, tmp_path, monkeypatch, capsys):
    trace = tmp_path / "was here"
    (train, valid, _) = tutorial_arrays()
    body = gzip.compress(pickle.dumps((train, valid, Malicious(trace))))
    path = place_pickle(tmp_path, monkeypatch, body, trusted)
    with pytest.raises(DatasetError, match="from no mirror"):
        datasets.load("mnist")
    reason = "it holds posix.mkdir, not just arrays" if trusted else "is not the tutorial's file: MD5"
    assert reason in capsys.readouterr().err
    assert not trace.exists()
    assert path.exists()


@pytest.mark.parametrize(
    "body",
    [b"", b"<html>", gzip.compress(b""), gzip.compress(pickle.dumps(3)), gzip.compress(pickle.dumps("abc"))[:-9]],
    ids=["empty", "a page", "empty pickle", "no arrays", "truncated"],
)
def test_a_pickle_that_cannot_be_read_is_passed_over(body, mirrors, tmp_path, monkeypatch, capsys):
    place_pickle(tmp_path, monkeypatch, body)
    mirrors("good")
    assert datasets.load("mnist").origin == "IDX files"
    assert "fetching the IDX files instead" in capsys.readouterr().err


# --- digits -------------------------------------------------------------------------------------------------


def test_digits_have_mnists_shapes_and_share_of_zeros(monkeypatch):
    data = datasets.load("digits")
    assert [tuple(part.shape) for part in data[2:]] == [(50_000, 784), (50_000,), (10_000, 784), (10_000,)]
    assert (data.x_train.dtype, data.y_train.dtype) == (torch.float32, torch.int64)
    assert torch.equal(data.x_train * 256, (data.x_train * 256).round())
    assert data.x_train.min() == 0
    assert 0.9 < data.x_train.max() < 1
    assert 0.17 < data.x_train.count_nonzero() / data.x_train.numel() < 0.23
    assert torch.bincount(data.y_train, minlength=10).min() > 4000


def test_digits_are_the_same_bytes_everywhere():
    assert hashlib.sha256(datasets.made_digits()).hexdigest() == datasets.DIGITS_SHA256


def test_rows_to_train_and_to_validate_come_from_different_originals():
    def outlines(x):
        """The digits as bytes, without the margin that tells where they were set."""
        found = set()
        for row in x.reshape(-1, 28, 28).numpy():
            rows, columns = np.nonzero(row.any(1))[0], np.nonzero(row.any(0))[0]
            found.add(row[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1].tobytes())
        return found

    data = datasets.load("digits")
    assert not outlines(data.x_train) & outlines(data.x_valid)


@pytest.mark.parametrize("damage", [b"", b"not an array", None])
def test_a_damaged_digits_cache_is_made_again(damage, tmp_path, monkeypatch):
    monkeypatch.setenv("NN_DATA_DIR", str(tmp_path))
    path = tmp_path / "digits.npy"
    if damage is None:
        np.save(path, np.zeros((60_000, 785), np.uint8))
    else:
        path.write_bytes(damage)
    data = datasets.load("digits")
    assert data.x_train.max() > 0
    assert hashlib.sha256(np.load(path)).hexdigest() == datasets.DIGITS_SHA256


def test_digits_without_a_folder_to_cache_them(tmp_path, monkeypatch, capsys):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("NN_DATA_DIR", str(tmp_path / "file"))
    assert len(datasets.load("digits").x_train) == 50_000
    assert "not cached: cannot write" in capsys.readouterr().err


# --- your own file ------------------------------------------------------------------------------------------


def arrays(**changed):
    """The four arrays of a good file, some of them changed; None leaves one out."""
    random = np.random.default_rng(0)
    good = {
        "x_train": random.random((20, 5)),
        "y_train": random.integers(0, 10, 20),
        "x_valid": random.random((4, 5)),
        "y_valid": random.integers(0, 10, 4),
    }
    return {key: value for key, value in (good | changed).items() if value is not None}


@pytest.mark.parametrize("dtype", [np.float16, np.float32, ">f4", np.float64, ">f8", np.longdouble, np.uint8])
def test_your_own_file(dtype, tmp_path):
    x = (100 * np.random.default_rng(0).random((20, 5))).astype(dtype)
    np.savez(tmp_path / "own.npz", **arrays(x_train=x, y_train=np.arange(20, dtype=">i2") % 10))
    data = datasets.load(str(tmp_path / "own.npz"))
    assert (data.name, data.x_train.dtype, data.y_train.dtype) == ("own.npz", torch.float32, torch.int64)
    np.testing.assert_array_equal(data.x_train, x.astype(np.float32) / (256 if dtype == np.uint8 else 1))


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"y_valid": None}, "y_valid missing; it holds x_train, y_train, x_valid"),
        ({"x_train": np.zeros(20)}, "x_train has shape (20,); expected (rows, features) or images"),
        ({"x_train": np.zeros((20, 2, 3))}, "x_train has 6 features, x_valid 5; expected the same"),
        ({"x_train": np.zeros((20, 0, 3))}, "x_train has shape (20, 0, 3); expected (rows, features)"),
        ({"x_train": np.zeros((0, 5)), "y_train": np.zeros(0, int)}, "x_train has shape (0, 5)"),
        ({"x_valid": np.zeros((4, 6))}, "x_train has 5 features, x_valid 6; expected the same"),
        ({"y_train": np.zeros((20, 1), int)}, "y_train has shape (20, 1); expected (20,), one label a row"),
        ({"y_train": np.zeros(19, int)}, "y_train has shape (19,); expected (20,)"),
        ({"y_train": np.zeros(20)}, "y_train is float64; expected integers"),
        ({"y_train": np.full(20, 10)}, "y_train runs from 10 to 10; expected labels 0 to 9"),
        ({"y_valid": np.full(4, -1)}, "y_valid runs from -1 to -1; expected labels 0 to 9"),
        ({"x_train": np.full((20, 5), np.nan)}, "x_train holds NaN or values beyond float32"),
        ({"x_valid": np.full((4, 5), 1e300)}, "x_valid holds NaN or values beyond float32"),
        ({"x_train": np.zeros((20, 5), complex)}, "x_train is complex128; expected uint8"),
        ({"x_train": np.zeros((20, 5), int)}, "x_train is int64; expected uint8"),
        ({"x_train": np.array([["a"]])}, "x_train is <U1; expected uint8"),
        ({"x_train": np.array([{}], object)}, "not a readable .npz of plain arrays (x_train: Object arrays cannot"),
        ({"x_valid": None, "x_test": np.zeros((4, 5))}, "y_test missing; it holds x_train, y_train, y_valid, x_test"),
        ({"x_valid": None, "y_valid": None, "x_test": np.zeros(4), "y_test": np.zeros(4)}, "x_test has shape (4,)"),
        (
            {"x_valid": None, "y_valid": None, "x_test": np.zeros((4, 6)), "y_test": np.zeros(4, int)},
            "x_train has 5 features, x_test 6; expected the same",
        ),
    ],
)
def test_a_file_that_cannot_be_trained_on(changed, reason, tmp_path):
    path = tmp_path / "own.npz"
    np.savez(path, **arrays(**changed))
    with pytest.raises(DatasetError) as raised:
        datasets.load(str(path))
    assert str(raised.value).startswith(f"{path}: {reason}")


def test_images_are_flattened_and_the_data_says_so(tmp_path):
    path = tmp_path / "own.npz"
    images = np.random.default_rng(0).random((24, 28, 28)).astype(np.float32)
    np.savez(path, **arrays(x_train=images[:20], x_valid=images[20:]))
    data = datasets.load(str(path))
    assert data.origin == f"{path}; images of 28 x 28, flattened"
    np.testing.assert_array_equal(data.x_train, images[:20].reshape(20, 784))
    np.testing.assert_array_equal(data.x_valid, images[20:].reshape(4, 784))


def test_test_rows_validate_where_there_are_no_others(tmp_path):
    """The keys of Keras' mnist.npz."""
    path, good = tmp_path / "own.npz", arrays()
    np.savez(path, x_train=good["x_train"], y_train=good["y_train"], x_test=good["x_valid"], y_test=good["y_valid"])
    data = datasets.load(str(path))
    assert data.origin == f"{path}; x_test and y_test to validate"
    np.testing.assert_array_equal(data.x_valid, good["x_valid"].astype(np.float32))
    np.savez(path, **good, x_test=np.zeros(3), y_test=np.zeros(3))
    np.testing.assert_array_equal(datasets.load(str(path)).x_valid, good["x_valid"].astype(np.float32))


def test_what_else_a_file_holds_is_not_read(tmp_path):
    path = tmp_path / "own.npz"
    np.savez(path, **arrays(), notes=np.array([{}], object))
    with ZipFile(path, "a") as archive:
        archive.writestr("README.txt", "pixels of mine")
    assert datasets.load(str(path)).x_train.shape == (20, 5)


def with_a_member(path, body=None, method=0, flags=0):
    """Makes a good file, but y_train has this body, compression method and flags."""
    buffer = io.BytesIO()
    np.save(buffer, arrays()["y_train"])
    np.savez(path, **arrays(y_train=None))
    with ZipFile(path, "a") as archive:
        archive.writestr("y_train.npy", buffer.getvalue() if body is None else body)
    content = bytearray(path.read_bytes())
    name = content.index(b"y_train.npy")
    local, central = name - 30, content.index(b"y_train.npy", name + 1) - 46
    for start in (local + 6, central + 8):  # in both headers: flags, then the method, two bytes each
        content[start : start + 4] = flags.to_bytes(2, "little") + method.to_bytes(2, "little")
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("member", "reason"),
    [
        ({"method": 9}, "That compression method is not supported"),
        ({"method": 12}, "Invalid data stream"),  # says that it is bzip2
        ({"flags": 1}, "File 'y_train.npy' is encrypted, password required for extraction"),
        ({"flags": 0x41}, "strong encryption (flag bit 6)"),
        ({"body": b"3, 1, 4"}, "no array"),
        ({"body": b"\x93NUMPY\1\0\1\0\n"}, ""),
    ],
)
def test_what_cannot_be_read_is_named_in_one_line(member, reason, tmp_path):
    path = tmp_path / "own.npz"
    with_a_member(path)
    assert datasets.load(str(path)).y_train.tolist() == arrays()["y_train"].tolist()
    with_a_member(path, **member)
    with pytest.raises(DatasetError) as raised:
        datasets.load(str(path))
    message = str(raised.value)
    assert message.startswith(f"{path}: not a readable .npz of plain arrays (y_train: {reason}")
    assert message.endswith("); write it anew with numpy.savez")
    assert len(message.splitlines()) == 1


def damaged_archives():
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays())
    body = buffer.getvalue()
    single = io.BytesIO()
    np.save(single, np.zeros(3))
    middle = len(body) // 5
    return {
        "empty": b"",
        "text": b"x_train\n",
        "truncated": body[: len(body) // 2],
        "a bit flipped": body[:middle] + bytes([body[middle] ^ 255]) + body[middle + 1 :],
        "a single array": single.getvalue(),
        "a pickle": pickle.dumps(arrays()),
    }


@pytest.mark.parametrize("damage", damaged_archives())
def test_a_file_that_is_no_npz(damage, tmp_path):
    path = tmp_path / "own.npz"
    path.write_bytes(damaged_archives()[damage])
    with pytest.raises(DatasetError, match=r"own\.npz: not a readable \.npz of plain arrays"):
        datasets.load(str(path))


def test_a_web_page_is_not_called_a_pickle(tmp_path):
    path = tmp_path / "own.npz"
    path.write_bytes(b"<!DOCTYPE html><html><title>Not found</title>")
    with pytest.raises(DatasetError, match=re.escape("(no zip archive: it begins with b'<!DOCTYPE html><html');")):
        datasets.load(str(path))


def test_names_that_are_nothing(tmp_path):
    with pytest.raises(DatasetError, match=r"dataset 'mnits': expected auto, mnist, digits or a file"):
        datasets.load("mnits")
    with pytest.raises(DatasetError, match=r"gone\.npz: no such file"):
        datasets.load(str(tmp_path / "gone.npz"))
    (tmp_path / "folder.npz").mkdir()
    with pytest.raises(DatasetError, match=r"folder\.npz: Is a directory$"):
        datasets.load(str(tmp_path / "folder.npz"))


def test_a_file_that_may_not_be_read(monkeypatch):
    def forbidden(*arguments):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(Path, "open", forbidden)
    with pytest.raises(DatasetError, match=r"^own\.npz: Permission denied$"):
        datasets.load("own.npz")


# --- the command --------------------------------------------------------------------------------------------


def test_the_command_describes_and_draws(tmp_path):
    picture = tmp_path / "digit.png"
    arguments = ("digits", "--picture", str(picture))
    done = subprocess.run(
        [sys.executable, "-m", "reference.datasets", *arguments], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0
    assert "x_train  (50000, 784) torch.float32, 0 to 0.99" in done.stdout
    assert "y_valid  (10000,) torch.int64, rows per class 0 to 9: " in done.stdout
    assert picture.read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("mnits",), "error: dataset 'mnits': expected"),
        (("digits", "--picture", "/no/such/folder/digit.png"), "error: --picture /no/such/folder/digit.png: "),
        (("digits", "--picture", "digit.xyz"), "error: --picture digit.xyz: "),
    ],
)
def test_the_command_refuses_in_one_line(arguments, reason, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["reference.datasets", *arguments])
    with pytest.raises(SystemExit) as ended:
        datasets.main()
    assert ended.value.code.startswith(reason)  # Python prints it and exits with status 1
    assert len(ended.value.code.splitlines()) == 1
