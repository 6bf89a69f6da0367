PYTHON ?= python3

# Two commands: `make bench` times every implementation, `make test` tests the suite itself.
.PHONY: bench test

bench: .venv/installed
	.venv/bin/pytest benchmarks --benchmark-only

test: .venv/installed
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/pytest tests -W error -W 'ignore:`torch.jit:DeprecationWarning'

.venv/installed: pyproject.toml
	$(PYTHON) -m venv .venv
	.venv/bin/python -m pip install --editable '.[dev,jax]'
	touch $@
