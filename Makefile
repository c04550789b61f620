# Everything is set up in .venv; nothing global is touched.
PYTHON ?= python3
BUDGET ?= 5m
SEED ?= 0
OUT ?= runs/first

BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
PYTEST := $(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder -q
EXPLORE := HYPOTHESIS_PROFILE=explore $(PYTEST)
# torch goes first and by exact version: asked for in any other way, pip may fetch the much larger
# build with CUDA. On a machine with a GPU install that one into .venv yourself.
TORCH := $(shell grep '^torch==' constraints.txt)

.PHONY: help setup search comparison figures test quick reliability audit lint clean
.DELETE_ON_ERROR:

help:
	@echo 'make setup   make .venv with symact and all it needs'
	@echo 'make search  search activation functions (BUDGET=$(BUDGET) SEED=$(SEED) OUT=$(OUT))'
	@echo 'make comparison  judge found, published and classic functions by protocol 1.0, for the record'
	@echo 'make figures    tables and figures of the benchmark of the search (benchmarks/results)'
	@echo 'make test    run the tests'
	@echo 'make quick   run the tests that are not marked slow'
	@echo 'make reliability  longer tests: Ray, ten thousand functions, new examples of all properties'
	@echo 'make audit   look up known vulnerabilities of the pinned packages'
	@echo 'make lint    formatter, linter, types, layers'
	@echo 'make clean   remove .venv and caches; runs stay'

setup: .venv/.dev

.venv/.torch: constraints.txt
	@$(PYTHON) -c 'import sys; v = sys.version.split()[0]; (3, 11) <= sys.version_info[:2] <= (3, 13) or \
	    sys.exit(f"symact needs Python 3.11 to 3.13, $(PYTHON) is {v}: make PYTHON=python3.12 ...")'
	$(PYTHON) -m venv .venv
	$(PIP) install --quiet $(TORCH)
	touch $@

.venv/.runtime: .venv/.torch pyproject.toml constraints.txt
	$(PIP) install --quiet -c constraints.txt -e .
	touch $@

.venv/.dev: .venv/.runtime
	$(PIP) install --quiet -c constraints.txt -e '.[dev]'
	touch $@

search: .venv/.runtime
	$(BIN)/symact search --grammar pointwise --task generalist --budget $(BUDGET) --seed $(SEED) --out $(OUT)

# What docs/history.md shows, by protocol 1.0: about a minute a function.
COMPARED := ReLU GELU SiLU QuickGELU tanh Mish sin Snake PReLU SwiGLU GELUSine \
    GELU-Sinc-Perturbation GMTU Turbulent
comparison: .venv/.runtime
	$(BIN)/symact compare docs/comparison/found.jsonl $(COMPARED) --protocol 1.0 --out runs/comparison

# Tables and figures of the benchmark of the search, from benchmarks/results/*.json.
figures: .venv/.runtime
	$(BIN)/python benchmarks/search_study report

test: .venv/.dev
	$(PYTEST)

quick: .venv/.dev
	$(PYTEST) -m 'not slow'

.venv/.cluster: .venv/.dev
	$(PIP) install --quiet -c constraints.txt -e '.[cluster]'
	touch $@

reliability: .venv/.cluster
	$(BIN)/python -m pytest -q -s reliability
	$(EXPLORE) -m hypothesis tests
	$(EXPLORE) -m slow tests/zoo tests/engine/test_crashes.py
	$(BIN)/python tools/fuzz_importer.py 1000 7

# Reads constraints.txt alone; needs a network on which the vulnerability service answers.
audit: .venv/.dev
	$(PIP) install --quiet -c constraints.txt -e '.[audit]'
	$(BIN)/pip-audit --strict --disable-pip --no-deps -r constraints.txt

lint: .venv/.dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

clean:
	rm -rf .venv .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	find src tests -name __pycache__ -prune -exec rm -rf {} +
