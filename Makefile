PYTHON ?= python3
# The same are ignored in pyproject.toml, which says why.
EXPECTED_WARNINGS = -W 'ignore:`torch.jit:DeprecationWarning' -W 'ignore:os.fork:RuntimeWarning' \
	-W 'ignore:This process:DeprecationWarning'

# Two commands: `make bench` times every implementation, `make test` tests the suite itself.
# With a GPU also `make gpu-results`, from a plain checkout: with PYTHON's own packages, nothing is installed or needed
# from a network.
.PHONY: bench test gpu-results

bench: .venv/installed
	.venv/bin/pytest benchmarks --benchmark-only

test: .venv/installed
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/pytest tests -W error $(EXPECTED_WARNINGS)

GPU_COLUMNS = 'ms/epoch,x floor,x baseline,99 % interval,verdict,kernels/epoch,first call,error,lines'

gpu-results:
	$(PYTHON) -m pytest benchmarks --benchmark-only --device cuda --budget 100 --columns $(GPU_COLUMNS) \
		--benchmark-json results/cuda.json; \
	status=$$?; [ $$status -gt 1 ] || $(PYTHON) -m benchmarks.report results/cuda.json --columns $(GPU_COLUMNS); \
	exit $$status

.venv/installed: pyproject.toml
	$(PYTHON) -m venv .venv
	.venv/bin/python -m pip install --editable '.[dev,jax,gpu]'
	touch $@
