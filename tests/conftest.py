"""What several files of tests use."""

import numpy as np
import pytest


@pytest.fixture(scope="session")
def dataset(tmp_path_factory):
    """A small file of digits that can be told apart: each lights its own pixel."""
    path = tmp_path_factory.mktemp("data") / "own.npz"
    labels = np.arange(640) % 10
    pixels = np.eye(10, dtype=np.float32)[labels]
    np.savez(path, x_train=pixels, y_train=labels, x_valid=pixels, y_valid=labels)
    return str(path)
