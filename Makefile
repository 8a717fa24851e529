# `make demo` and `make test` install everything that they need on a new Debian or Ubuntu machine.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
FAST_WORKERS ?= auto
CODE := src tests benchmarks scripts/docs scripts/github-action scripts/record

.PHONY: setup demo test test-fast test-current-packer check docs benchmark dist clean

setup: $(READY)

$(READY): pyproject.toml scripts/setup
	scripts/setup "$(PYTHON)" "$(VENV)"
	touch $(READY)

demo: $(READY)
	scripts/demo

# For every edit: takes less than a minute on two cores; needs no Packer, Docker or network.
test-fast: $(READY)
	$(BIN)/pytest --quiet --numprocesses $(FAST_WORKERS) -m "not packer and not current_packer" tests/core tests/template tests/adapters

test: check
	scripts/setup --test-programs $(BIN)/python
	scripts/run-tests $(BIN)

# Runs tests of histories and the command line with current Packer. `make test` runs only the tests that need it.
test-current-packer: $(READY)
	folder=$$(scripts/current-packer) && AMI_BAKERY_TEST_PACKER=$$folder $(BIN)/pytest --numprocesses auto \
	  tests/histories tests/cli tests/end_to_end

check: $(READY)
	$(BIN)/ruff check $(CODE)
	$(BIN)/ruff format --check $(CODE)
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo
	$(BIN)/python scripts/docs --check

docs: $(READY)
	$(BIN)/python scripts/docs

# ORIGINAL=PATH: path of a clone of mechtron/ami-bakery, to compare with. Takes 10 minutes and 3 GB of disk space.
benchmark: $(READY)
	$(BIN)/python -m benchmarks $(if $(ORIGINAL),--original "$(ORIGINAL)")

dist: $(READY)
	scripts/dist $(BIN)/python

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .coverage* dist
