"""cluster_epoch without a GPU: its source compiled for one, and the same source run on threads (cuda_on_threads.h)."""

import ctypes
import functools
import re
import shutil
import subprocess
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

import implementations
from implementations import cluster_epoch
from reference import datasets, equivalence
from reference.problem import Problem, initial_parameters

SOURCE = (implementations.FOLDER / "cluster_epoch.cu").read_text()
HEADER = Path(__file__).parent / "cuda_on_threads.h"

needs_cxx = pytest.mark.skipif(shutil.which("g++") is None, reason="no C++ compiler")
needs_nvcc = pytest.mark.skipif(
    shutil.which("nvcc") is None or cluster_epoch.nvcc_version() < cluster_epoch.OLDEST_NVCC,
    reason="no nvcc, or too old",
)


def random_problem(rows, features, classes, batch_size, epochs=1, in_bytes=False):
    generator = torch.Generator().manual_seed(rows + features)
    x = torch.rand(rows, features, generator=generator)
    x = (x * 256).floor() / 256 if in_bytes else x
    y = torch.randint(classes, (rows,), generator=generator)
    return Problem(x, y, *initial_parameters(features, classes), batch_size=batch_size, epochs=epochs)


@pytest.fixture(scope="module")
def on_threads(tmp_path_factory):
    """on_threads(source, NAME=value...): the library that g++ makes of the source; made once."""
    folder = tmp_path_factory.mktemp("on_threads")
    for name in ("cooperative_groups.h", "cuda/ptx", "cuda_runtime.h"):  # cuda_on_threads.h is in place of all of them
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).touch()
    command = ["g++", "-std=c++20", "-O1", "-fno-strict-aliasing", "-U_FORTIFY_SOURCE", "-fPIC", "-pthread"]
    command += ["-I", folder]

    @functools.cache
    def header():
        """A copy that is read once for all."""
        path = shutil.copy(HEADER, folder)
        subprocess.run([*command, "-x", "c++-header", path, "-o", f"{path}.gch"], check=True)
        return path

    @functools.cache
    def library(source, **constants):
        defines = [f"-D{name}={value}" for name, value in constants.items()]
        path = folder / f"{len(list(folder.glob('*.cu')))}.cu"
        path.write_text(source)
        built = [*command, *defines, "-shared", "-include", header(), "-x", "c++", path, "-o", path.with_suffix(".so")]
        subprocess.run(built, check=True)
        return ctypes.CDLL(path.with_suffix(".so"))

    return library


@pytest.fixture
def cluster(monkeypatch, on_threads):
    """The module on CPU tensors, its kernel on threads; blocks_granted is as it would be on a GPU that has 16."""
    if not shutil.which("g++"):
        pytest.skip("no C++ compiler")
    monkeypatch.setattr(torch.cuda, "device", lambda device: nullcontext())
    monkeypatch.setattr(torch.cuda, "current_stream", lambda: SimpleNamespace(cuda_stream=0))
    monkeypatch.setattr(cluster_epoch, "library", functools.partial(on_threads, SOURCE))
    return cluster_epoch


@pytest.fixture
def small_cluster(cluster, monkeypatch, on_threads):
    """small_cluster(source): the module with a kernel of 4 blocks of 64 threads, where schedules differ most."""

    def module(source=SOURCE):
        monkeypatch.setattr(cluster, "library", functools.partial(on_threads, source, WARPS=2))
        monkeypatch.setattr(cluster, "blocks_granted", lambda in_bytes: 4)
        return cluster

    return module


@pytest.fixture
def gpu():
    """gpu(library, NAME=value...): what its "GPU" has; as before afterwards."""
    changed = []

    def has(library, **values):
        for name, value in values.items():
            place = ctypes.c_int.in_dll(library, name)
            changed.append((place, place.value))
            place.value = value

    yield has
    for place, value in reversed(changed):
        place.value = value


def draw_lots(module, lot, problem, patience_ms=2000):
    """The result of training when everything that may come in any order comes in the lot-th."""
    library = module.library(BLOCKS=4, CLASSES=len(problem.bias), BYTES=1)
    ctypes.c_uint.in_dll(library, "lot").value = lot
    ctypes.c_int.in_dll(library, "patience_ms").value = patience_ms
    return equivalence.run(module, problem)


