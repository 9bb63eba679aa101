# Everything a clone needs: `make demo`, `make test`, `make docs`, in any order.
# The virtual environment is made once; a stamp is written only after an installation went through.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

PYTHON ?= python3
VENV ?= .venv
JOBS ?= 2

BIN := $(VENV)/bin
CONSTRAINTS ?= constraints.txt
PIP := $(BIN)/python -m pip install -qq --disable-pip-version-check -c $(CONSTRAINTS)
SPEC := pyproject.toml $(CONSTRAINTS)

.PHONY: help demo test lint types unit docs clean

help:
	@echo "make demo   simulate sections, impute them, score the methods, write demo_output/"
	@echo "make test   style, types and tests"
	@echo "make docs   build the documentation, tutorials executed, into docs/_build/html"
	@echo "make clean  remove .venv and everything that was built"

$(VENV)/.stamp-venv: $(CONSTRAINTS)
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "Python 3.11 or newer is needed: make PYTHON=python3.12 ...")'
	@$(PYTHON) -m venv $(VENV)
	@$(PIP) "pip>=25.1"
	@touch $@

$(VENV)/.stamp-demo: $(VENV)/.stamp-venv $(SPEC)
	@echo "Installing into $(VENV): once, one to three minutes ..."
	@$(PIP) -e ".[plot]"
	@touch $@

$(VENV)/.stamp-test: $(VENV)/.stamp-venv $(SPEC)
	@echo "Installing into $(VENV): once, one to three minutes ..."
	@$(PIP) -e ".[plot]" --group dev
	@# timm asks for torchvision, whose builds on PyPI for Linux need CUDA and break beside a torch without; tests of
	@# encoders stand in for the few names that timm imports from it.
	@$(PIP) --no-deps timm
	@touch $@

$(VENV)/.stamp-docs: $(VENV)/.stamp-venv $(SPEC)
	@echo "Installing into $(VENV): once, one to three minutes ..."
	@$(PIP) -e ".[plot]" --group doc
	@touch $@

demo: $(VENV)/.stamp-demo
	@$(BIN)/python tutorials/demo.py

test: lint types unit

lint: $(VENV)/.stamp-test
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/lint-imports --no-logo --no-cache pyproject.toml .importlinter-runtime.toml

types: $(VENV)/.stamp-test
	$(BIN)/mypy

unit: $(VENV)/.stamp-test
	OMP_NUM_THREADS=1 MPLBACKEND=agg $(BIN)/python -m pytest -q -n $(JOBS) --dist loadfile

docs: $(VENV)/.stamp-docs
	OMP_NUM_THREADS=1 $(BIN)/python -m sphinx -W --keep-going -b html docs docs/_build/html

clean:
	rm -rf $(VENV) docs/_build docs/generated demo_output .mypy_cache .ruff_cache .pytest_cache
