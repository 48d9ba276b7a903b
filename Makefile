# The targets that people and CI call; `make help` lists them.
#
#   PYTHON=python3.12 make setup        build .venv with that interpreter
#   make test ARGS="-k claims -x"       arguments for pytest; also for demo, docs, bench, lock
#   make faults MINUTES=60 SEED=7       the fault suite, longer, with the choices of a seed
#
# Everything is installed into .venv by ops/setup.sh, once: a stamp in there says that it was
# done, and is out of date when the dependencies or the script changed after it.

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
SHELL := /bin/bash

VENV := .venv
BIN := $(VENV)/bin
ARGS ?=

# An interpreter named by the user has a stamp of its own, so that naming another one is a change.
ifeq ($(origin PYTHON),undefined)
STAMP := $(VENV)/.setup-done
else
export PYTHON
STAMP := $(VENV)/.setup-for-$(notdir $(PYTHON))
endif

# The scripts in .venv carry absolute paths: a tree that was moved or copied needs a new one.
ifneq ($(shell cat $(VENV)/.setup-path 2>/dev/null),$(CURDIR))
$(STAMP): moved
endif

.PHONY: help setup demo test faults check docs format bench lock clean moved

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(STAMP) ## all set-up into .venv; the targets below do it too

$(STAMP): pyproject.toml requirements.lock ops/setup.sh
	@ops/setup.sh

demo: $(STAMP) ## a node on an embedded Redis runs real commands and shows their results
	$(BIN)/python ops/demo.py $(ARGS)

# Most tests wait for something, and for no longer than it takes on a machine that is not overrun.
WORKERS ?= 2
test: $(STAMP) ## the whole test suite
	$(BIN)/pytest --numprocesses $(WORKERS) --dist loadfile $(ARGS)

# SEED=number chooses what is done, SEED=scenario:number repeats one round; ONLY=scenario,scenario.
MINUTES ?= 10
faults: $(STAMP) ## the fault suite for MINUTES=10: nothing is lost, nothing runs twice
	$(BIN)/python -m tests.faults.run --minutes "$(MINUTES)" --seed "$(SEED)" --only "$(ONLY)"

# The variable silences what its theme has to say of MkDocs's next version.
# (Not --quiet: then --strict lets pass what is wrong.)
MKDOCS := NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs
check: $(STAMP) ## formatting, lint, types, import rules, links of the documentation
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo
	$(MKDOCS) build --strict

docs: $(STAMP) ## the guide and the reference as a site: build/docs/index.html
	$(MKDOCS) build --strict $(ARGS)

format: $(STAMP) ## bring the code into shape: what of `make check` can be done by machine
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(STAMP) ## the speed figures
	$(BIN)/python tests/bench/run.py $(ARGS)

# uv resolves for all Pythons and systems at once, which pip cannot; it reads its own
# configuration (UV_…), not pip's. ARGS=--upgrade takes newer releases, otherwise pins stay.
LOCKER := .cache/lock
lock: ## make requirements.lock anew from pyproject.toml (ARGS=--upgrade for newer releases)
	@test -x $(LOCKER)/bin/uv || { $(or $(PYTHON),python3) -m venv $(LOCKER) && $(LOCKER)/bin/pip install --quiet 'uv>=0.9'; }
	$(LOCKER)/bin/uv pip compile --quiet --universal --python-version 3.11 --extra dev \
		--generate-hashes --no-emit-index-url --no-emit-find-links \
		--custom-compile-command 'make lock' $(ARGS) --output-file requirements.lock pyproject.toml

clean: ## remove what was built: .venv, caches, packages
	rm -rf $(VENV) .cache .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache build dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
