# Everything the project needs is set up here: `make demo` and `make test` work on a fresh Debian or Ubuntu machine.

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

# For every edit: under a minute on two cores, without Packer, Docker and the network.
test-fast: $(READY)
	$(BIN)/pytest --quiet --numprocesses $(FAST_WORKERS) -m "not packer and not current_packer" tests/core tests/template tests/adapters

test: check
	scripts/setup --test-programs $(BIN)/python
	scripts/run-tests $(BIN)

# The histories and the command line with current Packer, too; `make test` runs only its own tests with it.
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

# ORIGINAL=PATH names a clone of mechtron/ami-bakery, to be measured beside it. Ten minutes, and 3 GB of files.
benchmark: $(READY)
	$(BIN)/python -m benchmarks $(if $(ORIGINAL),--original "$(ORIGINAL)")

dist: $(READY)
	scripts/dist $(BIN)/python

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .coverage* dist