# --- the arithmetic -----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def cases():
    data = datasets.load("digits")
    return equivalence.cases(data.x_train, data.y_train)


@pytest.mark.parametrize("blocks", [16, 8])
def test_it_solves_the_checkers_problems(blocks, cluster, gpu, cases):
    for in_bytes in (0, 1):
        gpu(cluster.library(BLOCKS=16, CLASSES=10, BYTES=in_bytes), clusters_granted=int(blocks == 16))
    x, y, *_ = cases[0].problem
    assert cluster.prepare(x, y, 64)[0].shape[1] == blocks
    findings = list(equivalence.findings(cluster, cases))
    assert [finding.complaint for finding in findings] == [None] * 15
    assert max(finding.error for finding in findings) < 3


@pytest.mark.parametrize(
    "shape",
    [
        (1, 1, 2, 1, 1),
        (33, 20, 3, 1, 1),
        (100, 50, 2, 64, 2),
        (10, 784, 17, 1000, 3),
        (200, 30, 3, 130, 2),
        (300, 5, 2, 2**31 - 1, 2),
        (90, 1200, 3, 72, 1),
        (70, 40, 48, 64, 1),
    ],
    ids=lambda shape: "{} rows of {}, {} classes, batch {}, epochs {}".format(*shape),
)
@pytest.mark.parametrize("in_bytes", [True, False], ids=["bytes", "floats"])
def test_other_shapes(shape, in_bytes, cluster):
    if shape[2] == 48 and in_bytes:
        pytest.skip("once is enough")
    case = equivalence.solved("another shape", random_problem(*shape, in_bytes=in_bytes))
    finding = equivalence.judged(cluster, case)
    assert finding.complaint is None
    assert finding.error < 5


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize("where", ["weight", "x"])
def test_what_is_not_finite_stays_so(value, where, cluster):
    problem = random_problem(150, 40, 3, 64)
    getattr(problem, where)[3, 1] = value
    trained, _ = equivalence.run(cluster, problem)
    assert trained.isnan().any()


@pytest.mark.parametrize("in_bytes", [True, False], ids=["bytes", "floats"])
def test_an_rtx_50_has_less_memory_and_no_cluster_of_16(in_bytes, cluster, gpu):
    for blocks, clusters in ((16, 0), (8, 1)):
        library = cluster.library(BLOCKS=blocks, CLASSES=10, BYTES=int(in_bytes))
        gpu(library, clusters_granted=clusters, shared_kb=99)
    assert 784 < library.most_features() < 784 * 8
    case = equivalence.solved("on an RTX 50", random_problem(130, 784, 10, 64, in_bytes=in_bytes))
    assert equivalence.judged(cluster, case).complaint is None


def test_no_library_is_made_for_a_question_alone(cluster, monkeypatch):
    """What prepare asks is what train uses, also where not all classes are among the labels."""
    made, library = [], cluster.library
    monkeypatch.setattr(cluster, "library", lambda **constants: made.append(constants) or library(**constants))
    problem = random_problem(5, 4, 10, 64)
    equivalence.run(cluster, problem._replace(y=problem.y % 3))
    assert made == [{"BLOCKS": 16, "CLASSES": 10, "BYTES": 0}] * 2


def test_pixels_are_kept_as_bytes_where_that_is_exact(cluster):
    problem = random_problem(64, 784, 10, 64, in_bytes=True)
    sizes = []
    for x in (problem.x, problem.x + 1, problem.x / 2):
        tiles, _, in_bytes = cluster.prepare(x, problem.y, 64)
        sizes.append((in_bytes, tiles.shape[2] - 16))
    assert sizes == [(True, 3200), (False, 12800), (False, 12800)]


# --- who waits for whom -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def waiting():
    """Batches of two tiles and a short one, twice: every wait is needed."""
    problem = random_problem(64 * 5 + 9, 24, 3, 128, epochs=2, in_bytes=True)
    return equivalence.solved("waiting", problem)


def test_the_result_does_not_depend_on_what_comes_first(small_cluster, waiting):
    module = small_cluster()
    results = [draw_lots(module, lot, waiting.problem) for lot in range(30)]
    assert equivalence.error(waiting, results[0]) < 5
    for weight, bias in results[1:]:
        assert torch.equal(weight, results[0][0])
        assert torch.equal(bias, results[0][1])


