"""JAX: a whole epoch is one compiled program, a `lax.scan` over the batches.

A step is a function from parameters and a batch to new parameters, and jit compiles the loop around it too. scan
needs batches of one shape, so x is (batches, 64, 784), and the short last batch is a step of its own. On a CPU the
products, thin as they are, stay on one core.

JAX has threads of its own; it reads their number from NPROC when it first computes, so what is set by then holds for
the process.

Price: No Python runs between two steps of an epoch, and XLA fuses what lies between the two products, but an epoch is
compiled once and x is copied once.

Compare with `manual_transposed`: functions that JAX compiles, in place of tensors that change.
"""

import os

import numpy as np
import torch

os.environ.setdefault("NPROC", str(torch.get_num_threads()))
os.environ.setdefault("JAX_PLATFORMS", "cpu")  # or it would take a GPU, and most of its memory

import jax
import jax.numpy as jnp

DEVICES = ("cpu",)
REQUIRES = ("jax",)


def step(parameters, batch, lr):
    (weight, bias), (x, y) = parameters, batch
    grad = jax.nn.softmax(weight @ x.T + bias[:, None], axis=0) - jax.nn.one_hot(y, len(bias), axis=0)
    grad /= len(x)
    return weight - grad @ x * lr, bias - grad.sum(1) * lr


@jax.jit
def trained_epoch(parameters, batches, last, lr):
    parameters, _ = jax.lax.scan(lambda old, batch: (step(old, batch, lr), None), parameters, batches)
    return step(parameters, last, lr) if len(last[0]) else parameters


def prepare(x, y, batch_size):
    if x.dtype != torch.float32:
        raise TypeError(f"jax_scan computes in float32, and x is {x.dtype}")
    full = len(x) // batch_size * batch_size
    shape = (-1, batch_size, x.shape[1])
    batches = x[:full].reshape(shape), y[:full].reshape(shape[:2])
    return tuple(tuple(jnp.array(part.numpy()) for part in pair) for pair in (batches, (x[full:], y[full:].int())))


def train(batches, last, weight, bias, batch_size, lr, epochs):
    parameters = jnp.array(weight.numpy().T), jnp.array(bias.numpy())
    for _ in range(epochs):
        parameters = trained_epoch(parameters, batches, last, lr)
    weight, bias = (torch.from_numpy(np.array(parameter)) for parameter in parameters)
    return weight.T, bias
