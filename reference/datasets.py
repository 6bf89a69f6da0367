"""The data: MNIST, digits that need no download, or your own .npz.

    python -m reference.datasets mnist --picture digit.png

fetches MNIST, prints what it holds and draws its first digit. Files are cached in `data/`, or in the folder
that the environment variable NN_DATA_DIR names.
"""

import argparse
import gzip
import hashlib
import io
import os
import pickle
import sys
import tempfile
import zlib
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple

import numpy as np
import torch
from torch import Tensor

from reference import shell

if TYPE_CHECKING:
    from requests import RequestException

CLASSES = 10
VALID_ROWS = 10_000

MIRRORS = (
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
    "https://storage.googleapis.com/cvdf-datasets/mnist/",
    "https://raw.githubusercontent.com/fgnt/mnist/master/",
)


class IDX(NamedTuple):
    """A file of MNIST's as the mirrors serve it. sha256: of that.  sha256_inside: of what is compressed in it."""

    name: str
    sha256: str
    sha256_inside: str


# The test digits (t10k) are not fetched: nothing here reads them.
IMAGES = IDX(
    "train-images-idx3-ubyte.gz",
    "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
    "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
)
LABELS = IDX(
    "train-labels-idx1-ubyte.gz",
    "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
    "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
)
# The tutorial's own file. Two others are in circulation under its name, and many a saved 404 page.
PICKLE = "mnist.pkl.gz"
PICKLE_MD5 = "a02cd19f81d51c426d7ca14024243ce9"
GZIP = b"\x1f\x8b"  # what every compressed file begins with
TIMEOUT = (5, 30)  # seconds to connect, seconds without a byte

# The SHA-256 of the arrays that `digits` must make, on every machine.
DIGITS_SHA256 = "ddf1fba27ad6167f86dfca42ec7208138af177746defc3bf0cf457f3da02c967"


class DatasetError(Exception):
    """Data that cannot be had or used: why, and if that does not say it, what to do; the message is one line."""

    def __str__(self) -> str:
        return "; ".join(self.args)


class Dataset(NamedTuple):
    """Rows to train on and rows to validate on.

    x_train (rows, features) and x_valid: float32.  y_train (rows,) and y_valid: int64, 0 to 9.
    name: "mnist", "digits" or the file.  origin: where the rows come from, in a few words.
    """

    name: str
    origin: str
    x_train: Tensor
    y_train: Tensor
    x_valid: Tensor
    y_valid: Tensor

    @property
    def sha256(self) -> str:
        """Of the training rows and labels, as the trainers get them."""
        return sha256(self.x_train.numpy(), self.y_train.numpy())


