# Seven verbs. Everything is installed into .venv; nothing outside this folder is touched.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
# One thread per worker: on few cores that is faster than letting each library take them all.
export OMP_NUM_THREADS ?= 1

.DEFAULT_GOAL := help
.PHONY: help setup quickstart test test-slow lint types docs constraints

help:  ## show the verbs
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

setup: $(VENV)/.installed-dev  ## install Heuresis and the development tools into .venv

quickstart: $(VENV)/.installed  ## run a real campaign: model, xTB, molecular dynamics, MLflow
	$(BIN)/heuresis run campaigns/quickstart/campaign.yaml

test: $(VENV)/.installed-dev  ## the whole fast suite
	$(BIN)/python -m pytest -q

test-slow: $(VENV)/.installed-dev  ## long checks: physics proofs, faults over real processes
	$(BIN)/python -m pytest -q -m slow --timeout 3600

lint: $(VENV)/.installed-dev  ## ruff and the import contracts
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports

types: $(VENV)/.installed-dev  ## mypy, strict
	$(BIN)/mypy

docs: $(VENV)/.installed-dev  ## regenerate what is derived from the code: JSON Schema, command list
	$(BIN)/heuresis schema > docs/campaign.schema.json

constraints: $(VENV)/.installed-dev  ## freeze the installed versions into constraints.txt
	@head -2 constraints.txt > constraints.new
	@$(PIP) freeze --exclude-editable | sed 's/^torch==.*/torch==2.13.0/' >> constraints.new
	@mv constraints.new constraints.txt

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Heuresis needs Python 3.11 or newer; found $$($(PYTHON) --version 2>&1)." \
	         "Install one and run: make PYTHON=python3.11 $(MAKECMDGOALS)"; exit 2; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || \
	  { echo "Python's venv module is missing. On Debian or Ubuntu: apt install python3-venv"; exit 2; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: pyproject.toml constraints.txt | $(BIN)/python
	@echo "Installing Heuresis into $(VENV) (about 2 GB with torch; some minutes the first time) ..."
	$(PIP) install -q -c constraints.txt -e .
	@touch $@

$(VENV)/.installed-dev: $(VENV)/.installed
	$(PIP) install -q -c constraints.txt -e '.[dev,crystals,pyscf]'
	@touch $@
