"""The rows that are recorded as CUDA graphs, on a CPU: a stand-in records torch operations and replays them."""

import importlib.util
from contextlib import contextmanager, nullcontext
from typing import NamedTuple

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

import implementations
from implementations import __main__ as command
from reference import equivalence
from reference.problem import Problem, initial_parameters

GRAPHS = ["graph_epoch", "graph_step"]


class Tape(TorchDispatchMode):
    """Records operations as a capture does: nothing is computed, and what they would return holds no numbers yet."""

    def __init__(self, operations):
        super().__init__()
        self.operations = operations

    def __torch_dispatch__(self, operation, types, arguments=(), options=None):
        options = options or {}
        declared = operation._schema.arguments
        written = [
            (tensor, tensor.clone())
            for argument, tensor in zip(declared, arguments, strict=False)
            if argument.alias_info and argument.alias_info.is_write
        ]
        result = operation(*arguments, **options)
        for tensor, before in written:
            tensor.copy_(before)
        is_new = not any(argument.alias_info for argument in declared)
        if is_new:
            result.fill_(torch.nan)
        self.operations.append((operation, arguments, options, result if is_new else None))
        return result


class Graph:
    """Stands in for torch.cuda.CUDAGraph."""

    def __init__(self):
        self.operations = []
        self.replays = 0

    def replay(self):
        self.replays += 1
        for operation, arguments, options, place in self.operations:
            result = operation(*arguments, **options)
            if place is not None:
                place.copy_(result)


@pytest.fixture
def graphs(monkeypatch):
    """All graphs that are made, in their order, with torch.cuda replaced."""
    made = []

    def graph():
        made.append(Graph())
        return made[-1]

    @contextmanager
    def capture(graph):
        with Tape(graph.operations):
            yield

    monkeypatch.setattr(torch.cuda, "CUDAGraph", graph)
    monkeypatch.setattr(torch.cuda, "graph", capture)
    monkeypatch.setattr(torch.cuda, "Stream", lambda: Stream("side", []))
    monkeypatch.setattr(torch.cuda, "current_stream", lambda: Stream("current", []))
    monkeypatch.setattr(torch.cuda, "stream", lambda stream: nullcontext())
    return made


class Stream(NamedTuple):
    """Stands in for torch.cuda.Stream; notes who waited for whom."""

    name: str
    log: list

    def wait_stream(self, other):
        self.log.append(f"{self.name} waits for {other.name}")


@pytest.fixture(scope="module")
def cases():
    problem = small_problem(300)
    return equivalence.cases(problem.x, problem.y)


def small_problem(rows, features=40, batch_size=64, epochs=1):
    generator = torch.Generator().manual_seed(0)
    x = torch.randint(256, (rows, features), generator=generator) / 256
    y = torch.randint(10, (rows,), generator=generator)
    return Problem(x, y, *initial_parameters(features, 10), batch_size=batch_size, epochs=epochs)


def inputs(module, problem):
    """What `train` takes for x and y."""
    return module.prepare(problem.x, problem.y, problem.batch_size)


@pytest.mark.parametrize("name", GRAPHS)
def test_replayed_graphs_solve_all_problems(name, cases, graphs):
    assert equivalence.complaint(implementations.load(name), cases) is None


@pytest.mark.parametrize("name", GRAPHS)
def test_float64_is_computed_in_float64(name, graphs):
    case = equivalence.solved("float64", small_problem(rows=150))
    assert equivalence.judged(implementations.load(name), case, dtype=torch.float64).complaint is None


def test_a_step_has_a_graph_for_each_length_of_a_batch(graphs):
    module, problem = implementations.load("graph_step"), small_problem(rows=200, epochs=2)
    module.train(*inputs(module, problem), *problem[2:])
    assert sorted(graph.replays for graph in graphs) == [2, 6]


def test_an_epoch_is_one_graph_replayed_once(graphs):
    module, problem = implementations.load("graph_epoch"), small_problem(rows=200, epochs=3)
    module.train(*inputs(module, problem), *problem[2:])
    assert [graph.replays for graph in graphs] == [3]


@pytest.mark.parametrize("name", GRAPHS)
def test_later_trainings_record_nothing_and_may_start_elsewhere_with_another_learning_rate(name, graphs):
    module, problem = implementations.load(name), small_problem(rows=150)
    given = inputs(module, problem)
    module.train(*given, *problem[2:])
    recorded = len(graphs)
    other = problem._replace(weight=problem.weight + 0.1, bias=problem.bias - 1, lr=0.05, epochs=2)
    result = module.train(*given, *other[2:])
    assert len(graphs) == recorded
    assert equivalence.error(equivalence.solved("other parameters", other), result) < equivalence.LIMIT


@pytest.mark.parametrize("name", GRAPHS)
def test_the_step_runs_once_on_a_stream_of_its_own_before_it_is_recorded(name, graphs, monkeypatch):
    log = []

    @contextmanager
    def noted(word):
        log.append(f"{word} begins")
        yield
        log.append(f"{word} ends")

    monkeypatch.setattr(torch.cuda, "Stream", lambda: Stream("side", log))
    monkeypatch.setattr(torch.cuda, "current_stream", lambda: Stream("current", log))
    monkeypatch.setattr(torch.cuda, "stream", lambda stream: noted(stream.name))
    monkeypatch.setattr(torch.cuda, "graph", lambda graph: noted("recording"))
    implementations.load(name).graph_of(log.append, "the step")
    assert log == [
        "side waits for current",
        *("side begins", "the step", "side ends"),
        "current waits for side",
        *("recording begins", "the step", "recording ends"),
    ]


@pytest.mark.skipif(bool(implementations.missing("compile_reduce_overhead", "cpu")), reason="no C++ compiler")
def test_the_step_that_torch_records_solves_all_problems(cases):
    """On a CPU torch compiles the step and records nothing."""
    assert equivalence.complaint(implementations.load("compile_reduce_overhead"), cases) is None


@pytest.mark.parametrize("name", ["compile_step", "compile_reduce_overhead"])
def test_what_torch_compiles_needs_triton_on_a_gpu_and_not_on_a_cpu(name, monkeypatch):
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda package: None if package == "triton" else found(package))
    assert implementations.missing_packages(name, "cuda") == ["triton"]
    assert implementations.missing_packages(name, "cpu") == []
    assert name not in implementations.runnable("cuda")
    with pytest.raises(command.Refusal, match=f"^{name} needs triton: pip install triton$"):
        command.check(name, "cuda")
