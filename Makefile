# Everything is set up in .venv beside this file; nothing else on the machine is touched.
#
#   make install    the library with all that training needs
#   make demo       install, then train, compare and use models on real handwritten digits
#   make test       install with the tools of development, then every check and all but the slow tests
#   make test-slow  every test, the slow ones too
#   make check      formatting, lint, types and imports alone
#   make clean      remove .venv and whatever was built
#
# Another Python: make PYTHON=python3.12 ...      More test workers: make JOBS=8 test

VENV := .venv
BIN := $(VENV)/bin
JOBS ?= 2

# The first of these that runs and is new enough. A name on the PATH alone proves nothing (pyenv leaves stubs).
NEW_ENOUGH := import sys; sys.exit(sys.version_info < (3, 11))
PYTHON ?= $(shell for python in python3 python3.13 python3.12 python3.11 python; do \
	$$python -c '$(NEW_ENOUGH)' 2>/dev/null && echo $$python && break; done)

# torch is named in every command that may bring it, so that no resolver ever chooses another build.
TORCH := torch==2.13.0
INSTALL := $(BIN)/python -m pip install --disable-pip-version-check --quiet --constraint constraints.txt
READY := $(VENV)/.ready
PINS := pyproject.toml constraints.txt Makefile

.PHONY: install demo test test-slow check clean

install: $(READY)-train

demo: $(READY)-train
	FIELDMARK_CACHE=demo/cache $(BIN)/fieldmark demo --out demo

test: check
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(JOBS) --dist worksteal -m "not slow"

test-slow: check
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(JOBS) --dist worksteal

check: $(READY)-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

clean:
	rm -rf $(VENV) build dist demo src/*.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find src tests -name __pycache__ -type d -prune -exec rm -rf {} +

# A change of pins or of extras installs again; a change of source does not, because the install is editable.
$(READY)-train: $(PINS) | $(VENV)
	@echo "Installing Fieldmark and all that training needs into $(VENV) (about 1.6 GB, a few minutes once) ..."
	$(INSTALL) $(TORCH) --editable ".[train,parquet]"
	@touch $@

$(READY)-dev: $(PINS) | $(VENV)
	@echo "Installing Fieldmark, every extra and the tools of development into $(VENV) (a few minutes once) ..."
	$(INSTALL) $(TORCH) --editable ".[train,parquet,tensorboard,mlflow,serve,export,dev]"
	$(BIN)/python -m pip check
	@touch $@ $(READY)-train

# Debian splits ensurepip off; its pip can then put one into the new environment.
$(VENV):
	@test -n "$(PYTHON)" && $(PYTHON) -c '$(NEW_ENOUGH)' || { \
		echo "Fieldmark needs Python 3.11 or newer, and none was found here."; \
		echo "  found: $(or $(PYTHON),python3), which says: $$($(or $(PYTHON),python3) --version 2>&1 | head -1)"; \
		echo "  do:    install one and name it, as in  make PYTHON=/usr/bin/python3.12 $(MAKECMDGOALS)"; \
		exit 1; }
	@if $(PYTHON) -c 'import ensurepip' 2>/dev/null; then $(PYTHON) -m venv $(VENV); else \
		$(PYTHON) -m venv --without-pip $(VENV) && \
		$(PYTHON) -m pip --python $(BIN)/python install --quiet pip; fi || { rm -rf $(VENV); exit 1; }