def sha256(*parts: bytes | np.ndarray) -> str:
    """The hexadecimal SHA-256 of byte strings or contiguous arrays, one after the other."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part if isinstance(part, bytes) else part.data)
    return digest.hexdigest()


def data_dir() -> Path:
    """The cache folder: NN_DATA_DIR, or `data/` beside this package. Raises DatasetError."""
    return expanded(os.environ.get("NN_DATA_DIR") or Path(__file__).parent.parent / "data", "NN_DATA_DIR ")


def expanded(path: str | Path, label: str = "") -> Path:
    """The path with the home folder for ~. Raises DatasetError."""
    try:
        return shell.expanded(path)
    except ValueError as error:
        raise DatasetError(f"{label}{error}") from None


def load(name: str = "auto") -> Dataset:
    """The dataset of that name: "auto", "mnist", "digits", or the path of an .npz file.

    "auto" is MNIST where it is cached or can be fetched, else digits; `origin` says why.
    Raises DatasetError.
    """
    if name == "mnist":
        return mnist()
    if name == "digits":
        return digits()
    if name == "auto":
        try:
            return mnist()
        except DatasetError as error:
            stand_in = digits()
            return stand_in._replace(origin=f"{stand_in.origin}; no MNIST: {error.args[0]}")
    if name.endswith(".npz"):
        return npz(expanded(name))
    raise DatasetError(f"dataset {name!r}: expected auto, mnist, digits or a file that ends in .npz")


def dataset(
    name: str, origin: str, x_train: np.ndarray, y_train: np.ndarray, x_valid: np.ndarray, y_valid: np.ndarray
) -> Dataset:
    """A Dataset of NumPy arrays: uint8 pixels become float32 / 256 (exact), labels int64."""

    def pixels(x: np.ndarray) -> Tensor:
        dtype = np.uint8 if x.dtype == np.uint8 else np.float32  # torch has no long double, and one byte order
        copied = torch.from_numpy(np.array(x, dtype, order="C"))  # what was read from bytes is not writable
        return copied.float().div_(256) if dtype == np.uint8 else copied

    def labels(y: np.ndarray) -> Tensor:
        return torch.from_numpy(y.astype(np.int64))

    return Dataset(name, origin, pixels(x_train), labels(y_train), pixels(x_valid), labels(y_valid))


# --- mnist --------------------------------------------------------------------------------------------------


def mnist() -> Dataset:
    """MNIST as the tutorial has it: 50 000 rows to train and 10 000 to validate, 784 pixels k / 256.

    From the IDX files in `data/mnist`, else from the tutorial's `mnist.pkl.gz` if one lies there, else from
    the first mirror that answers. Raises DatasetError.
    """
    folder = data_dir() / "mnist"
    bodies = [cached(file, folder) for file in (IMAGES, LABELS)]
    tutorial_file = folder / PICKLE
    if None in bodies and tutorial_file.exists():
        try:
            return dataset("mnist", "the tutorial's mnist.pkl.gz", *pickled_arrays(tutorial_file))
        except DatasetError as error:
            print(f"{error}; fetching the IDX files instead", file=sys.stderr)
    images, labels = (
        values(body or fetched(file, folder)) for body, file in zip(bodies, (IMAGES, LABELS), strict=True)
    )
    images = images.reshape(-1, 784)
    train, valid = slice(None, -VALID_ROWS), slice(-VALID_ROWS, None)
    return dataset("mnist", "IDX files", images[train], labels[train], images[valid], labels[valid])


def places(file: IDX, folder: Path) -> list[Path]:
    """Where the file may lie: as it is served, gunzipped, and as unzipped from Kaggle."""
    bare = file.name.removesuffix(".gz")
    return [folder / name for name in (file.name, bare, bare.replace("-idx", ".idx"))]


def cached(file: IDX, folder: Path) -> bytes | None:
    """What is inside the file, compressed or not, by whomever; None if none lies there that holds just that."""
    for path in places(file, folder):
        with suppress(OSError, EOFError, zlib.error):
            body = path.read_bytes()
            inside = gzip.decompress(body) if body.startswith(GZIP) else body
            if sha256(inside) == file.sha256_inside:
                return inside
    return None


def values(body: bytes) -> np.ndarray:
    """The uint8 values of an IDX file: a magic number with the number of dimensions, their sizes, then the values."""
    return np.frombuffer(body, np.uint8, offset=4 + 4 * body[3])


def fetched(file: IDX, folder: Path) -> bytes:
    """What is inside the file, downloaded into `folder` from the first mirror that serves it with its SHA-256.

    The file appears whole or not at all, and replaces a damaged one only when it is good. Raises DatasetError.
    """
    try:
        import pooch
        from requests import RequestException
    except ImportError as error:
        raise DatasetError(
            f"{error.name} is not installed, so MNIST cannot be fetched: pip install {error.name}"
        ) from None
    pooch.get_logger().setLevel("WARNING")
    by_hand = f"by hand: put {IMAGES.name} and {LABELS.name} into {folder}, gzipped or not"
    reasons = []
    for mirror in MIRRORS:
        downloader = pooch.HTTPDownloader(progressbar=sys.stderr.isatty(), timeout=TIMEOUT)
        try:
            url, digest = mirror + file.name, f"sha256:{file.sha256}"
            path = pooch.retrieve(url, digest, file.name, folder, downloader=downloader)
            return gzip.decompress(Path(path).read_bytes())
        except RequestException as error:
            reasons.append(f"{host(mirror)}: {http_reason(error)}")
        except ValueError:
            reasons.append(f"{host(mirror)}: not the file (SHA-256 differs)")
        except OSError as error:
            if error.errno is None:  # not the system's: requests raises it where its certificates are missing
                raise DatasetError(f"{file.name} cannot be fetched: {error}", by_hand) from None
            raise DatasetError(
                f"cannot write to {folder}: {error.strerror or error}; make room there, or set NN_DATA_DIR"
            ) from None
    lying = [path.name for path in (*places(file, folder), folder / PICKLE) if path.exists()]
    rejected = f", and {' and '.join(lying)} in the cache: damaged, or another file" if lying else ""
    raise DatasetError(f"{file.name} from no mirror ({'; '.join(reasons)}){rejected}", by_hand)


def host(url: str) -> str:
    """The host of a URL."""
    return url.split("/")[2]


def http_reason(error: "RequestException") -> str:
    """Why a request failed, in a few words."""
    if error.response is not None:
        return f"HTTP {error.response.status_code}"
    if isinstance(error, ValueError):  # of the address, mostly a proxy's
        return " ".join(str(error).split())
    words = {
        "ConnectionError": "no connection",
        "ConnectTimeout": "no answer",
        "ProxyError": "no answer from the proxy",
        "SSLError": "its certificate is not trusted here",
    }
    return words.get(type(error).__name__, "broken off")


class ArrayUnpickler(pickle.Unpickler):
    """Reads NumPy arrays in lists and tuples; anything else raises before it can run."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) in {("numpy", "ndarray"), ("numpy", "dtype")}:
            return getattr(np, name)
        if (module, name) in {
            ("numpy.core.multiarray", "_reconstruct"),
            ("numpy._core.multiarray", "_reconstruct"),
        }:
            return np.empty(0).__reduce__()[0]  # _reconstruct, from where this NumPy keeps it
        raise pickle.UnpicklingError(f"it holds {module}.{name}, not just arrays")


