PYTHON ?= python3
# The same are ignored in pyproject.toml, which says why.
EXPECTED_WARNINGS = -W 'ignore:`torch.jit:DeprecationWarning' -W 'ignore:os.fork:RuntimeWarning' \
	-W 'ignore:This process:DeprecationWarning'

# Two commands: `make bench` times every implementation, `make test` tests the suite itself.
.PHONY: bench test

bench: .venv/installed
	.venv/bin/pytest benchmarks --benchmark-only

test: .venv/installed
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/pytest tests -W error $(EXPECTED_WARNINGS)

.venv/installed: pyproject.toml
	$(PYTHON) -m venv .venv
	.venv/bin/python -m pip install --editable '.[dev,jax]'
	touch $@
