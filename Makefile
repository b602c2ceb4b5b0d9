# Two commands do everything on a bare machine with Python 3.10 or later: `make run` and `make test`.
SHELL := /bin/bash
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11 python3.10; do \
	"$$p" -c 'import sys; sys.exit(sys.version_info < (3, 10))' 2>/dev/null && { echo "$$p"; break; }; done)
VENV ?= .venv
BIN := $(VENV)/bin
ARGS ?=
TESTS ?=
# Two threads that wait for each other cost more than they bring; several one-thread processes do not.
TEST_ENV := OMP_NUM_THREADS=1 TOKENIZERS_PARALLELISM=false

.PHONY: help run test soak lint format clean
.DEFAULT_GOAL := help

help:  ## show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo 'Options go into ARGS, for example: make run ARGS="dataset=pocket_fvqa dataset.edits=50"'

run: $(VENV)/.run  ## set up, then correct a VLM's mistakes and show the metrics before and after
	$(BIN)/python run.py $(ARGS)

test: $(VENV)/.dev  ## set up, then the quick tests (TESTS=tests/report for some of them)
	$(TEST_ENV) $(BIN)/python -m pytest -n 2 --dist loadfile $(TESTS) $(ARGS)

soak: $(VENV)/.dev  ## the slow tests, which `make test` leaves out
	$(TEST_ENV) $(BIN)/python -m pytest -m soak $(TESTS) $(ARGS)

lint: $(VENV)/.dev  ## style, formatting and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(VENV)/.dev  ## mend style and formatting
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:  ## remove what was built and cached here, the environment included
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis

$(VENV)/.made:
	@test -n "$(PYTHON)" || { echo "Python 3.10 or later is needed; point to one: make PYTHON=/path/to/python3.12 ..."; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || \
		{ echo "$(PYTHON) lacks its venv module; on Debian and Ubuntu: apt-get install python3-venv"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	@touch $@

$(VENV)/.run: $(VENV)/.made pyproject.toml constraints.txt
	@echo "Installing into $(VENV), once: torch first, then the other packages; some minutes, a few GB (torch is most of it)"
	$(BIN)/python -m pip install --quiet --constraint constraints.txt torch
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable ".[serve]"
	@touch $@

$(VENV)/.dev: $(VENV)/.run
	@echo "Installing what tests, style and types need, once"
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable ".[serve,dev,docs]"
	@touch $@
