# Everything the project needs is set up here: `make demo` and `make test` work on a fresh Debian or Ubuntu machine.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: setup demo test check clean

setup: $(READY)

$(READY): pyproject.toml scripts/setup
	scripts/setup "$(PYTHON)" "$(VENV)"
	touch $(READY)

demo: $(READY)
	scripts/demo

check: $(READY)
	$(BIN)/ruff check src tests scripts benchmarks
	$(BIN)/ruff format --check src tests scripts benchmarks
	$(BIN)/mypy
	$(BIN)/lint-imports

test: $(READY) check
	$(BIN)/pytest

clean:
	rm -rf $(VENV) .cache .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