def pickled_arrays(path: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """x_train, y_train, x_valid, y_valid from the tutorial's `mnist.pkl.gz`. Raises DatasetError.

    Its MD5 is compared before a byte is unpickled.
    """
    try:
        body = path.read_bytes()
    except OSError as error:
        raise DatasetError(f"{path}: {error.strerror}") from None
    md5 = hashlib.md5(body, usedforsecurity=False).hexdigest()
    if md5 != PICKLE_MD5:
        raise DatasetError(f"{path} is not the tutorial's file: MD5 {md5}, expected {PICKLE_MD5}")
    try:
        # latin1: the file was written by Python 2, whose strings held the arrays' bytes.
        pairs = ArrayUnpickler(io.BytesIO(gzip.decompress(body)), encoding="latin1").load()
        (x_train, y_train), (x_valid, y_valid), _test = pairs
    except (pickle.UnpicklingError, EOFError, OSError, ValueError, TypeError) as error:
        raise DatasetError(f"{path}: {error}") from None
    return x_train, y_train, x_valid, y_valid


# --- digits -------------------------------------------------------------------------------------------------

DIGIT_ROWS = 50_000


def digits() -> Dataset:
    """Real handwriting that needs no download, in MNIST's shapes: 50 000 + 10 000 rows of 784 pixels k / 256.

    scikit-learn's 1797 digits of 8 x 8 pixels, enlarged to 20 x 20, set in 28 x 28 and shifted by up to two
    pixels each way. Rows to train and rows to validate come from different originals. 19 % of the pixels are
    not zero, as in MNIST. Cached as one .npy of pixels; rebuilt when it is missing or damaged.
    """
    path = data_dir() / "digits.npy"
    try:
        packed = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError):
        packed = None
    if packed is None or sha256(np.ascontiguousarray(packed)) != DIGITS_SHA256:
        packed = made_digits()
        save_atomically(path, packed)
    x, y = packed[:, 1:], packed[:, 0]
    return dataset(
        "digits",
        "scikit-learn's digits, enlarged",
        x[:DIGIT_ROWS],
        y[:DIGIT_ROWS],
        x[DIGIT_ROWS:],
        y[DIGIT_ROWS:],
    )


def made_digits() -> np.ndarray:
    """(60 000, 785) uint8: the label, then the 784 pixels. The same bytes on every machine.

    Only integers, and the one NumPy generator whose stream is frozen (RandomState, NEP 19).
    """
    from sklearn.datasets import load_digits

    originals = load_digits()
    images = enlarged(originals.images.astype(np.int64))
    random = np.random.RandomState(0)
    order = random.permutation(len(images))
    split = len(images) * 5 // 6
    rows = np.concatenate([random.choice(order[:split], DIGIT_ROWS), random.choice(order[split:], VALID_ROWS)])
    top, left = random.randint(2, 7, size=(2, len(rows)))  # 4 is the middle
    packed = np.zeros((len(rows), 785), np.uint8)
    packed[:, 0] = originals.target[rows]
    canvas = packed[:, 1:].reshape(-1, 28, 28)
    for i in range(2, 7):
        for j in range(2, 7):
            here = (top == i) & (left == j)
            frame = np.zeros((here.sum(), 28, 28), np.uint8)
            frame[:, i : i + 20, j : j + 20] = images[rows[here]]
            canvas[here] = frame
    return packed


