# What one does here. Each target makes its own virtual environment in .venv and installs what it needs first.
#   PYTHON=python3.12   another interpreter          VENV=/path   another environment
#   ARGS="-k pose"      more arguments for the command behind the target
# PyTorch from PyPI is a CUDA build of several GB; where PIP_EXTRA_INDEX_URL names PyTorch's CPU index, the small
# build is taken.
PYTHON ?= python3
VENV ?= .venv
ARGS ?=
BIN := $(VENV)/bin

.DEFAULT_GOAL := help
.PHONY: help demo pictures test test-common check bench

help: ## show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1\t\2/' | expand -t 20

demo: $(VENV)/.demo ## joints drawn on a photograph and on a rendered person: outputs/demo.png
	$(BIN)/hulk-hf demo --output outputs/demo.png $(ARGS)

pictures: $(VENV)/.demo ## what the bundled model says of people, family by family: outputs/gallery
	$(BIN)/python -m hulk_hf.gallery --output outputs/gallery $(ARGS)

test: $(VENV)/.all ## all tests
	$(BIN)/python -m pytest $(ARGS)

test-common: $(VENV)/.all ## transformers' own model tests on every class; fetches its source archive
	$(BIN)/python -m pytest tests/transformers_common $(ARGS)

check: $(VENV)/.all ## formatting, lint and types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

bench: $(VENV)/.all ## speed, side by side with a model of the same size
	$(BIN)/hulk-hf benchmark $(ARGS)

# One stamp per extra: `make demo` installs less than the others. PyTorch goes first, alone, so that nothing else
# chooses its build.
$(VENV)/.demo $(VENV)/.all: $(VENV)/.%: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(None if sys.version_info >= (3, 11) else "Python 3.11 or newer is needed (PYTHON=python3.11)")'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install "$$(grep '^torch==' constraints.txt)"
	$(BIN)/python -m pip install --constraint constraints.txt --editable '.[$*]'
	@touch $@