SHARES_WAIT = "wait(ptx::scope_cluster, &own.shares_in, step);"
GRADS_WAIT = "wait(ptx::scope_cluster, &own.grads_in, step);"
PIXELS_WAIT = "wait(ptx::scope_cta, &own.landed[step % STAGES], step / STAGES);"
FETCH = "fetch(); /* the next */"

# mistake: what the source says, and what it says instead
MISTAKES = {
    "contributions are not waited for": {SHARES_WAIT: ";"},
    "contributions to the step before are waited for": {SHARES_WAIT: SHARES_WAIT.replace("step", "step + 1")},
    "gradients are not waited for": {GRADS_WAIT: ""},
    "pixels are not waited for": {PIXELS_WAIT: ""},
    "a step begins before all weights are new": {"__syncthreads(); /* weights": "/* weights"},
    "a sum is read before it is written": {"__syncwarp();": ""},
    "the tile in work is written over": {FETCH: "", GRADS_WAIT: GRADS_WAIT + FETCH},
    "one place for two tiles": {
        "stages + fetched % STAGES": "stages + fetched % 1",
        "stages + step % STAGES": "stages + step % 1",
    },
    "a row fewer is expected": {"SENT = TILE * CLASSES": "SENT = (TILE - 1) * CLASSES"},
    "a row more is expected": {"SENT = TILE * CLASSES": "SENT = (TILE + 1) * CLASSES"},
    "barriers are used before they are there": {"cluster.sync(); /* nobody sends": "__syncthreads(); /* nobody sends"},
    "one place for two senders": {"own.shares[block][": "own.shares[block / 2]["},
    "nothing is sent to one block": {"(block + i) % BLOCKS": "(block + i) % (BLOCKS - 1)"},
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_in_waiting_is_noticed(mistake, small_cluster, waiting):
    source = SOURCE
    for old, new in MISTAKES[mistake].items():
        assert source.count(old) == 1
        source = source.replace(old, new)
    module = small_cluster(source)

    def noticed(lot):
        try:
            return (
                not equivalence.error(waiting, draw_lots(module, lot, waiting.problem, patience_ms=100))
                <= equivalence.LIMIT
            )
        except RuntimeError as raised:
            return "waited in vain" in str(raised)

    assert any(noticed(lot) for lot in range(10))


# --- what is refused ----------------------------------------------------------------------------------------


def test_float64_is_refused(cluster):
    problem = random_problem(10, 4, 2, 64).to(dtype=torch.float64)
    with pytest.raises(TypeError, match=r"^cluster_epoch computes in float32, and x is torch.float64$"):
        equivalence.run(cluster, problem)


def test_too_many_classes_are_refused(cluster):
    with pytest.raises(ValueError, match=r"^cluster_epoch has room for 48 classes, and there are 49$"):
        equivalence.run(cluster, random_problem(300, 4, 49, 64))
    problem = random_problem(10, 4, 49, 64)
    with pytest.raises(ValueError, match=r"^cluster_epoch has room for 48 classes, and there are 49$"):
        equivalence.run(cluster, problem._replace(y=torch.zeros(10, dtype=torch.int64)))


def test_as_many_features_as_fit_are_trained_and_one_more_is_refused(cluster):
    most = cluster.library(BLOCKS=16, CLASSES=10, BYTES=1).most_features()
    assert most > 784 * 16
    problem = random_problem(70, most + 1, 10, 64, in_bytes=True)
    problem.y[0] = 9
    refusal = f"cluster_epoch has room for {most} features of 10 classes, and x has {most + 1}"
    with pytest.raises(ValueError, match=f"^{refusal}$"):
        equivalence.run(cluster, problem)
    fits = problem._replace(x=problem.x[:, :most], weight=problem.weight[:most])
    assert equivalence.judged(cluster, equivalence.solved("all that fit", fits)).complaint is None


@pytest.mark.parametrize(
    ("clusters", "reason"),
    [(0, "too few multiprocessors side by side"), (-1, "invalid argument")],
    ids=["none", "failure"],
)
def test_a_gpu_without_room_for_a_cluster_cannot_run_it(clusters, reason, cluster, gpu):
    for blocks in (16, 8):
        gpu(cluster.library(BLOCKS=blocks, CLASSES=10, BYTES=0), clusters_granted=clusters)
    problem = random_problem(10, 4, 2, 64)
    with pytest.raises(NotImplementedError, match=f"^no cluster of 8 blocks on this GPU: {reason}$"):
        cluster.prepare(problem.x, problem.y, 64)


def test_what_cuda_says_is_passed_on(cluster, gpu):
    gpu(cluster.library(BLOCKS=16, CLASSES=2, BYTES=0), patience_ms=-1)
    problem = random_problem(10, 4, 2, 64)
    inputs = cluster.prepare(problem.x, problem.y, 64)
    with pytest.raises(RuntimeError, match=r"^cluster_epoch: waited in vain$"):
        cluster.train(*inputs, *problem[2:])


@pytest.mark.parametrize("version", ["11.8", "12.2", "12.5"])
def test_an_nvcc_that_is_too_old_is_named(version, monkeypatch):
    said = f"Cuda compilation tools, release {version}, V{version}.140"
    monkeypatch.setattr(cluster_epoch, "nvcc", lambda *arguments: said if arguments == ("--version",) else None)
    with pytest.raises(NotImplementedError, match=f"^nvcc {version} found, 12.6 or newer needed$"):
        cluster_epoch.library(BLOCKS=16, CLASSES=10, BYTES=1)


# --- the GPU's code -----------------------------------------------------------------------------------------


@needs_nvcc
@pytest.mark.parametrize(
    ("architecture", "constants"),
    [
        ("sm_90", (16, 10, 1)),
        ("sm_90", (8, 10, 0)),
        ("sm_90", (16, 48, 0)),
        ("sm_100", (16, 10, 1)),
        ("sm_120", (8, 10, 1)),
    ],
    ids=str,
)
def test_it_compiles_and_all_sums_stay_in_registers(architecture, constants, tmp_path):
    """Later GPUs than sm_90 get what a driver makes of the PTX."""
    if architecture not in cluster_epoch.nvcc("--list-gpu-code").split():
        pytest.skip(f"nvcc does not know {architecture}")
    defines = [f"-D{name}={value}" for name, value in zip(("BLOCKS", "CLASSES", "BYTES"), constants, strict=True)]
    command = ["nvcc", "-O3", "-std=c++17", f"-gencode=arch=compute_90,code={architecture}", "-cubin", "-Xptxas", "-v"]
    source = implementations.FOLDER / "cluster_epoch.cu"
    done = subprocess.run([*command, *defines, source, "-o", tmp_path / "cubin"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "warning" not in done.stderr
    assert re.findall(r"(\d+) bytes (?:stack frame|spill stores|spill loads)", done.stderr) == ["0"] * 3
    assert int(re.search(r"Used (\d+) registers", done.stderr)[1]) <= 255


@needs_nvcc
def test_the_library_is_made_once_and_holds_ptx_for_later_gpus(monkeypatch):
    ran, nvcc = [], cluster_epoch.nvcc
    monkeypatch.setattr(cluster_epoch, "nvcc", lambda *arguments: ran.append(arguments) or nvcc(*arguments))
    cluster_epoch.library.cache_clear()
    kernel = cluster_epoch.compiled(8, 2, False)
    assert cluster_epoch.compiled(8, 2, False) is kernel
    asked, made = ran
    assert asked == ("--version",)
    would_run = subprocess.run(["nvcc", "--dryrun", *made], capture_output=True, text=True, check=True).stderr
    assert "kind=elf,sm=90" in would_run
    assert "kind=ptx,sm=90" in would_run
    if not torch.cuda.is_available():
        assert kernel.clusters() < 0
        assert kernel.most_features() < 0
        assert b"CUDA" in kernel.explained(-kernel.clusters())


@needs_nvcc
def test_on_a_gpu(cases):
    if not torch.cuda.is_available() or torch.cuda.get_device_capability() < cluster_epoch.CAPABILITY:
        pytest.skip("no GPU with clusters")
    try:
        cluster_epoch.blocks_granted(in_bytes=True)
    except NotImplementedError as refused:
        pytest.skip(str(refused))
    assert equivalence.complaint(cluster_epoch, cases, device="cuda") is None
