# The four small commands, the same here and in CI. Everything they need they install into .venv.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
ARGS ?=

.PHONY: run test lint bench proof lock setup setup-dev clean

run: setup
	@$(BIN)/pendel demo $(ARGS)

test: setup-dev lint
	@$(BIN)/python -m pytest -n auto -m "not proof" $(ARGS)

lint: setup-dev
	@$(BIN)/ruff check src tests benchmarks
	@$(BIN)/ruff format --check src tests benchmarks
	@$(BIN)/mypy
	@$(BIN)/lint-imports

bench: setup-dev
	@$(BIN)/pendel bench all $(ARGS)

proof: setup-dev
	@$(BIN)/python -m pytest -n auto -m proof --timeout 3600 $(ARGS)

setup: $(VENV)/run.stamp
setup-dev: $(VENV)/dev.stamp

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "pendel needs Python 3.11 or newer")'
	@echo "setting up $(VENV) (first time only)"
	@$(PYTHON) -m venv $(VENV)


$(VENV)/deps.stamp: requirements.lock | $(BIN)/python
	@echo "installing what pendel needs, with checked hashes"
	@$(BIN)/python -m pip install -q --disable-pip-version-check --require-hashes -r requirements.lock
	@touch $@

$(VENV)/run.stamp: $(VENV)/deps.stamp pyproject.toml
	@$(BIN)/python -m pip install -q --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

$(VENV)/dev.stamp: requirements-dev.lock $(VENV)/run.stamp
	@echo "installing what the tests need, with checked hashes"
	@$(BIN)/python -m pip install -q --disable-pip-version-check --require-hashes -r requirements-dev.lock
	@touch $@

# Renews the locks (hashes, no addresses); needs uv.
lock:
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --no-annotate pyproject.toml requirements-build.in -o requirements.lock
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --no-annotate --extra dev pyproject.toml requirements-build.in -c requirements.lock -o requirements-dev.lock

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .import_linter_cache build dist
