PYTHON ?= python3
# The same are ignored in pyproject.toml, which says why.
EXPECTED_WARNINGS = -W 'ignore:`torch.jit:DeprecationWarning' -W 'ignore:os.fork:RuntimeWarning' \
	-W 'ignore:This process:DeprecationWarning' -W 'ignore:AnnAssign:DeprecationWarning'

# Three commands: `make bench` times every implementation, `make test` tests the suite itself, and `make report` makes the
# page of the published runs.
# With a GPU also `make gpu-check` and `make gpu-results`, from a plain checkout: with PYTHON's own packages, nothing is
# installed or needed from a network.
.PHONY: bench test report gpu-check gpu-results gpu-needs

bench: .venv/installed
	.venv/bin/pytest benchmarks --benchmark-only

test: .venv/installed
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy
	.venv/bin/pytest tests -W error $(EXPECTED_WARNINGS) --durations=10 -n auto --dist loadfile --no-loadscope-reorder \
		--benchmark-disable

# Runs of which the page is made: those that are published, as far as they are there.
RUNS ?= $(wildcard results/cpu.json results/ladder.json results/growth.json results/ranks.json results/cuda.json)

report: .venv/installed
	.venv/bin/python -m benchmarks.report --page $(RUNS)
	.venv/bin/python -m benchmarks.report --docs

GPU_COLUMNS = 'ms/epoch,x floor,x baseline,99 % interval,judged by,verdict,kernels/epoch,first call,error,lines'
GPU_NEEDS = torch numpy scipy pytest pytest_benchmark tabulate sklearn tqdm threadpoolctl cpuinfo
# Seconds after which rows that have no time yet are given up, and those that have one are saved.
LIMIT ?= 600

gpu-check: gpu-needs
	@PYTHON=$(PYTHON) .ci/gpu-check

gpu-results: gpu-needs
	@rm -f results/run-cuda.json
	timeout -k 30 -s INT $(LIMIT) $(PYTHON) -m pytest benchmarks --benchmark-only --device cuda --budget 100 \
		--columns $(GPU_COLUMNS) --benchmark-json results/run-cuda.json; status=$$?; \
	[ ! -e results/run-cuda.json ] || { mv results/run-cuda.json results/cuda.json && \
		$(PYTHON) -m benchmarks.report results/cuda.json --columns $(GPU_COLUMNS); } || status=$$?; \
	exit $$status

gpu-needs:
	@$(PYTHON) -c 'import sys; from importlib.util import find_spec; \
		gone = [name for name in "$(GPU_NEEDS)".split() if not find_spec(name)]; \
		sys.exit(f"error: $(PYTHON) lacks {gone}; name another: make gpu-results PYTHON=..." if gone else 0)'

.venv/installed: pyproject.toml
	$(PYTHON) -m venv .venv
	.venv/bin/python -m pip install --editable '.[dev,jax,gpu]'
	touch $@