def enlarged(images: np.ndarray) -> np.ndarray:
    """(n, 8, 8) int64 of 0 to 16 to (n, 20, 20) uint8: bilinear between pixel centres, then contrast.

    The centre of new pixel i lies at old pixel (4 i - 3) / 10, so tenths are exact and no float is needed.
    Values under 96 become background: strokes of MNIST's width, and MNIST's share of zero pixels.
    """
    tenths = np.clip(4 * np.arange(20) - 3, 0, 70)
    low = np.minimum(tenths // 10, 6)
    fraction = tenths - 10 * low
    weights = np.zeros((20, 8), np.int64)
    weights[np.arange(20), low] = 10 - fraction
    weights[np.arange(20), low + 1] = fraction
    grey = weights @ images @ weights.T * 255 // 1600  # 16 * 10 * 10
    return (np.clip(grey - 96, 0, None) * 255 // (255 - 96)).astype(np.uint8)


def save_atomically(path: Path, array: np.ndarray) -> None:
    """Saves the array under its name at once and whole; without a cache folder to write to, says so and goes on."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, suffix=".tmp", delete=False) as file:
            try:
                np.save(file, array)
                file.close()
                os.replace(file.name, path)
            except BaseException:
                os.unlink(file.name)
                raise
    except OSError as error:
        print(f"not cached: cannot write {path}: {error.strerror}", file=sys.stderr)


# --- your own file ------------------------------------------------------------------------------------------


def npz(path: Path) -> Dataset:
    """The arrays x_train, y_train, x_valid, y_valid of an .npz file, the last two also as x_test, y_test, as in Keras.

    x: (rows, features), uint8 (divided by 256) or floating point, finite; images are flattened, and `origin` says so.
    y: (rows,) integers 0 to 9.  Raises DatasetError.
    """
    arrays = read_arrays(path)
    origin = str(path)
    if "x_test" in arrays:
        origin += "; x_test and y_test to validate"
    if len(shape := arrays["x_train"].shape) > 2:
        origin += f"; images of {' x '.join(map(str, shape[1:]))}, flattened"
    held_out = "test" if "x_test" in arrays else "valid"
    (x_train, y_train), (x_valid, y_valid) = (
        checked_part(path, part, arrays[f"x_{part}"], arrays[f"y_{part}"]) for part in ("train", held_out)
    )
    if x_train.shape[1] != x_valid.shape[1]:
        raise DatasetError(
            f"{path}: x_train has {x_train.shape[1]} features, x_{held_out} {x_valid.shape[1]}; expected the same"
        )
    return dataset(path.name, origin, x_train, y_train, x_valid, y_valid)


def read_arrays(path: Path) -> dict[str, np.ndarray]:
    """The four arrays of an .npz file by their keys; what else it holds is not read. Raises DatasetError."""
    try:
        with opened(path) as file:
            archive = np.load(zip_archive(file), allow_pickle=False)
            held = archive.files
            part = "test" if "x_valid" not in held and "x_test" in held else "valid"
            keys = ("x_train", "y_train", f"x_{part}", f"y_{part}")
            if missing := sorted(set(keys) - set(held)):
                raise DatasetError(f"{path}: {', '.join(missing)} missing; it holds {', '.join(held) or 'nothing'}")
            return {key: member(archive, key) for key in keys}
    except DatasetError:
        raise
    except Exception as error:  # of many kinds: zipfile, its decompressors and NumPy each have their own
        reason = " ".join(str(error).split()) or type(error).__name__
        raise DatasetError(
            f"{path}: not a readable .npz of plain arrays ({reason})", "write it anew with numpy.savez"
        ) from None


def opened(path: Path) -> BinaryIO:
    """The file, open to be read. Raises DatasetError."""
    try:
        return path.open("rb")
    except FileNotFoundError:
        raise DatasetError(f"{path}: no such file") from None
    except OSError as error:
        raise DatasetError(f"{path}: {error.strerror}") from None


def zip_archive(file: BinaryIO) -> BinaryIO:
    """The file, at its beginning. Raises ValueError if it is no zip archive: NumPy takes a web page for a pickle."""
    start = file.read(20)
    if not start.startswith(b"PK"):
        raise ValueError(f"no zip archive: it begins with {start!r}")
    file.seek(0)
    return file


def member(archive: Any, key: str) -> np.ndarray:
    """The array of that key. Raises ValueError, which names it."""
    try:
        array = archive[key]
    except Exception as error:
        raise ValueError(f"{key}: {str(error) or type(error).__name__}") from None
    if not isinstance(array, np.ndarray):  # NumPy gives the bytes of what is no .npy
        raise ValueError(f"{key}: no array")
    return array


def checked_part(path: Path, part: str, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """x, flattened where it is images, and y. Raises DatasetError unless they are rows and labels to train on."""

    def expect(right: bool, name: str, found: str, expected: str) -> None:
        if not right:
            raise DatasetError(f"{path}: {name}_{part} {found}; expected {expected}")

    expect(
        x.ndim >= 2 and x.size > 0,
        "x",
        f"has shape {x.shape}",
        "(rows, features) or images, at least one of each",
    )
    expect(
        x.dtype == np.uint8 or x.dtype.kind == "f",
        "x",
        f"is {x.dtype}",
        "uint8 (divided by 256 here) or floating point",
    )
    with np.errstate(over="ignore"):
        expect(
            bool(np.isfinite(x.astype(np.float32)).all()),
            "x",
            "holds NaN or values beyond float32",
            "finite pixels",
        )
    expect(y.shape == x.shape[:1], "y", f"has shape {y.shape}", f"{x.shape[:1]}, one label a row")
    expect(y.dtype.kind in "iu", "y", f"is {y.dtype}", "integers")
    expect(
        y.min() >= 0 and y.max() < CLASSES,
        "y",
        f"runs from {y.min()} to {y.max()}",
        f"labels 0 to {CLASSES - 1}",
    )
    return x.reshape(len(x), -1), y


# --- the command --------------------------------------------------------------------------------------------


def description(data: Dataset) -> str:
    """What the dataset holds: shapes, dtypes, ranges, non-zero pixels and rows per class, as lines."""
    lines = [f"{data.name} ({data.origin}), sha256 {data.sha256[:12]}"]
    for part, x, y in (("train", data.x_train, data.y_train), ("valid", data.x_valid, data.y_valid)):
        counts = " ".join(map(str, torch.bincount(y, minlength=CLASSES).tolist()))
        share = x.count_nonzero() / x.numel()
        lines += [
            f"x_{part}  {tuple(x.shape)} {x.dtype}, {x.min():g} to {x.max():g}, {share:.0%} not zero",
            f"y_{part}  {tuple(y.shape)} {y.dtype}, rows per class 0 to {CLASSES - 1}: {counts}",
        ]
    return "\n".join(lines)


def draw(x: Tensor, y: Tensor, path: str) -> None:
    """Draws one row of pixels, a square image, as the tutorial does, into a picture file."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    side = int(len(x) ** 0.5)
    if side * side != len(x):
        raise DatasetError(f"--picture: {len(x)} features are no square image")
    plt.imshow(x.reshape(side, side).numpy(), cmap="gray")
    plt.title(f"label {int(y)}")
    try:
        plt.savefig(path)
    except (OSError, ValueError) as error:
        raise DatasetError(f"--picture {path}: {error}") from None


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m reference.datasets", description="Fetch a dataset and show it.")
    parser.add_argument("dataset", nargs="?", default="auto", help="auto (default), mnist, digits or FILE.npz")
    parser.add_argument("--picture", metavar="FILE", help="draw the first training digit into FILE (.png, .pdf, .svg)")
    arguments = parser.parse_args()
    try:
        data = load(arguments.dataset)
        print(description(data))
        if arguments.picture:
            draw(data.x_train[0], data.y_train[0], arguments.picture)
            print(f"the first digit, a {int(data.y_train[0])}: {arguments.picture}")
    except DatasetError as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    shell.run(main)
