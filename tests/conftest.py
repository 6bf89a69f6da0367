"""What several files of tests use."""

import os

# Where nothing is said, torch's threads wait busily, and a neighbour on the machine makes their work many times longer.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
# Several processes share these tests; the runs of the benchmark that they start are none of that.
os.environ.pop("PYTEST_XDIST_WORKER", None)

import pwd
import signal

import numpy as np
import pytest
from hypothesis import HealthCheck, settings

any_case = settings(deadline=None, derandomize=True, suppress_health_check=list(HealthCheck), database=None)
settings.register_profile("quick", any_case, max_examples=240)
settings.register_profile("thorough", any_case, max_examples=2100)  # in .ci/run
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "quick"))

if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:  # as in a job in the background: what is started would inherit it
    signal.signal(signal.SIGINT, signal.default_int_handler)


# The files that take longest, the longest first: where processes share the tests, all have something to do to the end.
LONGEST = [
    *("run", "cluster", "triton", "ranks", "mistakes", "ill_behaved", "ranks_files", "equivalence"),
    *("implementations", "page", "page_in_browser", "properties", "compiled", "datasets", "workers", "simulation"),
]
PLACES = {f"test_{name}.py": place for place, name in enumerate(LONGEST)}


def pytest_collection_modifyitems(items):
    items.sort(key=lambda item: PLACES.get(item.path.name, len(PLACES)))


def pytest_make_parametrize_id(val):
    """`-k cross_entropy` is to select the tests of the losses alone, so no name in an id has it."""
    return val.replace("cross_entropy", "cross-entropy") if isinstance(val, str) and "cross_entropy" in val else None


@pytest.fixture(scope="session")
def dataset(tmp_path_factory):
    """A small file of digits that can be told apart: each lights its own pixel."""
    path = tmp_path_factory.mktemp("data") / "own.npz"
    labels = np.arange(640) % 10
    pixels = np.eye(10, dtype=np.float32)[labels]
    np.savez(path, x_train=pixels, y_train=labels, x_valid=pixels, y_valid=labels)
    return str(path)


@pytest.fixture
def no_home(monkeypatch):
    """A process whose user has no home folder, as in many a container: no HOME, and no entry for its number."""

    def unknown(uid):
        raise KeyError(f"uid not found: {uid}")

    monkeypatch.delenv("HOME", raising=False)
    monkeypatch.setattr(pwd, "getpwuid", unknown)


@pytest.fixture(scope="session")
def every_shape_is_compiled():
    """torch.compile gives a function up after 8 compilations, and runs it as it is; the tests have more shapes."""
    from torch._dynamo import config

    with config.patch(recompile_limit=64, fail_on_recompile_limit_hit=True):
        yield
