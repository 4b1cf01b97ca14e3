# One command a task. `make demo` and `make test` set up all they need in .venv; both can be rerun.
SHELL := /bin/bash
VENV := .venv
BIN := $(VENV)/bin
OUT ?= runs/faces-22
# What is used is compiled when it is used; all that is installed would take half a minute.
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet --no-compile --no-warn-conflicts --constraint constraints.txt
# The first interpreter that is 3.10 or newer and can make environments; override with PYTHON=…
PYTHON ?= $(shell for p in python3.11 python3.12 python3.13 python3.10 python3; do \
	$$p -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 10))' >/dev/null 2>&1 && echo $$p && break; done)

.PHONY: help demo test lint types format docs figures notebooks links setup setup-dev fuzz bench kills clean
help: ## List the commands
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

demo: setup ## Explain a real generated face and name (or open) its report
	$(BIN)/primitives explain faces --seed 22 --out $(OUT) --open

test: setup-dev lint ## Linter, type checker and all tests
	# The type checker takes a minute of one core, which the tests need not wait for.
	$(MAKE) --no-print-directory --jobs=2 types suite

.PHONY: suite
suite: setup-dev
	# Most tests are of tiny tensors, on which threads cost more than they give; files run side by side.
	# Many start a process of their own, which would compile all of the package each time.
	env -u PYTHONDONTWRITEBYTECODE OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses auto --dist loadfile --no-loadscope-reorder

lint: setup-dev ## Check style and formatting
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: setup-dev ## Check types
	$(BIN)/mypy

format: setup-dev ## Rewrite formatting and imports
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: setup-dev ## Build the documentation into build/site; a warning fails it
	$(BIN)/sphinx-build --fail-on-warning --keep-going --quiet -b html docs build/site
	@echo "documentation: build/site/index.html"

figures: setup-dev ## Draw the pictures of the method and of its limits anew (two minutes)
	OMP_NUM_THREADS=1 $(BIN)/python benchmarks/method_figures.py
	OMP_NUM_THREADS=1 $(BIN)/python benchmarks/limits.py

notebooks: setup-dev ## Run the notebooks of the documentation anew, and keep what they print
	OMP_NUM_THREADS=1 $(BIN)/jupyter nbconvert --to notebook --execute --inplace --ExecutePreprocessor.record_timing=False docs/notebooks/*.ipynb

links: setup-dev ## Ask for every page elsewhere that the documentation links to (needs the network)
	$(BIN)/sphinx-build --quiet -b linkcheck docs build/links

MUTANTS ?= 20000
SEED ?= 0
fuzz: setup-dev ## Spoil stored files, pictures, caches and questions, MUTANTS=20000 times (minutes)
	OMP_NUM_THREADS=1 $(BIN)/python tests/fuzz.py --mutants $(MUTANTS) --seed $(SEED)

bench: setup-dev figures ## Reproduce the tables of README and docs (hours on two cores: see each file)
	$(BIN)/python benchmarks/moebius.py
	$(BIN)/python benchmarks/planted.py
	$(BIN)/python benchmarks/parts.py --workers 2
	$(BIN)/python benchmarks/zoo.py faces --refits --workers 2
	$(BIN)/python benchmarks/zoo.py faces --quality fast --workers 2
	$(BIN)/python benchmarks/patches.py
	$(BIN)/python benchmarks/tails.py
	$(BIN)/python benchmarks/speed.py
	$(BIN)/python benchmarks/lockstep.py
	$(BIN)/python benchmarks/overnight.py
	$(BIN)/python benchmarks/overnight.py --memory 200
	$(BIN)/python benchmarks/zoo.py faces --quality best --refits
	$(BIN)/python benchmarks/zoo.py photos-64
	$(BIN)/python benchmarks/zoo.py photos-128
	$(BIN)/python benchmarks/zoo.py terrain
	$(BIN)/python benchmarks/normalisation.py --fits 5
	$(BIN)/python benchmarks/sweep.py --workers 2
	$(BIN)/python benchmarks/reproduction.py
	$(BIN)/python benchmarks/baselines.py
	$(BIN)/python benchmarks/others.py
	$(BIN)/python benchmarks/sanity.py
	$(BIN)/python benchmarks/factors.py
	$(BIN)/python benchmarks/noise_cure.py program planted added
	$(BIN)/python benchmarks/noise_cure.py faces vae-faces --patches 7 --pictures 4
	$(BIN)/python benchmarks/editing.py
	$(BIN)/python benchmarks/explorer.py

kills: setup-dev ## Kill at every file operation and at random moments; count what is lost or left
	OMP_NUM_THREADS=1 $(BIN)/python benchmarks/kills.py

setup: $(VENV)/.installed
setup-dev: $(VENV)/.installed-dev chromium

.PHONY: chromium
chromium: # The tests of pages need a browser: Debian's own.
	@for name in "$$CHROMIUM" chromium chromium-browser google-chrome; do \
		test -n "$$name" && command -v "$$name" >/dev/null && exit 0; done; \
	if ! command -v apt-get >/dev/null; then echo "error: the tests of pages need Chromium; install it, or set CHROMIUM to it" >&2; exit 1; fi; \
	if test "$$(id -u)" = 0; then root=; elif sudo -n true 2>/dev/null; then root=sudo; \
	else echo "error: the tests of pages need Chromium; as root: apt-get install chromium" >&2; exit 1; fi; \
	echo "Installing Chromium …"; \
	$$root apt-get -qq update && $$root env DEBIAN_FRONTEND=noninteractive apt-get -qq install --no-install-recommends chromium >/dev/null

$(VENV)/.python:
	@test -n "$(PYTHON)" || { echo "error: no Python 3.10 or newer with venv found; on Debian: apt-get install python3 python3-venv" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	touch $@

# The weights' packages ask for tools that we do not need, and cap Python for their sake.
$(VENV)/.weights: constraints.txt | $(VENV)/.python
	@echo "Installing the face generator's weights …"
	$(PIP) --no-deps --ignore-requires-python gan-face-generate
	touch $@

$(VENV)/.weights-dev: $(VENV)/.weights
	@echo "Installing the terrain generator's weights …"
	$(PIP) --no-deps --ignore-requires-python adaptive-terrain-diffusion
	touch $@

$(VENV)/.installed: pyproject.toml constraints.txt $(VENV)/.weights
	@echo "Installing regional_primitives (torch included: a few minutes the first time) …"
	$(PIP) --editable '.[report]'
	touch $@

$(VENV)/.installed-dev: $(VENV)/.installed $(VENV)/.weights-dev
	@echo "Installing the test tools …"
	$(PIP) --editable '.[dev]'
	touch $@

clean: ## Remove the environment and caches
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
