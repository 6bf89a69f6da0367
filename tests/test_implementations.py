"""Every implementation against the checker."""

import pytest
import torch

import implementations
from reference import datasets, equivalence


@pytest.fixture(scope="session")
def cases():
    data = datasets.load("digits")
    x, y = data.x_train, data.y_train
    return equivalence.cases(x, y)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=["float32", "float64"])
@pytest.mark.parametrize("name", implementations.names())
def test_every_implementation_computes_what_the_reference_computes(name, dtype, cases):
    assert equivalence.complaint(implementations.load(name), cases, dtype=dtype) is None
